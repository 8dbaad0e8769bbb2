/*
 * The gate between a guest and the services of the agent: the one place where grants are checked
 * and denials counted.
 *
 * A service is an entry of a table: the operations it answers, the grant that covers them, and how
 * to open and close what it keeps for one guest. The gate knows no service by name; hostcalls.c has
 * the table. A service looks at the gate for who asks and what runs, and calls it to deny.
 *
 * Thread: that of the guest's job; the loop between jobs.
 */
#ifndef OTR_PLUGIN_SERVICES_GATE_H
#define OTR_PLUGIN_SERVICES_GATE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/buf.h"
#include "bus/bus.h"
#include "bus/facts.h"
#include "bus/msg.h"
#include "plugin/denials.h"
#include "plugin/log_budget.h"
#include "plugin/manifest/manifest.h"

enum { OTR_GATE_SERVICES = 9 };

typedef struct otr_gate otr_gate;

typedef struct otr_operation {
    const char *name; /* "kv.get" */
    /* `own` is what the service keeps for the guest; NULL when it keeps nothing. */
    otr_code (*run)(otr_gate *gate, void *own, otr_bytes in, otr_buf *out, otr_err *err);
} otr_operation;

typedef struct otr_service {
    const char *name;  /* in a denial */
    const char *grant; /* its key below `grants:`; NULL: open to all */
    /* Optional: NULL, the operations ask for themselves, as they need names, or are open to all. */
    bool (*granted)(const otr_manifest *m);
    const otr_operation *operations; /* ends with an empty one */
    /* Optional. Before the first granted operation: what it keeps for this guest. */
    otr_code (*open)(const otr_gate *gate, void **ret, otr_err *err);
    /* Optional. Before each sandbox of the guest: fills `*own` or puts another in its place. */
    otr_code (*load)(const otr_gate *gate, void **own, otr_err *err);
    void (*close)(void *own); /* Optional when it keeps nothing. Never with NULL. */
    bool by_policy;           /* what it keeps is opened anew when the policy is another one */
} otr_service;

struct otr_gate {
    const char *name;             /* the plugin's */
    const otr_manifest *manifest; /* what the sandbox was made under */
    /* What the operator wrote last; set by the loop, also in the midst of a call. What only one of
     * the two allows is denied. NULL: `manifest`. */
    _Atomic(const otr_manifest *) policy;
    const otr_service *const *services; /* ends with NULL */
    void *own[OTR_GATE_SERVICES];       /* what each keeps, in their order */
    unsigned opened[OTR_GATE_SERVICES]; /* serial of the policy then */

    otr_log_budget *budget;  /* never NULL */
    otr_topic_owner *topics; /* who is charged for names it publishes under; NULL: nobody */
    _Atomic uint64_t
        *paid_ns;         /* monotonic: when limits.publish has made good for all; never NULL */
    const otr_msg *cause; /* message in process, or NULL */
    uint64_t until_ns;    /* monotonic: operations of the running call end then; 0: nothing runs */
    otr_facts *facts;     /* a reference; of the running job, with a grant for instances */
    char *const *allowed_hosts; /* the file's own manifest's, beside the grants; NULL: any */
    atomic_bool ended;          /* set on the loop: nobody waits for the running job any more */

    bool passing; /* an operation failed for a reason that may pass: a peer, a time-out */

    uint64_t denials[OTR_DENIAL_KINDS]; /* by kind */
    unsigned denial_logged;             /* bit by kind of grant */
};

static inline const otr_manifest *otr_gate_policy(const otr_gate *gate)
{
    const otr_manifest *policy = atomic_load_explicit(&gate->policy, memory_order_acquire);
    return policy != NULL ? policy : gate->manifest;
}

/* An answer of a peer with this status: 408, 429 and 5xx may pass. */
void otr_gate_note_status(otr_gate *gate, long status);
/* Runs operation `op` of whichever service has it. OTR_EUNSUP: none has; OTR_EDENIED. */
otr_code otr_gate_call(otr_gate *gate, const char *op, otr_bytes in, otr_buf *out, otr_err *err)
    OTR_MUST_CHECK;
/* Whether otr_gate_call() gets past the grant of the service that has `op`; also when none has.
 * Counts nothing. */
bool otr_gate_granted(const otr_gate *gate, const char *op);
/* OTR_EDENIED when the grant of `op`'s service is missing: it would be denied, whatever is asked.
 */
otr_code otr_gate_permits(otr_gate *gate, const char *op, otr_err *err) OTR_MUST_CHECK;
/* Has every service read what it needs before a sandbox starts. */
otr_code otr_gate_load(otr_gate *gate, otr_err *err) OTR_MUST_CHECK;
/* What `service` keeps; NULL: nothing so far. */
void *otr_gate_own(const otr_gate *gate, const otr_service *service);
void otr_gate_close(otr_gate *gate, const otr_service *service); /* what it keeps */
void otr_gate_deinit(otr_gate *gate);

/* A host operation that no grant covers: counted, logged once for each kind of grant, told to the
 * guest. */
otr_code otr_gate_deny(otr_gate *gate, const char *what, const char *grant, otr_err *err);
/* As above for `op` with an argument of the guest's, which is shown in part. */
otr_code otr_gate_deny_name(otr_gate *gate, const char *op, otr_bytes name, const char *grant,
                            otr_err *err);
/* Counts one that is refused with words of its own. */
void otr_gate_count_denial(otr_gate *gate, const char *grant);
uint64_t otr_gate_denials(const otr_gate *gate); /* of all kinds together */

#endif
