/* Ending a guest from another thread, in each phase of its life. */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "unit/wasm/own_guest.h"

typedef struct stopper {
    pthread_t thread;
    own *o;
    _Atomic bool running; /* the guest is where it is to be cancelled */
    _Atomic bool flag;    /* what otr_guest_spec.cancel looks at */
    _Atomic bool done;
    bool by_flag;
} stopper;

static void nap(void)
{
    const struct timespec t = { .tv_nsec = 1000000 };
    (void)nanosleep(&t, NULL);
}

static void *stop(void *arg)
{
    stopper *s = arg;
    while (!atomic_load(&s->running) && !atomic_load(&s->done)) {
        nap();
    }
    if (s->by_flag) {
        atomic_store(&s->flag, true);
    } else if (!atomic_load(&s->done)) {
        otr_guest_cancel(s->o->guest);
    }
    return NULL;
}

/* Tells the stopper that the guest has come this far. */
static otr_code here(const otr_user_call *call, otr_val *vals, otr_err *err)
{
    (void)vals;
    (void)err;
    stopper *s = call->user;
    atomic_store(&s->running, true);
    return OTR_OK;
}

/* A host call that lasts until the guest was cancelled. */
static otr_code stay(const otr_user_call *call, otr_val *vals, otr_err *err)
{
    stopper *s = call->user;
    otr_code rc = here(call, vals, err);
    for (int i = 0; i < 50 && !(s->by_flag && atomic_load(&s->flag)); i++) {
        nap();
    }
    return rc;
}

static const char text[] = "(module"
                           " (import \"extism:host/user\" \"here\" (func $here))"
                           " (import \"extism:host/user\" \"stay\" (func $stay))"
                           " (func (export \"spin\") (call $here) (loop $l (br $l)))"
                           " (func (export \"stay\") (call $stay) (loop $l (br $l)))"
                           " (func (export \"flood\") (loop $l (call $here) (br $l)))"
                           " (func (export \"run\") (result i32) (i32.const 0))"
                           " %s)";

static otr_code load(own *o, stopper *s, const char *more, otr_err *err)
{
    char wat[2048];
    (void)snprintf(wat, sizeof(wat), text, more);
    const otr_user_function functions[] = { { NULL, "here", { 0 }, here, s },
                                            { NULL, "stay", { 0 }, stay, s } };
    const otr_load_spec spec = { .name = "c.wasm",
                                 .wasm = otr_bytes_of(wat),
                                 .abi = "extism",
                                 .functions = functions,
                                 .n_functions = 2 };
    s->o = o;
    o->spec.init_ms = 20000;
    o->spec.cancel = s->by_flag ? &s->flag : NULL;
    return own_load(o, &spec, NULL, err);
}

static otr_code cancelled_call(own *o, stopper *s, const char *op, otr_err *err)
{
    if (pthread_create(&s->thread, NULL, stop, s) != 0) {
        return otr_fail(err, OTR_EIO, "no thread");
    }
    otr_code rc = own_ask(o, op, "", err);
    atomic_store(&s->done, true);
    (void)pthread_join(s->thread, NULL);
    return rc;
}

static otr_code cancelled_start(own *o, stopper *s, otr_err *err)
{
    if (pthread_create(&s->thread, NULL, stop, s) != 0) {
        return otr_fail(err, OTR_EIO, "no thread");
    }
    otr_code rc = own_start(o, err);
    atomic_store(&s->done, true);
    (void)pthread_join(s->thread, NULL);
    return rc;
}

static void check_call(const char *op, bool by_flag)
{
    OWN(o);
    stopper s = { .by_flag = by_flag };
    otr_err err = { 0 };
    REQUIRE_OK(load(&o, &s, "", &err), err);
    REQUIRE_OK(own_start(&o, &err), err);
    CHECK_INT(cancelled_call(&o, &s, op, &err), OTR_ETIMEOUT);
    CHECK_HAS(err.msg, "the call was interrupted");
    CHECK(otr_guest_dead(o.guest));
    CHECK_INT(own_ask(&o, "run", "", &err), OTR_ESTATE);
}

/* Threads: which allocation fails is no matter of the test's. */
T_NO_OOM(a_loop_is_cancelled)
{
    check_call("spin", false);
    check_call("spin", true);
}

T_NO_OOM(a_guest_is_cancelled_while_the_host_works_for_it)
{
    check_call("stay", false);
    check_call("stay", true);
}

T_NO_OOM(a_guest_is_cancelled_between_host_calls)
{
    check_call("flood", false);
    check_call("flood", true);
}

T_NO_OOM(start_functions_are_cancelled)
{
    static const char *const starts[] = {
        "(func $s (call $here) (loop $l (br $l))) (start $s)",
        "(func (export \"_initialize\") (call $here) (loop $l (br $l)))",
        "(func (export \"hs_init\") (param i32 i32) (call $here) (loop $l (br $l)))",
        "(func (export \"__wasm_call_ctors\") (loop $l (call $stay) (br $l)))",
    };
    for (size_t i = 0; i < OTR_COUNT(starts); i++) {
        OWN(o);
        stopper s = { .by_flag = true };
        otr_err err = { 0 };
        REQUIRE_OK(load(&o, &s, starts[i], &err), err);
        CHECK_INT(cancelled_start(&o, &s, &err), OTR_ETIMEOUT);
        CHECK_HAS(err.msg, "the call was interrupted");
    }
}

T(a_guest_that_was_cancelled_before_its_call_does_not_run)
{
    OWN(o);
    stopper s = { .by_flag = true };
    otr_err err = { 0 };
    REQUIRE_OK(load(&o, &s, "", &err), err);
    REQUIRE_OK(own_start(&o, &err), err);
    atomic_store(&s.flag, true);
    CHECK_INT(own_ask(&o, "run", "", &err), OTR_ETIMEOUT);
    CHECK(otr_guest_dead(o.guest));
    OWN(p);
    stopper t = { .by_flag = false };
    REQUIRE_OK(load(&p, &t, "", &err), err);
    REQUIRE_OK(own_start(&p, &err), err);
    otr_guest_cancel(p.guest);
    CHECK_INT(own_ask(&p, "run", "", &err), OTR_ETIMEOUT);
    CHECK(otr_guest_dead(p.guest));
}
