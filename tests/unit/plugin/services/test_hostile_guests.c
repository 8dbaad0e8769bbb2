/*
 * Every guest of the hostile corpus on the real host calls, with every grant there is: the limit
 * that its source names acts in the phase that it names, in time, nothing stays behind of it, and a
 * well-behaved guest works afterwards.
 */
#include "plugin/contract.h"
#include "plugin/services/kv_store.h"
#include "plugin/services/services.h"
#include "unit/plugin/services/granted.h"
#include "unit/wasm/hostile_files.h"

enum { CALL_MS = 300, SLACK_MS = 3000, COMPILE_MS = 110000 };

/* What the life cycle makes of an answer; see plugin/guest/job.c. */
static otr_code judge(granted *f, const char *operation, otr_err *err)
{
    if (strcmp(operation, "info") == 0) {
        otr_contract_info info = { .version = NULL };
        otr_code rc = otr_contract_read_info(otr_buf_bytes(&f->guest.out), &info, err);
        otr_contract_info_deinit(&info);
        return rc;
    }
    if (strcmp(operation, "subscriptions") == 0) {
        otr_contract_topics topics = { NULL };
        otr_code rc = otr_contract_read_topics(otr_buf_bytes(&f->guest.out), &topics, err);
        otr_contract_topics_deinit(&topics);
        return rc;
    }
    return OTR_OK;
}

static otr_code ask(granted *f, const char *operation, uint64_t ms, otr_err *err)
{
    bool early = strcmp(operation, "info") == 0 || strcmp(operation, "subscriptions") == 0;
    otr_hostcalls_begin(&f->hc, NULL);
    otr_code rc = guest_file_ask(&f->guest, operation, early ? "" : "{\"data\":{}}", ms, err);
    return rc == OTR_OK ? judge(f, operation, err) : rc;
}

/* Goes as far as the guest lets; the phase reached is where it failed, or the hostile one. */
static otr_code attack(granted *f, const hostile *h, const char **phase, otr_err *err)
{
    static const char *const operations[] = { "info",    "subscriptions", "init",
                                              "process", "reconfigure",   "close" };
    char file[160];
    (void)snprintf(file, sizeof file, "tests/guests/hostile/%s", h->file);
    *phase = "load";
    otr_code rc = guest_file_load(&f->guest, f->engine, file,
                                  strcmp(h->abi, "none") == 0 ? NULL : h->abi, err);
    if (rc != OTR_OK) {
        return rc;
    }
    *phase = "start";
    rc = guest_file_start(&f->guest, err);
    if (strcmp(h->phase, "start") == 0) {
        return rc;
    }
    for (size_t i = 0; rc == OTR_OK && i < OTR_COUNT(operations); i++) {
        bool hostile_one = strcmp(h->phase, operations[i]) == 0;
        bool has = otr_guest_code_has(f->guest.code, operations[i]);
        if (hostile_one || (has && i != 2 && i != 4)) {
            *phase = operations[i];
            rc = ask(f, operations[i], hostile_ms(h, CALL_MS), err);
        }
        if (hostile_one) {
            break;
        }
    }
    return rc;
}

/* What it may have taken at most, whatever it did. */
static void check_bounds(granted *f)
{
    unsigned messages = 0;
    for (const otr_outgoing *o = f->hc.outbox.first; o != NULL; o = o->next) {
        messages++;
    }
    /* The outbox of all its calls: info to close. */
    CHECK(messages <= 6 * OTR_LIMIT_PLUGIN_PUBLISH_CALL);
    const otr_guest_metrics *metrics = otr_hostcalls_metrics(&f->hc);
    otr_kv *kv = otr_gate_own(&f->hc.gate, &otr_service_kv);
    uint64_t used = 0;
    CHECK(metrics == NULL || metrics->n <= f->manifest.metrics);
    CHECK(kv == NULL || (otr_kv_used(kv, &used, NULL) == OTR_OK && used <= f->manifest.kv_bytes));
    CHECK(f->hc.lines <= 100 * OTR_LIMIT_PLUGIN_LOGS_PER_S);
}

static void check_one(granted *f, const hostile *h)
{
    char what[512];
    const char *phase = "";
    otr_err err = { 0 };
    uint64_t begun = otr_now_ns();
    otr_code rc = attack(f, h, &phase, &err);
    uint64_t ms = (otr_now_ns() - begun) / OTR_NS_PER_MS;
    (void)snprintf(what, sizeof what, "%s expects %s in %s; got %s in %s after %llu ms: %.120s",
                   h->file, h->expect, h->phase, hostile_code(rc), phase, (unsigned long long)ms,
                   err.msg);
    bool expected = strcmp(h->phase, "any") == 0 ||
                    (strstr(h->expect, hostile_code(rc)) != NULL && strcmp(phase, h->phase) == 0);
    (void)otr_test_check(expected, __FILE__, __LINE__, what);
    uint64_t most = hostile_ms(h, CALL_MS) + (strcmp(phase, "load") == 0 ? COMPILE_MS : SLACK_MS);
    (void)otr_test_check(ms < most, __FILE__, __LINE__, what);
    check_bounds(f);
}

/* Each with a life of its own; what it took comes back at its end. */
static void run_one(otr_engine *engine, const hostile *h)
{
    otr_err err = { 0 };
    long blocks = otr_alloc_live();
    {
        OTR_CLEANUP(granted_deinit) granted f = { .engine = NULL };
        REQUIRE_OK(granted_init(&f, CALL_MS * OTR_NS_PER_MS, &err), err);
        otr_log_set_level((otr_log_level)(OTR_LOG_ERROR + 1)); /* they say much */
        f.guest.memory_bytes = 0;
        f.engine = engine;
        check_one(&f, h);
        f.engine = NULL;
    }
    if (otr_alloc_live() != blocks) {
        (void)otr_test_check(false, __FILE__, __LINE__, h->file);
    }
}

/* What the components of an engine share is made with the first of them. */
static void make_shared(otr_engine *engine)
{
    static const char component[] = "(component)";
    const otr_load_spec spec = { .name = "first", .wasm = otr_bytes_of(component) };
    otr_buf text;
    otr_err err;
    otr_buf_init(&text, OTR_MIB);
    CHECK(otr_guest_inspect(engine, &spec, &text, &err) != OTR_OK || text.n > 0);
    otr_buf_deinit(&text);
}

T_NO_OOM(every_hostile_guest_meets_its_limit_with_every_grant)
{
    otr_err err = { 0 };
    ENGINE(engine);
    OTR_CLEANUP(otr_buf_deinit) otr_buf index;
    otr_buf_init(&index, OTR_MIB);
    REQUIRE_OK(open_engine(&engine, &err), err);
    REQUIRE_OK(otr_buf_read_file(&index, OTR_BINARY_DIR "/tests/guests/hostile/index.txt", &err),
               err);
    GUEST_FILE(good); /* before them, so that what all guests share is made */
    REQUIRE_OK(guest_file_load(&good, engine, "tests/guests/c-extism.wasm", NULL, &err), err);
    REQUIRE_OK(guest_file_start(&good, &err), err);
    make_shared(engine);
    const char *at = otr_buf_text(&index);
    hostile h;
    unsigned seen = 0;
    while (hostile_next(&at, &h)) {
        if (strcmp(h.phase, "load") == 0) { /* no grant makes a difference: test_wasm_… has them */
            continue;
        }
#ifdef ON_WASMI /* components run on wasmtime alone */
        if (strcmp(h.abi, "wit") == 0) {
            continue;
        }
#endif
        run_one(engine, &h);
        seen++;
    }
    CHECK(seen >= 150);
    CHECK_STR(at, "");
    REQUIRE_OK(guest_file_ask(&good, "echo", "alive", CALL_MS, &err), err);
    CHECK_STR(otr_buf_text(&good.out), "alive");
}
