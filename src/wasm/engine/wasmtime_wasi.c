/*
 * WASI preview 1: Wasmtime's, with three changes. What a guest prints goes to the host line by line
 * (wasmtime_print.c). poll_oneoff is ours, because Wasmtime's would sleep past the call's
 * deadline. And so are the files of a guest with folders (wasi/files.h): they mean the same on
 * every engine, a FIFO cannot hold up a call, and descriptors are bounded.
 */
#include <time.h>

#include "base/clock.h"
#include "wasm/engine/wasmtime.h"
#include "wasm/value/little_endian.h"
#include "wasm/wasi/files.h"

enum {
    WASI_OK = 0,
    WASI_FAULT = 21,
    WASI_INVAL = 28,
    WASI_NOMEM = 48,
    EVENT_CLOCK = 0,
    SUBSCRIPTION_BYTES = 48,
    EVENT_BYTES = 32,
    MOST_SUBSCRIPTIONS = 1024,
    NAP_NS = 5000000, /* how late an interrupt may find a sleeping guest */
};

static otr_code set_env(wasi_config_t *c, const char *pair, otr_err *err)
{
    const char *eq = strchr(pair, '=');
    if (eq == NULL || eq == pair) {
        return otr_fail(err, OTR_EINVAL, "environment \"%s\" is not NAME=value", pair);
    }
    char *name = otr_strndup(pair, (size_t)(eq - pair));
    if (name == NULL) {
        return otr_fail_nomem(err);
    }
    const char *value = eq + 1;
    bool ok = wasi_config_set_env(c, 1, (const char **)&name, &value);
    otr_free(name);
    return ok ? OTR_OK : otr_fail(err, OTR_EINVAL, "environment \"%s\" is not UTF-8", pair);
}

static otr_code configure(wasi_config_t *c, const otr_wasi *wasi, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (const char *const *e = wasi->env; rc == OTR_OK && e != NULL && *e != NULL; e++) {
        rc = set_env(c, *e, err);
    }
    for (const char *const *a = wasi->args; rc == OTR_OK && a != NULL && *a != NULL; a++) {
        const char *arg = *a;
        if (!wasi_config_set_argv(c, 1, &arg)) {
            rc = otr_fail(err, OTR_EINVAL, "argument \"%s\" is not UTF-8", arg);
        }
    }
    return rc;
}

/* ---- files ---- */

static bool files_memory(otr_instance *inst, uint8_t **ret, size_t *ret_bytes)
{
    const wt_instance *i = (const wt_instance *)inst;
    *ret = i->files_memory;
    *ret_bytes = i->files_memory_bytes;
    return *ret != NULL;
}

static const otr_wasi_engine lends = { files_memory, otr_wasmtime_take_text };

static wasm_trap_t *call_files(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *vals,
                               size_t n_vals)
{
    wasmtime_context_t *context = wasmtime_caller_context(caller);
    wt_instance *i = wasmtime_context_get_data(context);
    wasmtime_extern_t item;
    i->files_memory = NULL;
    i->files_memory_bytes = 0;
    if (wasmtime_caller_export_get(caller, "memory", 6, &item) &&
        item.kind == WASMTIME_EXTERN_MEMORY) {
        i->files_memory = wasmtime_memory_data(context, &item.of.memory);
        i->files_memory_bytes = wasmtime_memory_data_size(context, &item.of.memory);
    }
    return otr_wasmtime_host_call(env, caller, vals, n_vals);
}

static otr_code define_files(wasmtime_linker_t *linker, otr_err *err)
{
    size_t n = 0;
    const otr_import *all = otr_wasi_files_functions(&n);
    otr_code rc = OTR_OK;
    for (size_t k = 0; rc == OTR_OK && k < n; k++) {
        rc = otr_wasmtime_define(linker, &all[k], call_files, err);
    }
    return rc;
}

otr_code otr_wasmtime_set_wasi(wt_instance *i, const otr_wasi *wasi, otr_err *err)
{
    wasi_config_t *c = wasi_config_new();
    otr_code rc = configure(c, wasi, err);
    otr_wasmtime_open_lines(i, wasi);
    if (rc == OTR_OK && wasi->n_dirs > 0) {
        rc = otr_wasi_files_open(wasi, &lends, &i->base.files, err);
    }
    if (rc != OTR_OK) {
        wasi_config_delete(c);
        return rc;
    }
    wasmtime_error_t *error = wasmtime_context_set_wasi(i->context, c);
    return error == NULL ? OTR_OK : otr_wasmtime_fail(err, OTR_EINVAL, error, "WASI");
}

/* How long from now until the subscription fires; 0 for files, which are always ready. */
static uint64_t wait_of(const wt_instance *i, const uint8_t *sub, uint64_t now_ns)
{
    if (sub[8] != EVENT_CLOCK) {
        return 0;
    }
    uint64_t timeout = otr_le_load(sub + 24, 8);
    if ((otr_le_load(sub + 40, 2) & 1) == 0) {
        return timeout;
    }
    uint64_t clock = otr_le_load(sub + 16, 4) == 0 ? otr_wall_ns() : now_ns - i->born_ns;
    return timeout > clock ? timeout - clock : 0;
}

/* Sleeps until `until_ns`, the call's deadline or an interrupt. */
static wt_end nap(wt_instance *i, uint64_t until_ns)
{
    for (;;) {
        uint64_t now = otr_now_ns();
        if (atomic_load_explicit(&i->interrupted, memory_order_relaxed)) {
            return WT_END_INTERRUPT;
        }
        if (now >= i->deadline_ns) {
            return WT_END_DEADLINE;
        }
        if (now >= until_ns) {
            return WT_END_NONE;
        }
        uint64_t left = until_ns - now, call = i->deadline_ns - now;
        left = call < left ? call : left;
        struct timespec t = { .tv_nsec = (long)(left < NAP_NS ? left : NAP_NS) };
        (void)nanosleep(&t, NULL);
    }
}

static uint32_t fire(const wt_instance *i, const uint8_t *subs, uint32_t n, uint64_t least,
                     uint8_t *events)
{
    uint64_t now = otr_now_ns();
    uint32_t fired = 0;
    for (uint32_t s = 0; s < n; s++) {
        const uint8_t *sub = subs + (size_t)s * SUBSCRIPTION_BYTES;
        if (wait_of(i, sub, now) <= least) {
            uint8_t event[EVENT_BYTES] = { 0 };
            memcpy(event, sub, 8); /* userdata */
            event[10] = sub[8];
            memcpy(events + (size_t)fired * EVENT_BYTES, event, sizeof(event));
            fired++;
        }
    }
    return fired;
}

typedef struct poll_args { /* arguments of poll_oneoff, checked against the memory */
    uint8_t *subs, *events, *ret;
    uint32_t n;
} poll_args;

static int32_t check_poll(wasmtime_caller_t *caller, const wasmtime_val_raw_t *vals, poll_args *p)
{
    wasmtime_context_t *context = wasmtime_caller_context(caller);
    uint32_t in = (uint32_t)vals[0].i32, out = (uint32_t)vals[1].i32, ret = (uint32_t)vals[3].i32;
    wasmtime_extern_t item;
    p->n = (uint32_t)vals[2].i32;
    if (p->n == 0 || p->n > MOST_SUBSCRIPTIONS ||
        !wasmtime_caller_export_get(caller, "memory", 6, &item) ||
        item.kind != WASMTIME_EXTERN_MEMORY) {
        return WASI_INVAL;
    }
    uint8_t *memory = wasmtime_memory_data(context, &item.of.memory);
    size_t size = wasmtime_memory_data_size(context, &item.of.memory);
    size_t in_bytes = (size_t)p->n * SUBSCRIPTION_BYTES, out_bytes = (size_t)p->n * EVENT_BYTES;
    if (in > size || in_bytes > size - in || out > size || out_bytes > size - out || ret > size ||
        size - ret < 4) {
        return WASI_FAULT;
    }
    p->subs = memory + in;
    p->events = memory + out;
    p->ret = memory + ret;
    return WASI_OK;
}

/* (subscriptions, events, n, ret_n) -> errno */
static wasm_trap_t *poll_oneoff(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *vals,
                                size_t n_vals)
{
    (void)env;
    (void)n_vals;
    wt_instance *i = wasmtime_context_get_data(wasmtime_caller_context(caller));
    poll_args p;
    int32_t error = check_poll(caller, vals, &p);
    /* a copy of the subscriptions: the events may overlap them */
    uint8_t *subs = error == WASI_OK ? otr_alloc((size_t)p.n * SUBSCRIPTION_BYTES) : NULL;
    vals[0].i32 = error;
    if (subs == NULL) {
        vals[0].i32 = error == WASI_OK ? WASI_NOMEM : error;
        return NULL;
    }
    memcpy(subs, p.subs, (size_t)p.n * SUBSCRIPTION_BYTES);
    uint64_t now = otr_now_ns(), least = UINT64_MAX;
    for (uint32_t s = 0; s < p.n; s++) {
        uint64_t wait = wait_of(i, subs + (size_t)s * SUBSCRIPTION_BYTES, now);
        least = wait < least ? wait : least;
    }
    wt_end end = nap(i, least > UINT64_MAX - now ? UINT64_MAX : now + least);
    if (end == WT_END_NONE) {
        otr_le_store(p.ret, 4, fire(i, subs, p.n, least, p.events));
    }
    otr_free(subs);
    return end == WT_END_NONE ? NULL : otr_wasmtime_stop(i, end);
}

otr_code otr_wasmtime_define_wasi(wasmtime_linker_t *linker, wt_wasi kind, otr_err *err)
{
    static const char module[] = "wasi_snapshot_preview1";
    static const otr_import wait_for = {
        .module = module,
        .name = "poll_oneoff",
        .sig = { .n_args = 4, .n_results = 1 }, /* OTR_WASM_I32 is 0 */
    };
    static const otr_import print = {
        .module = module,
        .name = "fd_write",
        .sig = { .n_args = 4, .n_results = 1 },
    };
    wasmtime_linker_allow_shadowing(linker, true);
    wasmtime_error_t *error = wasmtime_linker_define_wasi(linker);
    if (error != NULL) {
        return otr_wasmtime_fail(err, OTR_EIO, error, "WASI");
    }
    otr_code rc = otr_wasmtime_define(linker, &wait_for, poll_oneoff, err);
    if (rc != OTR_OK) {
        return rc;
    }
    return kind == WT_WASI_BARE ? otr_wasmtime_define(linker, &print, otr_wasmtime_fd_write, err)
                                : define_files(linker, err);
}
