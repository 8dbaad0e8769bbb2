#include "nginx/instance/config.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "nginx/instance/access_logs.h"
#include "nginx/instance/config_logs.h"
#include "nginx/status/urls.h"

typedef enum context {
    IN_MAIN,
    IN_HTTP,
    IN_SERVER,
    IN_LOCATION,
    IN_HTTP_OTHER, /* another block somewhere in http */
    IN_OTHER,
} context;

typedef struct block {
    context in;
    char *uri; /* of a location a client can name; NULL: regular expression, named … */
    bool exact;
    bool restricted;
    bool quiet;
    bool stub;
    bool unseen;    /* an include in it cannot be read */
    size_t level;   /* of its own access logs */
    size_t listens; /* of a server: how many there were before it */
} block;

typedef struct scan {
    const otr_nginx_config_spec *spec;
    otr_nginx_config *config;
    block blocks[OTR_LIMIT_NGINX_BLOCK_DEPTH + 1]; /* [0] is the main context */
    size_t depth;
    scan_servers servers;
    log_scan logs;
    size_t http_level;
    bool main_log;    /* an error_log stands in the main context */
    bool main_unseen; /* something of it, or of http, cannot be read */
    bool http, http_unseen;
    bool needs_outer; /* a server has no access_log of its own */
    bool may_need;    /* one has none that was seen */
    bool oom;         /* in a callback that cannot fail */
} scan;

static block *top(scan *s)
{
    return &s->blocks[s->depth];
}

static bool in_http(const scan *s)
{
    context in = s->blocks[s->depth].in;
    return in != IN_MAIN && in != IN_OTHER;
}

/* ---- logs ---- */

static otr_code take_error_log(scan *s, const char *path, otr_err *err)
{
    return s->config->error_log == NULL && otr_log_is_file(path)
               ? otr_log_path(s->spec, path, &s->config->error_log, err)
               : OTR_OK;
}

static otr_code on_access_log(scan *s, const otr_directive *d, otr_err *err)
{
    block *b = top(s);
    bool off = strcmp(d->args[0], "off") == 0;
    if (b->in == IN_SERVER) {
        s->servers.items[s->servers.n - 1].own_log = true;
        s->servers.items[s->servers.n - 1].quiet |= off;
    }
    b->quiet |= off;
    return otr_log_scan_use(&s->logs, d, &b->level, err);
}

/* A block ends: are its own logs used, or those around it? */
static void leave_logs(scan *s, const block *b)
{
    if (b->in == IN_HTTP) {
        s->http_level = b->level;
        s->http_unseen |= b->unseen;
        return;
    }
    otr_log_scan_mark(&s->logs, b->level);
    if (b->in == IN_SERVER && b->level == LOG_LEVEL_NONE) {
        s->needs_outer |= !b->unseen;
        s->may_need |= b->unseen;
    }
}

/* ---- blocks ---- */

static context context_of(const scan *s, const char *name)
{
    context outer = s->blocks[s->depth].in;
    if (outer == IN_MAIN) {
        return strcmp(name, "http") == 0 ? IN_HTTP : IN_OTHER;
    }
    if (outer == IN_OTHER) {
        return IN_OTHER;
    }
    if (outer == IN_HTTP && strcmp(name, "server") == 0) {
        return IN_SERVER;
    }
    if ((outer == IN_SERVER || outer == IN_LOCATION) && strcmp(name, "location") == 0) {
        return IN_LOCATION;
    }
    return IN_HTTP_OTHER;
}

/* The URI that a location surely serves, its prefix or exact name. NULL: none that can be told (a
 * regular expression, a named location). */
static const char *location_uri(const otr_directive *d, bool *ret_exact)
{
    if (d->n_args == 1) {
        return d->args[0][0] == '/' ? d->args[0] : NULL;
    }
    if (d->n_args == 2 && (strcmp(d->args[0], "=") == 0 || strcmp(d->args[0], "^~") == 0)) {
        *ret_exact = d->args[0][0] == '=';
        return d->args[1][0] == '/' ? d->args[1] : NULL;
    }
    return NULL;
}

static otr_code push(scan *s, const otr_directive *d, otr_err *err)
{
    block b = { .in = context_of(s, d->name), .listens = s->servers.n_listens };
    const block *outer = top(s);
    if (b.in == IN_LOCATION) {
        const char *uri = location_uri(d, &b.exact);
        b.restricted = outer->restricted;
        b.quiet = outer->quiet;
        if (uri != NULL && (b.uri = otr_strdup(uri)) == NULL) {
            return otr_fail_nomem(err);
        }
    } else if (b.in == IN_SERVER) {
        otr_code rc = otr_scan_server(&s->servers, err);
        if (rc != OTR_OK) {
            return rc;
        }
    }
    s->http |= b.in == IN_HTTP;
    s->blocks[++s->depth] = b;
    return OTR_OK;
}

static void leave(void *arg)
{
    scan *s = arg;
    block *b = top(s);
    leave_logs(s, b);
    if (b->in == IN_SERVER && s->servers.n_listens == b->listens) {
        s->oom |= otr_scan_listen_default(&s->servers, NULL) != OTR_OK;
    }
    if (b->stub && b->uri != NULL) {
        scan_stub stub = {
            .uri = b->uri, .exact = b->exact, .restricted = b->restricted, .quiet = b->quiet
        };
        s->oom |= otr_scan_stub(&s->servers, &stub, NULL) != OTR_OK;
    }
    otr_free(b->uri);
    s->depth--;
}

/* ---- directives ---- */

static otr_code on_server_name(scan *s, const otr_directive *d, otr_err *err)
{
    scan_server *server = &s->servers.items[s->servers.n - 1];
    for (size_t i = 0; i < d->n_args && server->name == NULL; i++) {
        const char *name = d->args[i];
        if (name[0] != '\0' && strpbrk(name, "*~$_ \r\n#&") == NULL && name[0] != '.') {
            server->name = otr_strdup(name);
            if (server->name == NULL) {
                return otr_fail_nomem(err);
            }
        }
    }
    return OTR_OK;
}

static otr_code on_server_directive(scan *s, const otr_directive *d, otr_err *err)
{
    if (strcmp(d->name, "listen") == 0) {
        return otr_scan_listen(&s->servers, d, err);
    }
    if (strcmp(d->name, "server_name") == 0) {
        return on_server_name(s, d, err);
    }
    if (strcmp(d->name, "ssl") == 0 && d->n_args == 1 && strcmp(d->args[0], "on") == 0) {
        s->servers.items[s->servers.n - 1].ssl = true;
    }
    return OTR_OK;
}

static bool restricts(const char *name)
{
    static const char *const names[] = {
        "allow",    "deny",     "auth_basic", "auth_request",
        "auth_jwt", "internal", "return",     "access_by_lua_block"
    };
    for (size_t i = 0; i < OTR_COUNT(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* stub_status of the server itself answers every URI. */
static otr_code on_stub_status(scan *s, otr_err *err)
{
    block *b = top(s);
    if (b->in == IN_LOCATION) {
        b->stub = true;
        return OTR_OK;
    }
    char root_uri[] = "/";
    scan_stub stub = { .uri = root_uri, .restricted = b->restricted, .quiet = b->quiet };
    return b->in == IN_SERVER ? otr_scan_stub(&s->servers, &stub, err) : OTR_OK;
}

static otr_code on_http_directive(scan *s, const otr_directive *d, otr_err *err)
{
    if (strcmp(d->name, "access_log") == 0 && d->n_args > 0) {
        return on_access_log(s, d, err);
    }
    if (strcmp(d->name, "log_format") == 0) {
        return otr_log_scan_format(&s->logs, d, err);
    }
    if (strcmp(d->name, "stub_status") == 0) {
        return on_stub_status(s, err);
    }
    if (restricts(d->name)) {
        top(s)->restricted = true;
        if (top(s)->in == IN_SERVER) {
            s->servers.items[s->servers.n - 1].restricted = true;
        }
    }
    return top(s)->in == IN_SERVER ? on_server_directive(s, d, err) : OTR_OK;
}

static otr_code enter(void *arg, const otr_directive *d, otr_err *err)
{
    scan *s = arg;
    if (d->block) {
        return push(s, d, err);
    }
    if (strcmp(d->name, "error_log") == 0 && d->n_args > 0) {
        s->main_log |= top(s)->in == IN_MAIN;
        return take_error_log(s, d->args[0], err);
    }
    if (top(s)->in == IN_MAIN && strcmp(d->name, "pid") == 0 && d->n_args == 1 &&
        s->config->pid_file == NULL) {
        return otr_log_path(s->spec, d->args[0], &s->config->pid_file, err);
    }
    return in_http(s) ? on_http_directive(s, d, err) : OTR_OK;
}

/* Nothing is assumed about what was not seen. */
static otr_code unseen(void *arg, const otr_unseen *what, otr_err *err)
{
    scan *s = arg;
    top(s)->unseen = s->config->unseen = true;
    s->main_unseen |= top(s)->in == IN_MAIN;
    return otr_remark(&s->config->remarks, err, "%s:%u: %s: what it says is not known", what->file,
                      what->line, what->why->msg);
}

static otr_code visit(void *arg, const char *path, const struct stat *st, const otr_bytes *text,
                      otr_err *err)
{
    scan *s = arg;
    return otr_config_files_add(&s->config->files, path, st, text, err);
}

/* ---- the end ---- */

/* NGINX logs to the compiled-in file what no access_log covers. */
static otr_code take_default_log(scan *s, otr_err *err)
{
    const char *path = s->spec->access_log;
    if (!s->http || path == NULL || !otr_log_is_file(path)) {
        return OTR_OK;
    }
    bool blind = s->config->error[0] != '\0' || s->http_unseen;
    if (s->needs_outer && !blind) {
        otr_directive d = { .name = "access_log", .args = &path, .n_args = 1 };
        size_t level = LOG_LEVEL_NONE;
        otr_code rc = otr_log_scan_use(&s->logs, &d, &level, err);
        otr_log_scan_mark(&s->logs, level);
        return rc;
    }
    return s->needs_outer || s->may_need
               ? otr_remark(&s->config->remarks, err,
                            "whether NGINX writes its default access log %s depends on what could "
                            "not be read: it is not followed",
                            path)
               : OTR_OK;
}

static otr_code finish_logs(scan *s, otr_err *err)
{
    otr_code rc = OTR_OK;
    if (s->http_level == LOG_LEVEL_NONE) {
        rc = take_default_log(s, err);
    } else if (s->needs_outer || s->may_need || s->http_unseen || s->config->error[0] != '\0') {
        otr_log_scan_mark(&s->logs, s->http_level);
    }
    return rc == OTR_OK ? otr_log_scan_finish(&s->logs, err) : rc;
}

static otr_code set_texts(scan *s, const char *error, otr_err *err)
{
    otr_nginx_config *c = s->config;
    bool blind = error[0] != '\0' || s->main_unseen;
    if (!s->main_log && !blind && c->error_log == NULL && s->spec->error_log != NULL) {
        otr_code rc = take_error_log(s, s->spec->error_log, err);
        if (rc != OTR_OK) {
            return rc;
        }
    }
    if (c->error_log == NULL) {
        c->error_log = otr_strdup("");
    }
    c->error = otr_strdup(error);
    return c->error_log != NULL && c->error != NULL ? OTR_OK : otr_fail_nomem(err);
}

static otr_code finish(scan *s, const char *error, otr_err *err)
{
    otr_code rc = s->oom ? otr_fail_nomem(err) : set_texts(s, error, err);
    if (rc == OTR_OK) {
        rc = finish_logs(s, err);
    }
    return rc == OTR_OK
               ? otr_scan_status_urls(&s->servers, s->spec->root->path, &s->config->status_urls,
                                      &s->config->n_status_urls, err)
               : rc;
}

static otr_code read_config(const otr_nginx_config_spec *spec, const otr_bytes *text,
                            otr_nginx_config **ret, otr_err *err)
{
    otr_nginx_config *config = otr_zalloc(sizeof(*config));
    if (config == NULL) {
        return otr_fail_nomem(err);
    }
    scan s = { .spec = spec, .config = config };
    s.logs = (log_scan){ .spec = spec, .config = config, .look = text == NULL };
    otr_visitor visitor = {
        .enter = enter, .leave = leave, .unseen = unseen, .visit = visit, .arg = &s
    };
    otr_err why = { 0 };
    otr_code rc = text != NULL
                      ? otr_nginx_walk_text(*text, spec->config, &visitor, &why)
                      : otr_nginx_walk(spec->root, spec->config, &visitor, &config->stats, &why);
    rc = rc == OTR_ENOMEM ? otr_fail_nomem(err) : finish(&s, rc == OTR_OK ? "" : why.msg, err);
    otr_log_scan_deinit(&s.logs);
    otr_scan_servers_deinit(&s.servers);
    if (rc != OTR_OK) {
        otr_nginx_config_free(config);
        return rc;
    }
    *ret = config;
    return OTR_OK;
}

otr_code otr_nginx_config_read(const otr_nginx_config_spec *spec, otr_nginx_config **ret,
                               otr_err *err)
{
    return read_config(spec, NULL, ret, err);
}

otr_code otr_nginx_config_text(const otr_nginx_config_spec *spec, otr_bytes text,
                               otr_nginx_config **ret, otr_err *err)
{
    return read_config(spec, &text, ret, err);
}

void otr_nginx_config_free(otr_nginx_config *config)
{
    if (config == NULL) {
        return;
    }
    for (size_t i = 0; i < config->n_status_urls; i++) {
        otr_free(config->status_urls[i]);
    }
    otr_nginx_logs_free(config->access_logs, config->n_access_logs);
    otr_remarks_deinit(&config->remarks);
    otr_config_files_deinit(&config->files);
    otr_free(config->status_urls);
    otr_free(config->pid_file);
    otr_free(config->error_log);
    otr_free(config->error);
    otr_free(config);
}
