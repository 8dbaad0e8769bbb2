#include <fcntl.h>
#include <sys/time.h>

#include "base/clock.h"
#include "base/limits.h"
#include "nginx/drift/drift.h"
#include "unit/nginx/tree.h"

enum { STEPS = 400, STEP_MS = 10 };

typedef struct world {
    tree t;
    otr_loop *loop;
    otr_pool *pool;
    otr_drift *drift;
    otr_root root;
    unsigned told, seen;
    size_t seen_files;
    uint64_t loads, loaded_ns;
} world;

static void on_changed(void *arg, const otr_drift_report *report)
{
    (void)report;
    ((world *)arg)->told++;
}

static void on_seen(void *arg, const char *id, const otr_drift_files *files)
{
    world *w = arg;
    (void)id;
    w->seen++;
    w->seen_files = files->n;
}

static void world_deinit(world *w)
{
    otr_drift_free(w->drift);
    otr_pool_free(w->pool);
    otr_loop_free(w->loop);
    tree_deinit(&w->t);
}

static const char main_text[] = "ssl_certificate cert.pem;\n"
                                "ssl_certificate_key $name;\n"
                                "include conf.d/*.conf;\n"
                                "include more/plain.conf;\n"
                                "include sites-enabled/*;\n";

static otr_code follow(world *w)
{
    char config[256];
    snprintf(config, sizeof(config), "%s/nginx.conf", w->t.dir);
    otr_drift_place place = { .id = "an-id",
                              .root = &w->root,
                              .config = config,
                              .loads = w->loads,
                              .loaded_ns = w->loaded_ns };
    return otr_drift_follow(w->drift, &place, NULL);
}

static bool world_init(world *w)
{
    char from[256], to[300];
    memset(w, 0, sizeof(*w));
    w->root = (otr_root){ .path = "", .uid = geteuid() };
    w->loads = 1;
    otr_drift_spec spec = { .proc_root = "/proc",
                            .settings = { .quiet_ms = 30, .rescan_ms = 3600000, .watches = 64 },
                            .changed = on_changed,
                            .seen = on_seen,
                            .arg = w };
    if (!tree_init(&w->t) || !tree_write(&w->t, "nginx.conf", main_text) ||
        !tree_write(&w->t, "cert.pem", "CERT 1") || !tree_write(&w->t, "conf.d/a.conf", "# a\n") ||
        !tree_write(&w->t, "conf.d/b.conf", "# b\n") ||
        !tree_write(&w->t, "more/plain.conf", "# plain\n") ||
        !tree_write(&w->t, "sites-available/x", "# x\n") ||
        !tree_write(&w->t, "sites-available/y", "# y\n") ||
        !tree_write(&w->t, "sites-enabled/one", "# one\n")) {
        return false;
    }
    snprintf(from, sizeof(from), "%s/sites-enabled/x", w->t.dir);
    snprintf(to, sizeof(to), "../sites-available/x");
    if (symlink(to, from) != 0 || otr_loop_new(&w->loop, NULL) != OTR_OK ||
        otr_pool_new(w->loop, 1, &w->pool, NULL) != OTR_OK) {
        return false;
    }
    spec.loop = w->loop;
    spec.pool = w->pool;
    return otr_drift_new(&spec, &w->drift, NULL) == OTR_OK && follow(w) == OTR_OK;
}

#define WORLD(w)                       \
    OTR_CLEANUP(world_deinit) world w; \
    REQUIRE(world_init(&(w)))

static bool looked(world *w, uint64_t looks)
{
    for (int i = 0; i < STEPS && otr_drift_get_stats(w->drift).looks < looks; i++) {
        otr_loop_step(w->loop, STEP_MS);
    }
    return otr_drift_get_stats(w->drift).looks >= looks;
}

static const otr_drift_report *report(const world *w)
{
    return otr_drift_get(w->drift, "an-id");
}

/* Until so many files are listed, after a look. */
static bool listed(world *w, size_t n)
{
    for (int i = 0; i < STEPS && report(w)->n != n; i++) {
        otr_loop_step(w->loop, STEP_MS);
    }
    CHECK_INT(report(w)->n, n);
    return report(w)->n == n;
}

/* What is done next is noticed and is no drift. */
static bool noticed_and_fine(world *w, uint64_t bursts)
{
    for (int i = 0; i < STEPS && (otr_drift_get_stats(w->drift).bursts <= bursts ||
                                  otr_drift_get_stats(w->drift).looks <= bursts);
         i++) {
        otr_loop_step(w->loop, STEP_MS);
    }
    CHECK_INT(report(w)->n, 0);
    return otr_drift_get_stats(w->drift).bursts > bursts && report(w)->n == 0;
}

static uint64_t bursts(const world *w)
{
    return otr_drift_get_stats(w->drift).bursts;
}

/* The first look is over, what NGINX has loaded is what is there. */
static bool started(world *w)
{
    if (otr_drift_set_seen(w->drift, "an-id", NULL, NULL) != OTR_OK || !looked(w, 1)) {
        return false;
    }
    for (int i = 0; i < STEPS && !report(w)->known; i++) {
        otr_loop_step(w->loop, STEP_MS);
    }
    /* Files are young no more; what others do beside the tree meanwhile may lead to one more look.
     */
    for (uint64_t end = otr_now_ns() + 120 * OTR_NS_PER_MS; otr_now_ns() < end;) {
        otr_loop_step(w->loop, STEP_MS);
    }
    return report(w)->known;
}

#define STARTED(w) \
    WORLD(w);      \
    REQUIRE(started(&(w)))

static const otr_drift_file *file(world *w, const char *name)
{
    const otr_drift_report *r = report(w);
    const char *path = tree_path(&w->t, name);
    for (size_t i = 0; i < r->n; i++) {
        if (strcmp(r->files[i].path, path) == 0) {
            return &r->files[i];
        }
    }
    return NULL;
}

static void check_kind(world *w, const char *name, otr_drift_kind kind)
{
    const otr_drift_file *f = file(w, name);
    REQUIRE(f != NULL);
    CHECK_STR(otr_drift_kind_name(f->kind), otr_drift_kind_name(kind));
}

static bool move(world *w, const char *from, const char *to)
{
    char a[512];
    snprintf(a, sizeof(a), "%s/%s", w->t.dir, from);
    return rename(a, tree_path(&w->t, to)) == 0;
}

/* Few rounds only: without memory nothing more comes. */
static void a_few_rounds(world *w)
{
    for (int i = 0; i < 4; i++) {
        otr_loop_step(w->loop, 2);
    }
}

T(failing_memory_leaves_nothing_behind) /* of looks: test_picture.c */
{
    WORLD(w);
    REQUIRE(unlink(tree_path(&w.t, "nginx.conf")) == 0);
    OTR_CLEANUP(otr_drift_files_deinit) otr_drift_files files = { 0 };
    REQUIRE(otr_drift_files_add(&files, "/a", "00", NULL, NULL) == OTR_OK);
    REQUIRE(otr_drift_set_seen(w.drift, "an-id", &files, NULL) == OTR_OK);
    a_few_rounds(&w);
    REQUIRE(otr_drift_set_base(w.drift, "an-id", "v1", &files, NULL) == OTR_OK);
    REQUIRE(otr_drift_begin(w.drift, "an-id", &files, NULL) == OTR_OK);
    a_few_rounds(&w);
    otr_drift_end(w.drift, "an-id");
    w.loads++;
    REQUIRE(follow(&w) == OTR_OK);
    a_few_rounds(&w);
    otr_drift_report *copy = NULL;
    REQUIRE(otr_drift_report_copy(report(&w), &copy, NULL) == OTR_OK);
    otr_drift_report_free(copy);
}

/* Until the files were compared with this version. */
static bool compared(world *w, const char *version)
{
    for (int i = 0; i < STEPS && (!report(w)->known || strcmp(report(w)->version, version) != 0);
         i++) {
        otr_loop_step(w->loop, STEP_MS);
    }
    return strcmp(report(w)->version, version) == 0;
}

T_NO_OOM(nothing_is_told_before_it_is_said_what_is_right)
{
    WORLD(w);
    REQUIRE(looked(&w, 1));
    CHECK(!report(&w)->known);
    CHECK_INT(w.told, 0);
    CHECK(tree_write(&w.t, "conf.d/a.conf", "# changed\n"));
    REQUIRE(looked(&w, 2));
    CHECK(!report(&w)->known);
    REQUIRE(started(&w));
    CHECK_INT(report(&w)->n, 0);
    CHECK_INT(w.seen, 1);
    CHECK_INT(w.seen_files, 7);
}

T_NO_OOM(a_file_that_is_written_anew_is_changed_and_changed_back_is_fine)
{
    STARTED(w);
    unsigned told = w.told;
    CHECK(tree_write(&w.t, "conf.d/a.conf", "# changed\n"));
    REQUIRE(listed(&w, 1));
    check_kind(&w, "conf.d/a.conf", OTR_DRIFT_CHANGED);
    const otr_drift_file *f = file(&w, "conf.d/a.conf");
    char digest[OTR_SHA256_HEX_BYTES];
    CHECK_STR(f->old_digest, otr_sha256_hex(otr_bytes_of("# a\n"), digest));
    CHECK_STR(f->new_digest, otr_sha256_hex(otr_bytes_of("# changed\n"), digest));
    CHECK(f->seen_ns > 0 && f->mtime_ns > 0 && report(&w)->since_ns == f->seen_ns);
    CHECK(f->owner[0] != '\0');
    CHECK_INT(w.told, told + 1);
    CHECK(tree_write(&w.t, "conf.d/a.conf", "# a\n"));
    REQUIRE(listed(&w, 0));
    CHECK_INT(report(&w)->since_ns, 0);
    CHECK_INT(w.told, told + 2);
}

T_NO_OOM(an_editor_that_renames_over_the_file_is_noticed_as_a_change_alone)
{
    STARTED(w);
    CHECK(tree_write(&w.t, "conf.d/.a.conf.swp", "x"));
    CHECK(tree_write(&w.t, "conf.d/4913", "x"));
    CHECK(unlink(tree_path(&w.t, "conf.d/4913")) == 0);
    CHECK(move(&w, "conf.d/a.conf", "conf.d/a.conf~"));
    CHECK(tree_write(&w.t, "conf.d/a.conf", "# changed\n"));
    CHECK(unlink(tree_path(&w.t, "conf.d/.a.conf.swp")) == 0);
    REQUIRE(listed(&w, 1));
    check_kind(&w, "conf.d/a.conf", OTR_DRIFT_CHANGED);
    CHECK(tree_write(&w.t, "nginx.tmp", main_text));
    CHECK(tree_append(&w.t, "nginx.tmp", "# more\n"));
    CHECK(move(&w, "nginx.tmp", "nginx.conf"));
    REQUIRE(listed(&w, 2));
    check_kind(&w, "nginx.conf", OTR_DRIFT_CHANGED);
}

T_NO_OOM(files_of_editors_that_no_include_matches_lead_to_no_look)
{
    STARTED(w);
    uint64_t before = bursts(&w);
    uint64_t events = otr_drift_get_stats(w.drift).events;
    CHECK(tree_write(&w.t, "conf.d/.b.conf.swp", "x"));
    CHECK(tree_write(&w.t, "conf.d/b.conf~", "x"));
    CHECK(tree_write(&w.t, "conf.d/b.conf.bak", "x"));
    CHECK(tree_write(&w.t, "nginx.conf.orig", "x"));
    for (int i = 0; i < STEPS && otr_drift_get_stats(w.drift).events < events + 8; i++) {
        otr_loop_step(w.loop, STEP_MS);
    }
    otr_loop_step(w.loop, 60);
    CHECK_INT(bursts(&w), before);
    CHECK_INT(report(&w)->n, 0);
}

T_NO_OOM(touched_files_and_equal_ones_are_no_drift)
{
    STARTED(w);
    uint64_t before = bursts(&w);
    CHECK(utimes(tree_path(&w.t, "conf.d/a.conf"), NULL) == 0);
    REQUIRE(noticed_and_fine(&w, before));
    before = bursts(&w);
    CHECK(unlink(tree_path(&w.t, "conf.d/b.conf")) == 0);
    CHECK(tree_write(&w.t, "conf.d/b.conf", "# b\n"));
    REQUIRE(noticed_and_fine(&w, before));
}

T_NO_OOM(another_mode_alone_is_told_as_that)
{
    STARTED(w);
    CHECK(chmod(tree_path(&w.t, "conf.d/a.conf"), 0600) == 0);
    REQUIRE(listed(&w, 1));
    check_kind(&w, "conf.d/a.conf", OTR_DRIFT_ATTRIBUTES);
    CHECK_INT(report(&w)->files[0].new_mode, 0600);
    CHECK(chmod(tree_path(&w.t, "conf.d/a.conf"), 0644) == 0);
    REQUIRE(listed(&w, 0));
}

T_NO_OOM(files_that_appear_and_go_are_told)
{
    STARTED(w);
    CHECK(tree_write(&w.t, "conf.d/c.conf", "# c\n"));
    CHECK(unlink(tree_path(&w.t, "conf.d/b.conf")) == 0);
    CHECK(unlink(tree_path(&w.t, "more/plain.conf")) == 0);
    REQUIRE(listed(&w, 3));
    check_kind(&w, "conf.d/c.conf", OTR_DRIFT_ADDED);
    check_kind(&w, "conf.d/b.conf", OTR_DRIFT_REMOVED);
    check_kind(&w, "more/plain.conf", OTR_DRIFT_REMOVED);
    CHECK(tree_write(&w.t, "more/plain.conf", "# plain\n"));
    REQUIRE(listed(&w, 2));
}

T_NO_OOM(links_are_watched_and_where_they_lead_too)
{
    STARTED(w);
    CHECK(tree_write(&w.t, "sites-available/x", "# other\n"));
    REQUIRE(listed(&w, 1));
    check_kind(&w, "sites-enabled/x", OTR_DRIFT_CHANGED);
    CHECK(symlink("../sites-available/y", tree_path(&w.t, "sites-enabled/new")) == 0);
    CHECK(move(&w, "sites-enabled/new", "sites-enabled/x")); /* a swap */
    CHECK(tree_write(&w.t, "sites-available/x", "# x\n"));
    REQUIRE(listed(&w, 1));
    char digest[OTR_SHA256_HEX_BYTES];
    for (int i = 0; i < STEPS && strcmp(file(&w, "sites-enabled/x")->new_digest,
                                        otr_sha256_hex(otr_bytes_of("# y\n"), digest)) != 0;
         i++) {
        otr_loop_step(w.loop, STEP_MS);
    }
    CHECK_STR(file(&w, "sites-enabled/x")->new_digest,
              otr_sha256_hex(otr_bytes_of("# y\n"), digest));
    CHECK(tree_write(&w.t, "sites-available/y", "# x\n")); /* is watched by now */
    REQUIRE(listed(&w, 0));
}

T_NO_OOM(a_folder_that_is_replaced_is_watched_again)
{
    STARTED(w);
    CHECK(move(&w, "conf.d", "conf.old"));
    REQUIRE(listed(&w, 2));
    CHECK(tree_write(&w.t, "conf.d/a.conf", "# a\n"));
    REQUIRE(listed(&w, 1));
    CHECK(tree_write(&w.t, "conf.d/b.conf", "# b\n"));
    REQUIRE(listed(&w, 0));
    CHECK(tree_write(&w.t, "conf.d/b.conf", "# changed\n"));
    REQUIRE(listed(&w, 1));
}

T_NO_OOM(a_burst_is_one_look)
{
    STARTED(w);
    uint64_t before = bursts(&w);
    for (int i = 0; i < 200; i++) {
        char name[64];
        snprintf(name, sizeof(name), "conf.d/f%d.conf", i);
        CHECK(tree_write(&w.t, name, "# f\n"));
    }
    REQUIRE(listed(&w, 200));
    CHECK_INT(bursts(&w), before + 1);
}

T_NO_OOM(more_files_than_are_listed_are_counted)
{
    STARTED(w);
    for (int i = 0; i < 260; i++) {
        char name[64];
        snprintf(name, sizeof(name), "conf.d/f%d.conf", i);
        CHECK(tree_write(&w.t, name, "# f\n"));
    }
    REQUIRE(listed(&w, 256));
    CHECK_INT(report(&w)->more, 4);
}

T_NO_OOM(certificates_are_watched_until_nginx_has_loaded_them)
{
    STARTED(w);
    CHECK(tree_write(&w.t, "cert.pem", "CERT 2"));
    REQUIRE(listed(&w, 1));
    check_kind(&w, "cert.pem", OTR_DRIFT_CHANGED);
    CHECK(report(&w)->files[0].named);
    unsigned seen = w.seen;
    w.loads++;
    REQUIRE(follow(&w) == OTR_OK); /* a reload */
    REQUIRE(listed(&w, 0));
    CHECK_INT(w.seen, seen + 1);
}

/* A version's files: those that are there, but for one. */
static otr_code version_of(world *w, otr_drift_files *files, const char *a_text)
{
    static const char *const names[][2] = {
        { "nginx.conf", main_text },        { "conf.d/b.conf", "# b\n" },
        { "more/plain.conf", "# plain\n" }, { "sites-enabled/one", "# one\n" },
        { "sites-enabled/x", "# x\n" },
    };
    char digest[OTR_SHA256_HEX_BYTES];
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < OTR_COUNT(names); i++) {
        rc = otr_drift_files_add(files, tree_path(&w->t, names[i][0]),
                                 otr_sha256_hex(otr_bytes_of(names[i][1]), digest), NULL, NULL);
    }
    return rc == OTR_OK
               ? otr_drift_files_add(files, tree_path(&w->t, "conf.d/a.conf"),
                                     otr_sha256_hex(otr_bytes_of(a_text), digest), NULL, NULL)
               : rc;
}

T_NO_OOM(a_version_is_the_base_until_another_takes_its_place)
{
    WORLD(w);
    OTR_CLEANUP(otr_drift_files_deinit) otr_drift_files files = { 0 };
    REQUIRE(version_of(&w, &files, "# applied\n") == OTR_OK);
    REQUIRE(otr_drift_set_base(w.drift, "an-id", "v7", &files, NULL) == OTR_OK);
    REQUIRE(listed(&w, 1)); /* changed while the agent was away */
    check_kind(&w, "conf.d/a.conf", OTR_DRIFT_CHANGED);
    CHECK_STR(report(&w)->version, "v7");
    w.loads++;
    REQUIRE(follow(&w) == OTR_OK); /* a reload by hand makes it no version */
    REQUIRE(looked(&w, otr_drift_get_stats(w.drift).looks + 1));
    CHECK_INT(report(&w)->n, 1);
    CHECK(tree_write(&w.t, "conf.d/a.conf", "# applied\n"));
    REQUIRE(listed(&w, 0));
    CHECK(unlink(tree_path(&w.t, "sites-enabled/one")) == 0);
    REQUIRE(listed(&w, 1));
}

T_NO_OOM(an_apply_is_no_drift_and_what_is_beside_it_is)
{
    WORLD(w);
    OTR_CLEANUP(otr_drift_files_deinit) otr_drift_files files = { 0 }, next = { 0 }, to = { 0 };
    char digest[OTR_SHA256_HEX_BYTES];
    REQUIRE(version_of(&w, &files, "# a\n") == OTR_OK);
    REQUIRE(version_of(&w, &next, "# applied\n") == OTR_OK);
    REQUIRE(otr_drift_set_base(w.drift, "an-id", "v1", &files, NULL) == OTR_OK);
    REQUIRE(compared(&w, "v1"));
    CHECK_INT(report(&w)->n, 0);
    REQUIRE(otr_drift_files_add(&to, tree_path(&w.t, "conf.d/a.conf"),
                                otr_sha256_hex(otr_bytes_of("# applied\n"), digest), NULL,
                                NULL) == OTR_OK);
    REQUIRE(otr_drift_begin(w.drift, "an-id", &to, NULL) == OTR_OK);
    uint64_t before = bursts(&w);
    CHECK(tree_write(&w.t, "conf.d/a.conf", "# applied\n"));
    REQUIRE(noticed_and_fine(&w, before));
    CHECK(tree_write(&w.t, "conf.d/b.conf", "# somebody else\n"));
    REQUIRE(listed(&w, 1));
    check_kind(&w, "conf.d/b.conf", OTR_DRIFT_CHANGED);
    REQUIRE(otr_drift_files_add(&next, tree_path(&w.t, "conf.d/b.conf"),
                                otr_sha256_hex(otr_bytes_of("# somebody else\n"), digest), NULL,
                                NULL) == OTR_OK); /* it is written down as it was found */
    REQUIRE(otr_drift_set_base(w.drift, "an-id", "v2", &next, NULL) == OTR_OK);
    otr_drift_end(w.drift, "an-id");
    REQUIRE(compared(&w, "v2"));
    CHECK_INT(report(&w)->n, 1);
    check_kind(&w, "conf.d/b.conf", OTR_DRIFT_CHANGED);
}

T_NO_OOM(what_the_next_apply_writes_over_is_no_drift_though_the_first_has_no_version_yet)
{
    WORLD(w);
    OTR_CLEANUP(otr_drift_files_deinit) otr_drift_files files = { 0 }, next = { 0 }, to = { 0 },
                                                        more = { 0 };
    char digest[OTR_SHA256_HEX_BYTES];
    REQUIRE(version_of(&w, &files, "# a\n") == OTR_OK);
    REQUIRE(version_of(&w, &next, "# applied\n") == OTR_OK);
    REQUIRE(otr_drift_set_base(w.drift, "an-id", "v1", &files, NULL) == OTR_OK);
    REQUIRE(compared(&w, "v1"));
    CHECK(tree_write(&w.t, "conf.d/b.conf", "# by hand\n"));
    REQUIRE(listed(&w, 1));
    REQUIRE(otr_drift_files_add(&to, tree_path(&w.t, "conf.d/a.conf"),
                                otr_sha256_hex(otr_bytes_of("# applied\n"), digest), NULL,
                                NULL) == OTR_OK);
    REQUIRE(otr_drift_begin(w.drift, "an-id", &to, NULL) == OTR_OK);
    CHECK(otr_drift_applying(w.drift, "an-id"));
    CHECK(tree_write(&w.t, "conf.d/a.conf", "# applied\n"));
    otr_sha256_hex(otr_bytes_of("# second\n"), digest);
    REQUIRE(otr_drift_files_add(&more, tree_path(&w.t, "conf.d/b.conf"), digest, NULL, NULL) ==
            OTR_OK);
    REQUIRE(otr_drift_begin(w.drift, "an-id", &more, NULL) == OTR_OK);
    CHECK(tree_write(&w.t, "conf.d/b.conf", "# second\n"));
    REQUIRE(listed(&w, 0));
    REQUIRE(otr_drift_files_add(&next, tree_path(&w.t, "conf.d/b.conf"), digest, NULL, NULL) ==
            OTR_OK);
    REQUIRE(otr_drift_set_base(w.drift, "an-id", "v2", &next, NULL) == OTR_OK);
    otr_drift_end(w.drift, "an-id");
    CHECK(!otr_drift_applying(w.drift, "an-id"));
    REQUIRE(compared(&w, "v2"));
    CHECK_INT(report(&w)->n, 0);
}

T_NO_OOM(a_look_that_was_under_way_when_an_apply_began_tells_nothing_of_it)
{
    WORLD(w);
    OTR_CLEANUP(otr_drift_files_deinit) otr_drift_files files = { 0 }, next = { 0 }, to = { 0 };
    char digest[OTR_SHA256_HEX_BYTES];
    REQUIRE(version_of(&w, &files, "# a\n") == OTR_OK);
    REQUIRE(version_of(&w, &next, "# applied\n") == OTR_OK);
    REQUIRE(otr_drift_set_base(w.drift, "an-id", "v1", &files, NULL) == OTR_OK);
    REQUIRE(compared(&w, "v1"));
    REQUIRE(otr_drift_files_add(&to, tree_path(&w.t, "conf.d/a.conf"),
                                otr_sha256_hex(otr_bytes_of("# applied\n"), digest), NULL,
                                NULL) == OTR_OK);
    uint64_t before = bursts(&w), looks = otr_drift_get_stats(w.drift).looks;
    CHECK_INT(otr_drift_begun(w.drift, "an-id"), 0);
    CHECK(tree_write(&w.t, "conf.d/a.conf", "# applied\n"));
    for (int i = 0; i < STEPS && bursts(&w) == before; i++) {
        otr_loop_step(w.loop, STEP_MS);
    }
    if (otr_drift_get_stats(w.drift).looks != looks) {
        otr_test_skip("the look was over before the apply could begin");
        return;
    }
    REQUIRE(otr_drift_begin(w.drift, "an-id", &to, NULL) == OTR_OK);
    CHECK_INT(otr_drift_begun(w.drift, "an-id"), 1);
    unsigned told = w.told;
    REQUIRE(looked(&w, looks + 2)); /* the second one knows of the apply */
    CHECK_INT(report(&w)->n, 0);
    CHECK_INT(w.told, told);
    REQUIRE(otr_drift_set_base(w.drift, "an-id", "v2", &next, NULL) == OTR_OK);
    otr_drift_end(w.drift, "an-id");
    REQUIRE(compared(&w, "v2"));
    CHECK_INT(report(&w)->n, 0);
}

T_NO_OOM(what_was_changed_after_nginx_loaded_it_is_told_though_nobody_saw_it)
{
    WORLD(w);
    w.loads = 2;
    w.loaded_ns = otr_wall_ns() - OTR_NS_PER_S * 3600;
    struct timeval old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
    static const char *const names[] = {
        "nginx.conf",      "cert.pem",          "conf.d/b.conf",
        "more/plain.conf", "sites-available/x", "sites-enabled/one"
    };
    for (size_t i = 0; i < OTR_COUNT(names); i++) {
        CHECK(utimes(tree_path(&w.t, names[i]), old) == 0);
    }
    REQUIRE(follow(&w) == OTR_OK);
    REQUIRE(otr_drift_set_seen(w.drift, "an-id", NULL, NULL) == OTR_OK);
    REQUIRE(listed(&w, 1));
    check_kind(&w, "conf.d/a.conf", OTR_DRIFT_CHANGED);
    CHECK_STR(report(&w)->files[0].old_digest, "");
    CHECK_INT(w.seen, 0); /* not known to be what NGINX has loaded */
}

T_NO_OOM(drift_while_the_agent_was_down_is_seen_by_what_an_earlier_run_knew)
{
    WORLD(w);
    OTR_CLEANUP(otr_drift_files_deinit) otr_drift_files files = { 0 };
    w.loads = 2;
    w.loaded_ns = otr_wall_ns() - OTR_NS_PER_S * 3600;
    REQUIRE(version_of(&w, &files, "# before\n") == OTR_OK);
    CHECK(unlink(tree_path(&w.t, "sites-enabled/one")) == 0);
    CHECK(unlink(tree_path(&w.t, "more/plain.conf")) == 0);
    CHECK(tree_write(&w.t, "conf.d/new.conf", "# new\n"));
    REQUIRE(follow(&w) == OTR_OK);
    REQUIRE(otr_drift_set_seen(w.drift, "an-id", &files, NULL) == OTR_OK);
    struct timeval old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
    CHECK(utimes(tree_path(&w.t, "cert.pem"), old) == 0); /* only named, not in a version */
    REQUIRE(listed(&w, 4));
    check_kind(&w, "conf.d/a.conf", OTR_DRIFT_CHANGED);
    check_kind(&w, "conf.d/new.conf", OTR_DRIFT_ADDED);
    check_kind(&w, "sites-enabled/one", OTR_DRIFT_REMOVED);
    check_kind(&w, "more/plain.conf", OTR_DRIFT_REMOVED);
}

T_NO_OOM(a_broken_file_hides_nothing_that_is_known_behind_it)
{
    STARTED(w);
    CHECK(tree_write(&w.t, "conf.d/a.conf", "server {\n"));
    REQUIRE(listed(&w, 1));
    CHECK(tree_write(&w.t, "more/plain.conf", "# changed\n"));
    REQUIRE(listed(&w, 2));
    CHECK(tree_write(&w.t, "conf.d/a.conf", "# a\n"));
    CHECK(tree_write(&w.t, "more/plain.conf", "# plain\n"));
    REQUIRE(listed(&w, 0));
    CHECK_STR(report(&w)->remark, "");
}

T_NO_OOM(past_the_limit_of_watches_the_slow_look_still_finds_it)
{
    WORLD(w);
    otr_drift_settings few = { .quiet_ms = 30, .rescan_ms = 100, .watches = 1 };
    REQUIRE(otr_drift_configure(w.drift, &few, NULL) == OTR_OK);
    REQUIRE(started(&w));
    for (int i = 0; i < STEPS && otr_drift_get_stats(w.drift).unwatched == 0; i++) {
        otr_loop_step(w.loop, STEP_MS);
    }
    CHECK(otr_drift_get_stats(w.drift).watches <= 1);
    CHECK_HAS(report(&w)->remark, "outrider.drift.watches");
    CHECK(tree_write(&w.t, "conf.d/a.conf", "# changed\n"));
    CHECK(tree_write(&w.t, "more/plain.conf", "# changed\n"));
    REQUIRE(listed(&w, 2));
}

/* A look that is under way ends first. */
static bool unwatched(world *w)
{
    for (int i = 0; i < STEPS && otr_drift_get_stats(w->drift).watches > 0; i++) {
        otr_loop_step(w->loop, STEP_MS);
    }
    return otr_drift_get_stats(w->drift).watches == 0;
}

T_NO_OOM(watches_go_with_the_instance_that_has_them)
{
    STARTED(w);
    CHECK(otr_drift_get_stats(w.drift).watches >= 5);
    otr_drift_leave(w.drift, "an-id");
    CHECK(otr_drift_get(w.drift, "an-id") == NULL);
    CHECK(unwatched(&w));
    REQUIRE(follow(&w) == OTR_OK);
    otr_loop_step(w.loop, 1);
    otr_drift_leave(w.drift, "an-id"); /* while it is looked at */
    CHECK(unwatched(&w));
}

T_NO_OOM(the_process_is_named_where_the_kernel_tells)
{
    STARTED(w);
    if (geteuid() != 0) {
        otr_test_skip("only root is told");
        return;
    }
    char command[600];
    snprintf(command, sizeof(command), "sed -i s/b/changed/ %s/conf.d/b.conf; sleep 0.05", w.t.dir);
    CHECK(system(command) == 0);
    REQUIRE(listed(&w, 1));
    CHECK(report(&w)->files[0].writer.pid > 0);
}

T_NO_OOM(folders_outside_of_the_allowed_ones_are_neither_read_nor_watched)
{
    OTR_CLEANUP(world_deinit) world w;
    REQUIRE(world_init(&w));
    char folder[256];
    snprintf(folder, sizeof(folder), "%s/conf.d", w.t.dir);
    const char *const allowed[] = { folder, NULL };
    w.root.allowed = allowed;
    REQUIRE(follow(&w) == OTR_OK);
    REQUIRE(started(&w));
    uint64_t events = otr_drift_get_stats(w.drift).events;
    CHECK(tree_write(&w.t, "nginx.conf", "# changed\n"));
    otr_loop_step(w.loop, 60);
    CHECK_INT(otr_drift_get_stats(w.drift).events, events);
    CHECK_INT(report(&w)->n, 0);
}

T_NO_OOM(files_that_are_excluded_do_not_count)
{
    STARTED(w);
    static const char *const wrong[] = { "(", NULL };
    static const char *const patterns[] = { "b\\.conf$", NULL };
    otr_drift_settings set = { .quiet_ms = 30, .rescan_ms = 3600000, .watches = 64 };
    otr_err err = { 0 };
    set.excluded = wrong;
    CHECK(otr_drift_configure(w.drift, &set, &err) == OTR_EINVAL);
    CHECK_HAS(err.msg, "\"(\" is no regular expression");
    set.excluded = patterns;
    REQUIRE(otr_drift_configure(w.drift, &set, NULL) == OTR_OK);
    CHECK(tree_write(&w.t, "conf.d/b.conf", "# changed\n"));
    CHECK(tree_write(&w.t, "conf.d/a.conf", "# changed\n"));
    REQUIRE(listed(&w, 1));
    check_kind(&w, "conf.d/a.conf", OTR_DRIFT_CHANGED);
}

T_NO_OOM(files_that_are_excluded_take_no_place_of_those_that_count)
{
    WORLD(w);
    OTR_CLEANUP(otr_drift_files_deinit) otr_drift_files files = { 0 };
    static const char *const patterns[] = { "/left-[0-9]*\\.conf$", NULL };
    otr_drift_settings set = { .quiet_ms = 30, .rescan_ms = 3600000, .watches = 64 };
    set.excluded = patterns;
    REQUIRE(otr_drift_configure(w.drift, &set, NULL) == OTR_OK);
    REQUIRE(version_of(&w, &files, "# a\n") == OTR_OK);
    REQUIRE(otr_drift_set_base(w.drift, "an-id", "v1", &files, NULL) == OTR_OK);
    REQUIRE(compared(&w, "v1"));
    for (int i = 0; i < OTR_LIMIT_DRIFT_LISTED + 1; i++) {
        char name[64];
        snprintf(name, sizeof(name), "conf.d/left-%d.conf", i);
        REQUIRE(tree_write(&w.t, name, "# new\n"));
    }
    CHECK(tree_write(&w.t, "sites-enabled/one", "# changed\n"));
    REQUIRE(listed(&w, 1));
    check_kind(&w, "sites-enabled/one", OTR_DRIFT_CHANGED);
    CHECK_INT(report(&w)->more, 0);
}

T_NO_OOM(what_happens_while_events_are_lost_is_found_all_the_same)
{
    STARTED(w);
    long most = 0;
    FILE *f = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
    REQUIRE(f != NULL);
    CHECK(fscanf(f, "%ld", &most) == 1);
    fclose(f);
    if (most > 100000) {
        otr_test_skip("the queue of events is too long to be filled");
        return;
    }
    char one[512], two[512];
    CHECK(tree_write(&w.t, "conf.d/one.txt", "x") && tree_write(&w.t, "conf.d/two.txt", "x"));
    snprintf(one, sizeof(one), "%s/conf.d/one.txt", w.t.dir);
    snprintf(two, sizeof(two), "%s/conf.d/two.txt", w.t.dir);
    for (long i = 0; i < most / 2 + 10; i++) { /* of no concern, and not equal in a row */
        CHECK(utimes(one, NULL) == 0 && utimes(two, NULL) == 0);
    }
    CHECK(tree_write(&w.t, "conf.d/a.conf", "# changed\n"));
    REQUIRE(listed(&w, 1));
}
