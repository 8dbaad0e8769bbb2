#include "plugin/guest_metrics.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/escape.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/texts.h"

enum { NAME_BYTES = 64, VALUE_BYTES = 128, ESCAPED_BYTES = 4 * VALUE_BYTES + 1 };

const double otr_guest_metric_bounds[OTR_GUEST_METRIC_BUCKETS + 1] = {
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 0,
};

static void metric_free(otr_guest_metric *one)
{
    if (one == NULL) {
        return;
    }
    otr_free(one->name);
    for (size_t i = 0; i < OTR_GUEST_METRIC_LABELS; i++) {
        otr_free(one->keys[i]);
        otr_free(one->values[i]);
    }
    otr_free(one);
}

void otr_guest_metrics_deinit(otr_guest_metrics *m)
{
    for (size_t i = 0; i < m->n; i++) {
        metric_free(m->items[i]);
    }
    otr_free(m->items);
    *m = (otr_guest_metrics){ .n = 0 };
}

/* ---- reading ---- */

static bool name_ok(const char *name, const char *more)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    size_t n = strlen(name);
    if (n == 0 || n > NAME_BYTES || strchr(letters, name[0]) == NULL) {
        return false;
    }
    for (const char *p = name; *p != '\0'; p++) {
        if (strchr(letters, *p) == NULL && (*p < '0' || *p > '9') && strchr(more, *p) == NULL) {
            return false;
        }
    }
    return name[n - 1] != '.';
}

typedef struct label_walk {
    otr_guest_metric *one;
    size_t n;
    otr_code rc;
    otr_err *err;
} label_walk;

/* Escaped here, so that two values that look alike are one series. */
static bool read_value(const otr_json *v, char out[ESCAPED_BYTES])
{
    const char *text = otr_json_str(v, NULL);
    return text != NULL && strlen(text) <= VALUE_BYTES &&
           strlen(otr_escape_text(otr_bytes_of(text), out, ESCAPED_BYTES)) <= VALUE_BYTES;
}

static bool add_label(void *arg, const char *key, const otr_json *v)
{
    label_walk *w = arg;
    char value[ESCAPED_BYTES];
    if (w->n == OTR_GUEST_METRIC_LABELS || !read_value(v, value) || !name_ok(key, "_")) {
        w->rc = otr_fail(w->err, OTR_EINVAL,
                         "metric %s: a metric has at most %d labels, named by a-z, 0-9 and '_', "
                         "with texts of at most %d bytes",
                         w->one->name, OTR_GUEST_METRIC_LABELS, VALUE_BYTES);
        return false;
    }
    size_t at = w->n++;
    for (; at > 0 && strcmp(w->one->keys[at - 1], key) > 0; at--) {
        w->one->keys[at] = w->one->keys[at - 1];
        w->one->values[at] = w->one->values[at - 1];
    }
    w->one->keys[at] = otr_strdup(key);
    w->one->values[at] = otr_strdup(value);
    if (w->one->keys[at] == NULL || w->one->values[at] == NULL) {
        w->rc = otr_fail_nomem(w->err);
    }
    return w->rc == OTR_OK;
}

static otr_code read_metric(otr_guest_metric *one, const otr_json *root, otr_err *err)
{
    bool object = otr_json_kind(root) == OTR_JSON_OBJECT;
    const char *name = object ? otr_json_str(otr_json_get(root, "name"), NULL) : NULL;
    double value = object ? otr_json_num(otr_json_get(root, "value"), NAN) : NAN;
    if (name == NULL || !name_ok(name, "_.") || !isfinite(value)) {
        return otr_fail(err, OTR_EINVAL,
                        "expected {\"name\":text,\"value\":number,\"labels\":{…}}; a name is at "
                        "most %d of a-z, 0-9, '_' and '.'",
                        NAME_BYTES);
    }
    if (one->kind == OTR_GUEST_COUNTER && value < 0) {
        return otr_fail(err, OTR_EINVAL, "metric %s: a counter never falls", name);
    }
    if ((one->name = otr_strdup(name)) == NULL) {
        return otr_fail_nomem(err);
    }
    one->value = value;
    label_walk w = { .one = one, .err = err };
    const otr_json *labels = otr_json_get(root, "labels");
    if (otr_json_kind(labels) == OTR_JSON_OBJECT) {
        otr_json_each(labels, add_label, &w);
    }
    return w.rc;
}

/* ---- the table ---- */

/* The series like `one`; `*ret_fits` is false when its name is in use for something else. */
static otr_guest_metric *find(const otr_guest_metrics *m, const otr_guest_metric *one,
                              bool *ret_fits)
{
    *ret_fits = true;
    for (size_t i = 0; i < m->n; i++) {
        otr_guest_metric *have = m->items[i];
        if (strcmp(have->name, one->name) != 0) {
            continue;
        }
        if (have->kind != one->kind || !otr_texts_same(have->keys, one->keys)) {
            *ret_fits = false;
            return NULL;
        }
        if (otr_texts_same(have->values, one->values)) {
            return have;
        }
    }
    return NULL;
}

/* Finds or adds the series of `*one`, which moves into the table when it is new there. */
static otr_code place(otr_guest_metrics *m, otr_guest_metric **one, size_t max, bool *ret_new,
                      otr_guest_metric **ret, otr_err *err)
{
    bool fits = true;
    *ret_new = false;
    *ret = find(m, *one, &fits);
    if (*ret != NULL) {
        return OTR_OK;
    }
    if (!fits) {
        return otr_fail(err, OTR_EINVAL, "metric %s: used with another kind or other labels before",
                        (*one)->name);
    }
    if (m->n >= max) {
        return otr_fail(err, OTR_EQUOTA, "metric %s: there are %zu series already, all granted",
                        (*one)->name, max);
    }
    otr_guest_metric **grown = otr_realloc(m->items, (m->n + 1) * sizeof(otr_guest_metric *));
    if (grown == NULL) {
        return otr_fail_nomem(err);
    }
    m->items = grown;
    m->items[m->n++] = *ret = otr_steal(one);
    *ret_new = true;
    return OTR_OK;
}

static void count(otr_guest_metric *to, double value)
{
    size_t i = 0;
    while (i < OTR_GUEST_METRIC_BUCKETS && value > otr_guest_metric_bounds[i]) {
        i++;
    }
    to->counts[i]++;
}

otr_code otr_guest_metrics_take(otr_guest_metrics *m, otr_guest_metric_kind kind, otr_bytes json,
                                size_t max, otr_err *err)
{
    OTR_CLEANUP(otr_json_freep) otr_json *root = NULL;
    if (json.n > OTR_LIMIT_JSON_ASKED) {
        return otr_fail(err, OTR_EQUOTA, "a metric of %zu bytes; the limit is %u", json.n,
                        OTR_LIMIT_JSON_ASKED);
    }
    otr_guest_metric *one = otr_zalloc(sizeof(*one)), *at = NULL;
    bool fresh = false;
    if (one == NULL) {
        return otr_fail_nomem(err);
    }
    one->kind = kind;
    otr_code rc = otr_json_parse(json, &root, err);
    rc = rc == OTR_OK ? read_metric(one, root, err) : rc;
    double value = one->value;
    rc = rc == OTR_OK ? place(m, &one, max, &fresh, &at, err) : rc;
    if (rc == OTR_OK) {
        at->value = fresh || kind == OTR_GUEST_GAUGE ? value : at->value + value;
        if (kind == OTR_GUEST_HISTOGRAM) {
            count(at, value);
        }
        at->changed = m->changed = true;
    }
    metric_free(one);
    return rc;
}

static otr_guest_metric *copy_of(const otr_guest_metric *from)
{
    otr_guest_metric *one = otr_zalloc(sizeof(*one));
    bool ok = one != NULL && (one->name = otr_strdup(from->name)) != NULL;
    for (size_t i = 0; ok && from->keys[i] != NULL; i++) {
        one->keys[i] = otr_strdup(from->keys[i]);
        one->values[i] = otr_strdup(from->values[i]);
        ok = one->keys[i] != NULL && one->values[i] != NULL;
    }
    if (!ok) {
        metric_free(one);
        return NULL;
    }
    one->kind = from->kind;
    return one;
}

static void merge_one(otr_guest_metrics *to, otr_guest_metric *from, size_t max)
{
    bool ignored;
    otr_guest_metric *one = copy_of(from), *at = NULL;
    if (one != NULL && place(to, &one, max, &ignored, &at, NULL) == OTR_OK) {
        at->value = from->kind == OTR_GUEST_GAUGE ? from->value : at->value + from->value;
        for (size_t i = 0; i < OTR_COUNT(from->counts); i++) {
            at->counts[i] += from->counts[i];
        }
    }
    metric_free(one);
    from->value = from->kind == OTR_GUEST_GAUGE ? from->value : 0;
    memset(from->counts, 0, sizeof(from->counts));
    from->changed = false;
}

void otr_guest_metrics_merge(otr_guest_metrics *to, otr_guest_metrics *from, size_t max)
{
    for (size_t i = 0; from->changed && i < from->n; i++) {
        if (from->items[i]->changed) {
            merge_one(to, from->items[i], max);
        }
    }
    from->changed = false;
}
