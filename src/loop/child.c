#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "loop/loop.h"
#include "loop/private.h"
#include "loop/spawn.h"

enum {
    READ_BYTES = 16384,
    /* After the exit all that the child itself wrote is in the pipe, which holds 64 KiB; more can
     * only come from a process it left behind, and is not waited for. */
    LAST_READS = 8,
};

struct otr_child {
    otr_loop *loop;
    uv_poll_t exit; /* .data of all three is this struct */
    uv_poll_t output;
    uv_timer_t deadline;
    unsigned handles; /* of those three, how many libuv still holds */
    pid_t pid;
    int pidfd;  /* readable when it ended; -1: closed */
    int report; /* of what comes before the program runs; -1: closed */
    int fd;     /* reading end of stdout and stderr; -1: closed */
    char *file; /* for errors */
    otr_buf out;
    otr_child_fn *done;
    void *arg;
    bool running;
    bool freed;
    bool timed_out;
    bool truncated;
    bool keep_end;
};

static void release(otr_child *child)
{
    if (child->freed && child->handles == 0) {
        otr_buf_deinit(&child->out);
        otr_free(child->file);
        otr_free(child);
    }
}

static void on_close(uv_handle_t *handle)
{
    otr_child *child = handle->data;
    child->handles--;
    release(child);
}

/* A handle that was never initialised has no .data. */
static void close_handle(uv_handle_t *handle)
{
    if (handle->data != NULL && !uv_is_closing(handle)) {
        uv_close(handle, on_close);
    }
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

static void close_io(otr_child *child)
{
    close_handle((uv_handle_t *)&child->output);
    close_handle((uv_handle_t *)&child->deadline);
    close_fd(&child->fd);
}

/* Room for `n` more, in place of what is older; in large pieces, as it is moved. */
static void drop_older(otr_child *child, size_t n)
{
    otr_buf *out = &child->out;
    size_t half = out->max_bytes / 2, left = n < half ? half : out->max_bytes - n;
    if (out->max_bytes - out->n < n && out->n > left) {
        memmove(out->p, out->p + out->n - left, left);
        otr_buf_cut(out, left);
        child->truncated = true;
    }
}

static void keep(otr_child *child, const uint8_t *p, size_t n)
{
    size_t most = child->out.max_bytes;
    if (child->keep_end) {
        size_t over = n > most ? n - most : 0;
        child->truncated |= over > 0;
        p += over;
        n -= over;
        drop_older(child, n);
    }
    size_t room = most - child->out.n;
    size_t take = n < room ? n : room;
    if (take > 0 && otr_buf_add(&child->out, (otr_bytes){ p, take }, NULL) != OTR_OK) {
        take = 0;
    }
    if (take < n) {
        child->truncated = true;
    }
}

/* True while there may be more to read. */
static bool read_some(otr_child *child)
{
    uint8_t bytes[READ_BYTES];
    ssize_t n = read(child->fd, bytes, sizeof(bytes));
    if (n > 0) {
        keep(child, bytes, (size_t)n);
        return true;
    }
    if (n < 0 && errno == EINTR) {
        return true;
    }
    if (n == 0 || errno != EAGAIN) {
        (void)uv_poll_stop(&child->output);
    }
    return false;
}

static void on_output(uv_poll_t *output, int status, int events)
{
    (void)status;
    (void)events;
    (void)read_some(output->data);
}

/* The child leads a process group of its own, so that its helpers end with it. Only while it is
 * not reaped: later the number may be another's. */
static void kill_group(otr_child *child)
{
    if (child->running) {
        (void)kill(-child->pid, SIGKILL);
        (void)kill(child->pid, SIGKILL); /* it may not have come as far as that */
    }
}

static void on_deadline(uv_timer_t *deadline)
{
    otr_child *child = deadline->data;
    child->timed_out = true;
    kill_group(child);
}

/* Takes note of the exit; false: it runs. */
static bool reap(otr_child *child, siginfo_t *ret)
{
    int rc;
    *ret = (siginfo_t){ 0 };
    do {
        rc = waitid(P_PID, (id_t)child->pid, ret, WEXITED | WNOHANG);
    } while (rc != 0 && errno == EINTR);
    if (rc == 0 && ret->si_pid == 0) {
        return false;
    }
    child->running = false; /* also when somebody else took it away: then it is unknown how */
    return true;
}

static void tell(otr_child *child, const siginfo_t *how)
{
    otr_err err = { 0 };
    bool exited = how->si_code == CLD_EXITED;
    bool ran = otr_spawn_report(child->report, child->file, &err) == OTR_OK;
    close_fd(&child->report);
    otr_child_result result = {
        .failed = ran ? NULL : &err,
        .exit_status = exited ? how->si_status : -1,
        .term_signal = exited || how->si_pid == 0 ? 0 : how->si_status,
        .timed_out = child->timed_out,
        .truncated = child->truncated,
        .output = otr_buf_bytes(&child->out),
    };
    uint64_t entered = otr_loop_enter();
    child->done(child->arg, &result);
    otr_loop_leave(entered, "child");
}

static void on_exit_of(uv_poll_t *handle, int status, int events)
{
    otr_child *child = handle->data;
    siginfo_t how;
    (void)status;
    (void)events;
    if (!reap(child, &how)) {
        return;
    }
    for (int i = 0; child->fd >= 0 && i < LAST_READS && read_some(child); i++) {
    }
    close_io(child);
    close_handle((uv_handle_t *)handle);
    close_fd(&child->pidfd);
    if (child->freed) {
        child->loop->reaping--;
        close_fd(&child->report);
    } else {
        tell(child, &how);
    }
}

static otr_code open_output(otr_child *child, uv_loop_t *uv, int *ret_write_fd, otr_err *err)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0) {
        return otr_fail_sys(err, errno, "cannot make a pipe");
    }
    child->fd = fds[0];
    *ret_write_fd = fds[1];
    int rc = uv_poll_init(uv, &child->output, child->fd);
    if (rc < 0) {
        return otr_fail_sys(err, -rc, "cannot watch a pipe");
    }
    child->output.data = child;
    child->handles++;
    (void)uv_timer_init(uv, &child->deadline);
    child->deadline.data = child;
    child->handles++;
    return OTR_OK;
}

void otr_loop_child_files(otr_loop *loop, uint64_t limit)
{
    loop->child_files = limit;
}

/* Many a program walks all numbers up to its limit; ours was raised for us alone. */
static otr_code spawn(otr_child *child, otr_loop *loop, const otr_child_spec *spec, int write_fd,
                      otr_err *err)
{
    uint64_t files = spec->place != NULL ? spec->place->files : 0;
    otr_spawn how = { .spec = spec,
                      .output = write_fd,
                      .files = files > 0 ? files : loop->child_files };
    otr_spawned spawned;
    otr_code rc = otr_spawn_start(&how, &spawned, err);
    if (rc != OTR_OK) {
        return rc;
    }
    child->pid = spawned.pid;
    child->pidfd = spawned.pidfd;
    child->report = spawned.report;
    child->running = true;
    int sys = uv_poll_init(&loop->uv, &child->exit, child->pidfd);
    if (sys < 0) {
        siginfo_t end;
        (void)kill(child->pid, SIGKILL);
        while (waitid(P_PID, (id_t)child->pid, &end, WEXITED) != 0 && errno == EINTR) {
        }
        child->running = false;
        return otr_fail_sys(err, -sys, "cannot watch %s", spec->file);
    }
    child->exit.data = child;
    child->handles++;
    return OTR_OK;
}

otr_code otr_child_start(otr_loop *loop, const otr_child_spec *spec, otr_child **ret, otr_err *err)
{
    OTR_ASSERT_LOOP(loop);
    if (spec->file == NULL || spec->file[0] != '/') {
        return otr_fail(err, OTR_EINVAL, "cannot start %s: give an absolute path",
                        spec->file != NULL ? spec->file : "a program without a name");
    }
    if (spec->argv == NULL || spec->argv[0] == NULL) {
        return otr_fail(err, OTR_EINVAL, "cannot start %s: no arguments, not even its name",
                        spec->file);
    }
    otr_child *child = otr_zalloc(sizeof(*child));
    if (child == NULL) {
        return otr_fail_nomem(err);
    }
    child->fd = -1;
    child->loop = loop;
    child->pidfd = -1;
    child->report = -1;
    child->done = spec->done;
    child->arg = spec->arg;
    child->keep_end = spec->keep_end;
    otr_buf_init(&child->out, spec->max_output_bytes);
    int write_fd = -1;
    child->file = otr_strdup(spec->file);
    otr_code rc = child->file == NULL ? otr_fail_nomem(err) : OTR_OK;
    rc = rc == OTR_OK ? open_output(child, &loop->uv, &write_fd, err) : rc;
    if (rc == OTR_OK) {
        rc = spawn(child, loop, spec, write_fd, err);
    }
    if (write_fd >= 0) {
        close(write_fd);
    }
    if (rc != OTR_OK) {
        otr_child_free(child);
        return rc;
    }
    (void)uv_poll_start(&child->exit, UV_READABLE, on_exit_of);
    (void)uv_poll_start(&child->output, UV_READABLE, on_output);
    uv_update_time(&loop->uv);
    (void)uv_timer_start(&child->deadline, on_deadline, spec->timeout_ms, 0);
    *ret = child;
    return OTR_OK;
}

void otr_child_free(otr_child *child)
{
    if (child == NULL) {
        return;
    }
    child->freed = true;
    close_io(child);
    if (child->running) {
        child->loop->reaping++;
        kill_group(child); /* on_exit_of() reaps it and closes the last handle */
    } else {
        close_handle((uv_handle_t *)&child->exit);
        close_fd(&child->pidfd);
        close_fd(&child->report);
    }
    release(child);
}
