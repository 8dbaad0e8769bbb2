#include "nginx/status/kin.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"

enum { PATH_BYTES = 64, TEXT_BYTES = 65536, CHILDREN_MOST = 1024 };

typedef struct process {
    pid_t ppid;
    uint64_t started_ticks;
} process;

/* Field `n` (from 1) behind the name, which may hold anything; 0: none. */
static uint64_t field(const char *rest, int n)
{
    for (; n > 1 && rest != NULL; n--) {
        rest = strchr(rest + 1, ' ');
    }
    char *end = NULL;
    return rest != NULL ? strtoull(rest, &end, 10) : 0;
}

static bool look(pid_t pid, process *ret)
{
    char path[PATH_BYTES], text[1024];
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    if (fd >= 0) {
        close(fd);
    }
    if (n <= 0) {
        return false;
    }
    text[n] = '\0';
    const char *rest = strrchr(text, ')');
    if (rest == NULL || rest[1] != ' ' || rest[2] == 'Z') {
        return false;
    }
    ret->ppid = (pid_t)field(rest + 1, 2);
    ret->started_ticks = field(rest + 1, 20);
    return true;
}

bool otr_kin_lives(const otr_master_id *master)
{
    process p;
    return look(master->pid, &p) && p.started_ticks == master->started_ticks;
}

static size_t children_of(pid_t pid, pid_t out[CHILDREN_MOST])
{
    char path[PATH_BYTES];
    otr_buf text;
    otr_buf_init(&text, TEXT_BYTES);
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
    size_t n = 0;
    if (otr_buf_read_file(&text, path, NULL) == OTR_OK) {
        const char *at = otr_buf_text(&text);
        for (char *end = NULL; n < CHILDREN_MOST; at = end) {
            long child = strtol(at, &end, 10);
            if (end == at || child <= 0) {
                break;
            }
            out[n++] = (pid_t)child;
        }
    }
    otr_buf_deinit(&text);
    return n;
}

static bool is_master(pid_t pid)
{
    static const char mark[] = ": master process";
    char path[PATH_BYTES], title[256];
    (void)snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, title, sizeof(title) - 1) : -1;
    if (fd >= 0) {
        close(fd);
    }
    title[n > 0 ? n : 0] = '\0';
    return strstr(title, mark) != NULL;
}

static void add(pid_t pid, otr_master_id out[OTR_KIN_MASTERS], size_t *n)
{
    pid_t none[CHILDREN_MOST];
    process p;
    if (*n < OTR_KIN_MASTERS && pid > 1 && is_master(pid) && children_of(pid, none) > 0 &&
        look(pid, &p)) {
        out[(*n)++] = (otr_master_id){ pid, p.started_ticks };
    }
}

size_t otr_kin_masters(const otr_master_id *master, otr_master_id out[OTR_KIN_MASTERS])
{
    process p;
    if (!look(master->pid, &p) || p.started_ticks != master->started_ticks) {
        return 0;
    }
    size_t n = 0;
    out[n++] = *master;
    pid_t children[CHILDREN_MOST];
    size_t n_children = children_of(master->pid, children);
    for (size_t i = 0; i < n_children; i++) {
        add(children[i], out, &n);
    }
    add(p.ppid, out, &n);
    return n;
}

/* ---- descriptors ---- */

static otr_holds has_socket(pid_t pid, const char *name)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return errno == ENOENT ? OTR_HOLDS_NOT : OTR_HOLDS_UNKNOWN;
    }
    otr_holds holds = OTR_HOLDS_NOT;
    const struct dirent *entry;
    int at = dirfd(dir);
    while (at >= 0 && holds != OTR_HOLDS && (entry = readdir(dir)) != NULL) {
        char link[PATH_BYTES];
        ssize_t n = readlinkat(at, entry->d_name, link, sizeof(link) - 1);
        if (n < 0 && (errno == EACCES || errno == EPERM)) {
            holds = OTR_HOLDS_UNKNOWN;
            break;
        }
        link[n > 0 ? n : 0] = '\0';
        holds = strcmp(link, name) == 0 ? OTR_HOLDS : holds;
    }
    closedir(dir);
    return holds;
}

otr_holds otr_kin_holds(const otr_master_id *master, uint64_t inode)
{
    char name[PATH_BYTES];
    (void)snprintf(name, sizeof(name), "socket:[%llu]", (unsigned long long)inode);
    otr_holds all = has_socket(master->pid, name);
    pid_t children[CHILDREN_MOST];
    size_t n = children_of(master->pid, children);
    for (size_t i = 0; i < n && all != OTR_HOLDS; i++) {
        otr_holds one = has_socket(children[i], name);
        all = one != OTR_HOLDS_NOT ? one : all;
    }
    return all;
}
