#include "modules/health_check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "nginx/proc.h"

enum { CHILDREN_MOST = 1024, TITLE_BYTES = 128, PATH_BYTES = 64, NAMED_MOST = 3, STUCK_S = 30 };

static const char proc_root[] = "/proc";

typedef enum seen {
    SEEN,
    GONE,   /* the kernel says that there is no such process */
    HIDDEN, /* it exists, but cannot be looked at */
} seen;

/* As a process of which /proc tells nothing may still exist, the kernel is asked by another way: a
 * signal that is not sent. */
static seen look_at(pid_t pid, otr_proc_stat *st)
{
    if (otr_proc_stat_read(proc_root, pid, st)) {
        return SEEN;
    }
    return kill(pid, 0) != 0 && errno == ESRCH ? GONE : HIDDEN;
}

static void say_hidden(pid_t pid, otr_health_verdict *v)
{
    char path[PATH_BYTES];
    otr_err why = { 0 };
    (void)snprintf(path, sizeof(path), "%s/%d/stat", proc_root, (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int sys = fd < 0 ? errno : 0;
    if (fd >= 0) {
        close(fd);
    }
    (void)otr_fail_sys(&why, sys != 0 ? sys : EIO, "%s", path);
    v->status = OTR_HEALTH_UNKNOWN;
    (void)snprintf(v->text, sizeof(v->text), "PID: %d exists, but cannot be looked at: %s%s",
                   (int)pid, why.msg,
                   sys == ENOENT || sys == EACCES || sys == EPERM
                       ? "; is /proc mounted with hidepid? Let the agent run as root or as a "
                         "member of the group that its gid= names"
                       : "; this is a lack of the agent's, not of NGINX");
}

static const char *state_name(char c)
{
    switch (c) {
    case 'Z':
        return "zombie";
    case 'X':
        return "dead";
    case 'T':
    case 't':
        return "stop";
    default:
        return "";
    }
}

/* ---- workers ---- */

typedef struct tally {
    size_t workers; /* that answer clients, or should */
    size_t stopped, dead, stuck;
    pid_t named[NAMED_MOST]; /* the first that do not */
    size_t n_named;
} tally;

static otr_health_stuck *find_stuck(const otr_health_check *check, pid_t pid)
{
    for (size_t i = 0; i < check->n_stuck; i++) {
        if (check->stuck[i].pid == pid) {
            return &check->stuck[i];
        }
    }
    return NULL;
}

/* Has `pid` been in uninterruptible sleep for long? Without memory it counts from the next look. */
static bool is_stuck(otr_health_check *check, pid_t pid, uint64_t now_ns)
{
    const otr_health_stuck *known = find_stuck(check, pid);
    if (known != NULL) {
        return now_ns - known->since_ns >= STUCK_S * OTR_NS_PER_S;
    }
    otr_health_stuck *grown = otr_realloc(check->stuck, (check->n_stuck + 1) * sizeof(*grown));
    if (grown != NULL) {
        check->stuck = grown;
        grown[check->n_stuck++] = (otr_health_stuck){ .pid = pid, .since_ns = now_ns };
    }
    return false;
}

static void forget_stuck(otr_health_check *check, pid_t pid)
{
    otr_health_stuck *known = find_stuck(check, pid);
    if (known != NULL) {
        *known = check->stuck[--check->n_stuck];
    }
}

/* The helpers of NGINX and workers that were told to go answer nobody, and need not. */
static bool is_helper(pid_t pid)
{
    static const char *const titles[] = { "cache manager", "cache loader", "privileged agent",
                                          "shutting down" };
    char title[TITLE_BYTES];
    (void)otr_proc_title(proc_root, pid, title, sizeof(title));
    for (size_t i = 0; i < OTR_COUNT(titles); i++) {
        if (strstr(title, titles[i]) != NULL) {
            return true;
        }
    }
    return false;
}

typedef enum look {
    LOOK_AT_STATES,
    LOOK_AT_TITLES_TOO, /* costs more: when something is wrong only */
} look;

static void count_child(otr_health_check *check, pid_t pid, uint64_t now_ns, look how, tally *t)
{
    otr_proc_stat st = { .state = '?' }; /* unknown, or gone just now: the next look tells */
    (void)otr_proc_stat_read(proc_root, pid, &st);
    const char *state = state_name(st.state);
    bool stuck = st.state == 'D' && is_stuck(check, pid, now_ns);
    if (st.state != 'D') {
        forget_stuck(check, pid);
    }
    if (how == LOOK_AT_TITLES_TOO && is_helper(pid)) {
        return;
    }
    t->workers++;
    if (state[0] == '\0' && !stuck) {
        return;
    }
    *(stuck ? &t->stuck : state[0] == 's' ? &t->stopped : &t->dead) += 1;
    if (t->n_named < NAMED_MOST) {
        t->named[t->n_named++] = pid;
    }
}

static size_t count_bad(const tally *t)
{
    return t->stopped + t->dead + t->stuck;
}

static void count_children(otr_health_check *check, const pid_t *list, size_t n, uint64_t now_ns,
                           tally *t)
{
    *t = (tally){ 0 };
    for (size_t i = 0; i < n; i++) {
        count_child(check, list[i], now_ns, LOOK_AT_STATES, t);
    }
    if (count_bad(t) > 0) {
        *t = (tally){ 0 };
        for (size_t i = 0; i < n; i++) {
            count_child(check, list[i], now_ns, LOOK_AT_TITLES_TOO, t);
        }
    }
}

/* Those that are no children any more. */
static void prune_stuck(otr_health_check *check, const pid_t *list, size_t n)
{
    for (size_t i = check->n_stuck; i-- > 0;) {
        size_t k = 0;
        while (k < n && list[k] != check->stuck[i].pid) {
            k++;
        }
        if (k == n) {
            check->stuck[i] = check->stuck[--check->n_stuck];
        }
    }
}

static void say_workers(const tally *t, pid_t master, otr_health_verdict *v)
{
    size_t bad = count_bad(t);
    char pids[64] = "";
    for (size_t i = 0; i < t->n_named; i++) {
        size_t n = strlen(pids);
        (void)snprintf(pids + n, sizeof(pids) - n, "%s%d", i > 0 ? ", " : "", (int)t->named[i]);
    }
    const char *how = t->stopped == bad
                          ? "stopped (by SIGSTOP or a debugger; SIGCONT lets them go on)"
                      : t->dead == bad  ? "dead and not waited for by the master"
                      : t->stuck == bad ? "stuck in the kernel (state D: a disk or a network file "
                                          "system that does not answer)"
                                        : "stopped, dead or stuck in the kernel";
    v->status = bad == t->workers ? OTR_HEALTH_UNHEALTHY : OTR_HEALTH_DEGRADED;
    (void)snprintf(v->text, sizeof(v->text),
                   "PID: %d, %zu of %zu worker processes are %s: PID %s%s%s", (int)master, bad,
                   t->workers, how, pids, bad > t->n_named ? " and others" : "",
                   bad == t->workers ? "; no request is answered" : "");
}

static void look_at_workers(otr_health_check *check, const otr_nginx_instance *i, uint64_t now_ns,
                            otr_health_verdict *v)
{
    pid_t children[CHILDREN_MOST];
    size_t n = 0;
    tally t;
    const pid_t *list = children;
    if (!otr_proc_children(proc_root, i->pid, children, OTR_COUNT(children), &n)) {
        list = i->workers; /* unknown to this kernel: as last counted */
        n = i->n_workers;
    }
    if (n == 0 && i->n_workers == 1 && i->workers[0] == i->pid) {
        return; /* master_process off: it serves alone */
    }
    count_children(check, list, n, now_ns, &t);
    prune_stuck(check, list, n);
    if (n == 0) {
        v->status = OTR_HEALTH_DEGRADED;
        (void)snprintf(v->text, sizeof(v->text), "PID: %d, instance does not have enough children",
                       (int)i->pid);
    } else if (count_bad(&t) > 0) {
        say_workers(&t, i->pid, v);
    }
}

/* ---- the whole ---- */

void otr_health_check_deinit(otr_health_check *check)
{
    otr_free(check->stuck);
    *check = (otr_health_check){ 0 };
}

void otr_health_look(otr_health_check *check, const otr_nginx_instance *i, uint64_t now_ns,
                     otr_health_verdict *ret)
{
    otr_proc_stat st = { 0 };
    *ret = (otr_health_verdict){ .status = OTR_HEALTH_HEALTHY };
    seen how = look_at(i->pid, &st);
    if (how == HIDDEN) {
        say_hidden(i->pid, ret);
    } else if (how == GONE || st.started_ticks != i->started_ticks) {
        ret->status = OTR_HEALTH_UNHEALTHY;
        (void)snprintf(ret->text, sizeof(ret->text), "PID: %d is not running", (int)i->pid);
    } else if (state_name(st.state)[0] != '\0') {
        ret->status = OTR_HEALTH_UNHEALTHY;
        (void)snprintf(ret->text, sizeof(ret->text), "PID: %d is unhealthy, status: %s",
                       (int)i->pid, state_name(st.state));
    } else {
        ret->runs = true;
        look_at_workers(check, i, now_ns, ret);
    }
}
