/*
 * What the files of the history share: the database, its statements, writing and failing.
 *
 * store.c owns the database; blob.c knows contents, draft.c versions in the making, record.c
 * transactions, read.c and rows.c what is there, prune.c what may go.
 *
 * Thread: that of the otr_history.
 */
#ifndef OTR_NGINX_HISTORY_INTERNAL_H
#define OTR_NGINX_HISTORY_INTERNAL_H

#include <sqlite3.h>

#include "base/limits.h"
#include "nginx/history/history.h"

enum {
    OTR_HISTORY_PART_BYTES = 1 << 20, /* a content is kept in parts of this many */
    OTR_HISTORY_DIGEST_BYTES = 32,
};

typedef enum otr_history_st {
    OTR_HST_BEGIN,
    OTR_HST_COMMIT,
    OTR_HST_ROLLBACK,
    OTR_HST_BLOB_FIND,
    OTR_HST_BLOB_ADD,
    OTR_HST_BLOB_NAME,
    OTR_HST_BLOB_DROP,
    OTR_HST_BLOB_PARTS_DROP,
    OTR_HST_PART_ADD,
    OTR_HST_PARTS,
    OTR_HST_VERSION_ADD,
    OTR_HST_VERSION_HAS,
    OTR_HST_VERSION_PREFIX,
    OTR_HST_FILE_ADD,
    OTR_HST_FILES,
    OTR_HST_FILES_TO, /* the same, for the other side of a diff */
    OTR_HST_FILE,
    OTR_HST_TXN_ADD,
    OTR_HST_TXN_MORE,
    OTR_HST_TXN_FIND,
    OTR_HST_TXN_END,
    OTR_HST_ITEM_ADD,
    OTR_HST_ITEMS_DROP,
    OTR_HST_ITEMS,
    OTR_HST_LIST,
    OTR_HST_GET,
    OTR_HST_AFTER_OF, /* the version after a transaction */
    OTR_HST_UNDONE,   /* the version before the last change */
    OTR_HST_POINTS,
    OTR_HST_POINTS_SET,
    OTR_HST_COUNT,
} otr_history_st;

struct otr_history {
    sqlite3 *db;
    char *path;
    char *remark; /* NULL: none */
    sqlite3_stmt *st[OTR_HST_COUNT];
    bool again;               /* it need not be checked as a whole */
    bool reads;               /* another one writes to it, and puts it aside when that must be */
    bool damaged;             /* SQLite says so: put aside when it is closed */
    otr_history_draft *draft; /* NULL: none */
    /* Commits what the draft has written, so that another writer has a transaction of its own. */
    otr_code (*pause)(otr_history_draft *draft, otr_err *err);
    char *file_path, *file_link; /* of otr_history_file_of() */
};

/* ---- store.c ---- */

/* A statement, reset and without parameters; it is a bug when it is in use. */
sqlite3_stmt *otr_history_st_of(const otr_history *h, otr_history_st which);
/* What SQLite said last, as an error. */
otr_code otr_history_fail(otr_history *h, const char *what, otr_err *err);
/* Runs a statement that has no rows, and resets it. */
otr_code otr_history_run(otr_history *h, sqlite3_stmt *st, const char *what, otr_err *err)
    OTR_MUST_CHECK;
/* Begins to write, after what a draft has written so far is committed. */
otr_code otr_history_write(otr_history *h, otr_err *err) OTR_MUST_CHECK;
/* Commits when `rc` is OTR_OK, else takes back; returns what came of it. */
otr_code otr_history_written(otr_history *h, otr_code rc, otr_err *err) OTR_MUST_CHECK;

void otr_history_take_back(const otr_history *h); /* what is not committed, if anything */

/* "12", "#12": the number; 0: it is none. */
int64_t otr_history_number_of(const char *text);

/* Parameters and columns; texts are cut to `most` bytes at a character. */
void otr_history_bind_text(sqlite3_stmt *st, int i, const char *text, size_t most);
void otr_history_bind_bytes(sqlite3_stmt *st, int i, const char *text);
const char *otr_history_text_at(sqlite3_stmt *st, int i); /* never NULL */
uint64_t otr_history_u64_at(sqlite3_stmt *st, int i);     /* negative: 0 */
/* Hex of a column that has a digest; "" when it has none. */
void otr_history_digest_at(sqlite3_stmt *st, int i, char ret[OTR_HISTORY_ID_BYTES]);
/* False when `hex` is no digest; then nothing is bound. */
bool otr_history_bind_digest(sqlite3_stmt *st, int i, const char *hex);

/* ---- blob.c ---- */

typedef struct otr_history_source { /* where a content comes from */
    int fd;                         /* read by pread; -1: `bytes` */
    otr_bytes bytes;
} otr_history_source;

typedef struct otr_history_kept { /* what was recorded of it */
    int64_t blob;
    char digest[OTR_HISTORY_ID_BYTES];
    uint64_t bytes;
    bool kept, secret;
} otr_history_kept;

/* Stores a content that is not there yet. A transaction is open. */
otr_code otr_history_blob_add(otr_history *h, const otr_history_source *from, otr_history_kept *ret,
                              otr_err *err) OTR_MUST_CHECK;
/* `data` as a part says it: at most OTR_HISTORY_PART_BYTES, appended to `out`. */
otr_code otr_history_part_open(otr_bytes data, bool packed, otr_buf *out, otr_err *err)
    OTR_MUST_CHECK;

/* ---- secret.c ---- */

bool otr_history_has_key(otr_bytes content); /* a private key in text form */

#endif
