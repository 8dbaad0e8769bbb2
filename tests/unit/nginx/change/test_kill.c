/* kill -9 at every system call of a transaction, of its undo and of the recovery after that: the
 * tree is the old or the new one, complete, and the journal says which. The child is traced and
 * ended as it enters its n-th call, for every n.
 *
 * A call that changes nothing on a disk leaves what the one before it left. So by default those
 * that change something are counted (a filter lets the others pass), and some of the recoveries are
 * killed in the same way. OTR_ALL=1 takes every call of the transaction, and every recovery. */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "unit/nginx/change/faults.h"
#include "unit/nginx/change/scene.h"

typedef enum way { FORWARD, BACK, PLAIN_RENAMES, PLAIN_BACK, RECOVERY } way;

static void keep_quiet(bool ok)
{
    if (!ok) {
        _exit(3);
    }
}

static void drive(const scene *s, way how)
{
    otr_err err;
    otr_change *change = NULL;
    faults f;
    faults_init(&f);
    f.no_flags = how == PLAIN_RENAMES || how == PLAIN_BACK;
    if (how == RECOVERY) {
        keep_quiet(scene_recover(s, NULL, &err) == OTR_OK);
        return;
    }
    const otr_change_spec spec = scene_spec(s, f.no_flags ? &f.ops : NULL);
    const otr_bytes none = { 0 };
    keep_quiet(otr_change_begin(&spec, s->plan, &change, &err) == OTR_OK);
    keep_quiet(otr_change_stage(change, &err) == OTR_OK);
    keep_quiet(otr_change_swap(change, &err) == OTR_OK);
    keep_quiet(otr_change_mark(change, OTR_CHANGE_RELOADING, none, &err) == OTR_OK);
    if (how == BACK || how == PLAIN_BACK) {
        keep_quiet(otr_change_undo(change, &err) == OTR_OK);
    } else {
        keep_quiet(otr_change_mark(change, OTR_CHANGE_PROVEN, none, &err) == OTR_OK);
        keep_quiet(otr_change_finish(change, &err) == OTR_OK);
    }
    otr_change_free(change);
}

typedef enum calls { EVERY_CALL, CHANGING_CALLS } calls;

/* Stops for the tracer at calls that change files. A file that is made is written or dressed next,
 * so the kill there finds it empty. */
static bool filter_calls(void)
{
    static const int changing[] = { SYS_pwrite64,  SYS_ftruncate, SYS_mkdirat,
                                    SYS_fchmod,    SYS_fchown,    SYS_fsetxattr,
                                    SYS_renameat2, SYS_linkat,    SYS_unlinkat };
    enum { N = OTR_COUNT(changing) };
    struct sock_filter code[2 * N + 2];
    size_t n = 0;
    code[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < N; i++) {
        code[n++] =
            (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)changing[i], 0, 1);
        code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
    }
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    const struct sock_fprog program = { (unsigned short)n, code };
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void run_traced(const scene *s, way how, calls which)
{
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
        _exit(4);
    }
    raise(SIGSTOP);
    keep_quiet(which == EVERY_CALL || filter_calls());
    drive(s, how);
    _exit(0);
}

/* Runs it in a child and kills that as it enters its `at`-th system call; false when there is none.
 */
static bool killed_at(const scene *s, way how, calls which, long at)
{
    pid_t pid = fork();
    if (pid == 0) {
        run_traced(s, how, which);
    }
    int status = 0;
    bool in_call = false;
    long n = 0;
    const int go = which == EVERY_CALL ? PTRACE_SYSCALL : PTRACE_CONT;
    if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) {
        return false;
    }
    (void)ptrace(PTRACE_SETOPTIONS, pid, NULL,
                 PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACESECCOMP);
    for (;;) {
        if (ptrace(go, pid, NULL, NULL) != 0 || waitpid(pid, &status, 0) != pid) {
            return false;
        }
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            CHECK_INT(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
            return false;
        }
        bool entry = status >> 8 == (SIGTRAP | PTRACE_EVENT_SECCOMP << 8);
        if (which == EVERY_CALL && WSTOPSIG(status) == (SIGTRAP | 0x80)) {
            in_call = !in_call;
            entry = in_call;
        }
        if (entry && ++n == at) {
            kill(pid, SIGKILL);
            (void)waitpid(pid, &status, 0);
            return true;
        }
    }
}

static bool can_trace(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        _exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 && filter_calls() ? 0 : 1);
    }
    int status = 0;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* What the journal says is to be done. */
static otr_change_state journalled(const scene *s)
{
    otr_err err;
    otr_journals j;
    otr_change_state state = OTR_CHANGE_NONE;
    if (otr_recover_list(s->journals, NULL, &j, &err) == OTR_OK) {
        CHECK(j.n <= 1);
        CHECK(j.n == 0 || j.items[0].trouble == NULL);
        state = j.n == 1 ? j.items[0].state : OTR_CHANGE_NONE;
        otr_journals_deinit(&j);
    }
    return state;
}

/* After it all: what the journal said, and nothing else. */
static void check_end(const scene *s, otr_change_state said, const char *ended, long at, long then)
{
    otr_err err = { 0 };
    snap now;
    otr_code rc = scene_recover(s, NULL, &err);
    const char *which = scene_which(s, &now);
    bool whole = strcmp(which, "old") == 0 || strcmp(which, "new") == 0;
    const char *want = said == OTR_CHANGE_NONE     ? (whole && ended == NULL ? which : ended)
                       : said == OTR_CHANGE_PROVEN ? "new"
                                                   : "old";
    bool ok = rc == OTR_OK && whole && want != NULL && strcmp(which, want) == 0 &&
              journalled(s) == OTR_CHANGE_NONE;
    CHECK(ok);
    if (!ok) {
        printf("# killed at call %ld, then %ld; journal: %s; %s; tree: %s\n", at, then,
               otr_change_state_name(said), rc == OTR_OK ? "recovered" : err.msg, which);
    }
}

static bool prepare(scene *s)
{
    otr_err err;
    bool ok = scene_ready(s, &err);
    CHECK(ok);
    return ok;
}

static long kill_all(way how, calls which)
{
    long at = 1;
    for (bool more = true; more; at++) {
        scene s;
        more = prepare(&s) && killed_at(&s, how, which, at);
        check_end(&s, journalled(&s), NULL, at, 0);
        scene_deinit(&s);
    }
    printf("# killed at each of %ld system calls%s\n", at - 2,
           which == EVERY_CALL ? "" : " that change files");
    return at - 2;
}

/* The recovery of the state that a kill at `at` leaves is killed at its `then`-th call. */
static bool kill_recovery(way how, long at, long then)
{
    scene s;
    bool more = prepare(&s) && killed_at(&s, how, CHANGING_CALLS, at);
    otr_change_state said = journalled(&s);
    more = more && killed_at(&s, RECOVERY, CHANGING_CALLS, then);
    otr_change_state still = journalled(&s);
    check_end(&s, said, NULL, at, then);
    CHECK(said == still || still == OTR_CHANGE_NONE || still >= OTR_CHANGE_UNDOING);
    scene_deinit(&s);
    return more;
}

static void kill_both(way how)
{
    bool all = getenv("OTR_ALL") != NULL;
    long n = kill_all(how, CHANGING_CALLS), runs = 0;
    if (all) {
        (void)kill_all(how, EVERY_CALL);
    }
    for (long at = all ? 1 : n / 7; at <= n; at += all ? 1 : n / 5) {
        for (long then = 1; kill_recovery(how, at, then); then += all ? 1 : 3) {
            runs++;
        }
    }
    printf("# killed %ld recoveries\n", runs);
    CHECK(n >= 25);
    CHECK(runs >= 10);
}

#define NEEDS_TRACE                                       \
    if (!can_trace()) {                                   \
        otr_test_skip("processes cannot be traced here"); \
        return;                                           \
    }

T_NO_OOM(a_kill_at_each_system_call_leaves_old_or_new) /* children */
{
    NEEDS_TRACE
    kill_both(FORWARD);
}

T_NO_OOM(a_kill_at_each_system_call_of_an_undo_leaves_the_old)
{
    NEEDS_TRACE
    kill_both(BACK);
}

T_NO_OOM(a_kill_at_each_system_call_where_renames_have_no_flags)
{
    NEEDS_TRACE
    kill_both(PLAIN_RENAMES);
    kill_both(PLAIN_BACK);
}
