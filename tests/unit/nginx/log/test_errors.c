#include <stdio.h>

#include "nginx/log/errors.h"
#include "support/test.h"

#define AT   "2026/12/01 02:33:49 "
#define ENDS ", client: 1.2.3.4, server: x, request: \"GET / HTTP/1.1\", host: \"x\""

static void refuse(const char *line)
{
    otr_error_line e = { .level = OTR_ERROR_DEBUG, .cause = OTR_CAUSE_FILE };
    CHECK(!otr_error_line_read(otr_bytes_of(line), &e));
    CHECK_INT(e.level, OTR_ERROR_DEBUG);
    CHECK_INT(e.cause, OTR_CAUSE_FILE);
}

static void take(const char *line, const char *level, const char *cause)
{
    otr_error_line e;
    REQUIRE(otr_error_line_read(otr_bytes_of(line), &e));
    CHECK_STR(otr_error_level_name(e.level), level);
    CHECK_STR(otr_error_cause_name(e.cause), cause);
}

T(what_nginx_does_not_begin_so_is_no_line_of_it)
{
    refuse("");
    refuse("upstream timed out");
    refuse("2026/12/01 02:33:49");
    refuse(AT);
    refuse(AT "[");
    refuse(AT "[error");
    refuse(AT "[error]");
    refuse(AT "[errors] 1#1: x");
    refuse(AT "[error] 1: x");
    refuse(AT "[error] 1#: x");
    refuse(AT "[error] #1: x");
    refuse("26/12/01 02:33:49 [error] 1#1: x");
    refuse(" " AT "[error] 1#1: x");
}

T(every_level_is_read)
{
    static const char *const levels[] = { "emerg", "alert",  "crit", "error",
                                          "warn",  "notice", "info", "debug" };
    for (size_t i = 0; i < OTR_COUNT(levels); i++) {
        char line[128];
        (void)snprintf(line, sizeof(line), AT "[%s] 7#8: ", levels[i]);
        take(line, levels[i], "other");
    }
}

T(a_known_cause_is_told)
{
    static const struct {
        const char *message, *level, *cause;
    } cases[] = {
        { "upstream timed out (110: Connection timed out) while connecting to upstream", "error",
          "upstream_timed_out" },
        { "upstream prematurely closed connection while reading response header from upstream",
          "error", "upstream_closed" },
        { "no live upstreams while connecting to upstream", "error", "no_live_upstreams" },
        { "connect() failed (111: Connection refused) while connecting to upstream", "error",
          "upstream_refused" },
        { "connect() to unix:/run/a failed (111: Connection refused) while connecting to upstream",
          "error", "upstream_refused" },
        { "recv() failed (104: Connection reset by peer) while reading response header from "
          "upstream",
          "error", "upstream_reset" },
        { "recv() failed (104: Connection reset by peer) while waiting for request", "info",
          "other" },
        { "upstream sent too big header while reading response header from upstream", "error",
          "upstream_header" },
        { "upstream SSL certificate verify error: (18:self signed) while SSL handshaking", "error",
          "upstream_ssl" },
        { "SSL_do_handshake() failed (SSL: error:1) while SSL handshaking to upstream", "error",
          "upstream_ssl" },
        { "SSL_do_handshake() failed (SSL: error:1) while SSL handshaking", "info",
          "ssl_handshake" },
        { "512 worker_connections are not enough", "alert", "worker_connections" },
        { "accept4() failed (24: Too many open files)", "crit", "open_files" },
        { "open() \"/srv/a\" failed (24: Too many open files)", "crit", "open_files" },
        { "pwrite() \"/srv/a\" failed (28: No space left on device)", "crit", "disk_full" },
        { "ngx_slab_alloc() failed: no memory in cache keys zone \"c\"", "crit", "shared_memory" },
        { "worker process 12 exited on signal 11", "alert", "worker_died" },
        { "client intended to send too large body: 9 bytes", "error", "body_too_large" },
        { "client intended to send too large chunked body: 9+9 bytes", "error", "body_too_large" },
        { "a client request body is buffered to a temporary file /var/a", "warn",
          "buffered_to_disk" },
        { "limiting requests, excess: 0.1 by zone \"z\"", "error", "limited" },
        { "limiting connections by zone \"z\"", "error", "limited" },
        { "access forbidden by rule", "error", "forbidden" },
        { "directory index of \"/srv/\" is forbidden", "error", "forbidden" },
        { "user \"a\": password mismatch", "error", "not_authorized" },
        { "open() \"/srv/a\" failed (2: No such file or directory)", "error", "file" },
        { "rewrite or internal redirection cycle while processing \"/a\"", "error",
          "redirect_cycle" },
    };
    for (size_t i = 0; i < OTR_COUNT(cases); i++) {
        char line[512];
        (void)snprintf(line, sizeof(line), AT "[%s] 7#8: *9 %s" ENDS, cases[i].level,
                       cases[i].message);
        take(line, cases[i].level, cases[i].cause);
        (void)snprintf(line, sizeof(line), AT "[%s] 7#8: %s", cases[i].level, cases[i].message);
        take(line, cases[i].level, cases[i].cause);
    }
}

/* Paths and names are a client's: none of them chooses a cause. */
T(words_of_a_client_are_no_cause)
{
    take(AT "[error] 7#8: *9 open() \"/srv/no live upstreams\" failed (2: x)" ENDS, "error",
         "file");
    take(AT "[error] 7#8: *9 open() \"/srv/x\" failed (24: Too many open files)\" failed (2: x)",
         "error", "file");
    take(AT "[error] 7#8: *9 open() \"/srv/1 worker_connections are not enough\" failed (2: x)",
         "error", "file");
    take(AT "[error] 7#8: *9 connect() failed (113: No route to host), client: 1.2.3.4, request: "
            "\"GET /failed (111: HTTP/1.1\"",
         "error", "other");
    take(AT "[info] 7#8: *9 SSL_do_handshake() failed (SSL: x), client: 1.2.3.4, request: \"to "
            "upstream\"",
         "info", "ssl_handshake");
}
