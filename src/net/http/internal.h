/*
 * What the parts of the HTTP server share: connections, routes, streams, late answers.
 *
 * conns.c accepts, counts and ends connections; server.c knows requests and answers; routes.c,
 * stream.c, later.c and upload.c are parts of it; mhd.c is the parser.
 *
 * Thread: loop.
 */
#ifndef OTR_NET_HTTP_INTERNAL_H
#define OTR_NET_HTTP_INTERNAL_H

#include "net/http/listen.h"
#include "net/http/mhd.h"
#include "net/http/server.h"

typedef struct otr_http_route_entry {
    char *method, *path; /* `path` without its '*' */
    size_t path_bytes;
    bool star;
    otr_http_fn *fn;
    void *arg;
    otr_http_upload *upload; /* NULL: the body is held in memory; `folder` is owned */
} otr_http_route_entry;

struct otr_http_routes {
    otr_http_route_entry *entries;
    size_t n, cap;
};

typedef enum otr_http_phase {
    OTR_HTTP_WAITS,   /* for a request line */
    OTR_HTTP_READS,   /* the rest of the header, and the body */
    OTR_HTTP_ANSWERS, /* an answer is on its way to the peer */
    OTR_HTTP_SLEEPS,  /* we have nothing to send yet: a late answer, a quiet stream */
    OTR_HTTP_ENDS,    /* it was cut and goes at the next run */
} otr_http_phase;

typedef struct otr_http_conn otr_http_conn;
typedef struct otr_http_spool otr_http_spool; /* an upload on its way to a file */

struct otr_http_conn {
    otr_http_conn *prev, *next;
    otr_http_server *server;
    otr_mhd_conn *mhd; /* NULL: handed over and not taken up yet */
    int fd;            /* the parser's */
    bool kept;         /* it had a request before */
    otr_http_phase phase;
    uint64_t since_ns;    /* of the phase */
    uint64_t deadline_ns; /* 0: none */
    const char *flaw;     /* what is wrong with the request line, or NULL */
    otr_http_later *later;
    otr_http_stream *stream;
    otr_http_spool *spool; /* of an upload; NULL: none */
    otr_buf body;          /* of the request */
    size_t received;       /* of it, with what was not kept */
    size_t reply_bytes;    /* of the answer on its way */
};

struct otr_http_server {
    otr_loop *loop;
    otr_http_routes *routes;
    otr_mhd *mhd;
    otr_http_socket socket;
    otr_http_bounds bounds;
    otr_fds *fds; /* may be NULL */
    otr_fds_share share;
    bool check_host;
    bool ending;
    otr_watch *accepts; /* NULL: no more connections are taken */
    otr_watch *watch;   /* the parser's descriptor */
    otr_timer *timer;   /* the parser's next run */
    otr_timer *sweep;   /* the next deadline of a connection */
    otr_timer *again;   /* accepting failed: try anew */
    otr_timer *beat;    /* runs while there are streams */
    otr_defer wake;     /* a connection was resumed */
    uint64_t sweep_ns;  /* when `sweep` comes; 0: it does not */
    otr_http_conn *conns;
    size_t n_conns;
    size_t reply_bytes; /* all answers on their way */
    otr_http_stream *streams;
    size_t n_streams;
    otr_http_later *laters;
};

struct otr_http_stream {
    otr_http_stream *prev, *next;
    otr_http_server *server;
    otr_http_conn *conn; /* NULL: it is gone */
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
    otr_http_conn *conn;
    otr_loop_fn *closed; /* NULL once the owner let go */
    void *arg;
    bool suspended;
    bool ready; /* the rest is the answer */
    otr_code rc;
    otr_buf body;
    int file; /* -1: `body` */
    uint64_t file_bytes;
    const char *content_type; /* of the file */
    otr_err err;
};

/* ---- conns.c ---- */

/* Begins to accept and to drive the parser. */
otr_code otr_http_conns_start(otr_http_server *server, otr_err *err) OTR_MUST_CHECK;
void otr_http_conns_stop_accepting(otr_http_server *server);
/* After the parser: frees the records of what it never took up. */
void otr_http_conns_deinit(otr_http_server *server);
/* Lets the parser do what is due. `arg` is an otr_http_server. */
void otr_http_drive(void *arg);
/* The parser has taken up `fd`: the connection's record, or NULL. */
otr_http_conn *otr_http_conn_take_up(otr_http_server *server, otr_mhd_conn *mhd, int fd);
void otr_http_conn_gone(otr_http_conn *conn);
/* Enters a phase; its deadline starts now. */
void otr_http_conn_enter(otr_http_conn *conn, otr_http_phase phase);
/* It reads on, with the usual patience from now on, but to `until_ns` at most. */
void otr_http_conn_wait(otr_http_conn *conn, uint64_t until_ns);

/* ---- later.c ---- */

/* The handler has returned: the connection sleeps until the answer is there. */
void otr_http_later_sleep(otr_http_later *later);
/* Takes it out of its server, tells an owner that still waits, and frees it. */
void otr_http_later_discard(otr_http_later *later);
/* Wakes all, so that the parser can be stopped: they are told that the server ends. */
void otr_http_laters_release(const otr_http_server *server);

/* ---- routes.c ---- */

/* The route for a request, the longest one that fits; NULL: none. */
const otr_http_route_entry *otr_http_routes_find(const otr_http_routes *routes, const char *method,
                                                 const char *path);
/* "GET, HEAD, POST": the methods that `path` has, by any route; empty when it has none. */
otr_code otr_http_routes_allow(const otr_http_routes *routes, const char *path, otr_buf *out,
                               otr_err *err) OTR_MUST_CHECK;

/* ---- upload.c ---- */

/* The header of an upload is there. OTR_EIO: no file can be made. */
otr_code otr_http_upload_open(otr_http_conn *conn, const otr_http_upload *upload, otr_err *err)
    OTR_MUST_CHECK;
otr_mhd_next otr_http_upload_part(otr_http_conn *conn, otr_bytes part);
/* The body is there: true when the connection was suspended until it is written. */
bool otr_http_upload_waits(otr_http_conn *conn);
/* What became of it, and with which status to say so. */
otr_code otr_http_upload_end(const otr_http_conn *conn, unsigned *ret_status, otr_err *err)
    OTR_MUST_CHECK;
uint64_t otr_http_upload_bytes(const otr_http_conn *conn);
void otr_http_upload_drop(otr_http_conn *conn); /* the request is over; none is fine */
/* Wakes all, so that the parser can be stopped. */
void otr_http_uploads_release(const otr_http_server *server);

/* ---- stream.c ---- */

/* For otr_mhd_answer: the next bytes, and the end of it. */
ssize_t otr_http_stream_read(void *stream, char *to, size_t max);
/* Takes it out of its server and tells its owner. */
void otr_http_stream_discard(void *stream);
/* A comment line to each stream. */
void otr_http_streams_beat(void *server);
/* Lets every suspended connection go, so that the parser can be stopped. */
void otr_http_streams_release(otr_http_server *server);

#endif
