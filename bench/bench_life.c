/*
 * What the life of a plugin costs, from its file to its end.
 *
 *     bench_life compile FILE            compile FILE without a cache
 *     bench_life instance extism|wapc|wit   an instance of compiled code, and its end
 *     bench_life cached FOLDER           ten plugins from the code cache in FOLDER
 *     bench_life thousand extism|wapc|wit   memory of 1,000 instances that answered once
 *     bench_life stop loop|host|fill|filled|wit how long after its deadline a runaway call ends:
 *         an empty loop; calls of the host; memory.fill of 64 MiB, fresh and then touched before
 *
 * Prints "<name> <figure> <unit>" lines; times are the best of several, of `stop` the least, median
 * and most of all.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "wasm/guest.h"

enum { TEN = 10, THOUSAND = 1000, SPAWNS = 500, ROUNDS = 20, STOPS = 40, DEADLINE_MS = 20 };

/* ---- guests ---- */

/* %d makes each a file of its own. */
static const char extism[] =
    "(module"
    " (import \"extism:host/env\" \"input_offset\" (func $offset (result i64)))"
    " (import \"extism:host/env\" \"input_length\" (func $length (result i64)))"
    " (import \"extism:host/env\" \"output_set\" (func $set (param i64 i64)))"
    " (memory (export \"memory\") 1) (data (i32.const 1024) \"plugin %d\")"
    " (func (export \"echo\") (result i32)"
    "  (call $set (call $offset) (call $length)) (i32.const 0)))";

static const char wapc[] = "(module"
                           " (import \"wapc\" \"__guest_request\" (func $q (param i32 i32)))"
                           " (import \"wapc\" \"__guest_response\" (func $r (param i32 i32)))"
                           " (memory (export \"memory\") 1) (data (i32.const 1024) \"plugin %d\")"
                           " (func (export \"__guest_call\") (param i32 i32) (result i32)"
                           "  (call $q (i32.const 0) (i32.const 2048))"
                           "  (call $r (i32.const 2048) (local.get 1)) (i32.const 1)))";

static const char wit[] =
    "(component (core module $m (memory (export \"memory\") 1)"
    " (data (i32.const 1024) \"plugin %d\")"
    " (func (export \"echo\") (param i32 i32) (result i32)"
    "  (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1))"
    "  (i32.const 16))"
    " (func (export \"loop\") (param i32 i32) (result i32) (loop (br 0)) (i32.const 16))"
    " (func (export \"realloc\") (param i32 i32 i32 i32) (result i32) (i32.const 4096)))"
    "(core instance $i (instantiate $m)) (alias core export $i \"memory\" (core memory $mem))"
    "(func (export \"echo\") (param \"in\" (list u8)) (result (list u8))"
    " (canon lift (core func $i \"echo\") (memory $mem) (realloc (func $i \"realloc\"))))"
    "(func (export \"loop\") (param \"in\" (list u8)) (result (list u8))"
    " (canon lift (core func $i \"loop\") (memory $mem) (realloc (func $i \"realloc\")))))";

static const char runaway[] =
    "(module"
    " (import \"extism:host/env\" \"config_get\" (func $config (param i64) (result i64)))"
    " (memory (export \"memory\") 1024)"
    " (func (export \"loop\") (result i32) (loop (br 0)) (i32.const 0))"
    " (func (export \"host\") (result i32) (loop (drop (call $config (i64.const 0))) (br 0))"
    "  (i32.const 0))"
    " (func (export \"fill\") (result i32) (loop"
    "  (memory.fill (i32.const 0) (i32.const 7) (i32.const 0x4000000)) (br 0)) (i32.const 0)))";

static void check(otr_code rc, const otr_err *err)
{
    if (rc != OTR_OK) {
        (void)fprintf(stderr, "bench_life: %s\n", err->msg);
        exit(1);
    }
}

static const char *text_of(const char *abi)
{
    return strcmp(abi, "extism") == 0 ? extism
           : strcmp(abi, "wapc") == 0 ? wapc
           : strcmp(abi, "wit") == 0  ? wit
                                      : NULL;
}

static otr_code config(void *host, const char *key, otr_buf *out, otr_err *err)
{
    (void)host;
    (void)out;
    return otr_fail(err, OTR_ENOTFOUND, "no key %s", key);
}

static const otr_host_ops ops = { .config = config };
static const otr_guest_spec spec = { .name = "bench",
                                     .ops = &ops,
                                     .max_memory_bytes = 128 * OTR_MIB };

static otr_engine *open_engine(const char *cache)
{
    otr_err err = { 0 };
    otr_engine *engine;
    check(otr_engine_find("wasmtime")->open(cache, &engine, &err), &err);
    return engine;
}

static otr_guest_code *load(otr_engine *engine, const char *format, int number)
{
    char text[2048];
    otr_err err = { 0 };
    otr_guest_code *code;
    const char *mark = strstr(format, "%d");
    if (mark != NULL) { /* not as a printf format: it is not one */
        (void)snprintf(text, sizeof(text), "%.*s%d%s", (int)(mark - format), format, number,
                       mark + 2);
    }
    const otr_load_spec one = { .name = "bench",
                                .wasm = otr_bytes_of(mark != NULL ? text : format),
                                .rewrite = true };
    check(otr_guest_load(engine, &one, &code, &err), &err);
    return code;
}

static otr_guest *spawn(otr_guest_code *code)
{
    otr_err err = { 0 };
    otr_guest *guest;
    check(otr_guest_new(code, &spec, &guest, &err), &err);
    return guest;
}

static void ask_once(otr_guest *guest)
{
    otr_err err = { 0 };
    otr_buf out;
    otr_buf_init(&out, OTR_MIB);
    check(otr_guest_call(guest, "echo", otr_bytes_of("hello"), otr_now_ns() + OTR_NS_PER_S, &out,
                         &err),
          &err);
    otr_buf_deinit(&out);
}

/* ---- compile, instance, cached ---- */

static void compile_file(const char *path)
{
    otr_err err = { 0 };
    otr_buf wasm;
    uint64_t best = UINT64_MAX;
    otr_buf_init(&wasm, OTR_LIMIT_PLUGIN_FILE_BYTES);
    check(otr_buf_read_file(&wasm, path, &err), &err);
    otr_engine *engine = open_engine(NULL);
    for (int i = 0; i < ROUNDS; i++) {
        const otr_load_spec one = { .name = path, .wasm = otr_buf_bytes(&wasm), .rewrite = true };
        otr_guest_code *code;
        uint64_t began = otr_now_ns();
        check(otr_guest_load(engine, &one, &code, &err), &err);
        uint64_t took = otr_now_ns() - began;
        otr_guest_code_free(code);
        best = took < best ? took : best;
    }
    engine->ops->close(engine);
    otr_buf_deinit(&wasm);
    (void)printf("compile %.3f ms\n", (double)best / 1e6);
}

static void instance(const char *abi)
{
    uint64_t best = UINT64_MAX, best_both = UINT64_MAX;
    otr_engine *engine = open_engine(NULL);
    otr_guest_code *code = load(engine, text_of(abi), 0);
    ask_once(spawn(code)); /* the ticker runs from here on; the guest stays */
    for (int i = 0; i < ROUNDS * SPAWNS; i++) {
        uint64_t began = otr_now_ns();
        otr_guest *guest = spawn(code);
        uint64_t made = otr_now_ns();
        otr_guest_free(guest);
        uint64_t gone = otr_now_ns();
        best = made - began < best ? made - began : best;
        best_both = gone - began < best_both ? gone - began : best_both;
    }
    (void)printf("new %.2f us\nnew and free %.2f us\n", (double)best / 1e3,
                 (double)best_both / 1e3);
}

static void cached(const char *folder)
{
    static const char *const kinds[] = { extism, wapc, wit };
    uint64_t best = UINT64_MAX;
    for (int round = 0; round <= ROUNDS; round++) { /* the first fills the cache */
        otr_guest_code *codes[TEN];
        otr_guest *guests[TEN];
        otr_engine *engine = open_engine(folder);
        uint64_t began = otr_now_ns();
        for (int i = 0; i < TEN; i++) {
            codes[i] = load(engine, kinds[(size_t)i % OTR_COUNT(kinds)], i);
            guests[i] = spawn(codes[i]);
        }
        uint64_t took = otr_now_ns() - began;
        best = round > 0 && took < best ? took : best;
        for (int i = 0; i < TEN; i++) {
            otr_guest_free(guests[i]);
            otr_guest_code_free(codes[i]);
        }
        engine->ops->close(engine);
    }
    (void)printf("ten %.3f ms\n", (double)best / 1e6);
}

/* ---- thousand ---- */

static double resident_mb(void)
{
    otr_err err = { 0 };
    otr_buf text;
    otr_buf_init(&text, 4096);
    check(otr_buf_read_file(&text, "/proc/self/statm", &err), &err);
    const char *second = strchr(otr_buf_text(&text), ' ');
    double pages = second != NULL ? strtod(second, NULL) : 0;
    otr_buf_deinit(&text);
    return pages * (double)sysconf(_SC_PAGESIZE) / (double)OTR_MIB;
}

static void thousand(const char *abi)
{
    static otr_guest *guests[THOUSAND];
    otr_engine *engine = open_engine(NULL);
    otr_guest_code *code = load(engine, text_of(abi), 0);
    ask_once(spawn(code)); /* the base line has one */
    double before = resident_mb();
    for (size_t i = 0; i < THOUSAND; i++) {
        guests[i] = spawn(code);
        ask_once(guests[i]);
    }
    (void)printf("thousand %.2f MB\n", resident_mb() - before);
    for (size_t i = 0; i < THOUSAND; i++) {
        otr_guest_free(guests[i]);
    }
}

/* ---- stop ---- */

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void stop(const char *kind)
{
    uint64_t late[STOPS];
    bool component = strcmp(kind, "wit") == 0, filled = strcmp(kind, "filled") == 0;
    const char *operation = component ? "loop" : filled ? "fill" : kind;
    uint64_t ms = filled ? 10 * DEADLINE_MS : DEADLINE_MS;
    otr_engine *engine = open_engine(NULL);
    otr_guest_code *code = load(engine, component ? wit : runaway, 0);
    otr_buf out;
    otr_buf_init(&out, OTR_MIB);
    for (int i = 0; i < STOPS; i++) {
        otr_err err = { 0 };
        otr_guest *guest = spawn(code);
        uint64_t deadline = otr_now_ns() + ms * OTR_NS_PER_MS;
        otr_code rc = otr_guest_call(guest, operation, otr_bytes_of("x"), deadline, &out, &err);
        uint64_t now = otr_now_ns();
        late[i] = now > deadline ? now - deadline : 0;
        otr_guest_free(guest);
        if (rc != OTR_ETIMEOUT) {
            (void)fprintf(stderr, "bench_life: not stopped by its deadline: %s\n", err.msg);
            exit(1);
        }
    }
    qsort(late, STOPS, sizeof(late[0]), by_size);
    (void)printf("least %.3f ms\nmedian %.3f ms\nmost %.3f ms\n", (double)late[0] / 1e6,
                 (double)late[STOPS / 2] / 1e6, (double)late[STOPS - 1] / 1e6);
}

int main(int argc, char **argv)
{
    const char *what = argc == 3 ? argv[1] : "";
    if (strcmp(what, "compile") == 0) {
        compile_file(argv[2]);
    } else if (strcmp(what, "instance") == 0 && text_of(argv[2]) != NULL) {
        instance(argv[2]);
    } else if (strcmp(what, "cached") == 0) {
        cached(argv[2]);
    } else if (strcmp(what, "thousand") == 0 && text_of(argv[2]) != NULL) {
        thousand(argv[2]);
    } else if (strcmp(what, "stop") == 0) {
        stop(argv[2]);
    } else {
        (void)fprintf(stderr, "usage: bench_life compile FILE | instance ABI | cached FOLDER |"
                              " thousand ABI | stop loop|host|fill|filled|wit\n");
        return 2;
    }
    return 0;
}
