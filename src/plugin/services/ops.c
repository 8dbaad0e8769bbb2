/*
 * Host operations beside publish, config and log. Inputs and outputs are bytes:
 *
 *     kv.get      key → the value as it was set (JSON)        grant: kv_bytes
 *     kv.set      {"key":…,"value":<any JSON>} → nothing       grant: kv_bytes
 *     kv.put      length of the key (u32, little endian), key, value → nothing   grant: kv_bytes
 *     kv.delete   key → "true" or "false"                      grant: kv_bytes
 *     kv.list     prefix → ["key",…]                           grant: kv_bytes
 *     clock.now   nothing → {"unix_ns":…,"monotonic_ns":…}
 *     http.request  see http.h                                 grant: http
 *     metric.counter, metric.gauge, metric.histogram
 *                 {"name":…,"value":…,"labels":{…}} → nothing  grant: metrics
 *     instances.list  nothing → [{…},…], as topic nginx.instance.started has them
 *                                                              grant: instances
 *     env.get     name → the value of the agent's variable     grant: env
 *     secret.get  name → the content of its file, without the line break at the end   grant:
 * secrets random.bytes  count as text, 1 to 1024 → that many bytes
 */
#include <sodium.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "plugin/services/hostcalls.h"
#include "plugin/services/http.h"

enum { MAX_RANDOM = 1024, MAX_LISTED = 10000 };

typedef otr_code operation_fn(otr_hostcalls *hc, otr_bytes in, otr_buf *out, otr_err *err);

/* ---- kv ---- */

static otr_code open_kv(otr_hostcalls *hc, otr_err *err)
{
    if (hc->manifest->kv_bytes == 0) {
        return otr_hostcalls_deny(hc, "kv", "kv_bytes", err);
    }
    if (hc->kv != NULL) {
        return OTR_OK;
    }
    return otr_kv_open(hc->manifest->store, hc->name, hc->manifest->kv_bytes, &hc->kv, err);
}

/* `in` as a key: text without NUL in memory of its own. */
static otr_code key_of(otr_bytes in, char **ret, otr_err *err)
{
    if (in.n > OTR_LIMIT_KV_KEY_BYTES) {
        return otr_fail(err, OTR_EQUOTA, "a key has at most %d bytes", OTR_LIMIT_KV_KEY_BYTES);
    }
    if (memchr(in.n > 0 ? (const void *)in.p : "", '\0', in.n) != NULL || !otr_utf8_ok(in)) {
        return otr_fail(err, OTR_EINVAL, "a key must be UTF-8 text without NUL");
    }
    *ret = otr_strndup((const char *)in.p, in.n);
    return *ret != NULL ? OTR_OK : otr_fail_nomem(err);
}

static otr_code kv_get(otr_hostcalls *hc, otr_bytes in, otr_buf *out, otr_err *err)
{
    OTR_CLEANUP(otr_freep) char *key = NULL;
    otr_code rc = key_of(in, &key, err);
    return rc == OTR_OK ? otr_kv_get(hc->kv, key, out, err) : rc;
}

static otr_code kv_set(otr_hostcalls *hc, otr_bytes in, otr_buf *out, otr_err *err)
{
    (void)out;
    OTR_CLEANUP(otr_json_freep) otr_json *root = NULL;
    otr_code rc = otr_json_parse(in, &root, err);
    if (rc != OTR_OK) {
        return rc;
    }
    bool object = otr_json_kind(root) == OTR_JSON_OBJECT;
    const char *key = object ? otr_json_str(otr_json_get(root, "key"), NULL) : NULL;
    const otr_json *value = object ? otr_json_get(root, "value") : NULL;
    if (key == NULL || value == NULL) {
        return otr_fail(err, OTR_EINVAL, "kv.set: expected {\"key\":text,\"value\":any}");
    }
    otr_buf text;
    otr_buf_init(&text, OTR_LIMIT_JSON_BYTES);
    rc = otr_json_write(value, &text, err);
    rc = rc == OTR_OK ? otr_kv_set(hc->kv, key, otr_buf_bytes(&text), err) : rc;
    otr_buf_deinit(&text);
    return rc;
}

static otr_code kv_put(otr_hostcalls *hc, otr_bytes in, otr_buf *out, otr_err *err)
{
    (void)out;
    size_t n = in.n >= 4 ? (size_t)in.p[0] | (size_t)in.p[1] << 8 | (size_t)in.p[2] << 16 |
                               (size_t)in.p[3] << 24
                         : 0;
    if (in.n < 4 || n > in.n - 4) {
        return otr_fail(err, OTR_EINVAL,
                        "kv.put: expected the key's length, the key and the value");
    }
    OTR_CLEANUP(otr_freep) char *key = NULL;
    otr_code rc = key_of((otr_bytes){ in.p + 4, n }, &key, err);
    return rc == OTR_OK ? otr_kv_set(hc->kv, key, (otr_bytes){ in.p + 4 + n, in.n - 4 - n }, err)
                        : rc;
}

static otr_code kv_delete(otr_hostcalls *hc, otr_bytes in, otr_buf *out, otr_err *err)
{
    OTR_CLEANUP(otr_freep) char *key = NULL;
    bool found = false;
    otr_code rc = key_of(in, &key, err);
    rc = rc == OTR_OK ? otr_kv_delete(hc->kv, key, &found, err) : rc;
    return rc == OTR_OK ? otr_buf_adds(out, found ? "true" : "false", err) : rc;
}

typedef struct listing {
    otr_jw w;
    unsigned n;
} listing;

static bool list_one(void *arg, const char *key)
{
    listing *l = arg;
    otr_jw_str(&l->w, NULL, key);
    return ++l->n < MAX_LISTED;
}

static otr_code kv_list(otr_hostcalls *hc, otr_bytes in, otr_buf *out, otr_err *err)
{
    OTR_CLEANUP(otr_freep) char *prefix = NULL;
    otr_code rc = key_of(in, &prefix, err);
    if (rc != OTR_OK) {
        return rc;
    }
    listing l = { .n = 0 };
    otr_jw_begin(&l.w, out, err);
    otr_jw_arr(&l.w, NULL);
    rc = otr_kv_list(hc->kv, prefix, list_one, &l, err);
    otr_jw_arr_end(&l.w);
    otr_code wrote = otr_jw_end(&l.w);
    return rc == OTR_OK ? wrote : rc;
}

/* ---- metrics ---- */

static otr_code check_metrics(otr_hostcalls *hc, otr_err *err)
{
    return hc->manifest->metrics > 0 ? OTR_OK : otr_hostcalls_deny(hc, "metric", "metrics", err);
}

static otr_code metric_counter(otr_hostcalls *hc, otr_bytes in, otr_buf *out, otr_err *err)
{
    (void)out;
    return otr_guest_metrics_take(&hc->metrics, OTR_GUEST_COUNTER, in, hc->manifest->metrics, err);
}

static otr_code metric_gauge(otr_hostcalls *hc, otr_bytes in, otr_buf *out, otr_err *err)
{
    (void)out;
    return otr_guest_metrics_take(&hc->metrics, OTR_GUEST_GAUGE, in, hc->manifest->metrics, err);
}

static otr_code metric_histogram(otr_hostcalls *hc, otr_bytes in, otr_buf *out, otr_err *err)
{
    (void)out;
    return otr_guest_metrics_take(&hc->metrics, OTR_GUEST_HISTOGRAM, in, hc->manifest->metrics,
                                  err);
}

/* ---- clock and randomness ---- */

static otr_code clock_now(otr_hostcalls *hc, otr_bytes in, otr_buf *out, otr_err *err)
{
    (void)hc;
    (void)in;
    otr_jw w;
    otr_jw_begin(&w, out, err);
    otr_jw_obj(&w, NULL);
    otr_jw_u64(&w, "unix_ns", otr_wall_ns());
    otr_jw_u64(&w, "monotonic_ns", otr_now_ns());
    otr_jw_obj_end(&w);
    return otr_jw_end(&w);
}

static otr_code random_bytes(otr_hostcalls *hc, otr_bytes in, otr_buf *out, otr_err *err)
{
    (void)hc;
    size_t n = 0;
    for (size_t i = 0; i < in.n && n <= MAX_RANDOM; i++) {
        if (in.p[i] < '0' || in.p[i] > '9') {
            n = 0;
            break;
        }
        n = n * 10 + (size_t)(in.p[i] - '0');
    }
    if (n == 0 || n > MAX_RANDOM) {
        return otr_fail(err, OTR_EINVAL, "random.bytes: expected a count from 1 to %d as text",
                        MAX_RANDOM);
    }
    uint8_t *at;
    otr_code rc = otr_buf_reserve(out, n, &at, err);
    if (rc == OTR_OK) {
        randombytes_buf(at, n);
        otr_buf_grew(out, n);
    }
    return rc;
}

static const struct operation {
    const char *name;
    operation_fn *fn;
    otr_code (*grant)(otr_hostcalls *hc,
                      otr_err *err); /* Optional: checks and opens what it needs. */
} operations[] = {
    { "kv.get", kv_get, open_kv },
    { "kv.set", kv_set, open_kv },
    { "kv.put", kv_put, open_kv },
    { "kv.delete", kv_delete, open_kv },
    { "kv.list", kv_list, open_kv },
    { "clock.now", clock_now, NULL },
    { "metric.counter", metric_counter, check_metrics },
    { "metric.gauge", metric_gauge, check_metrics },
    { "metric.histogram", metric_histogram, check_metrics },
    { "random.bytes", random_bytes, NULL },
    { "instances.list", otr_hostcalls_instances, NULL },
    { "env.get", otr_hostcalls_env, NULL },
    { "secret.get", otr_hostcalls_secret, NULL },
    { "http.request", otr_hostcalls_http, NULL },
};

otr_code otr_hostcalls_call(void *host, const char *op, otr_bytes in, otr_buf *out, otr_err *err)
{
    otr_hostcalls *hc = host;
    for (size_t i = 0; i < OTR_COUNT(operations); i++) {
        if (strcmp(op, operations[i].name) == 0) {
            otr_code rc = operations[i].grant != NULL ? operations[i].grant(hc, err) : OTR_OK;
            return rc == OTR_OK ? operations[i].fn(hc, in, out, err) : rc;
        }
    }
    return otr_fail(err, OTR_EUNSUP, "there is no host operation \"%s\"", op);
}
