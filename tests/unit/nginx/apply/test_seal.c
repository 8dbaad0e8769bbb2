/* What NGINX was to read, and what is on disk afterwards. */
#include <sys/stat.h>
#include <unistd.h>

#include "nginx/apply/errlogs.h"
#include "unit/nginx/tree.h"

static const otr_root host = { .path = "" };

typedef struct rig {
    tree t;
    char path[256];
    otr_error_logs logs;
    char text[512];
} rig;

static void rig_deinit(rig *r)
{
    otr_error_logs_deinit(&r->logs);
    tree_deinit(&r->t);
}

static bool seal(rig *r)
{
    otr_err err;
    otr_error_logs_spec spec = {
        .root = &host, .config = r->path, .prefix = "/", .global = "", .otherwise = ""
    };
    otr_paths_deinit(&r->logs.read);
    return otr_error_logs_collect(&spec, &r->logs, &err) == OTR_OK;
}

static bool rig_init(rig *r)
{
    *r = (rig){ 0 };
    if (!tree_init(&r->t) || !tree_write(&r->t, "nginx.conf", "include d/*.conf; include one;") ||
        !tree_write(&r->t, "d/b.conf", "x 1;") || !tree_write(&r->t, "one", "x 1;")) {
        return false;
    }
    snprintf(r->path, sizeof(r->path), "%s/nginx.conf", r->t.dir);
    return seal(r);
}

#define RIG(name)                     \
    OTR_CLEANUP(rig_deinit) rig name; \
    REQUIRE(rig_init(&(name)))

static otr_seal_state look(rig *r)
{
    otr_err err = { 0 };
    otr_seal_state state = OTR_SEAL_UNKNOWN;
    CHECK_INT(otr_seal_look(r->logs.seal, &host, &state, r->text, sizeof(r->text), &err), OTR_OK);
    return state;
}

T(what_nobody_touched_holds)
{
    RIG(r);
    CHECK_INT(look(&r), OTR_SEAL_HOLDS);
    CHECK_STR(r.text, "");
    REQUIRE(tree_write(&r.t, "d/no", "not of the pattern"));
    CHECK_INT(look(&r), OTR_SEAL_HOLDS);
}

T(an_edit_of_the_same_length_at_once_is_seen)
{
    RIG(r);
    REQUIRE(tree_write(&r.t, "one", "x 2;"));
    CHECK_INT(look(&r), OTR_SEAL_BROKEN);
    CHECK_HAS(r.text, "/one was changed by somebody else");
}

/* As an old file: its clock is far from that of the look, so the times alone tell. */
T(an_edit_that_was_taken_back_is_seen)
{
    RIG(r);
    usleep(60 * 1000);
    REQUIRE(seal(&r));
    REQUIRE(tree_write(&r.t, "one", "x 2;"));
    REQUIRE(tree_write(&r.t, "one", "x 1;"));
    CHECK_INT(look(&r), OTR_SEAL_BROKEN);
}

T(a_file_that_came_or_went_is_seen)
{
    RIG(r);
    REQUIRE(tree_write(&r.t, "d/a.conf", "x 1;"));
    CHECK_INT(look(&r), OTR_SEAL_BROKEN);
    CHECK_HAS(r.text, "/d/a.conf was added");
    REQUIRE(seal(&r));
    REQUIRE(unlink(tree_path(&r.t, "d/a.conf")) == 0);
    CHECK_INT(look(&r), OTR_SEAL_BROKEN);
    CHECK_HAS(r.text, "/d/a.conf was taken away");
    REQUIRE(seal(&r));
    REQUIRE(tree_write(&r.t, "d/c.conf", "x 1;"));
    CHECK_INT(look(&r), OTR_SEAL_BROKEN);
    REQUIRE(seal(&r));
    REQUIRE(unlink(tree_path(&r.t, "one")) == 0);
    CHECK_INT(look(&r), OTR_SEAL_BROKEN);
    CHECK_HAS(r.text, "/one was taken away");
}

T(what_was_never_seen_is_not_known)
{
    RIG(r);
    REQUIRE(symlink("d", tree_path(&r.t, "two")) == 0);
    REQUIRE(tree_write(&r.t, "nginx.conf", "include d/*.conf; include two; include one;"));
    REQUIRE(seal(&r)); /* a folder is no file */
    CHECK_INT(look(&r), OTR_SEAL_UNKNOWN);
    CHECK(r.text[0] != '\0');
    REQUIRE(tree_write(&r.t, "one", "x 2;")); /* what is known counts more */
    CHECK_INT(look(&r), OTR_SEAL_BROKEN);
    REQUIRE(unlink(tree_path(&r.t, "nginx.conf")) == 0);
    REQUIRE(seal(&r));
    CHECK_INT(look(&r), OTR_SEAL_UNKNOWN);
}
