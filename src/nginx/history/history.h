/*
 * The history of NGINX's configurations: who changed what and when, with every version.
 *
 * One SQLite database (WAL, synchronous=FULL, mode 0600) beside the agent's state. A *transaction*
 * is one attempt to change the files of one instance, whatever became of it. A *version* is a tree:
 * each path of a configuration with its mode, owner and content. Contents are blobs, named by their
 * SHA-256, compressed and kept once however often they occur. What returned OTR_OK is on disk, and
 * survives kill -9 and a power cut from then on.
 *
 * A database that is damaged, or of a newer agent, is put aside beside the new one
 * ("history.db.damaged"), which is said once through otr_history_remark(). Without space
 * on disk each call fails with OTR_EIO and changes nothing: an apply goes on without its history
 * and says so. Contents of private keys are kept (a rollback needs them) and marked `secret`, so
 * that nobody shows them.
 *
 * Texts that come in may be any bytes but NUL and are cut to the limits in base/limits.h.
 *
 * Thread: one at a time; all calls may block (disk): a worker's strand, never the loop.
 */
#ifndef OTR_NGINX_HISTORY_HISTORY_H
#define OTR_NGINX_HISTORY_HISTORY_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

#define OTR_HISTORY_ID_BYTES 65 /* of a version or a blob: 64 hex digits and a NUL */

typedef struct otr_history otr_history;

typedef enum otr_history_use {
    OTR_HISTORY_WRITES, /* one for a path: it puts aside what is damaged */
    OTR_HISTORY_AGAIN,  /* the same, for one that was opened by this process before */
    OTR_HISTORY_READS,  /* any number beside it, which do not hold it up; for reading only */
} otr_history_use;

/* Opens or creates `path`, whose folder exists. An error names the path. */
otr_code otr_history_open(const char *path, otr_history_use how, otr_history **ret, otr_err *err)
    OTR_MUST_CHECK;
void otr_history_close(otr_history *h); /* after its drafts; NULL is fine */
/* What happened to an older database when it was opened, a sentence for people, or NULL. */
const char *otr_history_remark(const otr_history *h);
/* True once SQLite has found it damaged: close it, which puts it aside, and open anew. */
bool otr_history_is_damaged(const otr_history *h);

/* ---- what is recorded ---- */

typedef enum otr_history_kind {                    /* who asked for a change */
                                OTR_HISTORY_LOCAL, /* a user of this machine, by the admin socket */
                                OTR_HISTORY_PLANE, /* a management plane */
                                OTR_HISTORY_PLUGIN,
                                OTR_HISTORY_DRIFT, /* files were changed behind our back and adopted
                                                      or reverted */
                                OTR_HISTORY_AGENT, /* the agent itself: the first look, the recovery
                                                      after a crash */
} otr_history_kind;

const char *otr_history_kind_name(otr_history_kind kind); /* "user" */

typedef struct otr_history_who {
    otr_history_kind kind;
    int64_t uid;        /* -1: not known */
    int64_t pid;        /* -1: not known */
    const char *name;   /* of the user, the plane's host or the plugin; "" or NULL: not known */
    const char *detail; /* a program's name, a correlation id; "" or NULL: none */
} otr_history_who;

typedef struct otr_history_stat {      /* of a file, before or after */
    char digest[OTR_HISTORY_ID_BYTES]; /* SHA-256 of its content; "": there is no such file */
    uint64_t bytes;
    mode_t mode; /* permission bits */
    uid_t uid;
    gid_t gid;
} otr_history_stat;

typedef struct otr_history_item {
    const char *path;   /* absolute, as the instance sees it */
    const char *action; /* "add", "update", "delete", "mode" */
    otr_history_stat before, after;
} otr_history_item;

typedef struct otr_history_step {
    const char *name; /* "stage", "test", "reload", … */
    uint64_t ns;      /* how long it took */
} otr_history_step;

/* Everything is borrowed until the call returns; NULL texts are "". */
typedef struct otr_history_entry {
    const char *id;       /* the transaction's, unique; the journal's name for it */
    const char *instance; /* id of the NGINX instance */
    const char *config;   /* path of its nginx.conf: for people */
    otr_history_who who;
    uint64_t began_ms;       /* wall clock, since 1970 */
    const char *message;     /* what the one who asked wrote */
    const char *rollback_of; /* id of the transaction that this one undoes, or a version's */
    const otr_history_item *items;
    size_t n_items;
    const char *version_before; /* of the files before it; "": not recorded */
} otr_history_entry;

typedef struct otr_history_end {
    const char *result; /* "applied", "unchanged", "denied", "invalid", "rolled-back",
                           "rollback-failed", "superseded", "failed" */
    const char *text;   /* why, for people: NGINX's words, a plugin's, a probe's */
    uint64_t took_ns;
    const otr_history_step *steps;
    size_t n_steps;
    const char *verdicts_json; /* an object: what plugins said; NULL or "": nothing */
    const char *impact_json;   /* an object: what the change means; NULL or "": not known */
    const char *version_after; /* of the files now; "": not recorded */
    bool good; /* NGINX was proven to serve `version_after`: what a rollback goes back to */
} otr_history_end;

/* A transaction begins. OTR_ESTATE: there is one of this id. */
otr_code otr_history_begin(otr_history *h, const otr_history_entry *entry, otr_err *err)
    OTR_MUST_CHECK;
/* It has ended: durable on return, so the answer may go out. Writes all of `entry` too, for a
 * beginning that could not be recorded; that the entry has ended already is OTR_ESTATE, unless it
 * ended as "rollback-failed" or "unknown": then this end takes the place of that one. */
otr_code otr_history_finish(otr_history *h, const otr_history_entry *entry,
                            const otr_history_end *end, otr_err *err) OTR_MUST_CHECK;
/* The same for an entry of which only the id is known (recovery); OTR_ENOTFOUND: there is none. */
otr_code otr_history_finish_id(otr_history *h, const char *id, const otr_history_end *end,
                               otr_err *err) OTR_MUST_CHECK;

/* ---- versions ---- */

typedef struct otr_history_file {
    const char *path; /* absolute, unique in its version */
    otr_history_stat stat;
    const char *link; /* what a symbolic link says; NULL: a regular file */
    bool secret;      /* a private key or the like: never show its content */
    bool kept;        /* its content is in the store */
} otr_history_file;

/* A version that is being put together: one at a time for each otr_history. */
typedef struct otr_history_draft otr_history_draft;

otr_code otr_history_draft_new(otr_history *h, otr_history_draft **ret, otr_err *err)
    OTR_MUST_CHECK;
/* Takes everything back that was not committed. NULL is fine. */
void otr_history_draft_free(otr_history_draft *draft);
/* Adds a file. Of `file`, `path`, `link` and mode, uid and gid of `stat` are read. The content is
 * what `fd` has from its beginning to its end (read by pread, its offset stays), digested and
 * stored as it is read. A file above OTR_LIMIT_HISTORY_FILE_BYTES has its digest recorded, not its
 * content. `ret` (Optional) receives what was recorded. */
otr_code otr_history_draft_add(otr_history_draft *draft, const otr_history_file *file, int fd,
                               otr_history_stat *ret, otr_err *err) OTR_MUST_CHECK;
/* The same with the content in memory. */
otr_code otr_history_draft_add_bytes(otr_history_draft *draft, const otr_history_file *file,
                                     otr_bytes content, otr_history_stat *ret, otr_err *err)
    OTR_MUST_CHECK;
/* The same for a file that is as it was in `version`: nothing is read. OTR_ENOTFOUND: it is not in
 * there. */
otr_code otr_history_draft_keep(otr_history_draft *draft, const char *version, const char *path,
                                otr_err *err) OTR_MUST_CHECK;
/* Makes it durable. The id is made of what is in it: the same files are the same version. Then only
 * otr_history_draft_free() may follow. */
otr_code otr_history_draft_commit(otr_history_draft *draft, const char *instance,
                                  char ret_id[OTR_HISTORY_ID_BYTES], otr_err *err) OTR_MUST_CHECK;

/* ---- reading ---- */

typedef enum otr_history_point {
    OTR_HISTORY_IN_FORCE, /* the files as they were left by the last change that we know of */
    OTR_HISTORY_GOOD,     /* the last that NGINX was proven to serve */
    OTR_HISTORY_BEFORE,   /* the one proven before that: what "rollback" alone goes back to */
} otr_history_point;

/* OTR_ENOTFOUND: there is none. */
otr_code otr_history_version_at(otr_history *h, const char *instance, otr_history_point point,
                                char ret_id[OTR_HISTORY_ID_BYTES], otr_err *err) OTR_MUST_CHECK;
/* Records that the files of `instance` are `version` now, without a transaction: the first look. */
otr_code otr_history_set_version(otr_history *h, const char *instance, const char *version,
                                 otr_history_point point, otr_err *err) OTR_MUST_CHECK;
/* What `text` means to people: "", "current", "good", "previous", a transaction's number ("12" or
 * "#12": the version after it), its id, or the first 6 and more digits of a version. OTR_ENOTFOUND;
 * OTR_EINVAL: it fits several. */
otr_code otr_history_find_version(otr_history *h, const char *instance, const char *text,
                                  char ret_id[OTR_HISTORY_ID_BYTES], otr_err *err) OTR_MUST_CHECK;

/* Each file in the order of its path, borrowed for the call; false ends it, which is no failure. */
typedef bool otr_history_file_fn(void *arg, const otr_history_file *file);
otr_code otr_history_files(otr_history *h, const char *version, otr_history_file_fn *fn, void *arg,
                           otr_err *err) OTR_MUST_CHECK;
/* One of them; `ret->path` and `ret->link` are the caller's to keep until the next call. */
otr_code otr_history_file_of(otr_history *h, const char *version, const char *path,
                             otr_history_file *ret, otr_err *err) OTR_MUST_CHECK;

/* A blob's content in parts, in order; each is checked, and the whole against its digest: when that
 * fails (OTR_EIO) parts have been handed out already. An error of `fn` ends it. OTR_ENOTFOUND: it
 * is not kept. */
typedef otr_code otr_history_part_fn(void *arg, otr_bytes part, otr_err *err);
otr_code otr_history_blob(otr_history *h, const char *digest, otr_history_part_fn *fn, void *arg,
                          otr_err *err) OTR_MUST_CHECK;
/* Appends the whole of it, or nothing. */
otr_code otr_history_blob_read(otr_history *h, const char *digest, otr_buf *out, otr_err *err)
    OTR_MUST_CHECK;

typedef struct otr_history_change {         /* of one path between two versions */
    const char *action;                     /* "add", "update", "delete", "mode" */
    const otr_history_file *before, *after; /* NULL: it is not in that one */
} otr_history_change;

typedef bool otr_history_change_fn(void *arg, const otr_history_change *change);
/* What differs from `from` to `to`, in the order of the paths. */
otr_code otr_history_diff(otr_history *h, const char *from, const char *to,
                          otr_history_change_fn *fn, void *arg, otr_err *err) OTR_MUST_CHECK;

typedef struct otr_history_row { /* borrowed for the call */
    uint64_t number;             /* 1, 2, …: what people call it by */
    otr_history_entry entry;     /* with its items only from otr_history_get() */
    otr_history_end end;         /* `result` is "" while it is under way */
    size_t n_items;
    const char *steps_json; /* [{"name":…,"ms":…}] */
} otr_history_row;

typedef struct otr_history_query {
    const char *instance; /* NULL: all */
    uint64_t before;      /* numbers below this one; 0: from the newest */
    size_t limit;         /* at most; 0: OTR_LIMIT_HISTORY_PAGE */
    bool unfinished;      /* only those that have no result */
} otr_history_query;

typedef bool otr_history_row_fn(void *arg, const otr_history_row *row);
/* The newest first. */
otr_code otr_history_list(otr_history *h, const otr_history_query *query, otr_history_row_fn *fn,
                          void *arg, otr_err *err) OTR_MUST_CHECK;
/* One by its number ("12", "#12") or id; with its items. OTR_ENOTFOUND. */
otr_code otr_history_get(otr_history *h, const char *which, otr_history_row_fn *fn, void *arg,
                         otr_err *err) OTR_MUST_CHECK;

/* ---- retention ---- */

typedef struct otr_history_bounds { /* 0: no bound */
    uint64_t age_ms;
    uint64_t transactions; /* of each instance */
    uint64_t bytes;        /* of the database file */
} otr_history_bounds;

/* Takes away the oldest transactions beyond the bounds, and the versions and contents that only
 * they had. What is in force and what is the last and last but one good version stay, as does what
 * is under way. Returns how many transactions went. */
otr_code otr_history_prune(otr_history *h, const otr_history_bounds *bounds, uint64_t now_ms,
                           uint64_t *ret_gone, otr_err *err) OTR_MUST_CHECK;
/* Bytes of the database on disk, with its log. */
uint64_t otr_history_bytes(const otr_history *h);

/* ---- secrets ---- */

/* True for what must not be shown to people: by its name (*.key, …), by a mode that only its owner
 * can read (unless it is called *.conf), or by a private key in `content` (a part may do). */
bool otr_history_is_secret(const char *path, mode_t mode, otr_bytes content);

#endif
