#include "nginx/instance/config.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "nginx/files.h"
#include "nginx/status/urls.h"

enum { LOGS_MOST = 10000, FORMATS_MOST = 1000, FORMAT_BYTES = 65536 };

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
    size_t listens; /* of a server: how many there were before it */
} block;

typedef struct format {
    char *name, *text;
} format;

typedef struct scan {
    const otr_nginx_config_spec *spec;
    otr_nginx_config *config;
    block blocks[OTR_LIMIT_NGINX_BLOCK_DEPTH + 1]; /* [0] is the main context */
    size_t depth;
    scan_servers servers;
    format *formats;
    size_t n_formats, cap_formats;
    char **log_formats; /* name of the format of each access log; NULL: combined */
    size_t cap_logs, cap_log_formats;
    bool main_log; /* an error_log stands in the main context */
    bool http, http_log;
    bool oom; /* in a callback that cannot fail */
} scan;

static bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

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

/* A path that names a file which can be read again. */
static bool is_file(const char *path)
{
    static const char *const others[] = { "syslog:", "memory:", "/dev/", "/proc/", "|" };
    for (size_t i = 0; i < OTR_COUNT(others); i++) {
        if (starts(path, others[i])) {
            return false;
        }
    }
    return path[0] != '\0' && strcmp(path, "stderr") != 0 && strcmp(path, "stdout") != 0 &&
           strcmp(path, "off") != 0 && strchr(path, '$') == NULL;
}

static otr_code absolute(const scan *s, const char *path, char **ret, otr_err *err)
{
    otr_buf text;
    otr_buf_init(&text, OTR_NGINX_PATH_BYTES);
    otr_code rc = otr_path_join(s->spec->prefix, path, &text, err);
    if (rc == OTR_OK) {
        *ret = otr_strdup(otr_buf_text(&text));
        rc = *ret != NULL ? OTR_OK : otr_fail_nomem(err);
    }
    otr_buf_deinit(&text);
    return rc;
}

static otr_code take_error_log(scan *s, const char *path, otr_err *err)
{
    return s->config->error_log == NULL && is_file(path)
               ? absolute(s, path, &s->config->error_log, err)
               : OTR_OK;
}

static otr_code add_log(scan *s, const char *path, const char *format_name, otr_err *err)
{
    otr_nginx_config *c = s->config;
    char *full = NULL, *name = NULL;
    otr_code rc = absolute(s, path, &full, err);
    for (size_t i = 0; rc == OTR_OK && i < c->n_access_logs; i++) {
        if (strcmp(c->access_logs[i].path, full) == 0) {
            otr_free(full);
            return OTR_OK; /* a file has one format: the first */
        }
    }
    if (rc == OTR_OK && c->n_access_logs < LOGS_MOST) {
        rc = otr_scan_room(&c->access_logs, c->n_access_logs, &s->cap_logs, sizeof(*c->access_logs),
                           err);
        if (rc == OTR_OK) {
            rc = otr_scan_room(&s->log_formats, c->n_access_logs, &s->cap_log_formats,
                               sizeof(*s->log_formats), err);
        }
        if (rc == OTR_OK && format_name != NULL) {
            name = otr_strdup(format_name);
            rc = name != NULL ? OTR_OK : otr_fail_nomem(err);
        }
        if (rc == OTR_OK) {
            s->log_formats[c->n_access_logs] = name;
            c->access_logs[c->n_access_logs++] = (otr_nginx_log){ .path = full };
            return OTR_OK;
        }
    }
    otr_free(full);
    return rc;
}

static otr_code on_access_log(scan *s, const otr_directive *d, otr_err *err)
{
    block *b = top(s);
    bool off = strcmp(d->args[0], "off") == 0;
    s->http_log |= b->in == IN_HTTP;
    if (b->in == IN_SERVER) {
        s->servers.items[s->servers.n - 1].own_log = true;
        s->servers.items[s->servers.n - 1].quiet |= off;
    }
    b->quiet |= off;
    if (!is_file(d->args[0])) {
        return OTR_OK;
    }
    for (size_t i = 2; i < d->n_args; i++) {
        if (starts(d->args[i], "gzip")) {
            return OTR_OK; /* compressed: not lines */
        }
    }
    return add_log(s, d->args[0], d->n_args > 1 ? d->args[1] : NULL, err);
}

static otr_code on_log_format(scan *s, const otr_directive *d, otr_err *err)
{
    if (d->n_args < 2 || s->n_formats >= FORMATS_MOST) {
        return OTR_OK;
    }
    otr_code rc =
        otr_scan_room(&s->formats, s->n_formats, &s->cap_formats, sizeof(*s->formats), err);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_buf text;
    otr_buf_init(&text, FORMAT_BYTES);
    for (size_t i = 1; rc == OTR_OK && i < d->n_args; i++) {
        rc = otr_buf_adds(&text, d->args[i], err);
        if (rc == OTR_OK && i == 1 && starts(d->args[i], "escape=")) {
            rc = otr_buf_addc(&text, ' ', err);
        }
    }
    format f = { 0 };
    if (rc == OTR_OK) {
        f.name = otr_strdup(d->args[0]);
        f.text = otr_strdup(otr_buf_text(&text));
        rc = f.name != NULL && f.text != NULL ? OTR_OK : otr_fail_nomem(err);
    }
    otr_buf_deinit(&text);
    if (rc == OTR_OK) {
        s->formats[s->n_formats++] = f;
        return OTR_OK;
    }
    otr_free(f.name);
    otr_free(f.text);
    return rc;
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
        return on_log_format(s, d, err);
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
    return in_http(s) ? on_http_directive(s, d, err) : OTR_OK;
}

/* ---- the end ---- */

/* NGINX logs to the compiled-in file what no access_log covers. */
static otr_code add_default_log(scan *s, otr_err *err)
{
    if (!s->http || s->http_log || s->spec->access_log == NULL || !is_file(s->spec->access_log)) {
        return OTR_OK;
    }
    for (size_t i = 0; i < s->servers.n; i++) {
        if (!s->servers.items[i].own_log) {
            return add_log(s, s->spec->access_log, NULL, err);
        }
    }
    return OTR_OK;
}

static otr_code resolve_formats(scan *s, otr_err *err)
{
    for (size_t i = 0; i < s->config->n_access_logs; i++) {
        const char *name = s->log_formats[i];
        for (size_t j = 0; name != NULL && j < s->n_formats; j++) {
            if (strcmp(s->formats[j].name, name) == 0) {
                s->config->access_logs[i].format = otr_strdup(s->formats[j].text);
                if (s->config->access_logs[i].format == NULL) {
                    return otr_fail_nomem(err);
                }
                break;
            }
        }
    }
    return OTR_OK;
}

static otr_code set_texts(scan *s, const char *error, otr_err *err)
{
    otr_nginx_config *c = s->config;
    if (!s->main_log && c->error_log == NULL && s->spec->error_log != NULL) {
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
        rc = add_default_log(s, err);
    }
    if (rc == OTR_OK) {
        rc = resolve_formats(s, err);
    }
    return rc == OTR_OK
               ? otr_scan_status_urls(&s->servers, s->spec->root->path, &s->config->status_urls,
                                      &s->config->n_status_urls, err)
               : rc;
}

static void deinit_scan(scan *s)
{
    for (size_t i = 0; i < s->n_formats; i++) {
        otr_free(s->formats[i].name);
        otr_free(s->formats[i].text);
    }
    for (size_t i = 0; s->config != NULL && i < s->config->n_access_logs; i++) {
        otr_free(s->log_formats[i]);
    }
    otr_free(s->formats);
    otr_free(s->log_formats);
    otr_scan_servers_deinit(&s->servers);
}

static otr_code read_config(const otr_nginx_config_spec *spec, const otr_bytes *text,
                            otr_nginx_config **ret, otr_err *err)
{
    otr_nginx_config *config = otr_zalloc(sizeof(*config));
    if (config == NULL) {
        return otr_fail_nomem(err);
    }
    scan s = { .spec = spec, .config = config };
    otr_visitor visitor = { .enter = enter, .leave = leave, .arg = &s };
    otr_err why = { 0 };
    otr_code rc = text != NULL
                      ? otr_nginx_walk_text(*text, spec->config, &visitor, &why)
                      : otr_nginx_walk(spec->root, spec->config, &visitor, &config->stats, &why);
    rc = rc == OTR_ENOMEM ? otr_fail_nomem(err) : finish(&s, rc == OTR_OK ? "" : why.msg, err);
    deinit_scan(&s);
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
    for (size_t i = 0; i < config->n_access_logs; i++) {
        otr_free(config->access_logs[i].path);
        otr_free(config->access_logs[i].format);
    }
    for (size_t i = 0; i < config->n_status_urls; i++) {
        otr_free(config->status_urls[i]);
    }
    otr_free(config->access_logs);
    otr_free(config->status_urls);
    otr_free(config->error_log);
    otr_free(config->error);
    otr_free(config);
}
