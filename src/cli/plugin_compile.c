/* `outrider plugin compile`: fills a cache of compiled code. The agent runs it for what its cache
 * lacks; by hand it prepares a cache before the agent starts, for example in an image. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"
#include "cli/cli.h"
#include "cli/print.h"
#include "wasm/engine/engine.h"
#include "wasm/guest.h"

enum { EXIT_REFUSED = 1, EXIT_HOST = 2, NICE = 10 };

/* A sanitizer maps terabytes for itself. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { BOUNDED = 0 };
#else
enum { BOUNDED = 1 };
#endif

typedef struct options {
    const char *file, *cache, *abi, *engine;
    bool rewrite;
} options;

static int complain(const char *what, const char *why)
{
    otr_cli_say(stderr, "outrider plugin compile: %s: %s", what, why);
    return EXIT_HOST;
}

static bool take(options *o, const char *name, const char *value)
{
    const struct {
        const char *name, **slot;
    } known[] = { { "--cache", &o->cache }, { "--abi", &o->abi }, { "--engine", &o->engine } };
    for (size_t i = 0; i < OTR_COUNT(known); i++) {
        if (value != NULL && strcmp(name, known[i].name) == 0) {
            *known[i].slot = value;
            return true;
        }
    }
    return false;
}

static int read_options(options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--no-rewrite") == 0) {
            o->rewrite = false;
        } else if (take(o, argv[i], i + 1 < argc ? argv[i + 1] : NULL)) {
            i++;
        } else if (o->file == NULL && strncmp(argv[i], "--", 2) != 0) {
            o->file = argv[i];
        } else {
            return complain(argv[i], "not an option here, or its value is missing; see --help");
        }
    }
    if (o->file == NULL || o->cache == NULL) {
        return complain("usage", "outrider plugin compile FILE --cache DIR [--abi A] [--engine E] "
                                 "[--no-rewrite]");
    }
    return 0;
}

/* What this process has of writable memory, as RLIMIT_DATA counts it: proc(5), statm. */
static uint64_t data_bytes(void)
{
    otr_buf text;
    unsigned long long pages = 0;
    otr_buf_init(&text, 4096);
    if (otr_buf_read_file(&text, "/proc/self/statm", NULL) == OTR_OK) {
        (void)sscanf(otr_buf_text(&text), "%*s %*s %*s %*s %*s %llu", &pages);
    }
    otr_buf_deinit(&text);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Foreign code is compiled from here on: in bounded memory beside what the engine has reserved,
 * behind all other programs, and not longer than whoever asked for it lives. */
static void confine(const options *o)
{
    if (strcmp(o->file, "-") == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)setpriority(PRIO_PROCESS, 0, NICE);
    }
    uint64_t now = BOUNDED ? data_bytes() : 0;
    if (now > 0) {
        const struct rlimit most = { now + OTR_LIMIT_WASM_COMPILE_BYTES,
                                     now + OTR_LIMIT_WASM_COMPILE_BYTES };
        (void)setrlimit(RLIMIT_DATA, &most);
    }
    const struct rlimit no_core = { 0, 0 };
    (void)setrlimit(RLIMIT_CORE, &no_core);
}

static otr_code read_file(const options *o, otr_buf *wasm, otr_err *err)
{
    return strcmp(o->file, "-") == 0 ? otr_buf_read_fd(wasm, STDIN_FILENO, err)
                                     : otr_buf_read_file(wasm, o->file, err);
}

static int compile(const options *o, otr_engine *engine, otr_bytes wasm)
{
    otr_err err = { 0 };
    if (engine->cache_problem != NULL) {
        return complain(o->cache, engine->cache_problem);
    }
    otr_load_spec spec = { .name = o->file, .wasm = wasm, .abi = o->abi, .rewrite = o->rewrite };
    if (otr_guest_compile(engine, &spec, &err) == OTR_OK) {
        return 0;
    }
    (void)printf("%s", err.msg); /* for the agent */
    (void)fflush(stdout);
    if (strcmp(o->file, "-") != 0) {
        (void)complain(o->file, err.msg);
    }
    return EXIT_REFUSED;
}

int otr_cli_plugin_compile(int argc, char **argv)
{
    options o = { .engine = "wasmtime", .rewrite = true };
    int bad = read_options(&o, argc, argv);
    if (bad != 0) {
        return bad;
    }
    const otr_engine_ops *ops = otr_engine_find(o.engine);
    if (ops == NULL) {
        return complain(o.engine, "no such engine");
    }
    if (ops != &otr_engine_wasmtime) {
        return complain(o.engine, "compiles nothing ahead; only wasmtime does");
    }
    otr_buf wasm;
    otr_engine *engine = NULL;
    otr_err err = { 0 };
    otr_buf_init(&wasm, OTR_LIMIT_PLUGIN_FILE_BYTES);
    otr_code rc = read_file(&o, &wasm, &err);
    rc = rc == OTR_OK ? ops->open(o.cache, &engine, &err) : rc;
    confine(&o);
    int exit_code =
        rc == OTR_OK ? compile(&o, engine, otr_buf_bytes(&wasm)) : complain(o.file, err.msg);
    if (engine != NULL) {
        ops->close(engine);
    }
    otr_buf_deinit(&wasm);
    return exit_code;
}
