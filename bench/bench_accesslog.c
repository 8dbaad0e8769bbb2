/*
 * Bytes a second through the status scanner of access logs, on one core.
 *
 *     bench_accesslog [combined|times|json|json-times|ltsv|blanks [MEGABYTES]]
 *
 * Lines as NGINX writes them, with requests and agents of varied length, lie in memory. The whole
 * text is scanned in pieces as large as those the follower reads, and the best of several runs is
 * printed; a line that is not counted right is a failure.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "nginx/log/file.h"
#include "nginx/log/format.h"

enum { RUNS = 7, DEFAULT_MB = 64 };

typedef struct shape {
    const char *name;
    const char *format; /* NULL: combined */
    const char *line;   /* host part, path length, path, status, bytes, agent, times */
} shape;

static const shape shapes[] = {
    { "combined", NULL,
      "203.0.113.%u - - [23/Nov/2026:20:00:00 +0000] \"GET /%.*s HTTP/1.1\" %u %u \"-\" "
      "\"%s\"\n" },
    { "times",
      "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent "
      "\"$http_referer\" \"$http_user_agent\" $request_time $upstream_response_time",
      "203.0.113.%u - - [23/Nov/2026:20:00:00 +0000] \"GET /%.*s HTTP/1.1\" %u %u \"-\" "
      "\"%s\" %u.%03u 0.%03u\n" },
    { "json-times",
      "escape=json {\"addr\":\"$remote_addr\",\"req\":\"$request\",\"status\":\"$status\","
      "\"bytes\":$body_bytes_sent,\"ua\":\"$http_user_agent\",\"rt\":\"$request_time\","
      "\"urt\":\"$upstream_response_time\"}",
      "{\"addr\":\"203.0.113.%u\",\"req\":\"GET /%.*s HTTP/1.1\",\"status\":\"%u\",\"bytes\":%u,"
      "\"ua\":\"%s\",\"rt\":\"%u.%03u\",\"urt\":\"0.%03u\"}\n" },
    { "json",
      "escape=json {\"addr\":\"$remote_addr\",\"req\":\"$request\",\"status\":\"$status\","
      "\"bytes\":$body_bytes_sent,\"ua\":\"$http_user_agent\"}",
      "{\"addr\":\"203.0.113.%u\",\"req\":\"GET /%.*s HTTP/1.1\",\"status\":\"%u\",\"bytes\":%u,"
      "\"ua\":\"%s\"}\n" },
    { "ltsv", "host:$remote_addr\treq:$request\tstatus:$status\tsize:$body_bytes_sent\tua:$ua",
      "host:203.0.113.%u\treq:GET /%.*s HTTP/1.1\tstatus:%u\tsize:%u\tua:%s\n" },
    { "blanks", /* nothing marks where values end: the automaton */
      "$remote_addr - $remote_user [$time_local] $request $status $body_bytes_sent $http_referer "
      "$http_user_agent",
      "203.0.113.%u - - [23/Nov/2026:20:00:00 +0000] GET /%.*s HTTP/1.1 %u %u - %s\n" },
};

static const char path[] =
    "assets/images/catalogue/2026/autumn/outerwear/jacket-waterproof-0001.jpg";
static const char *const agents[] = {
    "curl/8.5.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
    "Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
};
static const unsigned statuses[] = { 200, 200, 200, 304, 404, 200, 301, 502 };

static uint64_t fill(const shape *s, char *text, size_t cap, size_t *ret_n)
{
    uint64_t lines = 0;
    size_t n = 0;
    while (cap - n > 1024) {
        unsigned i = (unsigned)lines * 2654435761U;
        n += (size_t)snprintf(text + n, cap - n, s->line, i % 255, (int)(i % (sizeof(path) - 1)),
                              path, statuses[(i >> 8) % OTR_COUNT(statuses)], i % 100000,
                              agents[(i >> 12) % OTR_COUNT(agents)], i % 3, (i >> 4) % 1000,
                              (i >> 9) % 1000);
        lines++;
    }
    *ret_n = n;
    return lines;
}

static uint64_t scan(const otr_log_formats *f, const char *text, size_t n, otr_log_counts *c)
{
    uint64_t begin = otr_now_ns();
    for (size_t at = 0; at < n;) {
        size_t piece = n - at < OTR_LOG_BUFFER_BYTES ? n - at : OTR_LOG_BUFFER_BYTES;
        at += otr_log_formats_scan(f, (otr_bytes){ (const uint8_t *)text + at, piece }, c);
    }
    return otr_now_ns() - begin;
}

static uint64_t times_of(const otr_log_times *times)
{
    uint64_t n = 0;
    for (size_t i = 0; i < OTR_LOG_CLASSES; i++) {
        n += times->requests[i].count;
    }
    return n;
}

static void run(const shape *s, char *text, size_t cap)
{
    size_t n;
    uint64_t lines = fill(s, text, cap, &n), best = UINT64_MAX;
    otr_log_formats *f;
    otr_err err;
    if (otr_log_formats_new(&(otr_log_format){ .text = s->format }, 1, &f, &err) != OTR_OK) {
        (void)fprintf(stderr, "bench_accesslog: %s\n", err.msg);
        exit(2);
    }
    for (int i = 0; i < RUNS; i++) {
        static otr_log_times times;
        memset(&times, 0, sizeof(times));
        otr_log_counts c = { .times = &times };
        uint64_t took = scan(f, text, n, &c);
        uint64_t timed = strstr(s->name, "times") != NULL ? lines : 0;
        if (c.lines != lines || c.unparsed != 0 || times_of(&times) != timed) {
            (void)fprintf(stderr, "bench_accesslog: %s: lines were lost\n", s->name);
            exit(1);
        }
        best = took < best ? took : best;
    }
    otr_log_formats_unref(f);
    printf("%-10s %6.2f GB/s %7.2f M lines/s %6.1f ns/line, %.0f bytes/line\n", s->name,
           (double)n / (double)best, (double)lines * 1e3 / (double)best,
           (double)best / (double)lines, (double)n / (double)lines);
}

int main(int argc, char **argv)
{
    const char *only = argc > 1 ? argv[1] : NULL;
    char *end = NULL;
    unsigned long mb = argc > 2 ? strtoul(argv[2], &end, 10) : DEFAULT_MB;
    if ((end != NULL && *end != '\0') || mb < 1 || mb > 4096) {
        (void)fprintf(
            stderr,
            "usage: bench_accesslog [combined|times|json|json-times|ltsv|blanks [MEGABYTES]]\n");
        return 2;
    }
    size_t cap = (size_t)mb << 20;
    char *text = otr_alloc(cap);
    if (text == NULL) {
        return 2;
    }
    for (size_t i = 0; i < OTR_COUNT(shapes); i++) {
        if (only == NULL || strcmp(only, shapes[i].name) == 0) {
            run(&shapes[i], text, cap);
        }
    }
    otr_free(text);
    return 0;
}
