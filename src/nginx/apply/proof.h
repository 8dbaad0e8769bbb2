/*
 * The proof of a reload, as looks at /proc and at the error logs: the blocking half of reload.h.
 *
 * NGINX's own order is what makes it a proof: on SIGHUP the master reads its configuration, starts
 * all new workers, gives them 100 ms, tells the old ones to quit, and waits for signals again. Told
 * to quit means that the new ones are there; a master that waits for signals again, has taken ours
 * and has no new worker refused the configuration.
 *
 * Thread: one at a time; calls block.
 */
#ifndef OTR_NGINX_APPLY_PROOF_H
#define OTR_NGINX_APPLY_PROOF_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/base.h"
#include "base/err.h"
#include "nginx/apply/reload.h"

typedef struct otr_proof otr_proof;

typedef enum otr_proof_state {
    OTR_PROOF_WAITS,   /* look again soon */
    OTR_PROOF_STANDS,  /* the new generation serves and the old one was told to quit */
    OTR_PROOF_MOVED,   /* it would stand, but the files were changed meanwhile */
    OTR_PROOF_REFUSED, /* `reason` says why */
    OTR_PROOF_GONE,    /* the master ended */
} otr_proof_state;

enum { OTR_PROOF_REASON_BYTES = 1024 };

typedef struct otr_proof_look {
    otr_proof_state state;
    char reason[OTR_PROOF_REASON_BYTES]; /* of a refusal; else what it waits for */
    size_t n_new, n_old;                 /* new workers that serve; old ones that are still there */
    bool changed;                        /* the new workers are not those of the last look */
} otr_proof_look;

/* As it is before the signal. Errors as of otr_reload_watch(). */
otr_code otr_proof_new(const otr_reload_spec *spec, otr_proof **ret, otr_err *err) OTR_MUST_CHECK;
/* SIGHUP. OTR_ESTATE: the master is gone. */
otr_code otr_proof_signal(otr_proof *proof, otr_err *err) OTR_MUST_CHECK;
/* Fails for lacks of ours: the next look may do better. `waited_ms`: since the signal. */
otr_code otr_proof_look_now(otr_proof *proof, uint64_t waited_ms, otr_proof_look *ret, otr_err *err)
    OTR_MUST_CHECK;
otr_findings *otr_proof_findings(otr_proof *proof);
char *const *otr_proof_remarks(const otr_proof *proof); /* NULL, or ends with NULL */
void otr_proof_free(otr_proof *proof);                  /* NULL is fine */

#endif
