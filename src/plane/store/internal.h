/*
 * What the files of the store share: the database and its statements.
 *
 * store.c owns the database; write.c takes what agents say, look.c reads it.
 *
 * Thread: that of the store.
 */
#ifndef OTR_PLANE_STORE_INTERNAL_H
#define OTR_PLANE_STORE_INTERNAL_H

#include <sqlite3.h>

#include "base/limits.h"
#include "plane/store/store.h"

struct otr_plane_store {
    sqlite3 *db;
    otr_history *history;
    char *path;   /* of plane.db */
    char *remark; /* NULL: none */
    int lock_fd;
};

/* What SQLite said last, as an error. */
otr_code otr_plane_db_fail(const otr_plane_store *s, const char *what, otr_err *err);
otr_code otr_plane_db_prepare(const otr_plane_store *s, const char *sql, sqlite3_stmt **ret,
                              otr_err *err) OTR_MUST_CHECK;
/* Runs a statement without rows and finalizes it. */
otr_code otr_plane_db_run(const otr_plane_store *s, sqlite3_stmt *st, otr_err *err) OTR_MUST_CHECK;
/* Runs it and keeps it for the next bindings. */
otr_code otr_plane_db_step(const otr_plane_store *s, sqlite3_stmt *st, otr_err *err) OTR_MUST_CHECK;
otr_code otr_plane_db_begin(const otr_plane_store *s, otr_err *err) OTR_MUST_CHECK;
/* Commits when `rc` is OTR_OK, else takes back; returns what came of it. */
otr_code otr_plane_db_end(const otr_plane_store *s, otr_code rc, otr_err *err) OTR_MUST_CHECK;

/* Any bytes, cut to OTR_LIMIT_PLANE_TEXT_BYTES; NULL is "". The text outlives the statement. */
void otr_plane_bind(sqlite3_stmt *st, int i, const char *text);
const char *otr_plane_text(sqlite3_stmt *st, int i); /* never NULL; until the next step */

#endif
