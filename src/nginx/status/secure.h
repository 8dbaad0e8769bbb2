/*
 * Asks over https, or HTTP/2 without negotiation, on a worker. Private to src/nginx/status.
 *
 * Certificates of loopback addresses and unix sockets are not checked: what is trusted there is
 * the process that took the connection, and a status page on this host is mostly self-signed.
 *
 * Thread: loop.
 */
#ifndef OTR_NGINX_STATUS_SECURE_H
#define OTR_NGINX_STATUS_SECURE_H

#include "loop/worker.h"
#include "net/http/client.h"
#include "nginx/status/kin.h"

typedef struct otr_secure otr_secure;

typedef struct otr_secure_spec {
    otr_loop *loop;
    otr_pool *pool;
    const otr_http_url *url; /* copied */
    otr_master_id master;
    const char *ca; /* as in otr_stub_spec; copied */
} otr_secure_spec;

otr_code otr_secure_new(const otr_secure_spec *spec, otr_secure **ret, otr_err *err) OTR_MUST_CHECK;
/* As otr_http_client_get(). */
otr_code otr_secure_get(otr_secure *secure, const otr_http_get *get, otr_err *err) OTR_MUST_CHECK;
bool otr_secure_proved(const otr_secure *secure); /* as otr_dial_proved() */
void otr_secure_free(otr_secure *secure);         /* cancels; NULL is fine */

#endif
