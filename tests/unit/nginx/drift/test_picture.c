#include <sys/time.h>
#include <time.h>

#include "base/clock.h"
#include "nginx/drift/compare.h"
#include "nginx/drift/named.h"
#include "nginx/drift/picture.h"
#include "nginx/drift/places.h"
#include "nginx/drift/users.h"
#include "unit/nginx/tree.h"

typedef struct world {
    tree t;
    otr_root root;
    char config[256];
    otr_picture first, second;
    otr_places places;
    otr_drift_files files;
    otr_drift_report report;
} world;

static void world_deinit(world *w)
{
    otr_picture_deinit(&w->first);
    otr_picture_deinit(&w->second);
    otr_places_deinit(&w->places);
    otr_drift_files_deinit(&w->files);
    otr_drift_report_deinit(&w->report);
    tree_deinit(&w->t);
}

static bool world_init(world *w)
{
    memset(w, 0, sizeof(*w));
    w->root = (otr_root){ .path = "", .uid = geteuid() };
    if (!tree_init(&w->t)) {
        return false;
    }
    snprintf(w->config, sizeof(w->config), "%s/nginx.conf", w->t.dir);
    return tree_write(&w->t, "nginx.conf",
                      "include d/*.conf;\ninclude gone.conf;\nssl_certificate d/../c.pem;\n") &&
           tree_write(&w->t, "d/a.conf", "# a\n") && tree_write(&w->t, "d/b.conf", "# b\n") &&
           tree_write(&w->t, "c.pem", "C");
}

#define WORLD(w)                       \
    OTR_CLEANUP(world_deinit) world w; \
    REQUIRE(world_init(&(w)))

/* Files that were written just now would be read again. */
static bool age(world *w)
{
    static const char *const names[] = { "nginx.conf", "d/a.conf", "d/b.conf", "c.pem" };
    struct timespec nap = { .tv_nsec = 60000000 };
    for (size_t i = 0; i < OTR_COUNT(names); i++) {
        (void)utimes(tree_path(&w->t, names[i]), NULL);
    }
    return nanosleep(&nap, NULL) == 0;
}

T(a_look_with_failing_memory_leaves_nothing_behind)
{
    WORLD(w);
    otr_err err = { 0 };
    bool sure;
    REQUIRE_OK(otr_picture_take(&w.root, w.config, NULL, NULL, &w.first, &err), err);
    REQUIRE_OK(otr_places_of(&w.root, &w.first, &w.places, &err), err);
    REQUIRE_OK(otr_drift_loaded(&w.first, 0, NULL, &w.files, &sure, &err), err);
    CHECK(sure);
    REQUIRE(tree_write(&w.t, "d/a.conf", "# changed\n"));
    REQUIRE(tree_write(&w.t, "d/c.conf", "# new\n"));
    REQUIRE_OK(otr_picture_take(&w.root, w.config, &w.first, &w.files, &w.second, &err), err);
    otr_compare with = { .loaded = &w.files };
    REQUIRE_OK(otr_drift_compare(&with, &w.second, &w.report, &err), err);
    CHECK_INT(w.report.n, 2);
}

T_NO_OOM(a_second_picture_reads_only_what_is_different) /* sleeps */
{
    WORLD(w);
    REQUIRE(age(&w));
    REQUIRE(otr_picture_take(&w.root, w.config, NULL, NULL, &w.first, NULL) == OTR_OK);
    CHECK_INT(w.first.n, 5);
    CHECK(w.first.fresh);
    REQUIRE(otr_picture_take(&w.root, w.config, &w.first, NULL, &w.second, NULL) == OTR_OK);
    CHECK_INT(w.second.reads, 0);
    CHECK(!w.second.fresh);
    otr_picture_deinit(&w.second);
    REQUIRE(tree_write(&w.t, "c.pem", "D"));
    REQUIRE(otr_picture_take(&w.root, w.config, &w.first, NULL, &w.second, NULL) == OTR_OK);
    CHECK_INT(w.second.reads, 1);
    CHECK(w.second.fresh);
}

T_NO_OOM(a_file_that_is_young_is_read_again_though_it_looks_the_same)
{
    WORLD(w);
    REQUIRE(otr_picture_take(&w.root, w.config, NULL, NULL, &w.first, NULL) == OTR_OK);
    REQUIRE(otr_picture_take(&w.root, w.config, &w.first, NULL, &w.second, NULL) == OTR_OK);
    CHECK(w.second.reads >= 4);
}

T(what_is_absent_unreadable_or_no_file_is_told_apart)
{
    WORLD(w);
    char gone[512], folder[512];
    REQUIRE(mkdir(tree_path(&w.t, "d/e.conf"), 0755) == 0);
    REQUIRE(otr_picture_take(&w.root, w.config, NULL, NULL, &w.first, NULL) == OTR_OK);
    snprintf(gone, sizeof(gone), "%s/gone.conf", w.t.dir);
    snprintf(folder, sizeof(folder), "%s/d/e.conf", w.t.dir);
    const otr_shot *s = otr_picture_find(&w.first, gone);
    REQUIRE(s != NULL);
    CHECK_INT(s->state, OTR_SHOT_ABSENT);
    CHECK(s->ctime_ns > 0);
    CHECK(otr_picture_find(&w.first, folder) == NULL);
}

static bool has_place(const otr_places *p, const char *folder, const char *name, bool pattern)
{
    for (size_t i = 0; i < p->n; i++) {
        if (strcmp(p->items[i].folder, folder) == 0 && strcmp(p->items[i].name, name) == 0 &&
            p->items[i].pattern == pattern) {
            return true;
        }
    }
    return false;
}

T_NO_OOM(places_are_all_links_on_the_way_and_where_it_ends)
{
    WORLD(w);
    char link[512], real[512], abs[512], loop[512];
    REQUIRE(tree_write(&w.t, "rel-1/conf/x", "# x\n"));
    REQUIRE(symlink("rel-1", tree_path(&w.t, "current")) == 0);
    snprintf(abs, sizeof(abs), "%s/current/conf", w.t.dir);
    REQUIRE(symlink(abs, tree_path(&w.t, "conf")) == 0);
    REQUIRE(symlink("loop", tree_path(&w.t, "loop")) == 0);
    snprintf(link, sizeof(link), "%s/conf/x", w.t.dir);
    snprintf(real, sizeof(real), "%s/rel-1/conf", w.t.dir);
    snprintf(loop, sizeof(loop), "%s/loop", w.t.dir);
    REQUIRE(otr_places_trace(&w.root, link, &w.places, NULL) == OTR_OK);
    CHECK(has_place(&w.places, w.t.dir, "conf", false));
    CHECK(has_place(&w.places, w.t.dir, "current", false));
    CHECK(has_place(&w.places, real, "x", false));
    CHECK_INT(w.places.n, 3);
    REQUIRE(otr_places_trace(&w.root, loop, &w.places, NULL) == OTR_OK); /* ends */
    otr_places_deinit(&w.places);
    REQUIRE(otr_picture_take(&w.root, w.config, NULL, NULL, &w.first, NULL) == OTR_OK);
    REQUIRE(otr_places_of(&w.root, &w.first, &w.places, NULL) == OTR_OK);
    snprintf(real, sizeof(real), "%s/d", w.t.dir);
    CHECK(has_place(&w.places, real, "*.conf", true));
    CHECK(has_place(&w.places, real, "a.conf", false));
    CHECK(has_place(&w.places, w.t.dir, "gone.conf", false));
    CHECK(has_place(&w.places, w.t.dir, "c.pem", false));
}

T(of_files_with_one_path_the_last_one_stays)
{
    OTR_CLEANUP(otr_drift_files_deinit) otr_drift_files files = { 0 };
    REQUIRE(otr_drift_files_add(&files, "/b", "1", NULL, NULL) == OTR_OK);
    REQUIRE(otr_drift_files_add(&files, "/a", "2", NULL, NULL) == OTR_OK);
    REQUIRE(otr_drift_files_add(&files, "/b", "3", NULL, NULL) == OTR_OK);
    otr_drift_files_sort(&files);
    CHECK_INT(files.n, 2);
    CHECK_STR(otr_drift_files_find(&files, "/b")->digest, "3");
    CHECK(otr_drift_files_find(&files, "/c") == NULL);
}

T(named_files_are_those_that_nginx_reads_when_it_starts)
{
    static const struct {
        const char *name, *value;
        bool is;
    } cases[] = {
        { "ssl_certificate", "a.pem", true },
        { "proxy_ssl_certificate_key", "/k", true },
        { "grpc_ssl_trusted_certificate", "t", true },
        { "ssl_certificate", "$ssl_server_name.pem", false },
        { "ssl_certificate", "data:$x", false },
        { "ssl_certificate_key", "engine:pkcs11:x", false },
        { "ssl_protocols", "TLSv1.3", false },
        { "auth_basic_user_file", "passwd", false },
        { "xssl_certificate", "a", false },
    };
    for (size_t i = 0; i < OTR_COUNT(cases); i++) {
        const char *const args[] = { cases[i].value };
        otr_directive d = { .name = cases[i].name, .args = args, .n_args = 1 };
        CHECK((otr_drift_named(&d) != NULL) == cases[i].is);
    }
}

T(users_have_names_or_numbers)
{
    char name[OTR_DRIFT_USER_BYTES];
    otr_drift_user(0, name);
    CHECK_STR(name, "root");
    otr_drift_user(4000000001U, name);
    CHECK_STR(name, "user 4000000001");
}

T(an_entry_is_put_in_the_place_of_another)
{
    OTR_CLEANUP(otr_drift_files_deinit) otr_drift_files to = { 0 }, from = { 0 };
    REQUIRE(otr_drift_files_add(&to, "/b", "2", NULL, NULL) == OTR_OK);
    REQUIRE(otr_drift_files_add(&from, "/b", "3", NULL, NULL) == OTR_OK);
    REQUIRE(otr_drift_files_add(&from, "/a", "4", NULL, NULL) == OTR_OK);
    REQUIRE(otr_drift_files_put(&to, &from.items[0], NULL) == OTR_OK);
    REQUIRE(otr_drift_files_put(&to, &from.items[1], NULL) == OTR_OK);
    CHECK_INT(to.n, 2);
    CHECK_STR(otr_drift_files_find(&to, "/b")->digest, "3");
    CHECK_STR(otr_drift_files_find(&to, "/a")->digest, "4");
}

T(what_could_not_be_read_is_noticed_once_it_can)
{
    WORLD(w);
    otr_err err = { 0 };
    REQUIRE(mkdir(tree_path(&w.t, "d/c.conf"), 0700) == 0); /* no file: root reads all others */
    REQUIRE_OK(otr_picture_take(&w.root, w.config, NULL, NULL, &w.first, &err), err);
    CHECK_STR(w.first.matched, "");
    REQUIRE(rmdir(tree_path(&w.t, "d/c.conf")) == 0 && tree_write(&w.t, "d/c.conf", "# c\n"));
    REQUIRE_OK(otr_picture_take(&w.root, w.config, &w.first, NULL, &w.second, &err), err);
    char path[512];
    snprintf(path, sizeof(path), "%s", tree_path(&w.t, "d/c.conf"));
    CHECK(otr_picture_find(&w.second, path) != NULL);
    CHECK(w.second.matched[0] != '\0');
}
