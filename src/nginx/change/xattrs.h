/*
 * Extended attributes of a file that is replaced: access list, security label and what else there
 * is.
 *
 * Thread: any. Calls block.
 */
#ifndef OTR_NGINX_CHANGE_XATTRS_H
#define OTR_NGINX_CHANGE_XATTRS_H

#include "base/base.h"
#include "base/err.h"
#include "nginx/change/fileops.h"

enum { OTR_XATTRS_ACL = 1, OTR_XATTRS_LABEL = 2, OTR_XATTRS_OTHER = 4 };

/* Which kinds the open file has; 0 where the file system has none. */
unsigned otr_xattrs_kinds(int fd);
/* Copies them all. What only the system may set (an integrity signature, say) is left out where it
 * cannot be copied; an access list or label that cannot be is an error, which names `path`. */
otr_code otr_xattrs_copy(const otr_fileops *ops, int from, int to, const char *path, otr_err *err)
    OTR_MUST_CHECK;

#endif
