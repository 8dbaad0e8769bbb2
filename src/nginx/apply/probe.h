/*
 * One probe: a request and what its answer must be.
 *
 * http, https and unix sockets, asked from the agent's own network; a redirect is an answer like
 * any other. The certificate of a loopback address or a unix socket is not checked: what is asked
 * there is this host itself.
 *
 * Thread: loop.
 */
#ifndef OTR_NGINX_APPLY_PROBE_H
#define OTR_NGINX_APPLY_PROBE_H

#include "base/base.h"
#include "base/err.h"
#include "loop/loop.h"
#include "loop/worker.h"
#include "nginx/apply/apply.h"

typedef struct otr_probe otr_probe;

/* OTR_OK: it answered as expected. Else `err` says what it is, and what came instead. */
typedef void otr_probe_fn(void *arg, otr_code rc, const otr_err *err);

typedef struct otr_probe_spec {
    otr_strand *strand;          /* for https; borrowed for the life of it */
    const otr_apply_probe *what; /* borrowed for the life of it */
    otr_probe_fn *done;          /* once, on the loop, never from inside otr_probe_start() */
    void *arg;
} otr_probe_spec;

otr_code otr_probe_start(otr_loop *loop, const otr_probe_spec *spec, otr_probe **ret, otr_err *err)
    OTR_MUST_CHECK;
void otr_probe_free(otr_probe *probe); /* NULL is fine */

#endif
