#include "plugin/services/kv_store.h"

#include <errno.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"

enum {
    BUSY_MS = 1000,   /* a wait for another's write, without a call that has an end */
    NAP_NS = 2000000, /* between two attempts to begin one */
    STEPS = 20000,    /* of SQLite between two looks at the clock */
};

typedef enum statement {
    GET,
    SET,
    DELETE,
    LIST,
    SIZE_OF,
    USE,
    BEGIN,
    COMMIT,
    ROLLBACK,
    STATEMENTS,
} statement;

#define SIZE(row) "length(CAST(" row ".key AS BLOB)) + length(" row ".value)"

static const char *const sql[STATEMENTS] = {
    [GET] = "SELECT value FROM kv WHERE plugin = ?1 AND key = ?2",
    [SET] = "INSERT INTO kv (plugin, key, value) VALUES (?1, ?2, ?3) "
            "ON CONFLICT (plugin, key) DO UPDATE SET value = excluded.value",
    [DELETE] = "DELETE FROM kv WHERE plugin = ?1 AND key = ?2",
    [LIST] = "SELECT key FROM kv WHERE plugin = ?1 AND key >= ?2 ORDER BY key",
    [SIZE_OF] = "SELECT " SIZE("kv") " FROM kv WHERE plugin = ?1 AND key = ?2",
    [USE] = "SELECT bytes, rows FROM kv_use WHERE plugin = ?1",
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
};

struct otr_kv {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS];
    char *plugin;
    otr_kv_terms terms;
    uint64_t patience_ns; /* monotonic: of an operation that nobody bounds */
};

static bool in_time(const otr_kv *kv)
{
    const otr_kv_terms *t = &kv->terms;
    return otr_now_ns() < (t->until_ns != 0 ? t->until_ns : kv->patience_ns) &&
           (t->ended == NULL || !atomic_load(t->ended));
}

static otr_code fail_db(otr_kv *kv, const char *what, otr_err *err)
{
    int code = sqlite3_errcode(kv->db);
    const char *why = kv->db != NULL ? sqlite3_errmsg(kv->db) : "out of memory";
    if (code == SQLITE_NOMEM) {
        return otr_fail_nomem(err);
    }
    return otr_fail(err, code == SQLITE_BUSY || code == SQLITE_INTERRUPT ? OTR_ETIMEOUT : OTR_EIO,
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

/* One that has neither parameters nor rows. */
static bool step(otr_kv *kv, statement which)
{
    sqlite3_stmt *st = kv->statements[which];
    bool ok = sqlite3_step(st) == SQLITE_DONE;
    sqlite3_reset(st);
    return ok;
}

/* ---- opening ---- */

/* What each plugin keeps is counted by the database itself, in the transaction that changes it: so
 * it is right for all who have it open, also for those who do not know of it. */
static const char schema[] =
    "CREATE TABLE IF NOT EXISTS kv (plugin TEXT NOT NULL, key TEXT NOT NULL,"
    " value BLOB NOT NULL, PRIMARY KEY (plugin, key)) WITHOUT ROWID;"
    "CREATE TABLE kv_use (plugin TEXT PRIMARY KEY, bytes INTEGER NOT NULL, rows INTEGER NOT NULL)"
    " WITHOUT ROWID;"
    "INSERT INTO kv_use SELECT plugin, sum(" SIZE(
        "kv") "), count(*) FROM kv GROUP BY plugin;"
              "CREATE TRIGGER kv_use_insert AFTER INSERT ON kv BEGIN"
              " INSERT OR IGNORE INTO kv_use VALUES (NEW.plugin, 0, 0);"
              " UPDATE kv_use SET bytes = bytes + " SIZE(
                  "NEW") ", rows = rows + 1"
                         " WHERE plugin = NEW.plugin; END;"
                         "CREATE TRIGGER kv_use_update AFTER UPDATE ON kv BEGIN"
                         " UPDATE kv_use SET bytes = bytes + " SIZE("NEW") " - (" SIZE(
                             "OLD") ")"
                                    " WHERE plugin = NEW.plugin; END;"
                                    "CREATE TRIGGER kv_use_delete AFTER DELETE ON kv BEGIN"
                                    " UPDATE kv_use SET bytes = bytes - (" SIZE(
                                        "OLD") "), rows = rows - 1"
                                               " WHERE plugin = OLD.plugin; END;";

static bool has_use(otr_kv *kv)
{
    sqlite3_stmt *st = NULL;
    return sqlite3_prepare_v2(kv->db, "SELECT 1 FROM kv_use", -1, &st, NULL) == SQLITE_OK &&
           sqlite3_finalize(st) == SQLITE_OK;
}

/* Once for a file. Who comes second to the lock finds it made. */
static bool make_schema(otr_kv *kv)
{
    if (has_use(kv)) {
        return true;
    }
    if (sqlite3_exec(kv->db, sql[BEGIN], NULL, NULL, NULL) != SQLITE_OK) {
        return false;
    }
    if (has_use(kv) || sqlite3_exec(kv->db, schema, NULL, NULL, NULL) == SQLITE_OK) {
        return sqlite3_exec(kv->db, sql[COMMIT], NULL, NULL, NULL) == SQLITE_OK;
    }
    return false; /* closing it takes back what was begun, and keeps the error until then */
}

static int wait_for_others(void *arg, int times)
{
    (void)times;
    const struct timespec nap = { .tv_nsec = NAP_NS };
    if (!in_time(arg)) {
        return 0;
    }
    (void)nanosleep(&nap, NULL);
    return 1;
}

static int look_at_the_clock(void *arg)
{
    return !in_time(arg);
}

static otr_code prepare(otr_kv *kv, otr_err *err)
{
    kv->patience_ns = otr_now_ns() + BUSY_MS * OTR_NS_PER_MS;
    sqlite3_busy_handler(kv->db, wait_for_others, kv);
    sqlite3_progress_handler(kv->db, STEPS, look_at_the_clock, kv);
    sqlite3_extended_result_codes(kv->db, 0);
    if (sqlite3_exec(kv->db,
                     "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                     "PRAGMA cache_size = -256;",
                     NULL, NULL, NULL) != SQLITE_OK ||
        !make_schema(kv)) {
        return fail_db(kv, "create", err);
    }
    for (int i = 0; i < STATEMENTS; i++) {
        if (sqlite3_prepare_v3(kv->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &kv->statements[i],
                               NULL) != SQLITE_OK) {
            return fail_db(kv, "prepare", err);
        }
    }
    return OTR_OK;
}

/* SQLite makes files by the umask; ours are private from the first moment. The file is not opened
 * for that: to close it would take away the locks that SQLite has on it for other instances, and
 * another process could then take itself for the last one and end their log. */
static otr_code make_private(const char *path, otr_err *err)
{
    struct stat st;
    if ((mknod(path, S_IFREG | 0600, 0) != 0 && errno != EEXIST) || lstat(path, &st) != 0) {
        return otr_fail_sys(err, errno, "cannot open kv store %s", path);
    }
    if (!S_ISREG(st.st_mode)) {
        return otr_fail(err, OTR_EINVAL, "kv store %s is not a regular file", path);
    }
    return access(path, R_OK | W_OK) == 0
               ? OTR_OK
               : otr_fail_sys(err, errno, "cannot open kv store %s", path);
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
    kv->terms.quota_bytes = quota_bytes;
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

void otr_kv_on(otr_kv *kv, const otr_kv_terms *terms)
{
    kv->terms = *terms;
}

/* An operation begins. */
static void begin(otr_kv *kv)
{
    if (kv->terms.until_ns == 0) {
        kv->patience_ns = otr_now_ns() + BUSY_MS * OTR_NS_PER_MS;
    }
}

otr_code otr_kv_get(otr_kv *kv, const char *key, otr_buf *out, otr_err *err)
{
    begin(kv);
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

/* ---- writing ---- */

static uint64_t column(sqlite3_stmt *st, int i)
{
    int64_t n = sqlite3_column_int64(st, i);
    return n > 0 ? (uint64_t)n : 0;
}

static otr_code size_of(otr_kv *kv, const char *key, uint64_t *ret, otr_err *err)
{
    sqlite3_stmt *st = bind(kv, SIZE_OF, key);
    int got = sqlite3_step(st);
    *ret = got == SQLITE_ROW ? column(st, 0) + OTR_LIMIT_KV_ROW_BYTES : 0;
    otr_code rc = got == SQLITE_ROW || got == SQLITE_DONE ? OTR_OK : fail_db(kv, "size", err);
    sqlite3_reset(st);
    return rc;
}

otr_code otr_kv_used(otr_kv *kv, uint64_t *ret, otr_err *err)
{
    sqlite3_stmt *st = bind(kv, USE, NULL);
    int got = sqlite3_step(st);
    *ret = got == SQLITE_ROW ? column(st, 0) + column(st, 1) * OTR_LIMIT_KV_ROW_BYTES : 0;
    otr_code rc = got == SQLITE_ROW || got == SQLITE_DONE ? OTR_OK : fail_db(kv, "use", err);
    sqlite3_reset(st);
    return rc;
}

static otr_code check_set(const char *key, otr_bytes value, otr_err *err)
{
    size_t n = strlen(key);
    if (n == 0 || n > OTR_LIMIT_KV_KEY_BYTES) {
        return otr_fail(err, n == 0 ? OTR_EINVAL : OTR_EQUOTA,
                        "a key has 1 to %d bytes, this has %zu", OTR_LIMIT_KV_KEY_BYTES, n);
    }
    if (value.n > OTR_LIMIT_PLUGIN_OUTPUT_BYTES) { /* nobody could read it */
        return otr_fail(err, OTR_EQUOTA, "a value has at most %u bytes, this has %zu",
                        OTR_LIMIT_PLUGIN_OUTPUT_BYTES, value.n);
    }
    return OTR_OK;
}

/* What does not grow may always be written: a quota may have become smaller than what is there. */
static otr_code check_quota(otr_kv *kv, const char *key, otr_bytes value, otr_err *err)
{
    uint64_t used = 0, old = 0, quota = kv->terms.quota_bytes;
    uint64_t needed = strlen(key) + value.n + OTR_LIMIT_KV_ROW_BYTES;
    otr_code rc = size_of(kv, key, &old, err);
    rc = rc == OTR_OK ? otr_kv_used(kv, &used, err) : rc;
    uint64_t others = used > old ? used - old : 0;
    if (rc == OTR_OK && needed > old && (needed > quota || others > quota - needed)) {
        return otr_fail(err, OTR_EQUOTA,
                        "kv quota of %llu bytes: %llu are used, \"%.64s\" needs %llu, of which %d "
                        "are for the key as such",
                        (unsigned long long)quota, (unsigned long long)used, key,
                        (unsigned long long)needed, OTR_LIMIT_KV_ROW_BYTES);
    }
    return rc;
}

static otr_code put(otr_kv *kv, const char *key, otr_bytes value, otr_err *err)
{
    sqlite3_stmt *st = bind(kv, SET, key);
    if (value.n > 0) {
        sqlite3_bind_blob64(st, 3, value.p, value.n, SQLITE_STATIC);
    } else {
        sqlite3_bind_zeroblob(st, 3, 0);
    }
    otr_code rc = sqlite3_step(st) == SQLITE_DONE ? OTR_OK : fail_db(kv, "set", err);
    sqlite3_reset(st);
    sqlite3_clear_bindings(st); /* the value is the caller's */
    return rc;
}

/* Another instance of the plugin may write at the same time: what is checked must not change before
 * it is written. */
otr_code otr_kv_set(otr_kv *kv, const char *key, otr_bytes value, otr_err *err)
{
    begin(kv);
    otr_code rc = check_set(key, value, err);
    if (rc != OTR_OK) {
        return rc;
    }
    if (!step(kv, BEGIN)) {
        return fail_db(kv, "set", err);
    }
    rc = check_quota(kv, key, value, err);
    rc = rc == OTR_OK ? put(kv, key, value, err) : rc;
    if (rc == OTR_OK && !step(kv, COMMIT)) {
        rc = fail_db(kv, "commit", err);
    }
    if (rc != OTR_OK && sqlite3_get_autocommit(kv->db) == 0) {
        (void)step(kv, ROLLBACK);
    }
    return rc;
}

otr_code otr_kv_delete(otr_kv *kv, const char *key, bool *ret_found, otr_err *err)
{
    begin(kv);
    sqlite3_stmt *st = bind(kv, DELETE, key);
    otr_code rc = OTR_OK;
    if (sqlite3_step(st) == SQLITE_DONE) {
        *ret_found = sqlite3_changes(kv->db) > 0;
    } else {
        rc = fail_db(kv, "delete", err);
    }
    sqlite3_reset(st);
    return rc;
}

otr_code otr_kv_list(otr_kv *kv, const char *prefix, const char *after,
                     bool (*fn)(void *arg, const char *key), void *arg, otr_err *err)
{
    begin(kv);
    size_t n = strlen(prefix);
    sqlite3_stmt *st = bind(kv, LIST, strcmp(after, prefix) > 0 ? after : prefix);
    int got;
    while ((got = sqlite3_step(st)) == SQLITE_ROW) {
        const char *key = (const char *)sqlite3_column_text(st, 0);
        if (key != NULL && strcmp(key, after) == 0) {
            continue;
        }
        if (key == NULL || strncmp(key, prefix, n) != 0 || !fn(arg, key)) {
            break;
        }
    }
    otr_code rc = got == SQLITE_ROW || got == SQLITE_DONE ? OTR_OK : fail_db(kv, "list", err);
    sqlite3_reset(st);
    return rc;
}
