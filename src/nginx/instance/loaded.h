/*
 * Private to survey.c: which workers run with the configuration that was read, and when a master
 * has loaded another one.
 *
 * A reload makes a new generation of workers: the old ones all go. A worker that ended by itself is
 * replaced alone. Where all have gone at once the descriptors of the master tell: a reload opens
 * every log anew before it closes the old ones, so their numbers move; a new worker takes over the
 * numbers of the one that ended.
 *
 * Thread: one at a time.
 */
#ifndef OTR_NGINX_INSTANCE_LOADED_H
#define OTR_NGINX_INSTANCE_LOADED_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/base.h"
#include "base/err.h"

typedef struct otr_loaded { /* by a master */
    pid_t *workers;         /* of the generation, ascending */
    size_t n;
    uint64_t fds;   /* which descriptors the master has; 0: not known */
    unsigned waits; /* looks at which it was not decided yet */
} otr_loaded;

typedef struct otr_workers { /* as they are now */
    const char *proc_root;
    pid_t master;
    const pid_t *pids; /* ascending */
    size_t n;
} otr_workers;

typedef enum otr_load {
    OTR_LOAD_SAME,
    OTR_LOAD_RESPAWN, /* other workers, the same configuration */
    OTR_LOAD_NEW,
    OTR_LOAD_LATER, /* new workers beside all old ones: look again soon */
} otr_load;

otr_load otr_loaded_compare(const otr_loaded *loaded, const otr_workers *now);
/* The present workers become the generation. */
otr_code otr_loaded_take(const otr_workers *now, otr_loaded *ret, otr_err *err) OTR_MUST_CHECK;
otr_code otr_loaded_copy(const otr_loaded *from, otr_loaded *ret, otr_err *err) OTR_MUST_CHECK;
void otr_loaded_deinit(otr_loaded *loaded);

/* The descriptors, for otr_loaded.fds. */
uint64_t otr_loaded_fds(const otr_workers *now);
/* Wall time, ns, at which the workers had their configuration at the latest; 0: not known. Those of
 * `before`, the generation that they took the place of (NULL: none), do not count: they may be told
 * to leave one after the other. */
uint64_t otr_loaded_since(const otr_workers *now, const otr_loaded *before);

#endif
