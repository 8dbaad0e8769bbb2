/*
 * What the files of an NGINX are now, as a version of the history.
 *
 * These are the files that its configuration is read from, those of the version in force that are
 * still there (keys and certificates that were applied once), and those that the caller names.
 *
 * Thread: worker (it blocks): the strand of the history.
 */
#ifndef OTR_MODULES_CONFIG_SNAPSHOT_H
#define OTR_MODULES_CONFIG_SNAPSHOT_H

#include "nginx/history/history.h"
#include "nginx/instance/instance.h"

typedef struct otr_snapshot_spec {
    const otr_nginx_instance *instance;
    const char *const *paths; /* further ones, absolute, ended by NULL; those that are not there are
                                 passed over. NULL: none */
    char *const *beside; /* of these the version in force counts, whatever the disk has: they have
                            drifted, and nobody adopted that. Ended by NULL; NULL: none */
} otr_snapshot_spec;

typedef struct otr_snapshot {
    char version[OTR_HISTORY_ID_BYTES];
    size_t files;
    char remark[256]; /* "" or what could not be recorded and why */
} otr_snapshot;

/* A file that cannot be read is as in the version in force, or left out where that does not have
 * it, with a remark; a failure of the store is an error. */
otr_code otr_config_snapshot(otr_history *h, const otr_snapshot_spec *spec, otr_snapshot *ret,
                             otr_err *err) OTR_MUST_CHECK;

/* The absolute paths of the files that its configuration is read from now, sorted, ended by NULL;
 * free them with otr_texts_free(). */
otr_code otr_config_paths(const otr_nginx_instance *instance, char ***ret, otr_err *err)
    OTR_MUST_CHECK;

#endif
