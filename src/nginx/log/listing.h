/*
 * The files beside a log: where a renamed one went, and the copy that was made of a truncated one.
 * Private to this folder.
 *
 * A folder that holds thousands of logs is listed once for all that rotate together.
 *
 * Thread: one at a time; calls block.
 */
#ifndef OTR_NGINX_LOG_LISTING_H
#define OTR_NGINX_LOG_LISTING_H

#include "base/base.h"
#include "nginx/log/file.h"

typedef struct otr_log_listing otr_log_listing;

void otr_log_listing_free(otr_log_listing *listing); /* NULL is fine */

/* "<folder of path>/<name>", owned by the caller; NULL: no memory. */
char *otr_log_path_beside(const char *path, const char *name) OTR_MUST_CHECK;

/* Where in the folder of `path` the file, which is not where it was, is now: an absolute path,
 * owned by the caller; NULL when it is not there, or, with `*ret_sure` false, when that is to be
 * asked again: by a listing that is older than its move, which names may be missing from. */
char *otr_log_find_moved(otr_log_reader *reader, const otr_root *root, const char *path,
                         otr_log_file *file, bool *ret_sure) OTR_MUST_CHECK;

/* Of a log's name: up to its last point, or all of it. */
size_t otr_log_stem_length(const char *log);
/* Calls `fn` with each name in the folder of `path` that begins as the log's own, up to its last
 * point. */
void otr_log_each_named_after(otr_log_reader *reader, const otr_root *root, const char *path,
                              void (*fn)(void *arg, const char *name), void *arg);

/* Opens the file beside `path`, named after it, that holds what was read of `file` and at least as
 * much; the youngest of several. -1: there is none. */
int otr_log_find_copy(otr_log_reader *reader, const otr_root *root, const char *path,
                      const otr_log_file *file) OTR_MUST_CHECK;

#endif
