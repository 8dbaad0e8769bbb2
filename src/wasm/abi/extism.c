/*
 * Extism: a guest exports a function for each operation; input, output and all that crosses lies in
 * the memory of our kernel (extism_kernel.wat), which is linked before the guest.
 *
 * A call resets the kernel by writing its root block, which frees everything at once, and puts the
 * input where the first block goes.
 */
#include <stdio.h>

#ifdef OTR_ENGINES_OURS
#include <outrider_engines.h>
#endif

#include "base/limits.h"
#include "wasm/abi/extism.h"
#include "wasm/abi/extism_kernel.wat.h"

enum {
    ROOT = OTR_EXTISM_ROOT_BYTES,
    HEADER = OTR_EXTISM_HEADER_BYTES,
    PIECE = 8192,         /* with its copy it lies in any processor's first cache */
    KEEP_BYTES = 1 << 20, /* of the kernel's memory, between calls that are far apart */
};
static const uint64_t key_step = UINT64_C(0x9e3779b97f4a7c10);

static const otr_bytes kernel_text = { otr_extism_kernel_wat, sizeof(otr_extism_kernel_wat) };
static const otr_kernel kernel = { &kernel_text, { "extism:host/env", "env", NULL } };

static uint64_t round_up(uint64_t n)
{
    return (n + 15) & ~UINT64_C(15);
}

/* ---- life ---- */

static otr_code rewrite(otr_bytes wasm, otr_buf *ret, otr_buf *why, otr_err *err)
{
#ifdef OTR_ENGINES_OURS
    char text[160];
    uint8_t *module = NULL;
    size_t n = 0;
    if (!otr_engines_rewrite_extism(wasm.p, wasm.n, &module, &n, text, sizeof(text))) {
        return otr_buf_adds(why, text, err);
    }
    otr_code rc = otr_buf_add(ret, (otr_bytes){ module, n }, err);
    otr_engines_free(module, n);
    return rc;
#else
    (void)wasm;
    (void)ret;
    return otr_buf_adds(why, "this build uses an installed Wasmtime, without the rewriter", err);
#endif
}

static void detach(otr_guest *g)
{
    otr_extism *x = g->state;
    otr_extism_vars_deinit(&x->vars);
    otr_buf_deinit(&x->http_headers);
}

/* ---- a call ---- */

static otr_code unknown_operation(otr_guest *g, const char *name, otr_err *err)
{
    char sig[160];
    const otr_extern_info *x = otr_module_export(g->info, name);
    if (x == NULL || x->kind != OTR_EXTERN_FUNC) {
        return otr_fail(err, OTR_ENOTFOUND, "the guest exports no function %s", name);
    }
    return otr_fail(err, OTR_ENOTFOUND, "the guest's export %s is %s; an operation is () -> i32",
                    name, otr_sig_text(&x->sig, sig, sizeof(sig)));
}

static otr_code resolve(otr_guest *g, const char *name, otr_extism_call *ret, otr_err *err)
{
    const otr_extern_info *x = otr_module_export(g->info, name);
    if (!otr_extism_has(g->info, name)) {
        return unknown_operation(g, name, err);
    }
    ret->func = g->inst->ops->func(g->inst, OTR_MEM_GUEST, name);
    ret->answers = x->sig.n_results == 1;
    ret->start = strcmp(name, "_start") == 0;
    return ret->func != NULL ? OTR_OK : otr_fail_nomem(err);
}

static otr_code find(otr_guest *g, const char *name, const otr_extism_call **ret, otr_err *err)
{
    otr_extism *x = g->state;
    for (size_t i = 0; i < x->n_operations; i++) {
        if (otr_same_text(x->operations[i].name, name)) {
            *ret = &x->operations[i].call;
            return OTR_OK;
        }
    }
    otr_extism_call call = { 0 };
    otr_code rc = resolve(g, name, &call, err);
    if (rc != OTR_OK) {
        return rc;
    }
    /* The last place serves all that find no place of their own. */
    size_t n = strlen(name), last = OTR_EXTISM_OPERATIONS - 1;
    bool fits = x->n_operations < last && n < OTR_EXTISM_OPERATION_BYTES;
    otr_extism_operation *kept = &x->operations[fits ? x->n_operations++ : last];
    kept->call = call;
    if (fits) {
        memcpy(kept->name, name, n + 1);
    }
    *ret = &kept->call;
    return OTR_OK;
}

/* Makes the kernel's memory hold `end` bytes. */
static otr_code make_room(otr_guest *g, uint64_t end, uint64_t deadline_ns, otr_err *err)
{
    otr_extism *x = g->state;
    otr_val vals[1] = { { .i64 = (int64_t)end } };
    const otr_call call = { g->inst->ops->func(g->inst, OTR_EXTISM_KERNEL, "outrider:room"), vals,
                            deadline_ns };
    if (call.func == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = g->inst->ops->call(g->inst, &call, err);
    if (rc == OTR_OK && vals[0].i32 == 0) {
        return otr_fail(err, OTR_EINVAL,
                        "an input of %llu bytes does not fit the guest's memory limit",
                        (unsigned long long)(end - ROOT - HEADER));
    }
    x->room_bytes = rc == OTR_OK ? end : x->room_bytes;
    return rc;
}

static otr_code look(otr_guest *g, uint64_t end, uint8_t **ret, otr_err *err)
{
    otr_extism *x = g->state;
    uint64_t bytes = end > x->room_bytes ? end : x->room_bytes;
    otr_code rc = g->inst->ops->memory(g->inst, OTR_EXTISM_KERNEL, 0, bytes, ret, err);
    if (rc == OTR_OK) {
        x->room_bytes = bytes;
        x->base = g->inst->steady ? *ret : NULL;
    }
    return rc;
}

/* The kernel's memory from its beginning, at least `end` bytes of it. Memory never shrinks, so what
 * was seen once is asked for at once, and where memories stay it is not asked for again. */
static inline otr_code window(otr_guest *g, uint64_t end, uint8_t **ret, otr_err *err)
{
    const otr_extism *x = g->state;
    if (OTR_LIKELY(x->base != NULL && end <= x->room_bytes)) {
        *ret = x->base;
        return OTR_OK;
    }
    return look(g, end, ret, err);
}

/* Zeroes what the last call had allocated from `end` on, but for the answer that take() zeroed. A
 * guest that imports the memory can have changed the mark: it then keeps its own old bytes, which
 * is no one else's loss. */
static void zero_used(otr_guest *g, uint8_t **base, uint64_t end)
{
    otr_extism *x = g->state;
    uint64_t high = otr_extism_word(*base, OTR_EXTISM_HIGH), clean = x->clean_at;
    if (high > end && (high <= x->room_bytes || window(g, high, base, NULL) == OTR_OK)) {
        if (clean > end && clean < high) {
            memset(*base + end, 0, (size_t)(clean - end));
        }
        if (clean != 0 && clean + x->clean_bytes > end && clean < high) {
            end = clean + x->clean_bytes;
        }
        if (high > end) {
            memset(*base + end, 0, (size_t)(high - end));
        }
    }
    x->clean_at = 0;
}

/* Word by word: this is a third of a small call when left to memset. */
static void put_root(uint8_t *base, uint64_t key, uint64_t end, uint64_t input)
{
    otr_extism_store(base, 0);
    otr_extism_store(base + 8 * OTR_EXTISM_INPUT_OFFSET, input > 0 ? ROOT + HEADER : 0);
    otr_extism_store(base + 8 * OTR_EXTISM_INPUT_LENGTH, input);
    otr_extism_store(base + 8 * OTR_EXTISM_OUTPUT_OFFSET, 0);
    otr_extism_store(base + 8 * OTR_EXTISM_OUTPUT_LENGTH, 0);
    otr_extism_store(base + 8 * OTR_EXTISM_ERROR, 0);
    otr_extism_store(base + 8 * OTR_EXTISM_INPUT_LIMIT, input > 7 ? input - 7 : 0);
    otr_extism_store(base + 8 * OTR_EXTISM_KEY, key);
    otr_extism_store(base + 8 * OTR_EXTISM_TOP, end);
    otr_extism_store(base + 8 * OTR_EXTISM_LISTS, 0);
    otr_extism_store(base + 8 * OTR_EXTISM_HIGH, end);
}

static void put_input(uint8_t *block, uint64_t key, otr_bytes in)
{
    uint64_t size = round_up(in.n);
    otr_extism_store(block, ((ROOT + HEADER) ^ key) + 1);
    otr_extism_store(block + 8, size << 32 | in.n);
    memcpy(block + HEADER, in.p, in.n);
    if (size > in.n) {
        memset(block + HEADER + in.n, 0, (size_t)(size - in.n));
    }
}

/* Frees and, if so set, zeroes all blocks of the last call; makes `in` the first block. */
static otr_code reset(otr_guest *g, otr_bytes in, uint64_t deadline_ns, otr_err *err)
{
    otr_extism *x = g->state;
    uint8_t *base;
    uint64_t end = in.n > 0 ? ROOT + HEADER + round_up(in.n) : ROOT;
    otr_code rc = end > x->room_bytes ? make_room(g, end, deadline_ns, err) : OTR_OK;
    if (rc == OTR_OK) {
        rc = window(g, end, &base, err);
    }
    if (rc != OTR_OK) {
        return rc;
    }
    uint64_t high = otr_extism_word(base, OTR_EXTISM_HIGH);
    x->peak = high > x->peak ? high : x->peak;
    if (g->spec.zeroing == OTR_ZERO_USED) {
        zero_used(g, &base, end);
    }
    x->key += key_step;
    put_root(base, x->key, end, in.n);
    if (in.n > 0) {
        put_input(base + ROOT, x->key, in);
    }
    return OTR_OK;
}

/* What lies beyond KEEP_BYTES goes back to the system. It is zero then, so the next call has less
 * to zero. The mark is the guest's to write: a wrong one costs or saves a release, nothing else. */
static void rest(otr_guest *g)
{
    otr_extism *x = g->state;
    if (x->base == NULL || g->inst->ops->release == NULL) {
        return;
    }
    uint64_t high = otr_extism_word(x->base, OTR_EXTISM_HIGH);
    if (high > KEEP_BYTES || x->peak > KEEP_BYTES) {
        g->inst->ops->release(g->inst, OTR_EXTISM_KERNEL, KEEP_BYTES);
        otr_extism_store(x->base + 8 * OTR_EXTISM_HIGH, high < KEEP_BYTES ? high : KEEP_BYTES);
        x->clean_at = 0;
        x->peak = 0;
    }
}

/* A text that error_set left comes before all else, whatever the guest returned. */
static otr_code failed(otr_guest *g, const char *op, uint64_t handle, int32_t code, otr_err *err)
{
    otr_bytes text;
    if (otr_extism_error_text(g->inst, handle, &text)) {
        int n = text.n < OTR_ERR_MSG_BYTES ? (int)text.n : OTR_ERR_MSG_BYTES;
        return otr_fail(err, OTR_EINVAL, "%.*s", n, (const char *)text.p);
    }
    return code == 0 ? OTR_OK
                     : otr_fail(err, OTR_EINVAL, "%s failed with code %d and %s", op, (int)code,
                                handle == 0 ? "no error text" : "an error that has no text");
}

/* Copies the answer, `n` bytes of the kernel's memory at `at`, to `out`. Where old bytes must go, a
 * large one is zeroed piece by piece while it is in the cache: that costs less than half of what it
 * costs before the next call. */
static otr_code take(otr_guest *g, uint8_t *from, uint64_t at, size_t n, otr_buf *out, otr_err *err)
{
    otr_extism *x = g->state;
    uint8_t *to;
    if (n < PIECE || at < ROOT || g->spec.zeroing == OTR_ZERO_NEVER) {
        return otr_buf_add(out, (otr_bytes){ from, n }, err);
    }
    otr_code rc = otr_buf_reserve(out, n, &to, err);
    if (rc != OTR_OK) {
        return rc;
    }
    for (size_t done = 0, piece; done < n; done += piece) {
        piece = n - done < PIECE ? n - done : PIECE;
        memcpy(to + done, from + done, piece);
        memset(from + done, 0, piece);
    }
    otr_buf_grew(out, n);
    x->clean_at = at;
    x->clean_bytes = n;
    return OTR_OK;
}

static otr_code collect(otr_guest *g, const char *op, int32_t code, otr_buf *out, otr_err *err)
{
    const otr_extism *x = g->state;
    uint8_t *base;
    otr_code rc = window(g, ROOT, &base, err);
    if (rc != OTR_OK) {
        return rc;
    }
    uint64_t error = otr_extism_word(base, OTR_EXTISM_ERROR);
    if (OTR_UNLIKELY(error != 0 || code != 0) && (rc = failed(g, op, error, code, err)) != OTR_OK) {
        return rc;
    }
    uint64_t at = otr_extism_word(base, OTR_EXTISM_OUTPUT_OFFSET),
             n = otr_extism_word(base, OTR_EXTISM_OUTPUT_LENGTH);
    if (n == 0) {
        return OTR_OK;
    }
    if (n > g->spec.max_output_bytes) {
        return otr_fail(err, OTR_EINVAL, "%s answered with %llu bytes; the limit is %zu", op,
                        (unsigned long long)n, g->spec.max_output_bytes);
    }
    if (at <= x->room_bytes && n <= x->room_bytes - at) {
        return take(g, base + at, at, (size_t)n, out, err);
    }
    rc = g->inst->ops->memory(g->inst, OTR_EXTISM_KERNEL, at, n, &base, err);
    return rc == OTR_OK ? take(g, base, at, (size_t)n, out, err) : rc;
}

/* Code 0 of WASI's proc_exit is how a main function ends: what the guest left stands. */
static bool ended_well(const otr_guest *g, otr_code rc)
{
    return rc == OTR_EGUEST && g->inst->ops->exit_code(g->inst) == 0;
}

/* The guest's own text says more than the trap by which it gave up. */
static otr_code ended_badly(otr_guest *g, otr_code rc, otr_err *err)
{
    uint8_t *base;
    otr_bytes text;
    if (window(g, ROOT, &base, NULL) != OTR_OK ||
        !otr_extism_error_text(g->inst, otr_extism_word(base, OTR_EXTISM_ERROR), &text)) {
        return rc;
    }
    int n = text.n < OTR_ERR_MSG_BYTES ? (int)text.n : OTR_ERR_MSG_BYTES;
    return otr_wrap(err, rc, "%.*s", n, (const char *)text.p);
}

static otr_code invoke(otr_guest *g, const char *op, otr_bytes in, uint64_t deadline_ns,
                       otr_buf *out, otr_err *err)
{
    otr_extism *x = g->state;
    const otr_extism_call *operation;
    otr_val vals[1];
    if (OTR_UNLIKELY(x->used_up)) {
        return otr_fail(err, OTR_ESTATE, "the instance was used up by _start");
    }
    otr_code rc = find(g, op, &operation, err);
    if (rc == OTR_OK) {
        rc = reset(g, in, deadline_ns, err);
    }
    if (rc != OTR_OK) {
        return rc;
    }
    x->deadline_ns = deadline_ns;
    x->used_up = operation->start;
    vals[0].i64 = 0;
    const otr_call call = { operation->func, vals, deadline_ns };
    rc = g->inst->ops->call(g->inst, &call, err);
    if (OTR_LIKELY(rc == OTR_OK)) {
        return collect(g, op, operation->answers ? vals[0].i32 : 0, out, err);
    }
    return ended_well(g, rc) ? collect(g, op, 0, out, err) : ended_badly(g, rc, err);
}

/* ---- start ---- */

static otr_code run_start(otr_guest *g, const char *name, uint64_t deadline_ns, otr_err *err)
{
    otr_val vals[OTR_WASM_MAX_RESULTS] = { { .i64 = 0 } }; /* hs_init(argc, argv), its results */
    const otr_call call = { g->inst->ops->func(g->inst, OTR_MEM_GUEST, name), vals, deadline_ns };
    if (call.func == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = g->inst->ops->call(g->inst, &call, err);
    if (rc == OTR_OK || ended_well(g, rc)) {
        return OTR_OK;
    }
    return otr_wrap(err, ended_badly(g, rc, err), "start function %s", name);
}

/* check() has seen to their types. */
static bool exports(const otr_guest *g, const char *name)
{
    return otr_module_export(g->info, name) != NULL;
}

static otr_code attach(otr_guest *g, uint64_t deadline_ns, otr_err *err)
{
    otr_extism *x = g->state;
    x->deadline_ns = deadline_ns;
    x->key = key_step;         /* as in the kernel's data */
    x->room_bytes = 64 * 1024; /* a page, as the kernel declares */
    otr_buf_init(&x->http_headers, OTR_LIMIT_PLUGIN_OUTPUT_BYTES);
    if (otr_extism_alloc(x, g->inst) == NULL) {
        return otr_fail_nomem(err);
    }
    if (exports(g, "hs_init")) {
        otr_code rc =
            exports(g, "_initialize") ? run_start(g, "_initialize", deadline_ns, err) : OTR_OK;
        return rc == OTR_OK ? run_start(g, "hs_init", deadline_ns, err) : rc;
    }
    if (exports(g, "__wasm_call_ctors")) {
        return run_start(g, "__wasm_call_ctors", deadline_ns, err);
    }
    if (exports(g, "_initialize")) {
        return run_start(g, "_initialize", deadline_ns, err);
    }
    return OTR_OK;
}

/* ---- functions of any type: guest_typed.c makes the call ---- */

static otr_code begin(otr_guest *g, const otr_guest_ask *ask, otr_err *err)
{
    otr_extism *x = g->state;
    if (x->used_up) {
        return otr_fail(err, OTR_ESTATE, "the instance was used up by _start");
    }
    otr_code rc = reset(g, ask->in, ask->deadline_ns, err);
    if (rc == OTR_OK) {
        x->deadline_ns = ask->deadline_ns;
        x->used_up = strcmp(ask->op, "_start") == 0;
    }
    return rc;
}

/* Results are values here: only a text that error_set left is a failure. */
static otr_code finish(otr_guest *g, const otr_guest_ask *ask, otr_code ended, otr_buf *out,
                       otr_err *err)
{
    const otr_extern_info *x = otr_module_export(g->info, ask->op);
    bool well = ended == OTR_OK || (ended_well(g, ended) && x != NULL && x->sig.n_results == 0);
    return well ? collect(g, ask->op, 0, out, err) : ended_badly(g, ended, err);
}

const otr_abi_ops otr_abi_extism = {
    .name = "extism",
    .needs = OTR_WASM_CORE,
    .state_size = sizeof(otr_extism),
    .kernel = &kernel,
    .rewrite = rewrite,
    .rewriter = "extism-inline-1 of " OTR_VERSION,
    .match = otr_extism_match,
    .imports = otr_extism_imports,
    .check = otr_extism_check,
    .has = otr_extism_has,
    .attach = attach,
    .invoke = invoke,
    .begin = begin,
    .finish = finish,
    .rest = rest,
    .detach = detach,
};
