#include <errno.h>

#include "nginx/overlay.h"
#include "unit/nginx/tree.h"

static const otr_root here = { .path = "" };

static void paths_deinit(otr_paths *paths)
{
    otr_paths_deinit(paths);
}

static otr_code put(otr_overlay *o, tree *dir, const char *name, const char *text, otr_err *err)
{
    return text != NULL ? otr_overlay_put(o, tree_path(dir, name), otr_bytes_of(text), err)
                        : otr_overlay_remove(o, tree_path(dir, name), err);
}

static void check_text(const otr_overlay *o, tree *dir, const char *name, const char *expected)
{
    OTR_CLEANUP(otr_buf_deinit) otr_buf out;
    otr_err err = { 0 };
    otr_buf_init(&out, 1000);
    otr_code rc = otr_overlay_read(o, &here, tree_path(dir, name), &out, &err);
    if (expected != NULL) {
        REQUIRE_OK(rc, err);
        CHECK_STR(otr_buf_text(&out), expected);
        REQUIRE_OK(otr_overlay_probe(o, &here, tree_path(dir, name), &err), err);
    } else {
        CHECK_INT(rc, OTR_ENOTFOUND);
        CHECK_INT(err.sys, ENOENT);
        CHECK_INT(otr_overlay_probe(o, &here, tree_path(dir, name), &err), OTR_ENOTFOUND);
    }
}

/* The names that match, without the folder, each with a blank behind it. */
static void check_glob(const otr_overlay *o, tree *dir, const char *pattern, const char *expected)
{
    OTR_CLEANUP(paths_deinit) otr_paths found = { 0 };
    OTR_CLEANUP(otr_buf_deinit) otr_buf out;
    otr_err err = { 0 };
    otr_buf_init(&out, 4096);
    otr_glob glob = { .pattern = tree_path(dir, pattern), .max = 100 };
    REQUIRE_OK(otr_overlay_glob(o, &here, &glob, &found, &err), err);
    for (size_t i = 0; i < found.n; i++) {
        REQUIRE_OK(otr_buf_addf(&out, &err, "%s ", found.items[i] + strlen(dir->dir) + 1), err);
    }
    CHECK_STR(otr_buf_text(&out), expected);
}

#define SETUP(dir, o)                                     \
    OTR_CLEANUP(tree_deinit) tree dir;                    \
    OTR_CLEANUP(otr_overlay_freep) otr_overlay *o = NULL; \
    otr_err err = { 0 };                                  \
    REQUIRE(tree_init(&dir));                             \
    REQUIRE_OK(otr_overlay_new(&here, &o, &err), err)

T(a_relative_path_is_refused)
{
    SETUP(dir, o);
    CHECK_INT(otr_overlay_put(o, "x", otr_bytes_of(""), &err), OTR_EINVAL);
}

T(what_is_outside_of_the_allowed_folders_is_refused)
{
    OTR_CLEANUP(tree_deinit) tree dir;
    REQUIRE(tree_init(&dir));
    const char *const folders[] = { dir.dir, NULL };
    otr_root root = { .path = "", .allowed = folders };
    otr_err err = { 0 };
    OTR_CLEANUP(otr_overlay_freep) otr_overlay *o = NULL;
    REQUIRE_OK(otr_overlay_new(&root, &o, &err), err);
    CHECK_INT(otr_overlay_put(o, "/etc/passwd", otr_bytes_of(""), &err), OTR_EDENIED);
    CHECK_INT(otr_overlay_put(o, "/etc/nowhere/x", otr_bytes_of(""), &err), OTR_EDENIED);
    REQUIRE_OK(otr_overlay_put(o, tree_path(&dir, "x"), otr_bytes_of(""), &err), err);
    CHECK_INT(otr_overlay_count(o), 1);
}

T(changed_deleted_and_new_files_are_seen_and_others_are_as_they_are)
{
    SETUP(dir, o);
    REQUIRE(tree_write(&dir, "a", "old a") && tree_write(&dir, "b", "b") &&
            tree_write(&dir, "c", "c"));
    REQUIRE_OK(put(o, &dir, "a", "new a", &err), err);
    REQUIRE_OK(put(o, &dir, "b", NULL, &err), err);
    REQUIRE_OK(put(o, &dir, "new/folder/d", "d", &err), err);
    check_text(o, &dir, "a", "new a");
    check_text(o, &dir, "b", NULL);
    check_text(o, &dir, "c", "c");
    check_text(o, &dir, "new/folder/d", "d");
    check_text(o, &dir, "e", NULL);
    check_text(NULL, &dir, "a", "old a");
    CHECK(otr_overlay_at(o, 0)->exists && !otr_overlay_at(o, 2)->exists);
}

T(a_second_word_on_a_path_replaces_the_first_one)
{
    SETUP(dir, o);
    REQUIRE(tree_write(&dir, "a", "old"));
    REQUIRE_OK(put(o, &dir, "a", "1", &err), err);
    REQUIRE_OK(put(o, &dir, "./a", NULL, &err), err);
    CHECK_INT(otr_overlay_count(o), 1);
    check_text(o, &dir, "a", NULL);
    REQUIRE_OK(put(o, &dir, "a", "2", &err), err);
    check_text(o, &dir, "a", "2");
}

T(a_text_can_be_given_away)
{
    SETUP(dir, o);
    OTR_CLEANUP(otr_buf_deinit) otr_buf text;
    otr_buf_init(&text, 10);
    REQUIRE_OK(otr_buf_adds(&text, "mine", &err), err);
    REQUIRE_OK(otr_overlay_take(o, tree_path(&dir, "a"), &text, &err), err);
    CHECK(text.p == NULL && text.n == 0);
    check_text(o, &dir, "a", "mine");
    REQUIRE_OK(put(o, &dir, "a", "other", &err), err);
    check_text(o, &dir, "a", "other");
    CHECK_INT(otr_overlay_take(o, "relative", &text, &err), OTR_EINVAL);
}

T(a_change_is_seen_through_links_and_other_names_of_folders)
{
    SETUP(dir, o);
    REQUIRE(tree_write(&dir, "real/site", "old") && tree_write(&dir, "on/x", ""));
    char target[300];
    (void)snprintf(target, sizeof(target), "%s/real/site", dir.dir);
    REQUIRE(symlink(target, tree_path(&dir, "on/site")) == 0);
    REQUIRE(symlink("real", tree_path(&dir, "alias")) == 0);
    REQUIRE_OK(put(o, &dir, "real/site", "new", &err), err);
    REQUIRE_OK(put(o, &dir, "real/added.conf", "added", &err), err);
    check_text(o, &dir, "on/site", "new");
    check_text(o, &dir, "alias/site", "new");
    check_text(o, &dir, "alias/added.conf", "added");
    check_glob(o, &dir, "alias/*.conf", "alias/added.conf ");
    REQUIRE_OK(put(o, &dir, "real/site", NULL, &err), err);
    check_text(o, &dir, "on/site", NULL);
    check_glob(o, &dir, "on/*", "on/x ");
}

T(a_link_that_goes_leaves_its_target)
{
    SETUP(dir, o);
    REQUIRE(tree_write(&dir, "real", "text"));
    REQUIRE(symlink("real", tree_path(&dir, "link")) == 0);
    REQUIRE(symlink(dir.dir, tree_path(&dir, "alias")) == 0);
    REQUIRE_OK(put(o, &dir, "link", NULL, &err), err);
    check_text(o, &dir, "link", NULL);
    check_text(o, &dir, "alias/link", NULL);
    check_text(o, &dir, "real", "text");
}

T(another_hard_link_keeps_the_old_text)
{
    SETUP(dir, o);
    REQUIRE(tree_write(&dir, "a", "old"));
    char other[300];
    (void)snprintf(other, sizeof(other), "%s/b", dir.dir);
    REQUIRE(link(tree_path(&dir, "a"), other) == 0);
    REQUIRE_OK(put(o, &dir, "a", "new", &err), err);
    check_text(o, &dir, "a", "new");
    check_text(o, &dir, "b", "old");
}

T(patterns_find_new_files_in_their_order_and_not_those_that_are_gone)
{
    SETUP(dir, o);
    REQUIRE(tree_write(&dir, "c/b.conf", "") && tree_write(&dir, "c/d.conf", "") &&
            tree_write(&dir, "c/e/x.conf", ""));
    REQUIRE_OK(put(o, &dir, "c/c.conf", "", &err), err);
    REQUIRE_OK(put(o, &dir, "c/.hidden.conf", "", &err), err);
    REQUIRE_OK(put(o, &dir, "c/other.txt", "", &err), err);
    REQUIRE_OK(put(o, &dir, "c/d.conf", NULL, &err), err);
    REQUIRE_OK(put(o, &dir, "c/b.conf", "changed", &err), err);
    REQUIRE_OK(put(o, &dir, "c/n/x.conf", "", &err), err);
    check_glob(o, &dir, "c/*.conf", "c/b.conf c/c.conf ");
    check_glob(o, &dir, "c/*/*.conf", "c/e/x.conf c/n/x.conf ");
    check_glob(o, &dir, "c/[mn]/x.conf", "c/n/x.conf ");
    check_glob(o, &dir, "nowhere/*", "");
}

T(new_folders_are_found_by_patterns)
{
    SETUP(dir, o);
    REQUIRE_OK(put(o, &dir, "new/a.conf", "", &err), err);
    check_glob(o, &dir, "new/*.conf", "new/a.conf ");
    check_glob(o, &dir, "*/a.conf", "new/a.conf ");
}
