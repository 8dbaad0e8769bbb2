/* http.request against a server of canned answers on loopback. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "plugin/services/hostcalls.h"
#include "plugin/services/services.h"
#include "support/test.h"

enum { ANSWERS = 8, REQUEST_BYTES = 4096 };

typedef struct server {
    int fd;
    uint16_t port;
    pthread_t thread;
    const char *answers[ANSWERS]; /* one a connection; NULL: none, it is left open; then the end */
    size_t n;
    char seen[ANSWERS][REQUEST_BYTES];
    int open[ANSWERS];
} server;

/* Until the end of the head, and of the body "end!" when there is one. */
static void read_request(int fd, char *to)
{
    size_t n = 0;
    while (n < REQUEST_BYTES - 1) {
        ssize_t got = recv(fd, to + n, REQUEST_BYTES - 1 - n, 0);
        if (got <= 0) {
            return;
        }
        n += (size_t)got;
        to[n] = '\0';
        bool body =
            strstr(to, "Content-Length: ") != NULL && strstr(to, "Content-Length: 0") == NULL;
        if (strstr(to, "\r\n\r\n") != NULL && (!body || strstr(to, "end!") != NULL)) {
            return;
        }
    }
}

static void *serve(void *arg)
{
    server *s = arg;
    for (size_t i = 0; i < s->n; i++) {
        int fd = accept(s->fd, NULL, NULL);
        if (fd < 0) {
            return NULL;
        }
        read_request(fd, s->seen[i]);
        if (s->answers[i] == NULL) {
            s->open[i] = fd;
            continue;
        }
        (void)send(fd, s->answers[i], strlen(s->answers[i]), MSG_NOSIGNAL);
        close(fd);
    }
    return NULL;
}

static bool server_start(server *s)
{
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof(addr);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&addr, n) != 0 || listen(s->fd, ANSWERS) != 0 ||
        getsockname(s->fd, (struct sockaddr *)&addr, &n) != 0) {
        return false;
    }
    s->port = ntohs(addr.sin_port);
    return pthread_create(&s->thread, NULL, serve, s) == 0;
}

static void server_stop(server *s)
{
    if (s->port == 0) {
        return;
    }
    (void)shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    for (size_t i = 0; i < ANSWERS; i++) {
        if (s->open[i] > 0) {
            close(s->open[i]);
        }
    }
    close(s->fd);
}

typedef struct fixture {
    server server;
    otr_http_grant grant;
    char host[32];
    char *hosts[2], *none[1];
    otr_manifest manifest;
    otr_hostcalls hc;
    otr_buf out;
    otr_json *head;
} fixture;

static void teardown(fixture *f)
{
    server_stop(&f->server);
    otr_hostcalls_deinit(&f->hc);
    otr_buf_deinit(&f->out);
    otr_json_free(f->head);
}

static void setup(fixture *f, const char *host)
{
    otr_log_set_level(OTR_LOG_ERROR);
    (void)snprintf(f->host, sizeof(f->host), "%s", host);
    f->hosts[0] = f->host;
    f->grant = (otr_http_grant){
        .hosts = f->hosts, .ports = { f->server.port }, .n_ports = 1, .http = true
    };
    f->manifest = (otr_manifest){ .publish = f->none,
                                  .config_pairs = f->none,
                                  .where = "x.yaml:1:1",
                                  .http = { &f->grant, 1 },
                                  .call_ns = OTR_NS_PER_S };
    otr_hostcalls_init(&f->hc, "p", &f->manifest);
    otr_hostcalls_begin(&f->hc, NULL);
    otr_buf_init(&f->out, OTR_LIMIT_PLUGIN_OUTPUT_BYTES);
}

static otr_code ask(fixture *f, const char *json, const char *body, otr_err *err)
{
    otr_buf in;
    uint8_t head[4] = { (uint8_t)strlen(json), (uint8_t)(strlen(json) >> 8) };
    otr_buf_init(&in, 65536);
    otr_buf_clear(&f->out);
    otr_json_free(f->head);
    f->head = NULL;
    otr_code rc = otr_buf_add(&in, (otr_bytes){ head, 4 }, err);
    rc = rc == OTR_OK ? otr_buf_adds(&in, json, err) : rc;
    rc = rc == OTR_OK ? otr_buf_adds(&in, body, err) : rc;
    rc = rc == OTR_OK ? otr_gate_call(&f->hc.gate, "http.request", otr_buf_bytes(&in), &f->out, err)
                      : rc;
    otr_buf_deinit(&in);
    if (rc == OTR_OK) {
        size_t n = (size_t)f->out.p[0] | (size_t)f->out.p[1] << 8;
        rc = otr_json_parse((otr_bytes){ f->out.p + 4, n }, &f->head, err);
    }
    return rc;
}

/* `%u` in `json` is the server's port. */
static otr_code ask_port(fixture *f, const char *json, const char *body, otr_err *err)
{
    char text[512];
    const char *at = strstr(json, "%u");
    (void)snprintf(text, sizeof(text), "%.*s%u%s", (int)(at - json), json, (unsigned)f->server.port,
                   at + 2);
    return ask(f, text, body, err);
}

static const char *body_of(const fixture *f)
{
    size_t n = (size_t)f->out.p[0] | (size_t)f->out.p[1] << 8;
    return (const char *)f->out.p + 4 + n;
}

#define HELLO "HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 5\r\n\r\nhello"

#define SERVE(...)                                                                  \
    OTR_CLEANUP(teardown) fixture f = { .server = { .answers = { __VA_ARGS__ } } }; \
    static const char *const given[] = { __VA_ARGS__ };                             \
    otr_err err = { 0 };                                                            \
    f.server.n = OTR_COUNT(given);                                                  \
    REQUIRE(server_start(&f.server));                                               \
    setup(&f, "127.0.0.1")

#define GET "{\"url\":\"http://127.0.0.1:%u/a/b?q=1\"}"

/* Threads and libcurl's own memory make a failing allocation meaningless in most of these. */

T(without_a_grant_nothing_is_asked)
{
    OTR_CLEANUP(teardown) fixture f = { .server = { .n = 0 } };
    otr_err err = { 0 };
    setup(&f, "127.0.0.1");
    f.manifest.http.n = 0;
    CHECK_INT(ask(&f, "{\"url\":\"http://127.0.0.1/\"}", "", &err), OTR_EDENIED);
    CHECK_HAS(err.msg, "grants.http");
    CHECK_INT(otr_gate_denials(&f.hc.gate), 1);
    CHECK(otr_gate_own(&f.hc.gate, &otr_service_http) == NULL);
}

T_NO_OOM(the_plugins_own_manifest_can_only_take_hosts_away)
{
    SERVE(HELLO);
    char any[] = "127.0.*", other[] = "example.org", all[] = "*";
    char *const fits[] = { other, any, NULL }, *const others[] = { other, NULL };
    char *const none[] = { NULL }, *const wide[] = { all, NULL };
    f.hc.gate.allowed_hosts = fits;
    REQUIRE_OK(ask_port(&f, GET, "", &err), err);
    f.hc.gate.allowed_hosts = others;
    CHECK_INT(ask_port(&f, GET, "", &err), OTR_EDENIED);
    CHECK_HAS(err.msg, "127.0.0.1 is not in allowed_hosts of the plugin's own manifest");
    f.hc.gate.allowed_hosts = none;
    CHECK_INT(ask_port(&f, GET, "", &err), OTR_EDENIED);
    CHECK_INT(otr_gate_denials(&f.hc.gate), 2);
    f.hc.gate.allowed_hosts = wide; /* no grant by itself */
    CHECK_INT(ask(&f, "{\"url\":\"http://example.org/\"}", "", &err), OTR_EDENIED);
    CHECK_HAS(err.msg, "grants.http");
}

T_NO_OOM(malformed_requests_are_refused)
{
    SERVE(HELLO);
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"url\":1}",
        "{\"url\":\"nonsense\\u0001\"}",
        "{\"url\":\"http://127.0.0.1/\",\"method\":\"GE T\"}",
        "{\"url\":\"http://127.0.0.1/\",\"method\":\"\"}",
        "{\"url\":\"http://127.0.0.1/\",\"method\":5}",
        "{\"url\":\"http://127.0.0.1/\",\"headers\":[]}",
        "{\"url\":\"file:///etc/passwd\"}",
        "{\"url\":\"http://u:p@127.0.0.1/\"}",
    };
    for (size_t i = 0; i < OTR_COUNT(bad); i++) {
        CHECK_INT(ask(&f, bad[i], "", &err), OTR_EINVAL);
    }
    CHECK_INT(otr_gate_call(&f.hc.gate, "http.request", otr_bytes_of("abc"), &f.out, &err),
              OTR_EINVAL);
    CHECK_INT(
        otr_gate_call(&f.hc.gate, "http.request", otr_bytes_of("\xff\xff\xff\xff{}"), &f.out, &err),
        OTR_EINVAL);
    CHECK_HAS(err.msg, "the JSON's length");
    CHECK_INT(ask(&f, "{\"url\":\"http://127.0.0.1/\",\"method\":\"ABCDEFGHIJKLMNOP\"}", "", &err),
              OTR_EINVAL);
    CHECK_INT(otr_gate_denials(&f.hc.gate), 0);
    /* One letter less is a method, which the grant then has or has not. */
    CHECK_INT(ask(&f, "{\"url\":\"http://127.0.0.1/\",\"method\":\"ABCDEFGHIJKLMNO\"}", "", &err),
              OTR_EDENIED);
}

T_NO_OOM(a_key_that_there_is_not_is_refused_by_name)
{
    SERVE(HELLO);
    CHECK_INT(
        ask_port(&f, "{\"url\":\"http://127.0.0.1:%u/\",\"Headers\":{\"A\":\"b\"}}", "", &err),
        OTR_EINVAL);
    CHECK_HAS(err.msg, "\"Headers\"");
    CHECK_INT(ask_port(&f, "{\"url\":\"http://127.0.0.1:%u/\",\"body\":\"x\"}", "", &err),
              OTR_EINVAL);
    CHECK_HAS(err.msg, "\"body\"");
    CHECK_INT(
        ask_port(&f, "{\"url\":\"http://127.0.0.1:%u/\",\"header\":{},\"headers\":{}}", "", &err),
        OTR_EINVAL);
    CHECK_HAS(err.msg, "give it once");
    CHECK_STR(f.server.seen[0], "");
}

T_NO_OOM(header_is_the_older_name_of_headers)
{
    SERVE(HELLO, HELLO);
    REQUIRE_OK(
        ask_port(&f, "{\"url\":\"http://127.0.0.1:%u/\",\"header\":{\"X-Key\":\"v\"}}", "", &err),
        err);
    CHECK_HAS(f.server.seen[0], "X-Key: v\r\n");
    REQUIRE_OK(ask_port(&f, "{\"url\":\"http://127.0.0.1:%u/\",\"headers\":null,\"method\":null}",
                        "", &err),
               err);
    CHECK_HAS(f.server.seen[1], "GET / HTTP/1.1\r\n");
}

T_NO_OOM(a_url_has_a_longest_length)
{
    SERVE(HELLO);
    for (size_t n = OTR_LIMIT_PLUGIN_URL_BYTES; n <= OTR_LIMIT_PLUGIN_URL_BYTES + 1; n++) {
        static const char before[] = "{\"url\":\"", url[] = "http://127.0.0.2/";
        char json[OTR_LIMIT_PLUGIN_URL_BYTES + 32];
        (void)snprintf(json, sizeof(json), "%s%s", before, url);
        size_t at = strlen(json), left = n - strlen(url);
        memset(json + at, 'a', left);
        (void)snprintf(json + at + left, sizeof(json) - at - left, "\"}");
        CHECK_INT(ask(&f, json, "", &err),
                  n > OTR_LIMIT_PLUGIN_URL_BYTES ? OTR_EINVAL : OTR_EDENIED);
    }
}

T_NO_OOM(headers_that_are_the_hosts_are_refused)
{
    SERVE(HELLO);
    static const char *const bad[] = { "\"Host\":\"x\"",
                                       "\"a\":\"b\\r\\nc: d\"",
                                       "\"a b\":\"c\"",
                                       "\"\":\"c\"",
                                       "\"Content-Length\":\"9\"",
                                       "\"a\":1",
                                       "\"proxy-authorization\":\"x\"" };
    for (size_t i = 0; i < OTR_COUNT(bad); i++) {
        char json[256];
        (void)snprintf(json, sizeof(json), "{\"url\":\"http://127.0.0.1:%u/\",\"headers\":{%s}}",
                       (unsigned)f.server.port, bad[i]);
        CHECK_INT(ask(&f, json, "", &err), OTR_EINVAL);
        CHECK_HAS(err.msg, "header");
    }
}

T_NO_OOM(what_the_grant_does_not_cover_is_denied)
{
    SERVE(HELLO);
    char *paths[] = { "/a*", NULL };
    char *methods[] = { "GET", NULL };
    f.grant.paths = paths;
    f.grant.methods = methods;
    CHECK_INT(ask_port(&f, "{\"url\":\"http://127.0.0.1:%u/b\"}", "", &err), OTR_EDENIED);
    CHECK_HAS(err.msg, "/b");
    CHECK_INT(ask_port(&f, "{\"url\":\"http://127.0.0.1:%u/a/../b\"}", "", &err), OTR_EDENIED);
    CHECK_INT(ask_port(&f, "{\"url\":\"http://127.0.0.1:%u/a/%2e%2E/b\"}", "", &err), OTR_EDENIED);
    CHECK_INT(ask_port(&f, "{\"url\":\"http://127.0.0.2:%u/a\"}", "", &err), OTR_EDENIED);
    CHECK_INT(ask_port(&f, "{\"url\":\"https://127.0.0.1:%u/a\"}", "", &err), OTR_EDENIED);
    CHECK_INT(ask_port(&f, "{\"url\":\"ftp://127.0.0.1:%u/a\"}", "", &err), OTR_EDENIED);
    CHECK_INT(ask_port(&f, "{\"url\":\"http://127.0.0.1:%u/a\",\"method\":\"POST\"}", "", &err),
              OTR_EDENIED);
    CHECK_INT(ask(&f, "{\"url\":\"http://127.0.0.1:9/a\"}", "", &err), OTR_EDENIED);
    CHECK_INT(otr_gate_denials(&f.hc.gate), 8);
}

T_NO_OOM(an_address_that_is_not_public_needs_its_name_in_the_grant)
{
    SERVE(HELLO);
    (void)snprintf(f.host, sizeof(f.host), "*");
    CHECK_INT(ask_port(&f, GET, "", &err), OTR_EDENIED);
    CHECK_HAS(err.msg, "127.0.0.1");
    CHECK_INT(ask_port(&f, "{\"url\":\"http://localhost:%u/\"}", "", &err), OTR_EDENIED);
    CHECK_INT(ask_port(&f, "{\"url\":\"http://0x7f.1:%u/\"}", "", &err), OTR_EDENIED);
    CHECK_INT(ask_port(&f, "{\"url\":\"http://[::ffff:127.0.0.1]:%u/\"}", "", &err), OTR_EDENIED);
    CHECK_INT(ask_port(&f, "{\"url\":\"http://169.254.169.254:%u/\"}", "", &err), OTR_EDENIED);
    CHECK_INT(otr_gate_denials(&f.hc.gate), 5);
}

T_NO_OOM(a_silent_server_ends_with_the_calls_time)
{
    SERVE(NULL);
    f.manifest.call_ns = 100 * OTR_NS_PER_MS;
    uint64_t begin = otr_now_ns();
    otr_hostcalls_begin(&f.hc, NULL);
    CHECK_INT(ask_port(&f, GET, "", &err), OTR_ETIMEOUT);
    CHECK(otr_now_ns() - begin < 5 * OTR_NS_PER_S);
    CHECK_INT(ask_port(&f, GET, "", &err), OTR_ETIMEOUT);
    CHECK_HAS(err.msg, "no time left");
}

static void *end_soon(void *arg)
{
    const struct timespec moment = { .tv_nsec = 100000000 };
    (void)nanosleep(&moment, NULL);
    atomic_store((atomic_bool *)arg, true);
    return NULL;
}

T_NO_OOM(a_cancelled_call_does_not_wait_for_a_silent_server)
{
    SERVE(NULL);
    pthread_t thread;
    f.manifest.call_ns = 3600 * OTR_NS_PER_S;
    otr_hostcalls_begin(&f.hc, NULL);
    REQUIRE(pthread_create(&thread, NULL, end_soon, &f.hc.gate.ended) == 0);
    otr_code rc = ask_port(&f, GET, "", &err);
    pthread_join(thread, NULL);
    CHECK_INT(rc, OTR_ETIMEOUT);
    CHECK_HAS(err.msg, "cancelled");
}

T_NO_OOM(an_address_in_disguise_is_seen_through)
{
    static const char *const hosts[] = { "2130706433",           "0177.0.0.1", "127.1",
                                         "2852039166",           "0xa9fea9fe", "0xa9.0376.43518",
                                         "[::ffff:a9fe:a9fe]",   "[::1]",      "[::ffff:7f00:1]",
                                         "[64:ff9b::a9fe:a9fe]", "localhost" };
    SERVE(HELLO);
    (void)snprintf(f.host, sizeof(f.host), "*");
    for (size_t i = 0; i < OTR_COUNT(hosts); i++) {
        char json[128];
        (void)snprintf(json, sizeof(json), "{\"url\":\"http://%s:%u/\"}", hosts[i], f.server.port);
        CHECK_INT(ask(&f, json, "", &err), OTR_EDENIED);
    }
    CHECK_INT(otr_gate_denials(&f.hc.gate), OTR_COUNT(hosts));
}

T_NO_OOM(too_many_headers_are_an_error)
{
    static char answer[OTR_LIMIT_PLUGIN_HTTP_HEADER_BYTES + 256];
    int n = snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\n");
    while ((size_t)n < sizeof(answer) - 128) {
        n += snprintf(answer + n, sizeof(answer) - (size_t)n, "X-%d: %080d\r\n", n, 1);
    }
    OTR_CLEANUP(teardown) fixture f = { .server = { .answers = { answer }, .n = 1 } };
    otr_err err = { 0 };
    REQUIRE(server_start(&f.server));
    setup(&f, "127.0.0.1");
    CHECK_INT(ask_port(&f, GET, "", &err), OTR_EQUOTA);
}

T_NO_OOM(a_redirect_needs_a_grant_of_its_own)
{
    SERVE("HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n", HELLO);
    char *paths[] = { "/a*", NULL };
    f.grant.paths = paths;
    CHECK_INT(ask_port(&f, GET, "", &err), OTR_EDENIED);
    CHECK_HAS(err.msg, "redirected");
    CHECK_INT(otr_gate_denials(&f.hc.gate), 1);
    CHECK_STR(f.server.seen[1], "");
}

T_NO_OOM(redirects_end_somewhere)
{
#define AGAIN "HTTP/1.1 307 Again\r\nLocation: /a\r\nContent-Length: 0\r\n\r\n"
    SERVE(AGAIN, AGAIN, AGAIN, AGAIN, AGAIN, AGAIN);
    CHECK_INT(ask_port(&f, GET, "", &err), OTR_EQUOTA);
    CHECK_HAS(err.msg, "redirects");
}

T_NO_OOM(an_answer_has_status_joined_headers_and_body)
{
    SERVE(HELLO);
    REQUIRE_OK(ask_port(&f, GET, "", &err), err);
    CHECK_INT(otr_json_int(otr_json_get(f.head, "status"), 0), 200);
    CHECK_STR(otr_json_str(otr_json_get(otr_json_get(f.head, "headers"), "x-a"), ""), "1, 2");
    CHECK_STR(body_of(&f), "hello");
    CHECK_HAS(f.server.seen[0], "GET /a/b?q=1 HTTP/1.1\r\n");
    CHECK_HAS(f.server.seen[0], "User-Agent: outrider/");
    CHECK_INT(otr_gate_denials(&f.hc.gate), 0);
}

static const char *header_of(const fixture *f, const char *name)
{
    return otr_json_str(otr_json_get(otr_json_get(f->head, "headers"), name), "(none)");
}

T_NO_OOM(a_header_that_comes_twice_hides_none_behind_it)
{
    SERVE("HTTP/1.1 200 OK\r\nVary: a\r\nX-1:  one \t \r\nvary: b\r\nX-None:\r\nX-Blank:  \r\n"
          "VARY:\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-2: two\r\n folded\r\n"
          "Content-Length: 5\r\n\r\nhello");
    REQUIRE_OK(ask_port(&f, GET, "", &err), err);
    CHECK_STR(header_of(&f, "vary"), "a, b, ");
    CHECK_STR(header_of(&f, "x-1"), "one");
    CHECK_STR(header_of(&f, "x-none"), "");
    CHECK_STR(header_of(&f, "x-blank"), "");
    CHECK_STR(header_of(&f, "set-cookie"), "a=1, b=2");
    CHECK_STR(header_of(&f, "x-2"), "two folded");
    CHECK_STR(header_of(&f, "content-length"), "5");
    CHECK_INT(otr_json_size(otr_json_get(f.head, "headers")), 7);
    CHECK_STR(body_of(&f), "hello");
}

T_NO_OOM(only_the_last_head_is_the_answers)
{
    SERVE("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nX-A: 1\r\n"
          "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Trailer: t\r\n\r\n");
    REQUIRE_OK(ask_port(&f, GET, "", &err), err);
    CHECK_STR(header_of(&f, "link"), "(none)");
    CHECK_STR(header_of(&f, "x-a"), "1");
    CHECK_STR(header_of(&f, "x-trailer"), "(none)");
    CHECK_STR(body_of(&f), "hello");
}

/* Answers on one connection as often as it is asked. */
static void *serve_again(void *arg)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    server *s = arg;
    int fd = -1;
    for (size_t i = 0; i < ANSWERS; i++) {
        fd = fd >= 0 ? fd : accept(s->fd, NULL, NULL);
        if (fd < 0) {
            break;
        }
        read_request(fd, s->seen[i]);
        if (s->seen[i][0] == '\0') { /* the other side closed it */
            close(fd);
            fd = -1;
        } else {
            (void)send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL);
        }
    }
    if (fd >= 0) {
        close(fd);
    }
    return NULL;
}

T_NO_OOM(a_connection_that_one_grant_opened_is_not_another_grants)
{
    OTR_CLEANUP(teardown) fixture f = { .server = { .n = 0 } };
    otr_err err = { 0 };
    REQUIRE(server_start(&f.server));
    pthread_join(f.server.thread, NULL); /* it had nothing to answer */
    REQUIRE(pthread_create(&f.server.thread, NULL, serve_again, &f.server) == 0);
    setup(&f, "127.0.0.1");
    char any[] = "*", *all[] = { any, NULL }, *health[] = { "/health", NULL };
    otr_http_grant both[] = { f.grant, f.grant };
    both[0].hosts = all;
    both[1].paths = health;
    f.manifest.http = (otr_http_grants){ both, 2 };
    REQUIRE_OK(ask_port(&f, "{\"url\":\"http://127.0.0.1:%u/health\"}", "", &err), err);
    CHECK_INT(ask_port(&f, "{\"url\":\"http://127.0.0.1:%u/secret\"}", "", &err), OTR_EDENIED);
    CHECK_HAS(err.msg, "not a public one");
    REQUIRE_OK(ask_port(&f, "{\"url\":\"http://127.0.0.1:%u/health\"}", "", &err), err);
    CHECK_HAS(f.server.seen[0], "GET /health ");
    for (size_t i = 0; i < ANSWERS; i++) {
        CHECK(strstr(f.server.seen[i], "secret") == NULL);
    }
    otr_hostcalls_deinit(&f.hc); /* closes the connection */
    otr_hostcalls_init(&f.hc, "p", &f.manifest);
}

T_NO_OOM(an_error_status_is_an_answer)
{
    SERVE("HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno");
    REQUIRE_OK(ask_port(&f, GET, "", &err), err);
    CHECK_INT(otr_json_int(otr_json_get(f.head, "status"), 0), 503);
    CHECK_STR(body_of(&f), "no");
}

T_NO_OOM(method_headers_and_body_are_sent)
{
    SERVE(HELLO);
    REQUIRE_OK(ask_port(&f,
                        "{\"url\":\"http://127.0.0.1:%u/p\",\"method\":\"put\","
                        "\"headers\":{\"X-Key\":\"v\",\"Content-Type\":\"text/plain\"}}",
                        "the end!", &err),
               err);
    CHECK_HAS(f.server.seen[0], "PUT /p HTTP/1.1\r\n");
    CHECK_HAS(f.server.seen[0], "X-Key: v\r\n");
    CHECK_HAS(f.server.seen[0], "Content-Type: text/plain\r\n");
    CHECK_HAS(f.server.seen[0], "Content-Length: 8\r\n");
    CHECK_HAS(f.server.seen[0], "the end!");
}

T_NO_OOM(a_body_is_as_long_as_it_was_given)
{
    SERVE(HELLO);
    static const char body[] = "end!\0x not sent"; /* the NUL in it ends nothing */
    enum { BODY_BYTES = 6 };
    char in[160] = "";
    int n = snprintf(in + 4, 128, "{\"url\":\"http://127.0.0.1:%u/\",\"method\":\"POST\"}",
                     (unsigned)f.server.port);
    REQUIRE(n > 0 && n < 128);
    in[0] = (char)n;
    memcpy(in + 4 + n, body, sizeof(body));
    otr_bytes all = { (const uint8_t *)in, 4 + (size_t)n + BODY_BYTES };
    REQUIRE_OK(otr_gate_call(&f.hc.gate, "http.request", all, &f.out, &err), err);
    CHECK_HAS(f.server.seen[0], "Content-Length: 6\r\n");
}

T_NO_OOM(a_head_request_does_not_wait_for_a_body)
{
    SERVE("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    REQUIRE_OK(ask_port(&f, "{\"url\":\"http://127.0.0.1:%u/\",\"method\":\"HEAD\"}", "", &err),
               err);
    CHECK_STR(body_of(&f), "");
}

T_NO_OOM(only_a_post_becomes_a_get_and_not_after_every_redirect)
{
    static const struct {
        const char *status, *method, *then;
    } all[] = { { "302 Found", "PUT", "PUT /b HTTP/1.1" },
                { "301 Moved", "POST", "GET /b HTTP/1.1" },
                { "307 Temporary", "POST", "POST /b HTTP/1.1" },
                { "303 See", "PUT", "GET /b HTTP/1.1" } };
    for (size_t i = 0; i < OTR_COUNT(all); i++) {
        char away[128], json[128];
        (void)snprintf(
            away, sizeof(away),
            "HTTP/1.1 %s\r\nLocation: /b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            all[i].status);
        OTR_CLEANUP(teardown) fixture f = { .server = { .answers = { away, HELLO }, .n = 2 } };
        otr_err err = { 0 };
        REQUIRE(server_start(&f.server));
        setup(&f, "127.0.0.1");
        (void)snprintf(json, sizeof(json), "{\"url\":\"http://127.0.0.1:%%u/\",\"method\":\"%s\"}",
                       all[i].method);
        REQUIRE_OK(ask_port(&f, json, "the end!", &err), err);
        CHECK_HAS(f.server.seen[1], all[i].then);
    }
}

T_NO_OOM(a_post_becomes_a_get_after_a_redirect_and_credentials_stay_at_home)
{
    OTR_CLEANUP(server_stop) server other = { .answers = { HELLO }, .n = 1 };
    REQUIRE(server_start(&other));
    char away[160];
    (void)snprintf(away, sizeof(away),
                   "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%u/there\r\n"
                   "Content-Length: 0\r\n\r\n",
                   (unsigned)other.port);
    OTR_CLEANUP(teardown) fixture f = { .server = { .answers = { away }, .n = 1 } };
    otr_err err = { 0 };
    REQUIRE(server_start(&f.server));
    setup(&f, "127.0.0.1");
    f.grant.ports[1] = other.port;
    f.grant.n_ports = 2;
    REQUIRE_OK(ask_port(&f,
                        "{\"url\":\"http://127.0.0.1:%u/\",\"method\":\"POST\","
                        "\"headers\":{\"Authorization\":\"secret\",\"X-Other\":\"1\"}}",
                        "the end!", &err),
               err);
    CHECK_HAS(f.server.seen[0], "Authorization: secret");
    CHECK_HAS(other.seen[0], "GET /there HTTP/1.1");
    CHECK_HAS(other.seen[0], "X-Other: 1");
    CHECK(strstr(other.seen[0], "secret") == NULL);
    CHECK(strstr(other.seen[0], "end!") == NULL);
}
