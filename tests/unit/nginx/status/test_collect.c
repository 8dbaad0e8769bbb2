#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "nginx/status/collect.h"
#include "nginx/status/urls.h"
#include "unit/nginx/tree.h"

typedef struct result {
    otr_status_collect *collect;
    char **urls;
    size_t n;
} result;

static void result_deinit(result *r)
{
    for (size_t i = 0; i < r->n; i++) {
        otr_free(r->urls[i]);
    }
    otr_free(r->urls);
    otr_status_collect_free(r->collect);
}

static otr_code enter(void *arg, const otr_directive *d, otr_err *err)
{
    return otr_status_collect_enter(arg, d, err);
}

static void leave(void *arg)
{
    otr_status_collect_leave(arg);
}

static bool collect(const char *root, const char *text, result *r)
{
    otr_err err = { 0 };
    otr_root at = { .path = root };
    otr_code rc = otr_status_collect_new(&at, &r->collect, &err);
    if (rc == OTR_OK) {
        otr_visitor v = { .enter = enter, .leave = leave, .arg = r->collect };
        rc = otr_nginx_walk_text(otr_bytes_of(text), "t", &v, &err);
    }
    rc = rc == OTR_OK ? otr_status_collect_urls(r->collect, &r->urls, &r->n, &err) : rc;
    if (rc != OTR_OK) {
        CHECK_STR(err.msg, "");
    }
    return rc == OTR_OK;
}

/* `servers` is what stands in http. */
static void check_below(const char *root, const char *servers, const char *expected)
{
    char text[4096], joined[2048] = "";
    snprintf(text, sizeof(text), "http { %s }", servers);
    OTR_CLEANUP(result_deinit) result r = { 0 };
    REQUIRE(collect(root, text, &r));
    for (size_t i = 0; i < r.n; i++) {
        size_t n = strlen(joined);
        snprintf(joined + n, sizeof(joined) - n, "%s%s", i > 0 ? " " : "", r.urls[i]);
    }
    CHECK_STR(joined, expected);
}

static void check(const char *servers, const char *expected)
{
    check_below("", servers, expected);
}

#define S "location = /s { stub_status; access_log off; }"

T(nothing_to_ask_gives_no_urls)
{
    check("server { listen 80; }", "");
    check("server { listen 443 quic; " S " }", "");
    check("server { listen nowhere.invalid:80; " S " }", "");
    check("server { listen 80; location @alone { stub_status; } }", "");
    check("server { listen 80; location ~ ^/(?=x) { stub_status; } }", "");
    check("server { listen 0; listen 70000; listen [::1; listen 5-3; " S " }", "");
    check("} stream { server { listen 80; stub_status; }", "");
}

/* Where a server answers to its own name only. */
T(name_is_one_that_leads_to_this_server)
{
    static const char *const rows[][2] = {
        { "server_name nginx_status;", "#host=nginx_status" },
        { "server_name *.Status.example;", "#host=a.status.example" },
        { "server_name .status.example;", "#host=status.example" },
        { "server_name www.example.*;", "#host=www.example.a" },
        { "server_name ~^status\\.;", "#host=status.a" },
        { "server_name ~^(?<who>a|b)\\.x$;", "#host=a.x" },
        { "server_name \"\";", "#host=" },
        { "", "#host=" },
        { "server_name d.example b.example;", "#host=b.example" }, /* the default has the first */
        { "server_name ~(?=x) c.example;", "#host=c.example" },
    };
    for (size_t i = 0; i < OTR_COUNT(rows); i++) {
        char servers[512], url[256];
        snprintf(servers, sizeof(servers),
                 "server { listen 81 default_server; server_name d.example; }"
                 "server { listen 81; %s " S " }",
                 rows[i][0]);
        snprintf(url, sizeof(url), "http://127.0.0.1:81/s%s", rows[i][1]);
        check(servers, url);
    }
}

T(hostname_is_what_this_host_is_called)
{
    char own[256] = "", url[512];
    REQUIRE(gethostname(own, sizeof(own) - 1) == 0);
    snprintf(url, sizeof(url), "http://127.0.0.1:81/s#host=%s", own);
    check("server { listen 81; server_name x; } server { listen 81; server_name $hostname; " S " }",
          url);
    OTR_CLEANUP(tree_deinit) tree dir;
    REQUIRE(tree_init(&dir));
    REQUIRE(tree_write(&dir, "etc/hostname", "boxed\n"));
    check_below(dir.dir,
                "server { listen 81; server_name x; }"
                "server { listen 81; server_name $hostname; " S " }",
                "http://127.0.0.1:81/s#host=boxed");
}

T(wildcards_and_expressions_avoid_what_others_have)
{
    check("server { listen 81; server_name d; } server { listen 81; server_name a.x status.x; }"
          "server { listen 81; server_name *.x; " S " }",
          "http://127.0.0.1:81/s#host=nginx-status.x");
    check("server { listen 81; server_name d; } server { listen 81; server_name a; }"
          "server { listen 81; server_name ~^(a|b)$; " S " }",
          "http://127.0.0.1:81/s#host=b");
    /* Nobody can be sent there: what comes back is told. */
    check("server { listen 81; server_name d; } server { listen 81; server_name d; " S " }",
          "http://127.0.0.1:81/s");
}

T(default_server_is_asked_by_its_address_first_and_by_its_name_then)
{
    check("server { listen 81; server_name st.example; " S " }",
          "http://127.0.0.1:81/s http://127.0.0.1:81/s#host=st.example");
    check("server { listen 81; server_name st.example; if ($host != st.example) { return 403; } " S
          " }",
          "http://127.0.0.1:81/s#host=st.example http://127.0.0.1:81/s");
}

T(addresses_that_another_server_has_more_exactly_are_avoided)
{
    check("server { listen 127.0.0.1:81; server_name in; } server { listen 81; " S " }",
          "http://127.0.0.2:81/s");
    check("server { listen 127.0.0.1:81; server_name a; } server { listen 127.0.0.2:81; }"
          "server { listen 127.0.0.1:82; } server { listen *:81; " S " }",
          "http://127.0.0.3:81/s");
    check("server { listen [::1]:81; } server { listen [::]:81; " S " }", "");
}

T(addresses_of_every_kind)
{
    check("server { listen 8101-8103; " S " }",
          "http://127.0.0.1:8101/s http://127.0.0.1:8102/s http://127.0.0.1:8103/s");
    check("server { listen [::]:81 ipv6only=off; " S " }",
          "http://[::1]:81/s http://127.0.0.1:81/s");
    check("server { listen [::1]:81; " S " }", "http://[::1]:81/s");
    check("server { listen 127.0.0.1; " S " }", "http://127.0.0.1:80/s");
    check("server { " S " }", "http://127.0.0.1:80/s http://127.0.0.1:8000/s");
    check("server { listen unix:/run/s proxy_protocol; " S " }", "unix:/run/s:/s#proxy_protocol");
    check("server { listen unix:/run/s ssl; " S " }", "unix:/run/s:/s#tls");
    check("server { listen 81 http2; " S " }", "http://127.0.0.1:81/s http://127.0.0.1:81/s#http2");
    check("server { listen 81 ssl http2; " S " }", "https://127.0.0.1:81/s");
    check("server { listen 81 ssl; server_name d; } server { listen 81; server_name n; " S " }",
          "https://127.0.0.1:81/s#host=n");
}

T(names_in_listen_are_those_of_its_hosts_file)
{
    OTR_CLEANUP(tree_deinit) tree dir;
    REQUIRE(tree_init(&dir));
    REQUIRE(tree_write(&dir, "etc/hosts",
                       "# 9.9.9.9 inner\n127.0.0.3\touter Inner # x\n::1 inner\n junk inner\n"));
    check_below(dir.dir, "server { listen inner:81; " S " }",
                "http://127.0.0.3:81/s http://[::1]:81/s");
    check_below(dir.dir, "server { listen localhost:81; " S " }",
                "http://127.0.0.1:81/s http://[::1]:81/s");
    check_below(dir.dir, "server { listen other:81; " S " }", "");
}

/* `locations` of one server. */
static void check_uri(const char *locations, const char *uri)
{
    char servers[1024], url[256] = "";
    snprintf(servers, sizeof(servers), "server { listen 81; %s }", locations);
    if (uri[0] != '\0') {
        snprintf(url, sizeof(url), "http://127.0.0.1:81%s", uri);
    }
    check(servers, url);
}

T(uri_is_one_that_leads_to_this_location)
{
    static const char *const rows[][2] = {
        { "location ~ ^/nginx_status$ { stub_status; }", "/nginx_status" },
        { "location ~ ^/(one|two)$ { stub_status; }", "/one" },
        { "location = /one { } location ~ ^/(one|two)$ { stub_status; }", "/two" },
        { "location ~* /Status { stub_status; }", "/status" },
        { "location ~* \"status\" { stub_status; }", "/status" },
        { "location ^~ /s { stub_status; } location ~ ^/s { }", "/s" },
        { "location =/s { stub_status; }", "/s" },
        { "location ~ ^/(status|ping)$ { } location /status { stub_status; }", "/status/" },
        { "location = /s { } location /s { stub_status; }", "/s/" },
        { "location /a/ { location /a/b/ { location = /a/b/s { stub_status; } } }", "/a/b/s" },
        { "location ~ ^/a/ { location ~ /s$ { stub_status; } }", "" },
        { "location = /s { try_files /none @st; } location @st { stub_status; }", "/s" },
        { "location ~ ^/s$ { error_page 404 = @st; } location @st { stub_status; }", "/s" },
        { "error_page 404 = @st; location / { } location = /x { } location @st { stub_status; }",
          "" },
        { "location / { try_files $uri /s; } location = /s { internal; stub_status; }", "/" },
        { "location = /x { error_page 404 /s; } location = /s { internal; stub_status; }", "/x" },
        { "location / { try_files $uri /s$args; } location = /s { internal; stub_status; }", "/s" },
        { "location = /x { error_page 404 s; } location = /s { internal; stub_status; }", "/s" },
        { "location = /s { internal; stub_status; }", "/s" },
        { "stub_status;", "/" },
        { "location \"/my status\" { stub_status; }", "/my%20status" },
        { "location = /st\xc3\xa4tus { stub_status; }", "/st%C3%A4tus" },
        { "location = \"/a%20b#c?d\" { stub_status; }", "/a%2520b%23c%3Fd" },
        /* The answer of the other one tells why. */
        { "location = /s { } location = /t { } location ^~ /s { location = /s { stub_status; } }",
          "/s" },
    };
    for (size_t i = 0; i < OTR_COUNT(rows); i++) {
        check_uri(rows[i][0], rows[i][1]);
    }
}

/* What is not understood may take the request: the same URL, behind those that are sure. */
T(what_cannot_be_told_is_asked_last)
{
    check("server { listen 81; location ~ ^/(?!x) { } location /a { stub_status; }"
          "location ^~ /b { stub_status; } }",
          "http://127.0.0.1:81/b http://127.0.0.1:81/a");
}

T(uri_that_is_too_long_is_not_asked)
{
    char servers[2 * OTR_URI_BYTES], name[OTR_URI_BYTES + 1], url[2 * OTR_URI_BYTES] = "";
    for (size_t n = OTR_URI_BYTES - 1; n <= OTR_URI_BYTES; n++) {
        memset(name, 'a', n);
        name[0] = '/';
        name[n] = '\0';
        snprintf(servers, sizeof(servers), "server { listen 81; location = %s { stub_status; } }",
                 name);
        if (n < OTR_URI_BYTES) {
            snprintf(url, sizeof(url), "http://127.0.0.1:81%s", name);
        }
        check(servers, n < OTR_URI_BYTES ? url : "");
    }
}
