#include <arpa/inet.h>
#include <netinet/in.h>

#include "plugin/manifest/http_grant.h"
#include "support/test.h"

static bool granted(const otr_http_grant *g, otr_http_target target)
{
    otr_http_grants all = { (otr_http_grant *)(uintptr_t)g, 1 };
    otr_http_answer answer;
    return otr_http_granted(&all, &target, &answer) != NULL;
}

static bool host_granted(char *pattern, const char *host)
{
    char *hosts[] = { pattern, NULL };
    otr_http_grant g = { .hosts = hosts, .https = true };
    return granted(&g, (otr_http_target){ "GET", "https", host, "/", 443 });
}

static bool path_granted(char *pattern, const char *path)
{
    char *hosts[] = { "h", NULL }, *paths[] = { pattern, NULL };
    otr_http_grant g = { .hosts = hosts, .paths = paths, .https = true };
    return granted(&g, (otr_http_target){ "GET", "https", "h", path, 443 });
}

T(hosts_match_whole_or_below_a_domain)
{
    CHECK(!host_granted("example.com", "example.com.evil.org"));
    CHECK(!host_granted("example.com", "evil-example.com"));
    CHECK(!host_granted("*.example.com", "evilexample.com"));
    CHECK(!host_granted("*.example.com", "example.com"));
    CHECK(!host_granted("*.example.com", ".example.com"));
    CHECK(!host_granted("10.0.0.1", "10.0.0.11"));
    CHECK(host_granted("example.com", "EXAMPLE.com"));
    CHECK(host_granted("*.example.com", "a.b.example.com"));
    CHECK(host_granted("*", "anything"));
    CHECK(host_granted("[::1]", "[::1]"));
}

T(paths_match_by_part_and_by_tail)
{
    CHECK(!path_granted("/v1/*", "/v1"));
    CHECK(!path_granted("/v1/*", "/v2/x"));
    CHECK(!path_granted("/v1", "/v1/x"));
    CHECK(!path_granted("/a/*/c", "/a/b/b/c"));
    CHECK(!path_granted("/a/*/c", "/a/b/d"));
    CHECK(!path_granted("/v1/*", "/v1/../etc"));
    CHECK(!path_granted("/v1/*", "/v1/%2E./etc"));
    CHECK(!path_granted("/v1/*", "/v1/x%2f..%2fy"));
    CHECK(!path_granted("/v1/*", "/v1/..\\y"));
    CHECK(!path_granted("/v1/*", "/v1/.."));
    CHECK(!path_granted("/v1/*", "/v1/x%5C..%5cy"));
    CHECK(!path_granted("/v1/*", "/v1/."));
    CHECK(!path_granted("/v1/*", "/v1/%2e"));
    CHECK(!path_granted("/v1/*", "/v1/%2g../x"));
    CHECK(path_granted("/v1/*", "/v1/a%5d../x"));
    CHECK(path_granted("/v1/*", "/v1/a/b"));
    CHECK(path_granted("/v1/*", "/v1/..a/...x"));
    CHECK(path_granted("/a/*/c", "/a/b/c"));
    CHECK(path_granted("/a/x*y*z/c", "/a/xyyz/c"));
    CHECK(path_granted("/*", "/"));
}

T(scheme_port_and_method_are_part_of_the_grant)
{
    char *hosts[] = { "h", NULL }, *methods[] = { "GET", NULL };
    otr_http_grant g = { .hosts = hosts, .methods = methods, .https = true };
    CHECK(!granted(&g, (otr_http_target){ "GET", "http", "h", "/", 80 }));
    CHECK(!granted(&g, (otr_http_target){ "GET", "https", "h", "/", 8443 }));
    CHECK(!granted(&g, (otr_http_target){ "POST", "https", "h", "/", 443 }));
    CHECK(!granted(&g, (otr_http_target){ "GET", "gopher", "h", "/", 443 }));
    CHECK(granted(&g, (otr_http_target){ "GET", "https", "h", "/", 443 }));
    g.ports[0] = 8443;
    g.n_ports = 1;
    CHECK(!granted(&g, (otr_http_target){ "GET", "https", "h", "/", 443 }));
    CHECK(granted(&g, (otr_http_target){ "GET", "https", "h", "/", 8443 }));
}

/* ---- several entries ---- */

enum { ENTRIES = 4 };

typedef struct several {
    otr_http_grant items[ENTRIES];
    char *hosts[ENTRIES][2], *paths[ENTRIES][2], *methods[ENTRIES][2];
    size_t n;
    otr_http_answer answer;
} several;

static void entry(several *s, char *host, char *path, char *method)
{
    size_t i = s->n++;
    s->hosts[i][0] = host;
    s->paths[i][0] = path;
    s->methods[i][0] = method;
    s->items[i] = (otr_http_grant){ .hosts = s->hosts[i],
                                    .paths = path != NULL ? s->paths[i] : NULL,
                                    .methods = method != NULL ? s->methods[i] : NULL,
                                    .http = true };
}

/* The number of the entry that decides, -1: it is not granted. */
static int decider(several *s, const char *method, const char *host, const char *path)
{
    const otr_http_grants all = { s->items, s->n };
    const otr_http_target t = { method, "http", host, path, 80 };
    const otr_http_grant *g = otr_http_granted(&all, &t, &s->answer);
    return g != NULL ? (int)(g - s->items) : -1;
}

T(only_the_entry_that_decides_can_name_a_host)
{
    several s = { .n = 0 };
    entry(&s, "*", NULL, NULL);
    entry(&s, "LOCALHOST", "/health", NULL);
    entry(&s, "*.h", NULL, NULL);
    CHECK_INT(decider(&s, "GET", "localhost", "/health"), 1);
    CHECK(s.answer.named);
    CHECK_INT(decider(&s, "GET", "localhost", "/admin/secret"), 0);
    CHECK(!s.answer.named);
    CHECK_INT(decider(&s, "GET", "a.h", "/"), 2);
    CHECK(!s.answer.named);
    char *hosts[] = { "*", "*.h", "a.h", NULL };
    s.items[0].hosts = hosts; /* one entry that says it itself */
    CHECK_INT(decider(&s, "GET", "a.h", "/"), 0);
    CHECK(s.answer.named);
}

T(the_closest_entry_decides_alone)
{
    several s = { .n = 0 };
    entry(&s, "*", NULL, NULL);
    entry(&s, "*.b.c", NULL, NULL);
    entry(&s, "*.c", "/x/y", NULL);
    entry(&s, "a.b.c", "/x/*", "GET");
    CHECK_INT(decider(&s, "GET", "a.b.c", "/x/y"), 3);
    CHECK_INT(decider(&s, "DELETE", "a.b.c", "/x/y"), -1);
    CHECK_HAS(s.answer.why, "method");
    CHECK_INT(decider(&s, "DELETE", "a.b.c", "/z"), 1);
    CHECK_INT(decider(&s, "DELETE", "q.c", "/x/y"), 2);
    CHECK_INT(decider(&s, "DELETE", "q.c", "/x/z"), 0);
}

T(the_closest_path_of_a_host_decides)
{
    several s = { .n = 0 };
    entry(&s, "h", NULL, NULL);
    entry(&s, "h", "/a/*", "GET");
    entry(&s, "h", "/a/b*", "GET");
    entry(&s, "h", "/a/b", "PUT");
    CHECK_INT(decider(&s, "POST", "h", "/"), 0);
    CHECK_INT(decider(&s, "GET", "h", "/a/c"), 1);
    CHECK_INT(decider(&s, "GET", "h", "/a/bc"), 2);
    CHECK_INT(decider(&s, "PUT", "h", "/a/b"), 3);
    CHECK_INT(decider(&s, "GET", "h", "/a/b"), -1);
}

T(of_equal_entries_the_first_with_the_method_decides)
{
    several s = { .n = 0 };
    entry(&s, "h", "/a", "PUT");
    entry(&s, "h", "/a", "GET");
    entry(&s, "h", "/a", "GET");
    CHECK_INT(decider(&s, "GET", "h", "/a"), 1);
    CHECK_INT(decider(&s, "PUT", "h", "/a"), 0);
    CHECK_INT(decider(&s, "POST", "h", "/a"), -1);
}

T(a_path_that_may_climb_is_refused_however_it_is_written)
{
    static const char *const bad[] = {
        "/p/..;/s",        "/p/..;a=b/s", "/p/%2e%2e;/s", "/p/..%3b/s",    "/p/..%3Bx/s",
        "/p/%252e%252e/s", "/p/..%252fs", "/p/..%255cs",  "/p/..\\s",      "/p/.;/s",
        "/p/..%20/s",      "/p/..%3fx",   "/p/..%23",     "/p/%25252e./s", "/p/..%253b/s",
        "/p/.%252e/s",     "/p/x%2f..",   "/p//../s",     "/p/..;",        "/p/%2e",
    };
    several any = { .n = 0 }, one = { .n = 0 };
    entry(&any, "h", NULL, NULL);
    entry(&one, "h", "/p/*", NULL);
    for (size_t i = 0; i < OTR_COUNT(bad); i++) {
        CHECK_INT(decider(&any, "GET", "h", bad[i]), -1);
        CHECK_HAS(any.answer.why, "climbs");
        CHECK_INT(decider(&one, "GET", "h", bad[i]), -1);
    }
    CHECK_INT(decider(&one, "GET", "h", "/p/a;v=1/...;x/..b/c..;"), 0);
    CHECK_INT(decider(&any, "GET", "h", "/100%/x//y\\z"), 0); /* nobody looks at its path */
}

T(a_path_that_is_read_in_two_ways_needs_one_entry_for_both)
{
    several s = { .n = 0 };
    entry(&s, "h", "/*", NULL);
    entry(&s, "h", "/admin*", "GET");
    static const char *const around[] = { "//admin/x",   "/%61dmin/x", "/%2561dmin/x", "/;/admin",
                                          "/;a/admin",   "/\\admin",   "/%2fadmin",    "/%5Cadmin",
                                          "/%252fadmin", "//;x//admin" };
    for (size_t i = 0; i < OTR_COUNT(around); i++) {
        CHECK_INT(decider(&s, "DELETE", "h", around[i]), -1);
        CHECK_HAS(s.answer.why, "more than one way");
        CHECK_INT(decider(&s, "GET", "h", around[i]), -1);
    }
    CHECK_INT(decider(&s, "DELETE", "h", "/public//x;y/z%2fa"), 0);
    CHECK_INT(decider(&s, "GET", "h", "/admin;x/y%20z"), 1);
    several b = { .n = 0 };
    entry(&b, "h", "/a%20b/*", NULL);
    CHECK_INT(decider(&b, "GET", "h", "/a%20b/c"), 0);
}

T(a_path_that_nobody_reads_for_sure_is_refused)
{
    static const char *const bad[] = { "/p/100%",     "/p/%u002e%u002e/s", "/p/%c0%ae%c0%ae/s",
                                       "/p/a%00.png", "/p/a%250a",         "/p/%2525252525252561",
                                       "/p/%2g" };
    several s = { .n = 0 };
    entry(&s, "h", "/p/*", NULL);
    for (size_t i = 0; i < OTR_COUNT(bad); i++) {
        CHECK_INT(decider(&s, "GET", "h", bad[i]), -1);
        CHECK(s.answer.why[0] != '\0');
    }
    CHECK_INT(decider(&s, "GET", "h", "/p/%25252561"), 0); /* four rounds */
    CHECK_INT(decider(&s, "GET", "h", "/p/%C3%A9"), 0);
}

static bool v4(const char *text)
{
    struct sockaddr_in a = { .sin_family = AF_INET };
    CHECK_INT(inet_pton(AF_INET, text, &a.sin_addr), 1);
    return otr_address_public((const struct sockaddr *)&a);
}

static bool v6(const char *text)
{
    struct sockaddr_in6 a = { .sin6_family = AF_INET6 };
    CHECK_INT(inet_pton(AF_INET6, text, &a.sin6_addr), 1);
    return otr_address_public((const struct sockaddr *)&a);
}

T(addresses_of_this_host_and_network_are_not_public)
{
    static const char *const closed4[] = { "0.0.0.0",        "10.1.2.3",    "100.64.0.1",
                                           "127.0.0.1",      "127.9.9.9",   "169.254.169.254",
                                           "172.31.0.1",     "192.168.1.1", "192.0.0.8",
                                           "198.18.0.1",     "224.0.0.1",   "240.0.0.1",
                                           "255.255.255.255" };
    static const char *const closed6[] = {
        "::",      "::1",           "::ffff:10.0.0.1", "::127.0.0.1",        "fe80::1",
        "fec0::1", "fd00:ec2::254", "ff02::1",         "64:ff9b::127.0.0.1", "2002:7f00:1::"
    };
    struct sockaddr other = { .sa_family = AF_UNIX };
    CHECK(!otr_address_public(&other));
    for (size_t i = 0; i < OTR_COUNT(closed4); i++) {
        CHECK(!v4(closed4[i]));
    }
    for (size_t i = 0; i < OTR_COUNT(closed6); i++) {
        CHECK(!v6(closed6[i]));
    }
    CHECK(v4("1.1.1.1") && v4("172.32.0.1") && v4("100.128.0.1"));
    CHECK(v6("2606:4700::1") && v6("::ffff:8.8.8.8"));
}
