/* `outrider plugin bench`: calls one operation for a while and tells what a call costs. */
#include "cli/plugin_bench.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "cli/print.h"
#include "wasm/engine/engine.h"
#include "wasm/guest.h"

enum {
    EXIT_GUEST = 1,
    EXIT_HOST = 2,
    SAMPLES = 100000,
    SAMPLE_NS = 20000, /* short calls are timed together: reading the clock costs as much */
    MAX_TIMEOUT_MS = 3600000,
    DEFAULT_TIMEOUT_MS = 10000,
    REPORT_BYTES = 65536,
};

typedef struct options {
    const char *file, *operation, *abi, *engine;
    const char *input; /* text, "@FILE" or "-"; or NULL */
    uint64_t bytes, timeout_ms;
    double seconds;
    bool sized, json, rewrite;
} options;

typedef struct bench {
    const options *o;
    otr_engine *engine;
    otr_guest_code *code;
    otr_guest *guest;
    otr_buf wasm, in, out;
    uint64_t load_ns, start_ns; /* compiling; making the instance */
    uint64_t calls, published, logged;
    double *samples; /* ns a call */
    size_t n;
} bench;

static int complain(const char *what, const char *why)
{
    otr_cli_say(stderr, "outrider plugin bench: %s: %s", what, why);
    return EXIT_HOST;
}

/* ---- options ---- */

static bool read_count(const char *text, uint64_t least, uint64_t most, uint64_t *ret)
{
    char *end = NULL;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (errno != 0 || text[0] < '0' || text[0] > '9' || *end != '\0' || n < least || n > most) {
        return false;
    }
    *ret = n;
    return true;
}

static bool read_seconds(const char *text, double *ret)
{
    char *end = NULL;
    double n = strtod(text, &end);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || !isfinite(n) || n < 0.01 || n > 3600) {
        return false;
    }
    *ret = n;
    return true;
}

static bool take_value(options *o, const char *name, const char *value)
{
    if (strcmp(name, "--abi") == 0) {
        o->abi = value;
    } else if (strcmp(name, "--engine") == 0) {
        o->engine = value;
    } else if (strcmp(name, "--input") == 0) {
        o->input = value;
    } else if (strcmp(name, "--bytes") == 0) {
        o->sized = true;
        return read_count(value, 0, OTR_LIMIT_PLUGIN_OUTPUT_BYTES, &o->bytes);
    } else if (strcmp(name, "--timeout") == 0) {
        return read_count(value, 1, MAX_TIMEOUT_MS, &o->timeout_ms);
    } else if (strcmp(name, "--seconds") == 0) {
        return read_seconds(value, &o->seconds);
    } else {
        return false;
    }
    return true;
}

static int bad_option(const char *name)
{
    char why[200];
    (void)snprintf(why, sizeof(why),
                   "not an option here, or its value is missing or malformed (--bytes up to %u, "
                   "--seconds 0.01 to 3600); see outrider plugin --help",
                   OTR_LIMIT_PLUGIN_OUTPUT_BYTES);
    return complain(name, why);
}

static int read_options(options *o, int argc, char **argv)
{
    const char **const names[] = { &o->file, &o->operation };
    size_t n = 0;
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        if (strcmp(name, "--json") == 0) {
            o->json = true;
        } else if (strcmp(name, "--no-rewrite") == 0) {
            o->rewrite = false;
        } else if (strncmp(name, "--", 2) == 0) {
            if (i + 1 >= argc || !take_value(o, name, argv[++i])) {
                return bad_option(name);
            }
        } else if (n < OTR_COUNT(names)) {
            *names[n++] = name;
        } else {
            return complain(name, "one argument too many");
        }
    }
    if (n < OTR_COUNT(names)) {
        return complain(n == 0 ? "FILE" : "OPERATION",
                        "is missing: outrider plugin bench FILE OPERATION --bytes N");
    }
    if (o->sized && o->input != NULL) {
        return complain("--bytes", "--input gives the input already: one of the two");
    }
    return 0;
}

/* ---- the host: takes what the guest publishes and logs, and does nothing with it ---- */

static otr_code publish(void *host, const char *topic, otr_bytes payload, otr_err *err)
{
    (void)topic;
    (void)payload;
    (void)err;
    ((bench *)host)->published++;
    return OTR_OK;
}

static otr_code config(void *host, const char *key, otr_buf *out, otr_err *err)
{
    (void)host;
    (void)out;
    return otr_fail(err, OTR_ENOTFOUND, "no configuration key \"%s\"", key);
}

static otr_code host_call(void *host, const char *op, otr_bytes in, otr_buf *out, otr_err *err)
{
    (void)host;
    (void)in;
    (void)out;
    return otr_fail(err, OTR_EUNSUP, "host operation \"%s\" is not available without an agent", op);
}

static void log_line(void *host, int level, otr_bytes text)
{
    (void)level;
    (void)text;
    ((bench *)host)->logged++;
}

static const otr_host_ops host_ops = {
    .publish = publish, .config = config, .call = host_call, .log = log_line
};

/* ---- guest and input ---- */

/* Without an input of the user's: letters, which also an operation that takes text accepts. */
static otr_code fill_input(bench *b, otr_err *err)
{
    const char *input = b->o->input;
    uint8_t *at;
    if (input != NULL && strcmp(input, "-") == 0) {
        return otr_buf_read_fd(&b->in, STDIN_FILENO, err);
    }
    if (input != NULL) {
        return input[0] == '@' ? otr_buf_read_file(&b->in, input + 1, err)
                               : otr_buf_adds(&b->in, input, err);
    }
    size_t n = (size_t)b->o->bytes;
    otr_code rc = n > 0 ? otr_buf_reserve(&b->in, n, &at, err) : OTR_OK;
    if (rc == OTR_OK && n > 0) {
        for (size_t i = 0; i < n; i++) {
            at[i] = (uint8_t)('a' + i % 26);
        }
        otr_buf_grew(&b->in, n);
    }
    return rc;
}

static otr_code load(bench *b, otr_err *err)
{
    const options *o = b->o;
    const otr_engine_ops *ops = otr_engine_find(o->engine);
    if (ops == NULL) {
        return otr_fail(err, OTR_EUNSUP, "engine \"%s\" is not built in; there are: %s", o->engine,
                        otr_engine_names());
    }
    otr_code rc = otr_buf_read_file(&b->wasm, o->file, err);
    rc = rc == OTR_OK ? fill_input(b, err) : rc;
    rc = rc == OTR_OK ? ops->open(NULL, &b->engine, err) : rc;
    if (rc != OTR_OK) {
        return rc;
    }
    const otr_load_spec spec = {
        .name = o->file, .wasm = otr_buf_bytes(&b->wasm), .abi = o->abi, .rewrite = o->rewrite
    };
    uint64_t began = otr_now_ns();
    rc = otr_guest_load(b->engine, &spec, &b->code, err);
    b->load_ns = otr_now_ns() - began;
    if (rc == OTR_OK && !otr_guest_code_has(b->code, o->operation)) {
        return otr_fail(err, OTR_ENOTFOUND,
                        "no operation \"%s\"; `outrider plugin inspect` lists the exports",
                        o->operation);
    }
    return rc;
}

static otr_code ask(bench *b, uint64_t deadline_ns, otr_err *err)
{
    otr_buf_clear(&b->out);
    b->calls++;
    return otr_guest_call(b->guest, b->o->operation, otr_buf_bytes(&b->in), deadline_ns, &b->out,
                          err);
}

/* How many calls take SAMPLE_NS, by what the fastest of a few took. */
static uint64_t batch_of(uint64_t best_ns)
{
    return best_ns == 0 || best_ns >= SAMPLE_NS ? 1 : SAMPLE_NS / best_ns + 1;
}

static otr_code measure(bench *b, otr_err *err)
{
    uint64_t timeout_ns = b->o->timeout_ms * OTR_NS_PER_MS;
    uint64_t end = otr_now_ns() + (uint64_t)(b->o->seconds * (double)OTR_NS_PER_S);
    uint64_t best = UINT64_MAX, batch = 1;
    for (int warm = 0; b->n < SAMPLES; warm++) {
        uint64_t began = otr_now_ns();
        if (began >= end && b->n > 0) {
            break;
        }
        for (uint64_t i = 0; i < batch; i++) {
            otr_code rc = ask(b, began + timeout_ns, err);
            if (rc != OTR_OK) {
                return rc;
            }
        }
        uint64_t took = otr_now_ns() - began;
        best = took < best ? took : best;
        if (warm < 10 && batch == 1 && began < end) {
            batch = warm == 9 ? batch_of(best) : 1;
        } else {
            b->samples[b->n++] = (double)took / (double)batch;
        }
    }
    return OTR_OK;
}

static otr_code run(bench *b, otr_err *err)
{
    const otr_guest_spec spec = {
        .name = b->o->file,
        .ops = &host_ops,
        .host = b,
        .init_ms = b->o->timeout_ms,
    };
    b->samples = otr_calloc(SAMPLES, sizeof(*b->samples));
    if (b->samples == NULL) {
        return otr_fail_nomem(err);
    }
    uint64_t began = otr_now_ns();
    otr_code rc = otr_guest_new(b->code, &spec, &b->guest, err);
    b->start_ns = otr_now_ns() - began;
    rc = rc == OTR_OK ? ask(b, otr_now_ns() + b->o->timeout_ms * OTR_NS_PER_MS, err) : rc;
    return rc == OTR_OK ? measure(b, err) : rc;
}

/* ---- report ---- */

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double per_second(size_t bytes, double ns)
{
    return ns > 0 ? (double)bytes * (double)OTR_NS_PER_S / ns : 0;
}

static void print_text(const bench *b, double least, double median)
{
    otr_cli_say(stdout, "file       %s", b->o->file);
    otr_cli_say(stdout, "abi        %s", otr_abi_name(otr_guest_code_abi(b->code)));
    otr_cli_say(stdout, "engine     %s%s", b->o->engine, b->o->rewrite ? "" : ", not rewritten");
    otr_cli_say(stdout, "operation  %s", b->o->operation);
    (void)printf("calls      %llu\ncall       min %.1f ns, median %.1f ns\n",
                 (unsigned long long)b->calls, least, median);
    (void)printf("in         %zu bytes, %.1f MB/s\nout        %zu bytes, %.1f MB/s\n", b->in.n,
                 per_second(b->in.n, median) / 1e6, b->out.n, per_second(b->out.n, median) / 1e6);
    (void)printf("memory     %llu bytes\nload       %.3f ms\ninstance   %.1f us\n",
                 (unsigned long long)otr_guest_memory_bytes(b->guest), (double)b->load_ns / 1e6,
                 (double)b->start_ns / 1e3);
    (void)printf("published  %llu\nlogged     %llu\n", (unsigned long long)b->published,
                 (unsigned long long)b->logged);
}

static otr_code print_json(const bench *b, double least, double median, otr_err *err)
{
    otr_jw w;
    otr_buf text;
    otr_buf_init(&text, REPORT_BYTES);
    otr_jw_begin(&w, &text, err);
    otr_jw_obj(&w, NULL);
    otr_jw_str(&w, "file", b->o->file);
    otr_jw_str(&w, "abi", otr_abi_name(otr_guest_code_abi(b->code)));
    otr_jw_str(&w, "engine", b->o->engine);
    otr_jw_bool(&w, "rewrite", b->o->rewrite);
    otr_jw_str(&w, "operation", b->o->operation);
    otr_jw_u64(&w, "calls", b->calls);
    otr_jw_f64(&w, "min_ns", least);
    otr_jw_f64(&w, "median_ns", median);
    otr_jw_u64(&w, "input_bytes", b->in.n);
    otr_jw_u64(&w, "output_bytes", b->out.n);
    otr_jw_f64(&w, "in_bytes_per_s", per_second(b->in.n, median));
    otr_jw_f64(&w, "out_bytes_per_s", per_second(b->out.n, median));
    otr_jw_u64(&w, "memory_bytes", otr_guest_memory_bytes(b->guest));
    otr_jw_u64(&w, "load_ns", b->load_ns);
    otr_jw_u64(&w, "instance_ns", b->start_ns);
    otr_jw_u64(&w, "published", b->published);
    otr_jw_u64(&w, "logged", b->logged);
    otr_jw_obj_end(&w);
    otr_code rc = otr_jw_end(&w);
    if (rc == OTR_OK) {
        (void)printf("%s\n", otr_buf_text(&text));
    }
    otr_buf_deinit(&text);
    return rc;
}

static int report(bench *b)
{
    otr_err err = { 0 };
    otr_code rc = OTR_OK;
    qsort(b->samples, b->n, sizeof(*b->samples), by_size);
    double least = b->samples[0], median = b->samples[b->n / 2];
    if (b->o->json) {
        rc = print_json(b, least, median, &err);
    } else {
        print_text(b, least, median);
    }
    if (rc != OTR_OK) {
        return complain(b->o->file, err.msg);
    }
    return fflush(stdout) == 0 ? 0 : complain("standard output", "cannot be written");
}

int otr_cli_plugin_bench(int argc, char **argv)
{
    options o = {
        .engine = "wasmtime", .timeout_ms = DEFAULT_TIMEOUT_MS, .seconds = 1, .rewrite = true
    };
    int exit_code = read_options(&o, argc, argv);
    if (exit_code != 0) {
        return exit_code;
    }
    otr_err err = { 0 };
    bench b = { .o = &o };
    otr_buf_init(&b.wasm, OTR_LIMIT_PLUGIN_FILE_BYTES);
    otr_buf_init(&b.in, OTR_LIMIT_PLUGIN_OUTPUT_BYTES);
    otr_buf_init(&b.out, OTR_LIMIT_PLUGIN_OUTPUT_BYTES);
    if (load(&b, &err) != OTR_OK) {
        exit_code = complain(o.file, err.msg);
    } else if (run(&b, &err) != OTR_OK) {
        (void)complain(o.file, err.msg);
        exit_code = EXIT_GUEST;
    } else {
        exit_code = report(&b);
    }
    otr_guest_free(b.guest);
    otr_guest_code_free(b.code);
    if (b.engine != NULL) {
        b.engine->ops->close(b.engine);
    }
    otr_free(b.samples);
    otr_buf_deinit(&b.wasm);
    otr_buf_deinit(&b.in);
    otr_buf_deinit(&b.out);
    return exit_code;
}
