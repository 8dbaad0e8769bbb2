#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/escape.h"

/* A line that does not fit is cut, closed and marked in the bytes kept for that. */
enum { LINE_BYTES = 8192, KEPT_BYTES = 32, FULL_BYTES = LINE_BYTES - KEPT_BYTES };

typedef struct line {
    char text[LINE_BYTES];
    size_t n;
    bool cut;
} line;

/* What a reader of the log gets at the end, at most: a stopped one must not keep us. */
enum { LAST_WORDS_MS = 250 };

static char rings[2][OTR_LIMIT_LOG_BYTES];

static struct {
    otr_log_writer screen, file;
    _Atomic bool threads;
    _Atomic int level;
} sink = { .screen = OTR_LOG_WRITER(STDERR_FILENO, rings[0]),
           .file = OTR_LOG_WRITER(-1, rings[1]),
           .level = OTR_LOG_INFO };

static const char *const level_names[] = { "DEBUG", "INFO", "WARN", "ERROR" };

otr_log_level otr_log_level_of(const char *name)
{
    for (size_t i = 0; i < OTR_COUNT(level_names); i++) {
        if (strcasecmp(name, level_names[i]) == 0) {
            return (otr_log_level)i;
        }
    }
    return OTR_LOG_INFO;
}

const char *otr_log_level_name(otr_log_level level)
{
    return level_names[level];
}

void otr_log_set_level(otr_log_level level)
{
    atomic_store_explicit(&sink.level, (int)level, memory_order_relaxed);
}

otr_log_level otr_log_get_level(void)
{
    return (otr_log_level)atomic_load_explicit(&sink.level, memory_order_relaxed);
}

void otr_log_start(void)
{
    atomic_store(&sink.threads, true);
    otr_log_writer_start(&sink.screen);
    if (otr_log_writer_has_file(&sink.file)) {
        otr_log_writer_start(&sink.file);
    }
}

otr_code otr_log_open(const char *path, otr_err *err)
{
    int fd = -1;
    if (path[0] != '\0') {
        struct stat st;
        size_t n = strlen(path);
        bool is_dir = path[n - 1] == '/' || (stat(path, &st) == 0 && S_ISDIR(st.st_mode));
        char file[4096];
        int len = snprintf(file, sizeof(file), "%s%s", path,
                           !is_dir              ? ""
                           : path[n - 1] == '/' ? "agent.log"
                                                : "/agent.log");
        if (len < 0 || (size_t)len >= sizeof(file)) {
            return otr_fail(err, OTR_EINVAL, "log path is longer than %zu bytes", sizeof(file));
        }
        /* Not to wait for the reader of a FIFO; a regular file does not mind. */
        fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
        if (fd < 0) {
            return otr_fail_sys(err, errno, "cannot open log file %s", file);
        }
    }
    otr_log_writer_use(&sink.file, fd);
    if (fd >= 0 && atomic_load(&sink.threads)) {
        otr_log_writer_start(&sink.file);
    }
    return OTR_OK;
}

void otr_log_close(void)
{
    otr_log_writer_stop(&sink.file, LAST_WORDS_MS);
    otr_log_writer_stop(&sink.screen, LAST_WORDS_MS);
    atomic_store(&sink.threads, false);
    otr_log_writer_use(&sink.file, -1);
}

void otr_log_health_read(otr_log_health *ret_screen, otr_log_health *ret_file)
{
    otr_log_writer_health(&sink.screen, ret_screen);
    otr_log_writer_health(&sink.file, ret_file);
}

bool otr_log_goes_to(uint64_t dev, uint64_t ino)
{
    struct stat st;
    otr_log_writer *w = &sink.file;
    pthread_mutex_lock(&w->lock);
    int fd = w->changed ? w->next_fd : w->fd;
    bool is = fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
    pthread_mutex_unlock(&w->lock);
    return is;
}

/* All of it or, once the line is full, nothing. */
static void put(line *l, const char *p, size_t n)
{
    if (l->cut || n > FULL_BYTES || l->n > FULL_BYTES - n) {
        l->cut = true;
        return;
    }
    memcpy(l->text + l->n, p, n);
    l->n += n;
}

static void put_kept(line *l, const char *text)
{
    size_t n = strlen(text);
    memcpy(l->text + l->n, text, n);
    l->n += n;
}

static bool needs_quotes(const char *s)
{
    if (*s == '\0') {
        return true;
    }
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7f) {
            return true;
        }
    }
    return false;
}

static void put_quoted(line *l, const char *s)
{
    put(l, "\"", 1);
    bool opened = !l->cut;
    for (otr_bytes rest = otr_bytes_of(s); rest.n > 0 && !l->cut;) {
        char one[OTR_ESCAPE_BYTES];
        size_t n = 0, took = otr_escape_next(rest, one, &n);
        if (one[0] == '"' || (one[0] == '\\' && n == 1)) {
            put(l, (char[]){ '\\', one[0] }, 2);
        } else {
            put(l, one, n);
        }
        rest = (otr_bytes){ rest.p + took, rest.n - took };
    }
    if (opened) {
        put_kept(l, "\""); /* only one quoted text can be the one that did not fit */
    }
}

static void put_value(line *l, const char *value)
{
    bool too_long = l->n + strlen(value) > FULL_BYTES;
    if (too_long || needs_quotes(value)) {
        put_quoted(l, value); /* which takes as much as fits */
    } else {
        put(l, value, strlen(value));
    }
}

void otr_log(otr_log_level level, const char *msg, ...)
{
    if (level < otr_log_get_level()) {
        return;
    }
    int saved_errno = errno;
    line l;
    l.n = 0;
    l.cut = false;
    char when[OTR_TIME_BYTES];
    otr_time_text(otr_wall_ns(), when);
    put(&l, "time=", 5);
    put(&l, when, strlen(when));
    put(&l, " level=", 7);
    put(&l, level_names[level], strlen(level_names[level]));
    put(&l, " msg=", 5);
    put_value(&l, msg);
    va_list args;
    va_start(args, msg);
    for (const char *key; (key = va_arg(args, const char *)) != NULL;) {
        const char *value = va_arg(args, const char *);
        put(&l, " ", 1);
        put(&l, key, strlen(key));
        put(&l, "=", 1);
        put_value(&l, value != NULL ? value : "");
    }
    va_end(args);
    put_kept(&l, l.cut ? " truncated=true\n" : "\n");
    otr_log_writer_put(&sink.screen, l.text, l.n);
    otr_log_writer_put(&sink.file, l.text, l.n);
    errno = saved_errno;
}

const char *otr_u64_text(char out[24], uint64_t value)
{
    (void)snprintf(out, 24, "%" PRIu64, value);
    return out;
}

const char *otr_i64_text(char out[24], int64_t value)
{
    (void)snprintf(out, 24, "%" PRId64, value);
    return out;
}
