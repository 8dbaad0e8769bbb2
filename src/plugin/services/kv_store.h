/*
 * Durable keys and values of plugins: one SQLite database (WAL), a namespace and a quota a plugin.
 *
 * A set is committed when the call returns and survives kill -9 of the agent at any moment. Each
 * instance of a plugin has a connection of its own, so that no lock of ours is needed: what is used
 * of the quota stands in the database and is checked in the transaction that writes. A wait for
 * another's write ends with the call.
 *
 * Thread: one at a time for each otr_kv; several otr_kv of one file on several threads are fine.
 */
#ifndef OTR_PLUGIN_SERVICES_KV_STORE_H
#define OTR_PLUGIN_SERVICES_KV_STORE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

typedef struct otr_kv otr_kv;

typedef struct otr_kv_terms { /* of the operations that follow */
    uint64_t quota_bytes;
    uint64_t until_ns;        /* monotonic; 0: each has a second to wait for others */
    const atomic_bool *ended; /* Optional: it becomes true when nobody waits any more */
} otr_kv_terms;

/* Opens or creates `path` (mode 0600). `plugin` is the namespace; keys and values together, and
 * OTR_LIMIT_KV_ROW_BYTES for each key, may hold `quota_bytes`, by all who have it open. */
otr_code otr_kv_open(const char *path, const char *plugin, uint64_t quota_bytes, otr_kv **ret,
                     otr_err *err) OTR_MUST_CHECK;
void otr_kv_close(otr_kv *kv); /* NULL is fine */
void otr_kv_on(otr_kv *kv, const otr_kv_terms *terms);

/* Appends the value. OTR_ENOTFOUND: no such key. */
otr_code otr_kv_get(otr_kv *kv, const char *key, otr_buf *out, otr_err *err) OTR_MUST_CHECK;
/* OTR_EQUOTA: the quota or OTR_LIMIT_KV_KEY_BYTES would be passed; the old value stays. */
otr_code otr_kv_set(otr_kv *kv, const char *key, otr_bytes value, otr_err *err) OTR_MUST_CHECK;
otr_code otr_kv_delete(otr_kv *kv, const char *key, bool *ret_found, otr_err *err) OTR_MUST_CHECK;
/* Calls fn for each key that begins with `prefix` and comes after `after` ("": all do), in byte
 * order, until it returns false. */
otr_code otr_kv_list(otr_kv *kv, const char *prefix, const char *after,
                     bool (*fn)(void *arg, const char *key), void *arg, otr_err *err)
    OTR_MUST_CHECK;
/* What counts against the quota. */
otr_code otr_kv_used(otr_kv *kv, uint64_t *ret, otr_err *err) OTR_MUST_CHECK;

#endif
