/*
 * HTTP/1.1 client for status polling: GET over loopback TCP or a unix socket.
 *
 * A client speaks to one place, one request at a time, and keeps its connection open between them,
 * so that polling costs one write and one read. A connection that the server closed in the
 * meantime is replaced without the caller noticing. No TLS, no redirects, no name service but
 * /etc/hosts. Every request has one deadline for all of it and a ceiling for its body.
 *
 * Thread: loop.
 */
#ifndef OTR_NET_HTTP_CLIENT_H
#define OTR_NET_HTTP_CLIENT_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "loop/loop.h"

typedef struct otr_http_client otr_http_client;

typedef struct otr_http_url {
    char *unix_path; /* NULL: TCP */
    char *host;      /* IP address without brackets, or a name of /etc/hosts; NULL: unix socket */
    uint16_t port;
    char *path;          /* "/status?x", begins with '/' */
    char *host_header;   /* what Host says; "": there is none, the request is of HTTP/1.0 */
    char *credentials;   /* "user:password", decoded; NULL: none */
    bool tls;            /* https: not for this client */
    bool http2;          /* HTTP/2 without negotiation: not for this client */
    bool proxy_protocol; /* send a PROXY line first */
} otr_http_url;

/* "http[s]://[USER:PASSWORD@]HOST[:PORT]/PATH" or "unix:SOCKET[:/PATH]", each with an optional
 * fragment of what to do beyond the request, joined by '&': "#host=NAME" (Host to send; none when
 * NAME is empty), "#proxy_protocol", "#http2" and, for a socket, "#tls". OTR_EINVAL says what is
 * wrong with it. */
otr_code otr_http_url_parse(const char *text, otr_http_url *ret, otr_err *err) OTR_MUST_CHECK;
void otr_http_url_deinit(otr_http_url *url);

typedef struct otr_http_response { /* borrowed until the callback returns */
    unsigned status;
    otr_bytes body;
} otr_http_response;

/* Once for each request that was taken. `response` is NULL unless rc is OTR_OK; any status is OK.
 * The client may be freed or asked again in here. */
typedef void otr_http_done_fn(void *arg, otr_code rc, const otr_http_response *response,
                              const otr_err *err);

typedef struct otr_http_get {
    uint64_t timeout_ms;
    size_t max_body_bytes;
    otr_http_done_fn *done;
    void *arg;
} otr_http_get;

/* A client for `url`, which is copied. OTR_EUNSUP for https, OTR_EINVAL for a host that is no
 * address. Connects with the first request. */
otr_code otr_http_client_new(otr_loop *loop, const otr_http_url *url, otr_http_client **ret,
                             otr_err *err) OTR_MUST_CHECK;
/* Asks for the URL's path. On an error here `done` is not called. OTR_ESTATE while one is under
 * way. */
otr_code otr_http_client_get(otr_http_client *client, const otr_http_get *get, otr_err *err)
    OTR_MUST_CHECK;
/* Ends the request that is under way; its `done` is not called. */
void otr_http_client_cancel(otr_http_client *client);
void otr_http_client_free(otr_http_client *client); /* cancels; NULL is fine */

#endif
