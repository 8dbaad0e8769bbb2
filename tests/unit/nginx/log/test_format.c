#include <stdio.h>

#include "base/limits.h"
#include "nginx/log/format.h"
#include "support/test.h"
#include "unit/nginx/log/reference.h"

static void formats_freep(otr_log_formats **slot)
{
    otr_log_formats_unref(*slot);
}

#define FORMATS(f) OTR_CLEANUP(formats_freep) otr_log_formats *f = NULL

/* "lines/1xx,2xx,3xx,4xx,5xx/unparsed". */
static void show(const otr_log_counts *c, char got[128])
{
    snprintf(got, 128, "%d/%d,%d,%d,%d,%d/%d", (int)c->lines, (int)c->responses[0],
             (int)c->responses[1], (int)c->responses[2], (int)c->responses[3], (int)c->responses[4],
             (int)c->unparsed);
}

/* The same lines again, byte by byte. */
static void check_pieces(otr_log_formats *f, otr_bytes text, const otr_log_counts *expected)
{
    otr_log_counts c = { 0 };
    for (const uint8_t *p = text.p, *end = text.p + text.n; p < end;) {
        otr_log_line *line = NULL;
        REQUIRE(otr_log_line_new(f, &line, NULL) == OTR_OK);
        for (; *p != '\n'; p++) {
            otr_log_line_feed(line, (otr_bytes){ p, 1 });
        }
        p++;
        otr_log_line_end(line, &c);
        otr_log_line_free(line);
    }
    CHECK_INT(c.lines, expected->lines);
    for (size_t i = 0; i < OTR_COUNT(c.responses); i++) {
        CHECK_INT(c.responses[i], expected->responses[i]);
    }
    CHECK_INT(c.ambiguous, expected->ambiguous);
}

static void check_all(const otr_log_format *formats, size_t n, otr_bytes text, const char *expected)
{
    FORMATS(f);
    otr_err err;
    REQUIRE_OK(otr_log_formats_new(formats, n, &f, &err), err);
    otr_log_counts c = { 0 };
    CHECK_INT(otr_log_formats_scan(f, text, &c), text.n);
    char got[128];
    show(&c, got);
    CHECK_STR(got, expected);
    check_pieces(f, text, &c);
}

static void check(const char *format, const char *text, const char *expected)
{
    check_all(&(otr_log_format){ .text = format }, 1, otr_bytes_of(text), expected);
}

static void check_doubt(const char *format, const char *why)
{
    FORMATS(f);
    otr_err err;
    REQUIRE_OK(otr_log_formats_new(&(otr_log_format){ .text = format }, 1, &f, &err), err);
    REQUIRE(otr_log_formats_doubt(f) != NULL);
    CHECK_HAS(otr_log_formats_doubt(f), why);
    otr_log_counts c = { 0 };
    CHECK_INT(otr_log_formats_scan(f, otr_bytes_of("a\n200\n"), &c), 6);
    CHECK_INT(c.lines, 2);
    CHECK_INT(c.unparsed, 2);
}

#define TIME "[23/Nov/2026:20:00:00 +0000]"
#define HEAD "1.2.3.4 - - " TIME " "

T(format_without_a_status_is_in_doubt)
{
    check_doubt("$remote_addr $request", "no $status");
    check_doubt("", "not known");
    check_doubt("$statuses $upstream_status", "no $status");
    check_doubt("escape=json", "no $status");
}

T(unescaped_value_that_may_hold_line_ends_leaves_no_line_to_rely_on)
{
    check_doubt("escape=none $uri $status", "$uri may hold line ends");
    check_doubt("escape=none $status $request_body", "escape=none");
    check_doubt("escape=none $my_map $status", "$my_map");
    check("escape=none $request_uri $status", "/a 200\n", "1/0,1,0,0,0/0");
    check("$uri $status", "/a 200\n", "1/0,1,0,0,0/0");
}

T(format_of_too_many_bytes_is_in_doubt)
{
    char format[8192];
    memset(format, 'x', sizeof(format));
    memcpy(format, "$status ", 8);
    format[sizeof(format) - 1] = '\0';
    check_doubt(format, "more than");
}

T(lines_that_do_not_fit_are_counted_as_unparsed)
{
    check(NULL, "\n", "1/0,0,0,0,0/1");
    check(NULL, "garbage\n\"\n\"\"\n\"x\" \n", "4/0,0,0,0,0/4");
    check(NULL, HEAD "\"GET /\" 20\n", "1/0,0,0,0,0/1");
    check(NULL, HEAD "\"GET /\" 200\n", "1/0,0,0,0,0/1"); /* cut off */
    check(NULL, HEAD "\"GET /\" 2x0 5\n", "1/0,0,0,0,0/1");
    check_all(&(otr_log_format){ 0 }, 1, (otr_bytes){ (const uint8_t *)"\0\xff\0\n\0\n", 6 },
              "2/0,0,0,0,0/2");
}

T(two_lines_that_ran_into_one_are_unparsed)
{
    check(NULL, HEAD "\"GET /aa" HEAD "\"GET / HTTP/1.1\" 200 5 \"-\" \"-\"\n", "1/0,0,0,0,0/1");
    check("$remote_addr $status $request_time", "1.1.1.1 2001.1.1.1 200 0.001\n", "1/0,0,0,0,0/1");
}

T(status_outside_the_classes_is_a_line_and_no_response)
{
    check(NULL, HEAD "\"\" 000 0 \"-\" \"-\"\n" HEAD "\"\" 600 0 \"-\" \"-\"\n", "2/0,0,0,0,0/0");
    check("$status", "009\n999\n", "2/0,0,0,0,0/0");
}

T(combined_lines_are_counted_by_class)
{
    check(NULL,
          HEAD "\"GET / HTTP/1.1\" 200 5 \"-\" \"curl\"\n"
               "::1 - bob " TIME " \"GET /a\\x22 404 HTTP/1.1\" 301 5 \"-\" \"x\"\n"
               "unix: - - " TIME " \"\" 400 0 \"-\" \"-\"\n" HEAD "\"G\" 502 0 \"-\" \"-\"\n" HEAD
               "\"G\" 101 0 \"-\" \"-\"\n",
          "5/1,1,1,1,1/0");
}

T(client_cannot_imitate_a_status)
{
    /* Quotes are escaped by NGINX, blanks and brackets are not. */
    check(NULL,
          "1.1.1.1 - x\\x22 200 5 " TIME
          " \"GET /] \\x22 200 1 HTTP/1.1\" 503 1 \"-\" \"\\x22 200 5 \"\n",
          "1/0,0,0,0,1/0");
    check("escape=json {\"ua\":\"$http_user_agent\",\"status\":\"$status\"}",
          "{\"ua\":\"\\\",\\\"status\\\":\\\"200\\\"\",\"status\":\"404\"}\n", "1/0,0,0,1,0/0");
}

T(quote_of_a_json_value_is_no_quote_of_the_format)
{
    const char *json = "escape=json {\"ua\":\"$http_user_agent\",\"status\":$status}";
    check(json,
          "{\"ua\":\"plain\",\"status\":200}\n"
          "{\"ua\":\"say \\\"hi\\\"\",\"status\":200}\n"
          "{\"ua\":\"one \\\" quote\",\"status\":200}\n"
          "{\"ua\":\"back\\\\slash\",\"status\":200}\n"
          "{\"ua\":\"ends in \\\\\",\"status\":200}\n"
          "{\"ua\":\"\\\"\\\"\\\":599}\",\"status\":200}\n"
          "{\"ua\":\"\\\\\\\",\\\"status\\\":500\",\"status\":200}\n",
          "7/0,7,0,0,0/0");
    check("escape=json \"$http_user_agent\" $status", "\"\\\" 599\" 200\n\"\\\"\\\" 503\" 404\n",
          "2/0,1,0,1,0/0");
    check("escape=json ua=\"$http_user_agent\" status=$status",
          "ua=\"\\\" status=503\" status=204\n", "1/0,1,0,0,0/0");
}

T(backslash_in_a_json_format_is_its_own)
{
    check("escape=json \\\"$http_a\" $status", "\\\"x\" 200\n\\\"\\\" 5\\\\\" 404\n",
          "2/0,1,0,1,0/0");
}

T(many_quotes_before_the_status_are_counted)
{
    check("escape=json {\"a\":\"$http_a\",\"b\":\"$http_b\",\"c\":\"$http_c\",\"d\":\"$http_d\","
          "\"status\":\"$status\"}",
          "{\"a\":\"status\",\"b\":\"\\\",\\\"status\\\":\\\"500\",\"c\":\"\",\"d\":\"\","
          "\"status\":\"200\"}\n",
          "1/0,1,0,0,0/0");
}

T(control_byte_of_the_format_is_counted_not_searched)
{
    /* A value that reads like the literal before the status. */
    check("host:$host\tstatus:$status\tsize:$bytes_sent",
          "host:a\tstatus:500\tsize:1\nhost:status:200\tstatus:404\tsize:1\n", "2/0,0,0,1,1/0");
    check("a:$http_a\t$http_b\tstatus:$status", "a:x\tstatus:500\tstatus:200\n", "1/0,1,0,0,0/0");
    check("$time_iso8601\t$remote_addr\t$request\t$status\t$http_user_agent",
          "2026-11-23T20:00:00+00:00\t::1\tGET / 500 HTTP/1.1\t200\ta 404\n", "1/0,1,0,0,0/0");
}

T(json_formats_are_found_by_their_key)
{
    const char *json = "escape=json {\"t\":\"$time_iso8601\",\"a\":\"$remote_addr\","
                       "\"m\":\"$request_method\",\"u\":\"$uri\",\"status\": $status,"
                       "\"b\":\"$bytes_sent\"}";
    check(json,
          "{\"t\":\"2026-11-23T20:00:00+00:00\",\"a\":\"1.1.1.1\",\"m\":\"GET\",\"u\":\"/\","
          "\"status\": 204,\"b\":\"0\"}\n"
          "{\"t\":\"2026\",\"a\":\"1.1.1.1\",\"m\":\"GET\",\"u\":\"/\",\"status\": 2x4}\n",
          "2/0,1,0,0,0/1");
}

T(values_before_the_status_are_told_by_what_they_can_hold)
{
    check("$upstream_status $status $request_time",
          "502, 200 200 0.001\n- 404 0.000\n502, 502 : 200 499 1.500\n", "3/0,1,0,2,0/0");
    check("$msec,$upstream_status,$status,$request_time,\"$request\"",
          "1700000000.123,502, 200,200,0.001,\"GET /,500,0.001,\"\n"
          "1700000000.123,500,404,0.001,\"GET /,500,0.001,\\x22\"\n",
          "2/0,1,0,1,0/0");
    check("$upstream_response_length|$upstream_status|$status|$request_uri",
          "2|200|200|/a|500|/x\n-|-|404|/\n", "2/0,1,0,1,0/0");
    check("$remote_addr " TIME " $upstream_addr $upstream_status $upstream_response_time $status "
          "$body_bytes_sent \"$request\"",
          "127.0.0.1 " TIME
          " 127.0.0.1:9002, 127.0.0.1:9001 500, 200 0.001, 0.000 200 2 \"GET /\"\n",
          "1/0,1,0,0,0/0");
    check("$remote_addr $status $body_bytes_sent", "1.1.1.1 200 5\n::1 503 404\nunix: 404 0\n",
          "3/0,1,0,1,1/0");
    check("[$time_local] - $upstream_status $status - $request_method $scheme $host "
          "\"$request_uri\" [Client $remote_addr] \"$http_user_agent\"",
          TIME " - - 200 - GET http localhost \"/\" [Client ::1] \"x\"\n", "1/0,1,0,0,0/0");
}

T(numbers_in_unquoted_client_text_are_not_taken_for_the_status)
{
    const char *f = "$remote_addr [$time_local] $request $http_host $status $body_bytes_sent "
                    "$http_referer \"$http_user_agent\"";
    check(f,
          "1.1.1.1 " TIME " GET / HTTP/1.1 a 200 1 x 502 y \"a\"\n"
          "1.1.1.1 " TIME " GET /my 500 file HTTP/1.1 - 400 150 - \"-\"\n"
          "1.1.1.1 " TIME " GET / 200  - 400 150 - \"404 1 \"\n",
          "3/0,1,0,2,0/0");
    check("$remote_addr - $remote_user [$time_local] $request $status $body_bytes_sent "
          "$http_referer $http_user_agent rt=$request_time",
          HEAD "GET /a?500 HTTP/1.1 200 1 x 502 7 y probe 404 5 z rt=0.000\n" HEAD
               "\\x16\\x03\\x01 500 404 200  400 150 - - rt=0.000\n" HEAD
               " 400 0 a 500 1 b rt=0.000\n" HEAD
               "GET /a HTTP/1.1 404 5 HTTP/1.1 200 5 - - rt=0.000\n",
          "4/0,1,0,2,0/1"); /* servers before 1.21.1 took the last line's blanks */
    check("$http_user_agent $status $request_time", "probe 500 test 404 x 200 0.000\n",
          "1/0,1,0,0,0/0");
    check("ip=$remote_addr req=$request status=$status ua=$http_user_agent",
          "ip=::1 req=GET / HTTP/1.1 status=200 ua=a status=503 b\n", "1/0,1,0,0,0/0");
}

T(line_that_can_be_read_in_two_ways_is_ambiguous)
{
    FORMATS(f);
    otr_err err;
    const otr_log_format format = {
        .text = "ip=$remote_addr req=$request status=$status ua=$http_user_agent"
    };
    REQUIRE_OK(otr_log_formats_new(&format, 1, &f, &err), err);
    otr_log_counts c = { 0 };
    otr_bytes lines =
        otr_bytes_of("ip=::1 req=GET / HTTP/1.1 status=200 ua= HTTP/1.1 status=503 ua=\n"
                     "ip=::1 req=GET / HTTP/1.1 status=500 ua= HTTP/1.1 status=503 ua=\n");
    CHECK_INT(otr_log_formats_scan(f, lines, &c), lines.n);
    CHECK_INT(c.lines, 2);
    CHECK_INT(c.ambiguous, 1);
    CHECK_INT(c.unparsed, 1);
    CHECK_INT(c.responses[4], 1); /* 5xx in either way */
}

T(unescaped_values_are_decided_from_where_they_can_be)
{
    check("escape=none \"$http_user_agent\" $status $request_time",
          "\"a\" b\" 204 0.001\n\"\" 500 0.001\" 200 0.001\n", "2/0,2,0,0,0/0");
    check("escape=none $status \"$http_user_agent\"", "200 \"x\" 500 \"y\"\n", "1/0,1,0,0,0/0");
    check("escape=none \"$http_a\" $status \"$http_b\"", "\"\" 500 \"\" 200 \"\"\n",
          "1/0,0,0,0,0/1");
}

T(formats_without_quotes_are_read)
{
    check("$status $remote_addr", "200 1.1.1.1\n404 x\nx 200\n", "3/0,1,0,1,0/1");
    check("$remote_addr $status", "1.1.1.1 200\n1.1.1.1 200 5\n::1 503\n", "3/0,1,0,0,1/1");
    check("[${status}]$uri", "[301]/x\n301\n", "2/0,0,1,0,0/1");
    check("[$time_local]|$STATUS|$uri", TIME "|200|/a|404|\n", "1/0,1,0,0,0/0");
    check("cost: $5 $status", "cost: 7 302\ncost:  302\n", "2/0,0,2,0,0/0");
    check("$request_time$status", "0.123200\n", "1/0,1,0,0,0/0");
    check("$status $status", "200 200\n", "1/0,1,0,0,0/0");
    check("$status \"$request\" $status", "200 \"\" 200\n", "1/0,1,0,0,0/0");
}

T(line_is_taken_by_the_format_that_it_fits)
{
    const otr_log_format two[] = { { .text = NULL },
                                   { .text = "$remote_addr $status $request_time" } };
    check_all(two, 2, otr_bytes_of(HEAD "\"GET /\" 200 5 \"-\" \"-\"\n::1 503 0.001\nx\n"),
              "3/0,1,0,0,1/1");
    const otr_log_format like[] = { { .text = "$http_a $status $bytes_sent" },
                                    { .text = "$status $bytes_sent $http_a" } };
    check_all(like, 2, otr_bytes_of("a 200 5\n404 5 b\n404 5 200 5\n200 1 204 5\n"),
              "4/0,2,0,1,0/1");
}

T(lines_of_a_format_that_is_not_counted_give_no_response)
{
    const otr_log_format two[] = { { .text = "a $status" },
                                   { .text = "b $status", .use = OTR_LOG_NOT_COUNTED } };
    check_all(two, 2, otr_bytes_of("a 200\nb 500\nc 200\n"), "3/0,1,0,0,0/1");
    FORMATS(none);
    const otr_log_format spare = { .text = "$remote_addr", .use = OTR_LOG_NOT_COUNTED };
    REQUIRE(otr_log_formats_new(&spare, 1, &none, NULL) == OTR_OK);
    CHECK(otr_log_formats_doubt(none) == NULL);
    CHECK(!otr_log_formats_count(none));
    const otr_log_format like[] = { { .text = "$http_a $status" },
                                    { .text = "b $status", .use = OTR_LOG_NOT_COUNTED } };
    check_all(like, 2, otr_bytes_of("b 200\n"), "1/0,0,0,0,0/1");
}

T(lines_that_one_request_makes_count_once)
{
    const otr_log_format twice = { .text = "$status x", .repeats = 2 };
    check_all(&twice, 1, otr_bytes_of("200 x\n404 x\n200 x\n404 x\n500 x\n"), "5/0,1,0,1,0/0");
    const otr_log_format mixed[] = { { .text = "a $status", .repeats = 2 },
                                     { .text = "b $status" } };
    check_all(mixed, 2, otr_bytes_of("a 200\nb 404\na 200\n"), "3/0,1,0,1,0/0");
    const otr_log_format both[] = { { .text = "$http_a $status", .repeats = 2 },
                                    { .text = "b $status" } };
    check_all(both, 2, otr_bytes_of("b 200\n"), "1/0,0,0,0,0/1");
}

T(format_without_a_status_beside_another_is_told_apart)
{
    const otr_log_format two[] = { { .text = "$remote_addr $status" },
                                   { .text = "$remote_addr $request_time" } };
    check_all(two, 2, otr_bytes_of("::1 200\n::1 0.001\n"), "2/0,1,0,0,0/1");
}

T(more_formats_than_the_ceiling_are_refused)
{
    otr_log_format many[OTR_LIMIT_NGINX_LOG_FORMATS + 1] = { 0 };
    otr_log_formats *f = NULL;
    CHECK_INT(otr_log_formats_new(many, OTR_COUNT(many), &f, NULL), OTR_EQUOTA);
}

T(line_without_its_end_is_left_for_later)
{
    FORMATS(f);
    otr_err err;
    REQUIRE_OK(otr_log_formats_new(&(otr_log_format){ .text = "$status x" }, 1, &f, &err), err);
    otr_log_counts c = { 0 };
    CHECK_INT(otr_log_formats_scan(f, otr_bytes_of("200 x\n404"), &c), 6);
    CHECK_INT(c.lines, 1);
    CHECK_INT(otr_log_formats_scan(f, otr_bytes_of(""), &c), 0);
    CHECK_INT(otr_log_formats_scan(f, (otr_bytes){ 0 }, &c), 0);
    CHECK_INT(c.lines, 1);
}

T(formats_are_compared_by_text_and_use)
{
    FORMATS(f);
    otr_err err;
    const otr_log_format one = { .text = "$status" };
    REQUIRE_OK(otr_log_formats_new(&one, 1, &f, &err), err);
    CHECK(otr_log_formats_are(f, &one, 1));
    CHECK(!otr_log_formats_are(f, &one, 0));
    CHECK(!otr_log_formats_are(f, &(otr_log_format){ .text = NULL }, 1));
    CHECK(!otr_log_formats_are(
        f, &(otr_log_format){ .text = "$status", .use = OTR_LOG_NOT_COUNTED }, 1));
}

/* ---- against the reference ---- */

static uint64_t seed = UINT64_C(0x9e3779b97f4a7c15);

static unsigned rnd(unsigned below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(seed >> 33) % below;
}

static void random_format(char *out, size_t cap)
{
    static const char *const escapes[] = { "", "escape=json ", "escape=none ", "escape=default " };
    static const char *const parts[] = { " ",
                                         "\"",
                                         "\" \"",
                                         "\",\"status\":\"",
                                         "|",
                                         "\t",
                                         " - ",
                                         ",",
                                         "\\",
                                         "$http_a",
                                         "$request",
                                         "$remote_addr",
                                         "$request_time",
                                         "$upstream_status",
                                         "$bytes_sent",
                                         "$status",
                                         "$msec",
                                         "${http_b}" };
    size_t n = (size_t)snprintf(out, cap, "%s", escapes[rnd(OTR_COUNT(escapes))]);
    unsigned many = 1 + rnd(9), status = rnd(many);
    for (unsigned i = 0; i < many; i++) {
        const char *part = i == status ? "$status" : parts[rnd(OTR_COUNT(parts))];
        n += (size_t)snprintf(out + n, cap - n, "%s", part);
    }
}

/* A line that fits, more often than not: values that imitate literals and statuses. */
static size_t random_line(const reference *r, char *out, size_t cap)
{
    static const char *const values[] = {
        "200", "500", " 404 ",    "-",  "\\\"", "\\\\",    "\\x22",           "|", "\" ", "0.001",
        "a",   "",    "502, 200", "\t", " - ",  "1.1.1.1", "\",\"status\":\""
    };
    size_t n = 0;
    unsigned status = 100 + rnd(500); /* wherever it stands */
    for (size_t i = 0; i < r->n && n + 64 < cap; i++) {
        const reference_part *part = &r->parts[i];
        if (part->value == NULL) {
            n += (size_t)snprintf(out + n, cap - n, "%.*s", (int)part->n, part->text);
        } else if (part->value->shape == OTR_LOG_STATUS) {
            n += (size_t)snprintf(out + n, cap - n, "%u", status);
        } else if (part->value->shape == OTR_LOG_SECONDS) {
            n += (size_t)snprintf(out + n, cap - n, "%u.%03u", rnd(9), rnd(1000));
        } else {
            for (unsigned j = rnd(3); j < 3; j++) {
                n += (size_t)snprintf(out + n, cap - n, "%s", values[rnd(OTR_COUNT(values))]);
            }
        }
    }
    return n;
}

static unsigned counted(const otr_log_counts *c)
{
    for (unsigned i = 0; i < OTR_COUNT(c->responses); i++) {
        if (c->responses[i] > 0) {
            return 1U << i;
        }
    }
    return c->unparsed > 0 ? 0 : 1U << 5;
}

static bool is_one(unsigned ways)
{
    return ways != 0 && (ways & (ways - 1)) == 0 && ways != REFERENCE_NONE;
}

/* Of several $status each might be the one that is looked for. */
static bool is_right(reference *r, const char *line, size_t n, unsigned got)
{
    for (size_t i = 0; i < r->n; i++) {
        if (r->parts[i].value != NULL && r->parts[i].value->shape == OTR_LOG_STATUS) {
            unsigned ways = reference_at(r, i, (const uint8_t *)line, n);
            if (got == (is_one(ways) ? ways : 0)) {
                return true;
            }
        }
    }
    return false;
}

static void check_random_format(void)
{
    char format[256], line[REFERENCE_LINE];
    random_format(format, sizeof(format));
    reference r;
    reference_init(&r, format);
    FORMATS(f);
    FORMATS(twice);
    const otr_log_format both[] = { { .text = format }, { .text = "\x01never" } };
    REQUIRE(otr_log_formats_new(both, 1, &f, NULL) == OTR_OK);
    REQUIRE(otr_log_formats_new(both, 2, &twice, NULL) == OTR_OK); /* never by marks */
    for (int i = 0; i < 40; i++) {
        size_t n = random_line(&r, line, sizeof(line) - 1);
        line[n] = '\n';
        otr_log_counts c = { 0 }, d = { 0 };
        (void)otr_log_formats_scan(f, (otr_bytes){ (const uint8_t *)line, n + 1 }, &c);
        (void)otr_log_formats_scan(twice, (otr_bytes){ (const uint8_t *)line, n + 1 }, &d);
        unsigned fast = counted(&c), slow = counted(&d);
        bool right = is_right(&r, line, n, slow);
        /* By marks a line may be read that is none of NGINX. */
        bool quick = reference_ways(&r, (const uint8_t *)line, n) == 0 || fast == slow;
        line[n] = '\0';
        if (!right || !quick) {
            printf("# format [%s] line [%s] fast %x slow %x\n", format, line, fast, slow);
        }
        CHECK(right && quick);
    }
}

T_NO_OOM(scanner_agrees_with_the_reference) /* random: each run would fail elsewhere */
{
    for (int i = 0; i < 4000; i++) {
        check_random_format();
    }
}
