#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "net/http/client.h"
#include "support/test.h"

/* A server that answers each request with the next text of a script; a text that begins with '!'
 * is followed by the end of the connection, and "" means: no answer at all. */
typedef struct server {
    otr_loop *loop;
    int listener, peer;
    otr_watch *accept, *read;
    const char *const *script;
    unsigned connections, requests;
    char got[4096];
    size_t n_got;
    uint16_t port;
    char path[64];
} server;

typedef struct world {
    otr_loop *loop;
    server server;
    otr_http_client *client;
    unsigned done;
    otr_code rc;
    unsigned status;
    char body[512], error[512];
    bool free_inside;
} world;

static void drop_peer(server *s)
{
    otr_watch_free(s->read);
    s->read = NULL;
    if (s->peer >= 0) {
        close(s->peer);
        s->peer = -1;
    }
}

static void on_bytes(void *arg, int events)
{
    (void)events;
    server *s = arg;
    ssize_t n = recv(s->peer, s->got + s->n_got, sizeof(s->got) - 1 - s->n_got, MSG_DONTWAIT);
    if (n <= 0) {
        drop_peer(s);
        return;
    }
    s->n_got += (size_t)n;
    s->got[s->n_got] = '\0';
    if (strstr(s->got, "\r\n\r\n") == NULL || *s->script == NULL) {
        return;
    }
    s->requests++;
    s->n_got = 0;
    const char *text = *s->script++;
    bool end = text[0] == '!';
    text += end;
    CHECK(send(s->peer, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
    if (end) {
        drop_peer(s);
    }
}

static void on_connection(void *arg, int events)
{
    (void)events;
    server *s = arg;
    drop_peer(s);
    s->peer = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    s->connections++;
    s->n_got = 0;
    (void)!otr_watch_new(s->loop, s->peer, OTR_WATCH_READ, on_bytes, s, &s->read, NULL);
}

static bool listen_on(server *s, bool local)
{
    union {
        struct sockaddr any;
        struct sockaddr_in tcp;
        struct sockaddr_un un;
    } a = { 0 };
    socklen_t size = sizeof(a.tcp);
    a.tcp.sin_family = AF_INET;
    a.tcp.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (local) {
        snprintf(s->path, sizeof(s->path), "/tmp/otr-http-%d.sock", (int)getpid());
        unlink(s->path);
        memset(&a, 0, sizeof(a));
        a.un.sun_family = AF_UNIX;
        memcpy(a.un.sun_path, s->path, strlen(s->path) + 1);
        size = sizeof(a.un);
    }
    s->listener = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (bind(s->listener, &a.any, size) != 0 || listen(s->listener, 8) != 0) {
        return false;
    }
    if (!local) {
        getsockname(s->listener, &a.any, &size);
        s->port = ntohs(a.tcp.sin_port);
    }
    return otr_watch_new(s->loop, s->listener, OTR_WATCH_READ, on_connection, s, &s->accept,
                         NULL) == OTR_OK;
}

static void world_deinit(world *w)
{
    otr_http_client_free(w->client);
    drop_peer(&w->server);
    otr_watch_free(w->server.accept);
    if (w->server.listener >= 0) {
        close(w->server.listener);
    }
    if (w->server.path[0] != '\0') {
        unlink(w->server.path);
    }
    otr_loop_free(w->loop);
}

/* `url` with %d for the port and %s for the socket. */
static bool connect_to(world *w, const char *scheme, const char *rest)
{
    char text[256];
    if (w->server.path[0] != '\0') {
        snprintf(text, sizeof(text), "%s%s%s", scheme, w->server.path, rest);
    } else {
        snprintf(text, sizeof(text), "%s:%u%s", scheme, w->server.port, rest);
    }
    otr_http_url url;
    otr_err err;
    if (otr_http_url_parse(text, &url, &err) != OTR_OK) {
        return false;
    }
    otr_code rc = otr_http_client_new(w->loop, &url, NULL, &w->client, &err);
    otr_http_url_deinit(&url);
    return rc == OTR_OK;
}

static bool world_init(world *w, const char *const *script)
{
    memset(w, 0, sizeof(*w));
    w->server.listener = w->server.peer = -1;
    w->server.script = script;
    if (otr_loop_new(&w->loop, NULL) != OTR_OK) {
        return false;
    }
    w->server.loop = w->loop;
    return true;
}

#define WORLD(w, ...)                                                        \
    static const char *const w##_script[] = { __VA_ARGS__, NULL };           \
    OTR_CLEANUP(world_deinit) world w;                                       \
    REQUIRE(world_init(&(w), w##_script) && listen_on(&(w).server, false) && \
            connect_to(&(w), "http://127.0.0.1", "/s"))

static void on_done(void *arg, otr_code rc, const otr_http_response *response, const otr_err *err)
{
    world *w = arg;
    w->done++;
    w->rc = rc;
    w->status = response != NULL ? response->status : 0;
    w->body[0] = '\0';
    if (response != NULL) {
        snprintf(w->body, sizeof(w->body), "%.*s", (int)response->body.n,
                 response->body.n > 0 ? (const char *)response->body.p : "");
    }
    snprintf(w->error, sizeof(w->error), "%s", err != NULL ? err->msg : "");
    if (w->free_inside) {
        otr_http_client_free(w->client);
        w->client = NULL;
    }
}

static void get(world *w, uint64_t timeout_ms, size_t max)
{
    unsigned before = w->done;
    otr_http_get g = { .timeout_ms = timeout_ms, .max_body_bytes = max, .done = on_done, .arg = w };
    otr_err err = { 0 };
    w->rc = otr_http_client_get(w->client, &g, &err);
    if (w->rc != OTR_OK) {
        snprintf(w->error, sizeof(w->error), "%s", err.msg);
        return;
    }
    CHECK_INT(w->done, before);
    for (int i = 0; i < 2000 && w->done == before; i++) {
        otr_loop_step(w->loop, 5);
    }
    CHECK_INT(w->done, before + 1);
}

T(url_that_cannot_be_asked_is_refused_with_the_reason)
{
    static const char *const bad[][2] = {
        { "ftp://x/", "none of http://" },
        { "http:///x", "the host is missing" },
        { "http://1.1.1.1:0/", "no port" },
        { "http://1.1.1.1:99999/", "no port" },
        { "http://1.1.1.1:8x/", "no port" },
        { "http://[::1/", "brackets" },
        { "http://[::1]x/", "brackets" },
        { "http://1.1.1.1/a b", "white space" },
        { "unix:/a b:/c d", "white space" },
        { "http://1.1.1.1/a\r\nX: y", "white" },
        { "unix:", "socket is missing" },
        { "unix::/x", "socket is missing" },
        { "http://1.1.1.1/#what", "none of host=" },
        { "http://1.1.1.1/#tls", "none of host=" },
        { "http://a:b%zz@1.1.1.1/", "not percent-encoded" },
        { "http://a:b%00@1.1.1.1/", "not percent-encoded" },
        { "http://a@1.1.1.1/", "no colon" },
        { "ftp://x/", "none of http://" },
    };
    for (size_t i = 0; i < OTR_COUNT(bad); i++) {
        otr_http_url url;
        otr_err err = { 0 };
        CHECK_INT(otr_http_url_parse(bad[i][0], &url, &err), OTR_EINVAL);
        CHECK_HAS(err.msg, bad[i][1]);
    }
}

T(url_is_taken_apart)
{
    otr_http_url url;
    otr_err err;
    REQUIRE_OK(otr_http_url_parse("http://[::1]:81/s?a#host=h&proxy_protocol", &url, &err), err);
    CHECK_STR(url.host, "::1");
    CHECK_INT(url.port, 81);
    CHECK_STR(url.path, "/s?a");
    CHECK_STR(url.host_header, "h");
    CHECK(url.proxy_protocol);
    otr_http_url_deinit(&url);
    REQUIRE_OK(otr_http_url_parse("https://u:p%40%3aw@127.0.0.1:82/s#host=&http2", &url, &err),
               err);
    CHECK_STR(url.credentials, "u:p@:w");
    CHECK_STR(url.host, "127.0.0.1");
    CHECK_STR(url.host_header, "");
    CHECK(url.tls && url.http2 && url.port == 82);
    otr_http_url_deinit(&url);
    CHECK_INT(otr_http_url_parse("http://u:secret@127.0.0.1:0/", &url, &err), OTR_EINVAL);
    CHECK(strstr(err.msg, "secret") == NULL);
    REQUIRE_OK(otr_http_url_parse("unix:/run/a b.sock:/s#tls", &url, &err), err);
    CHECK(url.tls);
    CHECK_STR(url.unix_path, "/run/a b.sock");
    otr_http_url_deinit(&url);
    REQUIRE_OK(otr_http_url_parse("unix:/run/a:b.sock:/s", &url, &err), err);
    CHECK_STR(url.unix_path, "/run/a:b.sock");
    CHECK_STR(url.path, "/s");
    CHECK_STR(url.host_header, "localhost");
    otr_http_url_deinit(&url);
    REQUIRE_OK(otr_http_url_parse("http://127.0.0.1", &url, &err), err);
    CHECK_INT(url.port, 80);
    CHECK_STR(url.path, "/");
    otr_http_url_deinit(&url);
    REQUIRE_OK(otr_http_url_parse("unix:/run/a.sock", &url, &err), err);
    CHECK_STR(url.path, "/");
    otr_http_url_deinit(&url);
}

static void check_no_client(const char *text, otr_code code)
{
    OTR_CLEANUP(world_deinit) world w;
    REQUIRE(world_init(&w, NULL));
    otr_http_url url;
    otr_err err;
    REQUIRE_OK(otr_http_url_parse(text, &url, &err), err);
    CHECK_INT(otr_http_client_new(w.loop, &url, NULL, &w.client, &err), code);
    otr_http_url_deinit(&url);
}

T(names_and_https_and_long_sockets_are_refused)
{
    check_no_client("http://example.test/", OTR_EINVAL);
    check_no_client("https://127.0.0.1/", OTR_EUNSUP);
    check_no_client("unix:/0123456789012345678901234567890123456789012345678901234567890123456789"
                    "012345678901234567890123456789012345678901234567890123456789",
                    OTR_EINVAL);
}

T(refused_connection_is_an_error_that_names_the_place)
{
    WORLD(w, "x");
    otr_watch_free(w.server.accept);
    w.server.accept = NULL;
    close(w.server.listener);
    w.server.listener = -1;
    get(&w, 1000, 100);
    CHECK_INT(w.rc, OTR_EIO);
    CHECK_HAS(w.error, "127.0.0.1:");
    CHECK_HAS(w.error, "Connection refused");
}

T(server_that_does_not_answer_runs_into_the_deadline)
{
    WORLD(w, "");
    get(&w, 30, 100);
    CHECK_INT(w.rc, OTR_ETIMEOUT);
    CHECK_HAS(w.error, "no answer within 30 ms");
}

T(response_that_drips_runs_into_the_deadline_too)
{
    WORLD(w, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    get(&w, 30, 100);
    CHECK_INT(w.rc, OTR_ETIMEOUT);
}

T(body_above_the_ceiling_is_refused)
{
    WORLD(w, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789",
          "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    get(&w, 1000, 9);
    CHECK_INT(w.rc, OTR_EQUOTA);
    CHECK_HAS(w.error, "limit of 9 bytes");
    get(&w, 1000, 9);
    CHECK_INT(w.rc, OTR_OK);
}

T(what_is_not_http_is_refused)
{
    WORLD(w, "SSH-2.0-x\r\n", "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
          "!HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", "!", "!HTTP/1.1 200 O");
    get(&w, 1000, 100);
    CHECK_INT(w.rc, OTR_EINVAL);
    CHECK_HAS(w.error, "malformed HTTP response");
    for (int i = 0; i < 4; i++) {
        get(&w, 1000, 100);
        CHECK(w.rc != OTR_OK);
    }
}

T(connection_is_kept_and_used_again)
{
    WORLD(w, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
          "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
          "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nz");
    get(&w, 1000, 100);
    CHECK_INT(w.status, 200);
    CHECK_STR(w.body, "ok");
    get(&w, 1000, 100);
    CHECK_INT(w.status, 404);
    CHECK_STR(w.body, "abc");
    get(&w, 1000, 100);
    CHECK_STR(w.body, "z");
    CHECK_INT(w.server.connections, 1);
    CHECK_HAS(w.server.got, "GET /s HTTP/1.1\r\nHost: 127.0.0.1:");
}

T(kept_connection_that_the_server_closed_is_replaced)
{
    WORLD(w, "!HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
          "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "!",
          "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew");
    get(&w, 1000, 100);
    get(&w, 1000, 100); /* closed while it was idle */
    CHECK_INT(w.rc, OTR_OK);
    get(&w, 1000, 100); /* closed instead of an answer */
    CHECK_INT(w.rc, OTR_OK);
    CHECK_STR(w.body, "new");
    CHECK_INT(w.server.connections, 3);
}

T(body_without_a_length_ends_with_the_connection)
{
    WORLD(w, "!HTTP/1.0 200 OK\r\n\r\nhello", "!HTTP/1.0 200 OK\r\n\r\nhello");
    get(&w, 1000, 100);
    CHECK_STR(w.body, "hello");
    get(&w, 1000, 100);
    CHECK_INT(w.server.connections, 2);
}

T(client_may_be_freed_inside_done)
{
    WORLD(w, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    w.free_inside = true;
    get(&w, 1000, 100);
    CHECK_STR(w.body, "ok");
}

T(cancelled_request_is_silent_and_the_next_one_is_fine)
{
    WORLD(w, "", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    otr_http_get g = { .timeout_ms = 1000, .max_body_bytes = 10, .done = on_done, .arg = &w };
    otr_err err;
    REQUIRE(otr_http_client_get(w.client, &g, &err) == OTR_OK);
    CHECK_INT(otr_http_client_get(w.client, &g, &err), OTR_ESTATE);
    for (int i = 0; i < 3; i++) {
        otr_loop_step(w.loop, 5);
    }
    otr_http_client_cancel(w.client);
    CHECK_INT(w.done, 0);
    get(&w, 1000, 100);
    CHECK_INT(w.rc, OTR_OK);
}

T(proxy_line_goes_first_on_each_new_connection)
{
    static const char *const script[] = { "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                                          "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", NULL };
    OTR_CLEANUP(world_deinit) world w;
    REQUIRE(world_init(&w, script) && listen_on(&w.server, false));
    REQUIRE(connect_to(&w, "http://127.0.0.1", "/s#host=a.b&proxy_protocol"));
    get(&w, 1000, 100);
    CHECK(strstr(w.server.got, "PROXY UNKNOWN\r\nGET /s HTTP/1.1\r\nHost: a.b\r\n") ==
          w.server.got);
    get(&w, 1000, 100);
    CHECK(strncmp(w.server.got, "GET ", 4) == 0);
}

T(localhost_is_the_first_address_that_answers)
{
    static const char *const script[] = { "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", NULL };
    OTR_CLEANUP(world_deinit) world w;
    REQUIRE(world_init(&w, script) && listen_on(&w.server, false));
    REQUIRE(connect_to(&w, "http://localhost", "/s"));
    get(&w, 1000, 100);
    CHECK_INT(w.rc, OTR_OK);
}

T(unix_sockets_are_served_too)
{
    static const char *const script[] = { "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", NULL };
    OTR_CLEANUP(world_deinit) world w;
    REQUIRE(world_init(&w, script) && listen_on(&w.server, true));
    REQUIRE(connect_to(&w, "unix:", ":/s"));
    get(&w, 1000, 100);
    CHECK_STR(w.body, "ok");
    CHECK_HAS(w.server.got, "Host: localhost\r\n");
}
