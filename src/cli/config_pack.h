/*
 * Files, folders or a tar of the one who types, as one tar in a file without a name.
 *
 * A folder is walked by descriptors, sorted, and no link is followed: a symbolic link is packed as
 * one. Names that begin with a dot are left out. FIFOs, devices and sockets are refused unopened.
 *
 * Thread: main.
 */
#ifndef OTR_CLI_CONFIG_PACK_H
#define OTR_CLI_CONFIG_PACK_H

#include "base/base.h"
#include "base/err.h"
#include "base/tar.h"

typedef struct otr_pack {
    int fd; /* -1: none yet */
    uint64_t bytes;
    size_t files;
    bool whole; /* a folder or a tar is in it: nothing may stand beside it */
    bool taken; /* it is a tar that was given: it has its end */
    otr_tarw tar;
} otr_pack;

/* An empty archive in $TMPDIR or /tmp. `pack` stays where it is until it is closed. */
otr_code otr_pack_open(otr_pack *pack, otr_err *err) OTR_MUST_CHECK;
void otr_pack_close(otr_pack *pack);

/* `path` is one of: a folder, whose files go below "" in the archive; a tar, taken as it is; a
 * file, which is called `name`. "-" is standard input: a tar, or with a name the content of one
 * file. A file without a name (NULL) is OTR_EINVAL. Only one folder or tar, and nothing beside it.
 */
otr_code otr_pack_add(otr_pack *pack, const char *path, const char *name, otr_err *err)
    OTR_MUST_CHECK;
/* No more comes. */
otr_code otr_pack_end(otr_pack *pack, otr_err *err) OTR_MUST_CHECK;

#endif
