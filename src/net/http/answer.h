/*
 * Reads one HTTP/1.1 answer, a piece at a time, from any transport.
 *
 * http-parser behind our types. The body goes to a function as it comes, without its framing.
 *
 * Thread: one at a time.
 */
#ifndef OTR_NET_HTTP_ANSWER_H
#define OTR_NET_HTTP_ANSWER_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"

typedef struct otr_http_answer otr_http_answer;

/* A part of the body; an error ends the reading and comes out of otr_http_answer_feed(). */
typedef otr_code otr_http_body_fn(void *arg, otr_bytes part, otr_err *err);

otr_code otr_http_answer_new(otr_http_body_fn *body, void *arg, otr_http_answer **ret, otr_err *err)
    OTR_MUST_CHECK;
void otr_http_answer_free(otr_http_answer *answer);
/* The next bytes; none: the peer closed. OTR_EINVAL when it is not HTTP, is cut short, or goes on
 * after its end. */
otr_code otr_http_answer_feed(otr_http_answer *answer, otr_bytes bytes, otr_err *err)
    OTR_MUST_CHECK;
unsigned otr_http_answer_status(const otr_http_answer *answer); /* 0: header incomplete */
bool otr_http_answer_complete(const otr_http_answer *answer);

#endif
