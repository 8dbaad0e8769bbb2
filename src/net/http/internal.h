/*
 * What the parts of the HTTP server share: routes, streams, and the exchange a handler runs in.
 *
 * Thread: loop.
 */
#ifndef OTR_NET_HTTP_INTERNAL_H
#define OTR_NET_HTTP_INTERNAL_H

#include <microhttpd.h>

#include "net/http/listen.h"
#include "net/http/server.h"

typedef struct otr_http_route_entry {
    char *method, *path; /* `path` without its '*' */
    size_t path_bytes;
    bool star;
    otr_http_fn *fn;
    void *arg;
} otr_http_route_entry;

struct otr_http_routes {
    otr_http_route_entry *entries;
    size_t n, cap;
};

struct otr_http_server {
    otr_loop *loop;
    otr_http_routes *routes;
    struct MHD_Daemon *daemon;
    otr_http_socket socket; /* its fd is the daemon's once that runs */
    bool check_host;
    otr_watch *watch;
    otr_timer *timer;   /* the daemon's next timeout */
    otr_timer *beat;    /* runs while there are streams */
    otr_defer wake;     /* a connection was resumed */
    otr_loop_fn *drive; /* lets the daemon do what is due; its argument is the server */
    otr_http_stream *streams;
    size_t n_streams;
    otr_http_later *laters;
    bool ending;
};

/* One request while its handler runs: otr_http_request.connection. */
typedef struct otr_http_exchange {
    otr_http_server *server;
    struct MHD_Connection *connection;
} otr_http_exchange;

struct otr_http_stream {
    otr_http_stream *prev, *next;
    otr_http_server *server;
    struct MHD_Connection *connection;
    otr_buf backlog;
    size_t sent; /* bytes of `backlog` that are gone already */
    bool suspended;
    bool ended;
    otr_loop_fn *closed; /* NULL once the owner let go */
    void *arg;
};

struct otr_http_later {
    otr_http_later *prev, *next;
    otr_http_server *server;
    struct MHD_Connection *connection;
    otr_loop_fn *closed; /* NULL once the owner let go */
    void *arg;
    bool suspended;
    bool ready; /* the rest is the answer */
    otr_code rc;
    otr_buf body;
    otr_err err;
};

/* The request on this connection that is to be answered later, or NULL. */
otr_http_later *otr_http_later_of(const otr_http_server *server,
                                  const struct MHD_Connection *connection);
/* The handler has returned: the connection sleeps until the answer is there. */
void otr_http_later_sleep(otr_http_later *later);
/* Takes it out of its server, tells an owner that still waits, and frees it. */
void otr_http_later_discard(otr_http_later *later);
/* Wakes all, so that the daemon can be stopped: they are told that the server ends. */
void otr_http_laters_release(const otr_http_server *server);

/* The route for a request, the longest one that fits; NULL: none. */
const otr_http_route_entry *otr_http_routes_find(const otr_http_routes *routes, const char *method,
                                                 const char *path);
/* "GET, HEAD, POST": the methods that `path` has, by any route; empty when it has none. */
otr_code otr_http_routes_allow(const otr_http_routes *routes, const char *path, otr_buf *out,
                               otr_err *err) OTR_MUST_CHECK;

/* The response that feeds from the stream; it owns the stream from then on. NULL: no memory, the
 * stream is still the caller's. */
struct MHD_Response *otr_http_stream_response(otr_http_stream *stream);
/* Takes it out of its server and tells its owner. */
void otr_http_stream_discard(otr_http_stream *stream);
/* A comment line to each stream. */
void otr_http_streams_beat(void *server);
/* Lets every suspended connection go, so that the daemon can be stopped. */
void otr_http_streams_release(otr_http_server *server);

#endif
