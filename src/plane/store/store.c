/* The folder with its lock and its two databases. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "plane/store/internal.h"

enum { BUSY_MS = 2000, SCHEMA = 1, MARK = 0x4f54504c }; /* "OTPL" */

static const char schema[] =
    "CREATE TABLE agent (id TEXT PRIMARY KEY, hostname BLOB, os BLOB, version BLOB, peer BLOB, "
    "subject BLOB, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE label (agent TEXT NOT NULL, name BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY "
    "(agent, name)) WITHOUT ROWID;"
    "CREATE INDEX label_value ON label (name, value);"
    "CREATE TABLE instance (agent TEXT NOT NULL, id TEXT NOT NULL, type INTEGER NOT NULL, version "
    "BLOB, config_path BLOB, health INTEGER NOT NULL DEFAULT 0, health_text BLOB, health_ms "
    "INTEGER NOT NULL DEFAULT 0, overview BLOB, overview_ms INTEGER NOT NULL DEFAULT 0, mark "
    "INTEGER NOT NULL, PRIMARY KEY (agent, id)) WITHOUT ROWID;"
    "CREATE TABLE file (agent TEXT NOT NULL, instance TEXT NOT NULL, path BLOB NOT NULL, digest "
    "TEXT, mode INTEGER NOT NULL, bytes INTEGER NOT NULL, flags INTEGER NOT NULL, PRIMARY KEY "
    "(agent, instance, path)) WITHOUT ROWID;"
    "PRAGMA application_id = 1330925644; PRAGMA user_version = 1;";

/* ---- statements ---- */

otr_code otr_plane_db_fail(const otr_plane_store *s, const char *what, otr_err *err)
{
    int code = s->db != NULL ? sqlite3_errcode(s->db) & 0xff : SQLITE_NOMEM;
    if (code == SQLITE_NOMEM) {
        return otr_fail_nomem(err);
    }
    if (code == SQLITE_FULL) {
        return otr_fail_sys(err, ENOSPC, "%s: %s", s->path, what);
    }
    int sys = sqlite3_system_errno(s->db);
    if (code == SQLITE_IOERR && sys != 0) {
        return otr_fail_sys(err, sys, "%s: %s", s->path, what);
    }
    return otr_fail(err, OTR_EIO, "%s: %s: %s", s->path, what, sqlite3_errmsg(s->db));
}

otr_code otr_plane_db_prepare(const otr_plane_store *s, const char *sql, sqlite3_stmt **ret,
                              otr_err *err)
{
    return sqlite3_prepare_v2(s->db, sql, -1, ret, NULL) == SQLITE_OK
               ? OTR_OK
               : otr_plane_db_fail(s, "prepare", err);
}

otr_code otr_plane_db_step(const otr_plane_store *s, sqlite3_stmt *st, otr_err *err)
{
    otr_code rc = sqlite3_step(st) == SQLITE_DONE ? OTR_OK : otr_plane_db_fail(s, "write", err);
    sqlite3_reset(st);
    return rc;
}

otr_code otr_plane_db_run(const otr_plane_store *s, sqlite3_stmt *st, otr_err *err)
{
    otr_code rc = otr_plane_db_step(s, st, err);
    sqlite3_finalize(st);
    return rc;
}

otr_code otr_plane_db_begin(const otr_plane_store *s, otr_err *err)
{
    return sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK
               ? OTR_OK
               : otr_plane_db_fail(s, "begin", err);
}

otr_code otr_plane_db_end(const otr_plane_store *s, otr_code rc, otr_err *err)
{
    if (rc == OTR_OK && sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) {
        rc = otr_plane_db_fail(s, "commit", err);
    }
    if (rc != OTR_OK && sqlite3_get_autocommit(s->db) == 0) {
        (void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    }
    return rc;
}

void otr_plane_bind(sqlite3_stmt *st, int i, const char *text)
{
    text = text != NULL ? text : "";
    (void)sqlite3_bind_blob64(st, i, text, strnlen(text, OTR_LIMIT_PLANE_TEXT_BYTES),
                              SQLITE_STATIC);
}

const char *otr_plane_text(sqlite3_stmt *st, int i)
{
    const char *text = (const char *)sqlite3_column_text(st, i);
    return text != NULL ? text : "";
}

/* ---- the folder ---- */

static otr_code lock_folder(otr_plane_store *s, const char *folder, otr_err *err)
{
    struct stat st;
    if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
        return otr_fail_sys(err, errno, "cannot make %s", folder);
    }
    s->lock_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->lock_fd < 0 || fstat(s->lock_fd, &st) != 0) {
        return otr_fail_sys(err, errno, "cannot open %s", folder);
    }
    if ((st.st_mode & 022) != 0 || (st.st_uid != geteuid() && st.st_uid != 0)) {
        return otr_fail(err, OTR_EDENIED,
                        "%s can be written to by other users: chmod 0700 and chown it", folder);
    }
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        return errno == EWOULDBLOCK
                   ? otr_fail(err, OTR_ESTATE, "another \"outrider plane serve\" uses %s", folder)
                   : otr_fail_sys(err, errno, "cannot lock %s", folder);
    }
    return OTR_OK;
}

static otr_code path_in(const char *folder, const char *name, char **ret, otr_err *err)
{
    otr_buf path;
    otr_buf_init(&path, OTR_LIMIT_HISTORY_PATH_BYTES);
    otr_code rc = otr_buf_addf(&path, err, "%s/%s", folder, name);
    if (rc == OTR_OK && (*ret = otr_strdup(otr_buf_text(&path))) == NULL) {
        rc = otr_fail_nomem(err);
    }
    otr_buf_deinit(&path);
    return rc;
}

/* ---- plane.db ---- */

static int64_t number(const otr_plane_store *s, const char *sql)
{
    sqlite3_stmt *st = NULL;
    int64_t n = -1;
    if (sqlite3_prepare_v2(s->db, sql, -1, &st, NULL) == SQLITE_OK &&
        sqlite3_step(st) == SQLITE_ROW) {
        n = sqlite3_column_int64(st, 0);
    }
    sqlite3_finalize(st);
    return n;
}

static bool is_sound(const otr_plane_store *s)
{
    sqlite3_stmt *st = NULL;
    bool ok = sqlite3_prepare_v2(s->db, "PRAGMA quick_check(1)", -1, &st, NULL) == SQLITE_OK &&
              sqlite3_step(st) == SQLITE_ROW && strcmp(otr_plane_text(st, 0), "ok") == 0;
    sqlite3_finalize(st);
    return ok;
}

static otr_code open_file(otr_plane_store *s, otr_err *err)
{
    enum { HOW = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW };
    if (mknod(s->path, S_IFREG | 0600, 0) != 0 && errno != EEXIST) {
        return otr_fail_sys(err, errno, "cannot make %s", s->path);
    }
    if (sqlite3_open_v2(s->path, &s->db, HOW, NULL) != SQLITE_OK) {
        return otr_plane_db_fail(s, "open", err);
    }
    (void)sqlite3_busy_timeout(s->db, BUSY_MS);
    (void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    return OTR_OK;
}

static otr_code create(const otr_plane_store *s, otr_err *err)
{
    otr_code rc = otr_plane_db_begin(s, err);
    if (rc == OTR_OK && sqlite3_exec(s->db, schema, NULL, NULL, NULL) != SQLITE_OK) {
        rc = otr_plane_db_fail(s, "create", err);
    }
    return otr_plane_db_end(s, rc, err);
}

/* `*ret_bad`: it is damaged or of somebody else, and may be replaced. */
static otr_code open_db(otr_plane_store *s, bool *ret_bad, otr_err *err)
{
    otr_code rc = open_file(s, err);
    if (rc != OTR_OK) {
        return rc;
    }
    int64_t tables = number(s, "SELECT count(*) FROM sqlite_master");
    if (tables > 0 && (number(s, "PRAGMA application_id") != MARK ||
                       number(s, "PRAGMA user_version") != SCHEMA || !is_sound(s))) {
        *ret_bad = true;
        return otr_fail(err, OTR_EIO, "%s is damaged or of another version", s->path);
    }
    *ret_bad = tables < 0 && (sqlite3_errcode(s->db) & 0xff) == SQLITE_NOTADB;
    if (tables < 0 || sqlite3_exec(s->db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;",
                                   NULL, NULL, NULL) != SQLITE_OK) {
        return otr_plane_db_fail(s, "open", err);
    }
    return tables == 0 ? create(s, err) : OTR_OK;
}

/* What agents told comes again: it is put aside and a new one begins. */
static otr_code begin_anew(otr_plane_store *s, const char *folder, otr_err *err)
{
    static const char *const ends[] = { "-wal", "-shm" };
    char *aside = NULL;
    otr_buf text;
    bool bad = false;
    sqlite3_close(s->db);
    s->db = NULL;
    otr_code rc = path_in(folder, "plane.db.damaged", &aside, err);
    if (rc == OTR_OK && rename(s->path, aside) != 0) {
        rc = otr_fail_sys(err, errno, "cannot put aside %s", s->path);
    }
    otr_buf_init(&text, OTR_LIMIT_HISTORY_PATH_BYTES + 256);
    for (size_t i = 0; rc == OTR_OK && i < OTR_COUNT(ends); i++) {
        otr_buf_clear(&text);
        rc = otr_buf_addf(&text, err, "%s%s", s->path, ends[i]);
        (void)unlink(otr_buf_text(&text));
    }
    otr_buf_clear(&text);
    rc = rc == OTR_OK ? otr_buf_addf(&text, err,
                                     "%s could not be read: it was put aside as %s; agents report "
                                     "anew when they connect",
                                     s->path, aside)
                      : rc;
    if (rc == OTR_OK && (s->remark = otr_strdup(otr_buf_text(&text))) == NULL) {
        rc = otr_fail_nomem(err);
    }
    otr_buf_deinit(&text);
    otr_free(aside);
    return rc == OTR_OK ? open_db(s, &bad, err) : rc;
}

static otr_code open_all(otr_plane_store *s, const char *folder, otr_err *err)
{
    char *history = NULL;
    bool bad = false;
    otr_code rc = lock_folder(s, folder, err);
    rc = rc == OTR_OK ? path_in(folder, "plane.db", &s->path, err) : rc;
    rc = rc == OTR_OK ? path_in(folder, "history.db", &history, err) : rc;
    if (rc == OTR_OK && (rc = open_db(s, &bad, err)) != OTR_OK && bad) {
        rc = begin_anew(s, folder, err);
    }
    rc = rc == OTR_OK ? otr_history_open(history, OTR_HISTORY_WRITES, &s->history, err) : rc;
    otr_free(history);
    return rc;
}

otr_code otr_plane_store_open(const char *folder, otr_plane_store **ret, otr_err *err)
{
    otr_plane_store *s = otr_zalloc(sizeof(*s));
    if (s == NULL) {
        return otr_fail_nomem(err);
    }
    s->lock_fd = -1;
    otr_code rc = open_all(s, folder, err);
    if (rc != OTR_OK) {
        otr_plane_store_close(s);
        return rc;
    }
    *ret = s;
    return OTR_OK;
}

void otr_plane_store_close(otr_plane_store *s)
{
    if (s == NULL) {
        return;
    }
    otr_history_close(s->history);
    sqlite3_close(s->db);
    if (s->lock_fd >= 0) {
        close(s->lock_fd);
    }
    otr_free(s->path);
    otr_free(s->remark);
    otr_free(s);
}

const char *otr_plane_store_remark(const otr_plane_store *s)
{
    return s->remark != NULL ? s->remark : otr_history_remark(s->history);
}

otr_history *otr_plane_store_history(const otr_plane_store *s)
{
    return s->history;
}
