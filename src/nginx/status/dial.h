/*
 * A dialer for the HTTP client that connects on a worker, as connect.h says. Private to
 * src/nginx/status.
 *
 * Thread: loop.
 */
#ifndef OTR_NGINX_STATUS_DIAL_H
#define OTR_NGINX_STATUS_DIAL_H

#include "loop/worker.h"
#include "net/http/client.h"
#include "nginx/status/kin.h"

typedef struct otr_dial otr_dial;

otr_code otr_dial_new(otr_pool *pool, const otr_master_id *master, otr_dial **ret, otr_err *err)
    OTR_MUST_CHECK;
/* For one client at a time. */
otr_http_dialer *otr_dial_dialer(otr_dial *dial);
/* Was it seen that the master's own process took the last connection? */
bool otr_dial_proved(const otr_dial *dial);
void otr_dial_free(otr_dial *dial); /* after its client; NULL is fine */

#endif
