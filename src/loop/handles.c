#include "base/alloc.h"
#include "loop/loop.h"
#include "loop/private.h"

struct otr_timer {
    uv_timer_t uv; /* .data is this struct, here and below */
    otr_loop_fn *fn;
    void *arg;
};

struct otr_signal {
    uv_signal_t uv;
    otr_loop_fn *fn;
    void *arg;
};

struct otr_watch {
    uv_poll_t uv;
    int events;
    otr_watch_fn *fn;
    void *arg;
};

struct otr_folder {
    uv_fs_event_t uv;
    otr_folder_fn *fn;
    void *arg;
};

/* libuv holds a handle until the end of the round in which it is closed. */
static void on_close(uv_handle_t *handle)
{
    otr_free(handle->data);
}

/* ---- timers ---- */

static void on_timer(uv_timer_t *uv)
{
    otr_timer *timer = uv->data;
    uint64_t entered = otr_loop_enter();
    timer->fn(timer->arg);
    otr_loop_leave(entered, "timer");
}

otr_code otr_timer_new(otr_loop *loop, otr_loop_fn *fn, void *arg, otr_timer **ret, otr_err *err)
{
    OTR_ASSERT_LOOP(loop);
    otr_timer *timer = otr_zalloc(sizeof(*timer));
    if (timer == NULL) {
        return otr_fail_nomem(err);
    }
    timer->fn = fn;
    timer->arg = arg;
    (void)uv_timer_init(&loop->uv, &timer->uv);
    timer->uv.data = timer;
    *ret = timer;
    return OTR_OK;
}

void otr_timer_start(otr_timer *timer, uint64_t delay_ms, uint64_t repeat_ms)
{
    if (timer != NULL) {
        /* The loop's idea of now is as old as the round; a delay counts from the call. */
        uv_update_time(timer->uv.loop);
        (void)uv_timer_start(&timer->uv, on_timer, delay_ms, repeat_ms);
    }
}

void otr_timer_stop(otr_timer *timer)
{
    if (timer != NULL) {
        (void)uv_timer_stop(&timer->uv);
    }
}

void otr_timer_free(otr_timer *timer)
{
    if (timer != NULL) {
        uv_close((uv_handle_t *)&timer->uv, on_close);
    }
}

/* ---- signals ---- */

static void on_signal(uv_signal_t *uv, int signum)
{
    (void)signum;
    otr_signal *sig = uv->data;
    uint64_t entered = otr_loop_enter();
    sig->fn(sig->arg);
    otr_loop_leave(entered, "signal");
}

otr_code otr_signal_new(otr_loop *loop, int signum, otr_loop_fn *fn, void *arg, otr_signal **ret,
                        otr_err *err)
{
    OTR_ASSERT_LOOP(loop);
    otr_signal *sig = otr_zalloc(sizeof(*sig));
    if (sig == NULL) {
        return otr_fail_nomem(err);
    }
    int rc = uv_signal_init(&loop->uv, &sig->uv);
    if (rc < 0) {
        otr_free(sig);
        return otr_fail_sys(err, -rc, "cannot watch for signals");
    }
    sig->fn = fn;
    sig->arg = arg;
    sig->uv.data = sig;
    rc = uv_signal_start(&sig->uv, on_signal, signum);
    if (rc < 0) {
        otr_signal_free(sig);
        return otr_fail_sys(err, -rc, "cannot watch for signal %d", signum);
    }
    *ret = sig;
    return OTR_OK;
}

void otr_signal_free(otr_signal *sig)
{
    if (sig != NULL) {
        uv_close((uv_handle_t *)&sig->uv, on_close);
    }
}

/* ---- file descriptors ---- */

static void on_poll(uv_poll_t *uv, int status, int uv_events);

static int start_poll(otr_watch *watch)
{
    int wanted = ((watch->events & OTR_WATCH_READ) != 0 ? UV_READABLE : 0) |
                 ((watch->events & OTR_WATCH_WRITE) != 0 ? UV_WRITABLE : 0);
    return uv_poll_start(&watch->uv, wanted, on_poll);
}

static void on_poll(uv_poll_t *uv, int status, int uv_events)
{
    otr_watch *watch = uv->data;
    int events = ((uv_events & UV_READABLE) != 0 ? OTR_WATCH_READ : 0) |
                 ((uv_events & UV_WRITABLE) != 0 ? OTR_WATCH_WRITE : 0);
    if (status < 0) {
        /* An error counts as ready: the owner's read or write meets it. libuv stops the handle. */
        events = watch->events;
        (void)start_poll(watch);
    }
    uint64_t entered = otr_loop_enter();
    watch->fn(watch->arg, events);
    otr_loop_leave(entered, "watch");
}

otr_code otr_watch_new(otr_loop *loop, int fd, int events, otr_watch_fn *fn, void *arg,
                       otr_watch **ret, otr_err *err)
{
    OTR_ASSERT_LOOP(loop);
    if (events == 0 || (events & ~(OTR_WATCH_READ | OTR_WATCH_WRITE)) != 0) {
        return otr_fail(err, OTR_EINVAL, "cannot watch fd %d for events %#x", fd, (unsigned)events);
    }
    otr_watch *watch = otr_zalloc(sizeof(*watch));
    if (watch == NULL) {
        return otr_fail_nomem(err);
    }
    int rc = uv_poll_init(&loop->uv, &watch->uv, fd);
    if (rc < 0) {
        otr_free(watch);
        return otr_fail_sys(err, -rc, "cannot watch fd %d", fd);
    }
    watch->events = events;
    watch->fn = fn;
    watch->arg = arg;
    watch->uv.data = watch;
    rc = start_poll(watch);
    if (rc < 0) {
        otr_watch_free(watch);
        return otr_fail_sys(err, -rc, "cannot watch fd %d", fd);
    }
    *ret = watch;
    return OTR_OK;
}

void otr_watch_stop(otr_watch *watch)
{
    if (watch != NULL) {
        (void)uv_poll_stop(&watch->uv);
    }
}

void otr_watch_start(otr_watch *watch)
{
    if (watch != NULL) {
        (void)start_poll(watch);
    }
}

void otr_watch_set(otr_watch *watch, int events)
{
    if (watch != NULL) {
        watch->events = events;
        (void)start_poll(watch);
    }
}

void otr_watch_free(otr_watch *watch)
{
    if (watch != NULL) {
        uv_close((uv_handle_t *)&watch->uv, on_close);
    }
}

/* ---- folders ---- */

static void on_fs_event(uv_fs_event_t *uv, const char *name, int events, int status)
{
    otr_folder *folder = uv->data;
    (void)events;
    uint64_t entered = otr_loop_enter();
    folder->fn(folder->arg, status < 0 ? NULL : name);
    otr_loop_leave(entered, "folder");
}

otr_code otr_folder_new(otr_loop *loop, const char *path, otr_folder_fn *fn, void *arg,
                        otr_folder **ret, otr_err *err)
{
    OTR_ASSERT_LOOP(loop);
    otr_folder *folder = otr_zalloc(sizeof(*folder));
    if (folder == NULL) {
        return otr_fail_nomem(err);
    }
    folder->fn = fn;
    folder->arg = arg;
    (void)uv_fs_event_init(&loop->uv, &folder->uv);
    folder->uv.data = folder;
    int rc = uv_fs_event_start(&folder->uv, on_fs_event, path, 0);
    if (rc < 0) {
        otr_folder_free(folder);
        return otr_fail_sys(err, -rc, "cannot watch the folder %s", path);
    }
    *ret = folder;
    return OTR_OK;
}

void otr_folder_free(otr_folder *folder)
{
    if (folder != NULL) {
        uv_close((uv_handle_t *)&folder->uv, on_close);
    }
}
