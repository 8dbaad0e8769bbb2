/*
 * Where a set of changes comes from: a folder, a single file, a tar stream.
 *
 * All of it is foreign input. A folder is walked by descriptors and no symbolic link in it is
 * followed; FIFOs, devices and sockets are refused without being opened, hidden names (".git", an
 * editor's swap files) left out. A tar is ustar, pax or GNU (long names), not compressed; of its
 * members regular files count, folders are passed over, and hard links, devices, FIFOs, sparse
 * files and names that are absolute or hold ".." are refused. A symbolic link, in either, has to be
 * on the disk already (OTR_CHANGE_LINK).
 *
 * Thread: as of the set. Calls block.
 */
#ifndef OTR_NGINX_CHANGE_SOURCES_H
#define OTR_NGINX_CHANGE_SOURCES_H

#include "base/base.h"
#include "base/err.h"
#include "nginx/change/changes.h"

/* Whether mode and owner of what is read are taken over, too. */
typedef enum otr_change_source_attributes {
    OTR_CHANGE_SOURCE_CONTENT, /* as the file on disk has them, or the defaults of an addition */
    OTR_CHANGE_SOURCE_MODE,    /* mode as in the source */
    OTR_CHANGE_SOURCE_OWNER,   /* mode and owner (by number) as in the source */
} otr_change_source_attributes;

typedef struct otr_change_source {
    const char *prefix; /* absolute folder that names are put below, such as "/etc/nginx" */
    otr_change_source_attributes attributes;
} otr_change_source;

/* Puts every file below `folder` (a path of this process) below the prefix. */
otr_code otr_changes_add_folder(otr_changes *set, const otr_change_source *how, const char *folder,
                                otr_err *err) OTR_MUST_CHECK;
/* Puts the regular file `from` (a path of this process) at the absolute path `to`. */
otr_code otr_changes_add_file(otr_changes *set, const otr_change_source *how, const char *from,
                              const char *to, otr_err *err) OTR_MUST_CHECK;

/* A tar in pieces of any size. */
typedef struct otr_tar otr_tar;
/* Borrows `set` until it is freed. */
otr_code otr_tar_new(otr_changes *set, const otr_change_source *how, otr_tar **ret, otr_err *err)
    OTR_MUST_CHECK;
/* After an error no more may follow. What comes after the archive's end is not looked at. */
otr_code otr_tar_feed(otr_tar *tar, otr_bytes piece, otr_err *err) OTR_MUST_CHECK;
/* OTR_EINVAL: the archive is cut short. */
otr_code otr_tar_end(otr_tar *tar, otr_err *err) OTR_MUST_CHECK;
void otr_tar_free(otr_tar *tar); /* NULL is fine */
/* All of it from a descriptor (a file, a pipe), new() to free(). */
otr_code otr_changes_add_tar(otr_changes *set, const otr_change_source *how, int fd, otr_err *err)
    OTR_MUST_CHECK;

#endif
