/* A version in the making: contents go to the database as they come, the list of files at the end.
 */
#include <sodium.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "nginx/history/internal.h"

enum { TURN_BYTES = 16 << 20 }; /* of contents in one transaction: bounds the log */

typedef struct entry {
    char *path, *link;
    int64_t blob; /* 0: a link */
    char digest[OTR_HISTORY_ID_BYTES];
    mode_t mode;
    uid_t uid;
    gid_t gid;
    bool secret;
} entry;

struct otr_history_draft {
    otr_history *h;
    entry *entries;
    size_t n, cap;
    bool writing;   /* a transaction is open */
    bool broken;    /* something could not be added */
    uint64_t bytes; /* in this transaction */
};

static otr_code fail_state(const otr_history_draft *d, otr_err *err)
{
    return otr_fail(err, OTR_ESTATE, "history %s: a file of this version could not be added",
                    d->h->path);
}

/* ---- its transaction ---- */

static otr_code pause_it(otr_history_draft *d, otr_err *err)
{
    if (!d->writing) {
        return OTR_OK;
    }
    d->writing = false;
    otr_code rc = otr_history_written(d->h, OTR_OK, err);
    d->broken = d->broken || rc != OTR_OK;
    return rc;
}

otr_code otr_history_draft_new(otr_history *h, otr_history_draft **ret, otr_err *err)
{
    if (h->draft != NULL) {
        return otr_fail(err, OTR_ESTATE, "history %s: a version is being recorded", h->path);
    }
    otr_history_draft *d = otr_zalloc(sizeof(*d));
    if (d == NULL) {
        return otr_fail_nomem(err);
    }
    d->h = h;
    h->draft = d;
    h->pause = pause_it;
    *ret = d;
    return OTR_OK;
}

void otr_history_draft_free(otr_history_draft *d)
{
    if (d == NULL) {
        return;
    }
    if (d->writing) {
        otr_history_take_back(d->h);
    }
    d->h->draft = NULL;
    for (size_t i = 0; i < d->n; i++) {
        otr_free(d->entries[i].path);
        otr_free(d->entries[i].link);
    }
    otr_free(d->entries);
    otr_free(d);
}

static otr_code go_on(otr_history_draft *d, otr_err *err)
{
    if (d->broken) {
        return fail_state(d, err);
    }
    if (d->writing && d->bytes >= TURN_BYTES) {
        otr_code rc = pause_it(d, err);
        if (rc != OTR_OK) {
            return rc;
        }
    }
    if (!d->writing) {
        otr_code rc = otr_history_run(d->h, otr_history_st_of(d->h, OTR_HST_BEGIN), "begin", err);
        if (rc != OTR_OK) {
            return rc;
        }
        d->writing = true;
        d->bytes = 0;
    }
    return OTR_OK;
}

/* After a failure inside a transaction nothing of it may stay: contents that half are there would
 * count as whole. */
static otr_code give_up(otr_history_draft *d, otr_code rc)
{
    d->broken = true;
    if (d->writing) {
        d->writing = false;
        rc = otr_history_written(d->h, rc, NULL);
    }
    return rc;
}

/* ---- files ---- */

static otr_code check_path(const otr_history_draft *d, const otr_history_file *file, otr_err *err)
{
    size_t n = strlen(file->path), m = file->link != NULL ? strlen(file->link) : 0;
    if (file->path[0] != '/' || n > OTR_LIMIT_HISTORY_PATH_BYTES ||
        m > OTR_LIMIT_HISTORY_PATH_BYTES) {
        return otr_fail(err, OTR_EINVAL, "%.200s: no absolute path of at most %d bytes", file->path,
                        OTR_LIMIT_HISTORY_PATH_BYTES);
    }
    if (d->n >= OTR_LIMIT_HISTORY_FILES) {
        return otr_fail(err, OTR_EQUOTA, "a version has at most %d files", OTR_LIMIT_HISTORY_FILES);
    }
    return OTR_OK;
}

static otr_code add_entry(otr_history_draft *d, const otr_history_file *file,
                          const otr_history_kept *kept, otr_err *err)
{
    otr_code rc = otr_grow(&d->entries, d->n, &d->cap, sizeof(*d->entries), err);
    if (rc != OTR_OK) {
        return rc;
    }
    entry *e = &d->entries[d->n];
    *e = (entry){ .path = otr_strdup(file->path),
                  .link = file->link != NULL ? otr_strdup(file->link) : NULL,
                  .blob = kept->blob,
                  .mode = file->stat.mode & 07777,
                  .uid = file->stat.uid,
                  .gid = file->stat.gid,
                  .secret = kept->secret };
    memcpy(e->digest, kept->digest, sizeof(e->digest));
    if (e->path == NULL || (file->link != NULL && e->link == NULL)) {
        otr_free(e->path);
        otr_free(e->link);
        return otr_fail_nomem(err);
    }
    d->n++;
    return OTR_OK;
}

static otr_code add(otr_history_draft *d, const otr_history_file *file,
                    const otr_history_source *from, otr_history_stat *ret, otr_err *err)
{
    otr_history_kept kept = { .blob = 0 };
    otr_code rc = check_path(d, file, err);
    rc = rc == OTR_OK ? go_on(d, err) : rc;
    if (rc != OTR_OK) {
        return give_up(d, rc);
    }
    if (file->link == NULL) {
        rc = otr_history_blob_add(d->h, from, &kept, err);
        kept.secret = kept.secret ||
                      otr_history_is_secret(file->path, file->stat.mode, (otr_bytes){ NULL, 0 });
        d->bytes += kept.bytes;
        rc = rc != OTR_OK ? otr_wrap(err, rc, "%.200s", file->path) : rc;
    }
    rc = rc == OTR_OK ? add_entry(d, file, &kept, err) : rc;
    if (rc != OTR_OK) {
        return give_up(d, rc);
    }
    if (ret != NULL) {
        *ret = (otr_history_stat){ .bytes = kept.bytes,
                                   .mode = file->stat.mode & 07777,
                                   .uid = file->stat.uid,
                                   .gid = file->stat.gid };
        memcpy(ret->digest, kept.digest, sizeof(ret->digest));
    }
    return OTR_OK;
}

otr_code otr_history_draft_add(otr_history_draft *d, const otr_history_file *file, int fd,
                               otr_history_stat *ret, otr_err *err)
{
    otr_history_source from = { .fd = fd };
    return add(d, file, &from, ret, err);
}

otr_code otr_history_draft_add_bytes(otr_history_draft *d, const otr_history_file *file,
                                     otr_bytes content, otr_history_stat *ret, otr_err *err)
{
    otr_history_source from = { .fd = -1, .bytes = content };
    return add(d, file, &from, ret, err);
}

otr_code otr_history_draft_keep(otr_history_draft *d, const char *version, const char *path,
                                otr_err *err)
{
    otr_history_file file;
    otr_history_kept kept = { .blob = 0 };
    otr_code rc = otr_history_file_of(d->h, version, path, &file, err);
    if (rc != OTR_OK) {
        return rc;
    }
    memcpy(kept.digest, file.stat.digest, sizeof(kept.digest));
    kept.secret = file.secret;
    sqlite3_stmt *st = otr_history_st_of(d->h, OTR_HST_BLOB_FIND);
    if (file.link == NULL && otr_history_bind_digest(st, 1, kept.digest) &&
        sqlite3_step(st) == SQLITE_ROW) {
        kept.blob = sqlite3_column_int64(st, 0);
    }
    sqlite3_reset(st);
    rc = check_path(d, &file, err);
    rc = rc == OTR_OK ? add_entry(d, &file, &kept, err) : rc;
    return rc == OTR_OK ? OTR_OK : give_up(d, rc);
}

/* ---- the end ---- */

static int by_path(const void *a, const void *b)
{
    return strcmp(((const entry *)a)->path, ((const entry *)b)->path);
}

static void hash_text(crypto_hash_sha256_state *sha, const char *text)
{
    (void)crypto_hash_sha256_update(sha, (const uint8_t *)text, strlen(text) + 1);
}

static void hash_number(crypto_hash_sha256_state *sha, uint64_t n)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(n >> (8 * i));
    }
    (void)crypto_hash_sha256_update(sha, bytes, sizeof(bytes));
}

/* The id says all that is in it, and whose it is: NULs end texts, so nothing can be taken for
 * something else. */
static void name_it(const otr_history_draft *d, const char *instance,
                    char ret_id[OTR_HISTORY_ID_BYTES])
{
    crypto_hash_sha256_state sha;
    unsigned char sum[crypto_hash_sha256_BYTES];
    (void)crypto_hash_sha256_init(&sha);
    hash_text(&sha, instance);
    for (size_t i = 0; i < d->n; i++) {
        const entry *e = &d->entries[i];
        hash_text(&sha, e->path);
        hash_text(&sha, e->link != NULL ? "link" : "file");
        hash_text(&sha, e->link != NULL ? e->link : e->digest);
        hash_number(&sha, e->mode);
        hash_number(&sha, e->uid);
        hash_number(&sha, e->gid);
    }
    (void)crypto_hash_sha256_final(&sha, sum);
    (void)sodium_bin2hex(ret_id, OTR_HISTORY_ID_BYTES, sum, sizeof(sum));
}

static otr_code add_file(otr_history *h, int64_t version, const entry *e, otr_err *err)
{
    sqlite3_stmt *st = otr_history_st_of(h, OTR_HST_FILE_ADD);
    sqlite3_bind_int64(st, 1, version);
    otr_history_bind_bytes(st, 2, e->path);
    if (e->link == NULL) {
        sqlite3_bind_int64(st, 3, e->blob);
    } else {
        otr_history_bind_bytes(st, 7, e->link);
    }
    sqlite3_bind_int64(st, 4, e->mode);
    sqlite3_bind_int64(st, 5, e->uid);
    sqlite3_bind_int64(st, 6, e->gid);
    sqlite3_bind_int(st, 8, e->secret);
    return otr_history_run(h, st, "add a file", err);
}

static bool is_there(otr_history *h, const char *id)
{
    sqlite3_stmt *st = otr_history_st_of(h, OTR_HST_VERSION_HAS);
    bool found = otr_history_bind_digest(st, 1, id) && sqlite3_step(st) == SQLITE_ROW;
    sqlite3_reset(st);
    return found;
}

static otr_code add_version(const otr_history_draft *d, const char *instance, const char *id,
                            otr_err *err)
{
    if (is_there(d->h, id)) {
        return OTR_OK;
    }
    sqlite3_stmt *st = otr_history_st_of(d->h, OTR_HST_VERSION_ADD);
    (void)otr_history_bind_digest(st, 1, id);
    otr_history_bind_text(st, 2, instance, OTR_LIMIT_HISTORY_NAME_BYTES);
    otr_code rc = otr_history_run(d->h, st, "add a version", err);
    int64_t version = sqlite3_last_insert_rowid(d->h->db);
    for (size_t i = 0; rc == OTR_OK && i < d->n; i++) {
        rc = add_file(d->h, version, &d->entries[i], err);
    }
    return rc;
}

otr_code otr_history_draft_commit(otr_history_draft *d, const char *instance,
                                  char ret_id[OTR_HISTORY_ID_BYTES], otr_err *err)
{
    if (d->n > 0) {
        qsort(d->entries, d->n, sizeof(*d->entries), by_path);
    }
    for (size_t i = 1; i < d->n; i++) {
        if (strcmp(d->entries[i - 1].path, d->entries[i].path) == 0) {
            return otr_fail(err, OTR_EINVAL, "%.200s is twice in one version", d->entries[i].path);
        }
    }
    if (instance[0] == '\0' || strlen(instance) > OTR_LIMIT_HISTORY_NAME_BYTES) {
        return otr_fail(err, OTR_EINVAL, "a version belongs to an instance");
    }
    otr_code rc = go_on(d, err);
    if (rc != OTR_OK) {
        return rc;
    }
    char id[OTR_HISTORY_ID_BYTES];
    name_it(d, instance, id);
    rc = add_version(d, instance, id, err);
    d->writing = false;
    rc = otr_history_written(d->h, rc, err);
    d->broken = true; /* nothing more goes in */
    if (rc == OTR_OK) {
        memcpy(ret_id, id, sizeof(id));
    }
    return rc;
}
