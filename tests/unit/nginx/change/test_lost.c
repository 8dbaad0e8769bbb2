/* The power goes: what was not synced is lost. A layer over the file operations records what each
 * file and folder would have kept, and at every point a tree is made of it, in which of the names
 * that were not synced none, all or any are there, and of the data that were not synced nothing.
 * Recovery in that tree gives the old or the new one, complete. */
#include "unit/nginx/change/faults.h"
#include "unit/nginx/change/scene.h"

enum { ENTRIES = 1024, FILES = 128, FOLDERS = 16, NAMES = 64, CONTENT = 8192 };

typedef enum kind { MAKE, MOVE, EXCHANGE, REMOVE } kind;

typedef struct entry { /* of a folder: one operation on its names */
    kind kind;
    int folder;
    char a[96], b[96];
    int file; /* that MAKE names, or a folder as -1 - index */
    long at;  /* which operation it was */
} entry;

typedef struct file {
    ino_t ino;
    char vault[32]; /* a further name, so that the inode stays */
    size_t synced, now;
    char content[CONTENT]; /* as it was synced last */
} file;

typedef struct folder {
    ino_t ino;
    char path[256];
    char vault[32];
    long synced; /* operations on it before this one stay */
} folder;

typedef struct name {
    char text[96];
    int file;
} name;

typedef struct disk {
    otr_fileops ops; /* first */
    scene s;
    char vault[200];
    entry entries[ENTRIES];
    size_t n_entries;
    file files[FILES];
    int n_files;
    folder folders[FOLDERS];
    int n_folders;
    name names[FOLDERS][NAMES]; /* at the beginning */
    int n_names[FOLDERS];
    long at;  /* operations that changed something, so far */
    long end; /* the power goes before this one; 0: never */
    bool dead;
} disk;

static disk *of(const otr_fileops *ops)
{
    return (disk *)(uintptr_t)ops;
}

/* Every change passes here. */
static bool has_power(disk *d)
{
    d->at++;
    d->dead = d->dead || (d->end > 0 && d->at >= d->end);
    if (d->dead) {
        errno = EIO;
    }
    return !d->dead;
}

static int folder_of(disk *d, int fd)
{
    struct stat st;
    for (int i = 0; fstat(fd, &st) == 0 && i < d->n_folders; i++) {
        if (d->folders[i].ino == st.st_ino) {
            return i;
        }
    }
    return -1;
}

static int file_of(disk *d, ino_t ino)
{
    for (int i = 0; i < d->n_files; i++) {
        if (d->files[i].ino == ino) {
            return i;
        }
    }
    return -1;
}

static int add_file(disk *d, int dir, const char *text)
{
    struct stat st;
    char to[320];
    if (fstatat(dir, text, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return -1;
    }
    int i = file_of(d, st.st_ino);
    if (i >= 0 || d->n_files == FILES) {
        return i;
    }
    file *f = &d->files[d->n_files];
    *f = (file){ .ino = st.st_ino };
    snprintf(f->vault, sizeof(f->vault), "f%d", d->n_files);
    snprintf(to, sizeof(to), "%s/%s", d->vault, f->vault);
    return linkat(dir, text, AT_FDCWD, to, 0) == 0 ? d->n_files++ : -1;
}

static int add_folder(disk *d, const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0 || d->n_folders == FOLDERS) {
        return -1;
    }
    folder *f = &d->folders[d->n_folders];
    *f = (folder){ .ino = st.st_ino };
    snprintf(f->path, sizeof(f->path), "%s", path);
    snprintf(f->vault, sizeof(f->vault), "d%d", d->n_folders);
    return d->n_folders++;
}

static void note(disk *d, kind what, int dir, const char *a, const char *b, int which)
{
    int f = folder_of(d, dir);
    if (f >= 0 && d->n_entries < ENTRIES) {
        entry *e = &d->entries[d->n_entries++];
        *e = (entry){ .kind = what, .folder = f, .file = which, .at = d->at };
        snprintf(e->a, sizeof(e->a), "%s", a);
        snprintf(e->b, sizeof(e->b), "%s", b);
    }
}

/* ---- the operations ---- */

static int disk_open(const otr_fileops *ops, int dir, const char *path, const struct open_how *how)
{
    disk *d = of(ops);
    bool makes = (how->flags & O_CREAT) != 0;
    if (makes && !has_power(d)) {
        return -1;
    }
    int fd = otr_fileops_system.open(ops, dir, path, how);
    if (fd >= 0 && makes) {
        note(d, MAKE, dir, path, "", add_file(d, dir, path));
    }
    return fd;
}

static ssize_t disk_pwrite(const otr_fileops *ops, int fd, const void *from, size_t n, off_t at)
{
    return has_power(of(ops)) ? otr_fileops_system.pwrite(ops, fd, from, n, at) : -1;
}

static int disk_truncate(const otr_fileops *ops, int fd, off_t n)
{
    return has_power(of(ops)) ? otr_fileops_system.truncate(ops, fd, n) : -1;
}

static int disk_sync(const otr_fileops *ops, int fd)
{
    disk *d = of(ops);
    struct stat st;
    if (!has_power(d) || fstat(fd, &st) != 0) {
        return -1;
    }
    int f = file_of(d, st.st_ino), dir = folder_of(d, fd);
    if (f >= 0) {
        char path[64];
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        int in = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = pread(in, d->files[f].content, CONTENT, 0);
        d->files[f].synced = n > 0 ? (size_t)n : 0;
        close(in);
    }
    if (dir >= 0) {
        d->folders[dir].synced = d->at;
    }
    return 0;
}

static int disk_mkdir(const otr_fileops *ops, int dir, const char *path, mode_t mode)
{
    disk *d = of(ops);
    if (!has_power(d)) {
        return -1;
    }
    int rc = otr_fileops_system.mkdir(ops, dir, path, mode);
    if (rc == 0) {
        char whole[256];
        int above = dir >= 0 ? folder_of(d, dir) : -1;
        snprintf(whole, sizeof(whole), "%.160s/%.80s", above >= 0 ? d->folders[above].path : "",
                 path);
        int made = add_folder(d, above >= 0 ? whole : path);
        if (above >= 0) {
            note(d, MAKE, dir, path, "", -1 - made);
        }
    }
    return rc;
}

static int disk_rename(const otr_fileops *ops, int from_dir, const char *from, int to_dir,
                       const char *to, unsigned flags)
{
    disk *d = of(ops);
    if (!has_power(d)) {
        return -1;
    }
    int rc = otr_fileops_system.rename(ops, from_dir, from, to_dir, to, flags);
    if (rc == 0) {
        note(d, (flags & 2) != 0 ? EXCHANGE : MOVE, from_dir, from, to, -1);
    }
    return rc;
}

/* A folder keeps its inode: it is put away instead. */
static int disk_unlink(const otr_fileops *ops, int dir, const char *path, int flags)
{
    disk *d = of(ops);
    char to[320];
    if (!has_power(d)) {
        return -1;
    }
    int rc;
    if ((flags & AT_REMOVEDIR) != 0) {
        int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int f = fd >= 0 ? folder_of(d, fd) : -1;
        if (fd >= 0) {
            close(fd);
        }
        snprintf(to, sizeof(to), "%s/%s", d->vault, f >= 0 ? d->folders[f].vault : "");
        rc = f >= 0 ? renameat(dir, path, AT_FDCWD, to) : -1;
    } else {
        rc = otr_fileops_system.unlink(ops, dir, path, flags);
    }
    if (rc == 0) {
        note(d, REMOVE, dir, path, "", -1);
    }
    return rc;
}

static int no_link(const otr_fileops *ops, int a, const char *b, int c, const char *e)
{
    (void)ops, (void)a, (void)b, (void)c, (void)e;
    errno = EPERM;
    return -1;
}

/* ---- what is left ---- */

static int find_name(const name *names, int n, const char *text)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(names[i].text, text) == 0) {
            return i;
        }
    }
    return -1;
}

static void set_name(name *names, int *n, const char *text, int which)
{
    int i = find_name(names, *n, text);
    if (i < 0 && *n < NAMES) {
        i = (*n)++;
        snprintf(names[i].text, sizeof(names[i].text), "%s", text);
    }
    if (i >= 0) {
        names[i].file = which;
    }
}

static void drop_name(name *names, int *n, const char *text)
{
    int i = find_name(names, *n, text);
    if (i >= 0) {
        names[i] = names[--*n];
    }
}

/* What cannot be done, as what it needs was lost, is lost, too. */
static void play(const entry *e, name *names, int *n)
{
    int a = find_name(names, *n, e->a), b = find_name(names, *n, e->b);
    if (e->kind == MAKE) {
        set_name(names, n, e->a, e->file);
    } else if (e->kind == REMOVE) {
        drop_name(names, n, e->a);
    } else if (e->kind == MOVE && a >= 0) {
        int one = names[a].file;
        drop_name(names, n, e->a);
        set_name(names, n, e->b, one);
    } else if (e->kind == EXCHANGE && a >= 0 && b >= 0) {
        int one = names[a].file;
        names[a].file = names[b].file;
        names[b].file = one;
    }
}

typedef enum lost { NOTHING, EVERYTHING, ANY } lost;

static bool stays(const disk *d, const entry *e, lost what, unsigned *seed)
{
    if (e->at < d->folders[e->folder].synced || what == NOTHING) {
        return true;
    }
    *seed = *seed * 1103515245U + 12345U;
    return what == ANY && (*seed >> 16 & 1) != 0;
}

/* Takes every name out of a folder: files have another in the vault, folders go there. */
static void empty(disk *d, const folder *f)
{
    DIR *dir = opendir(f->path);
    const struct dirent *e;
    while (dir != NULL && (e = readdir(dir)) != NULL) {
        struct stat st;
        char to[320];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
            continue;
        }
        if (!S_ISDIR(st.st_mode)) {
            unlinkat(dirfd(dir), e->d_name, 0);
            continue;
        }
        for (int i = 0; i < d->n_folders; i++) {
            if (d->folders[i].ino == st.st_ino) {
                snprintf(to, sizeof(to), "%s/%s", d->vault, d->folders[i].vault);
                renameat(dirfd(dir), e->d_name, AT_FDCWD, to);
            }
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
}

static void put_name(const disk *d, const folder *f, const name *n)
{
    char from[320], to[400];
    int i = n->file;
    snprintf(from, sizeof(from), "%s/%s", d->vault,
             i >= 0 ? d->files[i].vault : d->folders[-1 - i].vault);
    snprintf(to, sizeof(to), "%s/%s", f->path, n->text);
    if (i >= 0) {
        CHECK_INT(link(from, to), 0);
    } else {
        CHECK_INT(rename(from, to), 0);
    }
}

/* Folders are emptied from the innermost on and filled from the outermost on. */
static void make_what_is_left(disk *d, lost what, unsigned seed)
{
    static name names[FOLDERS][NAMES];
    int n[FOLDERS];
    memcpy(names, d->names, sizeof(names));
    memcpy(n, d->n_names, sizeof(n));
    for (size_t i = 0; i < d->n_entries; i++) {
        const entry *e = &d->entries[i];
        if (stays(d, e, what, &seed)) {
            play(e, names[e->folder], &n[e->folder]);
        }
    }
    for (int i = d->n_folders - 1; i >= 0; i--) {
        empty(d, &d->folders[i]);
    }
    for (int i = 0; i < d->n_files; i++) {
        char path[320];
        struct stat st;
        snprintf(path, sizeof(path), "%s/%s", d->vault, d->files[i].vault);
        bool same = stat(path, &st) == 0 && (size_t)st.st_size == d->files[i].synced;
        int fd = open(path, O_RDWR | O_CLOEXEC);
        char now[CONTENT];
        ssize_t have = pread(fd, now, sizeof(now), 0);
        if (!same || have < 0 || memcmp(now, d->files[i].content, d->files[i].synced) != 0) {
            CHECK(ftruncate(fd, 0) == 0 &&
                  pwrite(fd, d->files[i].content, d->files[i].synced, 0) >= 0);
        }
        close(fd);
    }
    for (int i = 0; i < d->n_folders; i++) {
        for (int j = 0; j < n[i] && access(d->folders[i].path, F_OK) == 0; j++) {
            put_name(d, &d->folders[i], &names[i][j]);
        }
    }
}

/* ---- a run ---- */

static void survey(disk *d, const char *path)
{
    int f = add_folder(d, path);
    DIR *dir = opendir(path);
    const struct dirent *e;
    while (dir != NULL && (e = readdir(dir)) != NULL) {
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
            continue;
        }
        if (S_ISREG(st.st_mode)) {
            int i = add_file(d, dirfd(dir), e->d_name);
            int fd = openat(dirfd(dir), e->d_name, O_RDONLY | O_CLOEXEC);
            ssize_t n = pread(fd, d->files[i].content, CONTENT, 0);
            d->files[i].synced = n > 0 ? (size_t)n : 0;
            close(fd);
            set_name(d->names[f], &d->n_names[f], e->d_name, i);
        } else {
            char below[256];
            snprintf(below, sizeof(below), "%.160s/%.80s", path, e->d_name);
            set_name(d->names[f], &d->n_names[f], e->d_name, -1 - d->n_folders);
            survey(d, below);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
}

static bool disk_init(disk *d, long end)
{
    otr_err err;
    memset(d, 0, sizeof(*d));
    d->ops = otr_fileops_system;
    d->ops.open = disk_open;
    d->ops.pwrite = disk_pwrite;
    d->ops.truncate = disk_truncate;
    d->ops.sync = disk_sync;
    d->ops.mkdir = disk_mkdir;
    d->ops.rename = disk_rename;
    d->ops.unlink = disk_unlink;
    d->ops.link = no_link;
    if (!scene_ready(&d->s, &err)) {
        return false;
    }
    snprintf(d->vault, sizeof(d->vault), "%s/vault", d->s.t.dir);
    d->end = end;
    mkdir(d->vault, 0700);
    mkdir(d->s.journals, 0700);
    survey(d, d->s.conf);
    survey(d, d->s.journals);
    return true;
}

typedef struct outcome {
    bool proven; /* "proven" was told to be kept */
    bool ended;
} outcome;

static outcome drive(disk *d, bool back)
{
    otr_err err;
    otr_change *change = NULL;
    outcome ret = { 0 };
    const otr_bytes none = { 0 };
    const otr_change_spec spec = scene_spec(&d->s, &d->ops);
    bool ok = otr_change_begin(&spec, d->s.plan, &change, &err) == OTR_OK &&
              otr_change_stage(change, &err) == OTR_OK && otr_change_swap(change, &err) == OTR_OK &&
              otr_change_mark(change, OTR_CHANGE_RELOADING, none, &err) == OTR_OK;
    if (ok && back) {
        ret.ended = otr_change_undo(change, &err) == OTR_OK;
    } else if (ok) {
        ret.proven = otr_change_mark(change, OTR_CHANGE_PROVEN, none, &err) == OTR_OK;
        ret.ended = ret.proven && otr_change_finish(change, &err) == OTR_OK;
    }
    otr_change_free(change);
    return ret;
}

static bool lose(disk *d, long end, lost what, unsigned seed, bool back)
{
    otr_err err = { 0 };
    snap now;
    if (!disk_init(d, end)) {
        CHECK(false);
        return false;
    }
    outcome o = drive(d, back);
    make_what_is_left(d, what, seed);
    otr_code rc = scene_recover(&d->s, NULL, &err);
    const char *which = scene_which(&d->s, &now), *want = o.proven ? "new" : "old";
    bool ok = rc == OTR_OK && strcmp(which, want) == 0;
    CHECK(ok);
    if (!ok) {
        printf("# power lost before change %ld, lost %d, seed %u: %s; tree: %s\n", end, (int)what,
               seed, rc == OTR_OK ? "" : err.msg, which);
    }
    bool more = !o.ended;
    scene_deinit(&d->s);
    return more;
}

static void lose_all(bool back)
{
    static disk d;
    unsigned seeds = getenv("OTR_ALL") != NULL ? 64 : 2, runs = 0;
    long end = 1;
    for (bool more = true; more; end++) {
        more = lose(&d, end, NOTHING, 0, back);
        (void)lose(&d, end, EVERYTHING, 0, back);
        for (unsigned seed = 1; seed <= seeds; seed++) {
            (void)lose(&d, end, ANY, seed * 7919U + (unsigned)end, back);
        }
        runs += 2 + seeds;
    }
    printf("# the power went before each of %ld changes of the disk, %u times in all\n", end - 2,
           runs);
    CHECK(end > 40);
}

T_NO_OOM(what_was_not_synced_is_not_missed) /* hundreds of transactions */
{
    lose_all(false);
}

T_NO_OOM(what_was_not_synced_of_an_undo_is_not_missed)
{
    lose_all(true);
}
