#include "wasm/abi/wit_services.h"

#include <math.h>

#include "base/frame.h"
#include "base/json.h"
#include "base/little_endian.h"

enum { STATUS_BYTES = 2, COUNT_BYTES = 4, F64_BYTES = 8, NAME_BYTES = 4096, HEAD_BYTES = 1 << 20 };

static const struct service {
    const char *wit, *op; /* the host operation that stands behind it */
    const char *member;   /* of the answer of clock.now */
} services[] = {
    { "wit.http", "http.request", NULL },      { "wit.counter", "metric.counter", NULL },
    { "wit.gauge", "metric.gauge", NULL },     { "wit.histogram", "metric.histogram", NULL },
    { "wit.unix-ns", "clock.now", "unix_ns" }, { "wit.monotonic-ns", "clock.now", "monotonic_ns" },
};

static const struct service *find(const char *op)
{
    for (size_t i = 0; i < OTR_COUNT(services); i++) {
        if (strcmp(services[i].wit, op) == 0) {
            return &services[i];
        }
    }
    return NULL;
}

bool otr_wit_service_is(const char *op)
{
    return find(op) != NULL;
}

/* ---- fields ---- */

static otr_code take(otr_bytes *from, otr_bytes *ret, otr_err *err)
{
    return otr_frame_take(from, ret) ? OTR_OK : otr_fail(err, OTR_EINVAL, "a field is cut short");
}

/* The pairs of fields in `from` as members of a JSON object named `key`. */
static otr_code write_pairs(otr_jw *w, const char *key, otr_bytes from, otr_err *err)
{
    otr_buf name;
    otr_code rc = OTR_OK;
    otr_buf_init(&name, NAME_BYTES);
    otr_jw_obj(w, key);
    while (rc == OTR_OK && from.n > 0) {
        otr_bytes a, b;
        rc = take(&from, &a, err);
        rc = rc == OTR_OK ? take(&from, &b, err) : rc;
        if (rc == OTR_OK && a.n > 0 && memchr(a.p, '\0', a.n) != NULL) {
            rc = otr_fail(err, OTR_EINVAL, "a name has a NUL byte");
        }
        otr_buf_clear(&name);
        rc = rc == OTR_OK ? otr_buf_add(&name, a, err) : rc;
        if (rc == OTR_OK) {
            otr_jw_bytes(w, otr_buf_text(&name), b);
        }
    }
    otr_jw_obj_end(w);
    otr_buf_deinit(&name);
    return rc;
}

/* ---- http ---- */

static otr_code write_request(otr_bytes a, otr_buf *json, otr_err *err)
{
    otr_bytes method, url;
    otr_jw w;
    otr_code rc = take(&a, &method, err);
    rc = rc == OTR_OK ? take(&a, &url, err) : rc;
    if (rc != OTR_OK) {
        return rc;
    }
    otr_jw_begin(&w, json, err);
    otr_jw_obj(&w, NULL);
    otr_jw_bytes(&w, "method", method);
    otr_jw_bytes(&w, "url", url);
    rc = write_pairs(&w, "headers", a, err);
    otr_jw_obj_end(&w);
    otr_code wrote = otr_jw_end(&w);
    return rc == OTR_OK ? wrote : rc;
}

typedef struct headers {
    otr_buf *out;
    otr_code rc;
    otr_err *err;
} headers;

static bool put_header(void *arg, const char *name, const otr_json *value)
{
    headers *h = arg;
    h->rc = otr_frame_put(otr_bytes_of(name), h->out, h->err);
    h->rc = h->rc == OTR_OK ? otr_frame_put(otr_bytes_of(otr_json_str(value, "")), h->out, h->err)
                            : h->rc;
    return h->rc == OTR_OK;
}

static otr_code put_head(otr_bytes json, otr_buf *out, otr_err *err)
{
    OTR_CLEANUP(otr_json_freep) otr_json *head = NULL;
    otr_code rc = otr_json_parse(json, &head, err);
    if (rc != OTR_OK) {
        return rc;
    }
    const otr_json *all = otr_json_get(head, "headers");
    size_t n = otr_json_size(all);
    int64_t status = otr_json_int(otr_json_get(head, "status"), 0);
    uint8_t front[STATUS_BYTES + COUNT_BYTES];
    otr_le_store(front, STATUS_BYTES, (uint64_t)status);
    otr_le_store(front + STATUS_BYTES, COUNT_BYTES, n);
    headers h = { .out = out, .err = err };
    h.rc = otr_buf_add(out, (otr_bytes){ front, sizeof(front) }, err);
    if (h.rc == OTR_OK && n > 0) {
        otr_json_each(all, put_header, &h);
    }
    return h.rc;
}

static otr_code read_answer(const otr_buf *answer, otr_buf *out, otr_err *err)
{
    otr_bytes rest = otr_buf_bytes(answer), json;
    size_t before = out->n;
    otr_code rc = take(&rest, &json, err);
    rc = rc == OTR_OK ? put_head(json, out, err) : rc;
    rc = rc == OTR_OK ? otr_buf_add(out, rest, err) : rc;
    if (rc != OTR_OK) {
        otr_buf_cut(out, before);
    }
    return rc;
}

static otr_code http(otr_guest *g, const char *op, otr_bytes a, otr_bytes body, otr_buf *out,
                     otr_err *err)
{
    otr_buf json, in, answer;
    otr_buf_init(&json, HEAD_BYTES);
    otr_buf_init(&in, g->spec.max_output_bytes);
    otr_buf_init(&answer, g->spec.max_output_bytes);
    otr_code rc = write_request(a, &json, err);
    rc = rc == OTR_OK ? otr_frame_put(otr_buf_bytes(&json), &in, err) : rc;
    rc = rc == OTR_OK ? otr_buf_add(&in, body, err) : rc;
    rc = rc == OTR_OK ? g->spec.ops->call(g->spec.host, op, otr_buf_bytes(&in), &answer, err) : rc;
    rc = rc == OTR_OK ? read_answer(&answer, out, err) : rc;
    otr_buf_deinit(&json);
    otr_buf_deinit(&in);
    otr_buf_deinit(&answer);
    return rc;
}

/* ---- metrics and clock ---- */

static otr_code metric(otr_guest *g, const char *op, otr_bytes a, otr_buf *out, otr_err *err)
{
    double value = 0;
    otr_bytes name;
    if (a.n < F64_BYTES) {
        return otr_fail(err, OTR_EINVAL, "a field is cut short");
    }
    memcpy(&value, a.p, sizeof(value));
    a = (otr_bytes){ a.p + F64_BYTES, a.n - F64_BYTES };
    otr_code rc = isfinite(value) ? take(&a, &name, err)
                                  : otr_fail(err, OTR_EINVAL, "%s: not a finite number", op);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_buf json;
    otr_jw w;
    otr_buf_init(&json, HEAD_BYTES);
    otr_jw_begin(&w, &json, err);
    otr_jw_obj(&w, NULL);
    otr_jw_bytes(&w, "name", name);
    otr_jw_f64(&w, "value", value);
    rc = write_pairs(&w, "labels", a, err);
    otr_jw_obj_end(&w);
    otr_code wrote = otr_jw_end(&w);
    rc = rc == OTR_OK ? wrote : rc;
    rc = rc == OTR_OK ? g->spec.ops->call(g->spec.host, op, otr_buf_bytes(&json), out, err) : rc;
    otr_buf_deinit(&json);
    return rc;
}

static otr_code tell_time(otr_guest *g, const struct service *s, otr_buf *out, otr_err *err)
{
    OTR_CLEANUP(otr_json_freep) otr_json *both = NULL;
    otr_buf answer;
    otr_buf_init(&answer, HEAD_BYTES);
    otr_code rc = g->spec.ops->call(g->spec.host, s->op, (otr_bytes){ NULL, 0 }, &answer, err);
    rc = rc == OTR_OK ? otr_json_parse(otr_buf_bytes(&answer), &both, err) : rc;
    otr_buf_deinit(&answer);
    if (rc != OTR_OK) {
        return rc;
    }
    uint64_t ns = (uint64_t)otr_json_int(otr_json_get(both, s->member), 0);
    uint8_t bytes[sizeof(ns)];
    otr_le_store(bytes, sizeof(bytes), ns);
    return otr_buf_add(out, (otr_bytes){ bytes, sizeof(bytes) }, err);
}

otr_code otr_wit_service(otr_guest *g, const char *op, otr_bytes a, otr_bytes b, otr_buf *out,
                         otr_err *err)
{
    const struct service *s = find(op);
    const otr_host_ops *ops = g->spec.ops;
    if (ops->granted != NULL && !ops->granted(g->spec.host, s->op)) {
        return ops->call(g->spec.host, s->op, (otr_bytes){ NULL, 0 }, out, err);
    }
    if (s->member != NULL) {
        return tell_time(g, s, out, err);
    }
    return strcmp(s->op, "http.request") == 0 ? http(g, s->op, a, b, out, err)
                                              : metric(g, s->op, a, out, err);
}
