/* Files of guests that change while they run: tests/scenario/test_watch.py has the rest. */
#include "unit/plugin/guest/guests.h"

#define ONE "    - {name: g, source: g0.wat, grants: {publish: [\"test.*\"]}}\n"

/* Rounds of the loop, with a message in each, for longer than a file must be still. */
static otr_code go_on(fixture *f, uint64_t ms, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (uint64_t end = otr_now_ns() + ms * OTR_NS_PER_MS; rc == OTR_OK && otr_now_ns() < end;) {
        rc = publish(f, 1, "1", err);
        otr_loop_step(f->loop, ROUND_MS);
    }
    return rc;
}

T_NO_OOM(a_changed_file_is_loaded_without_being_asked)
{
    BEGIN(2);
    GUEST(0, .process = "(i32.const 0)");
    START(ONE);
    WAIT_STATE("g", "running");
    REQUIRE_OK(go_on(&f, 300, &err), err);
    CHECK_INT(f.heard, 0);
    GUEST(0, .process = SAY);
    for (int i = 0; i < 50 && f.heard == 0; i++) {
        REQUIRE_OK(go_on(&f, 100, &err), err);
    }
    CHECK(f.heard > 0);
    CHECK_STR(plugin(&f, "g")->state, "running");
    CHECK_INT(plugin(&f, "g")->view.stats.errors, 0);
}

T_NO_OOM(a_removed_file_leaves_its_guest_at_work_until_there_is_another)
{
    BEGIN(2);
    GUEST(0, .process = SAY, .topic = "test.old");
    START(ONE);
    WAIT_STATE("g", "running");
    char path[64];
    (void)snprintf(path, sizeof(path), "%s/g0.wat", f.folder);
    REQUIRE(unlink(path) == 0);
    REQUIRE_OK(go_on(&f, 500, &err), err);
    CHECK_STR(plugin(&f, "g")->state, "running");
    CHECK(f.heard > 0);
    GUEST(0, .process = SAY, .topic = "test.new");
    for (int i = 0; i < 50 && strstr(f.trace, "test.new") == NULL; i++) {
        f.trace[0] = '\0';
        REQUIRE_OK(go_on(&f, 100, &err), err);
    }
    CHECK_HAS(f.trace, "test.new");
}

T_NO_OOM(a_guest_that_is_switched_off_is_not_loaded_by_its_file)
{
    BEGIN(2);
    GUEST(0, .process = "(i32.const 0)");
    START(ONE);
    WAIT_STATE("g", "running");
    REQUIRE_OK(otr_plugin_host_tell(f.host, "g", OTR_PLUGIN_DISABLE, &err), err);
    WAIT_STATE("g", "disabled");
    GUEST(0, .process = SAY);
    REQUIRE_OK(go_on(&f, 700, &err), err);
    CHECK_STR(plugin(&f, "g")->state, "disabled");
    CHECK_INT(f.heard, 0);
}

T_NO_OOM(no_file_is_watched_when_the_configuration_says_so)
{
    BEGIN(2);
    GUEST(0, .process = "(i32.const 0)");
    START(ONE "  watch: false\n");
    WAIT_STATE("g", "running");
    GUEST(0, .process = SAY);
    REQUIRE_OK(go_on(&f, 700, &err), err);
    CHECK_STR(plugin(&f, "g")->state, "running");
    CHECK_INT(f.heard, 0);
}
