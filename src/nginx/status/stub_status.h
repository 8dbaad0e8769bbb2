/*
 * stub_status: its text, and a poller that asks the first candidate which answers.
 *
 * Thread: the parser, any; a poller, loop.
 */
#ifndef OTR_NGINX_STATUS_STUB_STATUS_H
#define OTR_NGINX_STATUS_STUB_STATUS_H

#include "base/base.h"
#include "base/err.h"
#include "loop/loop.h"

typedef struct otr_stub_status {
    uint64_t active, reading, writing, waiting; /* connections now */
    uint64_t accepted, handled, requests;       /* since NGINX started */
} otr_stub_status;

/* OTR_EINVAL when it is not the text of stub_status; `ret` is then untouched. */
otr_code otr_stub_status_parse(otr_bytes body, otr_stub_status *ret, otr_err *err) OTR_MUST_CHECK;

typedef struct otr_stub_poller otr_stub_poller;

/* `status` is NULL when no candidate answered: `err` then says why the best one did not. The poller
 * may be freed in here. */
typedef void otr_stub_done_fn(void *arg, const otr_stub_status *status, const otr_err *err);

/* `urls` as in otr_http_url_parse(), best first; copied. */
otr_code otr_stub_poller_new(otr_loop *loop, const char *const *urls, size_t n,
                             otr_stub_poller **ret, otr_err *err) OTR_MUST_CHECK;
/* Asks the candidate that answered last, else one after the other, `timeout_ms` for each. `done`
 * comes once, never from inside this call. OTR_ESTATE while it is asking, OTR_ENOTFOUND without
 * candidates. */
otr_code otr_stub_poller_ask(otr_stub_poller *poller, uint64_t timeout_ms, otr_stub_done_fn *done,
                             void *arg, otr_err *err) OTR_MUST_CHECK;
/* The candidate that answered last, or the best one; "" without candidates. */
const char *otr_stub_poller_url(const otr_stub_poller *poller);
void otr_stub_poller_free(otr_stub_poller *poller); /* cancels; NULL is fine */

#endif
