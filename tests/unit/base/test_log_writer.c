#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log_writer.h"
#include "support/test.h"

enum { PIPE_BYTES = 4096, PATIENCE_MS = 5000, LINES = 5000, LINE_BYTES = 100 };

/* Static, as a thread that is left behind may still use it. Each test takes the next. */
static char rings[6][OTR_LIMIT_LOG_BYTES];
static otr_log_writer writers[6];
static size_t taken;

static otr_log_writer *fresh_writer(int fd)
{
    otr_log_writer made = OTR_LOG_WRITER(fd, rings[taken % OTR_COUNT(rings)]);
    otr_log_writer *w = &writers[taken++ % OTR_COUNT(rings)];
    *w = made;
    return w;
}

static void put_text(otr_log_writer *w, const char *text)
{
    otr_log_writer_put(w, text, strlen(text));
}

static void put_many(otr_log_writer *w)
{
    char line[LINE_BYTES + 1];
    for (int i = 0; i < LINES; i++) {
        (void)snprintf(line, sizeof(line), "%0*d\n", LINE_BYTES - 1, i);
        put_text(w, line);
    }
}

/* Reads until `end` was seen; counts complete lines of put_many() and checks their order. */
static unsigned read_until(int fd, const char *end)
{
    static char text[LINES * LINE_BYTES + PIPE_BYTES];
    size_t n = 0;
    struct pollfd at = { .fd = fd, .events = POLLIN };
    text[0] = '\0';
    while (strstr(text, end) == NULL && poll(&at, 1, PATIENCE_MS) == 1) {
        ssize_t got = read(fd, text + n, sizeof(text) - n - 1);
        if (got <= 0) {
            break;
        }
        n += (size_t)got;
        text[n] = '\0';
    }
    CHECK_HAS(text, end);
    unsigned lines = 0;
    for (const char *p = text; *p >= '0' && *p <= '9'; p += LINE_BYTES) {
        lines++;
    }
    return lines;
}

static void open_pipe(int fds[2])
{
    REQUIRE(pipe2(fds, O_CLOEXEC) == 0);
    (void)fcntl(fds[1], F_SETPIPE_SZ, PIPE_BYTES);
}

/* Threads: the injected failures are in malloc of this thread only by chance. */
T_NO_OOM(who_logs_does_not_wait_for_a_pipe_that_nobody_reads)
{
    int fds[2];
    open_pipe(fds);
    otr_log_writer *w = fresh_writer(fds[1]);
    otr_log_writer_start(w);
    uint64_t began = otr_now_ns();
    put_many(w);
    CHECK(otr_now_ns() - began < OTR_NS_PER_S);
    otr_log_health health;
    otr_log_writer_health(w, &health);
    CHECK(health.lost > 0 && health.lost < LINES);
    unsigned came = read_until(fds[0], "log lines were lost");
    CHECK_INT(came + health.lost, LINES);
    put_text(w, "after\n");
    (void)read_until(fds[0], "after\n");
    otr_log_writer_stop(w, PATIENCE_MS);
    CHECK(!w->running);
    close(fds[0]);
    close(fds[1]);
}

T_NO_OOM(a_pipe_that_nobody_reads_does_not_keep_the_end)
{
    int fds[2];
    open_pipe(fds);
    otr_log_writer *w = fresh_writer(fds[1]);
    otr_log_writer_start(w);
    put_many(w);
    uint64_t began = otr_now_ns();
    otr_log_writer_stop(w, 50);
    CHECK(otr_now_ns() - began < OTR_NS_PER_S);
    CHECK(w->running); /* it is left behind, inside its write */
    otr_log_health health;
    otr_log_writer_health(w, &health);
    CHECK(health.stuck_ns > 0);
    (void)read_until(fds[0], "log lines were lost"); /* lets it go */
}

T_NO_OOM(a_full_disk_is_counted_and_said_when_there_is_room_again)
{
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    int fds[2];
    open_pipe(fds);
    REQUIRE(full >= 0);
    otr_log_writer *w = fresh_writer(full);
    otr_log_writer_start(w);
    put_text(w, "one\n");
    put_text(w, "two\n");
    otr_log_health health = { 0 };
    for (int i = 0; i < PATIENCE_MS && health.lost < 2; i++) {
        (void)poll(NULL, 0, 1);
        otr_log_writer_health(w, &health);
    }
    CHECK_INT(health.lost, 2);
    CHECK_INT(health.sys, ENOSPC);
    otr_log_writer_use(w, fds[1]);
    put_text(w, "three\n");
    (void)read_until(fds[0], "lines=2\n");
    otr_log_writer_health(w, &health);
    CHECK_INT(health.sys, 0);
    otr_log_writer_stop(w, PATIENCE_MS);
    close(fds[0]);
}

T_NO_OOM(another_file_gets_what_comes_after)
{
    int a[2], b[2];
    open_pipe(a);
    open_pipe(b);
    otr_log_writer *w = fresh_writer(a[1]);
    otr_log_writer_start(w);
    put_text(w, "first\n");
    (void)read_until(a[0], "first\n");
    otr_log_writer_use(w, b[1]);
    put_text(w, "second\n");
    (void)read_until(b[0], "second\n");
    char c;
    CHECK_INT(read(a[0], &c, 1), 0); /* closed */
    otr_log_writer_use(w, -1);
    put_text(w, "nobody\n");
    CHECK_INT(read(b[0], &c, 1), 0);
    otr_log_writer_stop(w, PATIENCE_MS);
    close(a[0]);
    close(b[0]);
}

T(without_its_thread_lines_are_written_at_once)
{
    int fds[2];
    open_pipe(fds);
    otr_log_writer *w = fresh_writer(fds[1]);
    put_text(w, "now\n");
    (void)read_until(fds[0], "now\n");
    close(fds[0]);
    close(fds[1]);
}
