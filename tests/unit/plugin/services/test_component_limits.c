/* A component without a grant, and what it can make the agent's own memory and time into: every
 * host function, of ours and of WASI, with hostile values. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "plugin/services/hostcalls.h"
#include "support/test.h"
#include "unit/plugin/services/hostile_components.h"

enum { MEMORY_BYTES = 4 * OTR_MIB, HOST_BYTES = 2 * OTR_MIB, CALL_MS = 60 };
/* How late a call may end on a busy machine: far below what copying all of it would take. */
enum { LATE_MS = 2000 };

/* ---- the heap, which has nothing of the guest's own memory ---- */

#ifdef __SANITIZE_ADDRESS__
/* Of its interface; the header is not everywhere. */
int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *, size_t),
                                              void (*on_free)(const volatile void *));
size_t __sanitizer_get_allocated_size(const volatile void *p);

static _Atomic long live, peak;

static void on_malloc(const volatile void *p, size_t n)
{
    (void)p;
    long now = atomic_fetch_add(&live, (long)n) + (long)n;
    long most = atomic_load(&peak);
    while (now > most && !atomic_compare_exchange_weak(&peak, &most, now)) {
    }
}

static void on_free(const volatile void *p)
{
    if (p != NULL) {
        atomic_fetch_sub(&live, (long)__sanitizer_get_allocated_size(p));
    }
}

static void begin(void)
{
    static bool installed;
    if (!installed) {
        installed = __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free) > 0;
    }
    atomic_store(&live, 0);
    atomic_store(&peak, 0);
}

static long grown(void)
{
    return atomic_load(&peak);
}
#else
#include <sys/resource.h>

static long before;

static long resident(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_maxrss * 1024 : 0;
}

static void begin(void)
{
    before = resident();
}

static long grown(void) /* with the guest's memory, which is bounded by itself */
{
    long n = resident() - before - MEMORY_BYTES;
    return n > 0 ? n : 0;
}
#endif

/* ---- a plugin without grants ---- */

typedef struct plugin {
    otr_hostcalls hc;
    otr_engine *engine;
    otr_guest_code *code;
    otr_guest *guest;
    otr_buf out;
} plugin;

static void plugin_deinit(plugin *p)
{
    otr_guest_free(p->guest);
    otr_guest_code_free(p->code);
    if (p->engine != NULL) {
        p->engine->ops->close(p->engine);
    }
    otr_buf_deinit(&p->out);
    otr_hostcalls_deinit(&p->hc);
}

static void on_line(void *user, int fd, otr_bytes text)
{
    (void)user;
    (void)fd;
    (void)text;
}

static otr_code run(plugin *p, const char *wat, uint64_t *ret_late_ms, otr_err *err)
{
    static char *none[] = { NULL };
    static const otr_manifest manifest = { .publish = none, .config_pairs = none, .where = "test" };
    static const otr_wasi wasi = { .line = on_line };
    otr_hostcalls_init(&p->hc, "hostile", &manifest);
    otr_buf_init(&p->out, OTR_LIMIT_PLUGIN_OUTPUT_BYTES);
    const otr_load_spec load = { .name = "hostile", .wasm = otr_bytes_of(wat) };
    otr_code rc = otr_engine_find("wasmtime")->open(NULL, &p->engine, err);
    rc = rc == OTR_OK ? otr_guest_load(p->engine, &load, &p->code, err) : rc;
    if (rc != OTR_OK) {
        return rc;
    }
    begin();
    const otr_guest_spec spec = { .name = "hostile",
                                  .ops = &otr_hostcalls_ops,
                                  .host = &p->hc,
                                  .wasi = &wasi,
                                  .max_memory_bytes = MEMORY_BYTES,
                                  .init_ms = 10000 };
    rc = otr_guest_new(p->code, &spec, &p->guest, err);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_hostcalls_begin(&p->hc, NULL);
    uint64_t due = otr_now_ns() + CALL_MS * OTR_NS_PER_MS;
    otr_code ended = otr_guest_call(p->guest, "run", otr_bytes_of("x"), due, &p->out, err);
    uint64_t now = otr_now_ns();
    CHECK(ended != OTR_OK); /* none of them can have what it wants */
    *ret_late_ms = now > due ? (now - due) / OTR_NS_PER_MS : 0;
    return OTR_OK;
}

T_NO_OOM(a_component_without_a_grant_stays_within_2_mib_of_the_host) /* each compiles for long */
{
    for (size_t i = 0; i < OTR_COUNT(hostile); i++) {
        otr_err err = { 0 };
        OTR_CLEANUP(plugin_deinit) plugin p = { .guest = NULL };
        uint64_t late_ms = 0;
        otr_code rc = run(&p, hostile[i].wat, &late_ms, &err);
        if (rc != OTR_OK || grown() > HOST_BYTES || late_ms > LATE_MS) {
            (void)fprintf(stderr, "%s: %d \"%s\", %ld bytes, %llu ms late\n", hostile[i].name,
                          (int)rc, err.msg, grown(), (unsigned long long)late_ms);
        }
        if (getenv("OTR_TEST_SHOW") != NULL) {
            (void)fprintf(stderr, "%s: %ld bytes, \"%s\"\n", hostile[i].name, grown(), err.msg);
        }
        CHECK_INT(rc, OTR_OK);
        CHECK(grown() <= HOST_BYTES);
        CHECK(late_ms <= LATE_MS);
    }
}
