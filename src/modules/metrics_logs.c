#include "modules/metrics_logs.h"

#include <regex.h>

#include "base/alloc.h"
#include "base/log.h"

static const char exclude_key[] = "data_plane_config.nginx.exclude_logs";

enum { PATTERNS_MOST = 64 };

struct otr_log_exclusions {
    size_t n;
    regex_t patterns[PATTERNS_MOST];
};

/* ---- exclusions ---- */

void otr_log_exclusions_free(otr_log_exclusions *exclusions)
{
    for (size_t i = 0; exclusions != NULL && i < exclusions->n; i++) {
        regfree(&exclusions->patterns[i]);
    }
    otr_free(exclusions);
}

static otr_code compile(const char *const *texts, otr_log_exclusions *e, otr_err *err)
{
    for (; texts[e->n] != NULL; e->n++) {
        if (e->n == PATTERNS_MOST) {
            return otr_fail(err, OTR_EQUOTA, "%s: more than %d patterns", exclude_key,
                            PATTERNS_MOST);
        }
        regex_t *pattern = &e->patterns[e->n];
        int rc = regcomp(pattern, texts[e->n], REG_EXTENDED | REG_NOSUB);
        if (rc != 0) {
            char why[120];
            (void)regerror(rc, pattern, why, sizeof(why));
            return otr_fail(err, OTR_EINVAL, "%s: \"%s\" is no regular expression: %s", exclude_key,
                            texts[e->n], why);
        }
    }
    return OTR_OK;
}

otr_code otr_log_exclusions_new(const otr_config *cfg, otr_log_exclusions **ret, otr_err *err)
{
    otr_log_exclusions *e = otr_zalloc(sizeof(*e));
    if (e == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = compile(otr_config_strings(cfg, exclude_key), e, err);
    if (rc != OTR_OK) {
        otr_log_exclusions_free(e);
        return rc;
    }
    *ret = e;
    return OTR_OK;
}

static bool is_excluded(const otr_log_exclusions *e, const char *path)
{
    for (size_t i = 0; i < e->n; i++) {
        if (regexec(&e->patterns[i], path, 0, NULL, 0) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- the logs of an instance ---- */

static bool same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* The log that is followed already, which keeps its place in the file; it leaves the old list. */
static otr_access_log *take_same(otr_instance_logs *logs, const otr_nginx_instance *was,
                                 const otr_nginx_instance *now, const otr_nginx_log *log)
{
    if (was == NULL || !same(was->root, now->root)) {
        return NULL;
    }
    for (size_t i = 0; i < was->n_access_logs && i < logs->n; i++) {
        if (logs->items[i] != NULL && strcmp(was->access_logs[i].path, log->path) == 0 &&
            same(was->access_logs[i].format, log->format)) {
            return otr_steal(&logs->items[i]);
        }
    }
    return NULL;
}

otr_code otr_instance_logs_set(otr_instance_logs *logs, const otr_instance_logs_spec *spec,
                               const otr_nginx_instance *was, const otr_nginx_instance *now,
                               otr_err *err)
{
    otr_access_log **items = otr_calloc(now->n_access_logs + 1, sizeof(*items));
    if (items == NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t i = 0; i < now->n_access_logs; i++) {
        const otr_nginx_log *log = &now->access_logs[i];
        otr_err why;
        if (is_excluded(spec->excluded, log->path)) {
            continue;
        }
        items[i] = take_same(logs, was, now, log);
        if (items[i] == NULL &&
            otr_access_log_open(spec->all, now->root != NULL ? now->root : "", log->path,
                                &(otr_log_format){ .text = log->format }, 1, &items[i],
                                &why) != OTR_OK) {
            otr_log_warn("access log not followed", "instance", now->id, "file", log->path, "err",
                         why.msg);
        }
    }
    otr_instance_logs_close(logs);
    logs->items = items;
    logs->n = now->n_access_logs;
    return OTR_OK;
}

void otr_instance_logs_close(otr_instance_logs *logs)
{
    for (size_t i = 0; i < logs->n; i++) {
        otr_access_log_close(logs->items[i]);
    }
    otr_free(logs->items);
    *logs = (otr_instance_logs){ 0 };
}

bool otr_instance_logs_any(const otr_instance_logs *logs)
{
    for (size_t i = 0; i < logs->n; i++) {
        if (logs->items[i] != NULL) {
            return true;
        }
    }
    return false;
}

void otr_instance_logs_take(otr_instance_logs *logs, otr_metrics_event *event)
{
    for (size_t i = 0; i < logs->n; i++) {
        if (logs->items[i] != NULL) {
            otr_log_counts c = otr_access_log_take(logs->items[i]);
            event->log_lines += c.lines;
            for (size_t j = 0; j < OTR_COUNT(event->responses); j++) {
                event->responses[j] += c.responses[j];
            }
        }
    }
}
