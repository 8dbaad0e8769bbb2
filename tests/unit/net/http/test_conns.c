/* Connections at, above and after each of their limits. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "net/http/server.h"
#include "support/test.h"

enum {
    PATIENCE_MS = 5000,
    OOM_PATIENCE_MS = 50,
    FEW = 8,
    SHORT_MS = 60,
    SLOW_MS = 4000,
    BIG_BYTES = 16 << 20
};

typedef struct rig {
    otr_loop *loop;
    otr_http_routes *routes;
    otr_http_server *server;
    otr_http_stream *stream;
    otr_http_later *later;
    uint16_t port;
    int fds[FEW];
    unsigned closed, made;
} rig;

static void rig_deinit(void *slot)
{
    rig *r = slot;
    otr_http_server_free(r->server);
    otr_http_routes_free(r->routes);
    otr_loop_free(r->loop);
    for (int i = 0; i < FEW; i++) {
        if (r->fds[i] > 0) {
            close(r->fds[i]);
        }
    }
}

static otr_code say_hello(void *arg, const otr_http_request *req, otr_http_reply *reply,
                          otr_err *err)
{
    (void)arg;
    (void)req;
    return otr_buf_adds(&reply->body, "hello", err);
}

static otr_code say_much(void *arg, const otr_http_request *req, otr_http_reply *reply,
                         otr_err *err)
{
    ((rig *)arg)->made++;
    (void)req;
    static const uint8_t block[65536];
    otr_code rc = OTR_OK;
    for (int i = 0; rc == OTR_OK && i < BIG_BYTES / (int)sizeof(block); i++) {
        rc = otr_buf_add(&reply->body, (otr_bytes){ block, sizeof(block) }, err);
    }
    return rc;
}

static void count_closed(void *arg)
{
    rig *r = arg;
    r->closed++;
    r->stream = NULL;
    r->later = NULL;
}

static otr_code open_stream(void *arg, const otr_http_request *req, otr_http_reply *reply,
                            otr_err *err)
{
    rig *r = arg;
    return otr_http_stream_open(req, reply, count_closed, r, &r->stream, err);
}

static otr_code wait_for_it(void *arg, const otr_http_request *req, otr_http_reply *reply,
                            otr_err *err)
{
    rig *r = arg;
    return otr_http_later_open(req, reply, count_closed, r, &r->later, err);
}

static otr_code rig_init(rig *r, const otr_http_listen *listen, otr_err *err)
{
    otr_code rc = otr_loop_new(&r->loop, err);
    rc = rc != OTR_OK ? rc : otr_http_routes_new(&r->routes, err);
    rc = rc != OTR_OK ? rc : otr_http_route(r->routes, "GET", "/hello", say_hello, r, err);
    rc = rc != OTR_OK ? rc : otr_http_route(r->routes, "GET", "/much", say_much, r, err);
    rc = rc != OTR_OK ? rc : otr_http_route(r->routes, "GET", "/stream", open_stream, r, err);
    rc = rc != OTR_OK ? rc : otr_http_route(r->routes, "GET", "/later", wait_for_it, r, err);
    rc = rc != OTR_OK ? rc : otr_http_server_new(r->loop, r->routes, listen, &r->server, err);
    r->port = rc == OTR_OK ? otr_http_server_port(r->server) : 0;
    return rc;
}

static uint64_t patience_end(void)
{
    uint64_t ms = otr_alloc_failed() > 0 ? OOM_PATIENCE_MS : PATIENCE_MS;
    return otr_now_ns() + ms * OTR_NS_PER_MS;
}

/* Connects without turning the loop: the listening socket's queue has room. */
static int dial(const rig *r)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int small = 4096;
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_port = htons(r->port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)) != 0 ||
        connect(fd, (struct sockaddr *)&at, sizeof(at)) != 0 ||
        fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    return fd;
}

static void say(int fd, const char *text)
{
    (void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static void turn(const rig *r, unsigned ms)
{
    uint64_t until = otr_now_ns() + ms * OTR_NS_PER_MS;
    while (otr_now_ns() < until) {
        otr_loop_step(r->loop, 5);
    }
}

/* Reads until the peer closes or patience ends; "…<open>" when it did not close. */
static const char *hear(const rig *r, int fd, char *out, size_t cap)
{
    uint64_t until = patience_end();
    size_t n = 0;
    while (otr_now_ns() < until) {
        char rest[65536];
        ssize_t got = recv(fd, rest, sizeof(rest), 0);
        if (got == 0 || (got < 0 && errno != EAGAIN)) {
            out[n] = '\0';
            return out;
        }
        if (got > 0 && n + (size_t)got < cap) {
            memcpy(out + n, rest, (size_t)got);
            n += (size_t)got;
        }
        otr_loop_step(r->loop, 5);
    }
    (void)snprintf(out + n, cap - n, "<open>");
    return out;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

static const char *ask(const rig *r, const char *request, char *out, size_t cap)
{
    out[0] = '\0';
    int fd = dial(r);
    if (fd >= 0) {
        say(fd, request);
        hear(r, fd, out, cap);
        close(fd);
    }
    return out;
}

/* `text` on each of FEW connections, which stay open. */
static void hold(rig *r, const char *text)
{
    for (int i = 0; i < FEW; i++) {
        r->fds[i] = dial(r);
        say(r->fds[i], text);
        otr_loop_step(r->loop, 5);
    }
    turn(r, 20);
}

static unsigned closed_by_server(const rig *r)
{
    unsigned n = 0;
    for (int i = 0; i < FEW; i++) {
        char rest[65536];
        ssize_t got = 1;
        while (got > 0) {
            got = recv(r->fds[i], rest, sizeof(rest), 0);
        }
        n += got == 0 || errno != EAGAIN;
    }
    return n;
}

/* How many the server has closed by the time that all are, or patience ends. */
static unsigned closed_in_time(const rig *r)
{
    uint64_t until = patience_end();
    unsigned n = 0;
    while ((n = closed_by_server(r)) < FEW && otr_now_ns() < until) {
        otr_loop_step(r->loop, 5);
    }
    return n;
}

#define RIG(r, e, listen)                  \
    otr_err e = { 0 };                     \
    OTR_CLEANUP(rig_deinit) rig r = { 0 }; \
    REQUIRE_OK(rig_init(&(r), listen, &(e)), e)
#define SAYS(call, want)            \
    do {                            \
        const char *said_ = (call); \
        CHECK_HAS(said_, want);     \
    } while (0)

static const otr_http_listen few = { .host = "localhost", .bounds = { .connections = FEW } };
static const otr_http_listen few_short = {
    .host = "127.0.0.1",
    .bounds = { FEW, SHORT_MS, SHORT_MS, SHORT_MS, 512U * OTR_MIB },
};

T(at_the_limit_of_idle_connections_the_next_one_is_served)
{
    RIG(r, e, &few);
    char text[4096];
    hold(&r, "");
    SAYS(ask(&r, GET("/hello"), text, sizeof(text)), "\r\n\r\nhello");
    CHECK_INT(closed_by_server(&r), 1); /* the one that had waited longest */
    SAYS(ask(&r, GET("/hello"), text, sizeof(text)), "\r\n\r\nhello");
}

T(at_the_limit_of_half_requests_the_next_one_is_served)
{
    RIG(r, e, &few);
    char text[4096];
    hold(&r, "GET /hello HTTP/1.1\r\nHost: localhost\r\nX: ");
    SAYS(ask(&r, GET("/hello"), text, sizeof(text)), "\r\n\r\nhello");
    CHECK_INT(closed_by_server(&r), 1);
}

T(at_the_limit_of_kept_connections_the_next_one_is_served)
{
    RIG(r, e, &few);
    char text[4096];
    hold(&r, "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
    SAYS(ask(&r, GET("/hello"), text, sizeof(text)), "\r\n\r\nhello");
    CHECK_INT(closed_by_server(&r), 1);
}

T(connections_that_time_out_together_leave_the_server_at_work)
{
    RIG(r, e, &few_short);
    char text[4096];
    hold(&r, "");
    CHECK_INT(closed_in_time(&r), FEW);
    SAYS(ask(&r, GET("/hello"), text, sizeof(text)), "\r\n\r\nhello");
}

T(a_kept_connection_ends_when_it_asks_no_more)
{
    otr_http_listen listen = { .host = "127.0.0.1", .bounds = { .idle_ms = 400 } };
    RIG(r, e, &listen);
    hold(&r, "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
    CHECK_INT(closed_by_server(&r), 0);
    CHECK_INT(closed_in_time(&r), FEW);
}

T(a_request_that_trickles_is_cut_when_its_time_is_over)
{
    RIG(r, e, &few_short);
    char text[4096];
    int fd = r.fds[0] = dial(&r);
    say(fd, "GET /hello HTTP/1.1\r\nHost: localhost\r\nX: ");
    for (int i = 0; i < 30; i++) {
        say(fd, "a");
        turn(&r, 10);
    }
    CHECK_STR(hear(&r, fd, text, sizeof(text)), "");
}

T(a_body_that_trickles_is_cut_when_its_time_is_over)
{
    RIG(r, e, &few_short);
    char text[4096];
    int fd = r.fds[0] = dial(&r);
    say(fd, "GET /hello HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n");
    for (int i = 0; i < 30; i++) {
        say(fd, "a");
        turn(&r, 10);
    }
    CHECK_STR(hear(&r, fd, text, sizeof(text)), "");
}

/* Sockets of the kernel hold megabytes of their own: an answer is larger than those. */
T_NO_OOM(answers_that_nobody_takes_hold_up_nobody_for_long)
{
    otr_http_listen listen = few_short;
    listen.bounds.take_ms = SLOW_MS; /* making the answers takes its time, too */
    RIG(r, e, &listen);
    static char text[4096];
    hold(&r, "GET /much HTTP/1.1\r\nHost: localhost\r\n\r\n");
    uint64_t until = patience_end();
    while (r.made < FEW && otr_now_ns() < until) {
        otr_loop_step(r.loop, 5);
    }
    SAYS(ask(&r, GET("/hello"), text, sizeof(text)), "HTTP/1.1 503 "); /* all are at work */
    turn(&r, SLOW_MS); /* reading now would be progress */
    CHECK_INT(closed_in_time(&r), FEW);
    SAYS(ask(&r, GET("/hello"), text, sizeof(text)), "\r\n\r\nhello");
}

T_NO_OOM(answers_that_nobody_takes_have_a_ceiling_of_memory)
{
    otr_http_listen listen = { .host = "127.0.0.1", .bounds = { .unread_bytes = BIG_BYTES } };
    RIG(r, e, &listen);
    static char text[8192];
    hold(&r, "GET /much HTTP/1.1\r\nHost: localhost\r\n\r\n");
    SAYS(ask(&r, GET("/hello"), text, sizeof(text)), "HTTP/1.1 503 ");
    CHECK_HAS(text, "wait for peers to read them");
    for (int i = 0; i < FEW; i++) {
        close(r.fds[i]);
        r.fds[i] = 0;
    }
    turn(&r, 50);
    SAYS(ask(&r, GET("/hello"), text, sizeof(text)), "\r\n\r\nhello");
}

T(a_late_answer_and_a_quiet_stream_are_waited_for)
{
    RIG(r, e, &few_short);
    char text[4096];
    r.fds[0] = dial(&r);
    say(r.fds[0], GET("/later"));
    r.fds[1] = dial(&r);
    say(r.fds[1], "GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
    turn(&r, 4 * SHORT_MS);
    REQUIRE(r.later != NULL && r.stream != NULL);
    otr_buf body;
    otr_buf_init(&body, 100);
    CHECK(otr_buf_adds(&body, "at last", &e) == OTR_OK);
    otr_http_later_send(r.later, OTR_OK, &body, NULL);
    CHECK(otr_http_stream_send(r.stream, otr_bytes_of("data: still here\n\n")));
    SAYS(hear(&r, r.fds[0], text, sizeof(text)), "at last");
    otr_http_stream_end(r.stream);
    SAYS(hear(&r, r.fds[1], text, sizeof(text)), "still here");
    CHECK_INT(r.closed, 0);
}

T_NO_OOM(a_stream_whose_reader_takes_nothing_at_all_is_cut)
{
    RIG(r, e, &few_short);
    static char block[32768];
    memset(block, 'x', sizeof(block));
    r.fds[0] = dial(&r);
    say(r.fds[0], "GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
    uint64_t until = patience_end();
    while (r.closed == 0 && otr_now_ns() < until) {
        if (r.stream != NULL) {
            (void)otr_http_stream_send(r.stream, (otr_bytes){ (uint8_t *)block, sizeof(block) });
        }
        otr_loop_step(r.loop, 1);
    }
    CHECK_INT(r.closed, 1);
}

T(a_retired_server_gives_the_answers_it_owes)
{
    RIG(r, e, &few);
    char text[4096];
    r.fds[0] = dial(&r);
    say(r.fds[0], GET("/later"));
    turn(&r, 30);
    REQUIRE(r.later != NULL);
    otr_http_server_retire(r.server);
    CHECK_INT(dial(&r), -1);
    otr_buf body;
    otr_buf_init(&body, 100);
    CHECK(otr_buf_adds(&body, "at last", &e) == OTR_OK);
    otr_http_later_send(r.later, OTR_OK, &body, NULL);
    SAYS(hear(&r, r.fds[0], text, sizeof(text)), "at last");
}

/* ---- descriptors ---- */

static void limit_fds(rlim_t soft)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = soft;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void ask_without_descriptors(otr_fds_share share, char *text, size_t cap)
{
    struct rlimit before;
    REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
    otr_fds fds;
    otr_fds_init(&fds);
    otr_http_listen listen = { .host = "127.0.0.1", .fds = &fds, .share = share };
    {
        RIG(r, e, &listen);
        r.fds[0] = dial(&r);
        say(r.fds[0], GET("/hello"));
        int lowest = dup(0);
        close(lowest);
        limit_fds((rlim_t)lowest); /* nothing can be opened now, but for what the spares leave */
        hear(&r, r.fds[0], text, cap);
        limit_fds(before.rlim_cur);
        CHECK(fds.refused > 0);
    }
    otr_fds_deinit(&fds);
    limit_fds(before.rlim_cur);
}

T_NO_OOM(without_descriptors_the_page_says_so)
{
    static char text[4096];
    ask_without_descriptors(OTR_FDS_PAGE, text, sizeof(text));
    CHECK_HAS(text, "HTTP/1.1 503 ");
    CHECK_HAS(text, "out of file descriptors");
}

T_NO_OOM(without_descriptors_the_admin_socket_still_answers)
{
    static char text[4096];
    ask_without_descriptors(OTR_FDS_CORE, text, sizeof(text));
    CHECK_HAS(text, "\r\n\r\nhello");
}

/* ---- how a request names its host ---- */

T(a_request_that_contradicts_itself_is_refused)
{
    static const char *const bad[] = {
        "GET /hello HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n",
        "GET /hello HTTP/1.1\r\nHost: localhost\r\nhost: evil.example\r\n",
        "GET http://me@localhost/hello HTTP/1.1\r\nHost: localhost\r\n",
        "GET /hello%00.js HTTP/1.1\r\nHost: localhost\r\n",
        "GET /hello HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n"
        "Transfer-Encoding: chunked\r\n",
    };
    otr_http_listen listen = { .host = "127.0.0.1", .check_host = true };
    RIG(r, e, &listen);
    for (size_t i = 0; i < OTR_COUNT(bad); i++) {
        char text[4096], request[256];
        (void)snprintf(request, sizeof(request), "%sConnection: close\r\n\r\n", bad[i]);
        SAYS(ask(&r, request, text, sizeof(text)), "HTTP/1.1 400 ");
    }
}

T(the_absolute_form_is_taken_and_its_host_checked)
{
    static const struct {
        const char *target, *want;
    } rows[] = {
        { "http://localhost/hello", "HTTP/1.1 200 " },
        { "HTTP://127.0.0.1:9180/hello", "HTTP/1.1 200 " },
        { "http://[::1]/hello", "HTTP/1.1 200 " },
        { "http://evil.example/hello", "HTTP/1.1 403 " },
        { "http://localhost.evil.example/hello", "HTTP/1.1 403 " },
        { "http:///hello", "HTTP/1.1 403 " },
        { "http://localhost", "HTTP/1.1 404 " },
    };
    otr_http_listen listen = { .host = "127.0.0.1", .check_host = true };
    RIG(r, e, &listen);
    for (size_t i = 0; i < OTR_COUNT(rows); i++) {
        char text[4096], request[256];
        (void)snprintf(request, sizeof(request),
                       "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
                       rows[i].target);
        SAYS(ask(&r, request, text, sizeof(text)), rows[i].want);
    }
}
