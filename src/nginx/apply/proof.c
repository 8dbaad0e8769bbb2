#include "nginx/apply/proof.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/escape.h"
#include "base/limits.h"
#include "base/texts.h"
#include "nginx/apply/errlogs.h"
#include "nginx/apply/generation.h"
#include "nginx/apply/lines.h"
#include "nginx/proc.h"

enum {
    HELD_MOST = 32, /* lines whose process is not known yet */
    STUCK_MS = 1500,
    IDLE_LOOKS = 2,
    REMARK_BYTES = 768,
};

struct otr_proof {
    char *proc_root;
    pid_t pid;
    pid_t log_pid;
    uint64_t started_ticks;
    int pidfd;
    bool warnings_are_errors;
    otr_family family;
    otr_log_watch *logs;
    otr_findings findings, held; /* `held`: of `held_pids` */
    pid_t held_pids[HELD_MOST];
    char **remarks;
    unsigned idle; /* looks in a row at which the master waited for signals */
    const otr_seal *seal;
    const otr_root *root; /* of the caller, as the seal is */
    bool sealed;          /* the seal was looked at */
    bool moved;           /* … and is broken */
    bool refused;         /* for what a log says */
    char reason[OTR_PROOF_REASON_BYTES];
};

/* ---- remarks and lines ---- */

static otr_code remark(otr_proof *p, const char *text, otr_err *err)
{
    size_t n = 0;
    while (p->remarks != NULL && p->remarks[n] != NULL) {
        if (strcmp(p->remarks[n++], text) == 0) {
            return OTR_OK;
        }
    }
    if (n >= OTR_LIMIT_APPLY_REMARKS) {
        return OTR_OK;
    }
    char *copy = otr_strdup(text);
    char **grown = copy != NULL ? otr_realloc(p->remarks, (n + 2) * sizeof(*grown)) : NULL;
    if (grown == NULL) {
        otr_free(copy);
        return otr_fail_nomem(err);
    }
    grown[n] = copy;
    grown[n + 1] = NULL;
    p->remarks = grown;
    return OTR_OK;
}

static otr_code on_unwatched(void *arg, const char *path, const otr_err *why, otr_err *err)
{
    char text[REMARK_BYTES], shown[REMARK_BYTES / 4];
    (void)otr_escape_text(otr_bytes_of(path), shown, sizeof(shown));
    (void)snprintf(text, sizeof(text), "the error log %s could not be watched: %s", shown,
                   why->msg);
    return remark(arg, text, err);
}

static bool counts(const otr_proof *p, otr_level level)
{
    return level <= OTR_LEVEL_CRIT || (p->warnings_are_errors && level == OTR_LEVEL_WARN);
}

static bool has(otr_bytes text, const char *part)
{
    return memmem(text.p, text.n, part, strlen(part)) != NULL;
}

/* NGINX Plus says these whatever the configuration is. */
static bool is_about_license(otr_bytes text)
{
    return has(text, " usage report") || has(text, " license expired");
}

/* The pid in "worker process 17 exited on signal 9"; 0: it is about something else. */
static pid_t exited(otr_bytes text)
{
    static const char before[] = " process ";
    const uint8_t *at = memmem(text.p, text.n, before, sizeof(before) - 1);
    if (at == NULL || !has(text, " exited ")) {
        return 0;
    }
    char digits[12] = { 0 };
    at += sizeof(before) - 1;
    size_t left = (size_t)(text.p + text.n - at);
    for (size_t i = 0; i < sizeof(digits) - 1 && i < left && at[i] >= '0' && at[i] <= '9'; i++) {
        digits[i] = (char)at[i];
    }
    return otr_proc_pid(digits);
}

static otr_code refuse(otr_proof *p, const otr_line *line, otr_err *err)
{
    otr_code rc = otr_findings_add_line(&p->findings, line, err);
    if (rc == OTR_OK && !p->refused) {
        char text[OTR_PROOF_REASON_BYTES - 64];
        (void)otr_escape_text(line->text, text, sizeof(text));
        (void)snprintf(p->reason, sizeof(p->reason), "[%s] %s", otr_level_name(line->level), text);
        p->refused = true;
    }
    return rc;
}

/* Lines of a process that may turn out to be a new worker. */
static otr_code hold(otr_proof *p, const otr_line *line, otr_err *err)
{
    if (p->held.n >= HELD_MOST) {
        return OTR_OK;
    }
    p->held_pids[p->held.n] = line->pid;
    return otr_findings_add_line(&p->held, line, err);
}

static otr_code on_master_line(otr_proof *p, const otr_line *line, otr_err *err)
{
    pid_t pid = exited(line->text);
    const otr_worker_entry *old =
        pid != 0 ? otr_generation_by_log_pid(&p->family.before, pid) : NULL;
    if (old != NULL) {
        char text[REMARK_BYTES], shown[REMARK_BYTES / 2];
        (void)otr_escape_text(line->text, shown, sizeof(shown));
        (void)snprintf(text, sizeof(text), "of the old generation: %s", shown);
        return remark(p, text, err);
    }
    return refuse(p, line, err);
}

static otr_code on_line(void *arg, const otr_line *line, otr_err *err)
{
    otr_proof *p = arg;
    if (!counts(p, line->level) || line->connection || is_about_license(line->text)) {
        return OTR_OK;
    }
    if (line->pid == p->log_pid) {
        return on_master_line(p, line, err);
    }
    if (otr_generation_by_log_pid(&p->family.before, line->pid) != NULL) {
        return OTR_OK; /* what an old worker meets at its end */
    }
    return hold(p, line, err);
}

/* What was held of processes that are known by now. */
static otr_code sort_held(otr_proof *p, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < p->held.n; i++) {
        if (p->held_pids[i] == 0 ||
            otr_generation_by_log_pid(&p->family.after, p->held_pids[i]) == NULL) {
            continue;
        }
        p->held_pids[i] = 0;
        const otr_finding *f = &p->held.items[i];
        rc = otr_findings_add(&p->findings, f, err);
        if (rc == OTR_OK && !p->refused) {
            (void)snprintf(p->reason, sizeof(p->reason), "a new worker: [%s] %.900s", f->level,
                           f->text);
            p->refused = true;
        }
    }
    return rc;
}

/* ---- beginning ---- */

static bool is_same(const otr_proof *p)
{
    otr_proc_stat st;
    return otr_proc_stat_read(p->proc_root, p->pid, &st) && st.started_ticks == p->started_ticks &&
           st.state != 'Z' && st.state != 'X';
}

/* A descriptor of the process first, then whose it is: no number can be taken over in between. */
static otr_code open_master(otr_proof *p, otr_err *err)
{
    p->pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0U);
    if (p->pidfd < 0 && errno != ESRCH) {
        return otr_fail_sys(err, errno, "the master process %d cannot be opened", (int)p->pid);
    }
    if (p->pidfd < 0 || !is_same(p)) {
        return otr_fail(err, OTR_ESTATE, "the master process %d is gone", (int)p->pid);
    }
    return OTR_OK;
}

static otr_code check_family(const otr_proof *p, otr_err *err)
{
    const otr_generation *g = &p->family.before;
    if (otr_generation_count(g, OTR_WORKER_SERVES) + otr_generation_count(g, OTR_WORKER_BEGINS) +
            otr_generation_count(g, OTR_WORKER_QUITS) >
        0) {
        return OTR_OK;
    }
    return otr_fail(err, OTR_EUNSUP,
                    "the master process %d has no workers: with `master_process off` a reload "
                    "cannot be proven",
                    (int)p->pid);
}

static otr_code remark_unwatched(otr_proof *p, const otr_reload_spec *spec, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && spec->unwatched != NULL && spec->unwatched[i] != NULL; i++) {
        char text[REMARK_BYTES], shown[REMARK_BYTES / 2];
        (void)otr_escape_text(otr_bytes_of(spec->unwatched[i]), shown, sizeof(shown));
        (void)snprintf(text, sizeof(text),
                       "what NGINX logs to %s could not be watched: a log in a file would say more",
                       shown);
        rc = remark(p, text, err);
    }
    return rc;
}

otr_code otr_proof_new(const otr_reload_spec *spec, otr_proof **ret, otr_err *err)
{
    otr_proof *p = otr_zalloc(sizeof(*p));
    if (p == NULL) {
        return otr_fail_nomem(err);
    }
    p->pid = spec->pid;
    p->log_pid = spec->log_pid;
    p->started_ticks = spec->started_ticks;
    p->pidfd = -1;
    p->warnings_are_errors = spec->warnings_are_errors;
    p->seal = spec->seal;
    p->root = spec->root;
    p->proc_root = otr_strdup(spec->proc_root);
    otr_code rc = p->proc_root != NULL ? OTR_OK : otr_fail_nomem(err);
    p->family.proc_root = p->proc_root;
    p->family.master = p->pid;
    rc = rc == OTR_OK ? open_master(p, err) : rc;
    rc = rc == OTR_OK ? otr_family_begin(&p->family, err) : rc;
    rc = rc == OTR_OK ? check_family(p, err) : rc;
    rc = rc == OTR_OK ? otr_log_watch_new(spec->root, (char *const *)(uintptr_t)spec->error_logs,
                                          on_unwatched, p, &p->logs, err)
                      : rc;
    rc = rc == OTR_OK ? remark_unwatched(p, spec, err) : rc;
    if (rc != OTR_OK) {
        otr_proof_free(p);
        return rc;
    }
    *ret = p;
    return OTR_OK;
}

otr_code otr_proof_signal(otr_proof *proof, otr_err *err)
{
    if (!is_same(proof) || syscall(SYS_pidfd_send_signal, proof->pidfd, SIGHUP, NULL, 0U) != 0) {
        return errno == EPERM
                   ? otr_fail_sys(err, EPERM,
                                  "the master process %d cannot be told to "
                                  "reload",
                                  (int)proof->pid)
                   : otr_fail(err, OTR_ESTATE, "the master process %d is gone", (int)proof->pid);
    }
    return OTR_OK;
}

/* ---- looking ---- */

static otr_code read_logs(otr_proof *p, otr_err *err)
{
    bool missed = false;
    otr_code rc = otr_log_watch_read(p->logs, on_line, p, &missed, err);
    if (rc == OTR_OK && missed) {
        rc = remark(p, "NGINX wrote more to an error log than could be looked at", err);
    }
    return rc == OTR_OK ? sort_held(p, err) : rc;
}

static void say(otr_proof_look *ret, otr_proof_state state, const char *reason)
{
    ret->state = state;
    (void)snprintf(ret->reason, sizeof(ret->reason), "%s", reason);
}

static const otr_worker_entry *first_of(const otr_generation *g, int state, bool gone)
{
    for (size_t i = 0; i < g->n; i++) {
        if ((int)g->items[i].state == state && g->items[i].gone == gone) {
            return &g->items[i];
        }
    }
    return NULL;
}

/* Old workers that were told to quit change their title as soon as they can: one that hangs in a
 * system call cannot. The master has done its part once it waits for signals again. */
static otr_code judge_old(otr_proof *p, uint64_t waited_ms, bool idle, otr_proof_look *ret,
                          otr_err *err)
{
    const otr_worker_entry *old = first_of(&p->family.before, OTR_WORKER_SERVES, false);
    if (old == NULL || (idle && waited_ms >= STUCK_MS)) {
        say(ret, OTR_PROOF_STANDS, "");
    } else {
        say(ret, OTR_PROOF_WAITS, "not all old workers were told to quit");
    }
    if (old != NULL && ret->state == OTR_PROOF_STANDS) {
        char text[REMARK_BYTES];
        (void)snprintf(text, sizeof(text), "the old worker %d was told to quit and does not react",
                       (int)old->pid);
        return remark(p, text, err);
    }
    return OTR_OK;
}

static otr_code judge(otr_proof *p, uint64_t waited_ms, otr_proof_look *ret, otr_err *err)
{
    const otr_generation *fresh = &p->family.after;
    int waits = otr_master_waits(p->proc_root, p->pid);
    p->idle = waits == 1 ? p->idle + 1 : 0;
    bool idle = p->idle >= IDLE_LOOKS;
    otr_code rc = OTR_OK;
    const otr_worker_entry *dead = first_of(fresh, OTR_WORKER_SERVES, true);
    dead = dead != NULL ? dead : first_of(fresh, OTR_WORKER_BEGINS, true);
    ret->n_new = otr_generation_count(fresh, OTR_WORKER_SERVES);
    ret->n_old = otr_generation_count(&p->family.before, OTR_WORKER_SERVES) +
                 otr_generation_count(&p->family.before, OTR_WORKER_QUITS);
    if (p->refused) {
        say(ret, OTR_PROOF_REFUSED, p->reason);
    } else if (otr_generation_count(fresh, OTR_WORKER_BEGINS) > 0) {
        say(ret, OTR_PROOF_WAITS, "new workers are not set up yet");
    } else if (ret->n_new > 0) {
        rc = judge_old(p, waited_ms, idle, ret, err);
    } else if (idle && dead != NULL) {
        say(ret, OTR_PROOF_REFUSED, "all new workers ended by themselves");
    } else if (idle) {
        say(ret, OTR_PROOF_REFUSED,
            "NGINX did not take the configuration: it went on with its old workers and started "
            "none");
    } else {
        say(ret, OTR_PROOF_WAITS,
            waits == 0 ? "NGINX is at its reload" : "no new worker has been started");
    }
    if (rc == OTR_OK && dead != NULL) { /* a crash is an alert in the log, and refused by that */
        rc = remark(p,
                    "workers of the new generation ended and were replaced: somebody else may "
                    "have reloaded NGINX",
                    err);
    }
    return rc;
}

/* Once: who serves by now has read its files, and what is written later is none of its reload. */
static otr_code look_at_seal(otr_proof *p, otr_proof_look *ret, otr_err *err)
{
    otr_seal_state state = OTR_SEAL_HOLDS;
    char what[REMARK_BYTES], text[REMARK_BYTES + 128];
    if (p->seal == NULL || p->sealed || ret->state != OTR_PROOF_STANDS) {
        return OTR_OK;
    }
    otr_code rc = otr_seal_look(p->seal, p->root, &state, what, sizeof(what), err);
    if (rc != OTR_OK) {
        return rc;
    }
    p->sealed = true;
    if (state == OTR_SEAL_BROKEN) {
        p->moved = true;
        (void)snprintf(p->reason, sizeof(p->reason),
                       "%s between the test and the end of the reload: what NGINX has read of it "
                       "is not known",
                       what);
    } else if (state == OTR_SEAL_UNKNOWN) {
        (void)snprintf(text, sizeof(text),
                       "whether NGINX has read all files as they are on disk is not known: %s",
                       what);
        rc = remark(p, text, err);
    }
    return rc;
}

static bool has_ended(const otr_proof *p)
{
    struct pollfd fd = { .fd = p->pidfd, .events = POLLIN };
    return poll(&fd, 1, 0) > 0;
}

otr_code otr_proof_look_now(otr_proof *proof, uint64_t waited_ms, otr_proof_look *ret, otr_err *err)
{
    *ret = (otr_proof_look){ 0 };
    otr_code rc = otr_family_look(&proof->family, &ret->changed, err);
    rc = rc == OTR_OK ? judge(proof, waited_ms, ret, err) : rc;
    rc = rc == OTR_OK ? look_at_seal(proof, ret, err) : rc;
    /* The logs come last: who is new, and that all is done, was known before they were read. */
    otr_code logs = read_logs(proof, err);
    if (has_ended(proof)) {
        say(ret, OTR_PROOF_GONE, "the master process ended");
        return OTR_OK;
    }
    if (rc == OTR_OK && logs == OTR_OK && proof->refused) {
        say(ret, OTR_PROOF_REFUSED, proof->reason);
    } else if (rc == OTR_OK && logs == OTR_OK && proof->moved) {
        say(ret, OTR_PROOF_MOVED, proof->reason);
    }
    return rc != OTR_OK ? rc : logs;
}

otr_findings *otr_proof_findings(otr_proof *proof)
{
    return &proof->findings;
}

char *const *otr_proof_remarks(const otr_proof *proof)
{
    return proof->remarks;
}

void otr_proof_free(otr_proof *proof)
{
    if (proof == NULL) {
        return;
    }
    if (proof->pidfd >= 0) {
        (void)close(proof->pidfd);
    }
    otr_family_deinit(&proof->family);
    otr_log_watch_free(proof->logs);
    otr_findings_deinit(&proof->findings);
    otr_findings_deinit(&proof->held);
    otr_texts_free(proof->remarks);
    otr_free(proof->proc_root);
    otr_free(proof);
}
