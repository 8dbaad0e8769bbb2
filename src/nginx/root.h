/*
 * Whose eyes a file is seen with: the root directory, the rights and the folders of one NGINX.
 *
 * A configuration is foreign input: it may name devices, FIFOs, files that its owner could not
 * read, our own output. So a file is first opened as a mere place (O_PATH), checked, and only then
 * opened for reading, all of it with the rights of the user that the master process runs as. What
 * `allowed` leaves out is not opened: the kernel keeps the path beneath the opened folder
 * (openat2), and symbolic links that lead out of it count by where they end.
 *
 * Thread: any; calls block. A thread has other rights for the time of a call.
 */
#ifndef OTR_NGINX_ROOT_H
#define OTR_NGINX_ROOT_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/base.h"
#include "base/err.h"

enum { OTR_ROOT_PATH_BYTES = 4096 };

typedef struct otr_root {
    const char *path; /* "": our own root directory, else one such as "/proc/17/root", inside which
                         the kernel then keeps every path, absolute symbolic links included */
    uid_t uid;        /* of the master: root's and our own are read with our rights */
    gid_t gid;
    const gid_t *groups; /* supplementary ones */
    size_t n_groups;
    const char *const *allowed; /* absolute clean folders as that NGINX names them, ended by NULL;
                                   NULL: everywhere */
} otr_root;

/* A copy in one piece of memory. */
otr_code otr_root_copy(const otr_root *from, otr_root **ret, otr_err *err) OTR_MUST_CHECK;
void otr_root_free(otr_root *root); /* of a copy; NULL is fine */
bool otr_root_eq(const otr_root *a, const otr_root *b);

/* Opens absolute `path`: `flags` as for open(2) with O_CLOEXEC added, for folders (O_DIRECTORY) and
 * places (O_PATH). OTR_EDENIED: outside of `allowed`. */
otr_code otr_root_open(const otr_root *root, const char *path, int flags, int *ret_fd, otr_err *err)
    OTR_MUST_CHECK;

/* Opens a regular file for reading; nothing else is ever opened. `ret_stat` may be NULL.
 * OTR_EINVAL: it is something else, or our own output, and `err` says what; OTR_EDENIED: outside of
 * `allowed`, or the master's user may not read it; OTR_ENOTFOUND; OTR_EIO: err->sys. */
otr_code otr_root_open_file(const otr_root *root, const char *path, int *ret_fd,
                            struct stat *ret_stat, otr_err *err) OTR_MUST_CHECK;

/* Where a path ends: for who is going to write there. */
typedef struct otr_root_end {
    char path[OTR_ROOT_PATH_BYTES]; /* without symbolic links, clean */
    size_t there;                   /* bytes of `path` that exist; the rest is still to be made */
    size_t allowed;                 /* bytes of `path` that are the allowed folder it lies in */
    bool links;                     /* it was reached over a link */
} otr_root_end;

typedef enum otr_root_last {
    OTR_ROOT_FOLLOW, /* a link at the end of the path counts by where it leads */
    OTR_ROOT_STAY,   /* it counts itself */
} otr_root_last;

typedef struct otr_root_visitor {
    /* Each part on the way, from "/" on, folders and links and what stands at the end. Optional. */
    otr_code (*seen)(void *arg, const char *path, const struct stat *st, otr_err *err);
    void *arg;
} otr_root_visitor;

/* Follows absolute `path` to its end, which need not exist; nothing is opened but as a place.
 * OTR_EDENIED: the end is outside of `allowed`, which must not be NULL; OTR_EINVAL: a circle of
 * links, or ".." beyond what exists; or what the visitor returns. */
otr_code otr_root_follow(const otr_root *root, const char *path, otr_root_last last,
                         const otr_root_visitor *visitor, otr_root_end *ret, otr_err *err)
    OTR_MUST_CHECK;

#endif
