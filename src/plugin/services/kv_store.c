#include "plugin/services/kv_store.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"

enum { BUSY_MS = 1000 };

typedef enum statement { GET, SET, DELETE, LIST, SIZE_OF, STATEMENTS } statement;

static const char *const sql[STATEMENTS] = {
    [GET] = "SELECT value FROM kv WHERE plugin = ?1 AND key = ?2",
    [SET] = "INSERT INTO kv (plugin, key, value) VALUES (?1, ?2, ?3) "
            "ON CONFLICT (plugin, key) DO UPDATE SET value = excluded.value",
    [DELETE] = "DELETE FROM kv WHERE plugin = ?1 AND key = ?2",
    [LIST] = "SELECT key FROM kv WHERE plugin = ?1 AND key >= ?2 ORDER BY key",
    [SIZE_OF] =
        "SELECT length(CAST(key AS BLOB)) + length(value) FROM kv WHERE plugin = ?1 AND key = ?2",
};

struct otr_kv {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS];
    char *plugin;
    uint64_t quota_bytes, used_bytes;
};

static otr_code fail_db(otr_kv *kv, const char *what, otr_err *err)
{
    int code = sqlite3_errcode(kv->db);
    const char *why = kv->db != NULL ? sqlite3_errmsg(kv->db) : "out of memory";
    if (code == SQLITE_NOMEM) {
        return otr_fail_nomem(err);
    }
    return otr_fail(err, code == SQLITE_BUSY ? OTR_ETIMEOUT : OTR_EIO,
                    "kv store of plugin \"%s\": %s: %s", kv->plugin, what, why);
}

/* A statement with the namespace bound as ?1 and, when not NULL, `key` as ?2. */
static sqlite3_stmt *bind(otr_kv *kv, statement which, const char *key)
{
    sqlite3_stmt *st = kv->statements[which];
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    sqlite3_bind_text(st, 1, kv->plugin, -1, SQLITE_STATIC);
    if (key != NULL) {
        sqlite3_bind_text(st, 2, key, -1, SQLITE_STATIC);
    }
    return st;
}

static otr_code measure(otr_kv *kv, otr_err *err)
{
    sqlite3_stmt *st = NULL;
    static const char query[] = "SELECT coalesce(sum(length(CAST(key AS BLOB)) + length(value)), "
                                "0) FROM kv WHERE plugin = ?1";
    if (sqlite3_prepare_v2(kv->db, query, -1, &st, NULL) != SQLITE_OK) {
        return fail_db(kv, "measure", err);
    }
    sqlite3_bind_text(st, 1, kv->plugin, -1, SQLITE_STATIC);
    otr_code rc = OTR_OK;
    if (sqlite3_step(st) == SQLITE_ROW) {
        kv->used_bytes = (uint64_t)sqlite3_column_int64(st, 0);
    } else {
        rc = fail_db(kv, "measure", err);
    }
    sqlite3_finalize(st);
    return rc;
}

static otr_code prepare(otr_kv *kv, otr_err *err)
{
    static const char schema[] =
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
        "CREATE TABLE IF NOT EXISTS kv (plugin TEXT NOT NULL, key TEXT NOT NULL,"
        " value BLOB NOT NULL, PRIMARY KEY (plugin, key)) WITHOUT ROWID;";
    sqlite3_busy_timeout(kv->db, BUSY_MS);
    sqlite3_extended_result_codes(kv->db, 0);
    if (sqlite3_exec(kv->db, schema, NULL, NULL, NULL) != SQLITE_OK) {
        return fail_db(kv, "create", err);
    }
    for (int i = 0; i < STATEMENTS; i++) {
        if (sqlite3_prepare_v3(kv->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &kv->statements[i],
                               NULL) != SQLITE_OK) {
            return fail_db(kv, "prepare", err);
        }
    }
    return measure(kv, err);
}

/* SQLite makes files by the umask; ours are private from the first moment. */
static otr_code make_private(const char *path, otr_err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return otr_fail_sys(err, errno, "cannot open kv store %s", path);
    }
    close(fd);
    return OTR_OK;
}

otr_code otr_kv_open(const char *path, const char *plugin, uint64_t quota_bytes, otr_kv **ret,
                     otr_err *err)
{
    otr_code rc = make_private(path, err);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_kv *kv = otr_zalloc(sizeof(*kv));
    if (kv == NULL || (kv->plugin = otr_strdup(plugin)) == NULL) {
        otr_free(kv);
        return otr_fail_nomem(err);
    }
    kv->quota_bytes = quota_bytes;
    if (sqlite3_open_v2(path, &kv->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
        SQLITE_OK) {
        rc = fail_db(kv, path, err);
    } else {
        rc = prepare(kv, err);
    }
    if (rc != OTR_OK) {
        otr_kv_close(kv);
        return rc;
    }
    *ret = kv;
    return OTR_OK;
}

void otr_kv_close(otr_kv *kv)
{
    if (kv == NULL) {
        return;
    }
    for (int i = 0; i < STATEMENTS; i++) {
        sqlite3_finalize(kv->statements[i]);
    }
    sqlite3_close(kv->db);
    otr_free(kv->plugin);
    otr_free(kv);
}

otr_code otr_kv_get(otr_kv *kv, const char *key, otr_buf *out, otr_err *err)
{
    sqlite3_stmt *st = bind(kv, GET, key);
    otr_code rc;
    switch (sqlite3_step(st)) {
    case SQLITE_ROW: {
        const void *p = sqlite3_column_blob(st, 0);
        rc = otr_buf_add(out, (otr_bytes){ p, (size_t)sqlite3_column_bytes(st, 0) }, err);
        break;
    }
    case SQLITE_DONE:
        rc = otr_fail(err, OTR_ENOTFOUND, "no key \"%s\"", key);
        break;
    default:
        rc = fail_db(kv, "get", err);
    }
    sqlite3_reset(st);
    return rc;
}

static otr_code size_of(otr_kv *kv, const char *key, uint64_t *ret, otr_err *err)
{
    sqlite3_stmt *st = bind(kv, SIZE_OF, key);
    int step = sqlite3_step(st);
    *ret = step == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(st, 0) : 0;
    otr_code rc = step == SQLITE_ROW || step == SQLITE_DONE ? OTR_OK : fail_db(kv, "size", err);
    sqlite3_reset(st);
    return rc;
}

static otr_code check_set(otr_kv *kv, const char *key, otr_bytes value, uint64_t old, otr_err *err)
{
    size_t n = strlen(key);
    if (n == 0 || n > OTR_LIMIT_KV_KEY_BYTES) {
        return otr_fail(err, n == 0 ? OTR_EINVAL : OTR_EQUOTA,
                        "a key has 1 to %d bytes, this has %zu", OTR_LIMIT_KV_KEY_BYTES, n);
    }
    uint64_t rest = kv->used_bytes - old;
    if (value.n > kv->quota_bytes || rest + n + value.n > kv->quota_bytes) {
        return otr_fail(err, OTR_EQUOTA, "kv quota of %llu bytes: %llu are used, \"%s\" needs %llu",
                        (unsigned long long)kv->quota_bytes, (unsigned long long)kv->used_bytes,
                        key, (unsigned long long)(n + value.n));
    }
    return OTR_OK;
}

otr_code otr_kv_set(otr_kv *kv, const char *key, otr_bytes value, otr_err *err)
{
    uint64_t old = 0;
    otr_code rc = size_of(kv, key, &old, err);
    rc = rc == OTR_OK ? check_set(kv, key, value, old, err) : rc;
    if (rc != OTR_OK) {
        return rc;
    }
    sqlite3_stmt *st = bind(kv, SET, key);
    if (value.n > 0) {
        sqlite3_bind_blob64(st, 3, value.p, value.n, SQLITE_STATIC);
    } else {
        sqlite3_bind_zeroblob(st, 3, 0);
    }
    if (sqlite3_step(st) == SQLITE_DONE) {
        kv->used_bytes = kv->used_bytes - old + strlen(key) + value.n;
    } else {
        rc = fail_db(kv, "set", err);
    }
    sqlite3_reset(st);
    return rc;
}

otr_code otr_kv_delete(otr_kv *kv, const char *key, bool *ret_found, otr_err *err)
{
    uint64_t old = 0;
    otr_code rc = size_of(kv, key, &old, err);
    if (rc != OTR_OK) {
        return rc;
    }
    sqlite3_stmt *st = bind(kv, DELETE, key);
    if (sqlite3_step(st) == SQLITE_DONE) {
        *ret_found = sqlite3_changes(kv->db) > 0;
        kv->used_bytes -= old;
    } else {
        rc = fail_db(kv, "delete", err);
    }
    sqlite3_reset(st);
    return rc;
}

otr_code otr_kv_list(otr_kv *kv, const char *prefix, const char *after,
                     bool (*fn)(void *arg, const char *key), void *arg, otr_err *err)
{
    size_t n = strlen(prefix);
    sqlite3_stmt *st = bind(kv, LIST, strcmp(after, prefix) > 0 ? after : prefix);
    int step;
    while ((step = sqlite3_step(st)) == SQLITE_ROW) {
        const char *key = (const char *)sqlite3_column_text(st, 0);
        if (key != NULL && strcmp(key, after) == 0) {
            continue;
        }
        if (key == NULL || strncmp(key, prefix, n) != 0 || !fn(arg, key)) {
            break;
        }
    }
    otr_code rc = step == SQLITE_ROW || step == SQLITE_DONE ? OTR_OK : fail_db(kv, "list", err);
    sqlite3_reset(st);
    return rc;
}

uint64_t otr_kv_used_bytes(const otr_kv *kv)
{
    return kv->used_bytes;
}
