#include "nginx/apply/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "nginx/files.h"
#include "nginx/instance/discovery.h"

/* UNUSED_MOST: at the end of that room. */
enum {
    UNUSED_MOST = 8,
    STATUS_BYTES = 65536,
    TITLE_BYTES = 65536,
    PATH_BYTES = 512,
    UMASK_USUAL = 022
};

typedef struct status { /* of /proc/<pid>/status */
    uint64_t effective, bounding, ambient;
    unsigned seccomp;
    int umask;
    pid_t inner_pid; /* in its own pid namespace */
} status;

static otr_code gone(otr_err *err, pid_t pid)
{
    return otr_fail(err, OTR_ESTATE, "the master process %d is gone", (int)pid);
}

/* ---- /proc/<pid>/status ---- */

static otr_code read_status_text(const char *proc_root, pid_t pid, otr_buf *out, otr_err *err)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof(path), "%s/%d/status", proc_root, (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? gone(err, pid) : otr_fail_sys(err, errno, "%s", path);
    }
    otr_code rc = otr_buf_read_fd(out, fd, err);
    (void)close(fd);
    return rc == OTR_EIO && err != NULL && err->sys == ESRCH ? gone(err, pid) : rc;
}

/* The text behind "<name>:\t" of the line that begins so; NULL: there is none. */
static const char *field(const char *text, const char *name)
{
    size_t n = strlen(name);
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, n) == 0 && line[n] == ':') {
            return line + n + 1;
        }
    }
    return NULL;
}

static uint64_t number(const char *text, const char *name, int base, uint64_t otherwise)
{
    const char *at = field(text, name);
    char *end = NULL;
    uint64_t value = at != NULL ? strtoull(at, &end, base) : 0;
    return at != NULL && end != at ? value : otherwise;
}

/* The last of the numbers of NSpid: that of the innermost namespace. */
static pid_t inner_pid(const char *text, pid_t pid)
{
    const char *at = field(text, "NSpid");
    char *end = NULL;
    for (; at != NULL && *at != '\n' && *at != '\0'; at = end) {
        unsigned long value = strtoul(at, &end, 10);
        if (end == at) {
            break;
        }
        pid = (pid_t)value;
        end += strspn(end, "\t ");
    }
    return pid;
}

static otr_code read_status(const char *proc_root, pid_t pid, status *ret, otr_err *err)
{
    otr_buf text;
    otr_buf_init(&text, STATUS_BYTES);
    otr_code rc = read_status_text(proc_root, pid, &text, err);
    if (rc == OTR_OK) {
        const char *at = otr_buf_text(&text);
        ret->effective = number(at, "CapEff", 16, 0);
        ret->bounding = number(at, "CapBnd", 16, 0);
        ret->ambient = number(at, "CapAmb", 16, 0);
        ret->seccomp = (unsigned)number(at, "Seccomp", 10, 0);
        ret->umask = (int)number(at, "Umask", 8, UMASK_USUAL);
        ret->inner_pid = inner_pid(at, pid);
    }
    otr_buf_deinit(&text);
    return rc;
}

/* ---- options ---- */

/* NGINX writes its title over its arguments and environment, and cuts it there. */
static bool title_is_cut(const char *proc_root, pid_t pid, size_t title_bytes)
{
    char *all = otr_alloc(TITLE_BYTES);
    size_t n = all != NULL ? otr_proc_arguments(proc_root, pid, all, TITLE_BYTES) : 0;
    otr_free(all);
    return n > 0 && title_bytes + UNUSED_MOST >= n;
}

static otr_code read_options(const char *proc_root, pid_t pid, otr_launch *to, otr_err *err)
{
    otr_master m = { 0 };
    char *argv0 = NULL, *title = otr_alloc(TITLE_BYTES);
    if (title == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = OTR_OK;
    size_t n = otr_proc_title(proc_root, pid, title, TITLE_BYTES);
    if (otr_title_kind(title) != OTR_TITLE_MASTER) {
        rc = otr_fail(err, OTR_EUNSUP,
                      "process %d does not call itself the master process of an NGINX: with "
                      "`master_process off` a change cannot be tested and proven",
                      (int)pid);
    } else if (n + 1 >= TITLE_BYTES || title_is_cut(proc_root, pid, n)) {
        rc = otr_fail(err, OTR_EUNSUP,
                      "the title of process %d has no room for all of its options: start NGINX "
                      "with a larger environment, so that they can be read",
                      (int)pid);
    }
    rc = rc == OTR_OK ? otr_master_parse_title(title, &m, &argv0, err) : rc;
    if (rc == OTR_OK) {
        to->config_arg = otr_steal(&m.config_arg);
        to->prefix_arg = otr_steal(&m.prefix_arg);
        to->error_log_arg = otr_steal(&m.error_log_arg);
        to->global_arg = otr_steal(&m.global_arg);
    }
    otr_master_deinit(&m);
    otr_free(argv0);
    otr_free(title);
    return rc;
}

void otr_launch_argv(const otr_launch *launch, const char *extra, const char *argv[OTR_LAUNCH_ARGS])
{
    const struct {
        const char *option, *value;
    } options[] = { { "-p", launch->prefix_arg },
                    { "-c", launch->config_arg },
                    { "-e", launch->error_log_arg },
                    { "-g", launch->global_arg } };
    size_t n = 0;
    argv[n++] = launch->binary;
    for (size_t i = 0; i < OTR_COUNT(options); i++) {
        if (options[i].value[0] != '\0') {
            argv[n++] = options[i].option;
            argv[n++] = options[i].value;
        }
    }
    argv[n++] = extra;
    argv[n] = NULL;
}

/* ---- place ---- */

static otr_code open_proc(const char *proc_root, pid_t pid, const char *name, int flags, int *ret,
                          otr_err *err)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof(path), "%s/%d/%s", proc_root, (int)pid, name);
    *ret = open(path, flags | O_CLOEXEC);
    if (*ret < 0) {
        return otr_fail_sys(err, errno, "cannot open %s", path);
    }
    return OTR_OK;
}

/* Ours and its namespace of that kind: 0 where one of them is not known. */
static int same_ns(const char *proc_root, pid_t pid, const char *kind)
{
    uint64_t own = otr_proc_ns(proc_root, 0, kind), its = otr_proc_ns(proc_root, pid, kind);
    return own == 0 || its == 0 ? -1 : own == its;
}

static otr_code check_container(const char *proc_root, pid_t pid, const status *st, otr_err *err)
{
    if (same_ns(proc_root, pid, "user") == 0) {
        return otr_fail(err, OTR_EUNSUP,
                        "NGINX runs in a user namespace of its own (a rootless container): run the "
                        "agent in there");
    }
    if (same_ns(proc_root, pid, "pid") == 0 && st->seccomp != 0) {
        return otr_fail(err, OTR_EUNSUP,
                        "NGINX runs in a container under a seccomp filter, which the agent cannot "
                        "give to `nginx -t`: run the agent in that container");
    }
    return OTR_OK;
}

static otr_code open_namespaces(const char *proc_root, pid_t pid, otr_launch *to, otr_err *err)
{
    static const char *const kinds[OTR_LAUNCH_NAMESPACES] = { "net", "uts", "ipc", "mnt" };
    otr_code rc = OTR_OK;
    to->place.namespaces = to->namespaces;
    for (size_t i = 0; rc == OTR_OK && i < OTR_COUNT(kinds); i++) {
        char name[16];
        int same = same_ns(proc_root, pid, kinds[i]);
        if (same < 0) {
            rc = otr_fail(err, OTR_EDENIED, "the %s namespace of process %d cannot be told",
                          kinds[i], (int)pid);
        } else if (same == 0) {
            (void)snprintf(name, sizeof(name), "ns/%s", kinds[i]);
            int fd = -1;
            rc = open_proc(proc_root, pid, name, O_RDONLY, &fd, err);
            if (rc == OTR_OK) {
                to->namespaces[to->place.n_namespaces++] = fd;
            }
        }
    }
    return rc;
}

/* Is the folder behind `fd` our own root? */
static bool is_own_root(int fd)
{
    struct stat its, own;
    return fstat(fd, &its) == 0 && stat("/", &own) == 0 && its.st_dev == own.st_dev &&
           its.st_ino == own.st_ino;
}

static otr_code open_place(const char *proc_root, pid_t pid, otr_launch *to, otr_err *err)
{
    otr_child_place *p = &to->place;
    otr_code rc = open_proc(proc_root, pid, "exe", O_PATH, &p->program_fd, err);
    rc = rc == OTR_OK ? open_namespaces(proc_root, pid, to, err) : rc;
    rc = rc == OTR_OK ? open_proc(proc_root, pid, "root", O_PATH | O_DIRECTORY, &p->root_fd, err)
                      : rc;
    rc =
        rc == OTR_OK ? open_proc(proc_root, pid, "cwd", O_PATH | O_DIRECTORY, &p->cwd_fd, err) : rc;
    if (rc == OTR_OK && same_ns(proc_root, pid, "mnt") == 1 && is_own_root(p->root_fd)) {
        (void)close(p->root_fd);
        p->root_fd = -1;
    }
    return rc;
}

/* The program by name; one that a loader was given is not what /proc/<pid>/exe leads to. */
static otr_code read_binary(const char *proc_root, pid_t pid, otr_launch *to, otr_err *err)
{
    static const char deleted[] = " (deleted)";
    static const char *const loaders[] = { "ld-", "ld.so", "ld64.so", "qemu-" };
    char path[OTR_NGINX_PATH_BYTES];
    if (!otr_proc_link(proc_root, pid, "exe", path, sizeof(path))) {
        return otr_fail(err, OTR_EDENIED, "the executable of process %d cannot be told", (int)pid);
    }
    size_t n = strlen(path), k = sizeof(deleted) - 1;
    if (n > k && strcmp(path + n - k, deleted) == 0) {
        path[n - k] = '\0';
    }
    const char *slash = strrchr(path, '/');
    for (size_t i = 0; slash != NULL && i < OTR_COUNT(loaders); i++) {
        if (strncmp(slash + 1, loaders[i], strlen(loaders[i])) == 0) {
            return otr_fail(err, OTR_EUNSUP, "NGINX was started by %s: `nginx -t` cannot be", path);
        }
    }
    if (slash == NULL) {
        return otr_fail(err, OTR_EUNSUP, "the executable of process %d has no path", (int)pid);
    }
    to->binary = otr_strdup(path);
    return to->binary != NULL ? OTR_OK : otr_fail_nomem(err);
}

/* ---- rights ---- */

/* What the program has in the end: root has all within its bound, others what is ambient. */
static otr_code set_rights(const char *proc_root, const status *st, otr_launch *to, otr_err *err)
{
    otr_child_place *p = &to->place;
    status own;
    otr_code rc = read_status(proc_root, getpid(), &own, err);
    if (rc != OTR_OK) {
        return rc;
    }
    if (geteuid() != 0) {
        if (to->owner.uid != geteuid()) {
            return otr_fail(err, OTR_EUNSUP,
                            "NGINX runs as user %u and the agent as user %u: run the agent as root "
                            "or as that user",
                            (unsigned)to->owner.uid, (unsigned)geteuid());
        }
        to->lacking = st->effective & ~own.ambient;
        return OTR_OK;
    }
    p->take_user = true;
    p->uid = to->owner.uid;
    p->gid = to->owner.gid;
    p->groups = to->owner.groups;
    p->n_groups = to->owner.n_groups;
    p->capabilities = p->uid == 0 ? st->effective : st->bounding;
    p->ambient = p->uid == 0 ? 0 : st->ambient & own.effective & own.bounding;
    to->lacking = st->effective & ~(p->uid == 0 ? own.bounding : p->ambient);
    return OTR_OK;
}

static void set_limits(pid_t pid, const status *st, otr_launch *to)
{
    struct rlimit files;
    if (prlimit(pid, RLIMIT_NOFILE, NULL, &files) == 0) {
        to->place.files = files.rlim_cur;
    }
    to->place.umask = st->umask;
}

/* ---- all of it ---- */

static void clear(otr_launch *to)
{
    *to = (otr_launch){ 0 };
    to->place.program_fd = to->place.root_fd = to->place.cwd_fd = -1;
}

void otr_launch_deinit(otr_launch *launch)
{
    int fds[] = { launch->place.program_fd, launch->place.root_fd, launch->place.cwd_fd };
    for (size_t i = 0; i < OTR_COUNT(fds); i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
    }
    for (size_t i = 0; i < launch->place.n_namespaces; i++) {
        (void)close(launch->namespaces[i]);
    }
    otr_free(launch->binary);
    otr_free(launch->config_arg);
    otr_free(launch->prefix_arg);
    otr_free(launch->error_log_arg);
    otr_free(launch->global_arg);
    clear(launch);
}

static bool is_same(const char *proc_root, pid_t pid, uint64_t started_ticks)
{
    otr_proc_stat st;
    return otr_proc_stat_read(proc_root, pid, &st) && st.started_ticks == started_ticks &&
           st.state != 'Z' && st.state != 'X';
}

static otr_code read_all(const char *proc_root, pid_t pid, otr_launch *to, otr_err *err)
{
    status st = { 0 };
    otr_code rc = read_status(proc_root, pid, &st, err);
    rc = rc == OTR_OK ? check_container(proc_root, pid, &st, err) : rc;
    if (rc == OTR_OK && !otr_proc_owner_read(proc_root, pid, geteuid(), &to->owner)) {
        rc = otr_fail(err, OTR_EDENIED, "whose process %d is cannot be told", (int)pid);
    }
    rc = rc == OTR_OK ? set_rights(proc_root, &st, to, err) : rc;
    rc = rc == OTR_OK ? read_options(proc_root, pid, to, err) : rc;
    rc = rc == OTR_OK ? read_binary(proc_root, pid, to, err) : rc;
    rc = rc == OTR_OK ? open_place(proc_root, pid, to, err) : rc;
    set_limits(pid, &st, to);
    to->log_pid = st.inner_pid;
    return rc;
}

otr_code otr_launch_read(const char *proc_root, pid_t pid, uint64_t started_ticks, otr_launch *ret,
                         otr_err *err)
{
    clear(ret);
    otr_code rc = is_same(proc_root, pid, started_ticks) ? read_all(proc_root, pid, ret, err)
                                                         : gone(err, pid);
    /* Whatever was read of another process, or of one that ended meanwhile, is void. */
    if (!is_same(proc_root, pid, started_ticks)) {
        rc = gone(err, pid);
    }
    if (rc != OTR_OK) {
        otr_launch_deinit(ret);
    }
    return rc;
}
