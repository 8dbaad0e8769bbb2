/* The child is a shell script here: what the real one does is tested by tests/scenario. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "plugin/source/compiler.h"
#include "support/test.h"

typedef struct fixture {
    char folder[64], program[96], said[96];
    otr_plugin_compiler *compiler;
} fixture;

static void fixture_deinit(fixture *f)
{
    otr_plugin_compiler_free(f->compiler);
    (void)unlink(f->program);
    (void)unlink(f->said);
    (void)rmdir(f->folder);
}

/* `script`: what the child does; $OUT is a file that the test may read. */
static bool fixture_init(fixture *f, const char *script, uint64_t limit_ms)
{
    *f = (fixture){ .folder = "/tmp/otr-compiler-XXXXXX" };
    if (mkdtemp(f->folder) == NULL) {
        return false;
    }
    (void)snprintf(f->program, sizeof(f->program), "%s/program", f->folder);
    (void)snprintf(f->said, sizeof(f->said), "%s/said", f->folder);
    FILE *out = fopen(f->program, "w");
    if (out == NULL) {
        return false;
    }
    (void)fprintf(out, "#!/bin/sh\nOUT=%s\n%s\n", f->said, script);
    (void)fclose(out);
    (void)chmod(f->program, 0700);
    otr_err err = { 0 };
    otr_plugin_compiler_spec spec = { f->program, "/the/cache", limit_ms * OTR_NS_PER_MS };
    return otr_plugin_compiler_new(&spec, &f->compiler, &err) == OTR_OK;
}

static otr_code fill(const fixture *f, const char *recipe, otr_err *err)
{
    static const uint8_t wasm[] = "module";
    const otr_compiler *base = otr_plugin_compiler_base(f->compiler);
    return base->fill(base->arg, "wasmtime", (otr_bytes){ wasm, sizeof(wasm) - 1 }, recipe, err);
}

static void read_said(const fixture *f, char *out, size_t cap)
{
    FILE *in = fopen(f->said, "r");
    size_t n = in != NULL ? fread(out, 1, cap - 1, in) : 0;
    out[n] = '\0';
    if (in != NULL) {
        (void)fclose(in);
    }
}

T(the_child_gets_the_module_and_the_cache)
{
    OTR_CLEANUP(fixture_deinit) fixture f;
    REQUIRE(fixture_init(&f, "echo \"$@\" $(cat) > $OUT", 20000));
    otr_err err = { 0 };
    REQUIRE_OK(fill(&f, "inline-1", &err), err);
    char said[256];
    read_said(&f, said, sizeof(said));
    CHECK_STR(said, "plugin compile - --cache /the/cache --engine wasmtime module\n");
    REQUIRE_OK(fill(&f, NULL, &err), err);
    read_said(&f, said, sizeof(said));
    CHECK_HAS(said, "--no-rewrite");
}

T(what_it_says_of_a_bad_module_is_the_error)
{
    OTR_CLEANUP(fixture_deinit) fixture f;
    REQUIRE(fixture_init(&f, "printf 'bad at 7'; exit 1", 20000));
    otr_err err = { 0 };
    CHECK_INT(fill(&f, NULL, &err), OTR_EINVAL);
    CHECK_STR(err.msg, "bad at 7");
}

T(more_words_than_are_kept_do_not_matter)
{
    OTR_CLEANUP(fixture_deinit) fixture f;
    REQUIRE(fixture_init(&f, "head -c 300000 /dev/zero | tr '\\0' x; exit 1", 20000));
    otr_err err = { 0 };
    CHECK_INT(fill(&f, NULL, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "xxxx");
}

T(a_child_that_cannot_be_run_leaves_the_work_to_the_caller)
{
    OTR_CLEANUP(fixture_deinit) fixture f;
    REQUIRE(fixture_init(&f, "exit 2", 20000));
    otr_err err = { 0 };
    CHECK_INT(fill(&f, NULL, &err), OTR_EUNSUP);
    (void)unlink(f.program);
    CHECK_INT(fill(&f, NULL, &err), OTR_EUNSUP);
}

T(a_child_past_its_limit_is_ended)
{
    OTR_CLEANUP(fixture_deinit) fixture f;
    REQUIRE(fixture_init(&f, "exec sleep 1000", 100));
    otr_err err = { 0 };
    CHECK_INT(fill(&f, NULL, &err), OTR_ETIMEOUT);
    CHECK_HAS(err.msg, "plugins.compile_limit");
}

T(a_child_that_is_killed_is_a_failure_that_may_pass)
{
    OTR_CLEANUP(fixture_deinit) fixture f;
    REQUIRE(fixture_init(&f, "kill -ABRT $$", 20000));
    otr_err err = { 0 };
    CHECK_INT(fill(&f, NULL, &err), OTR_EQUOTA);
    CHECK_HAS(err.msg, "signal 6");
}

static void *stop_soon(void *arg)
{
    (void)usleep(100000);
    otr_plugin_compiler_stop(arg);
    return NULL;
}

T_NO_OOM(stop_ends_what_runs_and_what_would) /* a thread of its own */
{
    OTR_CLEANUP(fixture_deinit) fixture f;
    pthread_t thread;
    REQUIRE(fixture_init(&f, "exec sleep 1000", 1000000));
    REQUIRE(pthread_create(&thread, NULL, stop_soon, f.compiler) == 0);
    otr_err err = { 0 };
    CHECK_INT(fill(&f, NULL, &err), OTR_ESTATE);
    (void)pthread_join(thread, NULL);
    CHECK_INT(fill(&f, NULL, &err), OTR_ESTATE);
}
