#include "nginx/drift/search.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/limits.h"
#include "nginx/drift/writers.h"
#include "nginx/files.h"
#include "nginx/proc.h"

enum { FDS_MOST = 256 }; /* of one process */

/* Is it open for writing? Who only reads a file did not change it. */
static bool writes(const char *proc_root, pid_t pid, const char *fd)
{
    char path[320];
    char text[128];
    (void)snprintf(path, sizeof(path), "%s/%d/fdinfo/%s", proc_root, (int)pid, fd);
    int info = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = info >= 0 ? read(info, text, sizeof(text) - 1) : -1;
    if (info >= 0) {
        close(info);
    }
    text[n > 0 ? n : 0] = '\0';
    const char *flags = strstr(text, "flags:");
    if (flags == NULL) {
        return false;
    }
    flags += strcspn(flags, "01234567\n");
    size_t digits = strspn(flags, "01234567");
    return digits > 0 && (flags[digits - 1] - '0') % 4 != O_RDONLY;
}

/* Is `target` an editor's file about it (".x.swp" beside "x")? */
static bool is_beside(const char *target, const char *path)
{
    const char *name = strrchr(path, '/');
    if (name == NULL) {
        return false;
    }
    size_t dir = (size_t)(name - path) + 1;
    if (strncmp(target, path, dir) != 0 || target[dir] != '.') {
        return false;
    }
    const char *rest = target + dir + 1;
    if (strstr(rest, name + 1) != rest) {
        return false;
    }
    rest += strlen(name + 1);
    return strstr(rest, ".sw") == rest;
}

static bool has_open(const char *proc_root, pid_t pid, const char *const *paths, size_t n,
                     size_t *ret_which)
{
    char folder[256];
    (void)snprintf(folder, sizeof(folder), "%s/%d/fd", proc_root, (int)pid);
    DIR *dir = opendir(folder);
    bool found = false;
    int fds = dir != NULL ? dirfd(dir) : -1;
    if (fds < 0) {
        return false;
    }
    int looked = 0;
    for (const struct dirent *e; !found && looked < FDS_MOST && (e = readdir(dir)) != NULL;) {
        char target[OTR_NGINX_PATH_BYTES];
        ssize_t len = readlinkat(fds, e->d_name, target, sizeof(target) - 1);
        looked++;
        if (len <= 0 || target[0] != '/') {
            continue;
        }
        target[len] = '\0';
        for (size_t i = 0; !found && i < n; i++) {
            found = strcmp(target, paths[i]) == 0 ? writes(proc_root, pid, e->d_name)
                                                  : is_beside(target, paths[i]);
            *ret_which = i;
        }
    }
    closedir(dir);
    return found;
}

void otr_drift_search(const char *proc_root, const char *const *paths, size_t n,
                      otr_drift_writer *ret)
{
    DIR *dir = n > 0 ? opendir(proc_root) : NULL;
    size_t looked = 0;
    if (dir == NULL) {
        return;
    }
    for (const struct dirent *e;
         looked < OTR_LIMIT_DRIFT_PROCESSES && (e = readdir(dir)) != NULL;) {
        pid_t pid = otr_proc_pid(e->d_name);
        size_t which;
        if (pid <= 0 || pid == getpid()) {
            continue;
        }
        looked++;
        if (has_open(proc_root, pid, paths, n, &which)) {
            otr_writers_ask(proc_root, pid, &ret[which]);
        }
    }
    closedir(dir);
}
