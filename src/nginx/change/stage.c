#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include <sys/xattr.h>

#include "base/alloc.h"
#include "nginx/change/tx.h"
#include "nginx/change/xattrs.h"

enum { PIECE_BYTES = 65536, BATCH = 64 };

#define ACL "system.posix_acl_access"

/* ---- folders ---- */

static otr_code fail_stale(const otr_change *change, const otr_step *s, otr_err *err)
{
    char path[OTR_ROOT_PATH_BYTES];
    return otr_fail(err, OTR_ESTATE,
                    "%s was changed by somebody else since this change was planned: plan it again",
                    otr_work_path(&change->work, s, path, sizeof(path)));
}

/* Mode 0755 whatever our mask is, and the owner of the folder it lies in. */
static otr_code dress_folder(const otr_change *change, const otr_work_folder *f, otr_err *err)
{
    const otr_fileops *ops = change->ops;
    const otr_work_folder *parent = &change->work.folders[f->parent];
    struct stat above, st;
    if (ops->stat(ops, parent->fd, "", &above) != 0 || ops->stat(ops, f->fd, "", &st) != 0) {
        return otr_fail_sys(err, errno, "cannot look at the folder %s", f->path);
    }
    if ((st.st_uid != above.st_uid || st.st_gid != above.st_gid) &&
        ops->chown(ops, f->fd, above.st_uid, above.st_gid) != 0) {
        return otr_fail_sys(err, errno, "cannot give the folder %s to the owner of the one above",
                            f->path);
    }
    if ((st.st_mode & 0777) != 0755 && ops->chmod(ops, f->fd, 0755 | (st.st_mode & S_ISGID)) != 0) {
        return otr_fail_sys(err, errno, "cannot set the mode of the folder %s", f->path);
    }
    return OTR_OK;
}

static otr_code make_folder(otr_change *change, otr_work_folder *f, otr_err *err)
{
    const otr_fileops *ops = change->ops;
    otr_work_folder *parent = &change->work.folders[f->parent];
    const char *name = strrchr(f->path, '/') + 1;
    if (ops->mkdir(ops, parent->fd, name, 0755) != 0) {
        f->make = errno != EEXIST && f->make; /* somebody else's is not ours to remove */
        return otr_fail_sys(err, errno, "cannot make the folder %s", f->path);
    }
    parent->dirty = true;
    f->fd = otr_fileops_open(ops, parent->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    if (f->fd < 0) {
        return otr_fail_sys(err, errno, "cannot open the folder %s", f->path);
    }
    return dress_folder(change, f, err);
}

static otr_code make_folders(otr_change *change, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < change->work.n_folders; i++) {
        otr_work_folder *f = &change->work.folders[i];
        if (f->make) {
            otr_rights rights;
            otr_tx_enter(change, i, &rights);
            rc = make_folder(change, f, err);
            otr_tx_leave(&rights);
        }
    }
    return rc;
}

/* ---- one file ---- */

static otr_code write_content(const otr_change *change, const otr_step *s, int fd, uint8_t *piece,
                              otr_err *err)
{
    const otr_change_file *file = s->entry->item.file;
    char path[OTR_ROOT_PATH_BYTES];
    for (uint64_t at = 0; at < file->size;) {
        size_t n = 0;
        otr_code rc =
            otr_changes_pread(change->plan->changes, file, at, piece, PIECE_BYTES, &n, err);
        if (rc != OTR_OK) {
            return rc;
        }
        if (otr_fileops_write(change->ops, fd, (otr_bytes){ piece, n }, at) != 0) {
            return otr_fail_sys(err, errno,
                                "cannot write the new %s (nothing was changed; is the disk full?)",
                                otr_work_path(&change->work, s, path, sizeof(path)));
        }
        at += n;
    }
    return OTR_OK;
}

/* Owner, then attributes, then mode: a change of owner takes rights away, and the mode is the mask
 * of an access list. One that the folder gave to the new file is taken off if the old had none. */
static otr_code dress(const otr_change *change, const otr_step *s, int old, int fd, otr_err *err)
{
    const otr_fileops *ops = change->ops;
    const otr_plan_side *want = &s->entry->item.after;
    const char *path = s->entry->item.path;
    struct stat st;
    if (ops->stat(ops, fd, "", &st) != 0) {
        return otr_fail_sys(err, errno, "cannot look at the new %s", path);
    }
    if ((st.st_uid != want->uid || st.st_gid != want->gid) &&
        ops->chown(ops, fd, want->uid, want->gid) != 0) {
        return otr_fail_sys(err, errno, "cannot give the new %s to user %lu and group %lu", path,
                            (unsigned long)want->uid, (unsigned long)want->gid);
    }
    if (old >= 0) {
        if (fgetxattr(old, ACL, NULL, 0) < 0 && fgetxattr(fd, ACL, NULL, 0) > 0 &&
            ops->unsetxattr(ops, fd, ACL) != 0) {
            return otr_fail_sys(err, errno, "cannot take the access list of its folder off %s",
                                path);
        }
        otr_code rc = otr_xattrs_copy(ops, old, fd, path, err);
        if (rc != OTR_OK) {
            return rc;
        }
    }
    return ops->chmod(ops, fd, want->mode) == 0
               ? OTR_OK
               : otr_fail_sys(err, errno, "cannot set the mode of the new %s", path);
}

/* Where a file lies in a lower layer, the first write makes it another one: that is done now, so
 * that it keeps its device and inode from here on. */
static bool raise_from_layer(const otr_change *change, const otr_step *s)
{
    struct statfs fs;
    int folder = change->work.folders[s->folder].fd;
    if (fstatfs(folder, &fs) != 0 || fs.f_type != OVERLAYFS_SUPER_MAGIC) {
        return false;
    }
    int fd = otr_fileops_open(change->ops, folder, s->name, O_WRONLY | O_NONBLOCK | O_NOCTTY, 0);
    if (fd >= 0) {
        (void)change->ops->close(change->ops, fd);
    }
    return true;
}

/* The old file has to be the one that was planned with; -1 in `*ret_fd` for a link. */
static otr_code open_old(otr_change *change, otr_step *s, int *ret_fd, otr_err *err)
{
    const otr_fileops *ops = change->ops;
    const struct stat *seen = &s->entry->st;
    int folder = change->work.folders[s->folder].fd;
    struct stat st;
    *ret_fd = -1;
    if (!otr_fileops_stat(ops, folder, s->name, &st)) {
        return errno == ENOENT ? fail_stale(change, s, err)
                               : otr_fail_sys(err, errno, "cannot look at %s", s->entry->item.path);
    }
    if (!otr_plan_same_file(&st, seen) || st.st_mode != seen->st_mode ||
        st.st_uid != seen->st_uid || st.st_gid != seen->st_gid) {
        return fail_stale(change, s, err);
    }
    if ((s->entry->item.remarks & OTR_PLAN_MOUNT) != 0) {
        return otr_fail(err, OTR_EDENIED,
                        "something is mounted over %s, so it cannot be replaced: change what is "
                        "mounted there",
                        s->entry->item.path);
    }
    if (S_ISLNK(st.st_mode)) {
        return OTR_OK;
    }
    bool layered = raise_from_layer(change, s);
    int fd = otr_fileops_open(ops, folder, s->name, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    if (fd < 0) {
        return otr_fail_sys(err, errno, "cannot open %s", s->entry->item.path);
    }
    *ret_fd = fd;
    if (ops->stat(ops, fd, "", &st) != 0) {
        return otr_fail_sys(err, errno, "cannot look at %s", s->entry->item.path);
    }
    if (!layered && !otr_plan_same_file(&st, seen)) {
        return fail_stale(change, s, err);
    }
    s->before = otr_inode_of(&st);
    return OTR_OK;
}

/* A new file that is staged and not yet synced. */
typedef struct staged {
    int fd;
    size_t step;
} staged;

typedef struct batch {
    staged items[BATCH];
    size_t n;
    uint8_t *piece;
} batch;

static otr_code stage_new(otr_change *change, size_t step, int old, batch *b, otr_err *err)
{
    const otr_fileops *ops = change->ops;
    otr_step *s = &change->work.steps[step];
    otr_work_folder *f = &change->work.folders[s->folder];
    char name[OTR_CHANGE_NAME_BYTES];
    (void)otr_change_hidden_name(change->work.id, OTR_HIDDEN_NEW, step, name);
    int fd = otr_fileops_open(ops, f->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return otr_fail_sys(err, errno, "cannot make the new %s in its folder",
                            s->entry->item.path);
    }
    f->dirty = true;
    b->items[b->n++] = (staged){ fd, step };
    otr_code rc = write_content(change, s, fd, b->piece, err);
    return rc == OTR_OK ? dress(change, s, old, fd, err) : rc;
}

static otr_code stage_one(otr_change *change, size_t step, batch *b, otr_err *err)
{
    otr_step *s = &change->work.steps[step];
    const int folder = change->work.folders[s->folder].fd;
    struct stat st;
    int old = -1;
    otr_code rc = OTR_OK;
    if (s->action != OTR_PLAN_ADD) {
        rc = open_old(change, s, &old, err);
    } else if (otr_fileops_stat(change->ops, folder, s->name, &st)) {
        rc = fail_stale(change, s, err);
    }
    if (rc == OTR_OK && s->action != OTR_PLAN_DELETE) {
        rc = stage_new(change, step, old, b, err);
    }
    if (old >= 0) {
        (void)change->ops->close(change->ops, old);
    }
    return rc;
}

/* ---- all of them ---- */

/* Syncs and closes what the batch holds; its identity is final then. All of it is on its way to the
 * disk before the first is waited for, so that the others find their part done. */
static otr_code end_batch(otr_change *change, batch *b, otr_code rc, otr_err *err)
{
    const otr_fileops *ops = change->ops;
    for (size_t i = 0; i < b->n && b->n > 1; i++) {
        ops->write_out(ops, b->items[i].fd);
    }
    for (size_t i = 0; i < b->n; i++) {
        otr_step *s = &change->work.steps[b->items[i].step];
        struct stat st;
        if (rc == OTR_OK && otr_fileops_sync(ops, b->items[i].fd) != 0) {
            rc = otr_fail_sys(err, errno, "cannot sync the new %s", s->entry->item.path);
        }
        if (rc == OTR_OK && ops->stat(ops, b->items[i].fd, "", &st) != 0) {
            rc = otr_fail_sys(err, errno, "cannot look at the new %s", s->entry->item.path);
        }
        if (rc == OTR_OK) {
            s->after = otr_inode_of(&st);
        }
        (void)ops->close(ops, b->items[i].fd);
    }
    b->n = 0;
    return rc;
}

static otr_code stage_all(otr_change *change, otr_err *err)
{
    batch b = { .piece = otr_alloc(PIECE_BYTES) };
    if (b.piece == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < change->work.n_steps; i++) {
        otr_rights rights;
        otr_tx_enter(change, change->work.steps[i].folder, &rights);
        rc = stage_one(change, i, &b, err);
        otr_tx_leave(&rights);
        if (rc == OTR_OK && b.n == BATCH) {
            rc = end_batch(change, &b, rc, err);
        }
    }
    rc = end_batch(change, &b, rc, err);
    otr_free(b.piece);
    return rc;
}

/* The folders as they are now: on a layered file system the first new name makes them others. */
static otr_code identify_folders(otr_change *change, otr_err *err)
{
    for (size_t i = 0; i < change->work.n_folders; i++) {
        otr_work_folder *f = &change->work.folders[i];
        struct stat st;
        if (change->ops->stat(change->ops, f->fd, "", &st) != 0) {
            return otr_fail_sys(err, errno, "cannot look at the folder %s", f->path);
        }
        f->id = otr_inode_of(&st);
    }
    return OTR_OK;
}

otr_code otr_change_stage(otr_change *change, otr_err *err)
{
    otr_work *work = &change->work;
    if (work->state != OTR_CHANGE_PREPARED || work->staged || change->plan == NULL) {
        return otr_fail(err, OTR_ESTATE, "this change is staged already");
    }
    otr_code rc = make_folders(change, err);
    if (rc == OTR_OK) {
        rc = stage_all(change, err);
    }
    if (rc == OTR_OK) {
        rc = identify_folders(change, err);
    }
    work->staged = rc == OTR_OK;
    return rc;
}
