/*
 * HTTP/1.1 server on loopback TCP and unix sockets: fixed routes, small answers, live streams.
 *
 * Driven by our loop: no thread of its own. A route table is filled first and can be
 * served by several listeners. Requests are answered inside the handler, or later by
 * otr_http_later_send(), or by opening a stream (text/event-stream) that otr_http_stream_send()
 * feeds from then on. Every limit is in base/limits.h. A request has to arrive, and an answer to be
 * taken, within a time counted from its beginning: trickling does not stretch it. At the limit of
 * connections a new one takes the place of the one that has waited longest without a request.
 *
 * Thread: loop.
 */
#ifndef OTR_NET_HTTP_SERVER_H
#define OTR_NET_HTTP_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fds.h"
#include "loop/loop.h"
#include "loop/worker.h"

typedef struct otr_http_routes otr_http_routes;
typedef struct otr_http_server otr_http_server;
typedef struct otr_http_stream otr_http_stream;
typedef struct otr_http_later otr_http_later;

typedef struct otr_http_peer { /* who connected to a unix socket, as the kernel says */
    bool known;                /* false over TCP, and when the kernel does not tell */
    uid_t uid;
    gid_t gid;
    pid_t pid; /* it may have ended since */
} otr_http_peer;

typedef struct otr_http_request {
    const char *method; /* "GET" */
    const char *path;   /* "/api/v1/plugins/rate-watch", without the query */
    const char *tail;   /* for a route that ends in '*': what the star stood for, else "" */
    otr_bytes body;     /* at most OTR_LIMIT_HTTP_BODY_BYTES; empty for an upload */
    uint64_t uploaded;  /* bytes of the body of an upload: otr_http_take_upload() has them */
    otr_http_peer peer;
    void *connection; /* for otr_http_query() */
} otr_http_request;

typedef struct otr_http_reply {
    unsigned status;          /* 200 from the start */
    const char *content_type; /* "application/json" from the start; a static string */
    const char *csp; /* Content-Security-Policy for a page; lives as long as the server. NULL: the
                        strictest */
    otr_buf body;
    otr_http_stream *stream; /* set by otr_http_stream_open(): the body is ignored */
    otr_http_later *later;   /* set by otr_http_later_open(): all of this is ignored */
} otr_http_reply;

/* Fills `reply`. An error becomes a JSON answer {"error":{"code","message"}}: 400 for OTR_EINVAL,
 * 404 OTR_ENOTFOUND, 409 OTR_ESTATE, 403 OTR_EDENIED, 429 OTR_EQUOTA, 504 OTR_ETIMEOUT, else 500.
 */
typedef otr_code otr_http_fn(void *arg, const otr_http_request *req, otr_http_reply *reply,
                             otr_err *err);

otr_code otr_http_routes_new(otr_http_routes **ret, otr_err *err) OTR_MUST_CHECK;
void otr_http_routes_free(otr_http_routes *routes); /* after its servers */
/* `path` is exact, or ends in '*'. The same method and path twice is OTR_ESTATE. */
otr_code otr_http_route(otr_http_routes *routes, const char *method, const char *path,
                        otr_http_fn *fn, void *arg, otr_err *err) OTR_MUST_CHECK;
typedef struct otr_http_upload {
    const char *folder; /* copied: where the file is made, without a name */
    uint64_t max_bytes; /* a larger body is answered by 413 */
    uint64_t arrive_ms; /* for all of it; each silence is bounded by `request_ms` of the listener */
    otr_pool *pool;     /* writes happen there; NULL: on the loop */
} otr_http_upload;

/* The same for a request whose body goes to a file that has no name, and never into memory. When no
 * file can be made or written (the disk is full), the answer is 507 and names the folder. */
otr_code otr_http_route_upload(otr_http_routes *routes, const char *method, const char *path,
                               const otr_http_upload *upload, otr_http_fn *fn, void *arg,
                               otr_err *err) OTR_MUST_CHECK;
/* In the handler of an upload: the file, at its beginning, open for reading and writing. It is the
 * caller's from now on; -1: the body was empty, or it was taken already. */
int otr_http_take_upload(const otr_http_request *req);

/* Takes away every route with this `arg`: for a plugin's fini(). */
void otr_http_unroute(otr_http_routes *routes, const void *arg);

const char *otr_http_query(const otr_http_request *req, const char *name); /* NULL: absent */
/* Each value of a parameter that may come several times, in order, until `fn` returns false. */
void otr_http_query_each(const otr_http_request *req, const char *name,
                         bool (*fn)(void *arg, const char *value), void *arg);

typedef struct otr_http_bounds { /* 0: that of base/limits.h */
    size_t connections;
    uint64_t idle_ms;    /* of a kept connection, to its next request */
    uint64_t request_ms; /* for a request to arrive */
    uint64_t take_ms;    /* for an answer to be taken */
    size_t unread_bytes; /* of answers that are not taken yet, all together */
} otr_http_bounds;

typedef struct otr_http_listen {
    const char *unix_path; /* created 0600, a stale socket is replaced; or NULL */
    const char *host;      /* an IP address, or "localhost" for 127.0.0.1 */
    uint16_t port;         /* 0: any free one, see otr_http_server_port() */
    bool public;           /* `host` may be an address that others can reach */
    bool check_host;       /* answer 403 when Host is not a loopback name (DNS rebinding) */
    otr_http_bounds bounds;
    otr_fds *fds;        /* lends a descriptor when there is none; outlives the server; or NULL */
    otr_fds_share share; /* of its connections, when `fds` is given */
} otr_http_listen;

/* Listens. An error names the address or the path and what to do. */
otr_code otr_http_server_new(otr_loop *loop, otr_http_routes *routes, const otr_http_listen *listen,
                             otr_http_server **ret, otr_err *err) OTR_MUST_CHECK;
uint16_t otr_http_server_port(const otr_http_server *server);
/* Takes no more connections and gives up its address; what is under way goes on, streams end. For
 * a server that is about to be freed but has answers to give. */
void otr_http_server_retire(otr_http_server *server);
/* Closes connections and streams, unlinks the socket. Not from inside a handler. */
void otr_http_server_free(otr_http_server *server);

/* This request is answered later, with otr_http_later_send(). `closed(arg)` comes instead when the
 * server ends before that, or when the handler that opened it fails; the handle is void after that.
 * A peer that goes away is noticed only when it is answered: bound the wait. */
otr_code otr_http_later_open(const otr_http_request *req, otr_http_reply *reply,
                             otr_loop_fn *closed, void *arg, otr_http_later **ret, otr_err *err)
    OTR_MUST_CHECK;
/* Answers as a handler does: with `body` (taken in every case, application/json), or with the error
 * when `rc` is not OTR_OK. The handle is void at once and `closed` does not come. */
void otr_http_later_send(otr_http_later *later, otr_code rc, otr_buf *body, const otr_err *err);
/* Answers with `bytes` of the regular file `fd` from its beginning (taken in every case), which is
 * sent as it is read and never held in memory. `content_type` is a static string. */
void otr_http_later_send_file(otr_http_later *later, int fd, uint64_t bytes,
                              const char *content_type);

/* Turns this reply into a live event stream. `closed(arg)` comes once when the peer or the server
 * ends it, or when the handler that opened it fails; the handle is void after that. A comment line
 * is sent now and then, so that a peer that went away is noticed. OTR_EQUOTA at
 * OTR_LIMIT_HTTP_STREAMS. */
otr_code otr_http_stream_open(const otr_http_request *req, otr_http_reply *reply,
                              otr_loop_fn *closed, void *arg, otr_http_stream **ret, otr_err *err)
    OTR_MUST_CHECK;
/* Queues bytes; false when the peer is too slow (its backlog is full): the bytes are dropped whole.
 */
bool otr_http_stream_send(otr_http_stream *stream, otr_bytes bytes);
/* Ends it once what is queued is sent. The handle is void at once and `closed` does not come. */
void otr_http_stream_end(otr_http_stream *stream);

#endif
