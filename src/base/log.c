#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

enum { LINE_BYTES = 8192 };

typedef struct line {
    char text[LINE_BYTES];
    size_t n;
} line;

static struct {
    pthread_mutex_t lock;
    int fd;
    _Atomic int level;
} sink = { .lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1, .level = OTR_LOG_INFO };

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

static void replace_fd(int fd)
{
    pthread_mutex_lock(&sink.lock);
    int old = sink.fd;
    sink.fd = fd;
    pthread_mutex_unlock(&sink.lock);
    if (old >= 0) {
        close(old);
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
        fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);
        if (fd < 0) {
            return otr_fail_sys(err, errno, "cannot open log file %s", file);
        }
    }
    replace_fd(fd);
    return OTR_OK;
}

void otr_log_close(void)
{
    replace_fd(-1);
}

static void put(line *l, const char *p, size_t n)
{
    size_t room = sizeof(l->text) - 1 - l->n;
    size_t take = n < room ? n : room;
    memcpy(l->text + l->n, p, take);
    l->n += take;
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
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        char esc[8];
        int n;
        if (c == '"' || c == '\\') {
            n = snprintf(esc, sizeof(esc), "\\%c", c);
        } else if (c == '\n') {
            n = snprintf(esc, sizeof(esc), "\\n");
        } else if (c == '\t') {
            n = snprintf(esc, sizeof(esc), "\\t");
        } else if (c < ' ' || c == 0x7f) {
            n = snprintf(esc, sizeof(esc), "\\x%02x", c);
        } else {
            n = snprintf(esc, sizeof(esc), "%c", c);
        }
        put(l, esc, (size_t)n);
    }
    put(l, "\"", 1);
}

static void put_value(line *l, const char *value)
{
    if (needs_quotes(value)) {
        put_quoted(l, value);
    } else {
        put(l, value, strlen(value));
    }
}

static void write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            return; /* a full disk or a closed terminal must not stop the agent */
        }
        p += done;
        n -= (size_t)done;
    }
}

void otr_log(otr_log_level level, const char *msg, ...)
{
    if (level < otr_log_get_level()) {
        return;
    }
    line l = { .n = 0 };
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
    l.text[l.n++] = '\n'; /* put() leaves one byte free */
    pthread_mutex_lock(&sink.lock);
    write_all(STDERR_FILENO, l.text, l.n);
    if (sink.fd >= 0) {
        write_all(sink.fd, l.text, l.n);
    }
    pthread_mutex_unlock(&sink.lock);
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
