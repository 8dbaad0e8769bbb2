/* Other roots and other file systems: the root of a container, layers (overlayfs). As root only. */
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "unit/nginx/change/scene.h"

static void change_freep(otr_change **change)
{
    otr_change_free(*change);
}

/* ---- the root of another process ---- */

static void child_end(pid_t *pid)
{
    if (*pid > 0) {
        kill(*pid, SIGKILL);
        (void)waitpid(*pid, NULL, 0);
    }
}

/* A process whose root directory is the tree; its /proc/<pid>/root into `out`. */
static pid_t live_in(const char *dir, char *out, size_t cap)
{
    int ready[2];
    if (pipe(ready) != 0) {
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        char done = chroot(dir) == 0 && chdir("/") == 0 ? 'y' : 'n';
        _exit(write(ready[1], &done, 1) == 1 ? pause() : 1);
    }
    char done = 'n';
    close(ready[1]);
    bool ok = read(ready[0], &done, 1) == 1 && done == 'y';
    close(ready[0]);
    snprintf(out, cap, "/proc/%ld/root", (long)pid);
    if (!ok) {
        child_end(&pid);
    }
    return ok ? pid : -1;
}

T_NO_OOM(a_change_inside_another_root_stays_there) /* a child */
{
    OTR_CLEANUP(scene_deinit) scene s;
    OTR_CLEANUP(change_freep) otr_change *change = NULL;
    static const char *const allowed[] = { "/conf", NULL };
    const otr_change_attributes keep = OTR_CHANGE_KEEP_ALL;
    char path[64];
    otr_err err;
    snap now;
    REQUIRE(scene_init(&s));
    REQUIRE(symlink("/conf/sites/one.conf", scene_path(&s, "inside")) == 0);
    REQUIRE(symlink("/etc/passwd", scene_path(&s, "outside")) == 0);
    snap_take(&s.before, s.conf);
    OTR_CLEANUP(child_end) pid_t pid = live_in(s.t.dir, path, sizeof(path));
    if (pid < 0) {
        otr_test_skip("only root can change its root directory");
        return;
    }
    s.root.path = path;
    s.root.allowed = allowed;
    REQUIRE_OK(otr_changes_new(s.state, &s.set, &err), err);
    REQUIRE_OK(otr_changes_put(s.set, "/conf/inside", &keep, otr_bytes_of("new"), &err), err);
    REQUIRE_OK(otr_changes_put(s.set, "/conf/a/b", &keep, otr_bytes_of("b"), &err), err);
    REQUIRE_OK(otr_changes_done(s.set, &err), err);
    REQUIRE_OK(scene_plan(&s, &err), err);
    CHECK_STR(otr_plan_find(s.plan, "/conf/inside")->real, "/conf/sites/one.conf");
    const otr_change_spec spec = scene_spec(&s, NULL);
    REQUIRE_OK(otr_change_begin(&spec, s.plan, &change, &err), err);
    REQUIRE_OK(otr_change_stage(change, &err), err);
    REQUIRE_OK(otr_change_swap(change, &err), err);
    CHECK_INT(access(scene_path(&s, "a/b"), F_OK), 0);
    otr_change_free(change);
    change = NULL;
    REQUIRE_OK(otr_change_resume(&spec, &s.root, &change, &err), err);
    REQUIRE_OK(otr_change_undo(change, &err), err);
    snap_take(&now, s.conf);
    CHECK_STR(now.text, s.before.text);
    otr_changes_free(s.set);
    otr_plan_free(s.plan);
    s.set = NULL;
    s.plan = NULL;
    REQUIRE_OK(otr_changes_new(s.state, &s.set, &err), err);
    REQUIRE_OK(otr_changes_put(s.set, "/conf/outside", &keep, otr_bytes_of("x"), &err), err);
    REQUIRE_OK(otr_changes_done(s.set, &err), err);
    CHECK_INT(scene_plan(&s, &err), OTR_EDENIED);
}

/* ---- layers ---- */

/* What lies in a lower layer moves to the upper one as it is first touched. 0: all is well. */
static int on_layers(scene *s, const char *above)
{
    otr_err err = { 0 };
    snap now;
    char options[700], upper[200], work[200];
    snprintf(upper, sizeof(upper), "%s/upper", above);
    snprintf(work, sizeof(work), "%s/work", above);
    snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s", s->conf, upper, work);
    if (mkdir(upper, 0755) != 0 || mkdir(work, 0755) != 0 || unshare(CLONE_NEWNS) != 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("overlay", s->conf, "overlay", 0, options) != 0) {
        return 77;
    }
    for (int way = 0; way < 3; way++) {
        otr_change *change = NULL;
        const otr_change_spec spec = scene_spec(s, NULL);
        if (scene_plan(s, &err) != OTR_OK ||
            otr_change_begin(&spec, s->plan, &change, &err) != OTR_OK ||
            otr_change_stage(change, &err) != OTR_OK || otr_change_swap(change, &err) != OTR_OK) {
            printf("# way %d: %s\n", way, err.msg);
            return 1;
        }
        if (way == 2 && otr_change_mark(change, OTR_CHANGE_PROVEN, spec.note, &err) != OTR_OK) {
            return 2;
        }
        if (way == 0 && otr_change_undo(change, &err) != OTR_OK) {
            printf("# way %d: %s\n", way, err.msg);
            return 3;
        }
        otr_change_free(change); /* else as after a crash */
        otr_plan_free(s->plan);
        s->plan = NULL;
        if (scene_recover(s, NULL, &err) != OTR_OK ||
            strcmp(scene_which(s, &now), way == 2 ? "new" : "old") != 0) {
            printf("# way %d: %s %s\n", way, err.msg, now.text);
            return 4;
        }
    }
    return 0;
}

/* The upper layer lies in `above`; NULL: beside the lower one. */
static void check_layers(const char *above)
{
    OTR_CLEANUP(scene_deinit) scene s;
    otr_err err;
    REQUIRE(scene_init(&s));
    snap_take(&s.before, s.conf);
    REQUIRE_OK(scene_fill(&s, &err), err);
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        int rc = on_layers(&s, above != NULL ? above : s.t.dir);
        (void)fflush(stdout);
        _exit(rc);
    }
    int status = 0;
    REQUIRE(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        otr_test_skip("no layers can be mounted here");
        return;
    }
    CHECK_INT(WEXITSTATUS(status), 0);
}

T_NO_OOM(a_change_on_layers_is_undone_and_finished) /* a child */
{
    check_layers(NULL);
}

/* A file has another device and inode once it has moved to the other file system. */
T_NO_OOM(a_change_on_layers_of_two_file_systems_is_undone_and_finished) /* as above */
{
    tree above = { .dir = "/tmp/otr-nginx-XXXXXX" };
    REQUIRE(mkdtemp(above.dir) != NULL);
    check_layers(above.dir);
    tree_deinit(&above);
}
