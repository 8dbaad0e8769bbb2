/*
 * Files as one NGINX sees them: opened and matched below its root.
 *
 * `root` is "" for a process that shares our root directory, else a directory such as
 * "/proc/17/root". Below a foreign root the kernel keeps every path, absolute symbolic links
 * included, inside it (openat2, RESOLVE_IN_ROOT).
 *
 * Thread: any; calls block.
 */
#ifndef OTR_NGINX_FILES_H
#define OTR_NGINX_FILES_H

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

enum { OTR_NGINX_PATH_BYTES = 4096 };

/* Opens absolute `path` for reading; `flags` as for open(2), O_CLOEXEC is added. */
otr_code otr_root_open(const char *root, const char *path, int flags, int *ret_fd, otr_err *err)
    OTR_MUST_CHECK;

/* Appends the content of a regular file. Errors name the path. */
otr_code otr_root_read(const char *root, const char *path, otr_buf *out, otr_err *err)
    OTR_MUST_CHECK;

typedef struct otr_paths {
    char **items;
    size_t n, cap;
} otr_paths;

void otr_paths_deinit(otr_paths *paths);
otr_code otr_paths_add(otr_paths *paths, const char *path, size_t max, otr_err *err) OTR_MUST_CHECK;

/* Does `pattern` hold a wildcard, by NGINX's rule? */
bool otr_is_glob(const char *pattern);

/* Adds the paths that match the absolute `pattern`, sorted bytewise; names that begin with a dot
 * match only a pattern that does. No match is no error; OTR_EQUOTA past `max` paths. */
otr_code otr_root_glob(const char *root, const char *pattern, size_t max, otr_paths *out,
                       otr_err *err) OTR_MUST_CHECK;

/* Puts "<dir>/<path>", or `path` alone when it is absolute, into the empty `out`, with "//" and
 * "/./" taken out. */
otr_code otr_path_join(const char *dir, const char *path, otr_buf *out, otr_err *err)
    OTR_MUST_CHECK;

#endif
