#include <stdio.h>

#include "nginx/log/format.h"
#include "support/test.h"

static void format_freep(otr_log_format **slot)
{
    otr_log_format_free(*slot);
}

/* "lines/1xx,2xx,3xx,4xx,5xx/unparsed" of `text` under `format`. */
static void check_n(const char *format, otr_bytes text, const char *expected)
{
    OTR_CLEANUP(format_freep) otr_log_format *f = NULL;
    otr_err err;
    REQUIRE_OK(otr_log_format_new(format, &f, &err), err);
    otr_log_counts c = { 0 };
    CHECK_INT(otr_log_format_scan(f, text, &c), text.n);
    char got[128];
    snprintf(got, sizeof(got), "%d/%d,%d,%d,%d,%d/%d", (int)c.lines, (int)c.responses[0],
             (int)c.responses[1], (int)c.responses[2], (int)c.responses[3], (int)c.responses[4],
             (int)c.unparsed);
    CHECK_STR(got, expected);
}

static void check(const char *format, const char *text, const char *expected)
{
    check_n(format, otr_bytes_of(text), expected);
}

static void refused(const char *format)
{
    OTR_CLEANUP(format_freep) otr_log_format *f = NULL;
    otr_err err;
    CHECK_INT(otr_log_format_new(format, &f, &err), OTR_EUNSUP);
    CHECK_HAS(err.msg, "no $status");
}

T(format_without_a_status_is_refused)
{
    refused("$remote_addr $request");
    refused("");
    refused("$statuses $upstream_status");
    refused("escape=json");
    refused("$request_time$status");
}

T(lines_that_do_not_fit_are_counted_as_unparsed)
{
    check(NULL, "\n", "1/0,0,0,0,0/1");
    check(NULL, "garbage\n\"\n\"\"\n\"x\" \n", "4/0,0,0,0,0/4");
    check(NULL, "1.2.3.4 - - [t] \"GET /\" 20\n", "1/0,0,0,0,0/1");
    check(NULL, "1.2.3.4 - - [t] \"GET /\" 200\n", "1/0,0,0,0,0/1"); /* cut off */
    check(NULL, "1.2.3.4 - - [t] \"GET /\" 2x0 5\n", "1/0,0,0,0,0/1");
    check_n(NULL, (otr_bytes){ (const uint8_t *)"\0\xff\0\n\0\n", 6 }, "2/0,0,0,0,0/2");
}

T(status_outside_the_classes_is_a_line_and_no_response)
{
    check(NULL, "a - - [t] \"\" 000 0 \"-\" \"-\"\na - - [t] \"\" 600 0 \"-\" \"-\"\n",
          "2/0,0,0,0,0/0");
}

T(combined_lines_are_counted_by_class)
{
    check(NULL,
          "127.0.0.1 - - [23/Nov/2026:20:00:00 +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"curl\"\n"
          "::1 - bob [23/Nov/2026:20:00:00 +0000] \"GET /a\\x22 404 HTTP/1.1\" 301 5 \"-\" \"x\"\n"
          "unix: - - [23/Nov/2026:20:00:00 +0000] \"\" 400 0 \"-\" \"-\"\n"
          "1.1.1.1 - - [23/Nov/2026:20:00:00 +0000] \"G\" 502 0 \"-\" \"-\"\n"
          "1.1.1.1 - - [23/Nov/2026:20:00:00 +0000] \"G\" 101 0 \"-\" \"-\"\n",
          "5/1,1,1,1,1/0");
}

T(binary_bytes_in_a_request_do_no_harm)
{
    static const char line[] = "a - - [t] \"\\x16\\x03\xff\xfe\0x\" 400 1 \"-\" \"\xc3(\"\n";
    check_n(NULL, (otr_bytes){ (const uint8_t *)line, sizeof(line) - 1 }, "1/0,0,0,1,0/0");
}

T(client_cannot_imitate_a_status)
{
    /* Quotes are escaped by NGINX, blanks and brackets are not. */
    check(NULL, "a - x\\x22 200 5 [t] \"GET /] \\x22 200 1\" 503 1 \"-\" \"\\x22 200 5 \"\n",
          "1/0,0,0,0,1/0");
    check("escape=json {\"ua\":\"$http_user_agent\",\"status\":\"$status\"}",
          "{\"ua\":\"\\\",\\\"status\\\":\\\"200\\\"\",\"status\":\"404\"}\n", "1/0,0,0,1,0/0");
}

T(json_formats_are_found_by_their_key)
{
    const char *json = "escape=json {\"t\":\"$time_iso8601\",\"a\":\"$remote_addr\","
                       "\"m\":\"$request_method\",\"u\":\"$uri\",\"status\": $status,"
                       "\"b\":\"$bytes_sent\"}";
    check(
        json,
        "{\"t\":\"2026\",\"a\":\"1.1.1.1\",\"m\":\"GET\",\"u\":\"/\",\"status\": 204,\"b\":\"0\"}\n"
        "{\"t\":\"2026\",\"a\":\"1.1.1.1\",\"m\":\"GET\",\"u\":\"/\",\"status\": "
        "2x4,\"b\":\"0\"}\n",
        "2/0,1,0,0,0/1");
}

T(formats_without_quotes_are_walked)
{
    check("$status $remote_addr", "200 1.1.1.1\n404 x\nx 200\n", "3/0,1,0,1,0/1");
    check("$remote_addr $status", "1.1.1.1 200\n1.1.1.1 200 5\n::1 503\r\n", "3/0,1,0,0,1/1");
    check("[${status}]$uri", "[301]/x\n301\n", "2/0,0,1,0,0/1");
    check("host:$host\tstatus:$status\tsize:$bytes_sent",
          "host:a\tstatus:500\tsize:1\nhost:status:200\tstatus:404\tsize:1\n", "2/0,0,0,1,1/0");
    check("$time_local|$status|$uri", "now|200|/a|404|\n", "1/0,1,0,0,0/0");
    check("escape=none \"$http_user_agent\" $status $uri", "\"a\" b\" 204 /\n", "1/0,1,0,0,0/0");
    check("cost: $5 $status", "cost: $5 302\n", "1/0,0,1,0,0/0");
}

T(line_without_its_end_is_left_for_later)
{
    OTR_CLEANUP(format_freep) otr_log_format *f = NULL;
    otr_err err;
    REQUIRE_OK(otr_log_format_new("$status x", &f, &err), err);
    otr_log_counts c = { 0 };
    CHECK_INT(otr_log_format_scan(f, otr_bytes_of("200 x\n404"), &c), 6);
    CHECK_INT(c.lines, 1);
    CHECK_INT(otr_log_format_scan(f, otr_bytes_of(""), &c), 0);
    CHECK_INT(otr_log_format_scan(f, (otr_bytes){ 0 }, &c), 0);
    CHECK_INT(c.lines, 1);
}

T(lines_only_format_counts_lines)
{
    OTR_CLEANUP(format_freep) otr_log_format *f = NULL;
    otr_err err;
    REQUIRE_OK(otr_log_format_lines(&f, &err), err);
    otr_log_counts c = { 0 };
    CHECK_INT(otr_log_format_scan(f, otr_bytes_of("a\nb\n"), &c), 4);
    CHECK_INT(c.lines, 2);
    CHECK_INT(c.unparsed, 2);
}
