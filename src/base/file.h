/*
 * Regular files, opened without doing anything to what is none.
 *
 * A path is looked at first (O_PATH), which opens neither a FIFO nor a device, and what is no
 * regular file is refused by its kind: nothing here waits for a writer. /dev/null is an empty file.
 *
 * Thread: any; not the loop's, as a file system may be slow.
 */
#ifndef OTR_BASE_FILE_H
#define OTR_BASE_FILE_H

#include <sys/stat.h>

#include "base/base.h"
#include "base/err.h"

/* Opens `path` for reading; `*ret_fd` is the caller's, `*ret` what it is. Errors name the path;
 * OTR_EINVAL: it is no regular file. */
otr_code otr_file_open(const char *path, int *ret_fd, struct stat *ret, otr_err *err)
    OTR_MUST_CHECK;
/* The same for a relative `path` below the folder: the kernel resolves it, and neither ".." nor a
 * link may lead out (OTR_EDENIED). */
otr_code otr_file_open_beneath(const char *folder, const char *path, int *ret_fd, struct stat *ret,
                               otr_err *err) OTR_MUST_CHECK;

#endif
