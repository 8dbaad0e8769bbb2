/*
 * Private to proof.c: the workers of a master, old and new, as /proc shows them.
 *
 * A process is named by its pid and its start: a pid alone may be another one's by now. Old is who
 * was there before the signal.
 *
 * Thread: one at a time; calls block.
 */
#ifndef OTR_NGINX_APPLY_GENERATION_H
#define OTR_NGINX_APPLY_GENERATION_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/base.h"
#include "base/err.h"

typedef struct otr_worker_entry {
    pid_t pid;
    pid_t log_pid; /* as its own logs name it */
    uint64_t started_ticks;
    enum {
        OTR_WORKER_BEGINS, /* it has its master's title still */
        OTR_WORKER_SERVES,
        OTR_WORKER_QUITS, /* told to, or gone */
        OTR_WORKER_OTHER, /* a cache manager … */
    } state;
    bool gone;
} otr_worker_entry;

typedef struct otr_generation { /* zeroed at start */
    otr_worker_entry *items;
    size_t n, cap;
} otr_generation;

typedef struct otr_family {
    const char *proc_root;
    pid_t master;
    otr_generation before, after; /* `after`: born since otr_family_begin(), those that ended too */
} otr_family;

/* Who is there. OTR_EIO: the children cannot be listed. */
otr_code otr_family_begin(otr_family *f, otr_err *err) OTR_MUST_CHECK;
/* Brings both generations up to date. `*ret_changed`: of `after` one came, served or went. */
otr_code otr_family_look(otr_family *f, bool *ret_changed, otr_err *err) OTR_MUST_CHECK;
void otr_family_deinit(otr_family *f);

/* How many are in this state and not gone. */
size_t otr_generation_count(const otr_generation *g, int state);
/* The one that logs name so; NULL. */
const otr_worker_entry *otr_generation_by_log_pid(const otr_generation *g, pid_t log_pid);

/* Does the master wait for signals, having taken all that were sent? -1: it cannot be told. */
int otr_master_waits(const char *proc_root, pid_t pid);

#endif
