/* Every import of the Extism ABI, on the kernel and on the rewritten guest. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "support/extism_probe.h"
#include "support/test.h"

/* ---- the host's side ---- */

typedef struct fake {
    char topic[200], op[64];
    uint8_t data[256];
    size_t data_n;
    int level;
    size_t log_n, logs;
    char log[64];
    bool http_ok, http_cut;
} fake;

static void keep(fake *f, otr_bytes bytes)
{
    f->data_n = bytes.n < sizeof(f->data) ? bytes.n : sizeof(f->data);
    if (f->data_n > 0) {
        memcpy(f->data, bytes.p, f->data_n);
    }
}

static otr_code publish(void *host, const char *topic, otr_bytes payload, otr_err *err)
{
    fake *f = host;
    if (strcmp(topic, "denied") == 0) {
        return otr_fail(err, OTR_EDENIED, "no grant for denied");
    }
    (void)snprintf(f->topic, sizeof(f->topic), "%s", topic);
    keep(f, payload);
    return OTR_OK;
}

static otr_code config(void *host, const char *key, otr_buf *out, otr_err *err)
{
    (void)host;
    if (strcmp(key, "broken") == 0) {
        return otr_fail(err, OTR_EIO, "the config cannot be read");
    }
    return strcmp(key, "greeting") == 0 ? otr_buf_adds(out, "hello", err)
                                        : otr_fail(err, OTR_ENOTFOUND, "no key");
}

static otr_code answer_http(const fake *f, otr_buf *out, otr_err *err)
{
    static const char json[] = "{\"status\":201,\"headers\":{\"a\":\"b\"}}";
    const uint8_t n[4] = { (uint8_t)(f->http_cut ? 250 : sizeof(json) - 1) };
    otr_code rc = otr_buf_add(out, (otr_bytes){ n, sizeof(n) }, err);
    if (rc == OTR_OK) {
        rc = otr_buf_adds(out, json, err);
    }
    return rc == OTR_OK ? otr_buf_adds(out, "body!", err) : rc;
}

static otr_code call(void *host, const char *op, otr_bytes in, otr_buf *out, otr_err *err)
{
    fake *f = host;
    (void)snprintf(f->op, sizeof(f->op), "%s", op);
    keep(f, in);
    if (strcmp(op, "http.request") == 0) {
        return f->http_ok ? answer_http(f, out, err)
                          : otr_fail(err, OTR_EDENIED, "HTTP request to example is not allowed");
    }
    return strcmp(op, "echo") == 0 ? otr_buf_add(out, in, err)
                                   : otr_fail(err, OTR_ENOTFOUND, "no operation %s", op);
}

static void log_line(void *host, int level, otr_bytes text)
{
    fake *f = host;
    f->level = level;
    f->log_n = text.n;
    f->logs++;
    (void)snprintf(f->log, sizeof(f->log), "%.*s", (int)(text.n < 60 ? text.n : 60),
                   text.n > 0 ? (const char *)text.p : "");
}

static const otr_host_ops host_ops = {
    .publish = publish, .config = config, .call = call, .log = log_line
};

/* ---- guests; compiled before the tests, so that failing allocations meet the adapter only ---- */

static otr_engine *engine;
static otr_guest_code *probes[2]; /* kernel, rewritten */

static otr_code load_text(const char *text, bool rewrite, otr_guest_code **ret, otr_err *err)
{
    otr_buf wasm;
    otr_buf_init(&wasm, 1 << 20);
    otr_code rc = probe_binary(text, &wasm, err);
    if (rc == OTR_OK) {
        const otr_load_spec spec = {
            .name = "probe.wasm", .wasm = otr_buf_bytes(&wasm), .abi = "extism", .rewrite = rewrite
        };
        rc = otr_guest_load(engine, &spec, ret, err);
    }
    otr_buf_deinit(&wasm);
    return rc;
}

__attribute__((constructor)) static void set_up(void)
{
    otr_err err = { 0 };
    otr_buf text;
    otr_buf_init(&text, 1 << 20);
    const otr_engine_ops *ops = otr_engine_find("wasmtime");
    otr_code rc = ops->open(NULL, &engine, &err);
    if (rc == OTR_OK) {
        rc = probe_text(ENV_, &text, &err);
    }
    for (int i = 0; rc == OTR_OK && i < 2; i++) {
        const otr_guest_spec spec = { .name = "probe", .ops = &host_ops };
        otr_guest *first = NULL; /* what the engine keeps with the module comes with it */
        rc = load_text(otr_buf_text(&text), i == 1, &probes[i], &err);
        if (rc == OTR_OK) {
            rc = otr_guest_new(probes[i], &spec, &first, &err);
        }
        otr_guest_free(first);
    }
    if (rc != OTR_OK) {
        (void)fprintf(stderr, "set-up: %s\n", err.msg);
    }
    otr_buf_deinit(&text);
}

__attribute__((destructor)) static void tear_down(void)
{
    otr_guest_code_free(probes[0]);
    otr_guest_code_free(probes[1]);
    engine->ops->close(engine);
}

static void guest_freep(otr_guest **g)
{
    otr_guest_free(*g);
}

static void code_freep(otr_guest_code **code)
{
    otr_guest_code_free(*code);
}

static otr_code spawn(otr_guest_code *code, fake *f, otr_guest **ret, otr_err *err)
{
    const otr_guest_spec spec = { .name = "probe",
                                  .ops = &host_ops,
                                  .host = f,
                                  .max_memory_bytes = 8U << 20,
                                  .max_vars_bytes = 1000,
                                  .max_output_bytes = 1 << 20,
                                  .init_ms = 5000 };
    return otr_guest_new(code, &spec, ret, err);
}

#define OWNED_GUEST OTR_CLEANUP(guest_freep) otr_guest *
#define OWNED_CODE  OTR_CLEANUP(code_freep) otr_guest_code *
#define OWNED_BUF   OTR_CLEANUP(otr_buf_deinit) otr_buf

/* Runs `p` in `g`; `out` (may be NULL) gets the answer. */
static otr_code run_with(const probe *p, otr_guest *g, otr_bytes in, otr_buf *out, otr_err *err)
{
    OWNED_BUF own;
    otr_buf_init(&own, 2U << 20);
    otr_code rc = probe_load(p, g, err);
    return rc == OTR_OK ? otr_guest_call(g, "run", in, 0, out != NULL ? out : &own, err) : rc;
}

static otr_code run(const probe *p, otr_guest *g, otr_err *err)
{
    return run_with(p, g, otr_bytes_of("input of the test"), NULL, err);
}

static probe program; /* too large for a stack */

static probe *fresh(void)
{
    program.n = 0;
    program.code = 0;
    return &program;
}

static uint32_t do0(uint32_t op)
{
    return probe_do(&program, op, V(0), V(0));
}

static uint32_t do1(uint32_t op, probe_arg a)
{
    return probe_do(&program, op, a, V(0));
}

static uint32_t do2(uint32_t op, probe_arg a, probe_arg b)
{
    return probe_do(&program, op, a, b);
}

/* A block with `text`; the index of the record that allocated it. */
static uint32_t put(const char *text)
{
    uint32_t at = do1(P_alloc, V((int64_t)strlen(text)));
    for (int64_t i = 0; text[i] != '\0'; i++) {
        (void)do2(P_store_u8, RV(at, i), V((uint8_t)text[i]));
    }
    return at;
}

/* A test body runs with each of these. */
#define EACH_KIND(body)                                        \
    for (int kind = 0; kind < 2; kind++) {                     \
        otr_err err = { 0 };                                   \
        fake host = { 0 };                                     \
        OWNED_GUEST g = NULL;                                  \
        (void)fresh();                                         \
        REQUIRE_OK(spawn(probes[kind], &host, &g, &err), err); \
        body(g, &host);                                        \
    }

/* ---- memory ---- */

static void edges_of_loads_and_stores(otr_guest *g, fake *host)
{
    static const int64_t outside8[] = {
        0,     8,  505, 511,      65529, 65536,     131072,
        -1,    -8, -9,  -512,     -520,  1LL << 32, (1LL << 32) + 512,
        65535, 1,  500, INT64_MIN
    };
    static const int64_t outside1[] = { 0, 511, 65536, -1, -512, 1LL << 32, (1LL << 32) + 512 };
    otr_err err = { 0 };
    (void)host;
    for (size_t i = 0; i < OTR_COUNT(outside8); i++) {
        (void)do2(P_store_u64, V(outside8[i]), V(-1));
    }
    for (size_t i = 0; i < OTR_COUNT(outside1); i++) {
        (void)do2(P_store_u8, V(outside1[i]), V(0xff));
    }
    uint32_t first = program.n;
    for (size_t i = 0; i < OTR_COUNT(outside8); i++) {
        (void)do1(P_load_u64, V(outside8[i]));
    }
    for (size_t i = 0; i < OTR_COUNT(outside1); i++) {
        (void)do1(P_load_u8, V(outside1[i]));
    }
    uint32_t end = program.n;
    (void)do2(P_store_u64, V(65528), V(0x1122334455667788));
    uint32_t last8 = do1(P_load_u64, V(65528));
    uint32_t last1 = do1(P_load_u8, V(65535));
    uint32_t low = do1(P_load_u64, V(512));
    uint32_t length = do0(P_input_length);
    REQUIRE_OK(run(&program, g, &err), err);
    for (uint32_t i = first; i < end; i++) {
        CHECK_INT(probe_result(g, i), 0);
    }
    CHECK_INT(probe_result(g, last8), 0x1122334455667788);
    CHECK_INT(probe_result(g, last1), 0x11);
    CHECK(probe_result(g, low) != 0); /* the input's header */
    CHECK_INT(probe_result(g, length), 17);
}

T(what_is_outside_extism_memory_loads_zero_and_ignores_stores)
{
    EACH_KIND(edges_of_loads_and_stores)
}

static void bounds_follow_growth(otr_guest *g, fake *host)
{
    otr_err err = { 0 };
    (void)host;
    uint32_t before = do1(P_load_u64, V(100000));
    uint32_t at = do1(P_alloc, V(200000));
    (void)do2(P_store_u64, RV(at, 199992), V(77));
    uint32_t after = do1(P_load_u64, RV(at, 199992));
    REQUIRE_OK(run(&program, g, &err), err);
    CHECK_INT(probe_result(g, before), 0);
    CHECK_INT(probe_result(g, after), 77);
}

T(bounds_move_when_alloc_grows_the_memory)
{
    EACH_KIND(bounds_follow_growth)
}

static void alloc_and_length(otr_guest *g, fake *host)
{
    otr_err err = { 0 };
    (void)host;
    (void)do1(P_alloc, V(1 << 16)); /* beyond the first page, blocks are used again at once */
    uint32_t none = do1(P_alloc, V(0));
    uint32_t huge = do1(P_alloc, V(1LL << 40));
    uint32_t negative = do1(P_alloc, V(-1));
    uint32_t beyond = do1(P_alloc, V(100 << 20));
    uint32_t a = do1(P_alloc, V(5));
    uint32_t b = do1(P_alloc, V(300));
    uint32_t length_a = do1(P_length, R(a)), length_b = do1(P_length_unsafe, R(b));
    uint32_t inside = do1(P_length, RV(b, 8)), before = do1(P_length, RV(b, -1));
    uint32_t null = do1(P_length, V(0)), wild = do1(P_length, V(-16));
    uint32_t input = do1(P_length, V(528));
    (void)do1(P_free, R(a));
    uint32_t freed = do1(P_length, R(a));
    uint32_t again = do1(P_alloc, V(9));
    (void)do1(P_free, R(b));
    (void)do1(P_free, R(b));
    (void)do1(P_free, V(12345));
    uint32_t split = do1(P_alloc, V(40)), zeroed = do1(P_alloc, V(16));
    REQUIRE_OK(run(&program, g, &err), err);
    CHECK_INT(probe_result(g, none) | probe_result(g, huge) | probe_result(g, negative), 0);
    CHECK_INT(probe_result(g, beyond), 0);
    CHECK_INT(probe_result(g, length_a), 5);
    CHECK_INT(probe_result(g, length_b), 300);
    CHECK_INT(probe_result(g, inside) | probe_result(g, before) | probe_result(g, null) |
                  probe_result(g, wild) | probe_result(g, freed),
              0);
    CHECK_INT(probe_result(g, input), 17);
    CHECK_INT(probe_result(g, again), probe_result(g, a)); /* reuse */
    CHECK_INT(probe_result(g, split), probe_result(g, b));
    CHECK(probe_result(g, zeroed) > probe_result(g, split));
}

T(blocks_have_a_length_and_are_used_again){ EACH_KIND(alloc_and_length) }

T(a_large_free_block_is_split)
{
    fake host = { 0 };
    otr_err err = { 0 };
    OWNED_GUEST g = NULL;
    (void)fresh();
    REQUIRE_OK(spawn(probes[0], &host, &g, &err), err);
    (void)do1(P_alloc, V(1 << 16));
    uint32_t large = do1(P_alloc, V(4000)), guard = do1(P_alloc, V(16));
    (void)do1(P_free, R(large));
    uint32_t one = do1(P_alloc, V(100)), two = do1(P_alloc, V(100)), three = do1(P_alloc, V(2000));
    uint32_t lengths[] = { do1(P_length, R(one)), do1(P_length, R(two)), do1(P_length, R(three)) };
    REQUIRE_OK(run(&program, g, &err), err);
    CHECK_INT(probe_result(g, one), probe_result(g, large));
    CHECK(probe_result(g, two) > probe_result(g, one));
    CHECK(probe_result(g, three) < probe_result(g, guard));
    CHECK_INT(probe_result(g, lengths[0]), 100);
    CHECK_INT(probe_result(g, lengths[1]), 100);
    CHECK_INT(probe_result(g, lengths[2]), 2000);
}

static void input_ends(otr_guest *g, fake *host)
{
    otr_err err = { 0 };
    (void)host;
    uint32_t at9 = do1(P_input_load_u64, V(9)), at10 = do1(P_input_load_u64, V(10));
    uint32_t last = do1(P_input_load_u8, V(16)), past = do1(P_input_load_u8, V(17));
    uint32_t wrap8 = do1(P_input_load_u64, V(-1)), wrap1 = do1(P_input_load_u8, V(-1));
    (void)do1(P_free, V(528));
    uint32_t gone = do0(P_input_length), unread = do1(P_input_load_u8, V(0));
    REQUIRE_OK(run(&program, g, &err), err);
    CHECK_INT(probe_result(g, at9), 0x7473657420656874); /* "the test" */
    CHECK_INT(probe_result(g, last), 't');
    CHECK_INT(probe_result(g, at10) | probe_result(g, past) | probe_result(g, wrap8) |
                  probe_result(g, wrap1) | probe_result(g, gone) | probe_result(g, unread),
              0);
    program.n = 0;
    uint32_t length = do0(P_input_length), offset = do0(P_input_offset);
    uint32_t byte = do1(P_input_load_u8, V(0)), word = do1(P_input_load_u64, V(0));
    REQUIRE_OK(run_with(&program, g, (otr_bytes){ NULL, 0 }, NULL, &err), err);
    CHECK_INT(probe_result(g, length) | probe_result(g, offset) | probe_result(g, byte) |
                  probe_result(g, word),
              0);
}

T(reading_input_stops_at_its_end)
{
    EACH_KIND(input_ends)
}

static void old_blocks(otr_guest *g, fake *host)
{
    otr_err err = { 0 };
    (void)host;
    uint32_t at = do1(P_alloc, V(64));
    (void)do2(P_store_u64, RV(at, 8), V(-1));
    (void)do2(P_store_u64, RV(at, 56), V(-1));
    REQUIRE_OK(run(&program, g, &err), err);
    int64_t old = (int64_t)probe_result(g, at);
    program.n = 0;
    uint32_t length = do1(P_length, V(old));
    uint32_t a = do1(P_load_u64, V(old + 8)), b = do1(P_load_u64, V(old + 56));
    uint32_t again = do1(P_alloc, V(64));
    REQUIRE_OK(run(&program, g, &err), err);
    CHECK_INT(probe_result(g, length), 0);
    CHECK_INT(probe_result(g, a) | probe_result(g, b), 0);
    CHECK_INT(probe_result(g, again), old);
    (void)do0(P_reset);
    uint32_t cleared = do0(P_input_length), first = do1(P_alloc, V(8));
    REQUIRE_OK(run(&program, g, &err), err);
    CHECK_INT(probe_result(g, cleared), 0);
    CHECK_INT(probe_result(g, first), 528);
}

T(a_call_finds_nothing_of_the_call_before)
{
    EACH_KIND(old_blocks)
}

enum { LARGE = 40000, STEP = 4000 };

/* Writes all over a large block and gives `n` bytes of it from `from` on as the answer; then looks.
 */
static void old_answer(otr_guest *g, int64_t from, int64_t n, otr_err *err)
{
    OWNED_BUF out;
    otr_buf_init(&out, 1 << 20);
    program.n = 0;
    uint32_t at = do1(P_alloc, V(LARGE)), looks[LARGE / STEP];
    for (int64_t k = 0; k < LARGE; k += STEP) {
        (void)do2(P_store_u64, RV(at, k), V(-1));
    }
    (void)do2(P_output_set, RV(at, from), V(n));
    REQUIRE_OK(run_with(&program, g, otr_bytes_of("x"), &out, err), *err);
    CHECK_INT(out.n, n);
    CHECK_INT(out.p[STEP - from % STEP], 0xff);
    int64_t old = (int64_t)probe_result(g, at);
    program.n = 0;
    for (int k = 0; k < LARGE / STEP; k++) {
        looks[k] = do1(P_load_u64, V(old + (int64_t)k * STEP));
    }
    REQUIRE_OK(run_with(&program, g, otr_bytes_of("x"), NULL, err), *err);
    for (int k = 0; k < LARGE / STEP; k++) {
        CHECK_INT(probe_result(g, looks[k]), 0);
    }
}

static void old_answers(otr_guest *g, fake *host)
{
    otr_err err = { 0 };
    (void)host;
    old_answer(g, 0, LARGE, &err);
    old_answer(g, 8, LARGE - 16, &err);
    old_answer(g, 0, 12000, &err);
    old_answer(g, 20000, 20000, &err);
    old_answer(g, 20000, 40000, &err); /* past the block */
}

T(a_call_finds_nothing_of_the_answer_before){ EACH_KIND(old_answers) }

T(zeroing_can_be_turned_off)
{
    const otr_guest_spec spec = { .name = "probe", .ops = &host_ops, .zeroing = OTR_ZERO_NEVER };
    otr_err err = { 0 };
    OWNED_GUEST g = NULL;
    (void)fresh();
    REQUIRE_OK(otr_guest_new(probes[0], &spec, &g, &err), err);
    uint32_t at = do1(P_alloc, V(64));
    (void)do2(P_store_u64, RV(at, 8), V(42));
    REQUIRE_OK(run(&program, g, &err), err);
    int64_t old = (int64_t)probe_result(g, at);
    program.n = 0;
    uint32_t left = do1(P_load_u64, V(old + 8)), length = do1(P_length, V(old));
    REQUIRE_OK(run(&program, g, &err), err);
    CHECK_INT(probe_result(g, left), 42);
    CHECK_INT(probe_result(g, length), 0);
}

/* What is given back is found zero; the first megabyte is kept. */
T(rest_gives_back_what_a_large_call_took)
{
    const otr_guest_spec spec = { .name = "probe", .ops = &host_ops, .zeroing = OTR_ZERO_NEVER };
    otr_err err = { 0 };
    OWNED_GUEST g = NULL;
    (void)fresh();
    REQUIRE_OK(otr_guest_new(probes[0], &spec, &g, &err), err);
    if (!g->inst->steady) {
        otr_test_skip("memories move here: the address space is limited");
        return;
    }
    uint32_t at = do1(P_alloc, V(4 << 20));
    (void)do2(P_store_u64, RV(at, 64), V(42));
    (void)do2(P_store_u64, RV(at, 3 << 20), V(43));
    REQUIRE_OK(run(&program, g, &err), err);
    int64_t old = (int64_t)probe_result(g, at);
    otr_guest_rest(g);
    program.n = 0;
    uint32_t near = do1(P_load_u64, V(old + 64)), far = do1(P_load_u64, V(old + (3 << 20)));
    uint32_t again = do1(P_alloc, V(4 << 20));
    (void)do2(P_store_u64, RV(again, 3 << 20), V(44));
    uint32_t back = do1(P_load_u64, RV(again, 3 << 20));
    REQUIRE_OK(run(&program, g, &err), err);
    CHECK_INT(probe_result(g, near), 42);
    CHECK_INT(probe_result(g, far), 0);
    CHECK_INT(probe_result(g, back), 44);
}

/* ---- answers ---- */

static void ranges_of_output(otr_guest *g, fake *host)
{
    otr_err err = { 0 };
    OWNED_BUF out;
    otr_buf_init(&out, 1 << 20);
    (void)host;
    (void)do2(P_output_set, V(531), V(5)); /* inside the input's block */
    (void)do2(P_output_set, V(0), V(8));
    (void)do2(P_output_set, V(65530), V(7));
    (void)do2(P_output_set, V(528), V(-1));
    (void)do2(P_output_set, V(-8), V(16));
    (void)do2(P_output_set, V(1LL << 32), V(0));
    REQUIRE_OK(run_with(&program, g, otr_bytes_of("0123456789"), &out, &err), err);
    CHECK_STR(otr_buf_text(&out), "34567");
    (void)do2(P_output_set, V(65529), V(7));
    REQUIRE_OK(run_with(&program, g, otr_bytes_of("0123456789"), &out, &err), err);
    CHECK_INT(out.n, 12); /* appended */
    (void)do2(P_output_set, V(528), V(0));
    otr_buf_clear(&out);
    REQUIRE_OK(run_with(&program, g, otr_bytes_of("0123456789"), &out, &err), err);
    CHECK_INT(out.n, 0);
}

T(output_is_any_range_inside_and_keeps_the_last_good_one)
{
    EACH_KIND(ranges_of_output)
}

static void errors_both_ways(otr_guest *g, fake *host)
{
    otr_err err = { 0 };
    OWNED_BUF out;
    otr_buf_init(&out, 1 << 20);
    (void)host;
    REQUIRE(otr_buf_adds(&out, "kept", &err) == OTR_OK);
    uint32_t text = put("it went wrong");
    (void)do1(P_error_set, R(text));
    (void)do1(P_error_set, V(1LL << 40)); /* ignored */
    uint32_t get = do0(P_error_get);
    CHECK_INT(run_with(&program, g, otr_bytes_of("x"), &out, &err), OTR_EINVAL);
    CHECK_STR(err.msg, "it went wrong"); /* though its result is 0 */
    CHECK_INT(probe_result(g, get), probe_result(g, text));
    program.code = 3;
    CHECK_INT(run_with(&program, g, otr_bytes_of("x"), &out, &err), OTR_EINVAL);
    CHECK_STR(err.msg, "it went wrong");
    (void)do1(P_error_set, V(0));
    CHECK_INT(run_with(&program, g, otr_bytes_of("x"), &out, &err), OTR_EINVAL);
    CHECK_STR(err.msg, "run failed with code 3 and no error text");
    (void)do1(P_error_set, V(700));
    CHECK_INT(run_with(&program, g, otr_bytes_of("x"), &out, &err), OTR_EINVAL);
    CHECK_STR(err.msg, "run failed with code 3 and an error that has no text");
    program.n = 0;
    program.code = 7;
    REQUIRE_OK(probe_load(&program, g, &err), err);
    CHECK_INT(otr_guest_call(g, "run_void", otr_bytes_of("x"), 0, &out, &err), OTR_OK);
    CHECK(!otr_guest_dead(g));
    CHECK_STR(otr_buf_text(&out), "kept");
}

T(the_result_says_whether_it_failed_and_the_error_says_why){ EACH_KIND(errors_both_ways) }

T(operations_are_exports_without_arguments)
{
    fake host = { 0 };
    otr_err err = { 0 };
    OWNED_GUEST g = NULL;
    OWNED_BUF out;
    otr_buf_init(&out, 100);
    REQUIRE_OK(spawn(probes[0], &host, &g, &err), err);
    CHECK_INT(otr_guest_call(g, "absent", (otr_bytes){ 0 }, 0, &out, &err), OTR_ENOTFOUND);
    CHECK_STR(err.msg, "the guest exports no function absent");
    CHECK_INT(otr_guest_call(g, "memory", (otr_bytes){ 0 }, 0, &out, &err), OTR_ENOTFOUND);
    CHECK_INT(otr_guest_call(g, "wrong", (otr_bytes){ 0 }, 0, &out, &err), OTR_ENOTFOUND);
    CHECK_HAS(err.msg, "(i32)");
    CHECK(!otr_guest_dead(g));
    CHECK(otr_guest_code_has(probes[1], "run") && otr_guest_code_has(probes[1], "run_void"));
    CHECK(!otr_guest_code_has(probes[1], "wrong") && !otr_guest_code_has(probes[1], "absent"));
}

T(an_output_over_the_limit_is_an_error_that_the_guest_survives)
{
    fake host = { 0 };
    otr_err err = { 0 };
    OWNED_GUEST g = NULL;
    (void)fresh();
    REQUIRE_OK(spawn(probes[1], &host, &g, &err), err);
    uint32_t at = do1(P_alloc, V(2 << 20));
    (void)do2(P_output_set, R(at), V((1 << 20) + 1));
    CHECK_INT(run(&program, g, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "the limit is 1048576");
    program.n = 0;
    CHECK_INT(run(&program, g, &err), OTR_OK);
}

T(an_input_over_the_memory_limit_is_an_error_that_the_guest_survives)
{
    fake host = { 0 };
    otr_err err = { 0 };
    OWNED_GUEST g = NULL;
    (void)fresh();
    uint8_t *large = otr_zalloc(9U << 20);
    REQUIRE(large != NULL);
    otr_code rc = spawn(probes[0], &host, &g, &err);
    if (rc == OTR_OK) {
        rc = run_with(&program, g, (otr_bytes){ large, 9U << 20 }, NULL, &err);
        CHECK_INT(rc, OTR_EINVAL);
        CHECK_HAS(err.msg, "does not fit");
        CHECK_INT(run_with(&program, g, (otr_bytes){ large, 6U << 20 }, NULL, &err), OTR_OK);
    }
    otr_free(large);
}

/* ---- config, variables, log ---- */

static void config_values(otr_guest *g, fake *host)
{
    otr_err err = { 0 };
    (void)host;
    uint32_t value = do1(P_config_get, R(put("greeting")));
    uint32_t length = do1(P_length, R(value)), text = do1(P_load_u64, R(value));
    uint32_t absent = do1(P_config_get, R(put("absent")));
    uint32_t null = do1(P_config_get, V(0));
    REQUIRE_OK(run(&program, g, &err), err);
    CHECK_INT(probe_result(g, length), 5);
    CHECK_INT(probe_result(g, text) & 0xffffffffff, 0x6f6c6c6568);
    CHECK_INT(probe_result(g, absent) | probe_result(g, null), 0);
    program.n = 0;
    (void)do1(P_config_get, R(put("broken")));
    CHECK_INT(run(&program, g, &err), OTR_EINVAL);
    CHECK_STR(err.msg, "the config cannot be read");
    program.n = 0;
    (void)do1(P_config_get, V(4711));
    CHECK_INT(run(&program, g, &err), OTR_EGUEST);
    CHECK_HAS(err.msg, "4711 is not a handle");
    CHECK(otr_guest_dead(g));
}

T(config_get_gives_values_and_zero_for_none)
{
    EACH_KIND(config_values)
}

static void variables(otr_guest *g, fake *host)
{
    otr_err err = { 0 };
    (void)host;
    uint32_t none = do1(P_var_get, R(put("k")));
    (void)do2(P_var_set, R(put("k")), R(put("first!!!")));
    (void)do2(P_var_set, R(put("key two")), R(put("2")));
    REQUIRE_OK(run(&program, g, &err), err);
    CHECK_INT(probe_result(g, none), 0);
    program.n = 0;
    uint32_t got = do1(P_var_get, R(put("k"))), length = do1(P_length, R(got));
    uint32_t text = do1(P_load_u64, R(got));
    (void)do2(P_var_set, R(put("k")), R(put("changed")));
    uint32_t changed = do1(P_length, R(do1(P_var_get, R(put("k")))));
    (void)do2(P_var_set, R(put("k")), V(0));
    (void)do2(P_var_set, R(put("k")), V(0));
    uint32_t removed = do1(P_var_get, R(put("k")));
    uint32_t kept = do1(P_length, R(do1(P_var_get, R(put("key two")))));
    REQUIRE_OK(run(&program, g, &err), err);
    CHECK_INT(probe_result(g, length), 8);
    CHECK_INT(probe_result(g, text), 0x2121217473726966);
    CHECK_INT(probe_result(g, changed), 7);
    CHECK_INT(probe_result(g, removed), 0);
    CHECK_INT(probe_result(g, kept), 1);
}

T(variables_live_as_long_as_the_instance)
{
    EACH_KIND(variables)
}

static void variable_quota(otr_guest *g, fake *host)
{
    enum { MOST = 1000 - 3 - 48 };
    otr_err err = { 0 };
    (void)host;
    (void)do2(P_var_set, R(put("big")), R(do1(P_alloc, V(MOST))));
    (void)do2(P_var_set, R(put("big")), R(do1(P_alloc, V(MOST)))); /* in its own place */
    REQUIRE_OK(run(&program, g, &err), err);
    (void)do2(P_var_set, R(put("big")), R(do1(P_alloc, V(MOST + 1))));
    uint32_t told = do1(P_length, R(do0(P_error_get)));
    uint32_t kept = do1(P_length, R(do1(P_var_get, R(put("big")))));
    CHECK_INT(run(&program, g, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "the limit is 1000");
    CHECK(probe_result(g, told) > 0);
    CHECK_INT(probe_result(g, kept), MOST);
    (void)do1(P_error_set, V(0)); /* the guest can live with it */
    REQUIRE_OK(run(&program, g, &err), err);
}

T(variables_end_at_their_quota)
{
    EACH_KIND(variable_quota)
}

static void logging(otr_guest *g, fake *host)
{
    static const int levels[] = { -1, OTR_LOG_DEBUG, OTR_LOG_INFO, OTR_LOG_WARN, OTR_LOG_ERROR };
    otr_err err = { 0 };
    for (uint32_t i = 0; i < 5; i++) {
        (void)fresh();
        (void)do1(P_log_trace + i, R(put("a line")));
        REQUIRE_OK(run(&program, g, &err), err);
        CHECK_INT(host->level, levels[i]);
        CHECK_STR(host->log, "a line");
    }
    (void)fresh();
    (void)do1(P_log_warn, V(0));
    uint32_t level = do0(P_get_log_level);
    REQUIRE_OK(run(&program, g, &err), err);
    CHECK_INT(host->log_n, 0);
    CHECK_INT(probe_result(g, level), otr_log_get_level() + 1);
    (void)do1(P_log_info, R(do1(P_alloc, V(100000))));
    REQUIRE_OK(run(&program, g, &err), err);
    CHECK_INT(host->log_n, OTR_LIMIT_PLUGIN_LOG_BYTES);
    (void)do1(P_log_info, V(99));
    CHECK_INT(run(&program, g, &err), OTR_EGUEST);
}

T(log_lines_have_levels_and_a_length_limit)
{
    EACH_KIND(logging)
}

/* ---- http, ours ---- */

static void http(otr_guest *g, fake *host)
{
    otr_err err = { 0 };
    uint32_t request = put("{}"), body = put("the body");
    uint32_t answer = do2(P_http_request, R(request), R(body));
    uint32_t status = do0(P_http_status_code), headers = do0(P_http_headers);
    uint32_t length = do1(P_length, R(answer)), text = do1(P_load_u64, R(headers));
    CHECK_INT(run(&program, g, &err), OTR_EINVAL);
    CHECK_STR(err.msg, "HTTP request to example is not allowed");
    CHECK_INT(probe_result(g, answer) | probe_result(g, status) | probe_result(g, headers), 0);
    CHECK(!otr_guest_dead(g));
    host->http_ok = true;
    REQUIRE_OK(run(&program, g, &err), err);
    CHECK_INT(host->data_n, 4 + 2 + 8);
    CHECK(memcmp(host->data, "\2\0\0\0{}the body", 14) == 0);
    CHECK_INT(probe_result(g, status), 201);
    CHECK_INT(probe_result(g, length), 5);
    CHECK_INT(probe_result(g, text), 0x2262223a2261227b); /* {"a":"b" */
    host->http_cut = true;
    CHECK_INT(run(&program, g, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "cut off");
}

T(http_requests_go_to_the_host_and_refusals_to_the_guest)
{
    EACH_KIND(http)
}

static void own_functions(otr_guest *g, fake *host)
{
    otr_err err = { 0 };
    uint32_t data = put("payload!");
    uint32_t ok = do2(P_outrider_publish, R(put("a.b.c")), R(data));
    uint32_t denied = do2(P_outrider_publish, R(put("denied")), R(data));
    uint32_t why = do1(P_length, R(denied));
    uint32_t no_name = do2(P_outrider_publish, R(do1(P_alloc, V(1000))), V(0));
    uint32_t called = do2(P_outrider_call, R(put("echo")), R(data));
    uint32_t echoed = do1(P_load_u64, R(called)), no_error = do0(P_outrider_error);
    uint32_t unknown = do2(P_outrider_call, R(put("nothing")), V(0));
    uint32_t error = do1(P_length, R(do0(P_outrider_error)));
    REQUIRE_OK(run(&program, g, &err), err);
    CHECK_STR(host->topic, "a.b.c");
    CHECK_INT(probe_result(g, ok), 0);
    CHECK_INT(probe_result(g, why), strlen("no grant for denied"));
    CHECK(probe_result(g, no_name) != 0);
    CHECK_INT(probe_result(g, echoed), 0x2164616f6c796170);
    CHECK_INT(probe_result(g, no_error) | probe_result(g, unknown), 0);
    CHECK_INT(probe_result(g, error), strlen("no operation nothing"));
}

T(publish_and_call_report_errors_as_text)
{
    EACH_KIND(own_functions)
}

/* ---- hostile guests ---- */

static void broken_headers(otr_guest *g, fake *host)
{
    otr_err err = { 0 };
    (void)host;
    for (int64_t step = -16; step <= 0; step += 8) { /* tag, size and next of a free block */
        (void)fresh();
        uint32_t a = do1(P_alloc, V(64)), b = do1(P_alloc, V(64));
        (void)do1(P_free, R(a));
        (void)do2(P_store_u64, RV(a, step), V(step == -8 ? INT64_MAX : -1));
        for (int i = 0; i < 4; i++) {
            (void)do1(P_alloc, V(64));
        }
        (void)do1(P_free, R(b));
        otr_code rc = run(&program, g, &err);
        CHECK(rc == OTR_OK || rc == OTR_EGUEST);
        if (rc != OTR_OK) {
            return;
        }
    }
    (void)fresh();
    uint32_t at = do1(P_alloc, V(16));
    REQUIRE_OK(run(&program, g, &err), err);
    CHECK_INT(probe_result(g, at), 560 + 16);
}

T(overwritten_block_headers_hurt_only_the_guest)
{
    EACH_KIND(broken_headers)
}

/* Imports the kernel's memory and fills the root block with `pattern` from word 1 on. */
static const char tamper[] =
    "(module (import \"extism:host/env\" \"memory\" (memory 1))\n"
    "(import \"extism:host/env\" \"log_info\" (func $log (param i64)))\n"
    "(import \"extism:host/env\" \"alloc\" (func $alloc (param i64) (result i64)))\n"
    "(func $fill (param $value i64) (local $at i32) (local.set $at (i32.const 8))\n"
    " (loop $next (i64.store (local.get $at) (local.get $value))\n"
    "  (local.set $at (i32.add (local.get $at) (i32.const 8)))\n"
    "  (br_if $next (i32.lt_u (local.get $at) (i32.const 512)))))\n"
    "(func (export \"huge\") (result i32) (call $fill (i64.const -1)) (i32.const 0))\n"
    "(func (export \"odd\") (result i32) (call $fill (i64.const 65533))\n"
    " (i64.store (i32.const 40) (i64.const 0)) (i32.const 0))\n"
    "(func (export \"log\") (result i32) (call $fill (i64.const 4294967280))\n"
    " (call $log (i64.const 4294967264)) (i32.const 0))\n"
    "(func (export \"give\") (result i32) (call $fill (i64.const 4294967280))\n"
    " (drop (call $alloc (i64.const 100))) (i32.const 0))\n"
    "(func (export \"fine\") (result i32) (i64.store (i32.const 24) (i64.load (i32.const 8)))\n"
    " (i64.store (i32.const 32) (i64.load (i32.const 16))) (i32.const 0)))\n";

T(a_tampered_root_block_hurts_only_the_guest)
{
    static const char *const operations[] = { "huge", "odd", "log", "give" };
    for (int kind = 0; kind < 2; kind++) {
        otr_err err = { 0 };
        OWNED_CODE code = NULL;
        REQUIRE_OK(load_text(tamper, kind == 1, &code, &err), err);
        for (size_t i = 0; i < OTR_COUNT(operations); i++) {
            fake host = { 0 };
            OWNED_GUEST g = NULL;
            OWNED_BUF out;
            otr_buf_init(&out, 1000);
            REQUIRE_OK(spawn(code, &host, &g, &err), err);
            for (int turn = 0; turn < 2 && !otr_guest_dead(g); turn++) {
                otr_code rc = otr_guest_call(g, operations[i], otr_bytes_of("in"), 0, &out, &err);
                CHECK(rc == OTR_EINVAL || rc == OTR_EGUEST || rc == OTR_OK);
                CHECK_INT(out.n, 0);
            }
            if (!otr_guest_dead(g)) {
                REQUIRE_OK(otr_guest_call(g, "fine", otr_bytes_of("in"), 0, &out, &err), err);
                CHECK_STR(otr_buf_text(&out), "in");
            }
        }
    }
}

/* ---- start functions, old names ---- */

#define COUNT "(i32.store (i32.const 0) (i32.add (i32.mul (i32.load (i32.const 0)) (i32.const 10)) "
#define REPORT                                                                           \
    "(import \"env\" \"extism_log_info\" (func $log (param i64)))\n"                     \
    "(import \"env\" \"extism_alloc\" (func $alloc (param i64) (result i64)))\n"         \
    "(import \"env\" \"extism_store_u8\" (func $store (param i64 i32)))\n"               \
    "(memory (export \"memory\") 1)\n"                                                   \
    "(func (export \"count\") (result i32) (local $at i64)\n"                            \
    " (local.set $at (call $alloc (i64.const 1)))\n"                                     \
    " (call $store (local.get $at) (i32.add (i32.const 48) (i32.load (i32.const 0))))\n" \
    " (call $log (local.get $at)) (i32.const 0))\n"

static void check_start(const char *functions, const char *expected)
{
    char text[4000];
    otr_err err = { 0 };
    fake host = { 0 };
    OWNED_CODE code = NULL;
    OWNED_GUEST g = NULL;
    OWNED_BUF out;
    otr_buf_init(&out, 100);
    (void)snprintf(text, sizeof(text), "(module %s %s)", REPORT, functions);
    REQUIRE_OK(load_text(text, true, &code, &err), err);
    REQUIRE_OK(spawn(code, &host, &g, &err), err);
    REQUIRE_OK(otr_guest_call(g, "count", (otr_bytes){ 0 }, 0, &out, &err), err);
    CHECK_STR(host.log, expected);
}

T(start_functions_run_once_in_their_order_and_old_names_work)
{
    check_start("", "0");
    check_start("(func (export \"_initialize\") " COUNT "(i32.const 2))))", "2");
    check_start("(func (export \"_initialize\") " COUNT "(i32.const 2))))"
                "(func (export \"__wasm_call_ctors\") " COUNT "(i32.const 3))))",
                "3");
    check_start("(func (export \"hs_init\") (param i32 i32) " COUNT "(i32.const 1))))"
                "(func (export \"_initialize\") " COUNT "(i32.const 2))))",
                "E"); /* 2, then 1: 21 */
    check_start("(func (export \"_start\") " COUNT "(i32.const 4))))", "0");
    check_start("(func $s " COUNT "(i32.const 5)))) (start $s)", "5");
}

T(a_failing_start_function_is_named)
{
    fake host = { 0 };
    otr_err err = { 0 };
    OWNED_CODE code = NULL;
    OWNED_GUEST g = NULL;
    REQUIRE_OK(
        load_text("(module (import \"extism:host/env\" \"alloc\" (func (param i64) (result i64)))"
                  "(func (export \"_initialize\") unreachable))",
                  false, &code, &err),
        err);
    CHECK_INT(spawn(code, &host, &g, &err), OTR_EGUEST);
    CHECK_HAS(err.msg, "_initialize");
}

T(start_uses_up_the_instance)
{
    fake host = { 0 };
    otr_err err = { 0 };
    OWNED_CODE code = NULL;
    OWNED_GUEST g = NULL;
    OWNED_BUF out;
    otr_buf_init(&out, 100);
    REQUIRE_OK(
        load_text("(module (import \"extism:host/env\" \"output_set\" (func $o (param i64 i64)))"
                  "(func (export \"_start\") (call $o (i64.const 528) (i64.const 2))))",
                  true, &code, &err),
        err);
    REQUIRE_OK(spawn(code, &host, &g, &err), err);
    REQUIRE_OK(otr_guest_call(g, "_start", otr_bytes_of("ok"), 0, &out, &err), err);
    CHECK_STR(otr_buf_text(&out), "ok");
    CHECK_INT(otr_guest_call(g, "_start", otr_bytes_of("ok"), 0, &out, &err), OTR_ESTATE);
}

/* ---- the rewriter ---- */

static void rewritten_or_why(const char *text, const char *expected)
{
    otr_err err = { 0 };
    OWNED_BUF wasm, result, why;
    otr_buf_init(&wasm, 1 << 20);
    otr_buf_init(&result, 1 << 20);
    otr_buf_init(&why, 1000);
    REQUIRE_OK(probe_binary(text, &wasm, &err), err);
    REQUIRE_OK(otr_abi_extism.rewrite(otr_buf_bytes(&wasm), &result, &why, &err), err);
    if (expected == NULL) {
        CHECK(result.n > 0 && why.n == 0);
    } else {
        CHECK_INT(result.n, 0);
        CHECK_HAS(otr_buf_text(&why), expected);
    }
}

#ifdef OTR_ENGINES_OURS
#define LOAD8 "(import \"extism:host/env\" \"load_u8\" (func $l (param i64) (result i32)))"

T(the_rewriter_says_why_it_leaves_a_module_alone)
{
    rewritten_or_why("(module " LOAD8 "(func (drop (call $l (i64.const 0)))))", NULL);
    rewritten_or_why("(module " LOAD8 ")", "calls none");
    rewritten_or_why("(module)", "imports none");
    rewritten_or_why("(module (import \"x\" \"load_u8\" (func (param i64) (result i32))))",
                     "imports none");
    rewritten_or_why("(module (import \"env\" \"load_u8\" (func (param i32) (result i32))))",
                     "imports none");
    rewritten_or_why("(module " LOAD8 "(import \"env\" \"memory\" (memory 1))"
                     "(func (drop (call $l (i64.const 0)))))",
                     "imports a memory");
    rewritten_or_why("(module " LOAD8 "(memory i64 1) (func (drop (call $l (i64.const 0)))))",
                     "64-bit memory");
    rewritten_or_why("(component)", "not a binary core module");
}

/* A handle taken by reference, a table and an export keep the import; a plain call is replaced. */
T(references_to_a_replaced_function_still_work)
{
    static const char text[] =
        "(module (import \"extism:host/env\" \"load_u8\" (func $l (param i64) (result i32)))"
        "(import \"extism:host/env\" \"input_offset\" (func $i (result i64)))"
        "(type $t (func (param i64) (result i32)))"
        "(table 2 funcref) (elem (i32.const 0) func $l) (export \"load\" (func $l))"
        "(global $g (mut i32) (i32.const 5)) (memory 1) (data (i32.const 8) \"A\")"
        "(func (export \"run\") (result i32)"
        " (global.set $g (i32.sub (call $l (call $i))"
        "   (call_indirect (type $t) (call $i) (i32.const 0))))"
        " (i32.add (global.get $g) (i32.sub (i32.load8_u (i32.const 8)) (i32.const 65)))))";
    fake host = { 0 };
    otr_err err = { 0 };
    OWNED_CODE code = NULL;
    OWNED_GUEST g = NULL;
    OWNED_BUF out;
    otr_buf_init(&out, 100);
    REQUIRE_OK(load_text(text, true, &code, &err), err);
    REQUIRE_OK(spawn(code, &host, &g, &err), err);
    CHECK_INT(otr_guest_call(g, "run", otr_bytes_of("zz"), 0, &out, &err), OTR_OK);
}

T_NO_OOM(the_rewriter_takes_any_bytes) /* it allocates in Rust */
{
    otr_err err = { 0 };
    uint64_t state = 88172645463325252U;
    OWNED_BUF text, wasm;
    otr_buf_init(&text, 1 << 20);
    otr_buf_init(&wasm, 1 << 20);
    REQUIRE_OK(probe_text(ENV_, &text, &err), err);
    REQUIRE_OK(probe_binary(otr_buf_text(&text), &wasm, &err), err);
    uint8_t *copy = otr_alloc(wasm.n);
    REQUIRE(copy != NULL);
    for (int i = 0; i < 10000; i++) {
        memcpy(copy, wasm.p, wasm.n);
        size_t n = wasm.n;
        for (int edits = 1 + i % 4; edits > 0; edits--) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            copy[8 + state % (wasm.n - 8)] ^= (uint8_t)(1U << (state >> 40 & 7));
            n = state % 16 == 0 ? state % wasm.n : n;
        }
        OWNED_BUF result, why;
        otr_buf_init(&result, 1 << 20);
        otr_buf_init(&why, 1000);
        REQUIRE_OK(otr_abi_extism.rewrite((otr_bytes){ copy, n }, &result, &why, &err), err);
        CHECK((result.n > 0) != (why.n > 0));
    }
    otr_free(copy);
}
#else
T(without_our_engines_library_guests_run_on_the_kernel)
{
    rewritten_or_why("(module)", "without the rewriter");
}
#endif

static void traps_have_names(otr_guest *g, fake *host)
{
    otr_err err = { 0 };
    (void)host;
    (void)do0(P_load_u64);
    (void)do0(P_COUNT); /* unreachable */
    CHECK_INT(run(&program, g, &err), OTR_EGUEST);
#ifndef ON_WASMI /* whose traps name no functions */
    CHECK_HAS(err.msg, "do < run");
#endif
}

T(traps_name_the_guests_functions)
{
    EACH_KIND(traps_have_names)
}

static void many_calls(otr_guest *g, fake *host)
{
    otr_err err = { 0 };
    OWNED_BUF out;
    otr_buf_init(&out, 1 << 16);
    (void)host;
    uint32_t at = do1(P_alloc, V(3000));
    (void)do2(P_output_set, R(at), V(3000));
    (void)do2(P_var_set, R(put("k")), R(at));
    (void)do1(P_free, R(do1(P_alloc, V(500))));
    program.n = 3; /* var_set of 3,000 bytes would pass the quota */
    REQUIRE_OK(run_with(&program, g, otr_bytes_of("in"), &out, &err), err);
    uint64_t before = otr_guest_memory_bytes(g);
    for (int i = 0; i < 100000; i++) {
        otr_buf_clear(&out);
        REQUIRE(otr_guest_call(g, "run", otr_bytes_of("in"), 0, &out, &err) == OTR_OK);
    }
    CHECK_INT(out.n, 3000);
    CHECK_INT(otr_guest_memory_bytes(g), before);
}

T_NO_OOM(a_hundred_thousand_calls_do_not_grow_memory) /* the count is the point */
{
    EACH_KIND(many_calls)
}
