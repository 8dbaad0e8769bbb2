/*
 * The questions to one master: one candidate after the other. Private to src/nginx/status.
 *
 * Thread: loop.
 */
#ifndef OTR_NGINX_STATUS_LANE_H
#define OTR_NGINX_STATUS_LANE_H

#include "nginx/status/dial.h"
#include "nginx/status/poller.h"
#include "nginx/status/secure.h"

typedef struct otr_lane otr_lane;

/* `err` is NULL when it answered. The lane may be freed in here. */
typedef void otr_lane_fn(void *arg, otr_lane *lane, const otr_err *err);

/* Everything in `spec` is borrowed for the life of the lane; its pid is `master`. Begins with the
 * candidate number `first`. */
otr_code otr_lane_new(const otr_stub_spec *spec, const otr_master_id *master, size_t first,
                      otr_lane **ret, otr_err *err) OTR_MUST_CHECK;
/* `done` comes once, never from inside this call. */
void otr_lane_ask(otr_lane *lane, uint64_t timeout_ms, otr_lane_fn *done, void *arg);
const otr_stub_answer *otr_lane_answer(const otr_lane *lane); /* the last one */
const otr_master_id *otr_lane_master(const otr_lane *lane);
size_t otr_lane_current(const otr_lane *lane); /* the number of the candidate */
void otr_lane_free(otr_lane *lane);            /* cancels; NULL is fine */

#endif
