#include <stdio.h>

#include "nginx/log/errors.h"
#include "nginx/log/format.h"
#include "support/test.h"

#define HEAD  "2026/11/23 20:00:00 [error] 17#18: *3 "
#define ALERT "2026/11/23 20:00:00 [alert] 17#17: "

/* The cause of a message; "": none is known. NULL: it is no line of NGINX's. */
static const char *cause_of(const char *line)
{
    otr_log_errors errors = { 0 };
    if (!otr_log_errors_read(&errors, otr_bytes_of(line))) {
        return NULL;
    }
    const char *found = "";
    for (size_t i = 0; i < OTR_ERROR_CAUSES; i++) {
        if (errors.causes[i] > 0) {
            CHECK_STR(found, ""); /* one at most */
            found = otr_error_cause_name(i);
        }
    }
    return found;
}

T(causes_are_told_by_what_messages_begin_with)
{
    static const struct {
        const char *line, *cause;
    } rows[] = {
        { HEAD "upstream timed out (110: Connection timed out) while reading response header from "
               "upstream, client: 1.2.3.4",
          "upstream_timed_out" },
        { HEAD "no live upstreams while connecting to upstream, client: 1.2.3.4",
          "upstream_none_live" },
        { HEAD "connect() failed (111: Connection refused) while connecting to upstream",
          "upstream_not_connected" },
        { HEAD "connect() to unix:/a.sock failed (2: No such file or directory) while connecting "
               "to upstream",
          "upstream_not_connected" },
        { HEAD "upstream prematurely closed connection while reading response header",
          "upstream_closed" },
        { HEAD "recv() failed (104: Connection reset by peer) while reading response header from "
               "upstream",
          "upstream_closed" },
        { HEAD "upstream sent too big header while reading response header", "upstream_invalid" },
        { HEAD "upstream SSL certificate verify error: (18:self-signed certificate)",
          "upstream_certificate" },
        { HEAD "a.example could not be resolved (3: Host not found)", "name_not_resolved" },
        { HEAD "SSL_do_handshake() failed (SSL: error:0A000126:SSL routines)", "tls_handshake" },
        { ALERT "1024 worker_connections are not enough", "worker_connections" },
        { HEAD "1024 worker_connections are not enough while connecting to upstream",
          "worker_connections" },
        { ALERT "accept4() failed (24: Too many open files)", "open_files" },
        { ALERT "worker process 18 exited on signal 11", "worker_died" },
        { HEAD "pwritev() \"/tmp/1\" failed (28: No space left on device)", "disk_full" },
        { HEAD "limiting requests, excess: 0.9 by zone \"one\"", "requests_limited" },
        { HEAD "client intended to send too large body: 9 bytes", "body_too_large" },
        { HEAD "open() \"/html/x\" failed (2: No such file or directory)", "file_not_opened" },
        { HEAD "access forbidden by rule, client: 1.2.3.4", "access_denied" },
        { HEAD "something else", "" },
        { ALERT "", "" },
    };
    for (size_t i = 0; i < OTR_COUNT(rows); i++) {
        const char *cause = cause_of(rows[i].line);
        CHECK_STR(cause != NULL ? cause : "no line", rows[i].cause);
    }
}

T(client_cannot_name_a_cause_behind_the_begin_of_a_message)
{
    CHECK_STR(cause_of(HEAD "open() \"/html/upstream timed out (110:\" failed (2: No such file)"),
              "file_not_opened");
    CHECK_STR(cause_of(HEAD "x upstream timed out (110: Connection timed out)"), "");
    CHECK_STR(cause_of(HEAD "connect() to a"), "");
    CHECK_STR(cause_of(ALERT "worker process 18 exited with code 0, exited  on signal 9"), "");
}

T(line_that_nginx_did_not_begin_is_none)
{
    CHECK(cause_of("") == NULL);
    CHECK(cause_of("upstream timed out (110: Connection timed out)") == NULL);
    CHECK(cause_of("2026/11/23 20:00:00 [fatal] 17#17: x") == NULL);
    CHECK(cause_of("2026/11/23 20:00:00 [error] 17: x") == NULL);
    CHECK(cause_of("2026/11/23 20:00:00 [error] 12345678901#1: x") == NULL);
    CHECK(cause_of("PHP message: 2026/11/23 20:00:00 [error] 17#17: x") == NULL);
}

T(complete_lines_are_counted_by_level)
{
    otr_log_formats *f = NULL;
    otr_err err;
    REQUIRE_OK(otr_log_formats_new_errors(&f, &err), err);
    static const char lines[] = HEAD "x\n" ALERT "y\nnone\n" HEAD "z\n" HEAD "not complete";
    otr_log_errors errors = { 0 };
    otr_log_counts c = { .errors = &errors };
    size_t done = otr_log_formats_scan(f, otr_bytes_of(lines), &c);
    CHECK_STR(lines + done, HEAD "not complete");
    CHECK_INT((int)c.lines, 4);
    CHECK_INT((int)c.unparsed, 1);
    CHECK_INT((int)errors.levels[OTR_LEVEL_ERROR], 2);
    CHECK_INT((int)errors.levels[OTR_LEVEL_ALERT], 1);
    otr_log_formats_unref(f);
}

T(line_longer_than_any_of_nginx_is_none)
{
    otr_log_formats *f = NULL;
    otr_log_line *line = NULL;
    otr_err err;
    REQUIRE_OK(otr_log_formats_new_errors(&f, &err), err);
    otr_log_errors errors = { 0 };
    otr_log_counts c = { .errors = &errors };
    otr_code rc = otr_log_line_new(f, &line, &err);
    if (rc == OTR_OK) {
        otr_log_line_feed(line, otr_bytes_of(HEAD "x"));
        otr_log_line_end(line, &c);
        otr_log_line_free(line);
        CHECK_INT((int)c.lines, 1);
        CHECK_INT((int)c.unparsed, 1);
    }
    otr_log_formats_unref(f);
    REQUIRE_OK(rc, err);
}
