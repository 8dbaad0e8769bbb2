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

/* The interface in a version that is none of ours, as its own line: wanted, there, what to do. */
static otr_code check_lifecycle(const otr_module_info *info, const char *const *operations,
                                otr_buf *missing, otr_err *err)
{
    static const char prefix[] = "outrider:plugin/lifecycle@";
    if (operations == NULL || *operations == NULL || otr_component_has(info, *operations)) {
        return OTR_OK;
    }
    for (size_t i = 0; i < info->n_exports; i++) {
        const char *name = info->exports[i].name;
        if (strncmp(name, prefix, sizeof(prefix) - 1) == 0 && strchr(name, '#') == NULL) {
            return otr_buf_addf(missing, err,
                                "it exports %s, this agent calls version 1.1.0 or an older 1.x: "
                                "build the plugin against outrider:plugin@1.1.0\n",
                                name);
        }
    }
    return OTR_OK;
}

static otr_code check(const otr_module_info *info, const char *const *operations, otr_buf *missing,
                      otr_err *err)
{
    otr_code rc = check_lifecycle(info, operations, missing, err);
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

static otr_code publish(otr_guest *g, otr_bytes name, otr_bytes data, otr_err *err)
{
    char topic[NAME_BYTES];
    otr_code rc = text_of(name, topic, err);
    return rc == OTR_OK ? g->spec.ops->publish(g->spec.host, topic, data, err) : rc;
}

static otr_code config(otr_guest *g, otr_bytes name, otr_buf *out, otr_err *err)
{
    char key[NAME_BYTES];
    otr_code rc = text_of(name, key, err);
    return rc == OTR_OK ? g->spec.ops->config(g->spec.host, key, out, err) : rc;
}

static bool granted(otr_guest *g, const char *op)
{
    return g->spec.ops->granted == NULL || g->spec.ops->granted(g->spec.host, op);
}

/* "may": whether a grant covers the operation that `name` names. */
static otr_code may(otr_guest *g, otr_bytes name, otr_err *err)
{
    char op[NAME_BYTES];
    otr_code rc = text_of(name, op, err);
    if (rc == OTR_OK && !granted(g, op)) {
        err->code =
            OTR_EDENIED; /* no text: whoever asked goes on to the gate, or says it himself */
        rc = OTR_EDENIED;
    }
    return rc;
}

/* kv.put: the key's length (u32, little endian), the key, the value. */
static otr_code put(otr_guest *g, otr_bytes key, otr_bytes value, otr_buf *out, otr_err *err)
{
    otr_buf in;
    if (!granted(g, "kv.put")) { /* the gate's words, before the value is copied */
        return g->spec.ops->call(g->spec.host, "kv.put", (otr_bytes){ NULL, 0 }, out, err);
    }
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
    if (otr_same_text(op, "bus.publish")) {
        return publish(g, a, b, err);
    }
    if (strcmp(op, "log.write") == 0) {
        int level = a.n > 0 ? (int)a.p[0] - 1 : OTR_LOG_INFO;
        g->spec.ops->log(g->spec.host, level, b);
        return OTR_OK;
    }
    if (strcmp(op, "config.get") == 0) {
        return config(g, a, out, err);
    }
    if (strcmp(op, "may") == 0) {
        return may(g, a, err);
    }
    if (strcmp(op, "kv.put") == 0) {
        return put(g, a, b, out, err);
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
