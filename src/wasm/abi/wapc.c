/*
 * waPC: one export, `__guest_call`, for all operations; the guest fetches its input and hands over
 * its answer through imports of the module "wapc".
 *
 * Every pointer and length comes from the guest. The engine checks each range against the guest's
 * memory as it is then; a range outside is a broken guest and traps. A length inside its memory but
 * above our ceilings is refused with an error that the guest, or the one who called it, can read.
 *
 * Thread: that of the guest.
 */
#include "wasm/abi/wapc.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/log.h"
#include "wasm/abi/user.h"
#include "wasm/abi/wapc_publish.h"

enum {
    NAME_BYTES = 128,       /* binding, namespace and operation, each */
    KEEP_BYTES = 64 * 1024, /* of a host response's memory between calls */
};

#define NO_RESPONSE OTR_ESTATE /* no response is refused for that */

typedef struct wapc {
    const otr_func *call;          /* NULL before attach() */
    uint8_t *base;                 /* of the guest's memory, where that stays where it is … */
    uint64_t seen_bytes;           /* … and how much of it is known to be there */
    otr_bytes op, in;              /* of the running call */
    otr_buf *out;                  /* of the running call, or NULL: where the response goes */
    size_t out_before;             /* its length when the call began */
    otr_err refused;               /* a response that was too large; NO_RESPONSE: none came */
    char error[OTR_ERR_MSG_BYTES]; /* __guest_error */
    otr_buf host_response;
    char host_error[OTR_ERR_MSG_BYTES];
} wapc;

static uint32_t arg(const otr_val *vals, unsigned i)
{
    return (uint32_t)vals[i].i32;
}

/* A pointer without bytes behind it may be anything, as in Rust. */
static otr_code window(otr_instance *inst, const char *what, uint32_t at, uint32_t len,
                       uint8_t **ret, otr_err *err)
{
    wapc *x = ((otr_guest *)inst->user)->state;
    uint64_t end = (uint64_t)at + len;
    if (len == 0) {
        *ret = NULL;
        return OTR_OK;
    }
    if (OTR_LIKELY(end <= x->seen_bytes)) {
        *ret = x->base + at;
        return OTR_OK;
    }
    otr_code rc = inst->ops->memory(inst, OTR_MEM_GUEST, at, len, ret, err);
    if (OTR_UNLIKELY(rc != OTR_OK)) {
        return otr_wrap(err, rc, "%s", what);
    }
    if (inst->steady && x->call != NULL) { /* before attach() it may be a linked module's memory */
        x->base = *ret - at;
        x->seen_bytes = end;
    }
    return OTR_OK;
}

static otr_code give(otr_instance *inst, const char *what, uint32_t at, otr_bytes bytes,
                     otr_err *err)
{
    uint8_t *to;
    if (bytes.n > UINT32_MAX) {
        return otr_fail(err, OTR_EINVAL, "%s: %zu bytes", what, bytes.n);
    }
    otr_code rc = window(inst, what, at, (uint32_t)bytes.n, &to, err);
    if (rc == OTR_OK && bytes.n > 0) {
        memcpy(to, bytes.p, bytes.n);
    }
    return rc;
}

/* Cuts the guest's text to what an error can hold. */
static void keep_text(char out[OTR_ERR_MSG_BYTES], const uint8_t *p, size_t n)
{
    n = n < OTR_ERR_MSG_BYTES - 1 ? n : OTR_ERR_MSG_BYTES - 1;
    if (n > 0) {
        memcpy(out, p, n);
    }
    out[n] = '\0';
}

/* ---- guest side of a call ---- */

/* (op_ptr, req_ptr); where the two overlap, the operation stays. */
static otr_code guest_request(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    const wapc *x = ((otr_guest *)user)->state;
    uint32_t op = arg(vals, 0);
    otr_code rc = give(inst, "__guest_request payload", arg(vals, 1), x->in, err);
    return rc == OTR_OK ? give(inst, "__guest_request operation", op, x->op, err) : rc;
}

/* (ptr, len): the last one counts */
static otr_code guest_response(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    otr_guest *g = user;
    wapc *x = g->state;
    uint8_t *from;
    uint32_t len = arg(vals, 1);
    otr_code rc = window(inst, "__guest_response", arg(vals, 0), len, &from, err);
    if (rc != OTR_OK || x->out == NULL) { /* NULL: in a start function, where nobody asked */
        return rc;
    }
    x->refused.code = OTR_OK;
    x->out->n = x->out_before;
    if (len > g->spec.max_output_bytes) {
        (void)otr_fail(&x->refused, OTR_EINVAL, "it answered with %lu bytes; the limit is %zu",
                       (unsigned long)len, g->spec.max_output_bytes);
        return OTR_OK;
    }
    rc = otr_buf_add(x->out, (otr_bytes){ from, len }, &x->refused);
    return rc == OTR_ENOMEM ? otr_fail_nomem(err) : OTR_OK;
}

/* (ptr, len) */
static otr_code guest_error(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    wapc *x = ((otr_guest *)user)->state;
    uint8_t *from;
    otr_code rc = window(inst, "__guest_error", arg(vals, 0), arg(vals, 1), &from, err);
    if (rc == OTR_OK) {
        keep_text(x->error, from, arg(vals, 1));
    }
    return rc;
}

static void log_text(const otr_guest *g, int level, const uint8_t *p, size_t n)
{
    if (g->spec.ops->log != NULL) {
        n = n < OTR_LIMIT_PLUGIN_LOG_BYTES ? n : OTR_LIMIT_PLUGIN_LOG_BYTES;
        g->spec.ops->log(g->spec.host, level, (otr_bytes){ p, n });
    }
}

/* (ptr, len) */
static otr_code console_log(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    uint8_t *from;
    otr_code rc = window(inst, "__console_log", arg(vals, 0), arg(vals, 1), &from, err);
    if (rc == OTR_OK) {
        log_text(user, OTR_LOG_INFO, from, arg(vals, 1));
    }
    return rc;
}

/* ---- host calls ---- */

typedef struct request {
    char binding[NAME_BYTES], space[NAME_BYTES], op[NAME_BYTES];
    otr_bytes in; /* guest memory: nothing may run in the guest while it is in use */
} request;

static otr_code not_offered(otr_err *err)
{
    return otr_fail(err, OTR_EUNSUP, "the host does not offer this here");
}

static otr_code config_get(const otr_guest *g, otr_bytes in, otr_buf *out, otr_err *err)
{
    char key[256];
    if (in.n >= sizeof(key) || (in.n > 0 && memchr(in.p, '\0', in.n) != NULL)) {
        return otr_fail(err, OTR_EINVAL, "config.get: the key is longer than %zu bytes or binary",
                        sizeof(key) - 1);
    }
    if (g->spec.ops->config == NULL) {
        return not_offered(err);
    }
    if (in.n > 0) {
        memcpy(key, in.p, in.n);
    }
    key[in.n] = '\0';
    return g->spec.ops->config(g->spec.host, key, out, err);
}

static otr_code log_line(const otr_guest *g, const char *level, otr_bytes in, otr_err *err)
{
    static const struct {
        const char *name;
        int level;
    } levels[] = { { "trace", -1 },
                   { "debug", OTR_LOG_DEBUG },
                   { "info", OTR_LOG_INFO },
                   { "warn", OTR_LOG_WARN },
                   { "error", OTR_LOG_ERROR } };
    for (size_t i = 0; i < OTR_COUNT(levels); i++) {
        if (strcmp(level, levels[i].name) == 0) {
            log_text(g, levels[i].level, in.p, in.n);
            return OTR_OK;
        }
    }
    return otr_fail(err, OTR_EINVAL, "log: no level \"%s\"; trace, debug, info, warn, error",
                    level);
}

static bool fits(const char *wanted, const char *name)
{
    return wanted == NULL || strcmp(wanted, name) == 0;
}

/* The embedder's, in their order. */
static otr_code ask_embedder(otr_guest *g, otr_instance *inst, const request *r, otr_buf *out,
                             otr_err *err)
{
    for (size_t i = 0; i < g->spec.n_operations; i++) {
        const otr_user_operation *o = &g->spec.operations[i];
        if (fits(o->binding, r->binding) && fits(o->space, r->space) && fits(o->name, r->op)) {
            const otr_user_call call = { .guest = g,
                                         .inst = inst,
                                         .host = g->spec.host,
                                         .user = o->user,
                                         .context = g->context,
                                         .binding = r->binding,
                                         .space = r->space,
                                         .name = r->op };
            return o->fn(&call, r->in, out, err);
        }
    }
    return otr_fail(err, OTR_ENOTFOUND,
                    "no operation \"%s\" in namespace \"%s\" of binding \"%s\"; the host's own "
                    "binding is \"outrider\"",
                    r->op, r->space, r->binding);
}

static otr_code dispatch(const otr_guest *g, const request *r, otr_buf *out, otr_err *err)
{
    char name[2 * NAME_BYTES];
    if (strcmp(r->space, "publish") == 0) { /* the topic is the operation: nothing to parse */
        return g->spec.ops->publish != NULL ? g->spec.ops->publish(g->spec.host, r->op, r->in, err)
                                            : not_offered(err);
    }
    if (strcmp(r->space, "bus") == 0 && strcmp(r->op, "publish") == 0) {
        return otr_wapc_publish(g, r->in, err);
    }
    if (strcmp(r->space, "config") == 0 && strcmp(r->op, "get") == 0) {
        return config_get(g, r->in, out, err);
    }
    if (strcmp(r->space, "log") == 0) {
        return log_line(g, r->op, r->in, err);
    }
    if (g->spec.ops->call == NULL) {
        return not_offered(err);
    }
    (void)snprintf(name, sizeof(name), "%s.%s", r->space, r->op);
    return g->spec.ops->call(g->spec.host, name, r->in, out, err);
}

/* A name the host cannot hold sets `*bad` and is no trap: a guest may ask for anything. */
static otr_code read_name(otr_instance *inst, const otr_val *vals, unsigned i, char out[NAME_BYTES],
                          bool *bad, otr_err *err)
{
    uint8_t *from;
    uint32_t n = arg(vals, i + 1);
    otr_code rc = window(inst, "__host_call name", arg(vals, i), n, &from, err);
    if (rc != OTR_OK) {
        return rc;
    }
    if (n >= NAME_BYTES || (n > 0 && memchr(from, '\0', n) != NULL)) {
        *bad = true;
        return OTR_OK;
    }
    if (n > 0) {
        memcpy(out, from, n);
    }
    out[n] = '\0';
    return OTR_OK;
}

static otr_code read_request(otr_instance *inst, const otr_val *vals, request *r, bool *bad,
                             otr_err *err)
{
    uint8_t *from;
    otr_code rc = read_name(inst, vals, 0, r->binding, bad, err);
    if (rc == OTR_OK) {
        rc = read_name(inst, vals, 2, r->space, bad, err);
    }
    if (rc == OTR_OK) {
        rc = read_name(inst, vals, 4, r->op, bad, err);
    }
    if (rc == OTR_OK) {
        rc = window(inst, "__host_call payload", arg(vals, 6), arg(vals, 7), &from, err);
    }
    if (rc == OTR_OK) {
        r->in = (otr_bytes){ from, arg(vals, 7) };
    }
    return rc;
}

static void drop_response(wapc *x)
{
    if (x->host_response.cap > KEEP_BYTES) {
        otr_buf_deinit(&x->host_response);
    }
    if (x->host_response.p == NULL) {
        otr_buf_init(&x->host_response, OTR_LIMIT_PLUGIN_OUTPUT_BYTES);
    }
    otr_buf_clear(&x->host_response);
}

/* (bd, bd_len, ns, ns_len, op, op_len, ptr, len) -> 1 on success, else 0 and __host_error */
static otr_code host_call(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    otr_guest *g = user;
    wapc *x = g->state;
    request r;
    bool bad = false;
    otr_err failure = { 0 };
    otr_code rc = read_request(inst, vals, &r, &bad, err);
    if (rc != OTR_OK) {
        return rc;
    }
    drop_response(x);
    x->host_error[0] = '\0';
    if (bad) {
        rc = otr_fail(&failure, OTR_EINVAL, "a name has %d bytes or more, or a NUL", NAME_BYTES);
    } else if (r.in.n > OTR_LIMIT_PLUGIN_OUTPUT_BYTES) {
        rc = otr_fail(&failure, OTR_EQUOTA, "a payload of %zu bytes; the limit is %u", r.in.n,
                      OTR_LIMIT_PLUGIN_OUTPUT_BYTES);
    } else {
        rc = strcmp(r.binding, "outrider") == 0
                 ? dispatch(g, &r, &x->host_response, &failure)
                 : ask_embedder(g, inst, &r, &x->host_response, &failure);
    }
    if (rc != OTR_OK) {
        otr_buf_clear(&x->host_response);
        const char *text = failure.msg[0] != '\0' ? failure.msg : otr_code_name(rc);
        keep_text(x->host_error, (const uint8_t *)text, strlen(text));
    }
    vals[0].i32 = rc == OTR_OK;
    return OTR_OK;
}

static otr_code host_response_len(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    (void)inst;
    (void)err;
    const wapc *x = ((otr_guest *)user)->state;
    vals[0].i32 = (int32_t)x->host_response.n;
    return OTR_OK;
}

static otr_code host_response(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    const wapc *x = ((otr_guest *)user)->state;
    return give(inst, "__host_response", arg(vals, 0), otr_buf_bytes(&x->host_response), err);
}

static otr_code host_error_len(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    (void)inst;
    (void)err;
    const wapc *x = ((otr_guest *)user)->state;
    vals[0].i32 = (int32_t)strlen(x->host_error);
    return OTR_OK;
}

static otr_code host_error(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    const wapc *x = ((otr_guest *)user)->state;
    return give(inst, "__host_error", arg(vals, 0), otr_bytes_of(x->host_error), err);
}

#define WAPC(name, n_in, n_out, fn)                                                  \
    {                                                                                \
        "wapc", name, { .n_args = (n_in), .n_results = (n_out) }, fn, NULL /* i32 */ \
    }

static const otr_import all_imports[] = {
    WAPC("__guest_request", 2, 0, guest_request),
    WAPC("__guest_response", 2, 0, guest_response),
    WAPC("__guest_error", 2, 0, guest_error),
    WAPC("__host_call", 8, 1, host_call),
    WAPC("__host_response_len", 0, 1, host_response_len),
    WAPC("__host_response", 1, 0, host_response),
    WAPC("__host_error_len", 0, 1, host_error_len),
    WAPC("__host_error", 1, 0, host_error),
    WAPC("__console_log", 2, 0, console_log),
};

static const otr_import *imports(size_t *ret_n)
{
    *ret_n = OTR_COUNT(all_imports);
    return all_imports;
}

/* ---- life ---- */

static otr_code run_start(otr_guest *g, const char *name, uint64_t deadline_ns, otr_err *err)
{
    if (otr_module_export(g->info, name) == NULL) { /* check() has seen to its type */
        return OTR_OK;
    }
    otr_val vals[1] = { { .i64 = 0 } };
    const otr_call call = { g->inst->ops->func(g->inst, OTR_MEM_GUEST, name), vals, deadline_ns };
    if (call.func == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = g->inst->ops->call(g->inst, &call, err);
    if (rc == OTR_EGUEST && g->inst->ops->exit_code(g->inst) == 0) {
        return OTR_OK; /* a main function that returned */
    }
    return rc == OTR_OK ? OTR_OK : otr_wrap(err, rc, "start function %s", name);
}

static otr_code attach(otr_guest *g, uint64_t deadline_ns, otr_err *err)
{
    wapc *x = g->state;
    x->call = g->inst->ops->func(g->inst, OTR_MEM_GUEST, "__guest_call");
    otr_code rc = x->call != NULL ? OTR_OK : otr_fail_nomem(err);
    for (size_t i = 0; rc == OTR_OK && otr_wapc_starts[i] != NULL; i++) {
        rc = run_start(g, otr_wapc_starts[i], deadline_ns, err);
    }
    drop_response(x); /* what a start function asked is no call's */
    return rc;
}

static void detach(otr_guest *g)
{
    wapc *x = g->state;
    otr_buf_deinit(&x->host_response);
}

/* A success without an answer, though an error was told, is none: as other hosts have it. */
static otr_code answer(const wapc *x, const char *op, int32_t result, otr_err *err)
{
    if (result != 1 || (x->refused.code == NO_RESPONSE && x->error[0] != '\0')) {
        return x->error[0] != '\0'
                   ? otr_fail(err, OTR_EINVAL, "%s", x->error)
                   : otr_fail(err, OTR_EINVAL, "%s failed and gave no error text", op);
    }
    return x->refused.code == NO_RESPONSE ? OTR_OK
                                          : otr_fail(err, OTR_EINVAL, "%s: %s", op, x->refused.msg);
}

static otr_code invoke(otr_guest *g, const char *op, otr_bytes in, uint64_t deadline_ns,
                       otr_buf *out, otr_err *err)
{
    wapc *x = g->state;
    x->op = otr_bytes_of(op);
    if (in.n > INT32_MAX || x->op.n > INT32_MAX) {
        return otr_fail(err, OTR_EINVAL, "%zu bytes are more than a guest can be given", in.n);
    }
    x->in = in;
    x->out = out;
    x->out_before = out->n;
    x->error[0] = '\0';
    x->host_error[0] = '\0';
    x->refused.code = NO_RESPONSE;
    otr_val vals[2] = { { .i32 = (int32_t)x->op.n }, { .i32 = (int32_t)in.n } };
    const otr_call call = { x->call, vals, deadline_ns };
    otr_code rc = g->inst->ops->call(g->inst, &call, err);
    x->op = x->in = (otr_bytes){ NULL, 0 };
    x->out = NULL;
    if (x->host_response.cap > 0) {
        drop_response(x);
    }
    if (OTR_LIKELY(rc == OTR_OK && vals[0].i32 == 1 && x->refused.code == OTR_OK)) {
        return OTR_OK;
    }
    return rc == OTR_OK ? answer(x, op, vals[0].i32, err) : rc;
}

/* ---- functions of any type: guest_typed.c makes the call ---- */

static otr_code begin(otr_guest *g, const otr_guest_ask *ask, otr_err *err)
{
    wapc *x = g->state;
    (void)err;
    x->op = otr_bytes_of(ask->op);
    x->in = ask->in;
    x->out = NULL; /* nobody waits for an answer in bytes */
    x->error[0] = '\0';
    return OTR_OK;
}

static otr_code finish(otr_guest *g, const otr_guest_ask *ask, otr_code ended, otr_buf *out,
                       otr_err *err)
{
    wapc *x = g->state;
    (void)ask;
    (void)out;
    x->op = x->in = (otr_bytes){ NULL, 0 };
    drop_response(x);
    if (ended != OTR_OK) {
        return ended;
    }
    return x->error[0] == '\0' ? OTR_OK : otr_fail(err, OTR_EINVAL, "%s", x->error);
}

const otr_abi_ops otr_abi_wapc = {
    .name = "wapc",
    .needs = OTR_WASM_CORE,
    .state_size = sizeof(wapc),
    .match = otr_wapc_match,
    .imports = imports,
    .check = otr_wapc_check,
    .has = otr_wapc_has,
    .attach = attach,
    .invoke = invoke,
    .begin = begin,
    .finish = finish,
    .detach = detach,
};
