#include "net/http/client.h"

#include <errno.h>
#include <http_parser.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"

enum { REQUEST_BYTES = 20000, READ_BYTES = 16384, WHERE_BYTES = 160 };

typedef enum phase {
    CLOSED,
    DIALING, /* by the dialer */
    CONNECTING,
    SENDING,
    READING,
    IDLE, /* connected, nothing under way */
} phase;

struct otr_http_client {
    otr_loop *loop;
    otr_http_dialer *dialer;                        /* NULL: the client connects itself */
    otr_http_address addresses[OTR_HTTP_ADDRESSES]; /* tried in turn */
    size_t n_addresses, next_address;
    char where[WHERE_BYTES]; /* for errors */
    otr_buf request;         /* as it goes out */
    size_t proxy_bytes;      /* its start that only a new connection gets */

    phase phase;
    int fd;
    otr_watch *watch;
    otr_timer *deadline;
    size_t sent;
    bool reused;   /* the connection served a request before */
    bool answered; /* bytes of the response have come */

    bool busy;
    otr_http_get get;
    http_parser parser;
    otr_buf body;
    bool complete;
    otr_err body_err; /* of the parser's callbacks */
};

static void on_event(void *arg, int events);
static otr_code connect_next(otr_http_client *c, otr_err *err);

/* ---- connection ---- */

static void close_connection(otr_http_client *c)
{
    if (c->phase == DIALING) {
        c->dialer->cancel(c->dialer->self);
    }
    otr_watch_free(c->watch);
    c->watch = NULL;
    if (c->fd >= 0) {
        close(c->fd);
        c->fd = -1;
    }
    c->phase = CLOSED;
    c->reused = false;
}

static otr_code watch(otr_http_client *c, int events, otr_err *err)
{
    otr_watch_free(c->watch);
    c->watch = NULL;
    return otr_watch_new(c->loop, c->fd, events, on_event, c, &c->watch, err);
}

/* Gives the request back to its owner; `c` may be gone after that. */
static void finish(otr_http_client *c, otr_code rc, const otr_err *err)
{
    otr_timer_stop(c->deadline);
    c->busy = false;
    otr_buf body = c->body;
    otr_buf_init(&c->body, 0);
    otr_http_response response = { .status = c->parser.status_code, .body = otr_buf_bytes(&body) };
    c->get.done(c->get.arg, rc, rc == OTR_OK ? &response : NULL, err);
    otr_buf_deinit(&body);
}

static void fail(otr_http_client *c, otr_code rc, otr_err *err)
{
    close_connection(c);
    finish(c, otr_wrap(err, rc, "%s", c->where), err);
}

static otr_code send_some(otr_http_client *c, otr_err *err)
{
    while (c->sent < c->request.n) {
        ssize_t n = send(c->fd, c->request.p + c->sent, c->request.n - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            if (c->phase == SENDING) {
                return OTR_OK;
            }
            c->phase = SENDING;
            return watch(c, OTR_WATCH_WRITE, err);
        }
        if (n < 0 && errno != EINTR) {
            return otr_fail_sys(err, errno, "cannot send");
        }
        c->sent += n > 0 ? (size_t)n : 0;
    }
    bool watching = c->phase == IDLE;
    c->phase = READING;
    return watching ? OTR_OK : watch(c, OTR_WATCH_READ, err);
}

static otr_code open_socket(otr_http_client *c, const otr_http_address *to, otr_err *err)
{
    const struct sockaddr *address = (const void *)to->bytes;
    if (c->dialer != NULL) {
        c->phase = DIALING;
        return c->dialer->dial(c->dialer->self, address, to->size, c->get.timeout_ms, err);
    }
    c->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        return otr_fail_sys(err, errno, "cannot make a socket");
    }
    if (address->sa_family != AF_UNIX) {
        int on = 1;
        (void)setsockopt(c->fd, SOL_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    if (connect(c->fd, address, to->size) == 0) {
        c->sent = 0;
        c->phase = CONNECTING;
        return send_some(c, err);
    }
    if (errno != EINPROGRESS) {
        return otr_fail_sys(err, errno, "cannot connect");
    }
    c->phase = CONNECTING;
    return watch(c, OTR_WATCH_WRITE, err);
}

/* The first of the addresses that are left to which a connection begins. */
static otr_code connect_next(otr_http_client *c, otr_err *err)
{
    otr_code rc = OTR_ESTATE;
    while (c->next_address < c->n_addresses) {
        size_t i = c->next_address++;
        close_connection(c);
        rc = open_socket(c, &c->addresses[i], err);
        if (rc == OTR_OK) {
            return OTR_OK;
        }
        c->phase = c->phase == DIALING ? CLOSED : c->phase; /* nothing to cancel */
    }
    close_connection(c);
    return rc;
}

static otr_code connected(otr_http_client *c, otr_err *err)
{
    int sys = 0;
    socklen_t size = sizeof(sys);
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &sys, &size) != 0) {
        sys = errno;
    }
    if (sys != 0) {
        otr_code rc = otr_fail_sys(err, sys, "cannot connect");
        return c->next_address < c->n_addresses ? connect_next(c, err) : rc;
    }
    c->sent = 0;
    return send_some(c, err);
}

static void on_dialed(void *arg, otr_code rc, int fd, const otr_err *err)
{
    otr_http_client *c = arg;
    otr_err why = err != NULL ? *err : (otr_err){ 0 };
    c->phase = CLOSED;
    if (rc == OTR_OK) {
        c->fd = fd;
        c->sent = 0;
        c->phase = CONNECTING;
        rc = send_some(c, &why);
    } else if (c->next_address < c->n_addresses) {
        rc = connect_next(c, &why);
    }
    if (rc != OTR_OK) {
        fail(c, rc, &why);
    }
}

/* ---- response ---- */

static int on_body(http_parser *parser, const char *at, size_t n)
{
    otr_http_client *c = parser->data;
    otr_code rc = otr_buf_add(&c->body, (otr_bytes){ (const uint8_t *)at, n }, &c->body_err);
    return rc == OTR_OK ? 0 : 1;
}

static int on_headers_complete(http_parser *parser)
{
    return parser->upgrade || parser->status_code == 101 ? -1 : 0;
}

static int on_message_complete(http_parser *parser)
{
    otr_http_client *c = parser->data;
    if (parser->status_code < 200) {
        return 0; /* 100 and the like: the answer follows */
    }
    c->complete = true;
    http_parser_pause(parser, 1);
    return 0;
}

static const http_parser_settings settings = { .on_body = on_body,
                                               .on_headers_complete = on_headers_complete,
                                               .on_message_complete = on_message_complete };

static void complete(otr_http_client *c, size_t parsed, size_t got)
{
    http_parser_pause(&c->parser, 0);
    bool keep = parsed == got && got > 0 && http_should_keep_alive(&c->parser);
    if (keep) {
        c->phase = IDLE;
        c->reused = true;
    } else {
        close_connection(c);
    }
    finish(c, OTR_OK, NULL);
}

static void reject(otr_http_client *c)
{
    otr_err err = c->body_err;
    if (err.code == OTR_OK) {
        enum http_errno why = HTTP_PARSER_ERRNO(&c->parser);
        otr_fail(&err, OTR_EINVAL, "malformed HTTP response: %s", http_errno_description(why));
    }
    fail(c, err.code, &err);
}

/* A connection that ended before any answer may have been closed by the server while it was idle:
 * asking again, on a new one, is safe for a GET. */
static bool retry(otr_http_client *c)
{
    if (!c->reused || c->answered) {
        return false;
    }
    otr_err err;
    c->next_address = 0;
    otr_code rc = connect_next(c, &err);
    if (rc != OTR_OK) {
        fail(c, rc, &err);
    }
    return true;
}

static void read_response(otr_http_client *c)
{
    char bytes[READ_BYTES];
    ssize_t n = recv(c->fd, bytes, sizeof(bytes), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n < 0) {
        int sys = errno;
        otr_err err;
        if (!retry(c)) {
            otr_code rc = otr_fail_sys(&err, sys, "cannot read");
            fail(c, rc, &err);
        }
        return;
    }
    if (n == 0 && retry(c)) {
        return;
    }
    c->answered |= n > 0;
    size_t parsed = http_parser_execute(&c->parser, &settings, bytes, (size_t)n);
    if (c->complete) {
        complete(c, parsed, (size_t)n);
    } else if (HTTP_PARSER_ERRNO(&c->parser) != HPE_OK) {
        reject(c);
    } else if (n == 0) {
        otr_err err;
        otr_code rc = otr_fail(&err, OTR_EIO, "the connection ended before the response");
        fail(c, rc, &err);
    }
}

static void on_event(void *arg, int events)
{
    (void)events;
    otr_http_client *c = arg;
    otr_err err;
    otr_code rc = OTR_OK;
    switch (c->phase) {
    case CONNECTING:
        rc = connected(c, &err);
        break;
    case SENDING:
        rc = send_some(c, &err);
        break;
    case READING:
        read_response(c);
        return;
    case IDLE:
    case CLOSED:
    case DIALING:
    default:
        close_connection(c); /* closed by the server, or bytes that nobody asked for */
        return;
    }
    if (rc != OTR_OK && !retry(c)) {
        fail(c, rc, &err);
    }
}

static void on_deadline(void *arg)
{
    otr_http_client *c = arg;
    otr_err err;
    otr_code rc = otr_fail(&err, OTR_ETIMEOUT, "no answer within %llu ms",
                           (unsigned long long)c->get.timeout_ms);
    fail(c, rc, &err);
}

/* ---- life ---- */

static otr_code write_request(otr_http_client *c, const otr_http_url *url, otr_err *err)
{
    otr_buf_init(&c->request, REQUEST_BYTES);
    otr_code rc = OTR_OK;
    if (url->proxy_protocol) {
        rc = otr_buf_adds(&c->request, "PROXY UNKNOWN\r\n", err);
        c->proxy_bytes = c->request.n;
    }
    if (rc == OTR_OK) { /* HTTP/1.1 without Host is an error */
        rc = url->host_header[0] != '\0'
                 ? otr_buf_addf(&c->request, err, "GET %s HTTP/1.1\r\nHost: %s\r\n", url->path,
                                url->host_header)
                 : otr_buf_addf(&c->request, err, "GET %s HTTP/1.0\r\nConnection: keep-alive\r\n",
                                url->path);
    }
    rc = rc == OTR_OK ? otr_http_url_authorize(url, &c->request, err) : rc;
    return rc == OTR_OK
               ? otr_buf_adds(&c->request,
                              "User-Agent: outrider/" OTR_VERSION "\r\nAccept: */*\r\n\r\n", err)
               : rc;
}

static void name_place(otr_http_client *c, const otr_http_url *url)
{
    if (url->unix_path != NULL) {
        (void)snprintf(c->where, sizeof(c->where), "unix:%s", url->unix_path);
    } else {
        bool v6 = strchr(url->host, ':') != NULL;
        (void)snprintf(c->where, sizeof(c->where), v6 ? "[%s]:%u" : "%s:%u", url->host, url->port);
    }
}

otr_code otr_http_client_new(otr_loop *loop, const otr_http_url *url, otr_http_dialer *dialer,
                             otr_http_client **ret, otr_err *err)
{
    if (url->tls || url->http2) {
        return otr_fail(err, OTR_EUNSUP, "this client speaks neither https nor HTTP/2");
    }
    otr_http_client *c = otr_zalloc(sizeof(*c));
    if (c == NULL) {
        return otr_fail_nomem(err);
    }
    c->loop = loop;
    c->fd = -1;
    c->dialer = dialer;
    if (dialer != NULL) {
        dialer->done = on_dialed;
        dialer->arg = c;
    }
    name_place(c, url);
    otr_code rc = otr_http_url_resolve(url, c->addresses, &c->n_addresses, err);
    if (rc == OTR_OK) {
        rc = write_request(c, url, err);
    }
    if (rc == OTR_OK) {
        rc = otr_timer_new(loop, on_deadline, c, &c->deadline, err);
    }
    if (rc != OTR_OK) {
        otr_http_client_free(c);
        return rc;
    }
    *ret = c;
    return OTR_OK;
}

otr_code otr_http_client_get(otr_http_client *c, const otr_http_get *get, otr_err *err)
{
    if (c->busy) {
        return otr_fail(err, OTR_ESTATE, "%s: a request is under way", c->where);
    }
    c->get = *get;
    c->complete = c->answered = false;
    c->body_err = (otr_err){ 0 };
    http_parser_init(&c->parser, HTTP_RESPONSE);
    c->parser.data = c;
    otr_buf_deinit(&c->body);
    otr_buf_init(&c->body, get->max_body_bytes);
    c->next_address = 0;
    otr_code rc;
    if (c->phase == IDLE) {
        c->sent = c->proxy_bytes;
        rc = send_some(c, err);
        if (rc != OTR_OK) {
            rc = connect_next(c, err);
        }
    } else {
        rc = connect_next(c, err);
    }
    if (rc != OTR_OK) {
        close_connection(c);
        return otr_wrap(err, rc, "%s", c->where);
    }
    c->busy = true;
    otr_timer_start(c->deadline, get->timeout_ms, 0);
    return OTR_OK;
}

void otr_http_client_cancel(otr_http_client *c)
{
    if (c->busy) {
        c->busy = false;
        otr_timer_stop(c->deadline);
        close_connection(c);
        otr_buf_deinit(&c->body);
    }
}

void otr_http_client_free(otr_http_client *c)
{
    if (c == NULL) {
        return;
    }
    close_connection(c);
    otr_timer_free(c->deadline);
    otr_buf_deinit(&c->request);
    otr_buf_deinit(&c->body);
    otr_free(c);
}
