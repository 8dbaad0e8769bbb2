/*
 * Every guest of the hostile corpus, as src/wasm sees it: the limit that its source names acts in
 * the phase that it names, in time, and a well-behaved guest works afterwards.
 *
 * What only src/plugin can judge (answers of info and subscriptions, topics, payloads) passes here.
 */
#include "unit/wasm/hostile_files.h"

enum { CALL_MS = 300, SLACK_MS = 3000, COMPILE_MS = 110000 };

static bool judged_by_plugin_layer(const hostile *h)
{
    static const char *const names[] = { "info-", "subscriptions-", "publish-", "process-output" };
    for (size_t i = 0; i < OTR_COUNT(names); i++) {
        if (strncmp(h->file, names[i], strlen(names[i])) == 0) {
            return true;
        }
    }
    return strcmp(h->phase, "any") == 0;
}

/* Goes as far as the guest lets; the phase reached is where it failed, or the hostile one. */
static otr_code attack(otr_engine *engine, const hostile *h, const char **phase, otr_err *err)
{
    static const char *const operations[] = { "info",    "subscriptions", "init",
                                              "process", "reconfigure",   "close" };
    char file[160];
    GUEST_FILE(f);
    (void)snprintf(file, sizeof file, "tests/guests/hostile/%s", h->file);
    *phase = "load";
    otr_code rc =
        guest_file_load(&f, engine, file, strcmp(h->abi, "none") == 0 ? NULL : h->abi, err);
#ifdef ON_WASMI /* which looks at tables and memories when they are made */
    if (rc == OTR_OK && strcmp(h->phase, "load") == 0) {
        return guest_file_start(&f, err);
    }
#endif
    if (rc != OTR_OK || strcmp(h->phase, "load") == 0) {
        return rc;
    }
    *phase = "start";
    rc = guest_file_start(&f, err);
    if (strcmp(h->phase, "start") == 0) {
        return rc;
    }
    for (size_t i = 0; rc == OTR_OK && i < OTR_COUNT(operations); i++) {
        bool hostile_one = strcmp(h->phase, operations[i]) == 0;
        if (!hostile_one && (!otr_guest_code_has(f.code, operations[i]) || i == 2 || i == 4)) {
            continue;
        }
        *phase = operations[i];
        rc = guest_file_ask(&f, operations[i], i < 2 ? "" : "{\"data\":{}}", hostile_ms(h, CALL_MS),
                            err);
        if (hostile_one) {
            break;
        }
    }
    return rc;
}

static void check_one(otr_engine *engine, const hostile *h)
{
    char what[512];
    const char *phase = "";
    otr_err err = { 0 };
    uint64_t begun = otr_now_ns();
    otr_code rc = attack(engine, h, &phase, &err);
    uint64_t ms = (otr_now_ns() - begun) / OTR_NS_PER_MS;
    (void)snprintf(what, sizeof what, "%s expects %s in %s; got %s in %s after %llu ms: %.120s",
                   h->file, h->expect, h->phase, hostile_code(rc), phase, (unsigned long long)ms,
                   err.msg);
    bool expected = judged_by_plugin_layer(h) ||
                    (strstr(h->expect, hostile_code(rc)) != NULL && strcmp(phase, h->phase) == 0);
    (void)otr_test_check(expected, __FILE__, __LINE__, what);
    uint64_t most = hostile_ms(h, CALL_MS) + (strcmp(phase, "load") == 0 ? COMPILE_MS : SLACK_MS);
    (void)otr_test_check(ms < most, __FILE__, __LINE__, what);
}

T_NO_OOM(every_hostile_guest_meets_the_limit_it_names)
{
    otr_err err = { 0 };
    ENGINE(engine);
    OTR_CLEANUP(otr_buf_deinit) otr_buf index;
    otr_buf_init(&index, OTR_MIB);
    REQUIRE_OK(open_engine(&engine, &err), err);
    REQUIRE_OK(otr_buf_read_file(&index, OTR_BINARY_DIR "/tests/guests/hostile/index.txt", &err),
               err);
    const char *at = otr_buf_text(&index);
    hostile h;
    unsigned seen = 0;
    while (hostile_next(&at, &h)) {
#ifdef ON_WASMI /* components run on wasmtime alone */
        if (strcmp(h.abi, "wit") == 0) {
            continue;
        }
#endif
        check_one(engine, &h);
        seen++;
    }
    CHECK(seen >= 210);
    CHECK_STR(at, "");

    GUEST_FILE(good);
    REQUIRE_OK(guest_file_load(&good, engine, "tests/guests/c-extism.wasm", NULL, &err), err);
    REQUIRE_OK(guest_file_start(&good, &err), err);
    REQUIRE_OK(guest_file_ask(&good, "echo", "alive", CALL_MS, &err), err);
    CHECK_STR(otr_buf_text(&good.out), "alive");
}
