/* Versions and transactions, as they were recorded. */
#include "base/alloc.h"
#include "nginx/history/internal.h"

/* ---- files ---- */

/* A NUL in the middle of a path is damage; what is before it is taken. */
static const char *bytes_at(sqlite3_stmt *st, int i)
{
    return sqlite3_column_type(st, i) != SQLITE_NULL ? otr_history_text_at(st, i) : NULL;
}

static void file_at(sqlite3_stmt *st, otr_history_file *ret)
{
    *ret = (otr_history_file){ .path = otr_history_text_at(st, 0),
                               .stat = { .bytes = otr_history_u64_at(st, 2),
                                         .mode = (mode_t)sqlite3_column_int64(st, 3) & 07777,
                                         .uid = (uid_t)sqlite3_column_int64(st, 4),
                                         .gid = (gid_t)sqlite3_column_int64(st, 5) },
                               .link = bytes_at(st, 6),
                               .secret = sqlite3_column_int(st, 7) != 0,
                               .kept = sqlite3_column_int(st, 8) != 0 };
    otr_history_digest_at(st, 1, ret->stat.digest);
}

static otr_code has_version(otr_history *h, const char *version, otr_err *err)
{
    sqlite3_stmt *st = otr_history_st_of(h, OTR_HST_VERSION_HAS);
    if (!otr_history_bind_digest(st, 1, version)) {
        return otr_fail(err, OTR_EINVAL, "\"%.80s\" is no version", version);
    }
    int got = sqlite3_step(st);
    otr_code rc = got == SQLITE_ROW ? OTR_OK
                  : got == SQLITE_DONE
                      ? otr_fail(err, OTR_ENOTFOUND, "the history has no version %.12s…", version)
                      : otr_history_fail(h, "find a version", err);
    sqlite3_reset(st);
    return rc;
}

otr_code otr_history_files(otr_history *h, const char *version, otr_history_file_fn *fn, void *arg,
                           otr_err *err)
{
    otr_code rc = has_version(h, version, err);
    if (rc != OTR_OK) {
        return rc;
    }
    sqlite3_stmt *st = otr_history_st_of(h, OTR_HST_FILES);
    (void)otr_history_bind_digest(st, 1, version);
    int got;
    bool more = true;
    while (more && (got = sqlite3_step(st)) == SQLITE_ROW) {
        otr_history_file file;
        file_at(st, &file);
        more = fn(arg, &file);
    }
    rc = !more || got == SQLITE_DONE ? OTR_OK : otr_history_fail(h, "list files", err);
    sqlite3_reset(st);
    return rc;
}

static otr_code keep_texts(otr_history *h, otr_history_file *file, otr_err *err)
{
    char *path = otr_strdup(file->path);
    char *link = file->link != NULL ? otr_strdup(file->link) : NULL;
    if (path == NULL || (file->link != NULL && link == NULL)) {
        otr_free(path);
        otr_free(link);
        return otr_fail_nomem(err);
    }
    otr_free(h->file_path);
    otr_free(h->file_link);
    file->path = h->file_path = path;
    file->link = h->file_link = link;
    return OTR_OK;
}

otr_code otr_history_file_of(otr_history *h, const char *version, const char *path,
                             otr_history_file *ret, otr_err *err)
{
    otr_code rc = has_version(h, version, err);
    if (rc != OTR_OK) {
        return rc;
    }
    sqlite3_stmt *st = otr_history_st_of(h, OTR_HST_FILE);
    (void)otr_history_bind_digest(st, 1, version);
    otr_history_bind_bytes(st, 2, path);
    otr_history_file file;
    switch (sqlite3_step(st)) {
    case SQLITE_ROW:
        file_at(st, &file);
        rc = keep_texts(h, &file, err);
        break;
    case SQLITE_DONE:
        rc = otr_fail(err, OTR_ENOTFOUND, "%.200s is not in version %.12s…", path, version);
        break;
    default:
        rc = otr_history_fail(h, "find a file", err);
    }
    sqlite3_reset(st);
    if (rc == OTR_OK) {
        *ret = file;
    }
    return rc;
}

/* ---- what differs ---- */

typedef struct side {
    sqlite3_stmt *st;
    otr_history_file file;
    bool there;
} side;

static otr_code step_side(otr_history *h, side *s, otr_err *err)
{
    int got = sqlite3_step(s->st);
    s->there = got == SQLITE_ROW;
    if (s->there) {
        file_at(s->st, &s->file);
    }
    return s->there || got == SQLITE_DONE ? OTR_OK : otr_history_fail(h, "compare versions", err);
}

static const char *what_changed(const otr_history_file *a, const otr_history_file *b)
{
    bool links = a->link != NULL || b->link != NULL;
    bool same = links ? a->link != NULL && b->link != NULL && strcmp(a->link, b->link) == 0
                      : strcmp(a->stat.digest, b->stat.digest) == 0;
    if (!same) {
        return "update";
    }
    return a->stat.mode != b->stat.mode || a->stat.uid != b->stat.uid || a->stat.gid != b->stat.gid
               ? "mode"
               : NULL;
}

/* Which side has the lower path, which is then not in the other version: below 0 the first. */
static int order_of(const side *from, const side *to)
{
    if (!from->there || !to->there) {
        return from->there ? -1 : 1;
    }
    return strcmp(from->file.path, to->file.path);
}

static otr_history_change change_of(const side *from, const side *to, int order)
{
    if (order < 0) {
        return (otr_history_change){ .action = "delete", .before = &from->file };
    }
    if (order > 0) {
        return (otr_history_change){ .action = "add", .after = &to->file };
    }
    return (otr_history_change){ .action = what_changed(&from->file, &to->file),
                                 .before = &from->file,
                                 .after = &to->file };
}

static otr_code walk(otr_history *h, side *from, side *to, otr_history_change_fn *fn, void *arg,
                     otr_err *err)
{
    otr_code rc = step_side(h, from, err);
    rc = rc == OTR_OK ? step_side(h, to, err) : rc;
    while (rc == OTR_OK && (from->there || to->there)) {
        int order = order_of(from, to);
        otr_history_change c = change_of(from, to, order);
        if (c.action != NULL && !fn(arg, &c)) {
            break;
        }
        rc = order <= 0 ? step_side(h, from, err) : OTR_OK;
        rc = rc == OTR_OK && order >= 0 ? step_side(h, to, err) : rc;
    }
    return rc;
}

otr_code otr_history_diff(otr_history *h, const char *from, const char *to,
                          otr_history_change_fn *fn, void *arg, otr_err *err)
{
    otr_code rc = has_version(h, from, err);
    rc = rc == OTR_OK ? has_version(h, to, err) : rc;
    if (rc != OTR_OK) {
        return rc;
    }
    side a = { .st = otr_history_st_of(h, OTR_HST_FILES) };
    side b = { .st = otr_history_st_of(h, OTR_HST_FILES_TO) };
    (void)otr_history_bind_digest(a.st, 1, from);
    (void)otr_history_bind_digest(b.st, 1, to);
    rc = walk(h, &a, &b, fn, arg, err);
    sqlite3_reset(a.st);
    sqlite3_reset(b.st);
    return rc;
}

/* ---- which version ---- */

static otr_code version_of_txn(otr_history *h, const char *instance, const char *text,
                               char ret_id[OTR_HISTORY_ID_BYTES], otr_err *err)
{
    sqlite3_stmt *st = otr_history_st_of(h, OTR_HST_AFTER_OF);
    otr_history_bind_text(st, 1, text, OTR_LIMIT_HISTORY_NAME_BYTES);
    sqlite3_bind_int64(st, 2, otr_history_number_of(text));
    otr_code rc = OTR_ENOTFOUND;
    ret_id[0] = '\0';
    if (sqlite3_step(st) == SQLITE_ROW) {
        rc = OTR_OK;
        otr_history_digest_at(st, 0, ret_id);
        if (strcmp(otr_history_text_at(st, 1), instance) != 0) {
            rc = otr_fail(err, OTR_EINVAL, "transaction %.80s is of another instance", text);
        } else if (ret_id[0] == '\0') {
            rc = otr_fail(err, OTR_EINVAL, "transaction %.80s left no version behind", text);
        }
    }
    sqlite3_reset(st);
    return rc;
}

enum { PREFIX_LEAST = 6 };

static otr_code version_by_prefix(otr_history *h, const char *instance, const char *text,
                                  char ret_id[OTR_HISTORY_ID_BYTES], otr_err *err)
{
    size_t n = strlen(text);
    if (n < PREFIX_LEAST || n >= OTR_HISTORY_ID_BYTES ||
        strspn(text, "0123456789abcdefABCDEF") != n) {
        return OTR_ENOTFOUND;
    }
    sqlite3_stmt *st = otr_history_st_of(h, OTR_HST_VERSION_PREFIX);
    otr_history_bind_text(st, 1, instance, OTR_LIMIT_HISTORY_NAME_BYTES);
    otr_history_bind_text(st, 2, text, n);
    otr_code rc = OTR_ENOTFOUND;
    if (sqlite3_step(st) == SQLITE_ROW) {
        otr_history_digest_at(st, 0, ret_id);
        rc = sqlite3_step(st) == SQLITE_ROW
                 ? otr_fail(err, OTR_EINVAL, "several versions begin with %s", text)
                 : OTR_OK;
    }
    sqlite3_reset(st);
    return rc;
}

otr_code otr_history_find_version(otr_history *h, const char *instance, const char *text,
                                  char ret_id[OTR_HISTORY_ID_BYTES], otr_err *err)
{
    static const struct {
        const char *name;
        otr_history_point point;
    } words[] = { { "", OTR_HISTORY_IN_FORCE },
                  { "current", OTR_HISTORY_IN_FORCE },
                  { "good", OTR_HISTORY_GOOD },
                  { "previous", OTR_HISTORY_BEFORE } };
    char id[OTR_HISTORY_ID_BYTES];
    for (size_t i = 0; i < OTR_COUNT(words); i++) {
        if (strcmp(text, words[i].name) == 0) {
            return otr_history_version_at(h, instance, words[i].point, ret_id, err);
        }
    }
    otr_code rc = version_of_txn(h, instance, text, id, err);
    rc = rc == OTR_ENOTFOUND ? version_by_prefix(h, instance, text, id, err) : rc;
    if (rc == OTR_ENOTFOUND) {
        return otr_fail(err, rc,
                        "the history has no transaction or version \"%.80s\" of this "
                        "instance",
                        text);
    }
    if (rc == OTR_OK) {
        memcpy(ret_id, id, sizeof(id));
    }
    return rc;
}
