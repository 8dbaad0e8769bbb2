/*
 * Files as one NGINX sees them: read and matched below its root (root.h).
 *
 * Thread: any; calls block.
 */
#ifndef OTR_NGINX_FILES_H
#define OTR_NGINX_FILES_H

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "nginx/root.h"

enum { OTR_NGINX_PATH_BYTES = 4096 };

/* Appends the content of a regular file; `ret_stat` may be NULL. Errors are those of
 * otr_root_open_file(). */
otr_code otr_root_read(const otr_root *root, const char *path, otr_buf *out, struct stat *ret_stat,
                       otr_err *err) OTR_MUST_CHECK;

typedef struct otr_paths {
    char **items;
    size_t n, cap;
} otr_paths;

void otr_paths_deinit(otr_paths *paths);
otr_code otr_paths_add(otr_paths *paths, const char *path, size_t max, otr_err *err) OTR_MUST_CHECK;
/* Sorts bytewise, and takes out what comes twice. */
void otr_paths_unique(otr_paths *paths);

/* Does `pattern` hold a wildcard, by NGINX's rule? */
bool otr_is_glob(const char *pattern);

typedef struct otr_glob {
    const char *pattern; /* absolute */
    size_t max;          /* OTR_EQUOTA past so many paths */
    /* A folder that the pattern leads to cannot be looked into: matches may be missing. Optional.
     */
    otr_code (*unseen)(void *arg, const otr_err *why, otr_err *err);
    /* A folder that is looked through. Optional. */
    otr_code (*looked)(void *arg, const char *path, const struct stat *st, otr_err *err);
    void *arg;
} otr_glob;

/* Adds the paths that match, sorted bytewise; names that begin with a dot match only a pattern that
 * does. No match is no error. */
otr_code otr_root_glob(const otr_root *root, const otr_glob *glob, otr_paths *out, otr_err *err)
    OTR_MUST_CHECK;

/* Puts "<dir>/<path>", or `path` alone when it is absolute, into the empty `out`, with "//" and
 * "/./" taken out. */
otr_code otr_path_join(const char *dir, const char *path, otr_buf *out, otr_err *err)
    OTR_MUST_CHECK;

#endif
