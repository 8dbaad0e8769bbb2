#include "nginx/instance/config.h"
#include "unit/nginx/tree.h"

static const otr_root host_root = { .path = "" };

static void config_freep(otr_nginx_config **slot)
{
    otr_nginx_config_free(*slot);
}

static otr_nginx_config *read_text(const char *text)
{
    otr_nginx_config_spec spec = { .root = &host_root,
                                   .config = "nginx.conf",
                                   .prefix = "/usr/share/nginx",
                                   .error_log = "/var/log/nginx/error.log",
                                   .access_log = "logs/access.log" };
    otr_nginx_config *config = NULL;
    otr_err err;
    CHECK(otr_nginx_config_text(&spec, otr_bytes_of(text), &config, &err) == OTR_OK);
    return config;
}

#define CONFIG(name, text)                                              \
    OTR_CLEANUP(config_freep) otr_nginx_config *name = read_text(text); \
    REQUIRE((name) != NULL)

static void check_urls(const char *text, const char *expected)
{
    CONFIG(c, text);
    CHECK_STR(c->error, "");
    char joined[1024] = "";
    for (size_t i = 0; i < c->n_status_urls; i++) {
        size_t n = strlen(joined);
        snprintf(joined + n, sizeof(joined) - n, "%s%s", i > 0 ? " " : "", c->status_urls[i]);
    }
    CHECK_STR(joined, expected);
}

T(broken_configuration_keeps_what_came_before_the_error)
{
    CONFIG(c, "error_log /e.log;\nhttp {\n access_log /a.log;\n server {\n listen 80;\n");
    CHECK_STR(c->error, "nginx.conf:6: unexpected end of file, expecting \"}\"");
    CHECK_STR(c->error_log, "/e.log");
    REQUIRE(c->n_access_logs == 1);
    CHECK_STR(c->access_logs[0].path, "/a.log");
}

T(missing_file_is_reported_as_the_error)
{
    otr_nginx_config_spec spec = { .root = &host_root,
                                   .config = "/nonexistent/nginx.conf",
                                   .prefix = "/" };
    OTR_CLEANUP(config_freep) otr_nginx_config *c = NULL;
    otr_err err;
    REQUIRE_OK(otr_nginx_config_read(&spec, &c, &err), err);
    CHECK_STR(c->error, "cannot open /nonexistent/nginx.conf: No such file or directory");
}

T(logs_that_are_no_files_are_skipped)
{
    CONFIG(c, "error_log stderr; error_log syslog:server=x; error_log memory:32m;"
              "http { access_log off; access_log syslog:server=127.0.0.1; access_log /dev/stdout;"
              "access_log /var/$host.log; access_log /a.gz combined gzip=9; }");
    CHECK_STR(c->error_log, "");
    CHECK_INT(c->n_access_logs, 0);
}

T(first_error_log_wins_and_is_relative_to_the_prefix)
{
    CONFIG(c, "error_log logs/e.log warn; http { error_log /other.log; }");
    CHECK_STR(c->error_log, "/usr/share/nginx/logs/e.log");
    CONFIG(none, "events {}");
    CHECK_STR(none->error_log, "/var/log/nginx/error.log");
}

T(access_logs_carry_the_text_of_their_format)
{
    CONFIG(c, "http { server { access_log logs/a.log late; access_log /b.log; }"
              "log_format late '$status ' \"$request\"; log_format j escape=json '{$status}';"
              "server { location / { if ($x) { access_log /c.log j buffer=32k; } }"
              "access_log /b.log late; } }");
    REQUIRE(c->n_access_logs == 3);
    CHECK_STR(c->access_logs[0].path, "/usr/share/nginx/logs/a.log");
    CHECK_STR(c->access_logs[0].format, "$status $request");
    CHECK_STR(c->access_logs[1].path, "/b.log");
    CHECK_STR(c->access_logs[1].format, "$status $request"); /* the one that counts */
    REQUIRE(c->access_logs[1].n_formats == 2);
    CHECK(c->access_logs[1].formats[1].text == NULL && c->access_logs[1].formats[1].spare);
    CHECK_STR(c->access_logs[2].format, "escape=json {$status}");
}

T(compiled_in_access_log_is_used_where_none_is_named)
{
    CONFIG(c, "http { server { access_log /a.log; } server { listen 81; } }");
    REQUIRE(c->n_access_logs == 2);
    CHECK_STR(c->access_logs[1].path, "/usr/share/nginx/logs/access.log");
    CONFIG(covered, "http { access_log off; server { } }");
    CHECK_INT(covered->n_access_logs, 0);
    CONFIG(stream, "stream { server { access_log /s.log; } }");
    CHECK_INT(stream->n_access_logs, 0);
}

T(status_urls_come_best_first)
{
    check_urls("http { server { listen 80; listen unix:/run/s.sock; listen [::]:8080; "
               "location = /s { stub_status; access_log off; } } }",
               "unix:/run/s.sock:/s http://127.0.0.1:80/s http://[::1]:8080/s");
    check_urls("http { server { listen 192.0.2.1:81; listen 443 ssl; listen 82 proxy_protocol; "
               "location /s { stub_status on; } } }",
               "http://127.0.0.1:82/s#proxy_protocol http://192.0.2.1:81/s "
               "https://127.0.0.1:443/s");
    check_urls("http { server { listen 80; location /a { stub_status; allow 127.0.0.1; deny all; }"
               "location /b { stub_status; } location = /c { stub_status; } } }",
               "http://127.0.0.1:80/c http://127.0.0.1:80/b http://127.0.0.1:80/a");
}

T(status_url_of_a_server_without_listen_is_port_80)
{
    check_urls("http { server { location = /s { stub_status; } } }",
               "http://127.0.0.1:80/s http://127.0.0.1:8000/s");
    check_urls("http { server { listen 127.0.0.1; stub_status; } }", "http://127.0.0.1:80/");
    check_urls("http { server { listen localhost:81; location /s { stub_status; } } }",
               "http://127.0.0.1:81/s");
}

T(server_that_is_not_the_default_needs_its_name)
{
    check_urls("http { server { listen 80; } server { listen *:80; server_name *.x ~y s.test; "
               "location = /s { stub_status; } } }",
               "http://127.0.0.1:80/s#host=s.test");
    check_urls("http { server { listen 80; } server { listen 80 default_server; server_name s; "
               "location = /s { stub_status; } } }",
               "http://127.0.0.1:80/s http://127.0.0.1:80/s#host=s");
}

T(locations_that_no_client_can_name_are_left_out)
{
    check_urls("http { server { listen 80; location @s { stub_status; } } }", "");
    check_urls("http { server { listen example.test:80; listen 443 quic; "
               "location = /s { stub_status; } } }",
               "");
    check_urls("stream { server { listen 80; stub_status; } }", "");
    check_urls("http { server { listen 80; location /a { location /a/s { stub_status; } } } }",
               "http://127.0.0.1:80/a/s");
}

T(foreign_root_holds_every_path)
{
    OTR_CLEANUP(tree_deinit) tree dir;
    REQUIRE(tree_init(&dir));
    REQUIRE(tree_write(&dir, "etc/nginx/nginx.conf",
                       "http { include /etc/nginx/conf.d/*.conf; include link.conf; }"));
    REQUIRE(tree_write(&dir, "etc/nginx/conf.d/a.conf",
                       "server { listen unix:/run/s; location = /s { stub_status; } }"));
    REQUIRE(tree_write(&dir, "data/real.conf", "access_log /var/a.log;"));
    /* An absolute link: must not lead to our own /data. */
    REQUIRE(symlink("/data/real.conf", tree_path(&dir, "etc/nginx/link.conf")) == 0);
    char url[256];
    snprintf(url, sizeof(url), "unix:%s/run/s:/s", dir.dir);
    otr_root root = { .path = dir.dir };
    otr_nginx_config_spec spec = { .root = &root,
                                   .config = "/etc/nginx/nginx.conf",
                                   .prefix = "/" };
    OTR_CLEANUP(config_freep) otr_nginx_config *c = NULL;
    otr_err err;
    REQUIRE_OK(otr_nginx_config_read(&spec, &c, &err), err);
    CHECK_STR(c->error, "");
    REQUIRE(c->n_access_logs == 1 && c->n_status_urls == 1);
    CHECK_STR(c->access_logs[0].path, "/var/a.log");
    CHECK_STR(c->status_urls[0], url);
    CHECK_INT(c->stats.files, 3);
}
