#include <arpa/inet.h>
#include <netinet/in.h>

#include "plugin/manifest/http_grant.h"
#include "support/test.h"

static bool granted(const otr_http_grant *g, otr_http_target target)
{
    otr_http_grants all = { (otr_http_grant *)(uintptr_t)g, 1 };
    return otr_http_granted(&all, &target);
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

T(only_a_name_without_star_names_a_host)
{
    char *hosts[] = { "*.h", "*", "localhost", NULL };
    otr_http_grant g = { .hosts = hosts, .https = true };
    otr_http_grants all = { &g, 1 };
    CHECK(!otr_http_names_host(&all, "a.h"));
    CHECK(otr_http_names_host(&all, "LOCALHOST"));
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
