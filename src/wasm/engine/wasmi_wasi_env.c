/* WASI's arguments, environment, clocks, random bytes, waiting and exit. */
#include "wasm/engine/wasmi.h"

#ifdef OTR_HAVE_WASMI

#include <sys/random.h>
#include <time.h>

#include "base/clock.h"

enum {
    REALTIME = 0,
    MONOTONIC = 1,
    EVENT_CLOCK = 0,
    SUBSCRIPTION_BYTES = 48,
    EVENT_BYTES = 32,
    MOST_SUBSCRIPTIONS = 1024,
    MOST_RANDOM = 1 << 20,
    NAP_NS = 5000000, /* how late an interrupt may find a sleeping guest */
};

static int32_t list_sizes(otr_instance *inst, char **list, const otr_val *vals)
{
    uint64_t n = 0, bytes = 0;
    uint8_t *ret_n = wi_at(inst, vals[0].i32, 4), *ret_bytes = wi_at(inst, vals[1].i32, 4);
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
static int32_t list_get(otr_instance *inst, char **list, const otr_val *vals)
{
    uint32_t to = (uint32_t)vals[1].i32;
    for (uint32_t k = 0; list != NULL && list[k] != NULL; k++) {
        uint32_t bytes = (uint32_t)strlen(list[k]) + 1;
        uint8_t *at = wi_at(inst, (int32_t)((uint32_t)vals[0].i32 + 4 * k), 4);
        uint8_t *text = wi_at(inst, (int32_t)to, bytes);
        if (at == NULL || text == NULL) {
            return WASI_FAULT;
        }
        otr_le_store(at, 4, to);
        memcpy(text, list[k], bytes);
        to += bytes;
    }
    return WASI_OK;
}

otr_code otr_wasmi_args_get(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    (void)user;
    (void)err;
    return wi_answer(vals, list_get(inst, ((wi_instance *)inst)->args, vals));
}

otr_code otr_wasmi_args_sizes_get(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    (void)user;
    (void)err;
    return wi_answer(vals, list_sizes(inst, ((wi_instance *)inst)->args, vals));
}

otr_code otr_wasmi_environ_get(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    (void)user;
    (void)err;
    return wi_answer(vals, list_get(inst, ((wi_instance *)inst)->env, vals));
}

otr_code otr_wasmi_environ_sizes_get(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    (void)user;
    (void)err;
    return wi_answer(vals, list_sizes(inst, ((wi_instance *)inst)->env, vals));
}

static otr_code give_time(otr_instance *inst, otr_val *vals, int32_t at, uint64_t ns)
{
    uint8_t *ret = wi_at(inst, at, 8);
    if (vals[0].i32 != REALTIME && vals[0].i32 != MONOTONIC) {
        return wi_answer(vals, WASI_INVAL);
    }
    if (ret == NULL) {
        return wi_answer(vals, WASI_FAULT);
    }
    otr_le_store(ret, 8, ns);
    return wi_answer(vals, WASI_OK);
}

/* (clock, ret) */
otr_code otr_wasmi_clock_res_get(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    (void)user;
    (void)err;
    return give_time(inst, vals, vals[1].i32, 1);
}

/* (clock, precision, ret) */
otr_code otr_wasmi_clock_time_get(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    (void)user;
    (void)err;
    uint64_t ns =
        vals[0].i32 == REALTIME ? otr_wall_ns() : otr_now_ns() - ((wi_instance *)inst)->born_ns;
    return give_time(inst, vals, vals[2].i32, ns);
}

/* (to, n) */
otr_code otr_wasmi_random_get(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    (void)user;
    (void)err;
    size_t n = (uint32_t)vals[1].i32;
    uint8_t *to = wi_at(inst, vals[0].i32, n);
    if (to == NULL) {
        return wi_answer(vals, WASI_FAULT);
    }
    if (n > MOST_RANDOM) {
        return wi_answer(vals, WASI_INVAL);
    }
    while (n > 0) {
        ssize_t got = getrandom(to, n, 0);
        if (got > 0) { /* else interrupted by a signal */
            to += got;
            n -= (size_t)got;
        }
    }
    return wi_answer(vals, WASI_OK);
}

otr_code otr_wasmi_sched_yield(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    (void)user;
    (void)inst;
    (void)err;
    return wi_answer(vals, WASI_OK);
}

otr_code otr_wasmi_proc_exit(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    (void)user;
    wi_instance *i = (wi_instance *)inst;
    i->exit_code = vals[0].i32;
    i->end = WI_END_EXIT;
    return otr_fail(err, OTR_EGUEST, "the guest ended itself");
}

/* ---- waiting ---- */

/* How long from now until the subscription fires; 0 for files, which are always ready. */
static uint64_t wait_of(const wi_instance *i, const uint8_t *sub, uint64_t now_ns)
{
    if (sub[8] != EVENT_CLOCK) {
        return 0;
    }
    uint64_t timeout = otr_le_load(sub + 24, 8);
    if ((otr_le_load(sub + 40, 2) & 1) == 0) {
        return timeout;
    }
    uint64_t clock = otr_le_load(sub + 16, 4) == REALTIME ? otr_wall_ns() : now_ns - i->born_ns;
    return timeout > clock ? timeout - clock : 0;
}

/* Sleeps until `until_ns`, the call's deadline or an interrupt; the caller then ends the guest. */
static void nap(wi_instance *i, uint64_t until_ns)
{
    while (otr_wasmi_overdue(i) == 0) {
        uint64_t now = otr_now_ns();
        if (now >= until_ns) {
            return;
        }
        uint64_t left = until_ns - now;
        uint64_t call = i->deadline_ns > now ? i->deadline_ns - now : 0;
        left = call < left ? call : left;
        struct timespec t = { .tv_nsec = (long)(left < NAP_NS ? left : NAP_NS) };
        (void)nanosleep(&t, NULL);
    }
}

static uint32_t fire(const wi_instance *i, const uint8_t *subs, uint32_t n, uint64_t least,
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

/* (subscriptions, events, n, ret_n) */
otr_code otr_wasmi_poll_oneoff(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    (void)user;
    wi_instance *i = (wi_instance *)inst;
    uint32_t n = (uint32_t)vals[2].i32;
    if (n == 0 || n > MOST_SUBSCRIPTIONS) {
        return wi_answer(vals, WASI_INVAL);
    }
    const uint8_t *in = wi_at(inst, vals[0].i32, (uint64_t)n * SUBSCRIPTION_BYTES);
    uint8_t *out = wi_at(inst, vals[1].i32, (uint64_t)n * EVENT_BYTES);
    uint8_t *ret = wi_at(inst, vals[3].i32, 4);
    if (in == NULL || out == NULL || ret == NULL) {
        return wi_answer(vals, WASI_FAULT);
    }
    uint8_t *subs = otr_alloc((size_t)n * SUBSCRIPTION_BYTES); /* a copy: events may overlap them */
    if (subs == NULL) {
        return wi_answer(vals, WASI_NOMEM);
    }
    memcpy(subs, in, (size_t)n * SUBSCRIPTION_BYTES);
    uint64_t now = otr_now_ns(), least = UINT64_MAX;
    for (uint32_t s = 0; s < n; s++) {
        uint64_t wait = wait_of(i, subs + (size_t)s * SUBSCRIPTION_BYTES, now);
        least = wait < least ? wait : least;
    }
    nap(i, least > UINT64_MAX - now ? UINT64_MAX : now + least);
    if (i->end == WI_END_NONE) {
        otr_le_store(ret, 4, fire(i, subs, n, least, out));
    }
    otr_free(subs);
    return i->end == WI_END_NONE ? wi_answer(vals, WASI_OK)
                                 : otr_fail(err, OTR_ETIMEOUT, "the call was stopped");
}

#endif
