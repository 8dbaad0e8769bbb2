#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "nginx/change/entry.h"
#include "nginx/change/xattrs.h"
#include "nginx/rights.h"

enum { PIECE_BYTES = 65536 };

otr_code otr_plan_add(otr_plan *plan, const char *path, const otr_place *place,
                      otr_plan_entry **ret, otr_err *err)
{
    if (plan->n >= 2 * (size_t)OTR_LIMIT_CHANGE_FILES) {
        return otr_fail(err, OTR_EQUOTA, "%s: a plan has at most %d files", path,
                        2 * OTR_LIMIT_CHANGE_FILES);
    }
    otr_code rc = otr_grow(&plan->entries, plan->n, &plan->cap, sizeof(*plan->entries), err);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_plan_entry *e = &plan->entries[plan->n];
    *e = (otr_plan_entry){
        .item.path = otr_arena_strdup(&plan->texts, path),
        .item.real = otr_arena_strdup(&plan->texts, place->end.path),
        .item.remarks =
            (place->end.links ? OTR_PLAN_SYMLINK : 0U) | (place->as_owner ? OTR_PLAN_AS_OWNER : 0U),
        .allowed = place->end.allowed,
        .there = place->end.there,
        .actor = place->actor,
        .st = place->st,
        .link = place->exists && S_ISLNK(place->st.st_mode),
        .folder_uid = place->folder.st_uid,
        .folder_gid = place->folder.st_gid,
        .folder_dev = place->folder.st_dev,
        .folder_ino = place->folder.st_ino,
    };
    e->item.before.exists = place->exists;
    if (e->item.path == NULL || e->item.real == NULL) {
        return otr_fail_nomem(err);
    }
    plan->n++;
    *ret = e;
    return OTR_OK;
}

bool otr_plan_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Opens what is there with the rights of its actor. OTR_ESTATE: it is another one by now. */
static otr_code open_entry(const otr_plan *plan, const otr_plan_entry *entry, int *ret_fd,
                           otr_err *err)
{
    struct stat st;
    int fd;
    otr_code rc =
        otr_root_open_file(plan->actors.items[entry->actor], entry->item.real, &fd, &st, err);
    if (rc == OTR_OK && !otr_plan_same_file(&st, &entry->st)) {
        (void)close(fd);
        return otr_fail(err, OTR_ESTATE,
                        "%s was changed by somebody else while this change was made ready: try "
                        "again",
                        entry->item.path);
    }
    if (rc == OTR_OK) {
        *ret_fd = fd;
    }
    return rc;
}

/* ---- content ---- */

static ssize_t read_piece(int fd, uint8_t *to, size_t n, uint64_t at)
{
    size_t got = 0;
    while (got < n) {
        ssize_t r = pread(fd, to + got, n - got, (off_t)(at + got));
        if (r < 0 && errno == EINTR) {
            continue;
        }
        if (r < 0) {
            return -1;
        }
        if (r == 0) {
            break;
        }
        got += (size_t)r;
    }
    return (ssize_t)got;
}

/* Are the bytes of `fd` those of the set's file? */
static otr_code compare(const otr_plan *plan, const otr_plan_entry *e, int fd, uint8_t *pieces,
                        bool *ret, otr_err *err)
{
    const otr_change_file *file = e->item.file;
    *ret = false;
    for (uint64_t at = 0; at < file->size;) {
        size_t n = 0;
        otr_code rc = otr_changes_pread(plan->changes, file, at, pieces, PIECE_BYTES, &n, err);
        if (rc != OTR_OK) {
            return rc;
        }
        ssize_t got = read_piece(fd, pieces + PIECE_BYTES, n, at);
        if (got < 0) {
            return otr_fail_sys(err, errno, "cannot read %s", e->item.path);
        }
        if ((size_t)got != n || memcmp(pieces, pieces + PIECE_BYTES, n) != 0) {
            return OTR_OK;
        }
        at += n;
    }
    *ret = true;
    return OTR_OK;
}

static otr_code digest(const char *path, int fd, uint8_t *piece, char out[OTR_SHA256_HEX_BYTES],
                       uint64_t *ret_size, otr_err *err)
{
    otr_sha256 sum;
    uint64_t at = 0;
    otr_sha256_init(&sum);
    for (;;) {
        ssize_t n = read_piece(fd, piece, PIECE_BYTES, at);
        if (n < 0) {
            return otr_fail_sys(err, errno, "cannot read %s", path);
        }
        otr_sha256_add(&sum, (otr_bytes){ piece, (size_t)n });
        at += (uint64_t)n;
        if (n < PIECE_BYTES) {
            break;
        }
    }
    (void)otr_sha256_end(&sum, out);
    *ret_size = at;
    return OTR_OK;
}

static otr_code look_at_content(const otr_plan *plan, otr_plan_entry *e, int fd, otr_err *err)
{
    OTR_CLEANUP(otr_freep) uint8_t *pieces = otr_alloc(2 * (size_t)PIECE_BYTES);
    if (pieces == NULL) {
        return otr_fail_nomem(err);
    }
    const otr_change_file *file = e->item.file;
    otr_plan_side *before = &e->item.before;
    bool same = false;
    otr_code rc = OTR_OK;
    if (file != NULL && file->kind == OTR_CHANGE_PUT && file->size == before->size) {
        rc = compare(plan, e, fd, pieces, &same, err);
    }
    if (rc == OTR_OK && same) {
        memcpy(before->digest, file->digest, sizeof(before->digest));
    } else if (rc == OTR_OK) {
        rc = digest(e->item.path, fd, pieces, before->digest, &before->size, err);
    }
    return rc;
}

static void take_stat(otr_plan_side *side, const struct stat *st)
{
    side->exists = true;
    side->size = (uint64_t)st->st_size;
    side->mode = st->st_mode & 0777;
    side->uid = st->st_uid;
    side->gid = st->st_gid;
}

otr_code otr_plan_look(otr_plan *plan, otr_plan_entry *entry, otr_err *err)
{
    if (!entry->item.before.exists) {
        return OTR_OK;
    }
    take_stat(&entry->item.before, &entry->st);
    if (entry->link) {
        return OTR_OK;
    }
    int fd;
    otr_code rc = open_entry(plan, entry, &fd, err);
    if (rc == OTR_OK) {
        rc = look_at_content(plan, entry, fd, err);
        (void)close(fd);
    }
    return rc;
}

/* ---- remarks ---- */

static unsigned flags_of(int fd)
{
    struct statx sx;
    unsigned ret = 0;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &sx) != 0) {
        return 0;
    }
    if ((sx.stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND)) != 0) {
        ret |= OTR_PLAN_IMMUTABLE;
    }
    if ((sx.stx_attributes & sx.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) != 0) {
        ret |= OTR_PLAN_MOUNT;
    }
    return ret;
}

/* The innermost folder on the way that is there. */
static otr_code open_folder(const otr_plan *plan, const otr_plan_entry *e, int *ret, otr_err *err)
{
    OTR_CLEANUP(otr_freep) char *folder = otr_strdup(e->item.real);
    if (folder == NULL) {
        return otr_fail_nomem(err);
    }
    char *end = e->item.before.exists ? strrchr(folder, '/') : folder + e->there;
    end[end == folder ? 1 : 0] = '\0';
    return otr_root_open(plan->actors.items[e->actor], folder, O_PATH | O_DIRECTORY, ret, err);
}

/* With the rights that the work will be done with: better told by a plan than by a failed change.
 */
static otr_code check_writable(const otr_plan *plan, const otr_plan_entry *e, int folder,
                               otr_err *err)
{
    const otr_root *user = plan->actors.items[e->actor];
    otr_rights rights;
    otr_rights_take(user, &rights);
    int rc = faccessat(folder, "", W_OK | X_OK, AT_EACCESS | AT_EMPTY_PATH);
    int sys = errno;
    otr_rights_give_back(&rights);
    if (rc == 0 || (sys != EACCES && sys != EROFS)) {
        return OTR_OK;
    }
    if (sys == EROFS) {
        return otr_fail_sys(err, sys, "cannot change %s", e->item.path);
    }
    return otr_fail(err, OTR_EDENIED,
                    "user %lu, with whose rights %s would be changed, may not write to its folder: "
                    "give the folder to that user (chown)",
                    (unsigned long)(user->uid == 0 ? geteuid() : user->uid), e->item.path);
}

static otr_code remark_on_file(const otr_plan *plan, otr_plan_entry *entry, otr_err *err)
{
    int fd;
    otr_code rc = open_entry(plan, entry, &fd, err);
    if (rc != OTR_OK) {
        return rc;
    }
    entry->item.remarks |= flags_of(fd) | (entry->st.st_nlink > 1 ? OTR_PLAN_HARD_LINKS : 0U) |
                           ((entry->st.st_mode & 07000) != 0 ? OTR_PLAN_SET_ID : 0U);
    if (entry->item.action != OTR_PLAN_DELETE) {
        unsigned kinds = otr_xattrs_kinds(fd);
        entry->item.remarks |= ((kinds & OTR_XATTRS_ACL) != 0 ? OTR_PLAN_ACL : 0U) |
                               ((kinds & OTR_XATTRS_OTHER) != 0 ? OTR_PLAN_XATTRS : 0U);
    }
    (void)close(fd);
    return OTR_OK;
}

otr_code otr_plan_remark_on(const otr_plan *plan, otr_plan_entry *entry, otr_err *err)
{
    int fd;
    otr_code rc = open_folder(plan, entry, &fd, err);
    if (rc != OTR_OK) {
        return rc;
    }
    entry->item.remarks |= flags_of(fd) & OTR_PLAN_IMMUTABLE;
    rc = check_writable(plan, entry, fd, err);
    (void)close(fd);
    if (rc != OTR_OK || !entry->item.before.exists) {
        return rc;
    }
    if (entry->link) {
        entry->item.remarks |= OTR_PLAN_SYMLINK;
        return OTR_OK;
    }
    return remark_on_file(plan, entry, err);
}

/* ---- contents for readers ---- */

otr_code otr_plan_read_before(const otr_plan *plan, const otr_plan_item *item, otr_buf *out,
                              otr_err *err)
{
    const otr_plan_entry *e = (const otr_plan_entry *)item;
    if (!item->before.exists || e->link) {
        return OTR_OK;
    }
    int fd;
    size_t had = out->n;
    otr_code rc = open_entry(plan, e, &fd, err);
    if (rc != OTR_OK) {
        return rc;
    }
    rc = otr_buf_read_fd(out, fd, err);
    (void)close(fd);
    char hex[OTR_SHA256_HEX_BYTES];
    if (rc == OTR_OK && strcmp(otr_sha256_hex((otr_bytes){ out->p + had, out->n - had }, hex),
                               item->before.digest) != 0) {
        otr_buf_cut(out, had);
        return otr_fail(err, OTR_ESTATE, "%s was changed by somebody else since it was planned",
                        item->path);
    }
    return rc;
}

otr_code otr_plan_read_after(const otr_plan *plan, const otr_plan_item *item, otr_buf *out,
                             otr_err *err)
{
    if (!item->after.exists) {
        return OTR_OK;
    }
    if (item->file != NULL && item->file->kind == OTR_CHANGE_PUT) {
        return otr_changes_read(plan->changes, item->file, out, err);
    }
    return otr_plan_read_before(plan, item, out, err);
}

otr_code otr_plan_side_read(const otr_root *root, const char *path, otr_plan_side *ret,
                            otr_err *err)
{
    int fd;
    struct stat st;
    *ret = (otr_plan_side){ 0 };
    otr_code rc = otr_root_open_file(root, path, &fd, &st, err);
    if (rc != OTR_OK) {
        return rc == OTR_ENOTFOUND ? OTR_OK : rc;
    }
    otr_plan_side side = { 0 };
    take_stat(&side, &st);
    OTR_CLEANUP(otr_freep) uint8_t *piece = otr_alloc(PIECE_BYTES);
    rc =
        piece != NULL ? digest(path, fd, piece, side.digest, &side.size, err) : otr_fail_nomem(err);
    (void)close(fd);
    if (rc == OTR_OK) {
        *ret = side;
    }
    return rc;
}
