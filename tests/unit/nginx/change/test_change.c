#include "unit/nginx/change/scene.h"

static void change_freep(otr_change **change)
{
    otr_change_free(*change);
}

#define SCENE(name)                                                 \
    OTR_CLEANUP(scene_deinit) scene name;                           \
    snap now;                                                       \
    otr_err err;                                                    \
    REQUIRE_OK(scene_ready(&(name), &err) ? OTR_OK : OTR_EIO, err); \
    OTR_CLEANUP(change_freep) otr_change *change = NULL;            \
    const otr_change_spec spec = scene_spec(&(name), NULL)

T(a_change_is_swapped_and_finished)
{
    SCENE(s);
    REQUIRE_OK(otr_change_begin(&spec, s.plan, &change, &err), err);
    CHECK_INT(otr_change_get_state(change), OTR_CHANGE_PREPARED);
    REQUIRE_OK(otr_change_stage(change, &err), err);
    REQUIRE_OK(otr_change_swap(change, &err), err);
    CHECK_INT(otr_change_get_state(change), OTR_CHANGE_SWAPPED);
    REQUIRE_OK(otr_change_mark(change, OTR_CHANGE_RELOADING, (otr_bytes){ 0 }, &err), err);
    REQUIRE_OK(otr_change_mark(change, OTR_CHANGE_PROVEN, (otr_bytes){ 0 }, &err), err);
    REQUIRE_OK(otr_change_finish(change, &err), err);
    CHECK_INT(otr_change_get_state(change), OTR_CHANGE_NONE);
    CHECK_STR(scene_which(&s, &now), "new");
}

T(a_change_that_is_put_back_is_known_until_it_is_over)
{
    SCENE(s);
    REQUIRE_OK(otr_change_begin(&spec, s.plan, &change, &err), err);
    REQUIRE_OK(otr_change_stage(change, &err), err);
    REQUIRE_OK(otr_change_swap(change, &err), err);
    REQUIRE_OK(otr_change_mark(change, OTR_CHANGE_RELOADING, (otr_bytes){ 0 }, &err), err);
    REQUIRE_OK(otr_change_put_back(change, &err), err);
    CHECK_INT(otr_change_get_state(change), OTR_CHANGE_UNDONE);
    CHECK_STR(scene_which(&s, &now), "old");
    otr_change_free(change); /* the agent ends before NGINX has read them */
    change = NULL;
    REQUIRE(tree_write(&s.t, "conf/added.conf", "by hand"));
    REQUIRE_OK(otr_change_resume(&spec, NULL, &change, &err), err);
    CHECK_INT(otr_change_get_state(change), OTR_CHANGE_UNDONE);
    CHECK(otr_change_reached(change, OTR_CHANGE_RELOADING));
    REQUIRE_OK(otr_change_put_back(change, &err), err);
    REQUIRE_OK(otr_change_undo(change, &err), err);
    CHECK_INT(access(scene_path(&s, "added.conf"), F_OK), 0); /* it was not ours to take away */
    otr_change_free(change);
    change = NULL;
    CHECK_INT(otr_change_resume(&spec, NULL, &change, &err), OTR_ENOTFOUND);
}

T(a_change_is_undone_without_a_trace)
{
    SCENE(s);
    REQUIRE_OK(otr_change_begin(&spec, s.plan, &change, &err), err);
    REQUIRE_OK(otr_change_stage(change, &err), err);
    REQUIRE_OK(otr_change_swap(change, &err), err);
    REQUIRE_OK(otr_change_mark(change, OTR_CHANGE_RELOADING, (otr_bytes){ 0 }, &err), err);
    REQUIRE_OK(otr_change_undo(change, &err), err);
    CHECK_STR(scene_which(&s, &now), "old");
    CHECK(otr_change_kept(change)[0] == NULL);
    CHECK(otr_change_reached(change, OTR_CHANGE_RELOADING));
    REQUIRE_OK(otr_change_undo(change, &err), err);
}
