#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "net/http/listen.h"
#include "net/http/server.h"
#include "support/test.h"

enum { PATIENCE_MS = 5000, OOM_PATIENCE_MS = 50, MANY = 200 };

/* ---- a server and raw clients ---- */

typedef struct rig {
    otr_loop *loop;
    otr_http_routes *routes;
    otr_http_server *server;
    char dir[64], path[96];
    otr_http_stream *stream;
    otr_http_later *later;
    unsigned closed, calls;
} rig;

static void rig_deinit(void *slot)
{
    rig *r = slot;
    otr_http_server_free(r->server);
    otr_http_routes_free(r->routes);
    otr_loop_free(r->loop);
    if (r->dir[0] != '\0') {
        unlink(r->path);
        rmdir(r->dir);
    }
}

static otr_code say_hello(void *arg, const otr_http_request *req, otr_http_reply *reply,
                          otr_err *err)
{
    ((rig *)arg)->calls++;
    reply->content_type = "text/plain";
    const char *who = otr_http_query(req, "who");
    return otr_buf_addf(&reply->body, err, "hello %s%s", who != NULL ? who : "you", req->tail);
}

static otr_code echo(void *arg, const otr_http_request *req, otr_http_reply *reply, otr_err *err)
{
    ((rig *)arg)->calls++;
    return otr_buf_add(&reply->body, req->body, err);
}

static otr_code refuse(void *arg, const otr_http_request *req, otr_http_reply *reply, otr_err *err)
{
    (void)arg;
    otr_code rc = otr_buf_adds(&reply->body, "half an answer", err);
    return rc != OTR_OK ? rc
                        : otr_fail(err, (otr_code)(req->tail[0] - '0'), "no \"%s\"", req->tail);
}

static void count_closed(void *arg)
{
    rig *r = arg;
    r->closed++;
    r->stream = NULL;
}

static otr_code open_stream(void *arg, const otr_http_request *req, otr_http_reply *reply,
                            otr_err *err)
{
    rig *r = arg;
    r->calls++;
    return otr_http_stream_open(req, reply, count_closed, r, &r->stream, err);
}

static otr_code open_stream_and_fail(void *arg, const otr_http_request *req, otr_http_reply *reply,
                                     otr_err *err)
{
    otr_code rc = open_stream(arg, req, reply, err);
    return rc != OTR_OK ? rc : otr_fail(err, OTR_ESTATE, "changed my mind");
}

static void count_given_up(void *arg)
{
    rig *r = arg;
    r->closed++;
    r->later = NULL;
}

static otr_code wait_for_it(void *arg, const otr_http_request *req, otr_http_reply *reply,
                            otr_err *err)
{
    rig *r = arg;
    otr_code rc = otr_http_later_open(req, reply, count_given_up, r, &r->later, err);
    r->calls++;
    if (rc == OTR_OK && req->body.n == 2) { /* "no" */
        return otr_fail(err, OTR_ESTATE, "changed my mind");
    }
    return rc;
}

static otr_code add_routes(rig *r, otr_err *err)
{
    static const struct {
        const char *method, *path;
        otr_http_fn *fn;
    } rows[] = {
        { "GET", "/hello", say_hello },    { "POST", "/hello", echo },
        { "POST", "/echo", echo },         { "GET", "/hello/*", say_hello },
        { "GET", "/fail/*", refuse },      { "POST", "/later", wait_for_it },
        { "GET", "/stream", open_stream }, { "GET", "/undecided", open_stream_and_fail },
    };
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < OTR_COUNT(rows); i++) {
        rc = otr_http_route(r->routes, rows[i].method, rows[i].path, rows[i].fn, r, err);
    }
    return rc;
}

static otr_code rig_init(rig *r, const otr_http_listen *listen, otr_err *err)
{
    otr_code rc = otr_loop_new(&r->loop, err);
    rc = rc != OTR_OK ? rc : otr_http_routes_new(&r->routes, err);
    rc = rc != OTR_OK ? rc : add_routes(r, err);
    return rc != OTR_OK ? rc : otr_http_server_new(r->loop, r->routes, listen, &r->server, err);
}

static const otr_http_listen any_port = { .host = "127.0.0.1" };

#define RIG(r, e, listen)                  \
    otr_err e = { 0 };                     \
    OTR_CLEANUP(rig_deinit) rig r = { 0 }; \
    REQUIRE_OK(rig_init(&(r), listen, &(e)), e)

static void make_dir(rig *r)
{
    snprintf(r->dir, sizeof(r->dir), "/tmp/otr-http-XXXXXX");
    if (mkdtemp(r->dir) == NULL) {
        r->dir[0] = '\0';
    }
    snprintf(r->path, sizeof(r->path), "%s/s.sock", r->dir);
}

static void close_fd(void *slot)
{
    int fd = *(int *)slot;
    if (fd >= 0) {
        close(fd);
    }
}

static int dial(const rig *r)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_port = htons(otr_http_server_port(r->server)),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)) != 0 ||
        fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
        close_fd(&fd);
        return -1;
    }
    return fd;
}

static int dial_unix(const char *path)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)) != 0) {
        close_fd(&fd);
        return -1;
    }
    return fd;
}

/* After an injected failure an answer may rightly never come. */
static uint64_t patience_end(void)
{
    uint64_t ms = otr_alloc_failed() > 0 ? OOM_PATIENCE_MS : PATIENCE_MS;
    return otr_now_ns() + ms * OTR_NS_PER_MS;
}

/* Sends all of `text`, turning the loop while the socket is full. */
static void say_bytes(rig *r, int fd, const char *text, size_t n)
{
    uint64_t until = otr_now_ns() + PATIENCE_MS * OTR_NS_PER_MS;
    while (n > 0 && otr_now_ns() < until) {
        ssize_t sent = send(fd, text, n, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) {
            return;
        }
        if (sent > 0) {
            text += sent;
            n -= (size_t)sent;
        }
        otr_loop_step(r->loop, 0);
    }
}

static void say(rig *r, int fd, const char *text)
{
    say_bytes(r, fd, text, strlen(text));
}

/* Reads until `end` was seen, the peer closed, or patience ran out. */
static const char *hear(rig *r, int fd, const char *end, char *out, size_t cap)
{
    uint64_t until = patience_end();
    size_t n = 0;
    out[0] = '\0';
    while (otr_now_ns() < until && n + 1 < cap) {
        ssize_t got = recv(fd, out + n, cap - n - 1, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN)) {
            break;
        }
        if (got > 0) {
            n += (size_t)got;
            out[n] = '\0';
            if (end != NULL && strstr(out, end) != NULL) {
                break;
            }
        }
        otr_loop_step(r->loop, 5);
    }
    return out;
}

static const char *ask(rig *r, const char *request, char *out, size_t cap)
{
    OTR_CLEANUP(close_fd) int fd = dial(r);
    out[0] = '\0';
    if (fd >= 0) {
        say(r, fd, request);
        hear(r, fd, NULL, out, cap);
    }
    return out;
}

static void turn_until(rig *r, const unsigned *count, unsigned want)
{
    uint64_t until = patience_end();
    while (*count < want && otr_now_ns() < until) {
        otr_loop_step(r->loop, 5);
    }
}

/* CHECK_HAS evaluates its first argument twice. */
#define SAYS(call, want)            \
    do {                            \
        const char *said_ = (call); \
        CHECK_HAS(said_, want);     \
    } while (0)

#define GET(path) "GET " path " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

/* ---- listening ---- */

T(a_taken_port_is_named_with_what_to_do)
{
    RIG(r, e, &any_port);
    otr_http_listen again = { .host = "127.0.0.1", .port = otr_http_server_port(r.server) };
    otr_http_server *second = NULL;
    REQUIRE(otr_http_server_new(r.loop, r.routes, &again, &second, &e) == OTR_ESTATE);
    char port[32];
    snprintf(port, sizeof(port), "127.0.0.1 port %u", again.port);
    CHECK_HAS(e.msg, port);
    CHECK_HAS(e.msg, "choose another port");
}

T(a_name_is_no_address)
{
    otr_err e = { 0 };
    otr_http_listen listen = { .host = "web.example" };
    OTR_CLEANUP(rig_deinit) rig r = { 0 };
    CHECK(rig_init(&r, &listen, &e) == OTR_EINVAL);
    CHECK_HAS(e.msg, "\"web.example\" is neither localhost nor an IP address");
}

T(an_address_that_others_reach_must_be_meant)
{
    otr_err e = { 0 };
    otr_http_listen listen = { .host = "0.0.0.0" };
    OTR_CLEANUP(rig_deinit) rig r = { 0 };
    CHECK(rig_init(&r, &listen, &e) == OTR_EDENIED);
    CHECK_HAS(e.msg, "0.0.0.0");
}

T(a_socket_that_answers_is_not_replaced)
{
    otr_err e = { 0 };
    OTR_CLEANUP(rig_deinit) rig r = { 0 };
    make_dir(&r);
    otr_http_listen listen = { .unix_path = r.path };
    REQUIRE_OK(rig_init(&r, &listen, &e), e);
    otr_http_server *second = NULL;
    CHECK(otr_http_server_new(r.loop, r.routes, &listen, &second, &e) == OTR_ESTATE);
    CHECK_HAS(e.msg, r.path);
    CHECK_HAS(e.msg, "another process answers");
    OTR_CLEANUP(close_fd) int fd = dial_unix(r.path);
    CHECK(fd >= 0); /* the first one is untouched */
}

T(a_stale_socket_is_replaced_and_only_its_owner_may_open_the_new_one)
{
    otr_err e = { 0 };
    OTR_CLEANUP(rig_deinit) rig r = { 0 };
    make_dir(&r);
    int stale = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    memcpy(at.sun_path, r.path, sizeof(r.path));
    REQUIRE(bind(stale, (struct sockaddr *)&at, sizeof(at)) == 0);
    close(stale);
    otr_http_listen listen = { .unix_path = r.path };
    mode_t old = umask(0);
    otr_code rc = rig_init(&r, &listen, &e);
    umask(old);
    REQUIRE_OK(rc, e);
    struct stat st;
    REQUIRE(lstat(r.path, &st) == 0);
    CHECK_INT(st.st_mode & 0777, 0600);
}

/* A child of an agent that was killed has its sockets until it becomes another program. */
T(a_socket_whose_listener_ended_is_replaced_though_somebody_has_it_open)
{
    otr_err e = { 0 };
    OTR_CLEANUP(rig_deinit) rig r = { 0 };
    make_dir(&r);
    OTR_CLEANUP(close_fd) int orphan = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    memcpy(at.sun_path, r.path, sizeof(r.path));
    REQUIRE(bind(orphan, (struct sockaddr *)&at, sizeof(at)) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        _exit(listen(orphan, 1) == 0 ? 0 : 1);
    }
    int status = -1;
    REQUIRE(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
    otr_http_listen listen = { .unix_path = r.path };
    REQUIRE_OK(rig_init(&r, &listen, &e), e);
    OTR_CLEANUP(close_fd) int fd = dial_unix(r.path);
    CHECK(fd >= 0);
}

T(a_file_in_the_way_is_left_alone)
{
    otr_err e = { 0 };
    OTR_CLEANUP(rig_deinit) rig r = { 0 };
    make_dir(&r);
    int fd = open(r.path, O_CREAT | O_WRONLY, 0600);
    REQUIRE(fd >= 0);
    close(fd);
    otr_http_listen listen = { .unix_path = r.path };
    CHECK(rig_init(&r, &listen, &e) == OTR_ESTATE);
    CHECK_HAS(e.msg, "is not a socket");
    CHECK(access(r.path, F_OK) == 0);
}

T(a_missing_directory_and_a_long_path_are_named)
{
    otr_err e = { 0 };
    otr_http_socket s;
    otr_http_listen listen = { .unix_path = "/tmp/otr-no-such-dir/s.sock" };
    CHECK(otr_http_socket_open(&listen, &s, &e) == OTR_ENOTFOUND);
    CHECK_HAS(e.msg, "/tmp/otr-no-such-dir/s.sock: its directory does not exist");
    char path[200];
    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    listen.unix_path = path;
    CHECK(otr_http_socket_open(&listen, &s, &e) == OTR_EINVAL);
    CHECK_HAS(e.msg, "199 bytes");
}

T(a_socket_that_someone_replaced_is_not_unlinked)
{
    otr_err e = { 0 };
    OTR_CLEANUP(rig_deinit) rig r = { 0 };
    make_dir(&r);
    otr_http_listen listen = { .unix_path = r.path };
    REQUIRE_OK(rig_init(&r, &listen, &e), e);
    unlink(r.path);
    int fd = open(r.path, O_CREAT | O_WRONLY, 0600);
    REQUIRE(fd >= 0);
    close(fd);
    otr_http_server_free(r.server);
    r.server = NULL;
    CHECK(access(r.path, F_OK) == 0);
}

T(a_socket_goes_with_its_server)
{
    otr_err e = { 0 };
    OTR_CLEANUP(rig_deinit) rig r = { 0 };
    make_dir(&r);
    otr_http_listen listen = { .unix_path = r.path };
    REQUIRE_OK(rig_init(&r, &listen, &e), e);
    OTR_CLEANUP(close_fd) int fd = dial_unix(r.path);
    char text[2048];
    say(&r, fd, GET("/hello"));
    SAYS(hear(&r, fd, "hello you", text, sizeof(text)), "hello you");
    otr_http_server_free(r.server);
    r.server = NULL;
    CHECK(access(r.path, F_OK) != 0);
}

/* ---- routes ---- */

T(the_same_route_twice_is_refused)
{
    RIG(r, e, &any_port);
    CHECK(otr_http_route(r.routes, "GET", "/hello/*", echo, &r, &e) == OTR_ESTATE);
    CHECK_HAS(e.msg, "GET /hello/*");
}

T(unroute_takes_every_route_of_its_owner)
{
    RIG(r, e, &any_port);
    int other = 0;
    char text[2048];
    REQUIRE_OK(otr_http_route(r.routes, "GET", "/mine", refuse, &other, &e), e);
    otr_http_unroute(r.routes, &r);
    SAYS(ask(&r, GET("/hello"), text, sizeof(text)), "HTTP/1.1 404 ");
    SAYS(ask(&r, GET("/mine"), text, sizeof(text)), "HTTP/1.1 500 ");
}

T(an_unknown_path_is_404_in_json)
{
    RIG(r, e, &any_port);
    char text[2048];
    ask(&r, GET("/nowhere"), text, sizeof(text));
    CHECK_HAS(text, "HTTP/1.1 404 ");
    CHECK_HAS(text, "Content-Type: application/json\r\n");
    CHECK_HAS(text,
              "{\"error\":{\"code\":\"ENOTFOUND\",\"message\":\"there is nothing at /nowhere\"}}");
}

T(a_wrong_method_is_405_with_allow)
{
    RIG(r, e, &any_port);
    char text[2048];
    ask(&r, "DELETE /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", text,
        sizeof(text));
    CHECK_HAS(text, "HTTP/1.1 405 ");
    CHECK_HAS(text, "Allow: GET, HEAD, POST\r\n");
}

T(errors_of_handlers_become_statuses_and_their_half_body_is_dropped)
{
    RIG(r, e, &any_port);
    static const struct {
        otr_code code;
        const char *status;
    } rows[] = {
        { OTR_EINVAL, "400 " },  { OTR_ENOTFOUND, "404 " }, { OTR_ESTATE, "409 " },
        { OTR_EDENIED, "403 " }, { OTR_EQUOTA, "429 " },    { OTR_ETIMEOUT, "504 " },
        { OTR_EIO, "500 " },
    };
    for (size_t i = 0; i < OTR_COUNT(rows); i++) {
        char request[160], text[2048], want[160];
        snprintf(request, sizeof(request), GET("/fail/%d"), (int)rows[i].code);
        snprintf(want, sizeof(want), "{\"error\":{\"code\":\"%s\",\"message\":\"no \\\"%d\\\"\"}}",
                 otr_code_name(rows[i].code), (int)rows[i].code);
        ask(&r, request, text, sizeof(text));
        CHECK_HAS(text, rows[i].status);
        CHECK_HAS(text, want);
        CHECK(strstr(text, "half an answer") == NULL);
    }
}

T(queries_and_tails_are_decoded)
{
    RIG(r, e, &any_port);
    char text[2048];
    SAYS(ask(&r, GET("/hello?who=A%20B&x"), text, sizeof(text)), "\r\n\r\nhello A B");
    SAYS(ask(&r, GET("/hello/a%2Fb"), text, sizeof(text)), "\r\n\r\nhello youa/b");
}

T(head_has_the_length_and_no_body)
{
    RIG(r, e, &any_port);
    char text[2048];
    ask(&r, "HEAD /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", text,
        sizeof(text));
    CHECK_HAS(text, "HTTP/1.1 200 ");
    CHECK_HAS(text, "Content-Length: 9\r\n");
    CHECK(strstr(text, "hello") == NULL);
    CHECK_INT(r.calls, 1);
}

T(every_answer_carries_the_safe_headers)
{
    RIG(r, e, &any_port);
    char text[2048];
    ask(&r, GET("/hello"), text, sizeof(text));
    CHECK_HAS(text, "X-Content-Type-Options: nosniff\r\n");
    CHECK_HAS(text, "Cache-Control: no-store\r\n");
    CHECK_HAS(text, "Content-Security-Policy: default-src 'none'");
}

/* ---- hostile clients ---- */

T(a_foreign_host_header_is_refused)
{
    otr_http_listen listen = { .host = "127.0.0.1", .check_host = true };
    RIG(r, e, &listen);
    char text[2048];
    ask(&r, "GET /hello HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", text,
        sizeof(text));
    CHECK_HAS(text, "HTTP/1.1 403 ");
    CHECK_HAS(text, "\"EDENIED\"");
    CHECK_INT(r.calls, 0);
    SAYS(ask(&r, "GET /hello HTTP/1.0\r\n\r\n", text, sizeof(text)), " 403 ");
    SAYS(ask(&r, GET("/hello"), text, sizeof(text)), "HTTP/1.1 200 ");
}

T(host_names_of_this_machine_are_told_from_lookalikes)
{
    static const char *const good[] = { "localhost",      "LocalHost:80", "127.0.0.1",
                                        "127.1.2.3:8080", "[::1]",        "[::1]:9" };
    static const char *const bad[] = { "",
                                       "localhost.evil.example",
                                       "127.0.0.1.evil",
                                       "[::1]evil",
                                       "127.0.0.1:80x",
                                       "127.0.0.1:",
                                       "0.0.0.0",
                                       "[::2]",
                                       "128.0.0.1" };
    for (size_t i = 0; i < OTR_COUNT(good); i++) {
        CHECK(otr_http_host_is_loopback(good[i]));
    }
    for (size_t i = 0; i < OTR_COUNT(bad); i++) {
        CHECK(!otr_http_host_is_loopback(bad[i]));
    }
}

T(a_body_that_announces_too_much_is_413_before_it_comes)
{
    RIG(r, e, &any_port);
    char text[2048];
    ask(&r, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\nxx", text,
        sizeof(text));
    CHECK_HAS(text, "HTTP/1.1 413 ");
    CHECK_HAS(text, "larger than 1048576 bytes");
    CHECK_INT(r.calls, 0);
}

static void send_chunks(rig *r, int fd, size_t total)
{
    static char chunk[65536 + 16];
    int head = snprintf(chunk, sizeof(chunk), "10000\r\n");
    memset(chunk + head, 'x', 65536);
    memcpy(chunk + head + 65536, "\r\n", 2);
    say(r, fd, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (size_t sent = 0; sent < total; sent += 65536) {
        say_bytes(r, fd, chunk, (size_t)head + 65536 + 2);
    }
}

/* Megabytes a run, some 30 runs: nothing in it is not covered by the test before. */
T_NO_OOM(a_chunked_body_that_grows_too_large_is_413_and_an_endless_one_is_cut)
{
    RIG(r, e, &any_port);
    static char text[8192];
    OTR_CLEANUP(close_fd) int fd = dial(&r);
    send_chunks(&r, fd, (size_t)OTR_LIMIT_HTTP_BODY_BYTES + 65536);
    say(&r, fd, "0\r\n\r\n");
    SAYS(hear(&r, fd, "}}", text, sizeof(text)), "HTTP/1.1 413 ");
    OTR_CLEANUP(close_fd) int endless = dial(&r);
    send_chunks(&r, endless, (size_t)OTR_LIMIT_HTTP_BODY_BYTES * 5);
    CHECK_STR(hear(&r, endless, NULL, text, sizeof(text)), "");
    CHECK_INT(r.calls, 0);
}

T(a_body_up_to_the_limit_arrives_whole)
{
    RIG(r, e, &any_port);
    enum { BODY = OTR_LIMIT_HTTP_BODY_BYTES };
    OTR_CLEANUP(otr_freep) char *body = otr_alloc(BODY), *text = otr_alloc(BODY + 2048);
    REQUIRE(body != NULL && text != NULL);
    memset(body, 'y', BODY);
    OTR_CLEANUP(close_fd) int fd = dial(&r);
    char head[128];
    snprintf(head, sizeof(head),
             "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n"
             "Connection: close\r\n\r\n",
             BODY);
    say(&r, fd, head);
    say_bytes(&r, fd, body, BODY);
    hear(&r, fd, NULL, text, BODY + 2048);
    const char *got = strstr(text, "\r\n\r\n");
    REQUIRE(got != NULL);
    CHECK(strlen(got + 4) == BODY && memcmp(got + 4, body, BODY) == 0);
}

T(a_slow_client_does_not_hold_up_another)
{
    RIG(r, e, &any_port);
    char text[2048];
    OTR_CLEANUP(close_fd) int slow = dial(&r);
    say(&r, slow, "GET /hello HT");
    SAYS(ask(&r, GET("/hello"), text, sizeof(text)), "hello you");
    say(&r, slow, "TP/1.1\r\nHost: a\r\n\r\n");
    SAYS(hear(&r, slow, "hello you", text, sizeof(text)), "hello you");
}

T(rubbish_is_answered_or_cut_and_others_live_on)
{
    RIG(r, e, &any_port);
    char text[20000];
    static char header[20000];
    ask(&r, "\x16\x03\x01 not http at all\r\n\r\n", text, sizeof(text));
    memset(header, 'h', sizeof(header) - 1);
    memcpy(header, "GET /", 5);
    ask(&r, header, text, sizeof(text));
    SAYS(ask(&r, GET("/hello"), text, sizeof(text)), "hello you");
}

T_NO_OOM(many_connections_are_served_at_once)
{
    RIG(r, e, &any_port);
    int fds[MANY];
    char text[2048];
    for (int i = 0; i < MANY; i++) {
        fds[i] = dial(&r);
        otr_loop_step(r.loop, 0);
    }
    for (int i = 0; i < MANY; i++) {
        say(&r, fds[i], GET("/hello"));
    }
    for (int i = 0; i < MANY; i++) {
        SAYS(hear(&r, fds[i], "hello you", text, sizeof(text)), "hello you");
        close_fd(&fds[i]);
    }
    CHECK_INT(r.calls, MANY);
}

T(pipelined_requests_are_answered_in_order)
{
    RIG(r, e, &any_port);
    char text[4096];
    OTR_CLEANUP(close_fd) int fd = dial(&r);
    const char *two = "GET /hello?who=1 HTTP/1.1\r\nHost: a\r\n\r\nGET /hello?who=2 HTTP/1.1\r\n"
                      "Host: a\r\n\r\n";
    say(&r, fd, two);
    hear(&r, fd, "hello 2", text, sizeof(text));
    CHECK_HAS(text, "hello 1");
    CHECK_HAS(text, "hello 2");
}

/* ---- streams ---- */

static int open_live(rig *r, char *text, size_t cap)
{
    int fd = dial(r);
    if (fd >= 0) {
        say(r, fd, "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
        hear(r, fd, "\r\n\r\n", text, cap);
    }
    return fd;
}

T(a_stream_carries_what_is_sent_and_ends_when_told)
{
    RIG(r, e, &any_port);
    char text[4096];
    OTR_CLEANUP(close_fd) int fd = open_live(&r, text, sizeof(text));
    CHECK_HAS(text, "Content-Type: text/event-stream\r\n");
    REQUIRE(r.stream != NULL);
    REQUIRE(otr_http_stream_send(r.stream, otr_bytes_of("data: one\n\n")));
    SAYS(hear(&r, fd, "data: one\n\n", text, sizeof(text)), "data: one\n\n");
    REQUIRE(otr_http_stream_send(r.stream, otr_bytes_of("data: two\n\n")));
    otr_http_stream_end(r.stream);
    SAYS(hear(&r, fd, "0\r\n\r\n", text, sizeof(text)), "data: two\n\n");
    CHECK_INT(r.closed, 0); /* the owner ended it: it knows */
}

T(the_owner_hears_that_the_peer_left)
{
    RIG(r, e, &any_port);
    char text[4096];
    int fd = open_live(&r, text, sizeof(text));
    close_fd(&fd);
    REQUIRE(r.stream != NULL);
    for (int i = 0; i < 100 && r.stream != NULL; i++) {
        (void)otr_http_stream_send(r.stream, otr_bytes_of("data: x\n\n"));
        otr_loop_step(r.loop, 5);
    }
    CHECK_INT(r.closed, 1);
}

T(a_reader_that_stops_reading_fills_its_backlog_and_nothing_else)
{
    RIG(r, e, &any_port);
    static char text[4096], block[16384];
    memset(block, 'z', sizeof(block));
    OTR_CLEANUP(close_fd) int fd = open_live(&r, text, sizeof(text));
    REQUIRE(r.stream != NULL);
    unsigned sent = 0;
    /* Kernel buffers take some megabytes first. */
    while (sent < 4096 && otr_http_stream_send(r.stream, (otr_bytes){ (uint8_t *)block, 16384 })) {
        sent++;
        otr_loop_step(r.loop, 0);
    }
    CHECK(sent > OTR_LIMIT_HTTP_STREAM_BYTES / sizeof(block) - 1 && sent < 4096);
    SAYS(ask(&r, GET("/hello"), text, sizeof(text)), "hello you");
    CHECK_INT(r.closed, 0);
}

T(a_server_that_is_freed_closes_its_streams)
{
    RIG(r, e, &any_port);
    char text[4096];
    OTR_CLEANUP(close_fd) int idle = open_live(&r, text, sizeof(text));
    REQUIRE(r.stream != NULL);
    OTR_CLEANUP(close_fd) int busy = open_live(&r, text, sizeof(text));
    REQUIRE(r.stream != NULL);
    CHECK(otr_http_stream_send(r.stream, otr_bytes_of("data: last\n\n")));
    otr_http_server_free(r.server);
    r.server = NULL;
    CHECK_INT(r.closed, 2);
    SAYS(hear(&r, idle, NULL, text, sizeof(text)), "0\r\n\r\n");
    SAYS(hear(&r, busy, NULL, text, sizeof(text)), "data: last\n\n");
}

T(a_handler_that_fails_after_opening_gets_its_stream_closed)
{
    RIG(r, e, &any_port);
    char text[4096];
    SAYS(ask(&r, GET("/undecided"), text, sizeof(text)), "HTTP/1.1 409 ");
    CHECK_INT(r.closed, 1);
}

T(head_on_a_stream_ends_at_once)
{
    RIG(r, e, &any_port);
    char text[4096];
    ask(&r, "HEAD /stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", text, sizeof(text));
    CHECK_HAS(text, "HTTP/1.1 200 ");
    CHECK_INT(r.closed, 1);
}

T_NO_OOM(streams_end_at_their_ceiling)
{
    RIG(r, e, &any_port);
    static char text[4096];
    int fds[OTR_LIMIT_HTTP_STREAMS];
    for (int i = 0; i < OTR_LIMIT_HTTP_STREAMS; i++) {
        fds[i] = open_live(&r, text, sizeof(text));
        CHECK_HAS(text, "200 OK");
    }
    SAYS(ask(&r, GET("/stream"), text, sizeof(text)), "HTTP/1.1 429 ");
    for (int i = 0; i < OTR_LIMIT_HTTP_STREAMS; i++) {
        close_fd(&fds[i]);
    }
    r.closed = 0;
    otr_http_server_free(r.server);
    r.server = NULL;
    CHECK_INT(r.closed, OTR_LIMIT_HTTP_STREAMS);
}

T(an_http_1_0_reader_gets_the_stream_too)
{
    RIG(r, e, &any_port);
    char text[4096];
    OTR_CLEANUP(close_fd) int fd = dial(&r);
    say(&r, fd, "GET /stream HTTP/1.0\r\n\r\n");
    turn_until(&r, &r.calls, 1);
    REQUIRE(r.stream != NULL);
    CHECK(otr_http_stream_send(r.stream, otr_bytes_of("data: old\n\n")));
    otr_http_stream_end(r.stream);
    SAYS(hear(&r, fd, NULL, text, sizeof(text)), "\r\n\r\ndata: old\n\n");
}

/* ---- answers that come later ---- */

#define LATER(body) \
    "POST /later HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: " body

static void send_later(rig *r, otr_code rc, const char *text, const otr_err *err)
{
    otr_buf body;
    otr_buf_init(&body, 4096);
    if (otr_buf_adds(&body, text, NULL) == OTR_OK) {
        otr_http_later_send(r->later, rc, &body, err);
        r->later = NULL;
    }
    otr_buf_deinit(&body);
}

T(a_request_may_be_answered_later)
{
    RIG(r, e, &any_port);
    OTR_CLEANUP(close_fd) int fd = dial(&r);
    REQUIRE(fd >= 0);
    say(&r, fd, LATER("1\r\n\r\nx"));
    turn_until(&r, &r.calls, 1);
    REQUIRE(r.later != NULL);
    for (int i = 0; i < 5; i++) {
        otr_loop_step(r.loop, 1);
    }
    char text[2048];
    SAYS(ask(&r, GET("/hello"), text, sizeof(text)), "hello you"); /* others are not held up */
    send_later(&r, OTR_OK, "{\"late\":1}", NULL);
    SAYS(hear(&r, fd, NULL, text, sizeof(text)), "{\"late\":1}");
    SAYS(text, "HTTP/1.1 200 ");
    CHECK_INT(r.calls, 2);
    CHECK_INT(r.closed, 0);
}

T(a_late_answer_may_be_an_error)
{
    RIG(r, e, &any_port);
    OTR_CLEANUP(close_fd) int fd = dial(&r);
    REQUIRE(fd >= 0);
    say(&r, fd, LATER("0\r\n\r\n"));
    turn_until(&r, &r.calls, 1);
    REQUIRE(r.later != NULL);
    otr_err why = { 0 };
    (void)otr_fail(&why, OTR_EDENIED, "a plugin says no");
    send_later(&r, OTR_EDENIED, "", &why);
    char text[2048];
    SAYS(hear(&r, fd, NULL, text, sizeof(text)), "a plugin says no");
    SAYS(text, "HTTP/1.1 403 ");
}

T(a_handler_that_fails_after_all_gives_up_its_later_answer)
{
    RIG(r, e, &any_port);
    OTR_CLEANUP(close_fd) int fd = dial(&r);
    REQUIRE(fd >= 0);
    say(&r, fd, LATER("2\r\n\r\nno"));
    char text[2048];
    SAYS(hear(&r, fd, NULL, text, sizeof(text)), "changed my mind");
    CHECK_INT(r.closed, 1);
    CHECK(r.later == NULL);
}

T(who_waits_for_a_late_answer_is_told_when_the_server_ends)
{
    RIG(r, e, &any_port);
    OTR_CLEANUP(close_fd) int fd = dial(&r);
    REQUIRE(fd >= 0);
    say(&r, fd, LATER("1\r\n\r\nx"));
    turn_until(&r, &r.calls, 1);
    REQUIRE(r.later != NULL);
    otr_http_server_free(r.server);
    r.server = NULL;
    CHECK_INT(r.closed, 1);
    char text[2048];
    SAYS(hear(&r, fd, NULL, text, sizeof(text)), "the agent is stopping");
}

T(a_peer_that_went_away_does_not_disturb_a_late_answer)
{
    RIG(r, e, &any_port);
    int fd = dial(&r);
    REQUIRE(fd >= 0);
    say(&r, fd, LATER("1\r\n\r\nx"));
    turn_until(&r, &r.calls, 1);
    close(fd);
    REQUIRE(r.later != NULL);
    otr_loop_step(r.loop, 1);
    send_later(&r, OTR_OK, "{}", NULL);
    char text[2048];
    SAYS(ask(&r, GET("/hello"), text, sizeof(text)), "hello you");
}
