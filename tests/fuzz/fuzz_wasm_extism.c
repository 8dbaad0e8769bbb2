/*
 * The same program of Extism calls on the kernel and rewritten: results, traps, answers and the
 * kernel's memory must be equal. Input: records of 20 bytes, operation, two operands and how they
 * are meant; see decode().
 */
#include <stdlib.h>

#include "../support/extism_probe.h"

enum { RECORD = 20, RECORDS = 500, ROUNDS = 2, INPUT_BYTES = 100 };

static otr_code publish(void *host, const char *topic, otr_bytes payload, otr_err *err)
{
    (void)host;
    return otr_fail(err, OTR_EDENIED, "%s: %zu bytes", topic, payload.n);
}

static otr_code config(void *host, const char *key, otr_buf *out, otr_err *err)
{
    (void)host;
    return key[0] == 'k' ? otr_buf_adds(out, "a value", err)
                         : otr_fail(err, OTR_ENOTFOUND, "no such key");
}

static otr_code call(void *host, const char *op, otr_bytes in, otr_buf *out, otr_err *err)
{
    (void)host;
    return op[0] == 'e' ? otr_buf_add(out, in, err) : otr_fail(err, OTR_EDENIED, "denied");
}

static void log_line(void *host, int level, otr_bytes text)
{
    (void)host;
    (void)level;
    (void)text;
}

static const otr_host_ops host_ops = {
    .publish = publish, .config = config, .call = call, .log = log_line
};

static void must(otr_code rc, const otr_err *err)
{
    if (rc != OTR_OK) {
        (void)fprintf(stderr, "fuzz_wasm_extism: %s\n", err->msg);
        abort();
    }
}

static otr_guest_code *codes[2]; /* kernel, rewritten */

#ifdef OTR_ENGINES_OURS
static bool rewritten(const otr_guest_code *code)
{
    const otr_module_info *info = otr_guest_code_info(code);
    for (size_t i = 0; i < info->n_imports; i++) {
        if (strcmp(info->imports[i].name, "outrider:limit") == 0) {
            return true;
        }
    }
    return false;
}
#endif

static void set_up(void)
{
    otr_err err = { 0 };
    otr_engine *engine;
    otr_buf text, wasm;
    otr_buf_init(&text, 1 << 20);
    otr_buf_init(&wasm, 1 << 20);
    const otr_engine_ops *ops = otr_engine_find("wasmtime");
    must(ops->open(NULL, &engine, &err), &err);
    must(probe_text(ENV_, &text, &err), &err);
    must(probe_binary(otr_buf_text(&text), &wasm, &err), &err);
    for (int i = 0; i < 2; i++) {
        const otr_load_spec spec = { .name = "probe", .wasm = otr_buf_bytes(&wasm), .rewrite = i };
        must(otr_guest_load(engine, &spec, &codes[i], &err), &err);
    }
#ifdef OTR_ENGINES_OURS
    if (!rewritten(codes[1])) {
        must(otr_fail(&err, OTR_EINVAL, "the probe was not rewritten"), &err);
    }
#endif
    otr_buf_deinit(&text);
    otr_buf_deinit(&wasm);
}

/* Operands near the edges that matter, else as they come. */
static probe_arg operand(const uint8_t *p, uint8_t how, uint32_t n)
{
    static const int64_t edges[] = { 0,      1,       504,        505,         511,        512,
                                     513,    528,     65528,      65529,       65535,      65536,
                                     -1,     -7,      -8,         -9,          -512,       131064,
                                     131072, 1 << 20, 0xffffffff, 0x100000000, 0x100000200 };
    int64_t value = (int64_t)probe_get64(p);
    switch (how % 6) {
    case 0:
        return V(value);
    case 1:
        return V(value & 0xfffff);
    case 2:
        return V(edges[(uint64_t)value % OTR_COUNT(edges)] + (int64_t)(how / 6 % 16) - 8);
    case 3:
        return V(value & 0xff);
    default:
        return n > 0 ? RV((uint64_t)value % n, (int64_t)(how / 6 % 24) - 8) : V(value);
    }
}

static void decode(probe *p, const uint8_t *data, size_t size)
{
    p->n = 0;
    p->code = 0;
    for (; size >= RECORD && p->n < RECORDS; data += RECORD, size -= RECORD) {
        probe_arg a = operand(data + 2, data[1], p->n);
        probe_arg b = operand(data + 10, data[18], p->n);
        if (data[0] % P_COUNT == P_alloc) { /* never near the limit: a tick decides there */
            a = V(b.value % 8 == 0 ? a.value | INT64_C(1) << 40 : a.value & 0xffff);
        }
        (void)probe_do(p, data[0] % P_COUNT, a, b);
    }
}

typedef struct outcome {
    otr_guest *guest;
    otr_code rc;
    otr_err err;
    otr_buf out;
} outcome;

static void differ(const char *what, uint64_t i, const outcome *o)
{
    (void)fprintf(stderr, "kernel and rewritten differ in %s (%llu): \"%s\", \"%s\"\n", what,
                  (unsigned long long)i, o[0].err.msg, o[1].err.msg);
    abort();
}

static void compare_memory(const outcome *o)
{
    uint8_t *a, *b;
    uint64_t total = otr_guest_memory_bytes(o[0].guest);
    if (total != otr_guest_memory_bytes(o[1].guest)) {
        differ("memory size", total, o);
    }
    for (uint64_t at = 0;
         o[0].guest->inst->ops->memory(o[0].guest->inst, 0, at, 65536, &a, NULL) == OTR_OK;
         at += 65536) {
        if (o[1].guest->inst->ops->memory(o[1].guest->inst, 0, at, 65536, &b, NULL) != OTR_OK ||
            memcmp(a, b, 65536) != 0) {
            differ("Extism memory", at, o);
        }
    }
}

static void compare(const outcome *o, const probe *p)
{
    if (o[0].rc != o[1].rc) {
        differ("outcome", (uint64_t)o[0].rc, o);
    }
    if (o[0].rc == OTR_EINVAL && strcmp(o[0].err.msg, o[1].err.msg) != 0) {
        differ("error text", 0, o);
    }
    if (o[0].out.n != o[1].out.n ||
        (o[0].out.n > 0 && memcmp(o[0].out.p, o[1].out.p, o[0].out.n) != 0)) {
        differ("answer", 0, o);
    }
    if (otr_guest_dead(o[0].guest)) {
        return;
    }
    for (uint32_t i = 0; i < p->n; i++) {
        if (probe_result(o[0].guest, i) != probe_result(o[1].guest, i)) {
            differ("result", i, o);
        }
    }
    compare_memory(o);
}

static void run(const probe *p, outcome *o)
{
    static const uint8_t input[INPUT_BYTES] = "some input that is longer than a few words of it";
    must(probe_load(p, o->guest, &o->err), &o->err);
    otr_buf_clear(&o->out);
    o->err.msg[0] = '\0';
    o->rc = otr_guest_call(o->guest, "run", (otr_bytes){ input, 1 + p->n % INPUT_BYTES }, 0,
                           &o->out, &o->err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static probe p;
    outcome o[2] = { 0 };
    if (codes[0] == NULL) {
        set_up();
    }
    for (int i = 0; i < 2; i++) {
        const otr_guest_spec spec = { .name = "probe",
                                      .ops = &host_ops,
                                      .max_memory_bytes = 64U << 20,
                                      .max_vars_bytes = 4096,
                                      .max_output_bytes = 1 << 20,
                                      .zeroing = size % 2 == 0 ? OTR_ZERO_USED : OTR_ZERO_NEVER };
        must(otr_guest_new(codes[i], &spec, &o[i].guest, &o[i].err), &o[i].err);
        otr_buf_init(&o[i].out, 8U << 20);
    }
    decode(&p, data, size);
    for (int round = 0; round < ROUNDS && !otr_guest_dead(o[0].guest); round++) {
        run(&p, &o[0]);
        run(&p, &o[1]);
        compare(o, &p);
    }
    for (int i = 0; i < 2; i++) {
        otr_guest_free(o[i].guest);
        otr_buf_deinit(&o[i].out);
    }
    return 0;
}
