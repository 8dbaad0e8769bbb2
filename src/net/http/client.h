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
#include "base/buf.h"
#include "base/err.h"
#include "loop/loop.h"

struct sockaddr;

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

/* The end of a dial: on success `fd` is connected, does not block and is the receiver's. */
typedef void otr_http_dialed_fn(void *arg, otr_code rc, int fd, const otr_err *err);

/* Who makes connections in the place of the client: elsewhere, or with a look at the peer. */
typedef struct otr_http_dialer {
    /* `done` follows once, on the loop, not from inside; on an error here it does not. */
    otr_code (*dial)(void *self, const struct sockaddr *to, unsigned size, uint64_t timeout_ms,
                     otr_err *err);
    void (*cancel)(void *self); /* `done` will not be called; none under way is fine */
    otr_http_dialed_fn *done;   /* the client puts these two in */
    void *arg;
    void *self;
} otr_http_dialer;

/* A client for `url`, which is copied. `dialer` (may be NULL) is borrowed and for this client
 * alone. OTR_EUNSUP for https and http2, OTR_EINVAL for a host that is no address and not in
 * /etc/hosts. Connects with the first request. */
otr_code otr_http_client_new(otr_loop *loop, const otr_http_url *url, otr_http_dialer *dialer,
                             otr_http_client **ret, otr_err *err) OTR_MUST_CHECK;
/* Asks for the URL's path. On an error here `done` is not called. OTR_ESTATE while one is under
 * way. */
otr_code otr_http_client_get(otr_http_client *client, const otr_http_get *get, otr_err *err)
    OTR_MUST_CHECK;
/* Ends the request that is under way; its `done` is not called. */
void otr_http_client_cancel(otr_http_client *client);
void otr_http_client_free(otr_http_client *client); /* cancels; NULL is fine */

/* What a client would connect to, in turn; `size` as connect(2) takes it. */
typedef struct otr_http_address {
    uint8_t bytes[112]; /* a struct sockaddr of some family */
    unsigned size;
} otr_http_address;

enum { OTR_HTTP_ADDRESSES = 4 };
/* The addresses of `url`, at least one. OTR_EINVAL as above. */
otr_code otr_http_url_resolve(const otr_http_url *url, otr_http_address ret[OTR_HTTP_ADDRESSES],
                              size_t *ret_n, otr_err *err) OTR_MUST_CHECK;
/* "Authorization: Basic ..." with its line end, or nothing when there are no credentials. */
otr_code otr_http_url_authorize(const otr_http_url *url, otr_buf *out, otr_err *err) OTR_MUST_CHECK;

#endif
