/*
 * A reload of one NGINX, and the proof that it was taken.
 *
 * The master, its workers and the error logs are looked at before the signal; SIGHUP goes to that
 * very process (a descriptor of it, not a number). Proven
 * means: the same master, new workers that serve (their title says so once they are set up), the
 * old ones told to quit or gone, the files that they were read from as they were sealed before the
 * test, and nothing of emerg, alert or crit from the master or a new
 * worker in the watched logs for a settle time after that. Old workers that drain are not waited
 * for. What could not be watched is a remark.
 *
 * Thread: loop.
 */
#ifndef OTR_NGINX_APPLY_RELOAD_H
#define OTR_NGINX_APPLY_RELOAD_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "loop/loop.h"
#include "loop/worker.h"
#include "nginx/apply/result.h"
#include "nginx/apply/seal.h"
#include "nginx/root.h"

typedef struct otr_reload otr_reload;

typedef enum otr_reload_verdict {
    OTR_RELOAD_PROVEN,
    OTR_RELOAD_REFUSED, /* NGINX goes on with the old generation, or is in trouble */
    OTR_RELOAD_MOVED,   /* NGINX took a reload, but its files are not those of the seal any more:
                           which of both it has read is not known */
    OTR_RELOAD_GONE,    /* the master ended */
    OTR_RELOAD_UNKNOWN, /* not decided within the bound, or a lack of ours */
} otr_reload_verdict;

typedef struct otr_reload_result { /* borrowed until the callback returns */
    otr_reload_verdict verdict;
    bool sent;              /* SIGHUP went out */
    otr_findings *findings; /* lines of the error logs; may be taken out */
    const char *reason;     /* a sentence; "" when proven */
    char *const *remarks;   /* ends with NULL */
    size_t n_new, n_old;    /* workers of the new generation; old ones that still drain */
    uint64_t ns;            /* from the signal */
} otr_reload_result;

typedef void otr_reload_fn(void *arg, const otr_reload_result *result);

typedef struct otr_reload_spec {
    const char *proc_root;
    pid_t pid; /* of the master, with */
    uint64_t started_ticks;
    pid_t log_pid;                 /* of the master as its own logs name it */
    const otr_root *root;          /* how its logs are opened; copied */
    const char *const *error_logs; /* absolute; of the old and the new configuration; ends with
                                      NULL; copied */
    otr_seal *seal;                /* what it has to read; taken on success. NULL: anything */
    const char *const *unwatched;  /* "stderr", "syslog:…": told in a remark; NULL: none */
    uint64_t settle_ms;            /* how long it must be quiet after the new generation stands */
    uint64_t most_ms;              /* from the signal to the verdict */
    bool strict;                   /* watch for all of most_ms */
    bool warnings_are_errors;
    otr_reload_fn *done; /* once, on the loop, never from inside a call */
    void *arg;
} otr_reload_spec;

/* Looks, signals and watches: what blocks is done on `strand`, which is for this alone and outlives
 * it. When nothing could be sent the verdict is GONE or UNKNOWN, and `sent` false. */
otr_code otr_reload_start(otr_loop *loop, otr_strand *strand, const otr_reload_spec *spec,
                          otr_reload **ret, otr_err *err) OTR_MUST_CHECK;
/* In and after `done`, or before: then it does not come. NULL is fine. */
void otr_reload_free(otr_reload *reload);

#endif
