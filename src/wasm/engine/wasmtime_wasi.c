/*
 * WASI. Preview 1 is Wasmtime's, with three changes. What a guest prints goes to the host line by
 * line (wasmtime_print.c). poll_oneoff is ours, because Wasmtime's would sleep past the call's
 * deadline. And so are the files of a guest with folders (wasi/files.h): they mean the same on
 * every engine, a FIFO cannot hold up a call, and descriptors are bounded. Of the unstable preview,
 * which Wasmtime's C API lacks, all functions are ours.
 */
#include "base/clock.h"
#include "wasm/engine/wasmtime.h"
#include "wasm/wasi/errno.h"
#include "wasm/wasi/process.h"
#include "wasm/wasi/wait.h"

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

/* ---- what wasi/ is lent ---- */

/* Why the call is to end. */
static wt_end end_of(const wt_instance *i)
{
    if (atomic_load_explicit(&i->interrupted, memory_order_relaxed) ||
        (i->cancel != NULL && atomic_load_explicit(i->cancel, memory_order_relaxed))) {
        return WT_END_INTERRUPT;
    }
    return otr_now_ns() >= i->deadline_ns ? WT_END_DEADLINE : WT_END_NONE;
}

static bool memory_of_caller(otr_instance *inst, uint8_t **ret, size_t *ret_bytes)
{
    const wt_instance *i = (const wt_instance *)inst;
    *ret = i->files_memory;
    *ret_bytes = i->files_memory_bytes;
    return *ret != NULL;
}

static otr_code end(otr_instance *inst, int32_t code, otr_err *err)
{
    wt_instance *i = (wt_instance *)inst;
    i->exit_code = code;
    i->end = WT_END_EXIT;
    return otr_fail(err, OTR_EGUEST, "the guest ended itself");
}

static uint64_t deadline_ns(const otr_instance *inst)
{
    return ((const wt_instance *)inst)->deadline_ns;
}

static bool call_ended(otr_instance *inst)
{
    wt_instance *i = (wt_instance *)inst;
    i->end = end_of(i);
    return i->end != WT_END_NONE;
}

static const otr_wasi_engine lends = { memory_of_caller, otr_wasmtime_take_text, end, deadline_ns,
                                       call_ended };

static wasm_trap_t *call_ours(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *vals,
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

static otr_code define_all(wasmtime_linker_t *linker, const otr_import *all, size_t n, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t k = 0; rc == OTR_OK && k < n; k++) {
        rc = otr_wasmtime_define(linker, &all[k], call_ours, err);
    }
    return rc;
}

static otr_code define_files(wasmtime_linker_t *linker, otr_wasi_preview preview, otr_err *err)
{
    size_t n = 0;
    const otr_import *all = otr_wasi_files_functions(preview, &n);
    return define_all(linker, all, n, err);
}

static otr_code define_unstable(wasmtime_linker_t *linker, otr_err *err)
{
    size_t n = 0;
    const otr_import *all = otr_wasi_process_functions(OTR_WASI_UNSTABLE, &n);
    otr_code rc = define_all(linker, all, n, err);
    return rc == OTR_OK ? define_files(linker, OTR_WASI_UNSTABLE, err) : rc;
}

otr_code otr_wasmtime_set_wasi(wt_instance *i, const otr_wasi *wasi, const wt_linked *linked,
                               otr_err *err)
{
    wasi_config_t *c = wasi_config_new();
    otr_code rc = configure(c, wasi, err);
    otr_wasmtime_open_lines(i, wasi);
    if (rc == OTR_OK && linked->unstable) {
        rc = otr_wasi_process_new(wasi, &lends, &i->base.process, err);
    }
    if (rc == OTR_OK && (wasi->n_dirs > 0 || linked->unstable)) {
        rc = otr_wasi_files_open(wasi, &lends, &i->base.files, err);
    }
    if (rc != OTR_OK) {
        wasi_config_delete(c);
        return rc;
    }
    wasmtime_error_t *error = wasmtime_context_set_wasi(i->context, c);
    return error == NULL ? OTR_OK : otr_wasmtime_fail(err, OTR_EINVAL, error, "WASI");
}

static bool ended(void *arg)
{
    return end_of(arg) != WT_END_NONE;
}

/* The arguments, checked against the memory. */
static int32_t check_poll(wasmtime_caller_t *caller, const wasmtime_val_raw_t *vals,
                          otr_wasi_poll *p)
{
    wasmtime_context_t *context = wasmtime_caller_context(caller);
    uint32_t in = (uint32_t)vals[0].i32, out = (uint32_t)vals[1].i32, ret = (uint32_t)vals[3].i32;
    wasmtime_extern_t item;
    p->n = (uint32_t)vals[2].i32;
    if (p->n == 0 || p->n > OTR_WASI_MOST_SUBSCRIPTIONS ||
        !wasmtime_caller_export_get(caller, "memory", 6, &item) ||
        item.kind != WASMTIME_EXTERN_MEMORY) {
        return WASI_INVAL;
    }
    uint8_t *memory = wasmtime_memory_data(context, &item.of.memory);
    size_t size = wasmtime_memory_data_size(context, &item.of.memory);
    size_t in_bytes = (size_t)p->n * OTR_WASI_SUBSCRIPTION_BYTES;
    size_t out_bytes = (size_t)p->n * OTR_WASI_EVENT_BYTES;
    if (in > size || in_bytes > size - in || out > size || out_bytes > size - out || ret > size ||
        size - ret < 4) {
        return WASI_FAULT;
    }
    p->subscriptions = memory + in;
    p->events = memory + out;
    p->ret_n = memory + ret;
    return WASI_OK;
}

/* (subscriptions, events, n, ret_n) -> errno */
static wasm_trap_t *poll_oneoff(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *vals,
                                size_t n_vals)
{
    (void)env;
    (void)n_vals;
    wt_instance *i = wasmtime_context_get_data(wasmtime_caller_context(caller));
    otr_wasi_poll poll = {
        .born_ns = i->born_ns, .deadline_ns = i->deadline_ns, .ended = ended, .arg = i
    };
    int32_t error = check_poll(caller, vals, &poll);
    vals[0].i32 = error == WASI_OK ? otr_wasi_poll_oneoff(&poll) : error;
    wt_end end = error == WASI_OK ? end_of(i) : WT_END_NONE;
    return end == WT_END_NONE ? NULL : otr_wasmtime_stop(i, end);
}

static otr_code define_preview_1(wasmtime_linker_t *linker, wt_wasi kind, otr_err *err)
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
                                : define_files(linker, OTR_WASI_PREVIEW_1, err);
}

otr_code otr_wasmtime_define_wasi(const wt_linked *linked, otr_err *err)
{
    otr_code rc = define_preview_1(linked->linker, linked->wasi, err);
    return rc == OTR_OK && linked->unstable ? define_unstable(linked->linker, err) : rc;
}
