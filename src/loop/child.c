#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "loop/loop.h"
#include "loop/private.h"

enum {
    READ_BYTES = 16384,
    /* After the exit all that the child itself wrote is in the pipe, which holds 64 KiB; more can
     * only come from a process it left behind, and is not waited for. */
    LAST_READS = 8,
};

struct otr_child {
    uv_process_t process; /* .data of all three is this struct */
    uv_poll_t output;
    uv_timer_t deadline;
    unsigned handles; /* of those three, how many libuv still holds */
    int fd;           /* reading end of stdout and stderr; -1: closed */
    otr_buf out;
    otr_child_fn *done;
    void *arg;
    bool running;
    bool freed;
    bool timed_out;
    bool truncated;
};

static void release(otr_child *child)
{
    if (child->freed && child->handles == 0) {
        otr_buf_deinit(&child->out);
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

static void close_io(otr_child *child)
{
    close_handle((uv_handle_t *)&child->output);
    close_handle((uv_handle_t *)&child->deadline);
    if (child->fd >= 0) {
        close(child->fd);
        child->fd = -1;
    }
}

static void keep(otr_child *child, const uint8_t *p, size_t n)
{
    size_t room = child->out.max_bytes - child->out.n;
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
        (void)kill(-child->process.pid, SIGKILL);
    }
}

static void on_deadline(uv_timer_t *deadline)
{
    otr_child *child = deadline->data;
    child->timed_out = true;
    kill_group(child);
}

static void on_exit_of(uv_process_t *process, int64_t exit_status, int term_signal)
{
    otr_child *child = process->data;
    child->running = false;
    for (int i = 0; child->fd >= 0 && i < LAST_READS && read_some(child); i++) {
    }
    close_io(child);
    close_handle((uv_handle_t *)process);
    if (child->freed) {
        return;
    }
    otr_child_result result = {
        .exit_status = term_signal == 0 ? (int)exit_status : -1,
        .term_signal = term_signal,
        .timed_out = child->timed_out,
        .truncated = child->truncated,
        .output = otr_buf_bytes(&child->out),
    };
    uint64_t entered = otr_loop_enter();
    child->done(child->arg, &result);
    otr_loop_leave(entered, "child");
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

/* Many a program walks all numbers up to its limit; ours was raised for us alone. libuv has no step
 * before the exec, so this comes right after it. */
static void set_files(const otr_loop *loop, const otr_child *child)
{
    struct rlimit limit;
    if (loop->child_files > 0 && prlimit(child->process.pid, RLIMIT_NOFILE, NULL, &limit) == 0 &&
        loop->child_files < limit.rlim_cur) {
        limit.rlim_cur = loop->child_files;
        (void)prlimit(child->process.pid, RLIMIT_NOFILE, &limit, NULL); /* else it keeps ours */
    }
}

static otr_code spawn(otr_child *child, uv_loop_t *uv, const otr_child_spec *spec, int write_fd,
                      otr_err *err)
{
    uv_stdio_container_t stdio[3] = {
        { .flags = UV_IGNORE }, /* /dev/null */
        { .flags = UV_INHERIT_FD, .data.fd = write_fd },
        { .flags = UV_INHERIT_FD, .data.fd = write_fd },
    };
    char **argv;
    memcpy(&argv, &spec->argv, sizeof(argv)); /* libuv does not write to it */
    uv_process_options_t options = {
        .exit_cb = on_exit_of,
        .file = spec->file,
        .args = argv,
        .flags = UV_PROCESS_DETACHED,
        .stdio_count = OTR_COUNT(stdio),
        .stdio = stdio,
    };
    int rc = uv_spawn(uv, &child->process, &options);
    child->process.data = child; /* also after a failure: then it has to be closed, too */
    child->handles++;
    if (rc < 0) {
        return otr_fail_sys(err, -rc, "cannot start %s", spec->file);
    }
    child->running = true;
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
    child->done = spec->done;
    child->arg = spec->arg;
    otr_buf_init(&child->out, spec->max_output_bytes);
    int write_fd = -1;
    otr_code rc = open_output(child, &loop->uv, &write_fd, err);
    if (rc == OTR_OK) {
        rc = spawn(child, &loop->uv, spec, write_fd, err);
    }
    if (write_fd >= 0) {
        close(write_fd);
    }
    if (rc != OTR_OK) {
        otr_child_free(child);
        return rc;
    }
    set_files(loop, child);
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
        kill_group(child); /* on_exit_of() reaps it and closes the last handle */
    } else {
        close_handle((uv_handle_t *)&child->process);
    }
    release(child);
}
