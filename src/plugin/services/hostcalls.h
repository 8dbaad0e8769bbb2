/*
 * All that one guest may ask of the agent: the table of services behind their gate, and beside it
 * what every guest has (publish, config, log).
 *
 * One otr_hostcalls belongs to one guest. While the guest runs on a worker, its messages gather in
 * the outbox; the loop publishes them after the job (otr_hostcalls_flush). Counters are read
 * between jobs.
 *
 * Thread: that of the guest's job; the loop between jobs.
 */
#ifndef OTR_PLUGIN_SERVICES_HOSTCALLS_H
#define OTR_PLUGIN_SERVICES_HOSTCALLS_H

#include "plugin/guest_metrics.h"
#include "plugin/services/gate.h"
#include "plugin/services/outbox.h"
#include "wasm/guest.h"

typedef struct otr_hostcalls {
    otr_gate gate;
    otr_outbox outbox;
    _Atomic uint64_t own_paid_ns; /* unless the gate is told of another */
    otr_log_budget own;           /* unless the gate is told of another */
    uint64_t lines;               /* of the guest in the log */
} otr_hostcalls;

extern const otr_host_ops otr_hostcalls_ops; /* `host` is the otr_hostcalls */

/* `name` and `manifest` are borrowed. The log budget is one of its own until `gate.budget` is that
 * of the plugin, which its other instances share. */
void otr_hostcalls_init(otr_hostcalls *hc, const char *name, const otr_manifest *manifest);
/* Before each sandbox: reads what the services need, such as secrets. */
otr_code otr_hostcalls_load(otr_hostcalls *hc, otr_err *err) OTR_MUST_CHECK;
/* A new call begins, caused by `cause` (borrowed until the call ends) or by nothing. Without
 * otr_hostcalls_limit() it has limits.call. */
void otr_hostcalls_begin(otr_hostcalls *hc, const otr_msg *cause);
/* The running call ends at the monotonic `deadline_ns`, `limit_ns` after it began. What the guest
 * asks of us ends a little earlier, so that it can still deal with the error. */
void otr_hostcalls_limit(otr_hostcalls *hc, uint64_t deadline_ns, uint64_t limit_ns);
/* Publishes the outbox in order, as the plugin. Returns how many; those refused are counted. */
uint64_t otr_hostcalls_flush(otr_hostcalls *hc, otr_bus *bus);
/* What the loop has not merged yet, and all names so far; NULL: none. */
otr_guest_metrics *otr_hostcalls_metrics(const otr_hostcalls *hc);
void otr_hostcalls_deinit(otr_hostcalls *hc); /* drops the outbox */

#endif
