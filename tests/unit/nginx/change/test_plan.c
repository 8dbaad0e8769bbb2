#include <sys/xattr.h>

#include "unit/nginx/change/scene.h"

#define EMPTY(name)                       \
    OTR_CLEANUP(scene_deinit) scene name; \
    otr_err err = { 0 };                  \
    REQUIRE(scene_init(&(name)));         \
    REQUIRE_OK(otr_changes_new((name).state, &(name).set, &err), err)

static otr_code plan(scene *s, otr_err *err)
{
    otr_code rc = otr_changes_done(s->set, err);
    return rc == OTR_OK ? scene_plan(s, err) : rc;
}

static const otr_plan_item *item(scene *s, const char *name)
{
    static const otr_plan_item none = { .path = "" };
    const otr_plan_item *i = otr_plan_find(s->plan, scene_path(s, name));
    CHECK(i != NULL);
    return i != NULL ? i : &none;
}

T(a_plan_says_what_becomes_of_each_file)
{
    OTR_CLEANUP(scene_deinit) scene s;
    otr_err err;
    REQUIRE_OK(scene_ready(&s, &err) ? OTR_OK : OTR_EIO, err);
    CHECK_INT(otr_plan_count(s.plan), 7);
    CHECK_INT(otr_plan_count_of(s.plan, OTR_PLAN_ADD), 2);
    CHECK_INT(otr_plan_count_of(s.plan, OTR_PLAN_UPDATE), 2);
    CHECK_INT(otr_plan_count_of(s.plan, OTR_PLAN_DELETE), 1);
    CHECK(!otr_plan_is_empty(s.plan));
    const otr_plan_item *i = item(&s, "nginx.conf");
    CHECK_STR(otr_plan_action_name(i->action), "update");
    CHECK_INT(i->before.size, 8);
    CHECK_INT(i->remarks, 0);
    CHECK_INT(i->after.mode, 0600);
    CHECK(strcmp(i->before.digest, i->after.digest) != 0);
    CHECK_INT(item(&s, "mode.conf")->action, OTR_PLAN_ATTRIBUTES);
    CHECK_INT(item(&s, "keep.conf")->action, OTR_PLAN_UNCHANGED);
    i = item(&s, "gone.conf");
    CHECK(i->before.exists && !i->after.exists);
    i = item(&s, "new/deep/three.conf");
    CHECK_INT(i->remarks, OTR_PLAN_FOLDERS);
    CHECK_INT(i->after.mode, 0644);
    CHECK_INT(i->after.uid, geteuid());
}

T(a_plan_gives_the_contents_before_and_after)
{
    OTR_CLEANUP(scene_deinit) scene s;
    OTR_CLEANUP(otr_buf_deinit) otr_buf text;
    otr_err err;
    otr_buf_init(&text, 1000);
    REQUIRE_OK(scene_ready(&s, &err) ? OTR_OK : OTR_EIO, err);
    REQUIRE_OK(otr_plan_read_before(s.plan, item(&s, "nginx.conf"), &text, &err), err);
    CHECK_STR(otr_buf_text(&text), "old main");
    REQUIRE_OK(otr_plan_read_after(s.plan, item(&s, "nginx.conf"), &text, &err), err);
    CHECK_STR(otr_buf_text(&text), "old mainnew main");
    REQUIRE_OK(otr_plan_read_after(s.plan, item(&s, "keep.conf"), &text, &err), err);
    REQUIRE_OK(otr_plan_read_after(s.plan, item(&s, "gone.conf"), &text, &err), err);
    CHECK_STR(otr_buf_text(&text), "old mainnew mainkept");
    REQUIRE(tree_write(&s.t, "conf/nginx.conf", "a hand!!"));
    CHECK_INT(otr_plan_read_before(s.plan, item(&s, "nginx.conf"), &text, &err), OTR_ESTATE);
}

T(nothing_to_do_is_an_empty_plan)
{
    EMPTY(s);
    REQUIRE_OK(scene_put(&s, "keep.conf", "kept", OTR_CHANGE_KEEP, &err), err);
    REQUIRE_OK(otr_changes_delete(s.set, scene_path(&s, "nowhere/x.conf"), &err), err);
    REQUIRE_OK(plan(&s, &err), err);
    CHECK(otr_plan_is_empty(s.plan));
    CHECK_INT(item(&s, "nowhere/x.conf")->remarks, OTR_PLAN_ABSENT);
}

T(a_sync_deletes_what_the_set_does_not_name)
{
    EMPTY(s);
    REQUIRE(tree_write(&s.t, "conf/.hidden", "stays") && tree_write(&s.t, "conf/.d/x", "stays"));
    REQUIRE(symlink("one.conf", scene_path(&s, "sites/link")) == 0);
    REQUIRE(symlink("two.conf", scene_path(&s, "sites/other")) == 0);
    REQUIRE(mkfifo(scene_path(&s, "sites/fifo"), 0600) == 0);
    REQUIRE_OK(otr_changes_sync(s.set, s.conf, &err), err);
    REQUIRE_OK(scene_put(&s, "nginx.conf", "old main", OTR_CHANGE_KEEP, &err), err);
    REQUIRE_OK(scene_put(&s, "sites/two.conf", "new two", OTR_CHANGE_KEEP, &err), err);
    REQUIRE_OK(otr_changes_link(s.set, scene_path(&s, "sites/other"), "two.conf", &err), err);
    REQUIRE_OK(plan(&s, &err), err);
    CHECK_INT(otr_plan_count(s.plan), 8);
    CHECK_INT(otr_plan_count_of(s.plan, OTR_PLAN_DELETE), 5);
    CHECK_INT(item(&s, "sites/one.conf")->action, OTR_PLAN_DELETE);
    CHECK_INT(item(&s, "sites/link")->action, OTR_PLAN_DELETE);
    CHECK_INT(item(&s, "sites/link")->remarks, OTR_PLAN_SYMLINK);
    CHECK_INT(item(&s, "sites/other")->action, OTR_PLAN_UNCHANGED);
    CHECK(otr_plan_find(s.plan, scene_path(&s, "sites/fifo")) == NULL);
    CHECK(otr_plan_find(s.plan, scene_path(&s, ".hidden")) == NULL);
}

T(a_link_to_a_folder_stays_when_the_set_names_files_behind_it)
{
    EMPTY(s);
    REQUIRE(symlink("sites", scene_path(&s, "enabled")) == 0);
    REQUIRE_OK(otr_changes_sync(s.set, s.conf, &err), err);
    REQUIRE_OK(scene_put(&s, "enabled/one.conf", "new one", OTR_CHANGE_KEEP, &err), err);
    REQUIRE_OK(plan(&s, &err), err);
    CHECK(otr_plan_find(s.plan, scene_path(&s, "enabled")) == NULL);
    const otr_plan_item *i = item(&s, "enabled/one.conf");
    CHECK_INT(i->action, OTR_PLAN_UPDATE);
    CHECK_STR(i->real, scene_path(&s, "sites/one.conf"));
    /* The same file by its own name is not deleted: the set says what it holds. */
    CHECK_INT(item(&s, "sites/one.conf")->action, OTR_PLAN_UNCHANGED);
    CHECK_INT(item(&s, "sites/two.conf")->action, OTR_PLAN_DELETE);
}

T(links_are_followed_inside_and_not_made)
{
    EMPTY(s);
    REQUIRE(symlink("sites/one.conf", scene_path(&s, "link")) == 0);
    REQUIRE_OK(scene_put(&s, "link", "new", OTR_CHANGE_KEEP, &err), err);
    REQUIRE_OK(scene_put(&s, "sites/one.conf", "newer", OTR_CHANGE_KEEP, &err), err);
    CHECK_INT(plan(&s, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "lead to the same file");
    otr_changes_free(s.set);
    s.set = NULL;
    REQUIRE_OK(otr_changes_new(s.state, &s.set, &err), err);
    REQUIRE_OK(otr_changes_link(s.set, scene_path(&s, "link"), "sites/two.conf", &err), err);
    CHECK_INT(plan(&s, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "make it there by hand");
}

T(remarks_say_what_is_lost_and_what_is_copied)
{
    EMPTY(s);
    char other[512];
    snprintf(other, sizeof(other), "%s", scene_path(&s, "other"));
    REQUIRE(link(scene_path(&s, "nginx.conf"), other) == 0);
    REQUIRE(chmod(other, 04755) == 0);
    bool attributes = setxattr(other, "user.note", "x", 1, 0) == 0;
    REQUIRE_OK(scene_put(&s, "nginx.conf", "new", OTR_CHANGE_KEEP, &err), err);
    REQUIRE_OK(plan(&s, &err), err);
    unsigned want = OTR_PLAN_HARD_LINKS | OTR_PLAN_SET_ID | (attributes ? OTR_PLAN_XATTRS : 0U);
    CHECK_INT(item(&s, "nginx.conf")->remarks, want);
    CHECK_INT(item(&s, "nginx.conf")->after.mode, 0755);
    for (unsigned bit = 1; bit <= OTR_PLAN_AS_OWNER; bit <<= 1) {
        CHECK(otr_plan_remark_text((otr_plan_remark)bit)[0] != '\0');
    }
}

/* ---- what is refused ---- */

static void refuse(scene *s, const char *path, otr_code code, const char *why)
{
    otr_err err = { 0 };
    const otr_change_attributes keep = OTR_CHANGE_KEEP_ALL;
    otr_changes_free(s->set);
    otr_plan_free(s->plan);
    s->set = NULL;
    s->plan = NULL;
    REQUIRE_OK(otr_changes_new(s->state, &s->set, &err), err);
    REQUIRE_OK(otr_changes_put(s->set, path, &keep, otr_bytes_of("x"), &err), err);
    CHECK_INT(plan(s, &err), code);
    CHECK_HAS(err.msg, why);
}

T(nothing_outside_the_allowed_folders_is_looked_at)
{
    EMPTY(s);
    char path[512];
    REQUIRE(tree_write(&s.t, "out/secret", "secret"));
    REQUIRE(symlink("../out/secret", scene_path(&s, "link")) == 0);
    REQUIRE(symlink("../out", scene_path(&s, "folder")) == 0);
    REQUIRE(symlink("/etc", scene_path(&s, "etc")) == 0);
    snprintf(path, sizeof(path), "%s/out/secret", s.t.dir);
    refuse(&s, path, OTR_EDENIED, "outside of allowed_directories");
    snprintf(path, sizeof(path), "%s-other/x", s.conf);
    refuse(&s, path, OTR_EDENIED, "outside of allowed_directories");
    snprintf(path, sizeof(path), "%s", scene_path(&s, "link"));
    refuse(&s, path, OTR_EDENIED, "outside of allowed_directories");
    snprintf(path, sizeof(path), "%s", scene_path(&s, "folder/new"));
    refuse(&s, path, OTR_EDENIED, "outside of allowed_directories");
    snprintf(path, sizeof(path), "%s", scene_path(&s, "etc/passwd"));
    refuse(&s, path, OTR_EDENIED, "outside of allowed_directories");
    refuse(&s, s.conf, OTR_EDENIED, "is one of allowed_directories itself");
    s.root.allowed = NULL;
    refuse(&s, path, OTR_EDENIED, "nothing may be changed");
}

T(what_is_no_regular_file_is_refused)
{
    EMPTY(s);
    char path[512];
    snprintf(path, sizeof(path), "%s", scene_path(&s, "fifo"));
    REQUIRE(mkfifo(path, 0600) == 0);
    refuse(&s, path, OTR_EINVAL, "is no regular file");
    snprintf(path, sizeof(path), "%s", scene_path(&s, "sites"));
    refuse(&s, path, OTR_EINVAL, "is a folder");
    snprintf(path, sizeof(path), "%s", scene_path(&s, "nginx.conf/x"));
    refuse(&s, path, OTR_EIO, "cannot look at");
    snprintf(path, sizeof(path), "%s", scene_path(&s, "loop"));
    REQUIRE(symlink("loop", path) == 0);
    refuse(&s, path, OTR_EINVAL, "in a circle");
    snprintf(path, sizeof(path), "%s", scene_path(&s, "null"));
    if (mknod(path, S_IFCHR | 0600, 0x103) == 0) {
        refuse(&s, path, OTR_EINVAL, "is no regular file");
    }
}

T(a_folder_that_others_may_write_to_is_refused)
{
    EMPTY(s);
    char path[512];
    snprintf(path, sizeof(path), "%s", scene_path(&s, "sites/one.conf"));
    REQUIRE(scene_mode(&s, "sites", 0777));
    refuse(&s, path, OTR_EDENIED, "may be written to by others");
    CHECK(true);
    REQUIRE(scene_mode(&s, "sites", 01777));
    refuse(&s, path, OTR_EDENIED, "may be written to by others");
    REQUIRE(scene_mode(&s, "sites", 0755) && chmod(s.conf, 0777) == 0);
    refuse(&s, path, OTR_EDENIED, "chmod go-w");
    REQUIRE(chmod(s.conf, 0755) == 0);
    if (geteuid() == 0) {
        REQUIRE(chown(scene_path(&s, "sites"), 0, 54321) == 0 && scene_mode(&s, "sites", 0775));
        refuse(&s, path, OTR_EDENIED, "may be written to by others");
        REQUIRE(scene_mode(&s, "sites", 0755) && chown(s.conf, 54321, 0) == 0);
        refuse(&s, path, OTR_EDENIED, "no user 54321");
        s.root.uid = 1;
        refuse(&s, path, OTR_EDENIED, "of user 54321, who is neither");
        CHECK(chown(s.conf, 0, 0) == 0 && chown(path, 1, 1) == 0);
        refuse(&s, path, OTR_EDENIED, "user 1, with whose rights");
    }
}

/* ---- versions ---- */

T(a_version_is_of_paths_contents_and_modes)
{
    OTR_CLEANUP(scene_deinit) scene s;
    otr_err err;
    char before[OTR_SHA256_HEX_BYTES], after[OTR_SHA256_HEX_BYTES], now[OTR_SHA256_HEX_BYTES];
    REQUIRE(scene_init(&s));
    REQUIRE_OK(scene_fill(&s, &err), err);
    char two[512];
    snprintf(two, sizeof(two), "%s", scene_path(&s, "sites/two.conf"));
    const char *managed[] = { two, "/nowhere/else", NULL };
    const otr_plan_spec spec = { .root = &s.root, .changes = s.set, .managed = managed };
    REQUIRE_OK(otr_plan_make(&spec, &s.plan, &err), err);
    CHECK_INT(otr_plan_count(s.plan), 8);
    REQUIRE_OK(otr_plan_version(s.plan, OTR_PLAN_BEFORE, before, &err), err);
    REQUIRE_OK(otr_plan_version(s.plan, OTR_PLAN_AFTER, after, &err), err);
    CHECK(strcmp(before, after) != 0);
    char paths[6][512];
    static const char *const names[] = { "nginx.conf", "keep.conf",      "mode.conf",
                                         "gone.conf",  "sites/one.conf", "sites/two.conf" };
    const char *list[7] = { NULL };
    for (size_t i = 0; i < 6; i++) {
        snprintf(paths[i], sizeof(paths[i]), "%s", scene_path(&s, names[i]));
        list[i] = paths[i];
    }
    REQUIRE_OK(otr_version_read(&s.root, list, now, &err), err);
    CHECK_STR(now, before);
    REQUIRE(scene_mode(&s, "keep.conf", 0600));
    REQUIRE_OK(otr_version_read(&s.root, list, now, &err), err);
    CHECK(strcmp(now, before) != 0);
}

T(a_version_is_of_each_entry_and_of_no_order)
{
    char none[OTR_SHA256_HEX_BYTES], one[OTR_SHA256_HEX_BYTES], two[OTR_SHA256_HEX_BYTES];
    otr_err err;
    otr_version_entry a[] = { { "/a", "11", 0644 }, { "/b", "22", 0644 } };
    otr_version_entry b[] = { { "/b", "22", 0644 }, { "/a", "11", 0644 } };
    REQUIRE_OK(otr_version_of(a, 0, none, &err), err);
    REQUIRE_OK(otr_version_of(a, 1, one, &err), err);
    CHECK(strcmp(none, one) != 0);
    REQUIRE_OK(otr_version_of(a, 2, one, &err), err);
    REQUIRE_OK(otr_version_of(b, 2, two, &err), err);
    CHECK_STR(one, two);
}

T(one_file_is_read_for_its_digest)
{
    EMPTY(s);
    otr_plan_side side;
    REQUIRE_OK(otr_plan_side_read(&s.root, scene_path(&s, "keep.conf"), &side, &err), err);
    CHECK(side.exists);
    CHECK_INT(side.size, 4);
    CHECK_INT(strlen(side.digest), 64);
    REQUIRE_OK(otr_plan_side_read(&s.root, scene_path(&s, "none"), &side, &err), err);
    CHECK(!side.exists);
}
