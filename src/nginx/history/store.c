/* The database: opening, what to do with one that cannot be used, statements, transactions. */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "nginx/history/internal.h"

enum { BUSY_MS = 2000, SCHEMA = 1, MARK = 0x4f545248, REMARK_BYTES = 1024 }; /* "OTRH" */

#define FILE_COLUMNS                                                                       \
    "f.path, b.digest, b.bytes, f.mode, f.uid, f.gid, f.link, f.secret, b.kept FROM file " \
    "f LEFT JOIN blob b ON b.id = f.blob WHERE f.version = "                               \
    "(SELECT id FROM version WHERE digest = ?1)"
#define TXN_COLUMNS                                                                  \
    "number, id, instance, config, kind, uid, pid, who, detail, began_ms, message, " \
    "rollback_of, version_before, result, text, took_ns, steps, verdicts, impact, "  \
    "version_after, good, n_items FROM txn"

static const char *const sql[OTR_HST_COUNT] = {
    [OTR_HST_BEGIN] = "BEGIN IMMEDIATE",
    [OTR_HST_COMMIT] = "COMMIT",
    [OTR_HST_ROLLBACK] = "ROLLBACK",
    [OTR_HST_BLOB_FIND] = "SELECT id, kept FROM blob WHERE digest = ?1",
    [OTR_HST_BLOB_ADD] = "INSERT INTO blob (digest, bytes, kept) VALUES (?1, ?2, ?3)",
    [OTR_HST_BLOB_NAME] = "UPDATE blob SET digest = ?2, bytes = ?3, kept = ?4 WHERE id = ?1",
    [OTR_HST_BLOB_DROP] = "DELETE FROM blob WHERE id = ?1",
    [OTR_HST_BLOB_PARTS_DROP] = "DELETE FROM part WHERE blob = ?1",
    [OTR_HST_PART_ADD] = "INSERT INTO part (blob, n, packed, data) VALUES (?1, ?2, ?3, ?4)",
    [OTR_HST_PARTS] = "SELECT p.packed, p.data, b.bytes FROM blob b LEFT JOIN part p ON p.blob = "
                      "b.id WHERE b.digest = ?1 AND b.kept ORDER BY p.n",
    [OTR_HST_VERSION_ADD] = "INSERT INTO version (digest, instance) VALUES (?1, ?2)",
    [OTR_HST_VERSION_HAS] = "SELECT id, instance FROM version WHERE digest = ?1",
    [OTR_HST_VERSION_PREFIX] = "SELECT digest FROM version WHERE instance = ?1 AND "
                               "substr(hex(digest), 1, length(?2)) = upper(?2) LIMIT 2",
    [OTR_HST_FILE_ADD] =
        "INSERT INTO file (version, path, blob, mode, uid, gid, link, secret) VALUES "
        "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [OTR_HST_FILES] = "SELECT " FILE_COLUMNS " ORDER BY f.path",
    [OTR_HST_FILES_TO] = "SELECT " FILE_COLUMNS " ORDER BY f.path",
    [OTR_HST_FILE] = "SELECT " FILE_COLUMNS " AND f.path = ?2",
    [OTR_HST_TXN_ADD] =
        "INSERT INTO txn (id, instance, config, kind, uid, pid, who, detail, began_ms, message, "
        "rollback_of, version_before, n_items) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, "
        "?11, ?12, ?13)",
    [OTR_HST_TXN_MORE] = "UPDATE txn SET n_items = max(n_items, ?2), version_before = ifnull(?3, "
                         "version_before) WHERE number = ?1",
    [OTR_HST_TXN_FIND] = "SELECT number, result, instance FROM txn WHERE id = ?1",
    [OTR_HST_TXN_END] =
        "UPDATE txn SET result = ?2, text = ?3, took_ns = ?4, steps = ?5, verdicts = "
        "?6, impact = ?7, version_after = ?8, good = ?9 WHERE number = ?1",
    [OTR_HST_ITEM_ADD] =
        "INSERT INTO item (txn, n, path, action, old, old_bytes, old_mode, old_uid, old_gid, "
        "new, new_bytes, new_mode, new_uid, new_gid) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, "
        "?10, ?11, ?12, ?13, ?14)",
    [OTR_HST_ITEMS_DROP] = "DELETE FROM item WHERE txn = ?1",
    [OTR_HST_ITEMS] =
        "SELECT path, action, old, old_bytes, old_mode, old_uid, old_gid, new, new_bytes, "
        "new_mode, new_uid, new_gid FROM item WHERE txn = ?1 ORDER BY n",
    [OTR_HST_LIST] = "SELECT " TXN_COLUMNS " WHERE (?1 IS NULL OR instance = ?1) AND number < ?2 "
                     "AND (NOT ?3 OR result IS NULL) ORDER BY number DESC LIMIT ?4",
    [OTR_HST_GET] = "SELECT " TXN_COLUMNS " WHERE id = ?1 OR number = ?2",
    [OTR_HST_AFTER_OF] = "SELECT version_after, instance, version_before FROM txn WHERE id = ?1 OR "
                         "number = ?2",
    [OTR_HST_UNDONE] = "SELECT version_before FROM txn WHERE instance = ?1 AND result = 'applied' "
                       "ORDER BY number DESC LIMIT 1",
    [OTR_HST_POINTS] = "SELECT in_force, good, before FROM instance WHERE id = ?1",
    [OTR_HST_POINTS_SET] = "INSERT INTO instance (id, in_force, good, before) VALUES (?1, ?2, ?3, "
                           "?4) ON CONFLICT (id) DO UPDATE SET in_force = excluded.in_force, good "
                           "= excluded.good, before = excluded.before",
};

static const char schema[] =
    "CREATE TABLE blob (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, bytes INTEGER NOT "
    "NULL, kept INTEGER NOT NULL);"
    "CREATE TABLE part (blob INTEGER NOT NULL, n INTEGER NOT NULL, packed INTEGER NOT NULL, data "
    "BLOB NOT NULL, PRIMARY KEY (blob, n));"
    "CREATE TABLE version (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, instance TEXT NOT "
    "NULL);"
    "CREATE TABLE file (version INTEGER NOT NULL, path BLOB NOT NULL, blob INTEGER, mode INTEGER "
    "NOT NULL, uid INTEGER NOT NULL, gid INTEGER NOT NULL, link BLOB, secret INTEGER NOT NULL, "
    "PRIMARY KEY (version, path)) WITHOUT ROWID;"
    "CREATE TABLE txn (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, instance "
    "TEXT NOT NULL, config TEXT, kind INTEGER NOT NULL, uid INTEGER, pid INTEGER, who TEXT, detail "
    "TEXT, began_ms INTEGER NOT NULL, message TEXT, rollback_of TEXT, version_before BLOB, result "
    "TEXT, text TEXT, took_ns INTEGER, steps TEXT, verdicts TEXT, impact TEXT, version_after BLOB, "
    "good INTEGER, n_items INTEGER NOT NULL);"
    "CREATE INDEX txn_instance ON txn (instance, number);"
    "CREATE TABLE item (txn INTEGER NOT NULL, n INTEGER NOT NULL, path BLOB NOT NULL, action TEXT "
    "NOT NULL, old BLOB, old_bytes INTEGER, old_mode INTEGER, old_uid INTEGER, old_gid INTEGER, "
    "new BLOB, new_bytes INTEGER, new_mode INTEGER, new_uid INTEGER, new_gid INTEGER, PRIMARY KEY "
    "(txn, n)) WITHOUT ROWID;"
    "CREATE TABLE instance (id TEXT PRIMARY KEY, in_force BLOB, good BLOB, before BLOB) WITHOUT "
    "ROWID;"
    "PRAGMA application_id = 1330926152; PRAGMA user_version = 1;";

/* ---- failing ---- */

otr_code otr_history_fail(otr_history *h, const char *what, otr_err *err)
{
    int code = h->db != NULL ? sqlite3_errcode(h->db) & 0xff : SQLITE_NOMEM;
    switch (code) {
    case SQLITE_NOMEM:
        return otr_fail_nomem(err);
    case SQLITE_FULL:
        return otr_fail_sys(err, ENOSPC, "history %s: %s", h->path, what);
    case SQLITE_BUSY:
        return otr_fail(err, OTR_ETIMEOUT, "history %s: %s: another program writes to it", h->path,
                        what);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        h->damaged = true;
        break;
    default:
        break;
    }
    int sys = sqlite3_system_errno(h->db);
    if (code == SQLITE_IOERR && sys != 0) {
        return otr_fail_sys(err, sys, "history %s: %s", h->path, what);
    }
    return otr_fail(err, OTR_EIO, "history %s: %s: %s", h->path, what, sqlite3_errmsg(h->db));
}

/* ---- statements ---- */

sqlite3_stmt *otr_history_st_of(const otr_history *h, otr_history_st which)
{
    sqlite3_stmt *st = h->st[which];
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return st;
}

otr_code otr_history_run(otr_history *h, sqlite3_stmt *st, const char *what, otr_err *err)
{
    otr_code rc = sqlite3_step(st) == SQLITE_DONE ? OTR_OK : otr_history_fail(h, what, err);
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return rc;
}

void otr_history_bind_text(sqlite3_stmt *st, int i, const char *text, size_t most)
{
    if (text == NULL || text[0] == '\0') {
        return; /* NULL */
    }
    size_t n = strnlen(text, most + 1);
    if (n > most) { /* cut before the character that does not fit */
        for (n = most; n > 0 && n + 4 > most && ((unsigned char)text[n] & 0xc0) == 0x80; n--) {
        }
    }
    sqlite3_bind_text(st, i, text, (int)n, SQLITE_TRANSIENT);
}

void otr_history_bind_bytes(sqlite3_stmt *st, int i, const char *text)
{
    sqlite3_bind_blob64(st, i, text, strlen(text), SQLITE_TRANSIENT);
}

const char *otr_history_text_at(sqlite3_stmt *st, int i)
{
    const char *text = (const char *)sqlite3_column_text(st, i);
    return text != NULL ? text : "";
}

uint64_t otr_history_u64_at(sqlite3_stmt *st, int i)
{
    int64_t n = sqlite3_column_int64(st, i);
    return n > 0 ? (uint64_t)n : 0;
}

void otr_history_digest_at(sqlite3_stmt *st, int i, char ret[OTR_HISTORY_ID_BYTES])
{
    const void *p = sqlite3_column_blob(st, i);
    ret[0] = '\0';
    if (p != NULL && sqlite3_column_bytes(st, i) == OTR_HISTORY_DIGEST_BYTES) {
        (void)sodium_bin2hex(ret, OTR_HISTORY_ID_BYTES, p, OTR_HISTORY_DIGEST_BYTES);
    }
}

bool otr_history_bind_digest(sqlite3_stmt *st, int i, const char *hex)
{
    unsigned char digest[OTR_HISTORY_DIGEST_BYTES];
    size_t n = 0;
    if (hex == NULL ||
        sodium_hex2bin(digest, sizeof(digest), hex, strlen(hex), NULL, &n, NULL) != 0 ||
        n != sizeof(digest)) {
        return false;
    }
    sqlite3_bind_blob(st, i, digest, sizeof(digest), SQLITE_TRANSIENT);
    return true;
}

int64_t otr_history_number_of(const char *text)
{
    int64_t n = 0;
    text += text[0] == '#';
    for (; *text >= '0' && *text <= '9' && n < INT64_MAX / 10 - 1; text++) {
        n = n * 10 + (*text - '0');
    }
    return *text == '\0' ? n : 0;
}

/* ---- transactions ---- */

otr_code otr_history_write(otr_history *h, otr_err *err)
{
    otr_code rc = h->draft != NULL ? h->pause(h->draft, err) : OTR_OK;
    return rc != OTR_OK ? rc
                        : otr_history_run(h, otr_history_st_of(h, OTR_HST_BEGIN), "begin", err);
}

void otr_history_take_back(const otr_history *h)
{
    if (sqlite3_get_autocommit(h->db) == 0) {
        sqlite3_stmt *st = otr_history_st_of(h, OTR_HST_ROLLBACK);
        (void)sqlite3_step(st);
        sqlite3_reset(st);
    }
}

otr_code otr_history_written(otr_history *h, otr_code rc, otr_err *err)
{
    if (rc == OTR_OK) {
        rc = otr_history_run(h, otr_history_st_of(h, OTR_HST_COMMIT), "commit", err);
    }
    if (rc != OTR_OK) {
        otr_history_take_back(h);
    }
    return rc;
}

/* ---- opening ---- */

/* SQLite makes files by the umask; ours are private from the first moment. */
static otr_code make_private(const char *path, otr_err *err)
{
    struct stat st;
    if ((mknod(path, S_IFREG | 0600, 0) != 0 && errno != EEXIST) || lstat(path, &st) != 0) {
        return otr_fail_sys(err, errno, "cannot open history %s", path);
    }
    if (!S_ISREG(st.st_mode)) {
        return otr_fail(err, OTR_EINVAL, "history %s is not a regular file", path);
    }
    return access(path, R_OK | W_OK) == 0
               ? OTR_OK
               : otr_fail_sys(err, errno, "cannot open history %s", path);
}

static bool one_number(otr_history *h, const char *text, int64_t *ret)
{
    sqlite3_stmt *st = NULL;
    bool ok = sqlite3_prepare_v2(h->db, text, -1, &st, NULL) == SQLITE_OK &&
              sqlite3_step(st) == SQLITE_ROW;
    *ret = ok ? sqlite3_column_int64(st, 0) : 0;
    sqlite3_finalize(st);
    return ok;
}

static bool says_ok(otr_history *h)
{
    sqlite3_stmt *st = NULL;
    bool ok = sqlite3_prepare_v2(h->db, "PRAGMA quick_check(1)", -1, &st, NULL) == SQLITE_OK &&
              sqlite3_step(st) == SQLITE_ROW && strcmp(otr_history_text_at(st, 0), "ok") == 0;
    sqlite3_finalize(st);
    return ok;
}

static otr_code prepare_all(otr_history *h, otr_err *err)
{
    for (int i = 0; i < OTR_HST_COUNT; i++) {
        if (sqlite3_prepare_v3(h->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &h->st[i], NULL) !=
            SQLITE_OK) {
            h->damaged = h->damaged || (sqlite3_errcode(h->db) & 0xff) == SQLITE_ERROR;
            return otr_history_fail(h, "prepare", err);
        }
    }
    return OTR_OK;
}

/* Once for a file: who comes second to the lock finds it made. */
static otr_code create(otr_history *h, otr_err *err)
{
    int64_t tables = 0;
    bool ok = sqlite3_exec(h->db,
                           "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;"
                           "BEGIN IMMEDIATE;",
                           NULL, NULL, NULL) == SQLITE_OK &&
              one_number(h, "SELECT count(*) FROM sqlite_master", &tables) &&
              (tables > 0 || sqlite3_exec(h->db, schema, NULL, NULL, NULL) == SQLITE_OK) &&
              sqlite3_exec(h->db, sql[OTR_HST_COMMIT], NULL, NULL, NULL) == SQLITE_OK;
    return ok ? OTR_OK : otr_history_fail(h, "create", err);
}

/* A file of another kind or with other tables is not ours to change. `*ret_newer` is the version of
 * one that a newer agent wrote. */
static otr_code take_up(otr_history *h, int64_t *ret_newer, otr_err *err)
{
    int64_t version = 0, mark = 0, tables = 0;
    if (!one_number(h, "PRAGMA user_version", &version) ||
        !one_number(h, "PRAGMA application_id", &mark) ||
        !one_number(h, "SELECT count(*) FROM sqlite_master", &tables)) {
        return otr_history_fail(h, "look", err);
    }
    if (tables == 0) {
        return create(h, err);
    }
    if (mark == MARK && version > SCHEMA) {
        *ret_newer = version;
        return otr_fail(err, OTR_EUNSUP, "history %s is of a newer agent", h->path);
    }
    h->damaged = mark != MARK || version != SCHEMA ||
                 (!h->reads && !h->again && otr_history_bytes(h) <= OTR_LIMIT_HISTORY_CHECK_BYTES &&
                  !says_ok(h));
    return h->damaged ? otr_fail(err, OTR_EIO, "history %s is damaged or none of ours", h->path)
                      : OTR_OK;
}

static void close_db(otr_history *h)
{
    for (int i = 0; i < OTR_HST_COUNT; i++) {
        sqlite3_finalize(h->st[i]);
        h->st[i] = NULL;
    }
    sqlite3_close(h->db);
    h->db = NULL;
}

static otr_code open_db(otr_history *h, int64_t *ret_newer, otr_err *err)
{
    otr_code rc = make_private(h->path, err);
    if (rc != OTR_OK) {
        return rc;
    }
    if (sqlite3_open_v2(h->path, &h->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
        SQLITE_OK) {
        return otr_history_fail(h, "open", err);
    }
    sqlite3_busy_timeout(h->db, BUSY_MS);
    (void)sqlite3_db_config(h->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(h->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    rc = take_up(h, ret_newer, err);
    if (rc == OTR_OK && sqlite3_exec(h->db,
                                     "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                                     "PRAGMA cache_size = -1024; PRAGMA cell_size_check = ON;"
                                     "PRAGMA journal_size_limit = 4194304;",
                                     NULL, NULL, NULL) != SQLITE_OK) {
        rc = otr_history_fail(h, "open", err);
    }
    return rc == OTR_OK ? prepare_all(h, err) : rc;
}

/* The database with its log goes to a name that says why; an older one of that name is replaced, so
 * that this cannot fill the disk. */
static otr_code put_aside(otr_history *h, const char *why, otr_err *err)
{
    static const char *const ends[] = { "-wal", "-shm", "" };
    otr_buf from, to;
    otr_buf_init(&from, OTR_LIMIT_HISTORY_PATH_BYTES);
    otr_buf_init(&to, OTR_LIMIT_HISTORY_PATH_BYTES);
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < OTR_COUNT(ends); i++) {
        otr_buf_clear(&from);
        otr_buf_clear(&to);
        rc = otr_buf_addf(&from, err, "%s%s", h->path, ends[i]);
        rc = rc == OTR_OK ? otr_buf_addf(&to, err, "%s.%s%s", h->path, why, ends[i]) : rc;
        if (rc != OTR_OK) {
            break;
        }
        (void)unlink(otr_buf_text(&to));
        if (rename(otr_buf_text(&from), otr_buf_text(&to)) != 0 && errno != ENOENT) {
            rc = otr_fail_sys(err, errno, "cannot put aside history %s", otr_buf_text(&from));
        }
    }
    otr_buf_deinit(&from);
    otr_buf_deinit(&to);
    return rc;
}

/* Begins anew; what was there is kept under another name, and said. */
static otr_code begin_anew(otr_history *h, int64_t newer, otr_err *err)
{
    char why[48];
    (void)snprintf(why, sizeof(why), newer > 0 ? "newer-%lld" : "damaged", (long long)newer);
    otr_err first = *err;
    close_db(h);
    otr_code rc = put_aside(h, why, err);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_buf text;
    otr_buf_init(&text, REMARK_BYTES);
    rc = otr_buf_addf(&text, err, "%s: it was put aside as %s.%s and a new history begins",
                      first.msg, h->path, why);
    h->remark = rc == OTR_OK ? otr_strdup(otr_buf_text(&text)) : NULL;
    otr_buf_deinit(&text);
    if (rc == OTR_OK && h->remark == NULL) {
        rc = otr_fail_nomem(err);
    }
    h->damaged = false;
    return rc == OTR_OK ? open_db(h, &newer, err) : rc;
}

otr_code otr_history_open(const char *path, otr_history_use how, otr_history **ret, otr_err *err)
{
    otr_err own = { 0 };
    otr_history *h = otr_zalloc(sizeof(*h));
    if (h == NULL || (h->path = otr_strdup(path)) == NULL) {
        otr_free(h);
        return otr_fail_nomem(err);
    }
    int64_t newer = 0;
    h->reads = how == OTR_HISTORY_READS;
    h->again = how == OTR_HISTORY_AGAIN;
    otr_code rc = open_db(h, &newer, &own);
    if (rc != OTR_OK && (h->damaged || newer > 0) && !h->reads) {
        rc = begin_anew(h, newer, &own);
    }
    if (rc != OTR_OK) {
        h->damaged = false; /* it could not even be put aside */
        otr_history_close(h);
        if (err != NULL) {
            *err = own;
        }
        return rc;
    }
    *ret = h;
    return OTR_OK;
}

void otr_history_close(otr_history *h)
{
    if (h == NULL) {
        return;
    }
    close_db(h);
    if (h->damaged && !h->reads) {
        (void)put_aside(h, "damaged", NULL);
    }
    otr_free(h->file_path);
    otr_free(h->file_link);
    otr_free(h->remark);
    otr_free(h->path);
    otr_free(h);
}

const char *otr_history_remark(const otr_history *h)
{
    return h->remark;
}

bool otr_history_is_damaged(const otr_history *h)
{
    return h->damaged;
}

uint64_t otr_history_bytes(const otr_history *h)
{
    struct stat st;
    uint64_t bytes = stat(h->path, &st) == 0 ? (uint64_t)st.st_size : 0;
    otr_buf wal;
    otr_buf_init(&wal, OTR_LIMIT_HISTORY_PATH_BYTES);
    if (otr_buf_addf(&wal, NULL, "%s-wal", h->path) == OTR_OK &&
        stat(otr_buf_text(&wal), &st) == 0) {
        bytes += (uint64_t)st.st_size;
    }
    otr_buf_deinit(&wal);
    return bytes;
}
