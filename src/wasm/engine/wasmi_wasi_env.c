/* WASI's arguments, environment, clocks, random bytes, waiting and exit. */
#include "wasm/engine/wasmi.h"

#ifdef OTR_HAVE_WASMI

#include <sys/random.h>

#include "wasm/wasi/wait.h"

enum { MOST_RANDOM = 1 << 20 };

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
    if (vals[0].i32 != OTR_WASI_REALTIME && vals[0].i32 != OTR_WASI_MONOTONIC) {
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
    uint64_t ns = otr_wasi_clock_ns(vals[0].i32, ((wi_instance *)inst)->born_ns);
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

static bool ended(void *arg)
{
    return otr_wasmi_overdue(arg) != 0;
}

/* (subscriptions, events, n, ret_n) */
otr_code otr_wasmi_poll_oneoff(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    (void)user;
    wi_instance *i = (wi_instance *)inst;
    uint32_t n = (uint32_t)vals[2].i32;
    if (n == 0 || n > OTR_WASI_MOST_SUBSCRIPTIONS) {
        return wi_answer(vals, WASI_INVAL);
    }
    const otr_wasi_poll poll = {
        .subscriptions = wi_at(inst, vals[0].i32, (uint64_t)n * OTR_WASI_SUBSCRIPTION_BYTES),
        .events = wi_at(inst, vals[1].i32, (uint64_t)n * OTR_WASI_EVENT_BYTES),
        .ret_n = wi_at(inst, vals[3].i32, 4),
        .n = n,
        .born_ns = i->born_ns,
        .deadline_ns = i->deadline_ns,
        .ended = ended,
        .arg = i,
    };
    if (poll.subscriptions == NULL || poll.events == NULL || poll.ret_n == NULL) {
        return wi_answer(vals, WASI_FAULT);
    }
    int32_t error = otr_wasi_poll_oneoff(&poll);
    return i->end == WI_END_NONE ? wi_answer(vals, error)
                                 : otr_fail(err, OTR_ETIMEOUT, "the call was stopped");
}

#endif
