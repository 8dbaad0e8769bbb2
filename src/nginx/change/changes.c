#include "nginx/change/changes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/limits.h"
#include "nginx/change/names.h"

typedef struct filling { /* the put that is under way */
    bool open;
    otr_change_file file;
    uint64_t announced;
    otr_sha256 sum;
} filling;

struct otr_changes {
    int spool;
    uint64_t bytes; /* in the spool */
    otr_arena texts;
    otr_change_file *files;
    size_t n, cap;
    const char **synced; /* ended by NULL */
    size_t n_synced, cap_synced;
    filling now;
    bool done;
};

/* ---- the spool ---- */

static otr_code open_spool(const char *folder, int *ret, otr_err *err)
{
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
        char path[OTR_LIMIT_CHANGE_PATH_BYTES + 1];
        int n = snprintf(path, sizeof(path), "%s/.spool-XXXXXX", folder);
        if (n < 0 || (size_t)n >= sizeof(path)) {
            return otr_fail(err, OTR_EINVAL, "%s: the path is too long", folder);
        }
        fd = mkostemp(path, O_CLOEXEC);
        if (fd >= 0) {
            (void)unlink(path);
        }
    }
    if (fd < 0) {
        return otr_fail_sys(err, errno, "cannot make a file for a change in %s", folder);
    }
    *ret = fd;
    return OTR_OK;
}

static otr_code spool(otr_changes *set, otr_bytes piece, otr_err *err)
{
    while (piece.n > 0) {
        ssize_t n = pwrite(set->spool, piece.p, piece.n, (off_t)set->bytes);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return otr_fail_sys(err, errno,
                                "cannot keep the content of %s in the agent's state folder",
                                set->now.file.path);
        }
        piece.p += n;
        piece.n -= (size_t)n;
        set->bytes += (uint64_t)n;
    }
    return OTR_OK;
}

otr_code otr_changes_new(const char *folder, otr_changes **ret, otr_err *err)
{
    otr_changes *set = otr_zalloc(sizeof(*set));
    if (set == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = open_spool(folder, &set->spool, err);
    if (rc != OTR_OK) {
        otr_free(set);
        return rc;
    }
    *ret = set;
    return OTR_OK;
}

void otr_changes_free(otr_changes *set)
{
    if (set == NULL) {
        return;
    }
    (void)close(set->spool);
    otr_arena_deinit(&set->texts);
    otr_free(set->files);
    otr_free(set->synced);
    otr_free(set);
}

/* ---- filling ---- */

static otr_code add(otr_changes *set, const otr_change_file *file, otr_err *err)
{
    otr_code rc = otr_grow(&set->files, set->n, &set->cap, sizeof(*set->files), err);
    if (rc == OTR_OK) {
        set->files[set->n++] = *file;
    }
    return rc;
}

/* What every new file of the set has to pass, before anything of it is kept. */
static otr_code admit(otr_changes *set, const char *path, const char **ret_path, otr_err *err)
{
    if (set->done || set->now.open) {
        return otr_fail(err, OTR_ESTATE, "%s: this set of changes takes no other file now", path);
    }
    otr_code rc = otr_change_path_check(path, err);
    if (rc != OTR_OK) {
        return rc;
    }
    if (set->n >= OTR_LIMIT_CHANGE_FILES) {
        return otr_fail(err, OTR_EQUOTA,
                        "%s: a change has at most %d files; make several changes of it, or put "
                        "what is no configuration elsewhere",
                        path, OTR_LIMIT_CHANGE_FILES);
    }
    *ret_path = otr_arena_strdup(&set->texts, path);
    return *ret_path != NULL ? OTR_OK : otr_fail_nomem(err);
}

static otr_code check_attributes(const char *path, const otr_change_attributes *how, otr_err *err)
{
    bool mode = how->mode == OTR_CHANGE_KEEP || (how->mode >= 0 && how->mode <= 0777);
    bool owner = how->uid >= OTR_CHANGE_KEEP && how->uid < UINT32_MAX &&
                 how->gid >= OTR_CHANGE_KEEP && how->gid < UINT32_MAX;
    if (mode && owner) {
        return OTR_OK;
    }
    return otr_fail(err, OTR_EINVAL, "%s: %s", path,
                    mode ? "no such owner or group"
                         : "the mode has to be permissions alone, 0 to 0777");
}

static otr_code check_size(const otr_changes *set, const char *path, uint64_t size, otr_err *err)
{
    if (size > OTR_LIMIT_CHANGE_FILE_BYTES) {
        return otr_fail(err, OTR_EQUOTA, "%s: a file of a change has at most %u MiB", path,
                        OTR_LIMIT_CHANGE_FILE_BYTES / OTR_MIB);
    }
    uint64_t before = set->now.open ? set->now.file.at : set->bytes;
    if (size > OTR_LIMIT_CHANGE_BYTES - before) {
        return otr_fail(err, OTR_EQUOTA, "%s: all files of a change have at most %u MiB together",
                        path, OTR_LIMIT_CHANGE_BYTES / OTR_MIB);
    }
    return OTR_OK;
}

otr_code otr_changes_begin(otr_changes *set, const char *path, const otr_change_attributes *how,
                           uint64_t size, otr_err *err)
{
    const char *kept;
    otr_code rc = check_attributes(path, how, err);
    if (rc == OTR_OK && size != OTR_CHANGE_SIZE_UNKNOWN && !set->now.open) {
        rc = check_size(set, path, size, err);
    }
    if (rc == OTR_OK) {
        rc = admit(set, path, &kept, err);
    }
    if (rc != OTR_OK) {
        return rc;
    }
    set->now = (filling){
        .open = true,
        .file = { .path = kept, .kind = OTR_CHANGE_PUT, .attributes = *how, .at = set->bytes },
        .announced = size,
    };
    otr_sha256_init(&set->now.sum);
    return OTR_OK;
}

otr_code otr_changes_write(otr_changes *set, otr_bytes piece, otr_err *err)
{
    filling *now = &set->now;
    if (!now->open) {
        return otr_fail(err, OTR_ESTATE, "no file of this set of changes is being written");
    }
    uint64_t size = now->file.size + piece.n;
    if (now->announced != OTR_CHANGE_SIZE_UNKNOWN && size > now->announced) {
        return otr_fail(err, OTR_EINVAL, "%s has more bytes than the %llu that were announced",
                        now->file.path, (unsigned long long)now->announced);
    }
    otr_code rc = check_size(set, now->file.path, size, err);
    if (rc == OTR_OK) {
        rc = spool(set, piece, err);
    }
    if (rc == OTR_OK) {
        otr_sha256_add(&now->sum, piece);
        now->file.size = size;
    }
    return rc;
}

otr_code otr_changes_end(otr_changes *set, otr_err *err)
{
    filling *now = &set->now;
    if (!now->open) {
        return otr_fail(err, OTR_ESTATE, "no file of this set of changes is being written");
    }
    if (now->announced != OTR_CHANGE_SIZE_UNKNOWN && now->file.size != now->announced) {
        return otr_fail(err, OTR_EINVAL, "%s has %llu bytes, not the %llu that were announced",
                        now->file.path, (unsigned long long)now->file.size,
                        (unsigned long long)now->announced);
    }
    (void)otr_sha256_end(&now->sum, now->file.digest);
    now->open = false;
    return add(set, &now->file, err);
}

otr_code otr_changes_put(otr_changes *set, const char *path, const otr_change_attributes *how,
                         otr_bytes content, otr_err *err)
{
    otr_code rc = otr_changes_begin(set, path, how, content.n, err);
    if (rc == OTR_OK) {
        rc = otr_changes_write(set, content, err);
    }
    return rc == OTR_OK ? otr_changes_end(set, err) : rc;
}

otr_code otr_changes_delete(otr_changes *set, const char *path, otr_err *err)
{
    otr_change_file file = { .kind = OTR_CHANGE_DELETE, .attributes = OTR_CHANGE_KEEP_ALL };
    otr_code rc = admit(set, path, &file.path, err);
    return rc == OTR_OK ? add(set, &file, err) : rc;
}

otr_code otr_changes_link(otr_changes *set, const char *path, const char *target, otr_err *err)
{
    otr_change_file file = { .kind = OTR_CHANGE_LINK, .attributes = OTR_CHANGE_KEEP_ALL };
    if (strlen(target) > OTR_LIMIT_CHANGE_PATH_BYTES) {
        return otr_fail(err, OTR_EQUOTA, "%s: what the link says is too long", path);
    }
    otr_code rc = admit(set, path, &file.path, err);
    if (rc == OTR_OK && (file.link = otr_arena_strdup(&set->texts, target)) == NULL) {
        rc = otr_fail_nomem(err);
    }
    return rc == OTR_OK ? add(set, &file, err) : rc;
}

otr_code otr_changes_sync(otr_changes *set, const char *folder, otr_err *err)
{
    otr_code rc = otr_change_path_check(folder, err);
    if (rc != OTR_OK) {
        return rc;
    }
    if (set->done || set->n_synced >= OTR_LIMIT_CHANGE_SYNCED) {
        return otr_fail(err, set->done ? OTR_ESTATE : OTR_EQUOTA,
                        "%s: a change is the whole truth of at most %d folders", folder,
                        OTR_LIMIT_CHANGE_SYNCED);
    }
    for (size_t i = 0; i < 2 && rc == OTR_OK; i++) { /* room for the NULL, too */
        rc = otr_grow(&set->synced, set->n_synced + i, &set->cap_synced, sizeof(*set->synced), err);
    }
    const char *kept = rc == OTR_OK ? otr_arena_strdup(&set->texts, folder) : NULL;
    if (rc == OTR_OK && kept == NULL) {
        rc = otr_fail_nomem(err);
    }
    if (rc == OTR_OK) {
        set->synced[set->n_synced++] = kept;
        set->synced[set->n_synced] = NULL;
    }
    return rc;
}

/* ---- the end of it ---- */

static int by_path(const void *a, const void *b)
{
    return strcmp(((const otr_change_file *)a)->path, ((const otr_change_file *)b)->path);
}

/* Is a folder above `path` one of the files? */
static const otr_change_file *file_above(const otr_changes *set, const char *path)
{
    char folder[OTR_LIMIT_CHANGE_PATH_BYTES + 1];
    (void)snprintf(folder, sizeof(folder), "%s", path);
    for (char *slash = strrchr(folder, '/'); slash != folder && slash != NULL;
         slash = strrchr(folder, '/')) {
        *slash = '\0';
        const otr_change_file *file = otr_changes_find(set, folder);
        if (file != NULL && file->kind == OTR_CHANGE_PUT) {
            return file;
        }
    }
    return NULL;
}

static otr_code check_synced(const otr_changes *set, otr_err *err)
{
    for (size_t i = 0; i < set->n_synced; i++) {
        size_t n = strlen(set->synced[i]);
        for (size_t j = 0; j < set->n_synced; j++) {
            if (i != j && strncmp(set->synced[j], set->synced[i], n) == 0 &&
                (set->synced[j][n] == '/' || set->synced[j][n] == '\0')) {
                return otr_fail(err, OTR_EINVAL, "%s is synced as a part of %s already",
                                set->synced[j], set->synced[i]);
            }
        }
    }
    return OTR_OK;
}

otr_code otr_changes_done(otr_changes *set, otr_err *err)
{
    if (set->done || set->now.open) {
        return otr_fail(err, OTR_ESTATE, "this set of changes cannot be ended now");
    }
    if (set->n > 1) {
        qsort(set->files, set->n, sizeof(*set->files), by_path);
    }
    for (size_t i = 0; i < set->n; i++) {
        const otr_change_file *file = &set->files[i];
        if (i > 0 && strcmp(set->files[i - 1].path, file->path) == 0) {
            return otr_fail(err, OTR_EINVAL, "%s is named twice in one change", file->path);
        }
        if (file->kind != OTR_CHANGE_DELETE && file_above(set, file->path) != NULL) {
            return otr_fail(err, OTR_EINVAL, "%s cannot lie in %s, which the change makes a file",
                            file->path, file_above(set, file->path)->path);
        }
    }
    otr_code rc = check_synced(set, err);
    set->done = rc == OTR_OK;
    return rc;
}

/* ---- reading ---- */

size_t otr_changes_count(const otr_changes *set)
{
    return set->n;
}

uint64_t otr_changes_bytes(const otr_changes *set)
{
    return set->bytes;
}

const otr_change_file *otr_changes_at(const otr_changes *set, size_t i)
{
    return &set->files[i];
}

const otr_change_file *otr_changes_find(const otr_changes *set, const char *path)
{
    const otr_change_file key = { .path = path };
    return set->n > 0 ? bsearch(&key, set->files, set->n, sizeof(*set->files), by_path) : NULL;
}

const char *const *otr_changes_synced(const otr_changes *set)
{
    static const char *const none[] = { NULL };
    return set->synced != NULL ? set->synced : none;
}

otr_code otr_changes_pread(const otr_changes *set, const otr_change_file *file, uint64_t offset,
                           void *to, size_t n, size_t *ret_n, otr_err *err)
{
    uint64_t left = offset < file->size ? file->size - offset : 0;
    size_t want = n < left ? n : (size_t)left, got = 0;
    while (got < want) {
        ssize_t r =
            pread(set->spool, (uint8_t *)to + got, want - got, (off_t)(file->at + offset + got));
        if (r < 0 && errno == EINTR) {
            continue;
        }
        if (r <= 0) {
            return otr_fail_sys(err, r < 0 ? errno : EIO, "cannot read the new content of %s",
                                file->path);
        }
        got += (size_t)r;
    }
    *ret_n = got;
    return OTR_OK;
}

otr_code otr_changes_read(const otr_changes *set, const otr_change_file *file, otr_buf *out,
                          otr_err *err)
{
    uint8_t *to;
    size_t n = 0;
    otr_code rc = otr_buf_reserve(out, (size_t)file->size, &to, err);
    if (rc == OTR_OK) {
        rc = otr_changes_pread(set, file, 0, to, (size_t)file->size, &n, err);
    }
    if (rc == OTR_OK) {
        otr_buf_grew(out, n);
    }
    return rc;
}
