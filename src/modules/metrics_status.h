/*
 * The stub_status side of the module "metrics": asks one instance, keeps what came back, tells of
 * it when nothing does.
 *
 * Private to metrics.c. After failures it is asked less often, up to every 5 s; any change of the
 * instance ends that.
 *
 * Thread: loop.
 */
#ifndef OTR_MODULES_METRICS_STATUS_H
#define OTR_MODULES_METRICS_STATUS_H

#include <stdbool.h>

#include "modules/services.h"
#include "nginx/instance/instance.h"
#include "nginx/status/poller.h"

enum { OTR_STATUS_ANSWERS = 4 };

typedef struct otr_instance_status { /* zeroed at start */
    const otr_services *services;
    char id[OTR_NGINX_ID_BYTES];
    otr_stub_poller *poller; /* NULL: there is nothing to ask */
    char **urls;             /* what it was made for */
    size_t n_urls;
    pid_t pid;
    uint64_t started_ticks;
    unsigned failures; /* in a row */
    uint64_t skip;     /* samples that go without asking */
    otr_loop_fn *done; /* of the question under way; NULL: none */
    void *arg;
    otr_stub_answer answers[OTR_STATUS_ANSWERS]; /* one for each master */
    size_t n;                                    /* 0: nothing was answered */
    otr_err err;                                 /* why not; code OTR_OK: nobody was asked */
} otr_instance_status;

/* What is to be asked now: nothing changes for a question under way when it is the same. */
otr_code otr_instance_status_set(otr_instance_status *s, otr_loop *loop,
                                 const otr_services *services, const otr_nginx_instance *now,
                                 otr_err *err) OTR_MUST_CHECK;
/* True: `done(arg)` follows, not from inside. False: it is not asked this time. */
bool otr_instance_status_ask(otr_instance_status *s, uint64_t timeout_ms, uint64_t interval_ms,
                             otr_loop_fn *done, void *arg);
/* Is a question under way? */
bool otr_instance_status_asking(const otr_instance_status *s);
/* The gauges of all masters together; false without an answer. */
bool otr_instance_status_sum(const otr_instance_status *s, otr_stub_status *ret);
/* Cancels; ready for a new start. */
void otr_instance_status_end(otr_instance_status *s);

#endif
