#include "nginx/instance/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PATH_BYTES = 512, STAT_BYTES = 1024 };

pid_t otr_proc_pid(const char *text)
{
    long n = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9' && n < 100000000; p++) {
        n = 10 * n + (*p - '0');
    }
    return *p == '\0' && p > text ? (pid_t)n : 0;
}

/* Reads what one read() gives, as a string; 0 when there is nothing. */
static size_t read_some(const char *proc_root, pid_t pid, const char *name, char *out, size_t cap)
{
    char path[PATH_BYTES];
    int len = snprintf(path, sizeof(path), "%s/%d/%s", proc_root, (int)pid, name);
    out[0] = '\0';
    if (len < 0 || (size_t)len >= sizeof(path)) {
        return 0;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    ssize_t n = read(fd, out, cap - 1);
    close(fd);
    if (n <= 0) {
        return 0;
    }
    out[n] = '\0';
    return (size_t)n;
}

/* The number at `*at`, which moves behind it and one space. */
static bool next_u64(const char **at, uint64_t *ret)
{
    char *end;
    errno = 0;
    *ret = strtoull(*at, &end, 10);
    if (end == *at || errno != 0) {
        return false;
    }
    *at = *end == ' ' ? end + 1 : end;
    return true;
}

bool otr_proc_stat_read(const char *proc_root, pid_t pid, otr_proc_stat *ret)
{
    enum { FIELDS_TO_STARTTIME = 18 }; /* fields 4 … 21 stand before field 22 */
    char text[STAT_BYTES];
    if (read_some(proc_root, pid, "stat", text, sizeof(text)) == 0) {
        return false;
    }
    /* The name in parentheses may hold anything, also parentheses: the last one ends it. */
    const char *at = strrchr(text, ')');
    if (at == NULL || at[1] != ' ' || at[2] == '\0' || at[3] != ' ') {
        return false;
    }
    otr_proc_stat stat = { .state = at[2] };
    at += 4;
    for (unsigned i = 0; i < FIELDS_TO_STARTTIME; i++) {
        uint64_t v;
        if (!next_u64(&at, &v)) { /* takes the negative ones too */
            return false;
        }
        if (i == 0) {
            stat.ppid = (pid_t)v;
        }
    }
    if (!next_u64(&at, &stat.started_ticks)) {
        return false;
    }
    *ret = stat;
    return true;
}

void otr_proc_comm(const char *proc_root, pid_t pid, char out[OTR_PROC_COMM_BYTES])
{
    size_t n = read_some(proc_root, pid, "comm", out, OTR_PROC_COMM_BYTES);
    if (n > 0 && out[n - 1] == '\n') {
        out[n - 1] = '\0';
    }
}

size_t otr_proc_title(const char *proc_root, pid_t pid, char *out, size_t cap)
{
    size_t n = read_some(proc_root, pid, "cmdline", out, cap);
    while (n > 0 && (out[n - 1] == '\0' || out[n - 1] == ' ')) {
        n--;
    }
    out[n] = '\0';
    for (size_t i = 0; i < n; i++) {
        if (out[i] == '\0') {
            out[i] = ' ';
        }
    }
    return n;
}

bool otr_proc_link(const char *proc_root, pid_t pid, const char *name, char *out, size_t cap)
{
    char path[PATH_BYTES];
    int len = snprintf(path, sizeof(path), "%s/%d/%s", proc_root, (int)pid, name);
    if (len < 0 || (size_t)len >= sizeof(path)) {
        return false;
    }
    ssize_t n = readlink(path, out, cap - 1);
    if (n <= 0) {
        return false;
    }
    out[n] = '\0';
    return true;
}

bool otr_proc_children(const char *proc_root, pid_t pid, pid_t *out, size_t cap, size_t *ret_n)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof(path), "%s/%d/task/%d/children", proc_root, (int)pid, (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    char text[8192];
    size_t have = 0, count = 0;
    for (ssize_t n; (n = read(fd, text + have, sizeof(text) - 1 - have)) > 0;) {
        have += (size_t)n;
        text[have] = '\0';
        const char *at = text;
        for (const char *end; (end = strchr(at, ' ')) != NULL; at = end + 1) {
            if (count < cap) {
                char one[16] = { 0 };
                memcpy(one, at, (size_t)(end - at) < sizeof(one) ? (size_t)(end - at) : 0);
                pid_t child = otr_proc_pid(one);
                if (child > 0) {
                    out[count++] = child;
                }
            }
        }
        have = strlen(at);
        memmove(text, at, have);
    }
    close(fd);
    *ret_n = count;
    return true;
}
