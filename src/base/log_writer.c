#include "base/log_writer.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

enum { STACK_BYTES = 256 * 1024, RETRY_MS = 200, NOTE_BYTES = 160, PIECE_BYTES = 32768 };

/* ---- writing; the caller holds no lock ---- */

/* How many bytes were taken, or -1 with errno. Waits for a file that is non-blocking. */
static ssize_t write_some(int fd, const char *p, size_t n)
{
    for (;;) {
        ssize_t done = write(fd, p, n);
        if (done >= 0 || (errno != EINTR && errno != EAGAIN)) {
            return done;
        }
        if (errno == EAGAIN) {
            struct pollfd at = { .fd = fd, .events = POLLOUT };
            (void)poll(&at, 1, RETRY_MS);
        }
    }
}

static bool write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write_some(fd, p, n);
        if (done <= 0) {
            return false;
        }
        p += done;
        n -= (size_t)done;
    }
    return true;
}

static void now_into(struct timespec *at, unsigned ms)
{
    (void)clock_gettime(CLOCK_REALTIME, at);
    at->tv_nsec += (long)(ms % 1000) * 1000000L;
    at->tv_sec += ms / 1000 + at->tv_nsec / 1000000000L;
    at->tv_nsec %= 1000000000L;
}

/* ---- the thread; the lock is held but for the writes ---- */

static void drop_front(otr_log_writer *w, size_t n)
{
    w->head = (w->head + n) % OTR_LIMIT_LOG_BYTES;
    w->n -= n;
    if (w->n == 0) {
        w->head = 0; /* stay in the same pages */
    }
}

/* The first line, or what is left of it, was refused. */
static void lose_line(otr_log_writer *w, int sys)
{
    size_t n = 0;
    while (n < w->n && w->ring[(w->head + n) % OTR_LIMIT_LOG_BYTES] != '\n') {
        n++;
    }
    drop_front(w, n < w->n ? n + 1 : n);
    w->lost++;
    w->sys = sys;
}

static ssize_t write_unlocked(otr_log_writer *w, const char *p, size_t n)
{
    int fd = w->fd;
    w->writing = true;
    w->since_ns = otr_now_ns();
    pthread_mutex_unlock(&w->lock);
    ssize_t done = write_some(fd, p, n);
    int sys = errno;
    pthread_mutex_lock(&w->lock);
    w->writing = false;
    errno = sys;
    return done;
}

static void write_front(otr_log_writer *w)
{
    size_t n = OTR_LIMIT_LOG_BYTES - w->head;
    n = n < w->n ? n : w->n;
    n = n < PIECE_BYTES ? n : PIECE_BYTES;
    const char *front = w->ring + w->head;
    if (w->torn) {
        w->torn = write_unlocked(w, "\n", 1) != 1;
    }
    ssize_t done = w->torn ? -1 : write_unlocked(w, front, n);
    if (done <= 0) {
        w->torn = w->torn || w->inside;
        w->inside = false;
        lose_line(w, errno);
        return;
    }
    w->inside = front[done - 1] != '\n';
    w->sys = 0;
    drop_front(w, (size_t)done);
}

/* All that there was is written: say what is missing. */
static void write_note(otr_log_writer *w)
{
    char note[NOTE_BYTES], when[OTR_TIME_BYTES];
    uint64_t lost = w->lost;
    int n = snprintf(note, sizeof(note),
                     "%stime=%s level=WARN msg=\"log lines were lost\" lines=%" PRIu64 "\n",
                     w->torn ? "\n" : "", otr_time_text(otr_wall_ns(), when), lost - w->told);
    if (write_unlocked(w, note, (size_t)n) == n) {
        w->told = lost;
        w->torn = false;
        w->sys = 0;
    } else {
        w->told_vain = true;
    }
}

static void change_file(otr_log_writer *w)
{
    if (w->fd > STDERR_FILENO) {
        close(w->fd);
    }
    w->fd = w->next_fd;
    w->next_fd = -1;
    /* Opened again, it may end in half a line of ours. */
    w->torn = (w->torn || w->inside) && lseek(w->fd, 0, SEEK_END) > 0;
    w->changed = w->inside = w->told_vain = false;
    w->sys = 0;
}

static void *write_lines(void *arg)
{
    otr_log_writer *w = arg;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        if (w->changed) {
            change_file(w);
        } else if (w->n > 0 && w->fd >= 0) {
            write_front(w);
        } else if (w->n == 0 && w->lost != w->told && !w->told_vain && w->fd >= 0) {
            write_note(w);
        } else if (w->ending) {
            break;
        } else {
            pthread_cond_broadcast(&w->rest);
            pthread_cond_wait(&w->work, &w->lock);
        }
    }
    w->running = false;
    pthread_cond_broadcast(&w->rest);
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* ---- for everyone else ---- */

void otr_log_writer_start(otr_log_writer *w)
{
    pthread_attr_t attr;
    sigset_t all, before;
    pthread_mutex_lock(&w->lock);
    if (w->running || pthread_attr_init(&attr) != 0) {
        pthread_mutex_unlock(&w->lock);
        return;
    }
    w->ending = false;
    (void)pthread_attr_setstacksize(&attr, STACK_BYTES);
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    /* Signals are for the loop's thread. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    w->running = pthread_create(&w->thread, &attr, write_lines, w) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);
    pthread_mutex_unlock(&w->lock);
}

void otr_log_writer_stop(otr_log_writer *w, unsigned patience_ms)
{
    struct timespec until;
    now_into(&until, patience_ms);
    pthread_mutex_lock(&w->lock);
    w->ending = true;
    pthread_cond_signal(&w->work);
    int rc = 0;
    while (w->running && rc == 0) {
        rc = pthread_cond_timedwait(&w->rest, &w->lock, &until);
    }
    pthread_mutex_unlock(&w->lock);
}

void otr_log_writer_use(otr_log_writer *w, int fd)
{
    pthread_mutex_lock(&w->lock);
    if (w->changed && w->next_fd > STDERR_FILENO) {
        close(w->next_fd); /* it was never used */
    }
    w->next_fd = fd;
    w->changed = true;
    if (w->running) {
        pthread_cond_signal(&w->work);
    } else {
        change_file(w);
    }
    pthread_mutex_unlock(&w->lock);
}

bool otr_log_writer_has_file(otr_log_writer *w)
{
    pthread_mutex_lock(&w->lock);
    bool has = w->fd >= 0;
    pthread_mutex_unlock(&w->lock);
    return has;
}

static void append(otr_log_writer *w, const char *line, size_t n)
{
    size_t at = (w->head + w->n) % OTR_LIMIT_LOG_BYTES;
    size_t first = OTR_LIMIT_LOG_BYTES - at;
    first = first < n ? first : n;
    memcpy(w->ring + at, line, first);
    memcpy(w->ring, line + first, n - first);
    w->n += n;
}

void otr_log_writer_put(otr_log_writer *w, const char *line, size_t n)
{
    pthread_mutex_lock(&w->lock);
    if (w->fd < 0 && !w->changed) {
        /* nobody wants it */
    } else if (!w->running) {
        if (!write_all(w->fd, line, n)) {
            w->lost++;
            w->sys = errno;
            w->torn = true; /* it may have taken a part */
        }
    } else if (n > OTR_LIMIT_LOG_BYTES - w->n) {
        w->lost++;
        w->told_vain = false;
    } else {
        append(w, line, n);
        w->told_vain = false;
        pthread_cond_signal(&w->work);
    }
    pthread_mutex_unlock(&w->lock);
}

void otr_log_writer_health(otr_log_writer *w, otr_log_health *ret)
{
    pthread_mutex_lock(&w->lock);
    *ret = (otr_log_health){ .lost = w->lost, .sys = w->sys };
    if (w->writing) {
        uint64_t now = otr_now_ns();
        ret->stuck_ns = now > w->since_ns ? now - w->since_ns : 0;
    }
    pthread_mutex_unlock(&w->lock);
}
