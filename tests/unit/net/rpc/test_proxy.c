#include "net/rpc/proxy.h"
#include "net/rpc/target.h"
#include "support/test.h"

static void target(const char *text, const char *host, unsigned port)
{
    otr_rpc_target t = { 0 };
    otr_err err = { 0 };
    otr_code rc = otr_rpc_target_parse(text, 0, &t, &err);
    CHECK(rc == OTR_OK);
    CHECK_STR(t.host, host);
    CHECK_INT(t.port, port);
}

T(targets_are_read)
{
    char out[OTR_RPC_AUTHORITY_BYTES];
    target("host:443", "host", 443);
    target("1.2.3.4:1", "1.2.3.4", 1);
    target("[::1]:65535", "::1", 65535);
    otr_rpc_target t;
    otr_err err = { 0 };
    REQUIRE_OK(otr_rpc_target_parse("[fe80::1]", 80, &t, &err), err);
    CHECK_STR(otr_rpc_target_authority(&t, out), "[fe80::1]:80");
    REQUIRE_OK(otr_rpc_target_parse("fe80::1", 80, &t, &err), err);
    CHECK_STR(t.host, "fe80::1");
    REQUIRE_OK(otr_rpc_target_parse("unix:///run/x", 0, &t, &err), err);
    CHECK(t.local);
    CHECK_STR(t.path, "/run/x");
    CHECK_STR(otr_rpc_target_authority(&t, out), "localhost");
    REQUIRE_OK(otr_rpc_target_parse("unix:rel", 0, &t, &err), err);
    CHECK_STR(t.path, "rel");
}

T(what_is_no_target_is_refused)
{
    static const char *const all[] = { "",       "host",    "host:",  ":80",   "host:0",
                                       "host:x", "h:65536", "[::1]",  "[::1",  "[::1]80",
                                       "a b:80", "a/b:80",  "u@h:80", "unix:", "h:99999999999",
                                       "h\n:80", "[]:80" };
    for (size_t i = 0; i < OTR_COUNT(all); i++) {
        otr_rpc_target t;
        otr_err err = { 0 };
        CHECK_INT(otr_rpc_target_parse(all[i], 0, &t, &err), OTR_EINVAL);
    }
}

static bool without(const char *list, const char *to)
{
    otr_rpc_target t = { 0 };
    if (otr_rpc_target_parse(to, 0, &t, NULL) != OTR_OK) {
        return false;
    }
    return otr_rpc_no_proxy(list, &t);
}

T(no_proxy_lists)
{
    CHECK(!without("", "example.com:443"));
    CHECK(without("*", "example.com:443"));
    CHECK(without("example.com", "example.com:443"));
    CHECK(without("EXAMPLE.com", "example.COM.:443"));
    CHECK(without("example.com", "a.example.com:443"));
    CHECK(!without("example.com", "notexample.com:443"));
    CHECK(!without("example.com", "example.com.evil.org:443"));
    CHECK(!without(".example.com", "example.com:443"));
    CHECK(without(".example.com", "a.b.example.com:443"));
    CHECK(without("*.example.com", "a.example.com:443"));
    CHECK(without(" x.org ,\texample.com ", "example.com:443"));
    CHECK(without("example.com:443", "example.com:443"));
    CHECK(!without("example.com:80", "example.com:443"));
    CHECK(!without("example.com:x", "example.com:443"));
    CHECK(!without(",,,", "example.com:443"));
    CHECK(!without(".", "example.com:443"));
}

T(no_proxy_addresses_and_networks)
{
    CHECK(without("10.1.2.3", "10.1.2.3:1"));
    CHECK(!without("10.1.2.3", "10.1.2.30:1"));
    CHECK(without("10.0.0.0/8", "10.255.1.1:1"));
    CHECK(!without("10.0.0.0/8", "11.0.0.1:1"));
    CHECK(without("10.128.0.0/9", "10.200.0.1:1"));
    CHECK(!without("10.128.0.0/9", "10.100.0.1:1"));
    CHECK(without("0.0.0.0/0", "9.9.9.9:1"));
    CHECK(!without("10.0.0.0/33", "10.0.0.1:1"));
    CHECK(!without("10.0.0.0/", "10.0.0.1:1"));
    CHECK(!without("10.0.0.0/8", "name:1"));
    CHECK(without("2001:db8::/32", "[2001:db8:1::5]:1"));
    CHECK(!without("2001:db8::/32", "10.0.0.1:1"));
    CHECK(without("2001:db8::5", "[2001:db8::5]:1"));
    CHECK(without("[2001:db8::5]:7", "[2001:db8::5]:7"));
    CHECK(!without("[2001:db8::5]:8", "[2001:db8::5]:7"));
    CHECK(!without("0.1", "10.0.0.1:1"));
}

T(the_loopback_is_never_behind_a_proxy)
{
    CHECK(without("", "localhost:1"));
    CHECK(without("", "127.9.9.9:1"));
    CHECK(without("", "[::1]:1"));
    CHECK(without("", "unix:/x"));
    CHECK(!without("", "128.0.0.1:1"));
    CHECK(!without("", "localhost.example:1"));
}

/* What the answer, in steps of one byte or whole, comes to: 'o' open, '.' not yet, 'e' error. */
static char answer(const char *text, size_t *ret_left, otr_err *err)
{
    char verdict[2] = "..";
    for (int whole = 0; whole < 2; whole++) {
        otr_rpc_proxy_answer a;
        otr_bytes in = otr_bytes_of(text);
        bool open = false;
        otr_code rc = OTR_OK;
        otr_rpc_proxy_answer_init(&a);
        while (rc == OTR_OK && !open && in.n > 0) {
            otr_bytes part = { in.p, whole != 0 ? in.n : 1 };
            size_t before = part.n;
            rc = otr_rpc_proxy_answer_feed(&a, &part, &open, err);
            in.p += before - part.n;
            in.n -= before - part.n;
        }
        verdict[whole] = '.';
        if (rc != OTR_OK) {
            verdict[whole] = 'e';
        } else if (open) {
            verdict[whole] = 'o';
            *ret_left = in.n;
        }
        otr_rpc_proxy_answer_deinit(&a);
    }
    CHECK_INT(verdict[0], verdict[1]);
    return verdict[1];
}

T(answers_of_a_proxy)
{
    static const struct {
        const char *text;
        char verdict;
        size_t left;
    } cases[] = {
        { "HTTP/1.1 200 OK\r\n\r\n", 'o', 0 },
        { "HTTP/1.0 200\r\n\r\nabc", 'o', 3 },
        { "HTTP/1.1 299 Fine\nX: y\n\nab", 'o', 2 },
        { "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nx", 'o', 1 },
        { "HTTP/1.1 200 OK\r\nX: y\r\n", '.', 0 },
        { "HTTP/1.1 403 No\r\n\r\n", 'e', 0 },
        { "HTTP/1.1 407 Who\r\n\r\n", 'e', 0 },
        { "HTTP/2 200\r\n\r\n", 'e', 0 },
        { "HTTP/1.x 200\r\n\r\n", 'e', 0 },
        { "HTTP/1.1 20\r\n\r\n", 'e', 0 },
        { "HTTP/1.1 2000\r\n\r\n", 'e', 0 },
        { "http/1.1 200\r\n\r\n", 'e', 0 },
        { "\r\nHTTP/1.1 200\r\n\r\n", 'e', 0 },
    };
    for (size_t i = 0; i < OTR_COUNT(cases); i++) {
        otr_err err = { 0 };
        size_t left = 0;
        CHECK_INT(answer(cases[i].text, &left, &err), cases[i].verdict);
        CHECK_INT(left, cases[i].left);
    }
}

static otr_code request(const otr_rpc_proxy_spec *spec, const char *to, otr_buf *out, otr_err *err)
{
    otr_rpc_proxy proxy;
    otr_rpc_target t;
    otr_code rc = otr_rpc_proxy_init(&proxy, spec, err);
    if (rc != OTR_OK) {
        return rc;
    }
    rc = otr_rpc_target_parse(to, 0, &t, err);
    rc = rc == OTR_OK ? otr_rpc_proxy_request(&proxy, &t, out, err) : rc;
    otr_rpc_proxy_deinit(&proxy);
    return rc;
}

T(requests_carry_credentials)
{
    static const struct {
        otr_rpc_proxy_spec spec;
        const char *want;
    } cases[] = {
        { { .url = "http://p:3128" }, "CONNECT [::5]:7 HTTP/1.1\r\nHost: [::5]:7\r\n\r\n" },
        { { .url = "http://p", .auth = OTR_RPC_PROXY_BASIC, .user = "u", .password = "p" },
          "Proxy-Authorization: Basic dTpw\r\n\r\n" },
        { { .url = "HTTP://u:p@p:1/" }, "Proxy-Authorization: Basic dTpw\r\n\r\n" },
        { { .url = "http://u%3a:%25@p:1", .auth = OTR_RPC_PROXY_NONE }, NULL },
        { { .url = "http://p", .auth = OTR_RPC_PROXY_BEARER, .token = "t" },
          "Proxy-Authorization: Bearer t\r\n\r\n" },
        { { .url = "http://p", .auth = OTR_RPC_PROXY_BEARER, .token = "t\r\nX: y" }, NULL },
        { { .url = "http://p", .auth = OTR_RPC_PROXY_BEARER }, NULL },
        { { .url = "http://p", .auth = OTR_RPC_PROXY_BASIC }, NULL },
        { { .url = "https://p" }, NULL },
        { { .url = "p:80" }, NULL },
        { { .url = "http://p/path" }, NULL },
        { { .url = "http://" }, NULL },
        { { .url = "" }, NULL },
    };
    for (size_t i = 0; i < OTR_COUNT(cases); i++) {
        otr_buf out;
        otr_err err = { 0 };
        otr_buf_init(&out, 10000);
        otr_code rc = request(&cases[i].spec, "[::5]:7", &out, &err);
        CHECK((rc == OTR_OK) == (cases[i].want != NULL));
        if (rc == OTR_OK && cases[i].want != NULL) {
            CHECK_HAS(otr_buf_text(&out), cases[i].want);
        }
        CHECK(strstr(err.msg, "u%3a") == NULL);
        otr_buf_deinit(&out);
    }
}
