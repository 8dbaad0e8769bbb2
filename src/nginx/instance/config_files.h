/*
 * Private to src/nginx/instance: the files that a configuration was read from, and whether they are
 * still as they were. What NGINX has loaded and what is on disk are two things.
 *
 * A look compares what the file system says of each file and of each folder that an include pattern
 * leads to; only where that differs is the configuration walked again, to compare its text.
 *
 * Thread: one at a time; calls block.
 */
#ifndef OTR_NGINX_INSTANCE_CONFIG_FILES_H
#define OTR_NGINX_INSTANCE_CONFIG_FILES_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/base.h"
#include "base/digest.h"
#include "base/err.h"
#include "nginx/root.h"

typedef struct otr_config_stamp {
    char *path;
    uint64_t dev, ino, size, mtime_ns, ctime_ns;
    bool folder;
} otr_config_stamp;

typedef struct otr_config_files {
    otr_config_stamp *items;
    size_t n, cap;
    size_t next;                       /* to be looked at */
    char digest[OTR_SHA256_HEX_BYTES]; /* of all paths and texts in order; "" at first */
    bool changed;                      /* the text is another one by now */
} otr_config_files;

/* A file with its text, or a folder without: as otr_visitor.visit(). */
otr_code otr_config_files_add(otr_config_files *files, const char *path, const struct stat *st,
                              const otr_bytes *text, otr_err *err) OTR_MUST_CHECK;
void otr_config_files_deinit(otr_config_files *files);

/* Sets `changed`. Of many files only some are looked at in one call. */
otr_code otr_config_files_look(otr_config_files *files, const otr_root *root, const char *config,
                               otr_err *err) OTR_MUST_CHECK;

/* A path that was changed after `wall_ns`; NULL: none. */
const char *otr_config_files_newer(const otr_config_files *files, uint64_t wall_ns);

#endif
