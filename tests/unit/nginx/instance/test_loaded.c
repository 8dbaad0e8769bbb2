#include "base/clock.h"
#include "nginx/instance/loaded.h"
#include "unit/nginx/instance/fake_proc.h"

enum { MASTER = 10 };

static void loaded_freep(otr_loaded *loaded)
{
    otr_loaded_deinit(loaded);
}

static void worker(tree *t, int pid, const char *title)
{
    fake_process p = { .pid = pid, .ppid = MASTER, .ticks = 100, .comm = "nginx", .title = title };
    fake_add(t, &p);
}

/* The master has these descriptors. */
static void descriptors(tree *t, const char *const *names)
{
    nftw(tree_path(t, "10/fd"), tree_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    for (; *names != NULL; names++) {
        char name[32];
        snprintf(name, sizeof(name), "10/fd/%s", *names);
        CHECK(tree_write(t, name, ""));
    }
}

static const char *const few[] = { "0", "3", "5", NULL };
static const char *const moved[] = { "0", "3", "7", NULL };

#define WORKERS(name, ...)                                                                     \
    const pid_t name##_pids[] = { __VA_ARGS__ };                                               \
    const otr_workers name = {                                                                 \
        .proc_root = t.dir, .master = MASTER, .pids = name##_pids, .n = OTR_COUNT(name##_pids) \
    }

#define LOADED(name, ...)                              \
    WORKERS(name##_now, __VA_ARGS__);                  \
    OTR_CLEANUP(loaded_freep) otr_loaded name = { 0 }; \
    otr_err name##_err;                                \
    REQUIRE_OK(otr_loaded_take(&name##_now, &(name), &name##_err), name##_err)

#define TREE(name)                      \
    OTR_CLEANUP(tree_deinit) tree name; \
    REQUIRE(tree_init(&(name)));        \
    descriptors(&(name), few)

T(worker_that_is_replaced_alone_is_no_reload)
{
    TREE(t);
    LOADED(was, 11, 12, 13);
    WORKERS(same, 11, 12, 13);
    WORKERS(fewer, 11, 13);
    WORKERS(one, 11, 13, 14);
    WORKERS(two, 13, 15, 16);
    CHECK_INT(otr_loaded_compare(&was, &same), OTR_LOAD_SAME);
    CHECK_INT(otr_loaded_compare(&was, &fewer), OTR_LOAD_SAME);
    CHECK_INT(otr_loaded_compare(&was, &one), OTR_LOAD_RESPAWN);
    CHECK_INT(otr_loaded_compare(&was, &two), OTR_LOAD_RESPAWN);
}

T(new_generation_is_a_reload)
{
    TREE(t);
    LOADED(was, 11, 12);
    worker(&t, 11, "nginx: worker process");
    worker(&t, 12, "nginx: worker process");
    WORKERS(both, 11, 12, 13, 14);
    CHECK_INT(otr_loaded_compare(&was, &both), OTR_LOAD_LATER);
    was.waits = 1000;
    CHECK_INT(otr_loaded_compare(&was, &both), OTR_LOAD_NEW); /* it cannot stay so */
    was.waits = 0;
    worker(&t, 12, "nginx: worker process is shutting down");
    CHECK_INT(otr_loaded_compare(&was, &both), OTR_LOAD_NEW);
    descriptors(&t, moved);
    WORKERS(after, 13, 14);
    CHECK_INT(otr_loaded_compare(&was, &after), OTR_LOAD_NEW);
}

T(descriptors_tell_when_all_workers_are_others)
{
    TREE(t);
    LOADED(was, 11);
    WORKERS(now, 12);
    CHECK_INT(otr_loaded_compare(&was, &now), OTR_LOAD_RESPAWN);
    descriptors(&t, moved);
    CHECK_INT(otr_loaded_compare(&was, &now), OTR_LOAD_NEW);
    was.fds = 0; /* they may not be looked at: more often than not it was a reload */
    descriptors(&t, few);
    CHECK_INT(otr_loaded_compare(&was, &now), OTR_LOAD_NEW);
    CHECK(otr_loaded_fds(&now) != 0);
    WORKERS(none, 12);
    otr_workers gone = none;
    gone.master = 99;
    CHECK_INT(otr_loaded_fds(&gone), 0);
}

T(time_of_loading_is_that_of_the_generation_that_came)
{
    TREE(t);
    fake_process p = { .pid = 11, .ppid = MASTER, .ticks = 400, .comm = "nginx", .title = "x" };
    fake_add(&t, &p);
    p = (fake_process){ .pid = 12, .ppid = MASTER, .ticks = 300, .comm = "nginx", .title = "x" };
    fake_add(&t, &p);
    WORKERS(both, 11, 12);
    WORKERS(fresh, 11);
    pid_t old[] = { 12 }, all[] = { 11, 12 };
    otr_loaded before = { .workers = old, .n = 1 }; /* 12 was not told to leave yet */
    uint64_t whole = otr_loaded_since(&both, NULL), came = otr_loaded_since(&both, &before);
    CHECK(came > whole + OTR_NS_PER_S / 2);
    before = (otr_loaded){ .workers = all, .n = 2 }; /* nobody came */
    CHECK(otr_loaded_since(&both, &before) < whole + OTR_NS_PER_S / 2);
    worker(&t, 12, ""); /* it ended meanwhile */
    CHECK(otr_loaded_since(&both, NULL) > whole + OTR_NS_PER_S / 2);
    CHECK(otr_loaded_since(&fresh, NULL) > whole + OTR_NS_PER_S / 2);
}

T(time_of_loading_is_that_of_the_oldest_worker_that_stays)
{
    TREE(t);
    fake_process p = { .pid = 11, .ppid = MASTER, .ticks = 400, .comm = "nginx", .title = "x" };
    fake_add(&t, &p);
    p = (fake_process){ .pid = 12, .ppid = MASTER, .ticks = 300, .comm = "nginx", .title = "x" };
    fake_add(&t, &p);
    WORKERS(both, 11, 12);
    WORKERS(one, 11);
    uint64_t a = otr_loaded_since(&both, NULL), b = otr_loaded_since(&one, NULL);
    uint64_t apart = b - a, expected = OTR_NS_PER_S; /* 100 ticks; the clocks move on meanwhile */
    CHECK(apart + 50 * OTR_NS_PER_MS > expected && apart < expected + 50 * OTR_NS_PER_MS);
    worker(&t, 12, "nginx: worker process is shutting down");
    CHECK(otr_loaded_since(&both, NULL) > a + OTR_NS_PER_S / 2);
    WORKERS(nobody, 77);
    CHECK_INT(otr_loaded_since(&nobody, NULL), 0);
}
