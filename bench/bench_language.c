/*
 * Reading a configuration.
 *
 *     bench_language FILE [each|tree|json|check [RUNS]]
 *
 * `each`: the tree of one file after the other; `tree`: of all, in memory together; `json`: as
 * `outrider nginx parse` does, one file after the other; `check`: as `outrider nginx check`. Prints
 * how many files there were, the best time of the runs and the peak of memory.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "nginx/check/check.h"
#include "nginx/check/rules/rules.h"
#include "nginx/language/parse.h"
#include "nginx/language/payload.h"

enum { DEFAULT_RUNS = 7 };

static const otr_root here = { .path = "" };

static otr_code drop(void *arg, otr_bytes bytes, otr_err *err)
{
    (void)err;
    *(size_t *)arg += bytes.n;
    return OTR_OK;
}

static size_t read_tree(const otr_parse *spec, otr_err *err)
{
    otr_conf *conf = NULL;
    size_t n =
        otr_conf_parse(spec, &conf, err) == OTR_OK && conf->n_errors == 0 ? conf->n_files : 0;
    otr_conf_free(conf);
    return n;
}

static otr_code count_file(void *arg, const otr_conf *conf, size_t i, otr_err *err)
{
    (void)err;
    *(size_t *)arg += conf->files[i].first != NULL;
    return OTR_OK;
}

static size_t read_each(const otr_parse *spec, otr_err *err)
{
    otr_parse each = *spec;
    otr_conf *conf = NULL;
    size_t n = 0;
    each.each = count_file;
    each.arg = &n;
    n = otr_conf_parse(&each, &conf, err) == OTR_OK && conf->n_errors == 0 ? n : 0;
    otr_conf_free(conf);
    return n;
}

static size_t write_json(const otr_parse *spec, otr_err *err)
{
    size_t bytes = 0;
    bool failed = true;
    otr_sink sink = { .put = drop, .arg = &bytes };
    otr_json_style style = { 0 };
    return otr_conf_stream_json(spec, &style, &sink, &failed, err) == OTR_OK && !failed ? bytes : 0;
}

static size_t check(const otr_parse *spec, otr_err *err)
{
    otr_rules_list rules = otr_check_rules();
    otr_check_spec full = { .parse = *spec,
                            .options = { .root = &here, .folder = "/", .now_s = 1800000000 },
                            .rules = &rules };
    otr_check c;
    size_t n = otr_check_run(&full, &c, err) == OTR_OK && !c.failed ? c.conf->n_files : 0;
    otr_check_deinit(&c);
    return n;
}

static uint64_t cpu_ns(void)
{
    struct timespec t = { 0 };
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

/* Of this program alone: what getrusage() says counts the one that started it. */
static unsigned long peak_kb(void)
{
    char line[256];
    unsigned long kb = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        if (strncmp(line, "VmHWM:", 6) == 0) {
            kb = strtoul(line + 6, NULL, 10);
        }
    }
    if (f != NULL) {
        (void)fclose(f);
    }
    return kb;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 2 ? argv[2] : "each";
    long runs = argc > 3 ? strtol(argv[3], NULL, 10) : DEFAULT_RUNS;
    otr_parse spec = { .root = &here, .path = argc > 1 ? argv[1] : "" };
    otr_err err = { 0 };
    uint64_t best = UINT64_MAX, least = UINT64_MAX;
    size_t n = 1;
    for (long i = 0; i < runs && n > 0; i++) {
        uint64_t started = otr_now_ns(), cpu = cpu_ns();
        n = strcmp(mode, "json") == 0    ? write_json(&spec, &err)
            : strcmp(mode, "check") == 0 ? check(&spec, &err)
            : strcmp(mode, "tree") == 0  ? read_tree(&spec, &err)
                                         : read_each(&spec, &err);
        uint64_t took = otr_now_ns() - started;
        best = took < best ? took : best;
        cpu = cpu_ns() - cpu;
        least = cpu < least ? cpu : least;
    }
    if (n == 0 || argc < 2) {
        (void)fprintf(stderr, "usage: bench_language FILE [each|tree|json|check [RUNS]]; %s\n",
                      err.msg);
        return 1;
    }
    (void)printf("%zu files\n%.2f ms\n%.2f ms of CPU\n%lu kB\n", n, (double)best / 1e6,
                 (double)least / 1e6, peak_kb());
    return 0;
}
