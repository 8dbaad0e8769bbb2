/*
 * What guests leave behind, and what many of them take.
 *
 *     bench_soak calls FILE CALLS         growth of guest and process over the calls, after a tenth
 *     bench_soak instances FILE COUNT     memory that so many running instances take
 *     bench_soak cache FOLDER FILE...     time to have all files running, their code in the cache
 *
 * Prints one line of figures with their units.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "wasm/guest.h"

enum { CALL_S = 10, FILES = 64 };

static const char message[] = "{\"id\":7,\"data\":{\"a\":[1,2]}}";

static void check(otr_code rc, const otr_err *err)
{
    if (rc != OTR_OK) {
        (void)fprintf(stderr, "bench_soak: %s\n", err->msg);
        exit(1);
    }
}

static otr_code on_publish(void *host, const char *topic, otr_bytes payload, otr_err *err)
{
    (void)host;
    (void)topic;
    (void)payload;
    (void)err;
    return OTR_OK;
}

static otr_code on_config(void *host, const char *key, otr_buf *out, otr_err *err)
{
    (void)host;
    (void)out;
    return otr_fail(err, OTR_ENOTFOUND, "no key %s", key);
}

static otr_code on_call(void *host, const char *op, otr_bytes in, otr_buf *out, otr_err *err)
{
    (void)host;
    (void)in;
    (void)out;
    return otr_fail(err, OTR_ENOTFOUND, "no operation %s", op);
}

static void on_log(void *host, int level, otr_bytes text)
{
    (void)host;
    (void)level;
    (void)text;
}

static const otr_host_ops ops = {
    .publish = on_publish, .config = on_config, .call = on_call, .log = on_log
};

static double rss_kb(void)
{
    unsigned long total = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f == NULL || fscanf(f, "%lu %lu", &total, &resident) != 2) {
        exit(1);
    }
    (void)fclose(f);
    return (double)resident * (double)sysconf(_SC_PAGESIZE) / 1024;
}

static otr_engine *open_engine(const char *cache)
{
    otr_err err = { 0 };
    otr_engine *engine = NULL;
    check(otr_engine_find("wasmtime")->open(cache, &engine, &err), &err);
    return engine;
}

static otr_guest_code *load(otr_engine *engine, const char *file)
{
    otr_err err = { 0 };
    otr_guest_code *code = NULL;
    otr_buf wasm;
    otr_buf_init(&wasm, OTR_LIMIT_PLUGIN_FILE_BYTES);
    check(otr_buf_read_file(&wasm, file, &err), &err);
    const otr_load_spec spec = { .name = file, .wasm = otr_buf_bytes(&wasm), .rewrite = true };
    check(otr_guest_load(engine, &spec, &code, &err), &err);
    otr_buf_deinit(&wasm);
    return code;
}

static otr_guest *start(otr_guest_code *code)
{
    otr_err err = { 0 };
    otr_guest *guest = NULL;
    const otr_guest_spec spec = { .name = "soak",
                                  .ops = &ops,
                                  .max_memory_bytes = OTR_LIMIT_PLUGIN_MEMORY_BYTES,
                                  .max_vars_bytes = OTR_LIMIT_PLUGIN_VARS_BYTES,
                                  .max_output_bytes = OTR_LIMIT_PLUGIN_OUTPUT_BYTES,
                                  .init_ms = OTR_LIMIT_PLUGIN_INIT_MS };
    check(otr_guest_new(code, &spec, &guest, &err), &err);
    return guest;
}

static void ask(otr_guest *guest, const char *operation, otr_bytes in, otr_buf *out)
{
    otr_err err = { 0 };
    otr_buf_clear(out);
    check(otr_guest_call(guest, operation, in, otr_now_ns() + CALL_S * OTR_NS_PER_S, out, &err),
          &err);
}

static void soak_calls(const char *file, unsigned long calls)
{
    otr_buf out;
    otr_buf_init(&out, OTR_LIMIT_PLUGIN_OUTPUT_BYTES);
    otr_engine *engine = open_engine(NULL);
    otr_guest_code *code = load(engine, file);
    otr_guest *guest = start(code);
    double guest_kb = 0, process_kb = 0;
    uint64_t begun = 0;
    for (unsigned long i = 0; i < calls + calls / 10; i++) {
        if (i == calls / 10) {
            guest_kb = (double)otr_guest_memory_bytes(guest) / 1024;
            process_kb = rss_kb();
            begun = otr_now_ns();
        }
        ask(guest, "process", otr_bytes_of(message), &out);
    }
    double ns = (double)(otr_now_ns() - begun) / (double)calls;
    (void)printf("guest %.0f kB, grew %.0f kB; process %.0f kB, grew %.0f kB; %.0f ns a call\n",
                 guest_kb, (double)otr_guest_memory_bytes(guest) / 1024 - guest_kb, process_kb,
                 rss_kb() - process_kb, ns);
    otr_guest_free(guest);
    otr_guest_code_free(code);
    otr_buf_deinit(&out);
    engine->ops->close(engine);
}

static void soak_instances(const char *file, unsigned long count)
{
    otr_buf out;
    otr_buf_init(&out, OTR_LIMIT_PLUGIN_OUTPUT_BYTES);
    otr_engine *engine = open_engine(NULL);
    otr_guest_code *code = load(engine, file);
    otr_guest **guests = otr_calloc(count, sizeof(*guests));
    if (guests == NULL) {
        exit(1);
    }
    otr_guest_free(start(code)); /* what the first one sets up for all */
    double before = rss_kb();
    for (unsigned long i = 0; i < count; i++) {
        guests[i] = start(code);
        ask(guests[i], "info", otr_bytes_of(""), &out);
        ask(guests[i], "process", otr_bytes_of(message), &out);
    }
    double after = rss_kb();
    for (unsigned long i = 0; i < count; i++) {
        otr_guest_free(guests[i]);
    }
    (void)printf("took %.1f MB, %.1f kB each; %.1f MB stayed when they were gone\n",
                 (after - before) / 1024, (after - before) / (double)count,
                 (rss_kb() - before) / 1024);
    otr_free(guests);
    otr_guest_code_free(code);
    otr_buf_deinit(&out);
    engine->ops->close(engine);
}

static double start_all(const char *cache, char *const *files, int n)
{
    otr_guest_code *codes[FILES];
    otr_guest *guests[FILES];
    otr_buf out;
    otr_buf_init(&out, OTR_LIMIT_PLUGIN_OUTPUT_BYTES);
    otr_engine *engine = open_engine(cache);
    uint64_t begun = otr_now_ns();
    for (int i = 0; i < n; i++) {
        codes[i] = load(engine, files[i]);
        guests[i] = start(codes[i]);
        ask(guests[i], "info", otr_bytes_of(""), &out);
    }
    double ms = (double)(otr_now_ns() - begun) / (double)OTR_NS_PER_MS;
    for (int i = 0; i < n; i++) {
        otr_guest_free(guests[i]);
        otr_guest_code_free(codes[i]);
    }
    otr_buf_deinit(&out);
    engine->ops->close(engine);
    return ms;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "calls") == 0) {
        soak_calls(argv[2], strtoul(argv[3], NULL, 10));
    } else if (argc == 4 && strcmp(argv[1], "instances") == 0) {
        soak_instances(argv[2], strtoul(argv[3], NULL, 10));
    } else if (argc > 3 && argc < 3 + FILES && strcmp(argv[1], "cache") == 0) {
        double first = start_all(argv[2], argv + 3, argc - 3), best = first;
        for (int i = 0; i < 10; i++) {
            double ms = start_all(argv[2], argv + 3, argc - 3);
            best = ms < best ? ms : best;
        }
        (void)printf("%.2f ms; %.2f ms the first time\n", best, first);
    } else {
        (void)fprintf(stderr, "usage: bench_soak calls FILE CALLS | instances FILE COUNT |"
                              " cache FOLDER FILE...\n");
        return 2;
    }
    return 0;
}
