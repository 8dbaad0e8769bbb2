#include "nginx/instance/config.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "nginx/files.h"
#include "nginx/status/collect.h"

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
    bool own_log; /* of a server: access_log stands in it */
} block;

typedef struct format {
    char *name, *text;
} format;

typedef struct scan {
    const otr_nginx_config_spec *spec;
    otr_nginx_config *config;
    block blocks[OTR_LIMIT_NGINX_BLOCK_DEPTH + 1]; /* [0] is the main context */
    size_t depth;
    otr_status_collect *status;
    bool unlogged; /* a server has no access_log of its own */
    format *formats;
    size_t n_formats, cap_formats;
    char **log_formats; /* name of the format of each access log; NULL: combined */
    size_t cap_logs, cap_log_formats;
    bool main_log; /* an error_log stands in the main context */
    bool http, http_log;
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
    s->http_log |= b->in == IN_HTTP;
    b->own_log = true;
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

static void push(scan *s, const otr_directive *d)
{
    block b = { .in = context_of(s, d->name) };
    s->http |= b.in == IN_HTTP;
    s->blocks[++s->depth] = b;
}

static void leave(void *arg)
{
    scan *s = arg;
    const block *b = top(s);
    s->unlogged |= b->in == IN_SERVER && !b->own_log;
    s->depth--;
    otr_status_collect_leave(s->status);
}

/* ---- directives ---- */

static otr_code on_http_directive(scan *s, const otr_directive *d, otr_err *err)
{
    if (strcmp(d->name, "access_log") == 0 && d->n_args > 0) {
        return on_access_log(s, d, err);
    }
    if (strcmp(d->name, "log_format") == 0) {
        return on_log_format(s, d, err);
    }
    return OTR_OK;
}

static otr_code enter(void *arg, const otr_directive *d, otr_err *err)
{
    scan *s = arg;
    otr_code rc = otr_status_collect_enter(s->status, d, err);
    if (rc != OTR_OK || d->block) {
        if (rc == OTR_OK) {
            push(s, d);
        }
        return rc;
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
    return s->unlogged ? add_log(s, s->spec->access_log, NULL, err) : OTR_OK;
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
    otr_code rc = set_texts(s, error, err);
    if (rc == OTR_OK) {
        rc = add_default_log(s, err);
    }
    if (rc == OTR_OK) {
        rc = resolve_formats(s, err);
    }
    return rc == OTR_OK ? otr_status_collect_urls(s->status, &s->config->status_urls,
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
    otr_status_collect_free(s->status);
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
    otr_code rc = otr_status_collect_new(spec->root, &s.status, &why);
    if (rc == OTR_OK) {
        rc = text != NULL
                 ? otr_nginx_walk_text(*text, spec->config, &visitor, &why)
                 : otr_nginx_walk(spec->root, spec->config, &visitor, &config->stats, &why);
    }
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
