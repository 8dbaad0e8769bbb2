/*
 * Guests with real protobuf libraries, through the encoding layer and the real host operations.
 * They are those of tests/guests/protobuf; what they answer is told by their own libraries.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "plugin/contract.h"
#include "plugin/encoding/encoding.h"
#include "plugin/services/hostcalls.h"
#include "support/test.h"

enum { CALL_MS = 20000, REPEATS = 2000 };

typedef struct world {
    otr_engine *engine;
    otr_guest_code *code;
    otr_guest *guest;
    otr_hostcalls hc;
    otr_manifest manifest;
    otr_encoded_host host;
    char store[64];
    otr_buf in, out, scratch;
} world;

static char *granted[] = { "test.*", NULL };
static char *pairs[] = { "k", "v", NULL };

static void remove_store(const char *path)
{
    static const char *const ends[] = { "", "-wal", "-shm" };
    for (size_t i = 0; i < OTR_COUNT(ends); i++) {
        char name[80];
        (void)snprintf(name, sizeof(name), "%s%s", path, ends[i]);
        (void)unlink(name);
    }
}

static void world_deinit(world *w)
{
    otr_guest_free(w->guest);
    otr_guest_code_free(w->code);
    if (w->engine != NULL) {
        w->engine->ops->close(w->engine);
    }
    otr_hostcalls_deinit(&w->hc);
    otr_buf_deinit(&w->in);
    otr_buf_deinit(&w->out);
    otr_buf_deinit(&w->scratch);
    remove_store(w->store);
}

static otr_code load(world *w, const char *name, otr_err *err)
{
    char path[1024];
    otr_buf wasm;
    static const char *const required[] = { "info", "subscriptions", "process", NULL };
    otr_buf_init(&wasm, OTR_LIMIT_PLUGIN_FILE_BYTES);
    (void)snprintf(path, sizeof(path), "%s/tests/guests/%s.wasm", OTR_BINARY_DIR, name);
    otr_code rc = otr_buf_read_file(&wasm, path, err);
    const otr_load_spec spec = {
        .name = name, .wasm = otr_buf_bytes(&wasm), .operations = required, .rewrite = true
    };
    rc = rc == OTR_OK ? otr_engine_find("wasmtime")->open(NULL, &w->engine, err) : rc;
    rc = rc == OTR_OK ? otr_guest_load(w->engine, &spec, &w->code, err) : rc;
    otr_buf_deinit(&wasm);
    return rc;
}

static otr_code start(world *w, otr_err *err)
{
    otr_guest_spec spec = { .name = "test", .init_ms = CALL_MS };
    w->host = (otr_encoded_host){ OTR_ENCODING_PROTOBUF, &otr_hostcalls_ops, &w->hc };
    otr_encoding_host(&w->host, &spec);
    (void)snprintf(w->store, sizeof(w->store), "/tmp/otr-encoding-XXXXXX");
    int fd = mkstemp(w->store);
    if (fd < 0) {
        return otr_fail(err, OTR_EIO, "mkstemp");
    }
    close(fd);
    w->manifest = (otr_manifest){ .publish = granted,
                                  .config_pairs = pairs,
                                  .where = "x.yaml:1:1",
                                  .store = w->store,
                                  .kv_bytes = 1000,
                                  .metrics = 4 };
    otr_hostcalls_init(&w->hc, "test", &w->manifest);
    return otr_guest_new(w->code, &spec, &w->guest, err);
}

/* Asks `op` with JSON; the answer as JSON (or as it is) is in `*ret`. */
static otr_code ask(world *w, const char *op, const char *json, otr_bytes *ret, otr_err *err)
{
    otr_bytes in;
    otr_buf_clear(&w->out);
    otr_hostcalls_begin(&w->hc, NULL);
    otr_code rc =
        otr_encoding_input(OTR_ENCODING_PROTOBUF, op, otr_bytes_of(json), &w->in, &in, err);
    uint64_t deadline = otr_now_ns() + CALL_MS * OTR_NS_PER_MS;
    rc = rc == OTR_OK ? otr_guest_call(w->guest, op, in, deadline, &w->out, err) : rc;
    return rc == OTR_OK ? otr_encoding_answer(OTR_ENCODING_PROTOBUF, op, otr_buf_bytes(&w->out),
                                              &w->scratch, ret, err)
                        : rc;
}

static bool same(otr_bytes got, const char *expected)
{
    return got.n == strlen(expected) && memcmp(got.p, expected, got.n) == 0;
}

static void check_contract(world *w)
{
    otr_err err = { 0 };
    otr_bytes json;
    otr_contract_info info = { 0 };
    otr_contract_topics topics = { NULL, NULL };
    REQUIRE_OK(ask(w, "info", "", &json, &err), err);
    REQUIRE_OK(otr_contract_read_info(json, &info, &err), err);
    CHECK_STR(info.version, "1.0.0");
    otr_contract_info_deinit(&info);
    REQUIRE_OK(ask(w, "subscriptions", "", &json, &err), err);
    REQUIRE_OK(otr_contract_read_topics(json, &topics, &err), err);
    CHECK_STR(topics.events[0], "test.ping");
    CHECK(topics.events[1] == NULL && topics.hooks[0] == NULL);
    otr_contract_topics_deinit(&topics);
    REQUIRE_OK(ask(w, "init", "{\"a\":{\"b\":[1,null]}}", &json, &err), err);
}

/* What the guest published last, and nothing else. */
static void check_published(world *w, const char *topic, const char *json)
{
    const otr_outgoing *out = w->hc.outbox.first;
    REQUIRE(out != NULL && out->next == NULL);
    CHECK_STR(out->topic, topic);
    bool equal = same((otr_bytes){ out->json->bytes, out->json->n }, json);
    CHECK(equal);
    otr_free(out->json);
    otr_free(w->hc.outbox.first);
    w->hc.outbox.first = NULL;
    w->hc.outbox.last = &w->hc.outbox.first;
    w->hc.outbox.bytes = 0;
}

static void check_process(world *w)
{
    static const char *const data[] = { "{\"a\":[1,2]}", "null",
                                        "\"h\xc3\xa9\"", "[]",
                                        "1.5",           "{\"a\":{\"b\":{\"c\":[[],{},true]}}}" };
    otr_err err = { 0 };
    otr_bytes json;
    for (size_t i = 0; i < OTR_COUNT(data); i++) {
        char message[256];
        (void)snprintf(message, sizeof(message), "{\"id\":7,\"topic\":\"test.ping\",\"data\":%s}",
                       data[i]);
        REQUIRE_OK(ask(w, "process", message, &json, &err), err);
        check_published(w, "test.echo", data[i]);
    }
    CHECK_INT(ask(w, "process", "{}", &json, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "no data");
    CHECK(!otr_guest_dead(w->guest));
    granted[0] = "other.*";
    CHECK_INT(ask(w, "process", "{\"data\":1}", &json, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "not granted");
    granted[0] = "test.*";
}

static void check_services(world *w)
{
    otr_err err = { 0 };
    otr_bytes json;
    REQUIRE_OK(ask(w, "services", "", &json, &err), err);
    CHECK(same(json, "all services answered"));
    REQUIRE(otr_hostcalls_metrics(&w->hc) != NULL);
    CHECK_INT(otr_hostcalls_metrics(&w->hc)->n, 1);
    REQUIRE_OK(ask(w, "config", "k", &json, &err), err);
    CHECK(same(json, "v"));
    REQUIRE_OK(ask(w, "note", "h\xc3\xa9", &json, &err), err);
    CHECK_INT(w->hc.lines, 1);
    REQUIRE_OK(ask(w, "echo", "\xff any bytes", &json, &err), err);
    CHECK(same(json, "\xff any bytes"));
    REQUIRE_OK(ask(w, "count", "", &json, &err), err);
    CHECK(same(json, "1"));
    CHECK_INT(ask(w, "fail", "", &json, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "asked to fail");
}

static void check_memory_is_steady(world *w)
{
    otr_err err = { 0 };
    otr_bytes json;
    uint64_t before = 0;
    for (int i = 0; i < REPEATS; i++) {
        REQUIRE_OK(ask(w, "process", "{\"id\":7,\"data\":{\"a\":[1,2]}}", &json, &err), err);
        check_published(w, "test.echo", "{\"a\":[1,2]}");
        before = i == REPEATS / 2 ? otr_guest_memory_bytes(w->guest) : before;
    }
    /* Go's heap breathes. */
    uint64_t slack = before > 4 * OTR_MIB ? 2 * OTR_MIB : 0;
    CHECK(otr_guest_memory_bytes(w->guest) <= before + slack);
}

static void check_junk(world *w)
{
    otr_err err = { 0 };
    otr_buf_clear(&w->out);
    otr_hostcalls_begin(&w->hc, NULL);
    uint64_t deadline = otr_now_ns() + CALL_MS * OTR_NS_PER_MS;
    CHECK_INT(
        otr_guest_call(w->guest, "process", otr_bytes_of("\x0a\x7f"), deadline, &w->out, &err),
        OTR_EINVAL);
    otr_bytes json;
    CHECK_INT(ask(w, "trap", "", &json, &err), OTR_EGUEST);
}

static void conforms(const char *name)
{
    otr_err err = { 0 };
    OTR_CLEANUP(world_deinit) world w = { .engine = NULL };
    otr_buf_init(&w.in, OTR_LIMIT_PLUGIN_OUTPUT_BYTES);
    otr_buf_init(&w.out, OTR_LIMIT_PLUGIN_OUTPUT_BYTES);
    otr_buf_init(&w.scratch, OTR_LIMIT_PLUGIN_OUTPUT_BYTES);
    otr_hostcalls_init(&w.hc, "test", &w.manifest);
    otr_log_set_level(OTR_LOG_INFO); /* the kit asks for it before it logs */
    otr_code rc = load(&w, name, &err);
    if (rc == OTR_ENOTFOUND) {
        otr_test_skip("the file is not built: see OTR_GUESTS in tests/guests");
        return;
    }
    REQUIRE_OK(rc, err);
    REQUIRE_OK(start(&w, &err), err);
    check_contract(&w);
    check_process(&w);
    check_services(&w);
    check_memory_is_steady(&w);
    check_junk(&w);
}

/* No failing allocation here: each run compiles hundreds of kilobytes, and encoding has tests for
 * that. */
T_NO_OOM(rust_prost_over_extism_conforms)
{
    conforms("rust-protobuf-extism");
}

T_NO_OOM(rust_prost_over_wapc_conforms)
{
    conforms("rust-protobuf-wapc");
}

T_NO_OOM(go_protobuf_over_wapc_conforms)
{
    conforms("go-protobuf-wapc");
}
