#include "wasm/wasi/process.h"

#include <string.h>
#include <sys/random.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/little_endian.h"
#include "base/texts.h"
#include "wasm/wasi/errno.h"
#include "wasm/wasi/wait.h"

enum { MOST_RANDOM = 1 << 20 };

struct otr_wasi_process {
    const otr_wasi_engine *engine;
    char **env, **args; /* NULL-terminated; NULL: none */
    uint64_t born_ns;   /* where the guest's monotonic clock starts */
};

otr_code otr_wasi_process_new(const otr_wasi *wasi, const otr_wasi_engine *engine,
                              otr_wasi_process **ret, otr_err *err)
{
    for (const char *const *e = wasi->env; e != NULL && *e != NULL; e++) {
        const char *eq = strchr(*e, '=');
        if (eq == NULL || eq == *e) {
            return otr_fail(err, OTR_EINVAL, "environment \"%s\" is not NAME=value", *e);
        }
    }
    otr_wasi_process *p = otr_zalloc(sizeof(*p));
    if (p == NULL) {
        return otr_fail_nomem(err);
    }
    p->engine = engine;
    p->born_ns = otr_now_ns();
    otr_code rc = otr_texts_copy((char *const *)wasi->env, &p->env, err);
    rc = rc == OTR_OK ? otr_texts_copy((char *const *)wasi->args, &p->args, err) : rc;
    if (rc != OTR_OK) {
        otr_wasi_process_free(p);
        return rc;
    }
    *ret = p;
    return OTR_OK;
}

void otr_wasi_process_free(otr_wasi_process *p)
{
    if (p != NULL) {
        otr_texts_free(p->env);
        otr_texts_free(p->args);
        otr_free(p);
    }
}

/* ---- a call ---- */

typedef struct wp_call {
    otr_instance *inst;
    const otr_wasi_process *process;
    const otr_val *vals;
} wp_call;

/* `len` bytes at `at`; NULL when they are not all inside. */
static uint8_t *inside(const wp_call *c, uint32_t at, uint64_t len)
{
    uint8_t *memory;
    size_t bytes;
    bool any = c->process->engine->memory(c->inst, &memory, &bytes);
    return any && at <= bytes && len <= bytes - at ? memory + at : NULL;
}

static uint32_t u32(const wp_call *c, int arg)
{
    return (uint32_t)c->vals[arg].i32;
}

/* ---- arguments, environment ---- */

static int32_t list_sizes(const wp_call *c, char *const *list)
{
    uint64_t n = 0, bytes = 0;
    uint8_t *ret_n = inside(c, u32(c, 0), 4), *ret_bytes = inside(c, u32(c, 1), 4);
    if (ret_n == NULL || ret_bytes == NULL) {
        return WASI_FAULT;
    }
    for (; list != NULL && list[n] != NULL; n++) {
        bytes += strlen(list[n]) + 1;
    }
    otr_le_store(ret_n, 4, n);
    otr_le_store(ret_bytes, 4, bytes);
    return WASI_OK;
}

/* Addresses go to one place, the texts one after the other to another. */
static int32_t list_get(const wp_call *c, char *const *list)
{
    uint32_t to = u32(c, 1);
    for (uint32_t k = 0; list != NULL && list[k] != NULL; k++) {
        uint32_t bytes = (uint32_t)strlen(list[k]) + 1;
        uint8_t *at = inside(c, u32(c, 0) + 4 * k, 4), *text = inside(c, to, bytes);
        if (at == NULL || text == NULL) {
            return WASI_FAULT;
        }
        otr_le_store(at, 4, to);
        memcpy(text, list[k], bytes);
        to += bytes;
    }
    return WASI_OK;
}

static int32_t args_get(const wp_call *c)
{
    return list_get(c, c->process->args);
}

static int32_t args_sizes_get(const wp_call *c)
{
    return list_sizes(c, c->process->args);
}

static int32_t environ_get(const wp_call *c)
{
    return list_get(c, c->process->env);
}

static int32_t environ_sizes_get(const wp_call *c)
{
    return list_sizes(c, c->process->env);
}

/* ---- clocks, random bytes ---- */

static int32_t give_time(const wp_call *c, uint32_t at, uint64_t ns)
{
    uint8_t *ret = inside(c, at, 8);
    if (c->vals[0].i32 != OTR_WASI_REALTIME && c->vals[0].i32 != OTR_WASI_MONOTONIC) {
        return WASI_INVAL;
    }
    if (ret == NULL) {
        return WASI_FAULT;
    }
    otr_le_store(ret, 8, ns);
    return WASI_OK;
}

/* (clock, ret) */
static int32_t clock_res_get(const wp_call *c)
{
    return give_time(c, u32(c, 1), 1);
}

/* (clock, precision, ret) */
static int32_t clock_time_get(const wp_call *c)
{
    return give_time(c, u32(c, 2), otr_wasi_clock_ns(c->vals[0].i32, c->process->born_ns));
}

/* (to, n) */
static int32_t random_get(const wp_call *c)
{
    size_t n = u32(c, 1);
    uint8_t *to = inside(c, u32(c, 0), n);
    if (to == NULL) {
        return WASI_FAULT;
    }
    if (n > MOST_RANDOM) {
        return WASI_INVAL;
    }
    while (n > 0) {
        ssize_t got = getrandom(to, n, 0);
        if (got > 0) { /* else interrupted by a signal */
            to += got;
            n -= (size_t)got;
        }
    }
    return WASI_OK;
}

/* ---- what there is not ---- */

static int32_t nothing(const wp_call *c)
{
    (void)c;
    return WASI_OK;
}

static int32_t bad_fd(const wp_call *c)
{
    (void)c;
    return WASI_BADF;
}

static int32_t no_such_call(const wp_call *c)
{
    (void)c;
    return WASI_NOSYS;
}

/* ---- waiting, exit ---- */

static bool ended(void *arg)
{
    const wp_call *c = arg;
    return c->process->engine->ended(c->inst);
}

/* (subscriptions, events, n, ret_n) */
static int32_t poll(wp_call *c, otr_wasi_preview preview)
{
    uint32_t n = u32(c, 2);
    if (n == 0 || n > OTR_WASI_MOST_SUBSCRIPTIONS) {
        return WASI_INVAL;
    }
    const otr_wasi_poll poll = {
        .preview = preview,
        .subscriptions = inside(c, u32(c, 0), (uint64_t)n * otr_wasi_subscription_bytes(preview)),
        .events = inside(c, u32(c, 1), (uint64_t)n * OTR_WASI_EVENT_BYTES),
        .ret_n = inside(c, u32(c, 3), 4),
        .n = n,
        .born_ns = c->process->born_ns,
        .deadline_ns = c->process->engine->deadline_ns(c->inst),
        .ended = ended,
        .arg = c,
    };
    if (poll.subscriptions == NULL || poll.events == NULL || poll.ret_n == NULL) {
        return WASI_FAULT;
    }
    return otr_wasi_poll_oneoff(&poll);
}

static otr_code poll_oneoff(otr_wasi_preview preview, otr_instance *inst, otr_val *vals,
                            otr_err *err)
{
    wp_call c = { inst, inst->process, vals };
    int32_t error = poll(&c, preview);
    vals[0].i32 = error;
    return error == WASI_OK && ended(&c) ? otr_fail(err, OTR_ETIMEOUT, "the call was stopped")
                                         : OTR_OK;
}

static otr_code preview1_poll_oneoff(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    (void)user;
    return poll_oneoff(OTR_WASI_PREVIEW_1, inst, vals, err);
}

static otr_code unstable_poll_oneoff(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    (void)user;
    return poll_oneoff(OTR_WASI_UNSTABLE, inst, vals, err);
}

static otr_code proc_exit(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    (void)user;
    return inst->process->engine->exit(inst, vals[0].i32, err);
}

/* ---- how engines call ---- */

#define I 0 /* OTR_WASM_I32 */
#define L 1 /* OTR_WASM_I64 */
#define FUNCTIONS(X)                              \
    X(args_get, args_get, I, I)                   \
    X(args_sizes_get, args_sizes_get, I, I)       \
    X(clock_res_get, clock_res_get, I, I)         \
    X(clock_time_get, clock_time_get, I, L, I)    \
    X(environ_get, environ_get, I, I)             \
    X(environ_sizes_get, environ_sizes_get, I, I) \
    X(proc_raise, no_such_call, I)                \
    X(random_get, random_get, I, I)               \
    X(sock_recv, bad_fd, I, I, I, I, I, I)        \
    X(sock_send, bad_fd, I, I, I, I, I)           \
    X(sock_shutdown, bad_fd, I, I)
#define SOCK_ACCEPT(X) X(sock_accept, bad_fd, I, I, I)

#define BIND(name, how, ...)                                                                 \
    static otr_code call_##name(void *user, otr_instance *inst, otr_val *vals, otr_err *err) \
    {                                                                                        \
        const wp_call c = { inst, inst->process, vals };                                     \
        (void)user;                                                                          \
        (void)err;                                                                           \
        vals[0].i32 = how(&c);                                                               \
        return OTR_OK;                                                                       \
    }
FUNCTIONS(BIND)
SOCK_ACCEPT(BIND)
BIND(sched_yield, nothing, I)

#define ENTRY_AS(module_, name_, ...)                        \
    { .module = module_,                                     \
      .name = #name_,                                        \
      .sig = { .n_args = sizeof((uint8_t[]){ __VA_ARGS__ }), \
               .n_results = 1,                               \
               .args = { __VA_ARGS__ } },                    \
      .fn = call_##name_ },
#define PREVIEW_1                    "wasi_snapshot_preview1"
#define UNSTABLE                     "wasi_unstable"
#define IN_PREVIEW_1(name, how, ...) ENTRY_AS(PREVIEW_1, name, __VA_ARGS__)
#define IN_UNSTABLE(name, how, ...)  ENTRY_AS(UNSTABLE, name, __VA_ARGS__)
/* Those of an odd type. */
#define MORE(module_, poll_)                                                                   \
    { .module = (module_),                                                                     \
      .name = "poll_oneoff",                                                                   \
      .sig = { .n_args = 4, .n_results = 1 },                                                  \
      .fn = (poll_) },                                                                         \
        { .module = (module_), .name = "proc_exit", .sig = { .n_args = 1 }, .fn = proc_exit }, \
        { .module = (module_),                                                                 \
          .name = "sched_yield",                                                               \
          .sig = { .n_results = 1 },                                                           \
          .fn = call_sched_yield },

static const otr_import preview1[] = { FUNCTIONS(IN_PREVIEW_1) SOCK_ACCEPT(IN_PREVIEW_1)
                                           MORE(PREVIEW_1, preview1_poll_oneoff) };
static const otr_import unstable[] = { FUNCTIONS(IN_UNSTABLE)
                                           MORE(UNSTABLE, unstable_poll_oneoff) };

const otr_import *otr_wasi_process_functions(otr_wasi_preview preview, size_t *ret_n)
{
    *ret_n = preview == OTR_WASI_UNSTABLE ? OTR_COUNT(unstable) : OTR_COUNT(preview1);
    return preview == OTR_WASI_UNSTABLE ? unstable : preview1;
}
