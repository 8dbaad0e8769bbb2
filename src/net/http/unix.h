/*
 * A small blocking HTTP client for the agent's own unix socket: for the command line only.
 *
 * One request a connection, with a deadline. A stream (server-sent events) is handed over line by
 * line until either side ends it.
 *
 * Thread: any; must not be the loop's.
 */
#ifndef OTR_NET_HTTP_UNIX_H
#define OTR_NET_HTTP_UNIX_H

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

typedef struct otr_unix_http {
    const char *socket_path;
    const char *method; /* "GET" */
    const char *target; /* "/api/v1/status?x=y", encoded already */
    otr_bytes body;
    int body_fd; /* instead of `body`, when `body_bytes` is not 0: read from its beginning */
    uint64_t body_bytes; /* so many must be there */
    uint64_t timeout_ms; /* for the whole answer; of a stream: for each silence. Of a body that is
                            sent from a file: for each silence, too */
} otr_unix_http;

/* Appends the answer's body, whatever its status. OTR_ENOTFOUND: there is no such socket;
 * OTR_ESTATE: nobody listens on it; OTR_EDENIED: not ours to open; OTR_ETIMEOUT; OTR_EINVAL: what
 * listens there does not speak HTTP. */
otr_code otr_unix_http_ask(const otr_unix_http *spec, unsigned *ret_status, otr_buf *ret_body,
                           otr_err *err) OTR_MUST_CHECK;

/* The same with the body of an answer of 200 appended to the file `fd`; that of another one goes to
 * `ret_error`. */
otr_code otr_unix_http_save(const otr_unix_http *spec, int fd, unsigned *ret_status,
                            otr_buf *ret_error, otr_err *err) OTR_MUST_CHECK;

/* One line without its end; false stops the reading, which is then a success. */
typedef bool otr_unix_http_line_fn(void *arg, const char *line);

/* Hands over each line of the body; OTR_OK when the stream ended. An answer other than 200 goes to
 * `ret_error` as a whole instead. */
otr_code otr_unix_http_lines(const otr_unix_http *spec, otr_unix_http_line_fn *fn, void *arg,
                             unsigned *ret_status, otr_buf *ret_error, otr_err *err) OTR_MUST_CHECK;

#endif
