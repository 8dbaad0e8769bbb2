#include "nginx/status/kin.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "nginx/proc.h"

enum { PATH_BYTES = 64, CHILDREN_MOST = 1024 };

/* False for one that has ended, too. */
static bool look(pid_t pid, otr_proc_stat *ret)
{
    return otr_proc_stat_read("/proc", pid, ret) && ret->state != 'Z';
}

bool otr_kin_lives(const otr_master_id *master)
{
    otr_proc_stat p;
    return look(master->pid, &p) && p.started_ticks == master->started_ticks;
}

static size_t children_of(pid_t pid, pid_t out[CHILDREN_MOST])
{
    size_t n = 0;
    return otr_proc_children("/proc", pid, out, CHILDREN_MOST, &n) ? n : 0;
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
    otr_proc_stat p;
    if (*n < OTR_KIN_MASTERS && pid > 1 && is_master(pid) && children_of(pid, none) > 0 &&
        look(pid, &p)) {
        out[(*n)++] = (otr_master_id){ pid, p.started_ticks };
    }
}

size_t otr_kin_masters(const otr_master_id *master, otr_master_id out[OTR_KIN_MASTERS])
{
    otr_proc_stat p;
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
