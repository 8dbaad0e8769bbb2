/* kv.*: durable keys and values of the plugin, in its namespace of the store. */
#include <string.h>

#include "base/alloc.h"
#include "base/frame.h"
#include "base/json.h"
#include "base/limits.h"
#include "plugin/manifest/changes.h"
#include "plugin/services/kv_store.h"
#include "plugin/services/services.h"

enum { MAX_LISTED = 10000, PAGE_KEYS = 1000, TAIL_BYTES = 32 };

static bool granted(const otr_manifest *m)
{
    return m->kv_bytes > 0;
}

static otr_code open_kv(const otr_gate *gate, void **ret, otr_err *err)
{
    const otr_manifest *policy = otr_gate_policy(gate);
    otr_kv *kv;
    otr_code rc = otr_kv_open(policy->store, gate->name,
                              otr_least(gate->manifest->kv_bytes, policy->kv_bytes), &kv, err);
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

/* The guest's store, bound by the running call and by what is granted now. */
static otr_kv *store_of(const otr_gate *gate, void *own)
{
    otr_kv_on(own, &(otr_kv_terms){ .quota_bytes = gate->manifest->kv_bytes,
                                    .until_ns = gate->until_ns,
                                    .ended = &gate->ended });
    return own;
}

static otr_code kv_get(otr_gate *gate, void *own, otr_bytes in, otr_buf *out, otr_err *err)
{
    OTR_CLEANUP(otr_freep) char *key = NULL;
    otr_code rc = key_of(in, &key, err);
    return rc == OTR_OK ? otr_kv_get(store_of(gate, own), key, out, err) : rc;
}

static const char set_shape[] = "kv.set: expected {\"key\":text,\"value\":any}";

/* An object whose members are named with escapes. */
static otr_code set_parsed(otr_kv *kv, otr_bytes in, otr_err *err)
{
    OTR_CLEANUP(otr_json_freep) otr_json *root = NULL;
    if (in.n > OTR_LIMIT_JSON_ASKED) {
        return otr_fail(err, OTR_EINVAL, "%s, without escapes in names", set_shape);
    }
    otr_code rc = otr_json_parse(in, &root, err);
    if (rc != OTR_OK) {
        return rc;
    }
    bool object = otr_json_kind(root) == OTR_JSON_OBJECT;
    const char *key = object ? otr_json_str(otr_json_get(root, "key"), NULL) : NULL;
    const otr_json *value = object ? otr_json_get(root, "value") : NULL;
    if (key == NULL || value == NULL) {
        return otr_fail(err, OTR_EINVAL, "%s", set_shape);
    }
    otr_buf text;
    otr_buf_init(&text, OTR_LIMIT_JSON_BYTES);
    rc = otr_json_write(value, &text, err);
    rc = rc == OTR_OK ? otr_kv_set(kv, key, otr_buf_bytes(&text), err) : rc;
    otr_buf_deinit(&text);
    return rc;
}

/* The value as the guest wrote it: it may be large, so nothing is made of it but a row. */
static otr_code kv_set(otr_gate *gate, void *own, otr_bytes in, otr_buf *out, otr_err *err)
{
    (void)out;
    static const char *const names[] = { "key", "value" };
    otr_bytes found[OTR_COUNT(names)];
    otr_kv *kv = store_of(gate, own);
    if (!otr_json_members(in, names, OTR_COUNT(names), found)) {
        return set_parsed(kv, in, err);
    }
    if (found[0].n > OTR_LIMIT_JSON_ASKED) {
        return otr_fail(err, OTR_EQUOTA, "a key has at most %d bytes", OTR_LIMIT_KV_KEY_BYTES);
    }
    OTR_CLEANUP(otr_json_freep) otr_json *name = NULL;
    otr_code rc = found[0].p != NULL ? otr_json_parse(found[0], &name, err) : OTR_OK;
    if (rc != OTR_OK) {
        return rc;
    }
    const char *key = otr_json_str(name, NULL);
    if (key == NULL || found[1].p == NULL) {
        return otr_fail(err, OTR_EINVAL, "%s", set_shape);
    }
    return otr_kv_set(kv, key, found[1], err);
}

static otr_code kv_put(otr_gate *gate, void *own, otr_bytes in, otr_buf *out, otr_err *err)
{
    (void)out;
    otr_bytes name;
    if (!otr_frame_take(&in, &name)) {
        return otr_fail(err, OTR_EINVAL,
                        "kv.put: expected the key's length, the key and the value");
    }
    OTR_CLEANUP(otr_freep) char *key = NULL;
    otr_code rc = key_of(name, &key, err);
    return rc == OTR_OK ? otr_kv_set(store_of(gate, own), key, in, err) : rc;
}

static otr_code kv_delete(otr_gate *gate, void *own, otr_bytes in, otr_buf *out, otr_err *err)
{
    OTR_CLEANUP(otr_freep) char *key = NULL;
    bool found = false;
    otr_code rc = key_of(in, &key, err);
    rc = rc == OTR_OK ? otr_kv_delete(store_of(gate, own), key, &found, err) : rc;
    return rc == OTR_OK ? otr_buf_adds(out, found ? "true" : "false", err) : rc;
}

/* ---- kv.list ---- */

typedef struct listing {
    otr_jw w;
    int64_t n, most;
    bool more; /* there are keys beyond those listed */
} listing;

static bool list_one(void *arg, const char *key)
{
    listing *l = arg;
    l->more = l->n == l->most;
    if (!l->more) {
        otr_jw_str(&l->w, NULL, key);
        l->n++;
    }
    return !l->more && l->w.rc == OTR_OK;
}

/* As above, but a page ends where the answer has no room for the next key. */
static bool list_if_room(void *arg, const char *key)
{
    listing *l = arg;
    const listing before = *l;
    size_t n = l->w.out->n;
    bool on = list_one(l, key);
    if (l->w.rc == OTR_EQUOTA && before.n > 0) {
        otr_buf_cut(l->w.out, n);
        *l = before;
        l->more = true;
    }
    return on;
}

/* An object with one of the members that a prefix never had. */
static bool asks_for_page(otr_bytes in)
{
    static const char *const names[] = { "after", "limit" };
    otr_bytes found[OTR_COUNT(names)];
    return in.n > 0 && in.n <= OTR_LIMIT_JSON_ASKED && in.p[0] == '{' &&
           otr_json_members(in, names, OTR_COUNT(names), found) &&
           (found[0].p != NULL || found[1].p != NULL);
}

static bool text_or_absent(const otr_json *v)
{
    return v == NULL || otr_json_kind(v) == OTR_JSON_STRING;
}

static otr_code list_page(otr_kv *kv, otr_bytes in, otr_buf *out, otr_err *err)
{
    OTR_CLEANUP(otr_json_freep) otr_json *root = NULL;
    otr_code rc = otr_json_parse(in, &root, err);
    if (rc != OTR_OK) {
        return rc;
    }
    const otr_json *prefix = otr_json_get(root, "prefix"), *after = otr_json_get(root, "after");
    const otr_json *limit = otr_json_get(root, "limit");
    listing l = { .most = limit != NULL ? otr_json_int(limit, 0) : PAGE_KEYS };
    if (!text_or_absent(prefix) || !text_or_absent(after) || l.most < 1 || l.most > MAX_LISTED) {
        return otr_fail(
            err, OTR_EINVAL,
            "kv.list: expected a prefix, or {\"prefix\":text,\"after\":text,\"limit\":1 "
            "to %d}",
            MAX_LISTED);
    }
    size_t max_bytes = out->max_bytes;
    out->max_bytes -= max_bytes > TAIL_BYTES ? TAIL_BYTES : 0; /* for `more` */
    otr_jw_begin(&l.w, out, err);
    otr_jw_obj(&l.w, NULL);
    otr_jw_arr(&l.w, "keys");
    rc = otr_kv_list(kv, otr_json_str(prefix, ""), otr_json_str(after, ""), list_if_room, &l, err);
    out->max_bytes = max_bytes;
    otr_jw_arr_end(&l.w);
    otr_jw_bool(&l.w, "more", l.more);
    otr_jw_obj_end(&l.w);
    otr_code wrote = otr_jw_end(&l.w);
    return rc == OTR_OK ? wrote : rc;
}

static otr_code list_all(otr_kv *kv, otr_bytes in, otr_buf *out, otr_err *err)
{
    OTR_CLEANUP(otr_freep) char *prefix = NULL;
    otr_code rc = key_of(in, &prefix, err);
    if (rc != OTR_OK) {
        return rc;
    }
    listing l = { .most = MAX_LISTED };
    otr_jw_begin(&l.w, out, err);
    otr_jw_arr(&l.w, NULL);
    rc = otr_kv_list(kv, prefix, "", list_one, &l, err);
    otr_jw_arr_end(&l.w);
    otr_code wrote = otr_jw_end(&l.w);
    return rc == OTR_OK ? wrote : rc;
}

static otr_code kv_list(otr_gate *gate, void *own, otr_bytes in, otr_buf *out, otr_err *err)
{
    otr_kv *kv = store_of(gate, own);
    return asks_for_page(in) ? list_page(kv, in, out, err) : list_all(kv, in, out, err);
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
    .by_policy = true,
};
