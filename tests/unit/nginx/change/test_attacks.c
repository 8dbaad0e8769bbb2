/* What others do to the files while a change is under way, and what a hostile folder may try. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "unit/nginx/change/scene.h"

static void change_freep(otr_change **change)
{
    otr_change_free(*change);
}

static snap now; /* of scene_which() */

#define READY(name)                                                 \
    OTR_CLEANUP(scene_deinit) scene name;                           \
    otr_err err = { 0 };                                            \
    REQUIRE_OK(scene_ready(&(name), &err) ? OTR_OK : OTR_EIO, err); \
    OTR_CLEANUP(change_freep) otr_change *change = NULL;            \
    const otr_change_spec spec = scene_spec(&(name), NULL);         \
    REQUIRE_OK(otr_change_begin(&spec, (name).plan, &change, &err), err)

static bool replace(scene *s, const char *name, const char *text)
{
    char temporary[100];
    snprintf(temporary, sizeof(temporary), "conf/%.60s.edit", name);
    if (!tree_write(&s->t, temporary, text)) {
        return false;
    }
    char from[300];
    snprintf(from, sizeof(from), "%s/%s", s->t.dir, temporary);
    return rename(from, scene_path(s, name)) == 0;
}

static const char *content(scene *s, const char *name)
{
    static char text[256];
    FILE *f = fopen(scene_path(s, name), "rb");
    size_t n = f != NULL ? fread(text, 1, sizeof(text) - 1, f) : 0;
    text[n] = '\0';
    if (f != NULL) {
        fclose(f);
    }
    return f != NULL ? text : "(none)";
}

/* ---- hands ---- */

T(a_file_changed_since_the_plan_stops_the_change)
{
    READY(s);
    REQUIRE(tree_write(&s.t, "conf/sites/one.conf", "by hand"));
    CHECK_INT(otr_change_stage(change, &err), OTR_ESTATE);
    CHECK_HAS(err.msg, "/sites/one.conf was changed by somebody else");
    REQUIRE_OK(otr_change_undo(change, &err), err);
    CHECK_STR(content(&s, "sites/one.conf"), "by hand");
    CHECK_STR(content(&s, "nginx.conf"), "old main");
    CHECK(access(scene_path(&s, "new"), F_OK) != 0);
}

T(a_mode_changed_since_the_plan_stops_the_change)
{
    READY(s);
    REQUIRE(scene_mode(&s, "nginx.conf", 0644));
    CHECK_INT(otr_change_stage(change, &err), OTR_ESTATE);
    REQUIRE_OK(otr_change_undo(change, &err), err);
}

T(a_file_made_since_the_plan_stops_the_change)
{
    READY(s);
    REQUIRE_OK(otr_change_stage(change, &err), err);
    REQUIRE(tree_write(&s.t, "conf/added.conf", "by hand"));
    CHECK_INT(otr_change_swap(change, &err), OTR_ESTATE);
    CHECK_HAS(err.msg, "/added.conf was changed by somebody else");
    REQUIRE_OK(otr_change_undo(change, &err), err);
    CHECK_STR(content(&s, "added.conf"), "by hand");
    CHECK_STR(content(&s, "nginx.conf"), "old main");
}

T(an_edit_after_the_swap_is_kept_when_it_is_undone)
{
    READY(s);
    REQUIRE_OK(otr_change_stage(change, &err), err);
    REQUIRE_OK(otr_change_swap(change, &err), err);
    REQUIRE(replace(&s, "nginx.conf", "by hand"));                  /* as editors do */
    REQUIRE(tree_append(&s.t, "conf/sites/one.conf", " and more")); /* in place */
    REQUIRE(tree_append(&s.t, "conf/added.conf", " and more"));
    REQUIRE_OK(otr_change_undo(change, &err), err);
    CHECK_STR(content(&s, "nginx.conf"), "old main");
    CHECK_STR(content(&s, "sites/one.conf"), "old one");
    CHECK_STR(content(&s, "added.conf"), "(none)");
    const char *const *kept = otr_change_kept(change);
    size_t n = 0;
    for (; kept[n] != NULL; n++) {
        CHECK_HAS(kept[n], "/.outrider-kept-");
        CHECK_INT(access(kept[n], F_OK), 0);
    }
    CHECK_INT(n, 3);
}

T(a_file_made_where_one_was_deleted_is_kept)
{
    READY(s);
    REQUIRE_OK(otr_change_stage(change, &err), err);
    REQUIRE_OK(otr_change_swap(change, &err), err);
    REQUIRE(tree_write(&s.t, "conf/gone.conf", "by hand"));
    REQUIRE(tree_write(&s.t, "conf/new/mine.conf", "mine"));
    REQUIRE_OK(otr_change_undo(change, &err), err);
    CHECK_STR(content(&s, "gone.conf"), "to go");
    CHECK_STR(content(&s, "new/mine.conf"), "mine");
    CHECK(otr_change_kept(change)[0] != NULL && otr_change_kept(change)[1] == NULL);
}

T(an_edit_after_the_swap_stays_when_it_is_finished)
{
    READY(s);
    REQUIRE_OK(otr_change_stage(change, &err), err);
    REQUIRE_OK(otr_change_swap(change, &err), err);
    REQUIRE(replace(&s, "nginx.conf", "by hand"));
    REQUIRE_OK(otr_change_mark(change, OTR_CHANGE_PROVEN, otr_bytes_of("note"), &err), err);
    REQUIRE_OK(otr_change_finish(change, &err), err);
    CHECK_STR(content(&s, "nginx.conf"), "by hand");
    CHECK_STR(content(&s, "sites/one.conf"), "new one");
}

T(a_folder_moved_away_is_noticed_and_undone_where_it_is)
{
    READY(s);
    char from[512], to[512];
    snprintf(from, sizeof(from), "%s", scene_path(&s, "sites"));
    snprintf(to, sizeof(to), "%s/elsewhere", s.t.dir);
    REQUIRE_OK(otr_change_stage(change, &err), err);
    REQUIRE(rename(from, to) == 0 && symlink("/etc", from) == 0);
    CHECK_INT(otr_change_swap(change, &err), OTR_ESTATE);
    CHECK_HAS(err.msg, "/sites is another one");
    REQUIRE_OK(otr_change_undo(change, &err), err);
    REQUIRE(unlink(from) == 0 && rename(to, from) == 0);
    CHECK_STR(scene_which(&s, &now), "old");
}

T(one_instance_has_one_change_at_a_time)
{
    READY(s);
    otr_change *second = NULL;
    CHECK_INT(otr_change_begin(&spec, s.plan, &second, &err), OTR_ESTATE);
    CHECK_HAS(err.msg, "is under way");
    otr_change_spec other = spec;
    other.instance = "two";
    REQUIRE_OK(otr_change_begin(&other, s.plan, &second, &err), err);
    CHECK_INT(otr_change_undo(second, &err), OTR_OK);
    otr_change_free(second);
    otr_change_free(change); /* the agent ends */
    change = NULL;
    CHECK_INT(otr_change_begin(&spec, s.plan, &second, &err), OTR_ESTATE);
    CHECK_HAS(err.msg, "was broken off");
    CHECK_HAS(err.msg, "restart the agent");
    REQUIRE_OK(scene_recover(&s, NULL, &err), err);
    REQUIRE_OK(otr_change_begin(&spec, s.plan, &change, &err), err);
    REQUIRE_OK(otr_change_undo(change, &err), err);
}

T(steps_have_an_order)
{
    READY(s);
    const otr_bytes none = { 0 };
    CHECK_INT(otr_change_swap(change, &err), OTR_ESTATE);
    CHECK_INT(otr_change_finish(change, &err), OTR_ESTATE);
    CHECK_INT(otr_change_mark(change, OTR_CHANGE_PROVEN, none, &err), OTR_ESTATE);
    REQUIRE_OK(otr_change_stage(change, &err), err);
    CHECK_INT(otr_change_stage(change, &err), OTR_ESTATE);
    REQUIRE_OK(otr_change_swap(change, &err), err);
    REQUIRE_OK(otr_change_mark(change, OTR_CHANGE_RELOADING, none, &err), err);
    REQUIRE_OK(otr_change_mark(change, OTR_CHANGE_PROVEN, otr_bytes_of("by whom"), &err), err);
    CHECK_INT(otr_change_mark(change, OTR_CHANGE_RELOADING, none, &err), OTR_ESTATE);
    CHECK_INT(otr_change_undo(change, &err), OTR_ESTATE);
    otr_change_free(change);
    change = NULL;
    REQUIRE_OK(otr_change_resume(&spec, NULL, &change, &err), err);
    CHECK_INT(otr_change_get_state(change), OTR_CHANGE_PROVEN);
    CHECK(otr_change_reached(change, OTR_CHANGE_RELOADING));
    CHECK_INT(otr_change_note(change).n, strlen("who and why"));
    CHECK_INT(otr_change_mark_note(change).n, strlen("by whom"));
    CHECK_INT(otr_change_count(change), 6);
    REQUIRE_OK(otr_change_finish(change, &err), err);
    CHECK_STR(scene_which(&s, &now), "new");
}

T(attributes_of_the_old_file_are_those_of_the_new)
{
    OTR_CLEANUP(scene_deinit) scene s;
    otr_err err;
    REQUIRE(scene_init(&s));
    if (setxattr(scene_path(&s, "nginx.conf"), "user.note", "kept", 4, 0) != 0) {
        otr_test_skip("no extended attributes here");
        return;
    }
    REQUIRE_OK(scene_fill(&s, &err), err);
    REQUIRE_OK(scene_plan(&s, &err), err);
    const otr_change_spec spec = scene_spec(&s, NULL);
    OTR_CLEANUP(change_freep) otr_change *change = NULL;
    REQUIRE_OK(otr_change_begin(&spec, s.plan, &change, &err), err);
    REQUIRE_OK(otr_change_stage(change, &err), err);
    REQUIRE_OK(otr_change_swap(change, &err), err);
    char value[8] = "";
    CHECK_INT(getxattr(scene_path(&s, "nginx.conf"), "user.note", value, sizeof(value)), 4);
    CHECK_STR(content(&s, "nginx.conf"), "new main");
    REQUIRE_OK(otr_change_undo(change, &err), err);
}

/* An access list as the kernel has it (acl(5)): user 1 may read, too. */
static const struct acl {
    uint32_t version;
    struct {
        uint16_t tag, bits;
        uint32_t id;
    } entries[5];
} readable = { 2,
               { { 0x01, 6, UINT32_MAX },
                 { 0x02, 4, 1 },
                 { 0x04, 4, UINT32_MAX },
                 { 0x10, 4, UINT32_MAX },
                 { 0x20, 0, UINT32_MAX } } };

static bool has_list(scene *s, const char *name)
{
    struct acl got = { 0 };
    ssize_t n = getxattr(scene_path(s, name), "system.posix_acl_access", &got, sizeof(got));
    return n == (ssize_t)sizeof(got) && memcmp(&got, &readable, sizeof(got)) == 0;
}

T(an_access_list_is_copied_and_that_of_the_folder_is_not_put_on)
{
    OTR_CLEANUP(scene_deinit) scene s;
    otr_err err;
    REQUIRE(scene_init(&s));
    if (setxattr(scene_path(&s, "nginx.conf"), "system.posix_acl_access", &readable,
                 sizeof(readable), 0) != 0 ||
        setxattr(s.conf, "system.posix_acl_default", &readable, sizeof(readable), 0) != 0) {
        otr_test_skip("no access lists here");
        return;
    }
    snap_take(&s.before, s.conf);
    REQUIRE_OK(scene_fill(&s, &err), err);
    REQUIRE_OK(scene_plan(&s, &err), err);
    const otr_plan_item *item = otr_plan_find(s.plan, scene_path(&s, "nginx.conf"));
    REQUIRE(item != NULL);
    CHECK_INT(item->remarks, OTR_PLAN_ACL);
    const otr_change_spec spec = scene_spec(&s, NULL);
    OTR_CLEANUP(change_freep) otr_change *change = NULL;
    REQUIRE_OK(otr_change_begin(&spec, s.plan, &change, &err), err);
    REQUIRE_OK(otr_change_stage(change, &err), err);
    REQUIRE_OK(otr_change_swap(change, &err), err);
    CHECK_STR(content(&s, "nginx.conf"), "new main");
    CHECK(has_list(&s, "nginx.conf"));
    CHECK(getxattr(scene_path(&s, "mode.conf"), "system.posix_acl_access", NULL, 0) < 0);
    REQUIRE_OK(otr_change_undo(change, &err), err);
    CHECK_STR(scene_which(&s, &now), "old");
    CHECK(has_list(&s, "nginx.conf"));
}

/* ---- another user's folder ---- */

enum { STRANGER = 1 }; /* daemon: a user that every machine knows */

T(a_folder_of_another_user_is_worked_in_with_their_rights)
{
    OTR_CLEANUP(scene_deinit) scene s;
    otr_err err;
    struct stat st;
    if (geteuid() != 0) {
        otr_test_skip("only root can act for others");
        return;
    }
    REQUIRE(scene_init(&s));
    REQUIRE(chown(s.conf, STRANGER, STRANGER) == 0 &&
            chown(scene_path(&s, "keep.conf"), STRANGER, STRANGER) == 0);
    REQUIRE_OK(otr_changes_new(s.state, &s.set, &err), err);
    REQUIRE_OK(scene_put(&s, "keep.conf", "theirs", OTR_CHANGE_KEEP, &err), err);
    REQUIRE_OK(scene_put(&s, "added/x.conf", "added", OTR_CHANGE_KEEP, &err), err);
    REQUIRE_OK(otr_changes_done(s.set, &err), err);
    REQUIRE_OK(scene_plan(&s, &err), err);
    CHECK((otr_plan_at(s.plan, 0)->remarks & OTR_PLAN_AS_OWNER) != 0);
    const otr_change_spec spec = scene_spec(&s, NULL);
    OTR_CLEANUP(change_freep) otr_change *change = NULL;
    REQUIRE_OK(otr_change_begin(&spec, s.plan, &change, &err), err);
    REQUIRE_OK(otr_change_stage(change, &err), err);
    REQUIRE_OK(otr_change_swap(change, &err), err);
    CHECK(stat(scene_path(&s, "added/x.conf"), &st) == 0 && st.st_uid == STRANGER);
    CHECK(stat(scene_path(&s, "added"), &st) == 0 && st.st_uid == STRANGER);
    CHECK_STR(content(&s, "keep.conf"), "theirs");
    REQUIRE_OK(otr_change_undo(change, &err), err);
    CHECK_STR(content(&s, "keep.conf"), "kept");
    CHECK(access(scene_path(&s, "added"), F_OK) != 0);
}

/* What root owns in a folder of theirs could be a name for anything: it is not read for them. */
T(a_hard_link_in_a_folder_of_another_user_tells_nothing)
{
    OTR_CLEANUP(scene_deinit) scene s;
    otr_err err;
    if (geteuid() != 0) {
        otr_test_skip("only root can act for others");
        return;
    }
    REQUIRE(scene_init(&s));
    REQUIRE(chown(s.conf, STRANGER, STRANGER) == 0);
    REQUIRE(tree_write(&s.t, "state/secret", "of root") &&
            chmod(tree_path(&s.t, "state/secret"), 0600) == 0);
    char from[600];
    snprintf(from, sizeof(from), "%s/secret", s.state);
    REQUIRE(link(from, scene_path(&s, "mine.conf")) == 0);
    REQUIRE_OK(otr_changes_new(s.state, &s.set, &err), err);
    REQUIRE_OK(scene_put(&s, "mine.conf", "x", OTR_CHANGE_KEEP, &err), err);
    REQUIRE_OK(otr_changes_done(s.set, &err), err);
    CHECK_INT(scene_plan(&s, &err), OTR_EDENIED);
    CHECK_HAS(err.msg, "mine.conf");
}

/* ---- races ---- */

typedef struct racer {
    char link[300], away[300], out[300];
    _Atomic bool stop;
} racer;

/* Folder, link to outside, folder, … as fast as it goes. */
static void *race(void *arg)
{
    racer *r = arg;
    while (!r->stop) {
        if (rename(r->link, r->away) == 0 && symlink(r->out, r->link) == 0) {
            sched_yield();
            unlink(r->link);
        }
        (void)rename(r->away, r->link);
    }
    (void)rename(r->away, r->link);
    return NULL;
}

/* One attempt, whatever comes of it. */
static void attempt(scene *s)
{
    otr_err err;
    otr_change *change = NULL;
    const otr_change_spec spec = scene_spec(s, NULL);
    if (scene_plan(s, &err) == OTR_OK &&
        otr_change_begin(&spec, s->plan, &change, &err) == OTR_OK) {
        if (otr_change_stage(change, &err) == OTR_OK) {
            otr_code swapped = otr_change_swap(change, &err);
            CHECK(swapped == OTR_OK || err.msg[0] != '\0');
        }
        CHECK_INT(otr_change_undo(change, &err), OTR_OK);
    }
    otr_change_free(change);
    otr_plan_free(s->plan);
    s->plan = NULL;
}

T_NO_OOM(a_folder_exchanged_for_a_link_never_leads_out) /* a thread */
{
    OTR_CLEANUP(scene_deinit) scene s;
    otr_err err;
    static snap before, after;
    REQUIRE(scene_init(&s));
    REQUIRE(tree_write(&s.t, "out/one.conf", "not yours") && tree_write(&s.t, "out/x", "x"));
    REQUIRE_OK(otr_changes_new(s.state, &s.set, &err), err);
    REQUIRE_OK(scene_put(&s, "sites/one.conf", "new one", OTR_CHANGE_KEEP, &err), err);
    REQUIRE_OK(scene_put(&s, "sites/new.conf", "new", OTR_CHANGE_KEEP, &err), err);
    REQUIRE_OK(scene_put(&s, "sites/deep/new.conf", "new", OTR_CHANGE_KEEP, &err), err);
    REQUIRE_OK(otr_changes_delete(s.set, scene_path(&s, "sites/two.conf"), &err), err);
    REQUIRE_OK(otr_changes_done(s.set, &err), err);
    racer r = { .stop = false };
    snprintf(r.link, sizeof(r.link), "%.290s", scene_path(&s, "sites"));
    snprintf(r.away, sizeof(r.away), "%.200s/away", s.t.dir);
    snprintf(r.out, sizeof(r.out), "%.200s/out", s.t.dir);
    snap_take(&before, r.out);
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, race, &r) == 0);
    for (int i = 0; i < 150; i++) {
        attempt(&s);
    }
    r.stop = true;
    pthread_join(thread, NULL);
    snap_take(&after, r.out);
    CHECK_STR(after.text, before.text);
    CHECK_STR(content(&s, "sites/one.conf"), "old one");
    CHECK_STR(content(&s, "sites/two.conf"), "old two");
    CHECK(access(scene_path(&s, "sites/new.conf"), F_OK) != 0);
}

/* ---- mounts ---- */

/* In a mount namespace of its own: 0 when all is as it should be. */
static int under_mounts(scene *s)
{
    otr_err err;
    char file[512], other[512];
    snprintf(file, sizeof(file), "%s", scene_path(s, "nginx.conf"));
    snprintf(other, sizeof(other), "%s", scene_path(s, "keep.conf"));
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount(other, file, NULL, MS_BIND, NULL) != 0) {
        return 77;
    }
    otr_change *change = NULL;
    const otr_change_spec spec = scene_spec(s, NULL);
    if (scene_plan(s, &err) != OTR_OK) {
        return 1;
    }
    const otr_plan_item *item = otr_plan_find(s->plan, file);
    if (item == NULL || (item->remarks & OTR_PLAN_MOUNT) == 0) {
        return 2;
    }
    if (otr_change_begin(&spec, s->plan, &change, &err) != OTR_OK ||
        otr_change_stage(change, &err) != OTR_EDENIED || strstr(err.msg, "mounted over") == NULL) {
        return 3;
    }
    if (otr_change_undo(change, &err) != OTR_OK) {
        return 4;
    }
    otr_change_free(change);
    return 0;
}

T_NO_OOM(what_something_is_mounted_over_is_refused) /* a child */
{
    OTR_CLEANUP(scene_deinit) scene s;
    otr_err err;
    REQUIRE(scene_init(&s));
    snap_take(&s.before, s.conf);
    REQUIRE_OK(scene_fill(&s, &err), err);
    pid_t pid = fork();
    if (pid == 0) {
        _exit(under_mounts(&s));
    }
    int status = 0;
    REQUIRE(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        otr_test_skip("nothing can be mounted here");
        return;
    }
    CHECK_INT(WEXITSTATUS(status), 0);
    CHECK_STR(scene_which(&s, &now), "old");
}
