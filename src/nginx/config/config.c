#include "nginx/config/config.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "nginx/config/access_logs.h"
#include "nginx/config/logs.h"
#include "nginx/language/context.h"
#include "nginx/status/collect.h"

typedef struct block {
    otr_context in;
    bool unseen;  /* an include in it cannot be read */
    size_t level; /* of its own access logs */
} block;

typedef struct scan {
    const otr_nginx_config_spec *spec;
    otr_nginx_config *config;
    block blocks[OTR_LIMIT_NGINX_BLOCK_DEPTH + 1]; /* [0] is the main context */
    size_t depth;
    otr_status_collect *status;
    log_scan logs;
    size_t http_level;
    bool main_log;    /* an error_log stands in the main context */
    bool main_unseen; /* something of it, or of http, cannot be read */
    bool http, http_unseen;
    bool needs_outer; /* a server has no access_log of its own */
    bool may_need;    /* one has none that was seen */
} scan;

static block *top(scan *s)
{
    return &s->blocks[s->depth];
}

static bool in_http(const scan *s)
{
    otr_context in = s->blocks[s->depth].in;
    return in != OTR_IN_MAIN && in != OTR_IN_OTHER;
}

/* ---- logs ---- */

static otr_code take_error_log(scan *s, const char *path, otr_err *err)
{
    return s->config->error_log == NULL && otr_log_is_file(path)
               ? otr_log_path(s->spec, path, &s->config->error_log, err)
               : OTR_OK;
}

/* A block ends: are its own logs used, or those around it? */
static void leave_logs(scan *s, const block *b)
{
    if (b->in == OTR_IN_HTTP) {
        s->http_level = b->level;
        s->http_unseen |= b->unseen;
        return;
    }
    otr_log_scan_mark(&s->logs, b->level);
    if (b->in == OTR_IN_SERVER && b->level == LOG_LEVEL_NONE) {
        s->needs_outer |= !b->unseen;
        s->may_need |= b->unseen;
    }
}

/* ---- blocks ---- */

static void push(scan *s, const otr_directive *d)
{
    block b = { .in = otr_context_of(top(s)->in, d->name) };
    s->http |= b.in == OTR_IN_HTTP;
    s->blocks[++s->depth] = b;
}

static void leave(void *arg)
{
    scan *s = arg;
    leave_logs(s, top(s));
    s->depth--;
    otr_status_collect_leave(s->status);
}

/* ---- directives ---- */

static otr_code on_http_directive(scan *s, const otr_directive *d, otr_err *err)
{
    if (strcmp(d->name, "access_log") == 0 && d->n_args > 0) {
        return otr_log_scan_use(&s->logs, d, &top(s)->level, err);
    }
    if (strcmp(d->name, "log_format") == 0) {
        return otr_log_scan_format(&s->logs, d, err);
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
        s->main_log |= top(s)->in == OTR_IN_MAIN;
        return take_error_log(s, d->args[0], err);
    }
    if (top(s)->in == OTR_IN_MAIN && strcmp(d->name, "pid") == 0 && d->n_args == 1 &&
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
    s->main_unseen |= top(s)->in == OTR_IN_MAIN;
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
    otr_code rc = set_texts(s, error, err);
    if (rc == OTR_OK) {
        rc = finish_logs(s, err);
    }
    return rc == OTR_OK ? otr_status_collect_urls(s->status, &s->config->status_urls,
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
    otr_code rc = otr_status_collect_new(spec->root, &s.status, &why);
    if (rc == OTR_OK) {
        rc = text != NULL
                 ? otr_nginx_walk_text(*text, spec->config, &visitor, &why)
                 : otr_nginx_walk(spec->root, spec->config, &visitor, &config->stats, &why);
    }
    rc = rc == OTR_ENOMEM ? otr_fail_nomem(err) : finish(&s, rc == OTR_OK ? "" : why.msg, err);
    otr_log_scan_deinit(&s.logs);
    otr_status_collect_free(s.status);
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
