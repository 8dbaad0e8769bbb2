/* A guest from text with a host that records: what tests of wasm/abi/user.h and of linked modules
 * need. */
#ifndef OTR_TESTS_UNIT_WASM_OWN_GUEST_H
#define OTR_TESTS_UNIT_WASM_OWN_GUEST_H

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "support/test.h"
#include "wasm/abi/user.h"
#include "wasm/guest_file.h"

typedef struct own {
    otr_engine *engine;
    otr_guest_code *code;
    otr_guest *guest;
    otr_buf out, logged;
    otr_guest_spec spec;
} own;

static inline void own_deinit(own *o)
{
    otr_guest_free(o->guest);
    otr_guest_code_free(o->code);
    if (o->engine != NULL) {
        o->engine->ops->close(o->engine);
    }
    otr_buf_deinit(&o->out);
    otr_buf_deinit(&o->logged);
    *o = (own){ 0 };
}

#define OWN(name) OTR_CLEANUP(own_deinit) own name = { 0 }

static inline otr_code own_config(void *host, const char *key, otr_buf *out, otr_err *err)
{
    (void)host;
    return strcmp(key, "k") == 0 ? otr_buf_adds(out, "of the host", err)
                                 : otr_fail(err, OTR_ENOTFOUND, "no key %s", key);
}

/* "http.request": an answer with a body of ten bytes. */
static inline otr_code own_call(void *host, const char *op, otr_bytes in, otr_buf *out,
                                otr_err *err)
{
    static const char answer[] = "\x0e\0\0\0{\"status\":200}0123456789";
    (void)host;
    (void)in;
    return strcmp(op, "http.request") == 0
               ? otr_buf_add(out, (otr_bytes){ (const uint8_t *)answer, sizeof(answer) - 1 }, err)
               : otr_fail(err, OTR_ENOTFOUND, "no operation %s", op);
}

static inline void own_log(void *host, int level, otr_bytes text)
{
    own *o = host;
    otr_code rc = otr_buf_addf(&o->logged, NULL, "%d:%.*s;", level, (int)text.n,
                               text.n > 0 ? (const char *)text.p : "");
    (void)rc;
}

static const otr_host_ops own_ops = { .config = own_config, .call = own_call, .log = own_log };

/* Loads `spec`, whose `wasm` is text, with and without a source for an Extism manifest. */
static inline otr_code own_load(own *o, const otr_load_spec *spec, const otr_extism_source *from,
                                otr_err *err)
{
    otr_code rc =
        o->engine != NULL ? OTR_OK : otr_engine_find("wasmtime")->open(NULL, &o->engine, err);
    otr_buf_init(&o->out, 1 << 20);
    otr_buf_init(&o->logged, 1 << 16);
    o->spec.name = "own";
    o->spec.ops = &own_ops;
    o->spec.host = o;
    const otr_extism_source none = { 0 };
    return rc == OTR_OK
               ? otr_guest_load_file(o->engine, spec, from != NULL ? from : &none, &o->code, err)
               : rc;
}

static inline otr_code own_start(own *o, otr_err *err)
{
    return otr_guest_new(o->code, &o->spec, &o->guest, err);
}

static inline otr_code own_open(own *o, const otr_load_spec *spec, otr_err *err)
{
    otr_code rc = own_load(o, spec, NULL, err);
    return rc == OTR_OK ? own_start(o, err) : rc;
}

/* Asks with a deadline that only a guest that hangs meets. */
static inline otr_code own_ask(own *o, const char *op, const char *in, otr_err *err)
{
    otr_buf_clear(&o->out);
    return otr_guest_call(o->guest, op, otr_bytes_of(in), otr_now_ns() + 20000 * OTR_NS_PER_MS,
                          &o->out, err);
}

#endif
