#include "plugin/source/compiler.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"

enum {
    AT_ONCE = 2,  /* compilations, beside a proxy that needs the processors itself */
    TURN_MS = 5,  /* how often one that waits looks whether it is its turn */
    LOOK_MS = 50, /* how often a running compilation looks whether it is still wanted */
    SAID_BYTES = 4096,
    EXIT_REFUSED = 1, /* as in src/cli/plugin_compile.c */
    MAX_ARGS = 12,
};

struct otr_plugin_compiler {
    otr_compiler base;
    char *program, *cache_dir;
    _Atomic uint64_t limit_ns;
    _Atomic unsigned running;
    _Atomic bool stop;
};

typedef struct child {
    const otr_plugin_compiler *compiler;
    pid_t pid;
    int said; /* read end: what it says on standard output */
    uint64_t deadline_ns;
    bool late; /* it was ended for its time */
    bool full; /* it says more than is kept */
    otr_buf text;
} child;

/* ---- start ---- */

static otr_code write_all(int fd, otr_bytes bytes, otr_err *err)
{
    while (bytes.n > 0) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return otr_fail_sys(err, n < 0 ? errno : ENOSPC, "cannot hand over %zu bytes", bytes.n);
        }
        bytes.p += n;
        bytes.n -= (size_t)n;
    }
    return OTR_OK;
}

/* A file without a name that holds `wasm`, at its beginning. */
static otr_code make_file(otr_bytes wasm, int *ret, otr_err *err)
{
    int fd = memfd_create("wasm", MFD_CLOEXEC);
    if (fd < 0) {
        return otr_fail_sys(err, errno, "memfd_create");
    }
    otr_code rc = write_all(fd, wasm, err);
    if (rc == OTR_OK && lseek(fd, 0, SEEK_SET) != 0) {
        rc = otr_fail_sys(err, errno, "lseek");
    }
    if (rc != OTR_OK) {
        close(fd);
        return rc;
    }
    *ret = fd;
    return OTR_OK;
}

static otr_code spawn(child *c, char **argv, int in, int out, otr_err *err)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, all;
    if (posix_spawn_file_actions_init(&files) != 0) {
        return otr_fail_nomem(err);
    }
    if (posix_spawnattr_init(&attr) != 0) {
        (void)posix_spawn_file_actions_destroy(&files);
        return otr_fail_nomem(err);
    }
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    int rc = posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
    rc = rc == 0 ? posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO) : rc;
    rc = rc == 0 ? posix_spawnattr_setsigmask(&attr, &none) : rc;
    rc = rc == 0 ? posix_spawnattr_setsigdefault(&attr, &all) : rc;
    rc = rc == 0 ? posix_spawnattr_setflags(&attr,
                                            (short)(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
                 : rc;
    rc = rc == 0 ? posix_spawn(&c->pid, c->compiler->program, &files, &attr, argv, environ) : rc;
    (void)posix_spawnattr_destroy(&attr);
    (void)posix_spawn_file_actions_destroy(&files);
    return rc == 0 ? OTR_OK : otr_fail_sys(err, rc, "cannot run %s", c->compiler->program);
}

static otr_code start(child *c, const char *engine, otr_bytes wasm, const char *recipe,
                      otr_err *err)
{
    int in = -1, said[2];
    char *argv[MAX_ARGS] = { "outrider", "plugin",      "compile",
                             "-",        "--cache",     c->compiler->cache_dir,
                             "--engine", (char *)engine };
    argv[8] = recipe != NULL ? NULL : "--no-rewrite";
    otr_code rc = make_file(wasm, &in, err);
    if (rc != OTR_OK) {
        return rc;
    }
    if (pipe2(said, O_CLOEXEC) != 0) {
        rc = otr_fail_sys(err, errno, "pipe2");
        close(in);
        return rc;
    }
    rc = spawn(c, argv, in, said[1], err);
    close(in);
    close(said[1]);
    if (rc != OTR_OK) {
        close(said[0]);
        return rc;
    }
    c->said = said[0];
    return OTR_OK;
}

/* ---- end ---- */

/* What the child says; false: it has closed its standard output, which is to say it ended. */
static bool hear(child *c)
{
    char bytes[512];
    ssize_t n = read(c->said, bytes, sizeof(bytes));
    if (n < 0 && errno == EINTR) {
        return true;
    }
    if (n > 0 && !c->full) {
        c->full =
            otr_buf_add(&c->text, (otr_bytes){ (const uint8_t *)bytes, (size_t)n }, NULL) != OTR_OK;
    }
    return n > 0;
}

static int await(child *c)
{
    int status = 0;
    struct pollfd fd = { .fd = c->said, .events = POLLIN };
    for (bool open = true; open;) {
        int ready = poll(&fd, 1, LOOK_MS);
        open = ready > 0 ? hear(c) : ready == 0 || errno == EINTR;
        c->late = otr_now_ns() >= c->deadline_ns;
        if (open && (c->late || atomic_load(&c->compiler->stop))) {
            (void)kill(c->pid, SIGKILL);
            break;
        }
    }
    close(c->said);
    while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

static otr_code judge(child *c, int status, otr_err *err)
{
    uint64_t limit_s = atomic_load(&c->compiler->limit_ns) / OTR_NS_PER_S;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return OTR_OK;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_REFUSED) {
        return otr_fail(err, OTR_EINVAL, "%s", otr_buf_text(&c->text));
    }
    if (WIFEXITED(status)) {
        return otr_fail(err, OTR_EUNSUP, "the compiler's process exited with %d: %s",
                        WEXITSTATUS(status), otr_buf_text(&c->text));
    }
    if (atomic_load(&c->compiler->stop)) {
        return otr_fail(err, OTR_ESTATE, "the agent stops: compilation ended");
    }
    if (c->late) {
        return otr_fail(err, OTR_ETIMEOUT,
                        "compiling took longer than %llu s (plugins.compile_limit) and was ended",
                        (unsigned long long)limit_s);
    }
    return otr_fail(err, OTR_EQUOTA,
                    "the compiler's process was ended by signal %d: does the plugin need more "
                    "memory to be compiled than there is?",
                    WTERMSIG(status));
}

static bool take_turn(otr_plugin_compiler *c)
{
    unsigned n = atomic_load(&c->running);
    while (n < AT_ONCE) {
        if (atomic_compare_exchange_weak(&c->running, &n, n + 1)) {
            return true;
        }
    }
    return false;
}

/* False: the agent stops. */
static bool wait_turn(otr_plugin_compiler *c)
{
    const struct timespec nap = { .tv_nsec = TURN_MS * 1000000 };
    while (!atomic_load(&c->stop)) {
        if (take_turn(c)) {
            return true;
        }
        (void)nanosleep(&nap, NULL);
    }
    return false;
}

static otr_code compile(const otr_plugin_compiler *compiler, const char *engine, otr_bytes wasm,
                        const char *recipe, otr_err *err)
{
    child c = { .compiler = compiler,
                .deadline_ns = otr_now_ns() + atomic_load(&compiler->limit_ns) };
    otr_code rc = start(&c, engine, wasm, recipe, err);
    if (rc != OTR_OK) {
        otr_log_debug("compiling in the agent itself", "err", err != NULL ? err->msg : "");
        return otr_fail(err, OTR_EUNSUP, "no process to compile in");
    }
    otr_buf_init(&c.text, SAID_BYTES);
    int status = await(&c);
    rc = judge(&c, status, err);
    if (rc == OTR_EUNSUP) {
        otr_log_debug("compiling in the agent itself", "err", err != NULL ? err->msg : "");
    }
    otr_buf_deinit(&c.text);
    return rc;
}

static otr_code fill(void *arg, const char *engine, otr_bytes wasm, const char *recipe,
                     otr_err *err)
{
    otr_plugin_compiler *compiler = arg;
    if (!wait_turn(compiler)) {
        return otr_fail(err, OTR_ESTATE, "the agent stops: not compiled");
    }
    otr_code rc = compile(compiler, engine, wasm, recipe, err);
    (void)atomic_fetch_sub(&compiler->running, 1);
    return rc;
}

/* ---- life ---- */

otr_code otr_plugin_compiler_new(const otr_plugin_compiler_spec *spec, otr_plugin_compiler **ret,
                                 otr_err *err)
{
    otr_plugin_compiler *c = otr_zalloc(sizeof(*c));
    if (c == NULL) {
        return otr_fail_nomem(err);
    }
    c->base = (otr_compiler){ fill, c };
    atomic_init(&c->limit_ns, spec->limit_ns);
    atomic_init(&c->running, 0);
    atomic_init(&c->stop, false);
    c->program = otr_strdup(spec->program);
    c->cache_dir = otr_strdup(spec->cache_dir);
    if (c->program == NULL || c->cache_dir == NULL) {
        otr_plugin_compiler_free(c);
        return otr_fail_nomem(err);
    }
    *ret = c;
    return OTR_OK;
}

void otr_plugin_compiler_free(otr_plugin_compiler *c)
{
    if (c != NULL) {
        otr_free(c->program);
        otr_free(c->cache_dir);
        otr_free(c);
    }
}

const otr_compiler *otr_plugin_compiler_base(const otr_plugin_compiler *c)
{
    return &c->base;
}

void otr_plugin_compiler_limit(otr_plugin_compiler *c, uint64_t limit_ns)
{
    atomic_store(&c->limit_ns, limit_ns);
}

void otr_plugin_compiler_stop(otr_plugin_compiler *c)
{
    atomic_store(&c->stop, true);
}
