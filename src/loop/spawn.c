#include "loop/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef SYS_setgroups32
enum { SETGROUPS = SYS_setgroups32 };
#else
enum { SETGROUPS = SYS_setgroups };
#endif

enum { CAPABILITIES = 64, NEVER_RAN = 127 };

enum stage {
    STAGE_FILES,
    STAGE_NAMESPACE,
    STAGE_ROOT,
    STAGE_FOLDER,
    STAGE_USER,
    STAGE_RIGHTS,
    STAGE_EXEC,
};

typedef struct failure { /* what the child writes before it ends */
    int stage;
    int sys;
} failure;

static const char *stage_text(int stage)
{
    switch (stage) {
    case STAGE_FILES:
        return "its descriptors cannot be set up";
    case STAGE_NAMESPACE:
        return "its namespace cannot be entered";
    case STAGE_ROOT:
        return "its root folder cannot be entered";
    case STAGE_FOLDER:
        return "its working folder cannot be entered";
    case STAGE_USER:
        return "its user cannot be taken on";
    case STAGE_RIGHTS:
        return "its capabilities cannot be taken on";
    default:
        return NULL;
    }
}

/* ---- the child: system calls only ---- */

/* Handlers are gone with the exec; what is ignored or blocked would stay. */
static void reset_signals(void)
{
    struct sigaction plain = { .sa_handler = SIG_DFL };
    for (int i = 1; i < NSIG; i++) {
        (void)sigaction(i, &plain, NULL);
    }
    sigset_t none;
    (void)sigemptyset(&none);
    (void)pthread_sigmask(SIG_SETMASK, &none, NULL);
}

static int set_files(const otr_spawn *spawn, int null)
{
    struct rlimit limit;
    if (dup2(null, 0) < 0 || dup2(spawn->output, 1) < 0 || dup2(spawn->output, 2) < 0 ||
        getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return errno;
    }
    if (spawn->files > 0) {
        limit.rlim_cur = spawn->files;
        if (spawn->files > limit.rlim_max) {
            limit.rlim_max = spawn->files; /* for who may */
        }
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
            (void)getrlimit(RLIMIT_NOFILE, &limit);
            limit.rlim_cur = limit.rlim_max;
            return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? 0 : errno;
        }
    }
    return 0;
}

static void set_umask(const otr_child_place *place)
{
    if (place->umask >= 0) {
        (void)umask((mode_t)place->umask);
    }
}

static int enter(const otr_child_place *place, int *ret_stage)
{
    *ret_stage = STAGE_NAMESPACE;
    for (size_t i = 0; i < place->n_namespaces; i++) {
        if (setns(place->namespaces[i], 0) != 0) {
            return errno;
        }
    }
    *ret_stage = STAGE_ROOT;
    if (place->root_fd >= 0 && (fchdir(place->root_fd) != 0 || chroot(".") != 0)) {
        return errno;
    }
    *ret_stage = STAGE_FOLDER;
    return place->cwd_fd < 0 || fchdir(place->cwd_fd) == 0 ? 0 : errno;
}

/* The most that the program, and whatever it runs, can ever have. */
static int bound(uint64_t allowed)
{
    for (unsigned long i = 0; i < CAPABILITIES; i++) {
        if ((allowed >> i & 1) == 0 && prctl(PR_CAPBSET_READ, i, 0UL, 0UL, 0UL) == 1 &&
            prctl(PR_CAPBSET_DROP, i, 0UL, 0UL, 0UL) != 0) {
            return errno;
        }
    }
    return 0;
}

/* What a user who is not root keeps over the exec. */
static int raise_ambient(uint64_t ambient)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
        { (uint32_t)ambient, (uint32_t)ambient, (uint32_t)ambient },
        { (uint32_t)(ambient >> 32), (uint32_t)(ambient >> 32), (uint32_t)(ambient >> 32) }
    };
    if (syscall(SYS_capset, &head, data) != 0) {
        return errno;
    }
    for (unsigned long i = 0; i < CAPABILITIES; i++) {
        if ((ambient >> i & 1) != 0 &&
            prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0UL, 0UL) != 0) {
            return errno;
        }
    }
    return 0;
}

/* The C library's calls would speak to threads that are not there. */
static int become(const otr_child_place *place, int *ret_stage)
{
    *ret_stage = STAGE_RIGHTS;
    int sys = bound(place->capabilities);
    if (sys != 0) {
        return sys;
    }
    if (place->ambient != 0 && prctl(PR_SET_KEEPCAPS, 1UL, 0UL, 0UL, 0UL) != 0) {
        return errno;
    }
    *ret_stage = STAGE_USER;
    if (syscall(SETGROUPS, place->n_groups, place->groups) != 0 ||
        syscall(SYS_setresgid, place->gid, place->gid, place->gid) != 0 ||
        syscall(SYS_setresuid, place->uid, place->uid, place->uid) != 0) {
        return errno;
    }
    *ret_stage = STAGE_RIGHTS;
    return place->ambient != 0 ? raise_ambient(place->ambient) : 0;
}

/* Our end is its end; one that came before this is noticed. */
static void end_with(pid_t parent)
{
    (void)prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0UL, 0UL, 0UL);
    if (getppid() != parent) {
        _exit(NEVER_RAN);
    }
}

static void run(const otr_spawn *spawn, int null, int report, pid_t parent)
{
    const otr_child_spec *spec = spawn->spec;
    const otr_child_place *place = spec->place;
    failure f = { .stage = STAGE_FILES };
    end_with(
        parent); /* until the exec it has our sockets, too: who comes after us would meet them */
    (void)setsid();
    reset_signals();
    f.sys = set_files(spawn, null);
    f.sys = f.sys == 0 && place != NULL ? enter(place, &f.stage) : f.sys;
    if (place != NULL) {
        set_umask(place);
    }
    if (f.sys == 0 && place != NULL && place->take_user) {
        f.sys = become(place, &f.stage);
    }
    if (f.sys == 0) {
        f.stage = STAGE_EXEC;
        end_with(parent); /* the change of user took it back */
        (void)syscall(SYS_close_range, 3U, UINT_MAX, CLOSE_RANGE_CLOEXEC);
        char *const *argv = (char *const *)(uintptr_t)spec->argv;
        char *const *env =
            spec->env != NULL ? (char *const *)(uintptr_t)spec->env : (char *const *)environ;
        if (place != NULL && place->program_fd >= 0) {
            (void)syscall(SYS_execveat, place->program_fd, "", argv, env, AT_EMPTY_PATH);
        } else {
            (void)execve(spec->file, argv, env);
        }
        f.sys = errno;
    }
    (void)!write(report, &f, sizeof(f));
    _exit(NEVER_RAN);
}

/* ---- the parent ---- */

otr_code otr_spawn_report(int report, const char *file, otr_err *err)
{
    failure f;
    ssize_t n;
    do {
        n = read(report, &f, sizeof(f));
    } while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof(f)) { /* the exec closed it, or something killed it before */
        return OTR_OK;
    }
    const char *what = stage_text(f.stage);
    if (what == NULL) {
        return otr_fail_sys(err, f.sys, "cannot start %s", file);
    }
    return otr_fail_sys(err, f.sys, "cannot start %s: %s", file, what);
}

static void reap(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

/* Signals stay blocked over the fork, so that no handler of ours runs in the child. */
static pid_t fork_quietly(const otr_spawn *spawn, int null, int report)
{
    sigset_t all, before;
    pid_t self = getpid();
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    int sys = errno;
    if (pid == 0) {
        run(spawn, null, report, self);
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = sys;
    return pid;
}

static otr_code start(const otr_spawn *spawn, int null, int report, otr_spawned *ret, otr_err *err)
{
    const char *file = spawn->spec->file;
    pid_t pid = fork_quietly(spawn, null, report);
    if (pid < 0) {
        return otr_fail_sys(err, errno, "cannot start %s", file);
    }
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0U);
    if (pidfd < 0) {
        int sys = errno;
        (void)kill(pid, SIGKILL);
        reap(pid);
        return otr_fail_sys(err, sys, "cannot watch %s", file);
    }
    ret->pid = pid;
    ret->pidfd = pidfd;
    return OTR_OK;
}

otr_code otr_spawn_start(const otr_spawn *spawn, otr_spawned *ret, otr_err *err)
{
    const char *file = spawn->spec->file;
    int report[2];
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0) {
        return otr_fail_sys(err, errno, "cannot start %s: /dev/null", file);
    }
    otr_code rc = OTR_OK;
    if (pipe2(report, O_CLOEXEC | O_NONBLOCK) != 0) {
        rc = otr_fail_sys(err, errno, "cannot start %s: no pipe", file);
    } else {
        ret->report = report[0];
        rc = start(spawn, null, report[1], ret, err);
        (void)close(report[1]);
        if (rc != OTR_OK) {
            (void)close(report[0]);
        }
    }
    (void)close(null);
    return rc;
}
