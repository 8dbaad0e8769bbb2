#include "nginx/change/work.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "nginx/rights.h"

/* ---- files ---- */

otr_inode otr_inode_of(const struct stat *st)
{
    return (otr_inode){ .dev = st->st_dev,
                        .ino = st->st_ino,
                        .size = (uint64_t)st->st_size,
                        .mtime_ns = (uint64_t)st->st_mtim.tv_sec * 1000000000U +
                                    (uint64_t)st->st_mtim.tv_nsec };
}

static bool is_known(const otr_inode *i)
{
    return i->ino != 0;
}

bool otr_work_is(const otr_work *work, const otr_inode *id, const struct stat *st)
{
    return id->ino != 0 && id->ino == st->st_ino && (!work->same_boot || id->dev == st->st_dev);
}

bool otr_work_is_as_it_was(const otr_work *work, const otr_inode *id, const struct stat *st)
{
    const otr_inode now = otr_inode_of(st);
    return otr_work_is(work, id, st) && now.size == id->size && now.mtime_ns == id->mtime_ns;
}

/* ---- the whole ---- */

void otr_work_read_boot(char out[40])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, out, 36) : -1;
    out[n > 0 ? n : 0] = '\0';
    if (fd >= 0) {
        (void)close(fd);
    }
}

void otr_work_init(otr_work *work)
{
    *work = (otr_work){ 0 };
    otr_buf_init(&work->note, OTR_LIMIT_CHANGE_NOTE_BYTES);
    otr_buf_init(&work->mark_note, OTR_LIMIT_CHANGE_NOTE_BYTES);
}

void otr_work_deinit(otr_work *work, const otr_fileops *ops)
{
    for (size_t i = 0; i < work->n_folders; i++) {
        if (work->folders[i].fd >= 0) {
            (void)ops->close(ops, work->folders[i].fd);
        }
    }
    otr_actors_deinit(&work->actors);
    otr_free(work->folders);
    otr_free(work->steps);
    otr_buf_deinit(&work->note);
    otr_buf_deinit(&work->mark_note);
    otr_arena_deinit(&work->texts);
}

void otr_work_set_state(otr_work *work, otr_change_state state)
{
    work->state = state;
    work->reached |= 1U << state | (state > OTR_CHANGE_SWAPPED ? 1U << OTR_CHANGE_SWAPPED : 0U);
}

const char *otr_work_path(const otr_work *work, const otr_step *step, char *out, size_t cap)
{
    const char *folder = work->folders[step->folder].path;
    (void)snprintf(out, cap, "%s/%s", strcmp(folder, "/") == 0 ? "" : folder, step->name);
    return out;
}

/* ---- from a plan ---- */

static otr_code add_folder(otr_work *work, const otr_plan_entry *e, size_t len, size_t *ret,
                           otr_err *err);

/* The folder that `path` of `len` bytes lies in, which is to be made. */
static otr_code add_parent(otr_work *work, const otr_plan_entry *e, size_t len, size_t *ret,
                           otr_err *err)
{
    while (len > 0 && e->item.real[len - 1] != '/') {
        len--;
    }
    return add_folder(work, e, len > 0 ? len - 1 : 0, ret, err);
}

static bool is_folder(const otr_work_folder *f, const char *path, size_t len)
{
    return len == 0 ? strcmp(f->path, "/") == 0
                    : strncmp(f->path, path, len) == 0 && f->path[len] == '\0';
}

/* The first `len` bytes of the entry's real path are a folder: finds or adds it. Entries are
 * sorted, so it is mostly the last one. */
static otr_code add_folder(otr_work *work, const otr_plan_entry *e, size_t len, size_t *ret,
                           otr_err *err)
{
    for (size_t i = work->n_folders; i > 0; i--) {
        if (is_folder(&work->folders[i - 1], e->item.real, len)) {
            *ret = i - 1;
            return OTR_OK;
        }
    }
    if (work->n_folders >= OTR_LIMIT_CHANGE_FOLDERS) {
        return otr_fail(err, OTR_EQUOTA,
                        "%s: one change works in at most %d folders; make several of it",
                        e->item.path, OTR_LIMIT_CHANGE_FOLDERS);
    }
    otr_work_folder f = { .allowed = e->allowed,
                          .uid = work->actors.items[e->actor]->uid,
                          .as_owner = e->actor != 0,
                          .actor = e->actor,
                          .make = len > e->there,
                          .fd = -1 };
    otr_code rc = f.make ? add_parent(work, e, len, &f.parent, err) : OTR_OK;
    if (rc == OTR_OK) {
        f.path = len > 0 ? otr_arena_strndup(&work->texts, e->item.real, len)
                         : otr_arena_strdup(&work->texts, "/");
        rc = f.path != NULL
                 ? otr_grow(&work->folders, work->n_folders, &work->cap_folders, sizeof(f), err)
                 : otr_fail_nomem(err);
    }
    if (rc == OTR_OK) {
        *ret = work->n_folders;
        work->folders[work->n_folders++] = f;
    }
    return rc;
}

static otr_code add_step(otr_work *work, const otr_plan_entry *e, otr_err *err)
{
    const char *slash = strrchr(e->item.real, '/');
    otr_step s = { .action =
                       e->item.action == OTR_PLAN_ATTRIBUTES ? OTR_PLAN_UPDATE : e->item.action,
                   .name = slash + 1,
                   .entry = e };
    if (e->item.before.exists) {
        s.before = otr_inode_of(&e->st);
    }
    otr_code rc = add_folder(work, e, (size_t)(slash - e->item.real), &s.folder, err);
    if (rc == OTR_OK) {
        rc = otr_grow(&work->steps, work->n_steps, &work->cap_steps, sizeof(s), err);
    }
    if (rc == OTR_OK) {
        work->steps[work->n_steps++] = s;
    }
    return rc;
}

static otr_code copy_actors(otr_actors *to, const otr_actors *from, otr_err *err)
{
    otr_code rc = OTR_OK;
    while (rc == OTR_OK && to->n < from->n) {
        rc = otr_root_copy(from->items[to->n], &to->items[to->n], err);
        to->n += rc == OTR_OK ? 1 : 0;
    }
    return rc;
}

otr_code otr_work_of_plan(otr_work *work, const otr_plan *plan, otr_err *err)
{
    otr_code rc = copy_actors(&work->actors, &plan->actors, err);
    for (size_t i = 0; rc == OTR_OK && i < plan->n; i++) {
        if (plan->entries[i].item.action != OTR_PLAN_UNCHANGED) {
            rc = add_step(work, &plan->entries[i], err);
        }
    }
    otr_work_read_boot(work->boot);
    work->same_boot = true;
    work->began_s = otr_wall_ns() / 1000000000U;
    return rc;
}

/* ---- folders ---- */

/* From the root directory to the allowed folder, from there to the folder: no link on the way. */
static int open_path(const otr_work *work, const otr_fileops *ops, const otr_work_folder *f)
{
    const char *root = work->actors.items[0]->path;
    char allowed[OTR_ROOT_PATH_BYTES];
    int base = otr_fileops_open_folder(ops, root[0] != '\0' ? root : "/", O_PATH);
    if (base < 0) {
        return -1;
    }
    (void)snprintf(allowed, sizeof(allowed), ".%.*s", (int)f->allowed, f->path);
    int dir = otr_fileops_open(ops, base, allowed, O_PATH | O_DIRECTORY, 0);
    int fd = -1;
    if (dir >= 0) {
        const char *rest = f->path + f->allowed + strspn(f->path + f->allowed, "/");
        fd = otr_fileops_open(ops, dir, *rest != '\0' ? rest : ".",
                              O_RDONLY | O_DIRECTORY | O_NONBLOCK, 0);
    }
    int sys = errno;
    (void)ops->close(ops, base);
    if (dir >= 0) {
        (void)ops->close(ops, dir);
    }
    errno = sys;
    return fd;
}

static int open_folder(const otr_work *work, const otr_fileops *ops, const otr_work_folder *f)
{
    otr_rights rights;
    otr_rights_take(work->actors.items[f->actor], &rights);
    int fd = open_path(work, ops, f);
    int sys = errno;
    otr_rights_give_back(&rights);
    errno = sys;
    return fd;
}

static otr_code fail_moved(const otr_work_folder *f, otr_err *err)
{
    return otr_fail(err, OTR_ESTATE,
                    "the folder %s is another one than when this change began: somebody moved it",
                    f->path);
}

/* One that is to be made must not be there when the journal begins: what is removed by an undo is
 * ours. */
otr_code otr_work_check_new(const otr_work *work, otr_err *err)
{
    for (size_t i = 0; i < work->n_folders; i++) {
        const otr_work_folder *f = &work->folders[i];
        if (f->make && f->fd >= 0) {
            return otr_fail(
                err, OTR_ESTATE,
                "the folder %s was made by somebody else since this change was planned: "
                "plan it again",
                f->path);
        }
    }
    return OTR_OK;
}

static otr_code open_one(otr_work *work, const otr_fileops *ops, otr_work_folder *f,
                         otr_missing missing, otr_err *err)
{
    struct stat st;
    int fd = open_folder(work, ops, f);
    if (fd < 0 && errno == ENOENT && (f->make || missing == OTR_MISSING_IS_FINE)) {
        return OTR_OK;
    }
    if (fd < 0) {
        return errno == ELOOP || errno == ENOTDIR
                   ? fail_moved(f, err)
                   : otr_fail_sys(err, errno, "cannot open the folder %s", f->path);
    }
    otr_code rc = OTR_OK;
    if (ops->stat(ops, fd, "", &st) != 0) {
        rc = otr_fail_sys(err, errno, "cannot look at the folder %s", f->path);
    } else if (is_known(&f->id) && !otr_work_is(work, &f->id, &st)) {
        rc = fail_moved(f, err);
    }
    if (rc != OTR_OK) {
        (void)ops->close(ops, fd);
        return rc;
    }
    f->fd = fd;
    f->id = otr_inode_of(&st);
    return OTR_OK;
}

otr_code otr_work_open(otr_work *work, const otr_fileops *ops, otr_missing missing, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < work->n_folders; i++) {
        if (work->folders[i].fd < 0) {
            rc = open_one(work, ops, &work->folders[i], missing, err);
        }
    }
    return rc;
}

otr_code otr_work_verify(otr_work *work, const otr_fileops *ops, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < work->n_folders; i++) {
        const otr_work_folder *f = &work->folders[i];
        struct stat st, now;
        int fd = open_folder(work, ops, f);
        if (fd < 0) {
            return errno == ENOENT || errno == ELOOP || errno == EXDEV || errno == ENOTDIR
                       ? fail_moved(f, err)
                       : otr_fail_sys(err, errno, "cannot open the folder %s", f->path);
        }
        if (ops->stat(ops, fd, "", &now) != 0 || ops->stat(ops, f->fd, "", &st) != 0) {
            rc = otr_fail_sys(err, errno, "cannot look at the folder %s", f->path);
        } else if (now.st_ino != st.st_ino || now.st_dev != st.st_dev) {
            rc = fail_moved(f, err);
        }
        (void)ops->close(ops, fd);
    }
    return rc;
}

otr_code otr_work_sync(otr_work *work, const otr_fileops *ops, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; i < work->n_folders; i++) {
        otr_work_folder *f = &work->folders[i];
        if (!f->dirty || f->fd < 0) {
            continue;
        }
        if (otr_fileops_sync(ops, f->fd) == 0 || errno == EINVAL) { /* it cannot be synced here */
            f->dirty = false;
        } else if (rc == OTR_OK) {
            rc = otr_fail_sys(err, errno, "cannot sync the folder %s", f->path);
        }
    }
    return rc;
}
