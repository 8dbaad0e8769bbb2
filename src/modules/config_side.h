/*
 * The files of an NGINX at one time: a version of the history, or the disk as it is now.
 *
 * Thread: worker: the strand of the history.
 */
#ifndef OTR_MODULES_CONFIG_SIDE_H
#define OTR_MODULES_CONFIG_SIDE_H

#include "base/buf.h"
#include "nginx/history/history.h"
#include "nginx/instance/instance.h"

typedef struct otr_config_entry {
    char *path, *link; /* link: NULL for a regular file */
    otr_history_stat stat;
    bool secret; /* not to be shown */
    bool kept;   /* its content can be read */
    char *why;   /* of the disk: why it could not be read; NULL: it could */
} otr_config_entry;

typedef struct otr_config_side { /* sorted by path */
    bool disk;
    char version[OTR_HISTORY_ID_BYTES]; /* "" for the disk */
    const otr_nginx_instance *nginx;    /* of the disk; borrowed */
    otr_config_entry *items;
    size_t n, cap;
} otr_config_side;

void otr_config_side_deinit(otr_config_side *side);
/* `text` is "disk" or as otr_history_find_version() takes it. Of the disk, the files of the
 * configuration and those of the version in force are looked at; `nginx` may be NULL, and then the
 * disk is OTR_ESTATE. */
otr_code otr_config_side_load(otr_config_side *side, otr_history *h, const char *instance,
                              const otr_nginx_instance *nginx, const char *text, otr_err *err)
    OTR_MUST_CHECK;
const otr_config_entry *otr_config_side_find(const otr_config_side *side, const char *path);
/* Appends the content of an entry. */
otr_code otr_config_side_read(const otr_config_side *side, otr_history *h,
                              const otr_config_entry *entry, otr_buf *out, otr_err *err)
    OTR_MUST_CHECK;

#endif
