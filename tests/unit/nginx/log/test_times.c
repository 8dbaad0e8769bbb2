#include <stdio.h>

#include "nginx/log/format.h"
#include "support/test.h"

#define HEAD "1.2.3.4 - - [23/Nov/2026:20:00:00 +0000] \"GET / HTTP/1.1\" "
#define COMBINED                                                                       \
    "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent " \
    "\"$http_referer\" \"$http_user_agent\""

/* "requests connect header response" as "count/sum of ms", of all classes. */
static void show(const otr_log_times *t, char got[160])
{
    otr_histogram all = { 0 };
    for (size_t i = 0; i < OTR_LOG_CLASSES; i++) {
        otr_histogram_merge(&all, &t->requests[i]);
    }
    const otr_histogram *u = t->upstreams;
    snprintf(got, 160, "%d/%d %d/%d %d/%d %d/%d", (int)all.count, (int)all.sum_ms,
             (int)u[OTR_LOG_UPSTREAM_CONNECT].count, (int)u[OTR_LOG_UPSTREAM_CONNECT].sum_ms,
             (int)u[OTR_LOG_UPSTREAM_HEADER].count, (int)u[OTR_LOG_UPSTREAM_HEADER].sum_ms,
             (int)u[OTR_LOG_UPSTREAM_RESPONSE].count, (int)u[OTR_LOG_UPSTREAM_RESPONSE].sum_ms);
}

static void read_all(const otr_log_format *formats, size_t n, const char *lines, otr_log_times *ret)
{
    otr_log_formats *f = NULL;
    otr_err err;
    REQUIRE_OK(otr_log_formats_new(formats, n, &f, &err), err);
    otr_log_counts c = { .times = ret };
    (void)otr_log_formats_scan(f, otr_bytes_of(lines), &c);
    otr_log_formats_unref(f);
}

static void check(const char *format, const char *lines, const char *expected)
{
    otr_log_times times = { 0 };
    char got[160];
    read_all(&(otr_log_format){ .text = format }, 1, lines, &times);
    show(&times, got);
    CHECK_STR(got, expected);
}

T(times_behind_the_agent_are_read)
{
    static const char format[] = COMBINED " $request_time $upstream_response_time";
    check(format, HEAD "200 5 \"-\" \"curl\" 1.234 0.010\n", "1/1234 0/0 0/0 1/10");
    check(format, HEAD "200 5 \"-\" \"a 9.999 \\x22 7.000\" 0.000 -\n", "1/0 0/0 0/0 0/0");
    check(format, HEAD "200 5 \"-\" \"-\" 0.002 0.001, 0.000 : 0.003, -\n", "1/2 0/0 0/0 3/4");
    check(format,
          HEAD "200 5 \"-\" \"-\" 1.000 -\n" HEAD "404 5 \"-\" \"-\" 2.000 -\n" HEAD
               "502 5 \"-\" \"-\" 60.000 60.000\n",
          "3/63000 0/0 0/0 1/60000");
}

T(times_are_told_apart_by_class)
{
    static const char format[] = "$status $request_time";
    otr_log_times times = { 0 };
    read_all(&(otr_log_format){ .text = format }, 1, "200 0.001\n503 0.007\n503 0.002\n", &times);
    CHECK_INT(times.requests[1].count, 1);
    CHECK_INT(times.requests[1].sum_ms, 1);
    CHECK_INT(times.requests[4].count, 2);
    CHECK_INT(times.requests[4].sum_ms, 9);
    CHECK_INT(times.requests[4].most_ms, 7);
}

T(every_usual_place_of_a_time_is_found)
{
    static const char all[] = "1/1500 1/1 1/2 1/3";
    check("$status $request_time $upstream_connect_time $upstream_header_time "
          "$upstream_response_time",
          "200 1.500 0.001 0.002 0.003\n", all);
    check("$request_time|$upstream_connect_time|$upstream_header_time|$upstream_response_time|"
          "$status|$request",
          "1.500|0.001|0.002|0.003|200|GET / HTTP/1.1\n", all);
    check("rt=$request_time uct=\"$upstream_connect_time\" uht=\"$upstream_header_time\" "
          "urt=\"$upstream_response_time\" \"$request\" $status",
          "rt=1.500 uct=\"0.001\" uht=\"0.002\" urt=\"0.003\" \"GET /\" 200\n", all);
    check("escape=json {\"r\":\"$request\",\"t\":$request_time,\"s\":\"$status\","
          "\"c\":\"$upstream_connect_time\",\"a\":\"$http_user_agent\","
          "\"h\":\"$upstream_header_time\",\"u\":\"$upstream_response_time\"}",
          "{\"r\":\"GET /\\\"\",\"t\":1.500,\"s\":\"200\",\"c\":\"0.001\",\"a\":\"\\\\\\\"9.0\","
          "\"h\":\"0.002\",\"u\":\"0.003\"}\n",
          all);
    check("$msec\t$pipe\t$status\t$request_uri\t$request_time\t$upstream_connect_time\t"
          "$upstream_header_time\t$upstream_response_time",
          "1.000\t.\t200\t/\t1.500\t0.001\t0.002\t0.003\n", all);
    check("$time_iso8601 $remote_addr $status $body_bytes_sent $request_time \"$request\" "
          "$upstream_connect_time $upstream_header_time $upstream_response_time",
          "2026-11-23T20:00:00+00:00 ::1 200 17 1.500 \"GET /\" 0.001 0.002 0.003\n", all);
}

T(empty_times_of_json_are_none)
{
    check(
        "escape=json {\"s\":\"$status\",\"t\":\"$request_time\",\"u\":\"$upstream_response_time\"}",
        "{\"s\":\"200\",\"t\":\"0.004\",\"u\":\"\"}\n", "1/4 0/0 0/0 0/0");
}

T(what_a_client_writes_is_never_read_as_a_time)
{
    check("$status $http_x $request_time", "200 9.000 0.001\n", "0/0 0/0 0/0 0/0");
    check("$status $request_time$http_x", "200 0.0019.000\n", "1/1 0/0 0/0 0/0");
    check("$status $http_x \"$request_time\"", "200 9.000 \"0.001\"\n", "1/1 0/0 0/0 0/0");
    check("escape=none $status \"$arg_x\" $request_time", "200 \"a\" 9.000\" 0.001\n",
          "0/0 0/0 0/0 0/0");
    check("$status $request_time", "200 0.001 5.000\n200 0.001x\n200 x\n200 1.00\n200 .001\n",
          "0/0 0/0 0/0 0/0");
    check(COMBINED " $request_time", HEAD "200 5 \"-\" \"-\" 1.000 5\n", "0/0 0/0 0/0 0/0");
    check(COMBINED " $request_time", HEAD "200 5 \"-\"\n", "0/0 0/0 0/0 0/0");
}

T(longest_numbers_and_lists_are_within_bounds)
{
    char line[2048] = "200 0.001";
    size_t n = strlen(line);
    for (int i = 0; i < 80; i++) {
        n += (size_t)snprintf(line + n, sizeof(line) - n, ", 0.001");
    }
    snprintf(line + n, sizeof(line) - n, "\n");
    check("$status $upstream_response_time", line, "0/0 0/0 0/0 64/64"); /* the first of them */
    check("$status $request_time", "200 999999999.999\n", "1/-727379969 0/0 0/0 0/0");
    check("$status $request_time", "200 9999999999999.000\n", "0/0 0/0 0/0 0/0");
}

T(requests_of_several_lines_and_formats_count_once_or_not_at_all)
{
    otr_log_times times = { 0 };
    const otr_log_format twice = { .text = "$status $request_time", .repeats = 2 };
    read_all(&twice, 1, "200 0.001\n200 0.001\n200 0.004\n", &times);
    CHECK_INT(times.requests[1].count, 1);
    const otr_log_format two[] = { { .text = "$status $request_time" }, { .text = "$status" } };
    memset(&times, 0, sizeof(times));
    read_all(two, 2, "200 0.001\n200\n", &times);
    CHECK_INT(times.requests[1].count, 0);
    const otr_log_format spare = { .text = "$status $request_time", .use = OTR_LOG_NOT_COUNTED };
    read_all(&spare, 1, "200 0.001\n", &times);
    CHECK_INT(times.requests[1].count, 0);
}

T(formats_of_many_parts_are_read_as_far_as_there_is_room)
{
    char format[4096] = "$status";
    size_t n = strlen(format);
    for (int i = 0; i < 100; i++) {
        n += (size_t)snprintf(format + n, sizeof(format) - n, " $bytes_sent");
    }
    snprintf(format + n, sizeof(format) - n, " $request_time");
    otr_log_formats *f = NULL;
    otr_err err;
    REQUIRE_OK(otr_log_formats_new(&(otr_log_format){ .text = format }, 1, &f, &err), err);
    CHECK_INT(otr_log_formats_times(f), 0);
    otr_log_formats_unref(f);
    REQUIRE_OK(otr_log_formats_new(&(otr_log_format){ .text = NULL }, 1, &f, &err), err);
    CHECK_INT(otr_log_formats_times(f), 0);
    otr_log_formats_unref(f);
}
