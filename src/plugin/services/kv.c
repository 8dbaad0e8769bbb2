/* kv.*: durable keys and values of the plugin, in its namespace of the store. */
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/limits.h"
#include "plugin/services/kv_store.h"
#include "plugin/services/services.h"

enum { MAX_LISTED = 10000 };

static bool granted(const otr_manifest *m)
{
    return m->kv_bytes > 0;
}

static otr_code open_kv(const otr_gate *gate, void **ret, otr_err *err)
{
    otr_kv *kv;
    otr_code rc =
        otr_kv_open(gate->manifest->store, gate->name, gate->manifest->kv_bytes, &kv, err);
    if (rc == OTR_OK) {
        *ret = kv;
    }
    return rc;
}

static void close_kv(void *own)
{
    otr_kv_close(own);
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

static otr_code kv_get(otr_gate *gate, void *own, otr_bytes in, otr_buf *out, otr_err *err)
{
    (void)gate;
    OTR_CLEANUP(otr_freep) char *key = NULL;
    otr_code rc = key_of(in, &key, err);
    return rc == OTR_OK ? otr_kv_get(own, key, out, err) : rc;
}

static otr_code kv_set(otr_gate *gate, void *own, otr_bytes in, otr_buf *out, otr_err *err)
{
    (void)gate;
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
    rc = rc == OTR_OK ? otr_kv_set(own, key, otr_buf_bytes(&text), err) : rc;
    otr_buf_deinit(&text);
    return rc;
}

static otr_code kv_put(otr_gate *gate, void *own, otr_bytes in, otr_buf *out, otr_err *err)
{
    (void)gate;
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
    return rc == OTR_OK ? otr_kv_set(own, key, (otr_bytes){ in.p + 4 + n, in.n - 4 - n }, err) : rc;
}

static otr_code kv_delete(otr_gate *gate, void *own, otr_bytes in, otr_buf *out, otr_err *err)
{
    (void)gate;
    OTR_CLEANUP(otr_freep) char *key = NULL;
    bool found = false;
    otr_code rc = key_of(in, &key, err);
    rc = rc == OTR_OK ? otr_kv_delete(own, key, &found, err) : rc;
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

static otr_code kv_list(otr_gate *gate, void *own, otr_bytes in, otr_buf *out, otr_err *err)
{
    (void)gate;
    OTR_CLEANUP(otr_freep) char *prefix = NULL;
    otr_code rc = key_of(in, &prefix, err);
    if (rc != OTR_OK) {
        return rc;
    }
    listing l = { .n = 0 };
    otr_jw_begin(&l.w, out, err);
    otr_jw_arr(&l.w, NULL);
    rc = otr_kv_list(own, prefix, list_one, &l, err);
    otr_jw_arr_end(&l.w);
    otr_code wrote = otr_jw_end(&l.w);
    return rc == OTR_OK ? wrote : rc;
}

static const otr_operation operations[] = {
    { "kv.get", kv_get },       { "kv.set", kv_set },   { "kv.put", kv_put },
    { "kv.delete", kv_delete }, { "kv.list", kv_list }, { NULL, NULL },
};

const otr_service otr_service_kv = {
    .name = "kv",
    .grant = "kv_bytes",
    .granted = granted,
    .operations = operations,
    .open = open_kv,
    .close = close_kv,
};
