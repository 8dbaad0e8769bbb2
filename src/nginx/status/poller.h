/*
 * Asks an NGINX for its stub_status, at the first candidate that answers.
 *
 * While an upgrade runs two masters side by side, both are asked, each over a connection that it
 * was seen to have taken. The candidate that answered is asked again next time; when it stops, the
 * others are tried in turn.
 *
 * Thread: loop.
 */
#ifndef OTR_NGINX_STATUS_POLLER_H
#define OTR_NGINX_STATUS_POLLER_H

#include <sys/types.h>

#include "base/base.h"
#include "base/err.h"
#include "loop/loop.h"
#include "loop/worker.h"
#include "nginx/status/stub_status.h"

typedef struct otr_stub_poller otr_stub_poller;

typedef struct otr_stub_spec {
    otr_loop *loop;
    otr_pool *pool;          /* NULL: nobody looks who answers, and there is no https */
    const char *const *urls; /* as in otr_http_url_parse(), best first; copied */
    size_t n;
    pid_t pid; /* of the master that must answer; 0: whoever does, where the agent itself is */
    uint64_t started_ticks;
    const char *ca; /* file; what https to other hosts is checked with. NULL or "": the system's */
} otr_stub_spec;

/* One answer for each master. None when the best candidates did not answer: `err` then says what
 * each was asked and what came back. The poller may be freed in here. */
typedef void otr_stub_done_fn(void *arg, const otr_stub_answer *answers, size_t n,
                              const otr_err *err);

otr_code otr_stub_poller_new(const otr_stub_spec *spec, otr_stub_poller **ret, otr_err *err)
    OTR_MUST_CHECK;
/* `timeout_ms` for each candidate. `done` comes once, never from inside this call. OTR_ESTATE while
 * it is asking, OTR_ENOTFOUND without candidates. */
otr_code otr_stub_poller_ask(otr_stub_poller *poller, uint64_t timeout_ms, otr_stub_done_fn *done,
                             void *arg, otr_err *err) OTR_MUST_CHECK;
/* The candidate that answered last, or the best one; "" without candidates. */
const char *otr_stub_poller_url(const otr_stub_poller *poller);
/* Takes USER:PASSWORD@ out of a status URL, for everybody to see. */
void otr_status_url_hide(char *url);
void otr_stub_poller_free(otr_stub_poller *poller); /* cancels; NULL is fine */

#endif
