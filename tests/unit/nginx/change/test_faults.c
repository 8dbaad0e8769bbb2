/* Every file operation fails once, in every way: what is left is the old or the new tree, complete,
 * and the error says where. OTR_ALL=1 tries every pair of operation and errno; by default each
 * operation meets one of them, and every second one EIO. */
#include "unit/nginx/change/faults.h"
#include "unit/nginx/change/scene.h"

static const int ways[] = { EIO, ENOSPC, EROFS, EACCES, EMFILE, EINTR, ENOMEM, EPERM, EDQUOT, 0 };

typedef enum after { UNDO, RECOVER } after;

typedef struct run {
    faults f;
    scene s;
    otr_err err;
    otr_change_state reached;
    bool failed;
} run;

static otr_code drive(run *r, otr_change **change)
{
    const otr_change_spec spec = scene_spec(&r->s, &r->f.ops);
    otr_code rc = otr_change_begin(&spec, r->s.plan, change, &r->err);
    rc = rc == OTR_OK ? otr_change_stage(*change, &r->err) : rc;
    rc = rc == OTR_OK ? otr_change_swap(*change, &r->err) : rc;
    rc = rc == OTR_OK ? otr_change_mark(*change, OTR_CHANGE_RELOADING, (otr_bytes){ 0 }, &r->err)
                      : rc;
    rc = rc == OTR_OK ? otr_change_mark(*change, OTR_CHANGE_PROVEN, (otr_bytes){ 0 }, &r->err) : rc;
    return rc == OTR_OK ? otr_change_finish(*change, &r->err) : rc;
}

/* An error is of use when it says which file, folder or journal it was. */
static bool is_of_use(const run *r)
{
    return strstr(r->err.msg, "conf") != NULL || strstr(r->err.msg, "journal") != NULL ||
           strstr(r->err.msg, "apply") != NULL || strstr(r->err.msg, r->s.t.dir) != NULL;
}

static void settle(run *r, otr_change *change, after what)
{
    otr_err err = { 0 };
    snap now;
    bool proven = change != NULL && otr_change_get_state(change) == OTR_CHANGE_PROVEN;
    r->f.fail_at = 0;
    if (what == UNDO && change != NULL) {
        otr_code rc = proven ? otr_change_finish(change, &err) : otr_change_undo(change, &err);
        CHECK_STR(rc == OTR_OK ? "" : err.msg, "");
    }
    otr_change_free(change);
    otr_code rc = scene_recover(&r->s, NULL, &err);
    CHECK_STR(rc == OTR_OK ? "" : err.msg, "");
    const char *which = scene_which(&r->s, &now);
    CHECK(strcmp(which, "old") == 0 || strcmp(which, "new") == 0);
    if (strcmp(which, proven || !r->failed ? "new" : "old") != 0) {
        CHECK_STR(which, proven || !r->failed ? "new" : "old");
        printf("# call %ld, errno %d (%s)\n", r->f.calls, r->f.sys, r->err.msg);
    }
    otr_journals left;
    CHECK_INT(otr_recover_list(r->s.journals, NULL, &left, &err), OTR_OK);
    CHECK_INT(left.n, 0);
    otr_journals_deinit(&left);
}

/* True while there is a call of that number. */
static bool fail_one(run *r, long at, int sys, after what)
{
    otr_change *change = NULL;
    bool no_flags = r->f.no_flags, no_links = r->f.no_links, for_ever = r->f.for_ever;
    faults_init(&r->f);
    r->f.no_flags = no_flags;
    r->f.no_links = no_links;
    r->f.for_ever = for_ever;
    if (!scene_ready(&r->s, &r->err)) {
        CHECK_STR("scene", r->err.msg);
        scene_deinit(&r->s);
        return false;
    }
    r->f.fail_at = at;
    r->f.sys = sys;
    r->failed = drive(r, &change) != OTR_OK;
    if (r->failed && !is_of_use(r)) {
        CHECK_STR(r->err.msg, "a message that names a file");
    }
    bool more = r->f.calls >= at;
    settle(r, change, what);
    scene_deinit(&r->s);
    return more;
}

static long fail_all(run *r, after what)
{
    bool all = getenv("OTR_ALL") != NULL;
    long at = 1;
    for (bool more = true; more; at++) {
        for (size_t i = 0; more && i < OTR_COUNT(ways); i++) {
            size_t turn = (size_t)at % (OTR_COUNT(ways) - 1) + 1;
            bool mine = what == UNDO && !r->f.no_flags ? true : at % 2 == (long)what;
            if (all || (mine && i == (what == UNDO ? turn : 0))) {
                more = fail_one(r, at, ways[i], what);
            }
        }
    }
    printf("# %ld operations\n", at - 2);
    return at - 2;
}

T_NO_OOM(each_operation_fails_and_the_change_is_undone) /* hundreds of transactions */
{
    run r = { 0 };
    CHECK(fail_all(&r, UNDO) > 100);
}

T_NO_OOM(each_operation_fails_and_the_agent_ends)
{
    run r = { 0 };
    CHECK(fail_all(&r, RECOVER) > 100);
}

T_NO_OOM(each_operation_fails_where_renames_have_no_flags)
{
    run r = { .f.no_flags = true };
    CHECK(fail_all(&r, UNDO) > 100);
}

T_NO_OOM(a_disk_that_stays_full_keeps_nobody_from_going_back)
{
    run r = { .f.for_ever = true };
    bool more = true;
    for (long at = 1; more; at += getenv("OTR_ALL") != NULL ? 1 : 7) {
        more = fail_one(&r, at, ENOSPC, UNDO);
    }
}

/* ---- going back fails, too ---- */

static bool fail_undo(long at, int sys, bool no_flags)
{
    run r = { 0 };
    otr_change *change = NULL;
    snap now;
    faults_init(&r.f);
    r.f.no_flags = no_flags;
    bool more = false;
    if (scene_ready(&r.s, &r.err)) {
        const otr_change_spec spec = scene_spec(&r.s, &r.f.ops);
        otr_code rc = otr_change_begin(&spec, r.s.plan, &change, &r.err);
        rc = rc == OTR_OK ? otr_change_stage(change, &r.err) : rc;
        rc = rc == OTR_OK ? otr_change_swap(change, &r.err) : rc;
        CHECK_INT(rc, OTR_OK);
        r.f.calls = 0;
        r.f.fail_at = at;
        r.f.sys = sys;
        rc = otr_change_undo(change, &r.err);
        more = r.f.calls >= at;
        r.f.fail_at = 0;
        if (rc != OTR_OK) {
            CHECK(is_of_use(&r));
            CHECK_INT(otr_change_undo(change, &r.err), OTR_OK);
        }
        CHECK_STR(scene_which(&r.s, &now), "old");
        CHECK(otr_change_kept(change)[0] == NULL);
    }
    otr_change_free(change);
    scene_deinit(&r.s);
    return more;
}

T_NO_OOM(an_undo_that_fails_is_taken_up_again)
{
    for (long at = 1; fail_undo(at, at % 2 == 0 ? EIO : ENOSPC, false); at++) {
    }
    for (long at = 1; fail_undo(at, EIO, true); at++) {
    }
}

T_NO_OOM(without_exchange_and_without_links_a_change_is_refused_whole)
{
    run r = { .f.no_flags = true, .f.no_links = true };
    CHECK(!fail_one(&r, 1000, EINTR, UNDO));
    CHECK(r.failed);
    CHECK_HAS(r.err.msg, "cannot replace");
}
