#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/http/answer.h"
#include "net/http/unix.h"
#include "support/test.h"

enum { PATIENCE_MS = 5000 };

/* A peer that takes one connection, reads the request and says what it was told to. */
typedef struct peer {
    char dir[64], path[96], heard[1024];
    const char *says;
    int listener;
    pthread_t thread;
    bool silent; /* keep the connection open and say nothing more */
    _Atomic bool done;
} peer;

static void *serve(void *arg)
{
    peer *p = arg;
    int fd = accept(p->listener, NULL, NULL);
    size_t n = 0;
    while (fd >= 0 && strstr(p->heard, "\r\n\r\n") == NULL && n + 1 < sizeof(p->heard)) {
        ssize_t got = recv(fd, p->heard + n, sizeof(p->heard) - 1 - n, 0);
        if (got <= 0) {
            break;
        }
        n += (size_t)got;
    }
    if (fd >= 0) {
        (void)send(fd, p->says, strlen(p->says), MSG_NOSIGNAL);
    }
    while (p->silent && !atomic_load(&p->done)) {
        (void)usleep(1000);
    }
    if (fd >= 0) {
        close(fd);
    }
    return NULL;
}

static bool peer_init(peer *p, const char *says)
{
    p->says = says;
    snprintf(p->dir, sizeof(p->dir), "/tmp/otr-unix-XXXXXX");
    if (mkdtemp(p->dir) == NULL) {
        return false;
    }
    snprintf(p->path, sizeof(p->path), "%s/s.sock", p->dir);
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    memcpy(at.sun_path, p->path, sizeof(p->path));
    p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return bind(p->listener, (struct sockaddr *)&at, sizeof(at)) == 0 &&
           listen(p->listener, 1) == 0 && pthread_create(&p->thread, NULL, serve, p) == 0;
}

static void peer_deinit(void *slot)
{
    peer *p = slot;
    atomic_store(&p->done, true);
    shutdown(p->listener, SHUT_RDWR); /* ends an accept() that nobody came for */
    pthread_join(p->thread, NULL);
    close(p->listener);
    unlink(p->path);
    rmdir(p->dir);
}

static void deinit_buf(void *buf)
{
    otr_buf_deinit(buf);
}

#define PEER(p, text)                                                                       \
    OTR_CLEANUP(peer_deinit) peer p = { 0 };                                                \
    REQUIRE(peer_init(&(p), text));                                                         \
    otr_err e = { 0 };                                                                      \
    unsigned status = 0;                                                                    \
    OTR_CLEANUP(deinit_buf) otr_buf out;                                                    \
    otr_buf_init(&out, OTR_BODY_BYTES);                                                     \
    otr_unix_http spec = {                                                                  \
        .socket_path = (p).path, .method = "GET", .target = "/x", .timeout_ms = PATIENCE_MS \
    }

#define OTR_BODY_BYTES 4096

T(a_missing_socket_is_told_from_a_dead_one)
{
    otr_err e = { 0 };
    unsigned status = 0;
    otr_buf out;
    otr_buf_init(&out, 100);
    otr_unix_http spec = {
        .socket_path = "/tmp/otr-none/s.sock", .method = "GET", .target = "/", .timeout_ms = 100
    };
    CHECK(otr_unix_http_ask(&spec, &status, &out, &e) == OTR_ENOTFOUND);
    CHECK_HAS(e.msg, "/tmp/otr-none/s.sock");
    char path[64];
    snprintf(path, sizeof(path), "/tmp/otr-dead-%d.sock", (int)getpid());
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    memcpy(at.sun_path, path, sizeof(path));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
    close(fd);
    spec.socket_path = path;
    CHECK(otr_unix_http_ask(&spec, &status, &out, &e) == OTR_ESTATE);
    CHECK_HAS(e.msg, "nobody listens");
    unlink(path);
    spec.socket_path = "";
    CHECK(otr_unix_http_ask(&spec, &status, &out, &e) == OTR_EINVAL);
}

T(silence_ends_at_the_deadline)
{
    PEER(p, "HTTP/1.1 200 OK\r\nContent-");
    p.silent = true;
    spec.timeout_ms = 30;
    CHECK(otr_unix_http_ask(&spec, &status, &out, &e) == OTR_ETIMEOUT);
    CHECK_HAS(e.msg, "within 30 ms");
}

T(an_answer_that_is_cut_short_or_no_http_is_an_error)
{
    {
        PEER(p, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort");
        CHECK(otr_unix_http_ask(&spec, &status, &out, &e) == OTR_EINVAL);
        CHECK_HAS(e.msg, "closed in the middle");
    }
    PEER(p, "SSH-2.0-OpenSSH\r\n");
    CHECK(otr_unix_http_ask(&spec, &status, &out, &e) == OTR_EINVAL);
    CHECK_HAS(e.msg, "not HTTP");
}

T(a_body_past_the_buffers_ceiling_is_an_error)
{
    PEER(p, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789");
    out.max_bytes = 5;
    CHECK(otr_unix_http_ask(&spec, &status, &out, &e) == OTR_EQUOTA);
}

T(status_and_body_come_back_also_for_an_error)
{
    PEER(p, "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope");
    spec.method = "POST";
    spec.body = otr_bytes_of("{}");
    REQUIRE_OK(otr_unix_http_ask(&spec, &status, &out, &e), e);
    CHECK_INT(status, 404);
    CHECK_STR(otr_buf_text(&out), "nope");
    CHECK_HAS(p.heard, "POST /x HTTP/1.1\r\n");
    CHECK_HAS(p.heard, "Content-Length: 2\r\n");
}

typedef struct seen {
    unsigned lines, stop_at;
    char text[256];
} seen;

static bool see(void *arg, const char *line)
{
    seen *s = arg;
    size_t n = strlen(s->text);
    snprintf(s->text + n, sizeof(s->text) - n, "[%s]", line);
    return ++s->lines != s->stop_at;
}

T(a_stream_comes_line_by_line_until_its_end)
{
    PEER(p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            "6\r\ndata: \r\n4\r\na\nb\r\r\n1\r\n\n\r\n0\r\n\r\n");
    seen s = { 0 };
    REQUIRE_OK(otr_unix_http_lines(&spec, see, &s, &status, &out, &e), e);
    CHECK_INT(status, 200);
    CHECK_STR(s.text, "[data: a][b]");
}

T(a_stream_ends_when_the_reader_has_enough)
{
    PEER(p, "HTTP/1.1 200 OK\r\n\r\none\ntwo\nthree\n");
    p.silent = true;
    seen s = { .stop_at = 2 };
    REQUIRE_OK(otr_unix_http_lines(&spec, see, &s, &status, &out, &e), e);
    CHECK_STR(s.text, "[one][two]");
}

T(a_refused_stream_gives_its_error_as_a_whole)
{
    PEER(p, "HTTP/1.1 429 Too Many\r\nContent-Length: 9\r\n\r\nline\nmore");
    seen s = { 0 };
    REQUIRE_OK(otr_unix_http_lines(&spec, see, &s, &status, &out, &e), e);
    CHECK_INT(status, 429);
    CHECK_STR(otr_buf_text(&out), "line\nmore");
    CHECK_INT(s.lines, 0);
}

static otr_code ignore(void *arg, otr_bytes part, otr_err *err)
{
    (void)arg;
    (void)part;
    (void)err;
    return OTR_OK;
}

T(bytes_after_the_answer_are_an_error)
{
    otr_err e = { 0 };
    otr_http_answer *answer = NULL;
    REQUIRE_OK(otr_http_answer_new(ignore, NULL, &answer, &e), e);
    const char *two = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n";
    CHECK(otr_http_answer_feed(answer, otr_bytes_of(two), &e) == OTR_EINVAL);
    otr_http_answer_free(answer);
}
