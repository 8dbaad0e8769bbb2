/*
 * libmicrohttpd behind our types: mhd.c is the one file that includes its header.
 *
 * It parses requests and writes answers on connections that are handed to it. What it does not do
 * here: listen, accept, count connections, measure time. Driven from outside and at its own limit
 * of connections it takes the listening socket out of its epoll set, and puts it back only when it
 * is run the next time; after connections that ended together by its own timeout nothing runs it
 * again. So conns.c does all four. A request goes through line(), head(), part() for each piece of
 * a body, whole() and done(), with the pointer that opened() gave.
 *
 * Thread: loop.
 */
#ifndef OTR_NET_HTTP_MHD_H
#define OTR_NET_HTTP_MHD_H

#include <sys/socket.h>
#include <sys/types.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

typedef struct otr_mhd otr_mhd;
typedef struct MHD_Connection otr_mhd_conn;

typedef enum otr_mhd_next { OTR_MHD_CLOSE, OTR_MHD_GO_ON } otr_mhd_next;

typedef struct otr_mhd_ops {
    void *(*opened)(void *arg, otr_mhd_conn *conn, int fd); /* NULL: nobody knows it, close it */
    void (*closed)(void *peer);                             /* last; its descriptor goes now */
    void (*line)(void *peer, const char *target);           /* the request line, not decoded */
    /* The header is there; answering now skips the body. */
    otr_mhd_next (*head)(void *peer, const char *method, const char *path);
    otr_mhd_next (*part)(void *peer, otr_bytes part);
    /* Answer now, or otr_mhd_suspend(): after the resume it is called again. */
    otr_mhd_next (*whole)(void *peer, const char *method, const char *path);
    void (*done)(void *peer); /* the answer is sent, or never will be */
} otr_mhd_ops;

/* Takes up to `most` connections, with `memory_bytes` for the header of each. */
typedef struct otr_mhd_spec {
    const otr_mhd_ops *ops;
    void *arg; /* of opened() */
    unsigned most;
    size_t memory_bytes;
} otr_mhd_spec;

/* Borrows the spec's `ops`; OTR_EUNSUP when the library has no epoll. */
otr_code otr_mhd_new(const otr_mhd_spec *spec, otr_mhd **ret, otr_err *err) OTR_MUST_CHECK;
/* Closes its connections. None may be suspended. */
void otr_mhd_free(otr_mhd *mhd);
int otr_mhd_fd(const otr_mhd *mhd); /* readable when otr_mhd_run() has something to do */
/* Owns `fd` in every case. opened() comes from inside or from the next run. */
otr_code otr_mhd_add(otr_mhd *mhd, int fd, const struct sockaddr *from, socklen_t from_bytes)
    OTR_MUST_CHECK;
/* Does what is due; the milliseconds until it wants to run again, UINT64_MAX: when its descriptor
 * is readable. */
uint64_t otr_mhd_run(otr_mhd *mhd);

void otr_mhd_suspend(otr_mhd_conn *conn);
void otr_mhd_resume(otr_mhd_conn *conn); /* takes effect at the next run, which is the caller's */

const char *otr_mhd_header(otr_mhd_conn *conn, const char *name); /* the first; NULL: absent */
unsigned otr_mhd_header_count(otr_mhd_conn *conn, const char *name);
const char *otr_mhd_query(otr_mhd_conn *conn, const char *name); /* NULL: absent */
/* Each of that name, in order, until `fn` returns false. */
void otr_mhd_query_each(otr_mhd_conn *conn, const char *name,
                        bool (*fn)(void *arg, const char *value), void *arg);

enum { OTR_MHD_SUSPENDED = 0, OTR_MHD_END = -1 }; /* of otr_mhd_read_fn */
/* Writes up to `max` bytes to `to` and says how many; or suspended the connection; or is at the
 * end. */
typedef ssize_t otr_mhd_read_fn(void *arg, char *to, size_t max);

typedef struct otr_mhd_answer {
    unsigned status;
    const char *const (*headers)[2]; /* name and value; a NULL value is left out */
    size_t headers_n;
    otr_buf *body;           /* taken in every case; ignored when `read` is given */
    otr_mhd_read_fn *read;   /* a body that comes in pieces */
    void (*gone)(void *arg); /* `read` is not called again; comes also when sending fails */
    void *arg;               /* of both */
    int *file;               /* a body of `file_bytes` of this descriptor, which is taken in every
                                case: -1 afterwards. NULL: `body` */
    uint64_t file_bytes;
} otr_mhd_answer;

otr_mhd_next otr_mhd_send(otr_mhd_conn *conn, const otr_mhd_answer *answer);

#endif
