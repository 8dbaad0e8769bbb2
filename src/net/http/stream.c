#include <errno.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "net/http/internal.h"

enum { BEAT_MS = 15000, KEEP_BYTES = 16384 };

static void resume(otr_http_stream *s);

/* The parser does not look at a connection that sleeps: whether its peer is gone is seen here. */
static bool has_left(const otr_http_stream *s)
{
    char byte;
    ssize_t n =
        s->suspended && s->conn != NULL ? recv(s->conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) : 1;
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

/* Ends the streams whose peers are gone; how many those were. */
static size_t end_left(otr_http_server *server)
{
    size_t n = 0;
    for (otr_http_stream *s = server->streams; s != NULL; s = s->next) {
        if (has_left(s)) {
            s->ended = true;
            resume(s);
            n++;
        }
    }
    return n;
}

otr_code otr_http_stream_open(const otr_http_request *req, otr_http_reply *reply,
                              otr_loop_fn *closed, void *arg, otr_http_stream **ret, otr_err *err)
{
    otr_http_conn *conn = req->connection;
    otr_http_server *server = conn->server;
    if (server->n_streams >= OTR_LIMIT_HTTP_STREAMS && end_left(server) == 0) {
        return otr_fail(err, OTR_EQUOTA, "%d live streams are open already, the most there may be",
                        OTR_LIMIT_HTTP_STREAMS);
    }
    otr_http_stream *s = otr_zalloc(sizeof(*s));
    if (s == NULL) {
        return otr_fail_nomem(err);
    }
    *s = (otr_http_stream){
        .server = server, .conn = conn, .closed = closed, .arg = arg, .next = server->streams
    };
    otr_buf_init(&s->backlog, OTR_LIMIT_HTTP_STREAM_BYTES);
    if (s->next != NULL) {
        s->next->prev = s;
    }
    server->streams = s;
    if (server->n_streams++ == 0) {
        otr_timer_start(server->beat, BEAT_MS, BEAT_MS);
    }
    reply->content_type = "text/event-stream";
    conn->stream = s;
    reply->stream = s;
    *ret = s;
    return OTR_OK;
}

void otr_http_stream_discard(void *stream)
{
    otr_http_stream *s = stream;
    otr_http_server *server = s->server;
    *(s->prev != NULL ? &s->prev->next : &server->streams) = s->next;
    if (s->next != NULL) {
        s->next->prev = s->prev;
    }
    if (--server->n_streams == 0) {
        otr_timer_stop(server->beat);
    }
    if (s->conn != NULL) {
        s->conn->stream = NULL;
    }
    if (s->closed != NULL) {
        s->closed(s->arg);
    }
    otr_buf_deinit(&s->backlog);
    otr_free(s);
}

static void resume(otr_http_stream *s)
{
    if (s->suspended && s->conn != NULL) {
        s->suspended = false;
        otr_http_conn_enter(s->conn, OTR_HTTP_ANSWERS);
        otr_mhd_resume(s->conn->mhd);
        otr_loop_defer(s->server->loop, &s->server->wake, otr_http_drive, s->server);
    }
}

static void forget_sent(otr_http_stream *s)
{
    size_t left = s->backlog.n - s->sent;
    if (left == 0 && s->backlog.cap > KEEP_BYTES) {
        otr_buf_deinit(&s->backlog);
    } else if (s->sent > 0) {
        memmove(s->backlog.p, s->backlog.p + s->sent, left);
        s->backlog.n = left;
    }
    s->sent = 0;
}

bool otr_http_stream_send(otr_http_stream *s, otr_bytes bytes)
{
    if (s->ended) {
        return false;
    }
    if (s->sent > 0 && s->sent >= s->backlog.n / 2) {
        forget_sent(s);
    }
    if (otr_buf_add(&s->backlog, bytes, NULL) != OTR_OK) {
        forget_sent(s);
        if (otr_buf_add(&s->backlog, bytes, NULL) != OTR_OK) {
            return false;
        }
    }
    resume(s);
    return true;
}

void otr_http_stream_end(otr_http_stream *s)
{
    s->closed = NULL;
    s->ended = true;
    resume(s);
}

/* Called when the connection can take more, which starts its time anew: only a reader that takes
 * nothing at all is cut. */
ssize_t otr_http_stream_read(void *stream, char *to, size_t max)
{
    otr_http_stream *s = stream;
    size_t n = s->backlog.n - s->sent;
    if (n == 0 && s->ended) {
        return OTR_MHD_END;
    }
    if (n == 0) {
        s->suspended = true;
        otr_http_conn_enter(s->conn, OTR_HTTP_SLEEPS);
        otr_mhd_suspend(s->conn->mhd);
        return OTR_MHD_SUSPENDED;
    }
    otr_http_conn_enter(s->conn, OTR_HTTP_ANSWERS);
    n = n < max ? n : max;
    memcpy(to, s->backlog.p + s->sent, n);
    s->sent += n;
    if (s->sent == s->backlog.n) {
        forget_sent(s);
    }
    return (ssize_t)n;
}

void otr_http_streams_beat(void *server)
{
    (void)end_left(server);
    for (otr_http_stream *s = ((otr_http_server *)server)->streams; s != NULL; s = s->next) {
        (void)otr_http_stream_send(s, otr_bytes_of(":\n\n")); /* a full backlog needs no beat */
    }
}

void otr_http_streams_release(otr_http_server *server)
{
    for (otr_http_stream *s = server->streams; s != NULL; s = s->next) {
        s->ended = true;
        resume(s);
    }
}
