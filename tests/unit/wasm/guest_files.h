/*
 * Runs guest files that the targets `guests` and `plugins` built, and records what they ask of
 * their host.
 *
 * Thread: one.
 */
#ifndef OTR_TESTS_UNIT_WASM_GUEST_FILES_H
#define OTR_TESTS_UNIT_WASM_GUEST_FILES_H

#include <stdio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "support/test.h"
#include "wasm/guest.h"

typedef struct guest_file {
    otr_engine *engine; /* borrowed */
    otr_guest_code *code;
    otr_guest *guest;
    otr_buf out;       /* answer of the last call */
    otr_buf published; /* "<topic> <data>\n" each */
    otr_buf logged;    /* "<text>\n" each */
    unsigned publishes;
    /* Set before guest_file_start() to replace what is above. */
    const otr_host_ops *ops; /* NULL: those that record; `host` goes with it */
    void *host;
    const otr_wasi *wasi;
    uint64_t memory_bytes; /* 0: the default */
} guest_file;

static inline otr_code guest_file_publish(void *host, const char *topic, otr_bytes payload,
                                          otr_err *err)
{
    guest_file *f = host;
    if (++f->publishes > OTR_LIMIT_PLUGIN_PUBLISH_CALL) {
        return otr_fail(err, OTR_EQUOTA, "too many messages in one call");
    }
    if (strchr(topic, '.') == NULL || strncmp(topic, "denied.", 7) == 0) {
        return otr_fail(err, OTR_EDENIED, "no grant to publish %.60s", topic);
    }
    return otr_buf_addf(&f->published, err, "%.128s %.*s\n", topic, (int)payload.n,
                        payload.p != NULL ? (const char *)payload.p : "");
}

static inline otr_code guest_file_config(void *host, const char *key, otr_buf *out, otr_err *err)
{
    (void)host;
    return strcmp(key, "k") == 0 ? otr_buf_adds(out, "v", err)
                                 : otr_fail(err, OTR_ENOTFOUND, "no such key");
}

static inline otr_code guest_file_call(void *host, const char *op, otr_bytes in, otr_buf *out,
                                       otr_err *err)
{
    (void)host;
    (void)in;
    (void)out;
    return otr_fail(err, OTR_ENOTFOUND, "no operation %.60s", op);
}

static inline void guest_file_log(void *host, int level, otr_bytes text)
{
    guest_file *f = host;
    (void)level;
    size_t n = text.n < OTR_LIMIT_PLUGIN_LOG_BYTES ? text.n : OTR_LIMIT_PLUGIN_LOG_BYTES;
    otr_code dropped = otr_buf_add(&f->logged, (otr_bytes){ text.p, n }, NULL);
    (void)dropped;
}

static inline void guest_file_deinit(guest_file *f)
{
    otr_guest_free(f->guest);
    otr_guest_code_free(f->code);
    otr_buf_deinit(&f->out);
    otr_buf_deinit(&f->published);
    otr_buf_deinit(&f->logged);
    *f = (guest_file){ 0 };
}

#define GUEST_FILE(name) OTR_CLEANUP(guest_file_deinit) guest_file name = { 0 }

static inline void close_engine(otr_engine **engine)
{
    if (*engine != NULL) {
        (*engine)->ops->close(*engine);
    }
}

#define ENGINE(name) OTR_CLEANUP(close_engine) otr_engine *name = NULL

static inline otr_code open_engine(otr_engine **ret, otr_err *err)
{
    return otr_engine_find("wasmtime")->open(NULL, ret, err);
}

static inline void guest_file_prepare(guest_file *f)
{
    otr_buf_init(&f->out, OTR_LIMIT_PLUGIN_OUTPUT_BYTES);
    otr_buf_init(&f->published, OTR_MIB);
    otr_buf_init(&f->logged, OTR_MIB);
}

/* `file` is relative to the build folder; `abi` NULL: detect. */
static inline otr_code guest_file_load(guest_file *f, otr_engine *engine, const char *file,
                                       const char *abi, otr_err *err)
{
    static const char *const required[] = { "info", "subscriptions", "process", NULL };
    char path[1024];
    otr_buf wasm;
    otr_buf_init(&wasm, OTR_LIMIT_PLUGIN_FILE_BYTES);
    guest_file_prepare(f);
    (void)snprintf(path, sizeof path, "%s/%s", OTR_BINARY_DIR, file);
    otr_code rc = otr_buf_read_file(&wasm, path, err);
    if (rc == OTR_OK) {
        const otr_load_spec spec = {
            .name = file, .wasm = otr_buf_bytes(&wasm), .abi = abi, .operations = required
        };
        rc = otr_guest_load(engine, &spec, &f->code, err);
    }
    otr_buf_deinit(&wasm);
    return rc;
}

static inline otr_code guest_file_start(guest_file *f, otr_err *err)
{
    static const otr_host_ops ops = { .publish = guest_file_publish,
                                      .config = guest_file_config,
                                      .call = guest_file_call,
                                      .log = guest_file_log };
    const otr_guest_spec spec = { .name = "test",
                                  .ops = f->ops != NULL ? f->ops : &ops,
                                  .host = f->ops != NULL ? f->host : f,
                                  .wasi = f->wasi,
                                  .max_memory_bytes = f->memory_bytes != 0
                                                          ? f->memory_bytes
                                                          : OTR_LIMIT_PLUGIN_MEMORY_BYTES,
                                  .max_vars_bytes = OTR_LIMIT_PLUGIN_VARS_BYTES,
                                  .max_output_bytes = OTR_LIMIT_PLUGIN_OUTPUT_BYTES,
                                  .init_ms = 300 };
    return otr_guest_new(f->code, &spec, &f->guest, err);
}

static inline otr_code guest_file_ask_bytes(guest_file *f, const char *op, otr_bytes in,
                                            uint64_t ms, otr_err *err)
{
    otr_buf_clear(&f->out);
    otr_buf_clear(&f->published);
    otr_buf_clear(&f->logged);
    f->publishes = 0;
    return otr_guest_call(f->guest, op, in, otr_now_ns() + ms * OTR_NS_PER_MS, &f->out, err);
}

static inline otr_code guest_file_ask(guest_file *f, const char *op, const char *in, uint64_t ms,
                                      otr_err *err)
{
    return guest_file_ask_bytes(f, op, otr_bytes_of(in), ms, err);
}

#endif
