/*
 * What a configuration was read from at one moment, to be compared with what is on disk later.
 *
 * A seal is made while the configuration is walked, before `nginx -t`, and looked at once the new
 * workers are there. Where it holds, the test, NGINX and whoever looks now have read the same
 * files, whoever asked for the reload. A file is the same by device, inode, size and the times of
 * its content and of its inode; the latter moves on with every write and cannot be set. Files that
 * were written in the very moments before have the time of that write still after the next one:
 * theirs is compared by their text, too. Of a folder that has moved the include patterns are
 * followed anew.
 *
 * Thread: one at a time; calls block.
 */
#ifndef OTR_NGINX_APPLY_SEAL_H
#define OTR_NGINX_APPLY_SEAL_H

#include <sys/stat.h>

#include "base/base.h"
#include "base/err.h"
#include "nginx/root.h"

typedef struct otr_seal otr_seal;

/* `config`: the main file, absolute. */
otr_code otr_seal_new(const char *config, otr_seal **ret, otr_err *err) OTR_MUST_CHECK;
/* A file with its text, or a folder without: as otr_visitor.visit(). */
otr_code otr_seal_add(otr_seal *seal, const char *path, const struct stat *st,
                      const otr_bytes *text, otr_err *err) OTR_MUST_CHECK;
/* A part of it could not be looked at: then it cannot hold. The first reason counts. */
void otr_seal_doubt(otr_seal *seal, const char *why);
void otr_seal_free(otr_seal *seal); /* NULL is fine */

/* The folders that patterns lead to. */
typedef otr_code otr_seal_folder_fn(void *arg, uint64_t dev, uint64_t ino, otr_err *err);
otr_code otr_seal_folders(const otr_seal *seal, otr_seal_folder_fn *fn, void *arg, otr_err *err)
    OTR_MUST_CHECK;

typedef enum otr_seal_state {
    OTR_SEAL_HOLDS,
    OTR_SEAL_BROKEN,  /* something is another one, or is gone, or was added */
    OTR_SEAL_UNKNOWN, /* it cannot be told */
} otr_seal_state;

/* `text`: which file and why; "" when it holds. Fails when memory is out. */
otr_code otr_seal_look(const otr_seal *seal, const otr_root *root, otr_seal_state *ret, char *text,
                       size_t cap, otr_err *err) OTR_MUST_CHECK;

#endif
