#include "modules/metrics_logs.h"

#include <regex.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/log.h"

static const char exclude_key[] = "data_plane_config.nginx.exclude_logs";

enum {
    PATTERNS_MOST = 64,
    PROBLEM_NAME_BYTES = 512,
    LINES_OF_LATE = 10000,
    UNPARSED_LEAST = 3,  /* lines, and … */
    UNPARSED_SHARE = 50, /* … one in so many: then something is wrong */
};

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

bool otr_log_is_excluded(const otr_log_exclusions *e, const char *path)
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

static bool same_formats(const otr_nginx_log *a, const otr_nginx_log *b)
{
    bool equal = same(a->format, b->format) && a->n_formats == b->n_formats;
    for (size_t i = 0; equal && i < a->n_formats; i++) {
        const otr_nginx_log_format *x = &a->formats[i], *y = &b->formats[i];
        equal = same(x->text, y->text) && x->spare == y->spare && x->repeats == y->repeats;
    }
    return equal;
}

/* The place of the log that is followed already and keeps its place in the file; logs->n: none.
 * `*hint` is behind the last one that was found: the order is mostly that of before. */
static size_t find_same(const otr_instance_logs *logs, const otr_nginx_instance *was,
                        const otr_nginx_log *log, size_t *hint)
{
    for (size_t i = 0; i < logs->n; i++) {
        size_t at = (*hint + i) % logs->n;
        if (logs->items[at].log != NULL && strcmp(was->access_logs[at].path, log->path) == 0 &&
            same_formats(&was->access_logs[at], log)) {
            *hint = at + 1;
            return at;
        }
    }
    return logs->n;
}

static void open_log(const otr_instance_logs_spec *spec, const otr_nginx_instance *now,
                     const otr_nginx_log *log, otr_instance_log *item)
{
    otr_log_format formats[OTR_LIMIT_NGINX_LOG_FORMATS] = { { .text = log->format } };
    size_t n = 0;
    for (; n < log->n_formats && n < OTR_COUNT(formats); n++) {
        const otr_nginx_log_format *f = &log->formats[n];
        formats[n] = (otr_log_format){ .text = f->text,
                                       .use = f->spare ? OTR_LOG_NOT_COUNTED : OTR_LOG_COUNTED,
                                       .repeats = f->repeats };
    }
    const otr_root ours = { .path = now->root != NULL ? now->root : "", .uid = geteuid() };
    otr_err err;
    otr_code rc = log->n_formats > n
                      ? otr_fail(&err, OTR_EQUOTA, "more than %zu formats", n)
                      : otr_access_log_open(spec->all, now->reach != NULL ? now->reach : &ours,
                                            log->path, formats, n > 0 ? n : 1, &item->log, &err);
    if (rc != OTR_OK) {
        otr_log_warn("access log not followed", "instance", now->id, "file", log->path, "err",
                     err.msg);
    }
}

bool otr_instance_same_reach(const otr_nginx_instance *a, const otr_nginx_instance *b)
{
    return same(a->root, b->root) &&
           (a->reach == b->reach ||
            (a->reach != NULL && b->reach != NULL && otr_root_eq(a->reach, b->reach)));
}

otr_code otr_instance_logs_set(otr_instance_logs *logs, const otr_instance_logs_spec *spec,
                               const otr_nginx_instance *was, const otr_nginx_instance *now,
                               otr_err *err)
{
    otr_instance_log *items = otr_calloc(now->n_access_logs + 1, sizeof(*items));
    if (items == NULL) {
        return otr_fail_nomem(err);
    }
    bool keep = was != NULL && otr_instance_same_reach(was, now);
    size_t hint = 0;
    for (size_t i = 0; i < now->n_access_logs; i++) {
        const otr_nginx_log *log = &now->access_logs[i];
        if (log->refused != NULL || spec->excluded == NULL ||
            otr_log_is_excluded(spec->excluded, log->path)) {
            continue;
        }
        size_t at = keep ? find_same(logs, was, log, &hint) : logs->n;
        if (at < logs->n) {
            items[i] = logs->items[at];
            logs->items[at] = (otr_instance_log){ 0 };
        } else {
            open_log(spec, now, log, &items[i]);
        }
    }
    otr_access_times *times = otr_steal(&logs->times);
    otr_instance_logs_close(logs);
    logs->times = times != NULL ? times : otr_access_times_new();
    for (size_t i = 0; i < now->n_access_logs; i++) {
        if (items[i].log != NULL) {
            otr_access_log_tell_times(items[i].log, logs->times);
        }
    }
    logs->items = items;
    logs->n = now->n_access_logs;
    logs->problems = spec->problems;
    memcpy(logs->id, now->id, sizeof(logs->id));
    return OTR_OK;
}

static void all_is_well(const otr_instance_logs *logs, otr_instance_log *item)
{
    if (item->told != NULL) {
        otr_problem_clear(logs->problems, logs->id, item->told);
        otr_free(item->told);
        item->told = NULL;
        item->said = 0;
    }
}

void otr_instance_logs_close(otr_instance_logs *logs)
{
    for (size_t i = 0; i < logs->n; i++) {
        all_is_well(logs, &logs->items[i]);
        otr_access_log_close(logs->items[i].log);
    }
    otr_free(logs->items);
    otr_access_times_free(logs->times);
    *logs = (otr_instance_logs){ 0 };
}

bool otr_instance_logs_any(const otr_instance_logs *logs)
{
    for (size_t i = 0; i < logs->n; i++) {
        if (logs->items[i].log != NULL) {
            return true;
        }
    }
    return false;
}

bool otr_instance_logs_count(const otr_instance_logs *logs)
{
    for (size_t i = 0; i < logs->n; i++) {
        if (logs->items[i].log != NULL && otr_access_log_counts(logs->items[i].log)) {
            return true;
        }
    }
    return false;
}

unsigned otr_instance_logs_times(const otr_instance_logs *logs)
{
    unsigned known = 0;
    for (size_t i = 0; i < logs->n; i++) {
        known |= logs->items[i].log != NULL ? otr_access_log_times(logs->items[i].log) : 0;
    }
    return known;
}

void otr_instance_logs_take_times(otr_instance_logs *logs, otr_log_times *ret)
{
    if (logs->times != NULL) {
        otr_access_times_take(logs->times, ret);
    }
}

/* ---- what is wrong ---- */

/* Thousands of logs may be wrong at each sample: a text that was said is not said again. */
static uint64_t hash_of(const char *text)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (const char *p = text; *p != '\0'; p++) {
        hash = (hash ^ (uint8_t)*p) * UINT64_C(1099511628211);
    }
    return hash;
}

static void say(const otr_instance_logs *logs, otr_instance_log *item, const char *path,
                const char *text)
{
    if (item->told == NULL) {
        char name[PROBLEM_NAME_BYTES];
        (void)snprintf(name, sizeof(name), "access_log %s", path);
        item->told = otr_strdup(name);
    }
    uint64_t hash = hash_of(text);
    if (item->told != NULL && hash != item->said) { /* without memory: at the next sample */
        item->said = hash;
        bool named = strstr(text, path) != NULL;
        otr_problem_set(logs->problems, logs->id, item->told, "%s%s%s%s",
                        named ? "" : "access log ", named ? "" : path, named ? "" : " ", text);
    }
}

/* Are there more lines than a torn one now and then of which the status is not known? */
static bool has_doubtful_lines(const otr_instance_log *item)
{
    return item->unparsed >= UNPARSED_LEAST && item->unparsed * UNPARSED_SHARE >= item->lines;
}

static void tell(const otr_instance_logs *logs, otr_instance_log *item, const char *path)
{
    const char *problem = otr_access_log_problem(item->log);
    char text[256];
    if (problem[0] != '\0') {
        say(logs, item, path, problem);
    } else if (has_doubtful_lines(item)) {
        (void)snprintf(text, sizeof(text),
                       "has lines in doubt: of the last %llu %llu have no certain status, %llu do "
                       "not fit the log_format, %llu can be read in two ways",
                       (unsigned long long)item->lines, (unsigned long long)item->unparsed,
                       (unsigned long long)(item->unparsed - item->ambiguous),
                       (unsigned long long)item->ambiguous);
        say(logs, item, path, text);
    } else {
        all_is_well(logs, item);
    }
}

static void remember(otr_instance_log *item, const otr_log_counts *c)
{
    item->lines += c->lines;
    item->unparsed += c->unparsed;
    item->ambiguous += c->ambiguous;
    while (item->lines > LINES_OF_LATE) {
        item->lines /= 2;
        item->unparsed /= 2;
        item->ambiguous /= 2;
    }
}

void otr_instance_logs_take(otr_instance_logs *logs, const otr_nginx_instance *instance,
                            otr_metrics_event *event)
{
    for (size_t i = 0; i < logs->n && i < instance->n_access_logs; i++) {
        otr_instance_log *item = &logs->items[i];
        if (item->log == NULL) {
            continue;
        }
        otr_log_counts c = otr_access_log_take(item->log);
        event->log_lines += c.lines;
        event->log_unparsed += c.unparsed;
        for (size_t j = 0; j < OTR_COUNT(event->responses); j++) {
            event->responses[j] += c.responses[j];
        }
        remember(item, &c);
        tell(logs, item, instance->access_logs[i].path);
    }
}

void otr_log_descriptors_tell(const otr_access_logs *all, otr_problems *problems)
{
    static const char name[] = "access log descriptors";
    if (otr_access_logs_exhausted(all)) {
        otr_problem_set(problems, "", name,
                        "the agent is out of descriptors: some access logs are read later; raise "
                        "its limit of open files (LimitNOFILE=, ulimit -n)");
    } else {
        otr_problem_clear(problems, "", name);
    }
}
