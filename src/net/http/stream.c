#include "base/alloc.h"
#include "base/limits.h"
#include "net/http/internal.h"

enum { BEAT_MS = 15000, KEEP_BYTES = 16384, BLOCK_BYTES = 4096 };

otr_code otr_http_stream_open(const otr_http_request *req, otr_http_reply *reply,
                              otr_loop_fn *closed, void *arg, otr_http_stream **ret, otr_err *err)
{
    const otr_http_exchange *exchange = req->connection;
    otr_http_server *server = exchange->server;
    if (server->n_streams >= OTR_LIMIT_HTTP_STREAMS) {
        return otr_fail(err, OTR_EQUOTA, "%d live streams are open already, the most there may be",
                        OTR_LIMIT_HTTP_STREAMS);
    }
    otr_http_stream *s = otr_zalloc(sizeof(*s));
    if (s == NULL) {
        return otr_fail_nomem(err);
    }
    *s = (otr_http_stream){ .server = server,
                            .connection = exchange->connection,
                            .closed = closed,
                            .arg = arg,
                            .next = server->streams };
    otr_buf_init(&s->backlog, OTR_LIMIT_HTTP_STREAM_BYTES);
    if (s->next != NULL) {
        s->next->prev = s;
    }
    server->streams = s;
    if (server->n_streams++ == 0) {
        otr_timer_start(server->beat, BEAT_MS, BEAT_MS);
    }
    reply->content_type = "text/event-stream";
    reply->stream = s;
    *ret = s;
    return OTR_OK;
}

void otr_http_stream_discard(otr_http_stream *s)
{
    otr_http_server *server = s->server;
    *(s->prev != NULL ? &s->prev->next : &server->streams) = s->next;
    if (s->next != NULL) {
        s->next->prev = s->prev;
    }
    if (--server->n_streams == 0) {
        otr_timer_stop(server->beat);
    }
    if (s->closed != NULL) {
        s->closed(s->arg);
    }
    otr_buf_deinit(&s->backlog);
    otr_free(s);
}

static void resume(otr_http_stream *s)
{
    if (s->suspended) {
        s->suspended = false;
        MHD_resume_connection(s->connection);
        /* Driven from outside, libmicrohttpd does not make its epoll descriptor ready for this. */
        otr_loop_defer(s->server->loop, &s->server->wake, s->server->drive, s->server);
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

/* Called by the daemon when the connection can take more. */
static ssize_t read_stream(void *cls, uint64_t pos, char *buf, size_t max)
{
    otr_http_stream *s = cls;
    (void)pos;
    size_t n = s->backlog.n - s->sent;
    if (n == 0 && s->ended) {
        return MHD_CONTENT_READER_END_OF_STREAM;
    }
    if (n == 0) {
        s->suspended = true;
        MHD_suspend_connection(s->connection);
        return 0;
    }
    n = n < max ? n : max;
    memcpy(buf, s->backlog.p + s->sent, n);
    s->sent += n;
    if (s->sent == s->backlog.n) {
        forget_sent(s);
    }
    return (ssize_t)n;
}

static void response_gone(void *cls)
{
    otr_http_stream_discard(cls);
}

struct MHD_Response *otr_http_stream_response(otr_http_stream *s)
{
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_stream, s,
                                             response_gone);
}

void otr_http_streams_beat(void *server)
{
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
