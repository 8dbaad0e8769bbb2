/*
 * One GET over TLS or plain HTTP/2, by libcurl, on a worker.
 *
 * libcurl is opened by the first question, as plugins do it: linked, it would make every agent
 * larger (docs/adr/0007). The connection is made by the caller and kept between questions.
 *
 * Thread: a worker; one at a time.
 */
#ifndef OTR_NET_HTTP_HTTPS_H
#define OTR_NET_HTTP_HTTPS_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "net/http/client.h"

typedef struct otr_https otr_https;

typedef enum otr_https_trust {
    OTR_HTTPS_ANY,     /* the address itself is what is trusted: any certificate will do */
    OTR_HTTPS_CHECKED, /* certificate and name are checked */
} otr_https_trust;

/* A new connected socket; it belongs to the receiver. Not asked for when the URL is of a unix
 * socket: libcurl connects to that itself, and sends no PROXY line. */
typedef otr_code otr_https_connect_fn(void *arg, int *ret_fd, otr_err *err);

typedef struct otr_https_spec {
    const otr_http_url *url; /* copied; Host is also the name of TLS (SNI) */
    otr_https_trust trust;
    const char *ca; /* file; "": the system's */
    otr_https_connect_fn *connect;
    void *arg;
} otr_https_spec;

/* OTR_EUNSUP without libcurl. */
otr_code otr_https_new(const otr_https_spec *spec, otr_https **ret, otr_err *err) OTR_MUST_CHECK;
/* `body` is replaced and bounded by its own ceiling. Any status is OTR_OK. */
otr_code otr_https_get(otr_https *https, uint64_t timeout_ms, otr_buf *body, unsigned *ret_status,
                       otr_err *err) OTR_MUST_CHECK;
void otr_https_free(otr_https *https); /* NULL is fine */

#endif
