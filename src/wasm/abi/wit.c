/* WIT components: the world of wit/outrider-plugin, called by name with bytes. */
#include <stdio.h>

#include "base/frame.h"
#include "base/log.h"
#include "wasm/abi/abi.h"
#include "wasm/abi/wit_services.h"
#include "wasm/engine/component.h"

enum { NAME_BYTES = 4097 }; /* a topic or a key, with its NUL */

static bool match(const otr_module_info *info)
{
    return info->component;
}

static const otr_import *imports(size_t *ret_n)
{
    *ret_n = 0; /* a component's imports are linked by the engine */
    return NULL;
}

static otr_code check(const otr_module_info *info, const char *const *operations, otr_buf *missing,
                      otr_err *err)
{
    otr_code rc = OTR_OK;
    for (; operations != NULL && *operations != NULL && rc == OTR_OK; operations++) {
        if (!otr_component_has(info, *operations)) {
            rc = otr_buf_addf(missing, err,
                              "export %s of interface outrider:plugin/lifecycle@1.0.0 is missing\n",
                              *operations);
        }
    }
    return rc == OTR_OK && info->missing != NULL ? otr_buf_addf(missing, err, "%s\n", info->missing)
                                                 : rc;
}

static otr_code attach(otr_guest *g, uint64_t deadline_ns, otr_err *err)
{
    (void)g;
    (void)deadline_ns;
    (void)err;
    return OTR_OK;
}

static otr_code invoke(otr_guest *g, const char *op, otr_bytes in, uint64_t deadline_ns,
                       otr_buf *out, otr_err *err)
{
    return otr_component_invoke(g->inst, op, in, deadline_ns, out, err);
}

static void detach(otr_guest *g)
{
    (void)g;
}

/* ---- host operations ---- */

static otr_code text_of(otr_bytes b, char to[NAME_BYTES], otr_err *err)
{
    if (b.n >= NAME_BYTES) {
        return otr_fail(err, OTR_EQUOTA, "a name of %zu bytes; the limit is %d", b.n,
                        NAME_BYTES - 1);
    }
    if (b.n > 0 && memchr(b.p, '\0', b.n) != NULL) {
        return otr_fail(err, OTR_EINVAL, "a name has a NUL byte");
    }
    if (b.n > 0) {
        memcpy(to, b.p, b.n);
    }
    to[b.n] = '\0';
    return OTR_OK;
}

static otr_code with_name(otr_guest *g, const char *op, otr_bytes name, otr_bytes data,
                          otr_buf *out, otr_err *err)
{
    const otr_host_ops *ops = g->spec.ops;
    char text[NAME_BYTES];
    otr_code rc = text_of(name, text, err);
    if (rc != OTR_OK) {
        return rc;
    }
    return strcmp(op, "bus.publish") == 0 ? ops->publish(g->spec.host, text, data, err)
                                          : ops->config(g->spec.host, text, out, err);
}

/* kv.put: the key's length (u32, little endian), the key, the value. */
static otr_code put(otr_guest *g, otr_bytes key, otr_bytes value, otr_buf *out, otr_err *err)
{
    otr_buf in;
    otr_buf_init(&in, g->spec.max_output_bytes);
    otr_code rc = otr_frame_put(key, &in, err);
    rc = rc == OTR_OK ? otr_buf_add(&in, value, err) : rc;
    rc =
        rc == OTR_OK ? g->spec.ops->call(g->spec.host, "kv.put", otr_buf_bytes(&in), out, err) : rc;
    otr_buf_deinit(&in);
    return rc;
}

static otr_code host_call(void *user, const char *op, otr_bytes a, otr_bytes b, otr_buf *out,
                          otr_err *err)
{
    otr_guest *g = user;
    if (strcmp(op, "log.write") == 0) {
        int level = a.n > 0 ? (int)a.p[0] - 1 : OTR_LOG_INFO;
        g->spec.ops->log(g->spec.host, level, b);
        return OTR_OK;
    }
    if (strcmp(op, "kv.put") == 0) {
        return put(g, a, b, out, err);
    }
    if (strcmp(op, "bus.publish") == 0 || strcmp(op, "config.get") == 0) {
        return with_name(g, op, a, b, out, err);
    }
    if (otr_wit_service_is(op)) {
        return otr_wit_service(g, op, a, b, out, err);
    }
    return g->spec.ops->call(g->spec.host, op, a, out, err);
}

const otr_abi_ops otr_abi_wit = {
    .name = "wit",
    .needs = OTR_WASM_COMPONENT | OTR_WASM_DEADLINE,
    .match = match,
    .imports = imports,
    .host_call = host_call,
    .check = check,
    .has = otr_component_has,
    .attach = attach,
    .invoke = invoke,
    .detach = detach,
};
