/*
 * What guests may ask of the agent: the one place where grants are checked and denials counted.
 *
 * One otr_hostcalls belongs to one guest. While the guest runs on a worker, its messages gather in
 * the outbox; the loop publishes them after the job (otr_hostcalls_flush). Counters are read
 * between jobs.
 *
 * Thread: that of the guest's job; the loop between jobs.
 */
#ifndef OTR_PLUGIN_SERVICES_HOSTCALLS_H
#define OTR_PLUGIN_SERVICES_HOSTCALLS_H

#include <stdatomic.h>

#include "bus/bus.h"
#include "bus/msg.h"
#include "plugin/denials.h"
#include "plugin/guest_metrics.h"
#include "plugin/manifest/manifest.h"
#include "plugin/services/kv.h"
#include "wasm/guest.h"

typedef struct otr_outgoing {
    struct otr_outgoing *next;
    otr_msg *cause; /* a reference, or NULL */
    otr_bus_json *json;
    char topic[]; /* checked */
} otr_outgoing;

typedef struct otr_guest_http otr_guest_http; /* see http.h */

typedef struct otr_secret {
    char *text; /* wiped when it goes */
    size_t n;
} otr_secret;

typedef struct otr_hostcalls {
    const char *name; /* the plugin's */
    const otr_manifest *manifest;
    const otr_msg *cause; /* message in process, or NULL */
    otr_outgoing *first, **last;
    unsigned in_call;    /* messages published by the running call */
    size_t bytes;        /* payload bytes in the outbox */
    uint64_t publish_ns; /* monotonic: when limits.publish would have made good for all so far */
    uint64_t looked_ns;  /* monotonic: the last look at the clock for it */
    char *const *allowed_hosts; /* the file's own manifest's, beside the grants; NULL: any */
    otr_facts *facts;           /* a reference; of the running job, with a grant for instances */
    otr_kv *kv;                 /* opened by the first kv operation */
    otr_guest_http *http;       /* opened by the first granted request */
    atomic_bool ended;          /* set on the loop: nobody waits for the running job any more */
    uint64_t began_ns; /* monotonic: when the running call began; kept with a grant for http */
    otr_secret secrets[OTR_SECRETS];    /* in the order of the manifest's; text NULL: not read */
    otr_guest_metrics metrics;          /* what the loop has not merged yet, and all names so far */
    uint64_t denials[OTR_DENIAL_KINDS]; /* by kind */
    uint64_t logs, logs_dropped, publish_dropped;
    uint64_t log_second; /* monotonic second of `log_count` */
    unsigned log_count;
    unsigned denial_logged; /* bit by kind of grant */
    bool quota_logged;
} otr_hostcalls;

extern const otr_host_ops otr_hostcalls_ops; /* `host` is the otr_hostcalls */

void otr_hostcalls_init(otr_hostcalls *hc, const char *name, const otr_manifest *manifest);
/* A host operation that no grant covers: counted, logged once for each kind of grant, told to the
 * guest. */
otr_code otr_hostcalls_deny(otr_hostcalls *hc, const char *what, const char *grant, otr_err *err);
/* Counts one that is refused with words of its own. */
void otr_hostcalls_count_denial(otr_hostcalls *hc, const char *grant);
uint64_t otr_hostcalls_denials(const otr_hostcalls *hc); /* of all kinds together */
/* otr_host_ops.call: "kv.get" and so on; see ops.c. */
otr_code otr_hostcalls_call(void *host, const char *op, otr_bytes in, otr_buf *out, otr_err *err)
    OTR_MUST_CHECK;

/* env.c: reads the granted secrets; a second call reads them anew. The error names the
 * file, never what is in it. */
otr_code otr_hostcalls_load(otr_hostcalls *hc, otr_err *err) OTR_MUST_CHECK;
void otr_hostcalls_forget(otr_hostcalls *hc); /* wipes them */
/* The operations env.get and secret.get. */
otr_code otr_hostcalls_env(otr_hostcalls *hc, otr_bytes in, otr_buf *out, otr_err *err)
    OTR_MUST_CHECK;
otr_code otr_hostcalls_secret(otr_hostcalls *hc, otr_bytes in, otr_buf *out, otr_err *err)
    OTR_MUST_CHECK;

/* instances.c */
otr_code otr_hostcalls_instances(otr_hostcalls *hc, otr_bytes in, otr_buf *out, otr_err *err)
    OTR_MUST_CHECK;

/* A new call begins, caused by `cause` (borrowed until the call ends) or by nothing. */
void otr_hostcalls_begin(otr_hostcalls *hc, const otr_msg *cause);
/* Publishes the outbox in order, as source `name`. Returns how many; those refused are counted. */
uint64_t otr_hostcalls_flush(otr_hostcalls *hc, otr_bus *bus);
void otr_hostcalls_deinit(otr_hostcalls *hc); /* drops the outbox */

#endif
