#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "base/clock.h"
#include "loop/loop.h"
#include "support/test.h"

enum { LONG_MS = 20000 };

typedef struct run {
    otr_loop *loop;
    otr_child *child;
    unsigned calls;
    otr_child_result result;
    otr_err failed;
    char text[256];
    bool free_inside;
} run;

static void free_loop(void *slot)
{
    otr_loop_free(otr_steal(slot));
}

static void free_child(void *slot)
{
    run *r = slot;
    otr_child_free(r->child);
}

static otr_loop *make_loop(void)
{
    otr_loop *loop = NULL;
    otr_err e = { 0 };
    return otr_loop_new(&loop, &e) == OTR_OK ? loop : NULL;
}

static void on_done(void *arg, const otr_child_result *result)
{
    run *r = arg;
    r->calls++;
    r->result = *result;
    r->failed = result->failed != NULL ? *result->failed : (otr_err){ 0 };
    (void)snprintf(r->text, sizeof(r->text), "%.*s", (int)result->output.n,
                   (const char *)result->output.p);
    if (r->free_inside) {
        otr_child_free(r->child);
        r->child = NULL;
    }
    otr_loop_stop(r->loop);
}

static otr_code start_limited(run *r, const char *script, uint64_t timeout_ms, size_t max,
                              otr_err *e)
{
    const char *const argv[] = { "sh", "-c", script, NULL };
    otr_child_spec spec = {
        .file = "/bin/sh",
        .argv = argv,
        .timeout_ms = timeout_ms,
        .max_output_bytes = max,
        .done = on_done,
        .arg = r,
    };
    return otr_child_start(r->loop, &spec, &r->child, e);
}

static otr_code start(run *r, const char *script, otr_err *e)
{
    return start_limited(r, script, LONG_MS, 1000, e);
}

static bool no_children(void)
{
    return waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD;
}

T(a_program_that_does_not_exist_is_an_error_that_names_it)
{
    OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
    REQUIRE(loop != NULL);
    otr_err e = { 0 };
    OTR_CLEANUP(free_child) run r = { .loop = loop };
    otr_child_spec spec = {
        .file = "/nonexistent/tool",
        .argv = (const char *const[]){ "tool", NULL },
        .timeout_ms = LONG_MS,
        .done = on_done,
        .arg = &r,
    };
    REQUIRE_OK(otr_child_start(loop, &spec, &r.child, &e), e);
    otr_loop_run(loop);
    CHECK_INT(r.calls, 1);
    CHECK_INT(r.failed.code, OTR_ENOTFOUND);
    CHECK_HAS(r.failed.msg, "/nonexistent/tool");
    CHECK(no_children());
}

T(a_relative_path_or_missing_arguments_are_refused)
{
    OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
    REQUIRE(loop != NULL);
    otr_err e = { 0 };
    otr_child *child = NULL;
    otr_child_spec spec = { .file = "sh", .argv = (const char *const[]){ "sh", NULL } };
    CHECK_INT(otr_child_start(loop, &spec, &child, &e), OTR_EINVAL);
    CHECK_HAS(e.msg, "absolute");
    spec = (otr_child_spec){ .file = "/bin/sh", .argv = (const char *const[]){ NULL } };
    CHECK_INT(otr_child_start(loop, &spec, &child, &e), OTR_EINVAL);
    CHECK(child == NULL);
}

T(both_outputs_arrive_in_order_with_the_exit_status)
{
    OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
    REQUIRE(loop != NULL);
    otr_err e = { 0 };
    OTR_CLEANUP(free_child) run r = { .loop = loop };
    REQUIRE_OK(start(&r, "echo one; echo two >&2; echo three; exit 7", &e), e);
    CHECK_INT(r.calls, 0);
    otr_loop_run(loop);
    CHECK_INT(r.calls, 1);
    CHECK_INT(r.result.exit_status, 7);
    CHECK_INT(r.result.term_signal, 0);
    CHECK(!r.result.timed_out && !r.result.truncated);
    CHECK_STR(r.text, "one\ntwo\nthree\n");
    CHECK(no_children());
}

/* The limit is set once the program runs, which may be after its first steps. */
T(a_child_gets_the_limit_of_descriptors_that_is_meant_for_children)
{
    OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
    REQUIRE(loop != NULL);
    otr_err e = { 0 };
    OTR_CLEANUP(free_child) run r = { .loop = loop };
    otr_loop_child_files(loop, 77);
    REQUIRE_OK(start(&r, "sleep 0.1; ulimit -n", &e), e);
    otr_loop_run(loop);
    CHECK_STR(r.text, "77\n");
}

T(stdin_is_empty)
{
    OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
    REQUIRE(loop != NULL);
    otr_err e = { 0 };
    OTR_CLEANUP(free_child) run r = { .loop = loop };
    REQUIRE_OK(start(&r, "cat; echo end", &e), e);
    otr_loop_run(loop);
    CHECK_STR(r.text, "end\n");
}

T(a_child_ended_by_a_signal_says_which)
{
    OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
    REQUIRE(loop != NULL);
    otr_err e = { 0 };
    OTR_CLEANUP(free_child) run r = { .loop = loop };
    REQUIRE_OK(start(&r, "kill -TERM $$", &e), e);
    otr_loop_run(loop);
    CHECK_INT(r.result.exit_status, -1);
    CHECK_INT(r.result.term_signal, SIGTERM);
    CHECK(!r.result.timed_out);
}

T(a_hung_child_and_its_helpers_are_killed_at_the_deadline)
{
    OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
    REQUIRE(loop != NULL);
    otr_err e = { 0 };
    OTR_CLEANUP(free_child) run r = { .loop = loop };
    REQUIRE_OK(start_limited(&r, "trap '' TERM; sleep 60 & echo $!; wait", 200, 1000, &e), e);
    uint64_t before = uv_hrtime();
    otr_loop_run(loop);
    CHECK(uv_hrtime() - before < 10 * OTR_NS_PER_S);
    CHECK(r.result.timed_out);
    CHECK_INT(r.result.term_signal, SIGKILL);
    long helper = strtol(r.text, NULL, 10);
    REQUIRE(helper > 1);
    for (int i = 0; i < 200 && kill((pid_t)helper, 0) == 0; i++) {
        char path[64], state[64] = "";
        (void)snprintf(path, sizeof(path), "/proc/%ld/stat", helper);
        FILE *f = fopen(path, "r");
        if (f == NULL || fgets(state, sizeof(state), f) == NULL || strstr(state, ") Z ") != NULL) {
            if (f != NULL) {
                (void)fclose(f);
            }
            return; /* dead: whoever inherited it has yet to reap it */
        }
        (void)fclose(f);
        otr_loop_step(loop, 10);
    }
    CHECK(kill((pid_t)helper, 0) != 0);
}

T(output_beyond_the_limit_is_dropped_and_the_child_still_ends)
{
    OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
    REQUIRE(loop != NULL);
    otr_err e = { 0 };
    OTR_CLEANUP(free_child) run r = { .loop = loop };
    REQUIRE_OK(start_limited(&r, "head -c 300000 /dev/zero | tr '\\0' x; exit 3", LONG_MS, 100, &e),
               e);
    otr_loop_run(loop);
    CHECK_INT(r.result.exit_status, 3);
    CHECK(r.result.truncated);
    CHECK_INT(strlen(r.text), 100);
}

T(of_longer_output_the_end_is_kept_where_it_counts)
{
    OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
    REQUIRE(loop != NULL);
    otr_err e = { 0 };
    OTR_CLEANUP(free_child) run r = { .loop = loop };
    const char *const argv[] = { "sh", "-c",
                                 "head -c 300000 /dev/zero | tr '\\0' x; echo the end; exit 3",
                                 NULL };
    otr_child_spec spec = { .file = "/bin/sh",
                            .argv = argv,
                            .timeout_ms = LONG_MS,
                            .max_output_bytes = 200,
                            .keep_end = true,
                            .done = on_done,
                            .arg = &r };
    REQUIRE_OK(otr_child_start(loop, &spec, &r.child, &e), e);
    otr_loop_run(loop);
    CHECK_INT(r.result.exit_status, 3);
    CHECK(r.result.truncated);
    CHECK_INT(r.text[0], 'x');
    size_t n = strlen(r.text);
    REQUIRE(n > 8 && n <= 200);
    CHECK_STR(r.text + n - 8, "the end\n");
}

T(a_helper_that_keeps_the_output_open_does_not_delay_done)
{
    OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
    REQUIRE(loop != NULL);
    otr_err e = { 0 };
    OTR_CLEANUP(free_child) run r = { .loop = loop };
    REQUIRE_OK(start(&r, "sleep 15 & echo $!", &e), e);
    uint64_t before = uv_hrtime();
    otr_loop_run(loop);
    CHECK(uv_hrtime() - before < 10 * OTR_NS_PER_S);
    CHECK_INT(r.result.exit_status, 0);
    long helper = strtol(r.text, NULL, 10);
    REQUIRE(helper > 1);
    CHECK(kill((pid_t)helper, SIGKILL) == 0);
}

T(a_child_may_be_freed_inside_done)
{
    OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
    REQUIRE(loop != NULL);
    otr_err e = { 0 };
    OTR_CLEANUP(free_child) run r = { .loop = loop, .free_inside = true };
    REQUIRE_OK(start(&r, "echo x", &e), e);
    otr_loop_run(loop);
    CHECK_INT(r.calls, 1);
    CHECK_STR(r.text, "x\n");
}

T(freeing_a_running_child_kills_it_silently_and_reaps_it)
{
    run r = { 0 };
    {
        OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
        REQUIRE(loop != NULL);
        otr_err e = { 0 };
        r.loop = loop;
        REQUIRE_OK(start(&r, "sleep 60", &e), e);
        otr_child_free(r.child);
    }
    CHECK_INT(r.calls, 0);
    CHECK(no_children());
}

static otr_code start_placed(run *r, const char *script, const otr_child_place *place, otr_err *e)
{
    const char *const argv[] = { "sh", "-c", script, NULL };
    const char *const env[] = { "ONE=1", "PATH=/usr/bin:/bin", NULL };
    otr_child_spec spec = { .file = "/bin/sh",
                            .argv = argv,
                            .env = env,
                            .place = place,
                            .timeout_ms = LONG_MS,
                            .max_output_bytes = 1000,
                            .done = on_done,
                            .arg = r };
    return otr_child_start(r->loop, &spec, &r->child, e);
}

T(a_child_has_the_environment_and_folder_it_is_given_and_no_descriptor_of_ours)
{
    OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
    REQUIRE(loop != NULL);
    otr_err e = { 0 };
    OTR_CLEANUP(free_child) run r = { .loop = loop };
    int leak = open("/dev/null", O_RDONLY); /* without O_CLOEXEC */
    int cwd = open("/usr", O_PATH | O_DIRECTORY | O_CLOEXEC);
    REQUIRE(leak >= 0 && cwd >= 0);
    otr_child_place place = { .program_fd = -1, .root_fd = -1, .cwd_fd = cwd, .umask = -1 };
    otr_code rc = start_placed(&r, "echo $ONE; echo ${HOME:-none}; pwd; cd /proc/self/fd; echo *",
                               &place, &e);
    close(leak);
    close(cwd);
    REQUIRE_OK(rc, e);
    otr_loop_run(loop);
    CHECK_STR(r.text, "1\nnone\n/usr\n0 1 2 3\n"); /* 3: the listing itself */
}

T(what_runs_is_the_open_program_and_not_the_name)
{
    OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
    REQUIRE(loop != NULL);
    otr_err e = { 0 };
    OTR_CLEANUP(free_child) run r = { .loop = loop };
    otr_child_place place = { .program_fd = open("/bin/echo", O_PATH | O_CLOEXEC),
                              .root_fd = -1,
                              .cwd_fd = -1,
                              .umask = -1 };
    REQUIRE(place.program_fd >= 0);
    otr_code rc = start_placed(&r, "x", &place, &e);
    close(place.program_fd);
    REQUIRE_OK(rc, e);
    otr_loop_run(loop);
    CHECK_STR(r.text, "-c x\n");
}

/* As root alone: another user can become nobody else. */
T(a_child_of_another_user_has_nothing_of_ours)
{
    OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
    REQUIRE(loop != NULL);
    otr_err e = { 0 };
    OTR_CLEANUP(free_child) run r = { .loop = loop };
    static const gid_t groups[] = { 65531, 65532 };
    otr_child_place place = { .program_fd = -1,
                              .root_fd = -1,
                              .cwd_fd = -1,
                              .umask = 027,
                              .take_user = true,
                              .uid = 65530,
                              .gid = 65530,
                              .groups = groups,
                              .n_groups = OTR_COUNT(groups),
                              .capabilities = 1U << 10,
                              .ambient = 1U << 10 };
    if (getuid() != 0) {
        return;
    }
    REQUIRE_OK(start_placed(&r, "id -u; id -G; umask; grep -E 'Cap(Eff|Bnd)' /proc/self/status",
                            &place, &e),
               e);
    otr_loop_run(loop);
    CHECK_STR(r.text, "65530\n65530 65531 65532\n0027\nCapEff:\t0000000000000400\n"
                      "CapBnd:\t0000000000000400\n");
}

T(a_place_that_cannot_be_entered_is_told_and_nothing_is_run)
{
    OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
    REQUIRE(loop != NULL);
    otr_err e = { 0 };
    OTR_CLEANUP(free_child) run r = { .loop = loop };
    int no_folder = open("/dev/null", O_RDONLY | O_CLOEXEC);
    otr_child_place place = { .program_fd = -1, .root_fd = -1, .cwd_fd = no_folder, .umask = -1 };
    otr_code rc = start_placed(&r, "echo x", &place, &e);
    close(no_folder);
    REQUIRE_OK(rc, e);
    otr_loop_run(loop);
    CHECK_STR(r.text, "");
    CHECK_HAS(r.failed.msg, "/bin/sh: its working folder cannot be entered");
}
