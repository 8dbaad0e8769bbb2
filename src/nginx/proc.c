#include "nginx/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { PATH_BYTES = 512, STAT_BYTES = 1024, STATUS_BYTES = 8192 };

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

/* The numbers of fields 4 and following; how many were there, at most `most`. */
static size_t stat_fields(const char *proc_root, pid_t pid, char *ret_state, uint64_t *out,
                          size_t most)
{
    char text[STAT_BYTES];
    if (read_some(proc_root, pid, "stat", text, sizeof(text)) == 0) {
        return 0;
    }
    /* The name in parentheses may hold anything, also parentheses: the last one ends it. */
    const char *at = strrchr(text, ')');
    if (at == NULL || at[1] != ' ' || at[2] == '\0' || at[3] != ' ') {
        return 0;
    }
    *ret_state = at[2];
    size_t n = 0;
    for (at += 4; n < most && next_u64(&at, &out[n]); n++) { /* takes the negative ones too */
    }
    return n;
}

bool otr_proc_stat_read(const char *proc_root, pid_t pid, otr_proc_stat *ret)
{
    enum { PARENT = 0, SESSION = 2, START = 18, FIELDS };
    uint64_t fields[FIELDS];
    char state;
    if (stat_fields(proc_root, pid, &state, fields, FIELDS) != FIELDS) {
        return false;
    }
    *ret = (otr_proc_stat){ .state = state,
                            .ppid = (pid_t)fields[PARENT],
                            .session = (pid_t)fields[SESSION],
                            .started_ticks = fields[START] };
    return true;
}

size_t otr_proc_arguments(const char *proc_root, pid_t pid, char *out, size_t cap)
{
    enum { ARGUMENTS = 44, ENVIRONMENT_END = 47, FIELDS };
    uint64_t fields[FIELDS];
    char state, path[PATH_BYTES];
    if (stat_fields(proc_root, pid, &state, fields, FIELDS) != FIELDS) {
        return 0;
    }
    uint64_t from = fields[ARGUMENTS], end = fields[ENVIRONMENT_END];
    (void)snprintf(path, sizeof(path), "%s/%d/mem", proc_root, (int)pid);
    int fd = from < end && end <= INT64_MAX ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) {
        return 0;
    }
    ssize_t n = pread(fd, out, end - from < cap ? (size_t)(end - from) : cap, (off_t)from);
    close(fd);
    return n > 0 ? (size_t)n : 0;
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

/* ---- files ---- */

bool otr_file_key_eq(const otr_file_key *a, const otr_file_key *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->mtime_ns == b->mtime_ns && a->size == b->size;
}

bool otr_file_key_known(const otr_file_key *key)
{
    return key->dev != 0 || key->ino != 0;
}

static bool key_from(int dir, const char *path, int flags, otr_file_key *ret, bool *ret_regular)
{
    struct statx st;
    if (statx(dir, path, flags | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &st) != 0) {
        return false;
    }
    *ret = (otr_file_key){
        .dev = makedev(st.stx_dev_major, st.stx_dev_minor),
        .ino = st.stx_ino,
        .mtime_ns = (uint64_t)st.stx_mtime.tv_sec * 1000000000U + st.stx_mtime.tv_nsec,
        .size = st.stx_size,
    };
    if (ret_regular != NULL) {
        *ret_regular = S_ISREG(st.stx_mode);
    }
    return true;
}

bool otr_file_key_read(const char *path, otr_file_key *ret)
{
    return key_from(AT_FDCWD, path, 0, ret, NULL);
}

bool otr_file_key_of(int fd, otr_file_key *ret, bool *ret_regular)
{
    return key_from(fd, "", AT_EMPTY_PATH, ret, ret_regular);
}

bool otr_proc_exe_key(const char *proc_root, pid_t pid, otr_file_key *ret)
{
    char path[PATH_BYTES];
    int len = snprintf(path, sizeof(path), "%s/%d/exe", proc_root, (int)pid);
    return len > 0 && (size_t)len < sizeof(path) && otr_file_key_read(path, ret);
}

/* ---- whose it is, and where ---- */

/* The numbers behind "<name>:" at the start of a line; how many there are, at most `most`. */
static size_t numbers_of(const char *text, const char *name, uint64_t *out, size_t most)
{
    size_t n = 0, len = strlen(name);
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, len) != 0 || line[len] != ':') {
            continue;
        }
        const char *end = line + strcspn(line, "\n");
        for (const char *at = line + len + 1; n < most; n++) {
            at += strspn(at, "\t ");
            if (at >= end || !next_u64(&at, &out[n])) {
                break;
            }
        }
        break;
    }
    return n;
}

bool otr_proc_owner_read(const char *proc_root, pid_t pid, uid_t own, otr_proc_owner *ret)
{
    enum { REAL, EFFECTIVE, SAVED, KINDS };
    char text[STATUS_BYTES];
    uint64_t uids[KINDS], gids[KINDS], groups[OTR_PROC_GROUPS];
    if (read_some(proc_root, pid, "status", text, sizeof(text)) == 0 ||
        numbers_of(text, "Uid", uids, KINDS) != KINDS ||
        numbers_of(text, "Gid", gids, KINDS) != KINDS) {
        return false;
    }
    *ret = (otr_proc_owner){ .uid = (uid_t)uids[EFFECTIVE], .gid = (gid_t)gids[EFFECTIVE] };
    for (size_t i = 0; i < KINDS; i++) {
        if (uids[i] != 0 && uids[i] != own) {
            ret->uid = (uid_t)uids[i];
            ret->gid = (gid_t)gids[REAL];
            break;
        }
    }
    ret->n_groups = numbers_of(text, "Groups", groups, OTR_PROC_GROUPS);
    for (size_t i = 0; i < ret->n_groups; i++) {
        ret->groups[i] = (gid_t)groups[i];
    }
    return true;
}

uint64_t otr_proc_ns(const char *proc_root, pid_t pid, const char *kind)
{
    char path[PATH_BYTES], target[64];
    int len = pid > 0 ? snprintf(path, sizeof(path), "%s/%d/ns/%s", proc_root, (int)pid, kind)
                      : snprintf(path, sizeof(path), "%s/self/ns/%s", proc_root, kind);
    ssize_t n =
        len > 0 && (size_t)len < sizeof(path) ? readlink(path, target, sizeof(target) - 1) : -1;
    if (n <= 0) {
        return 0;
    }
    target[n] = '\0';
    const char *at = strchr(target, '[');
    uint64_t inode = 0;
    return at != NULL && next_u64(&(const char *){ at + 1 }, &inode) ? inode : 0;
}
