/* The functions that the host gives to Extism guests; those of the kernel are not here. */
#include "base/frame.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "wasm/abi/extism.h"
#include "wasm/abi/extism_manifest.h"

enum { CONFIG_KEY_BYTES = 256, OPERATION_BYTES = 128 };

/* What goes wrong on the host's side and is no fault of the ABI's use becomes the call's error:
 * other hosts end the instance there; here the guest may look at it and go on. */
static otr_code tell(otr_guest *g, otr_instance *inst, const otr_err *failure, otr_err *err)
{
    if (failure->code == OTR_ENOMEM) {
        return otr_fail_nomem(err);
    }
    return otr_extism_set_error(g, inst, failure->msg, err);
}

/* `bytes` as a string in `out`; false: too long or with a NUL, so that nothing has this name. */
static bool text_of(otr_bytes bytes, char *out, size_t cap)
{
    if (bytes.n >= cap || (bytes.n > 0 && memchr(bytes.p, 0, bytes.n) != NULL)) {
        return false;
    }
    if (bytes.n > 0) {
        memcpy(out, bytes.p, bytes.n);
    }
    out[bytes.n] = '\0';
    return true;
}

static otr_code give_result(otr_guest *g, otr_instance *inst, otr_bytes bytes, otr_val *ret,
                            otr_err *err)
{
    uint64_t at;
    otr_code rc = otr_extism_give(g, inst, bytes, &at, err);
    if (rc == OTR_OK) {
        ret->i64 = (int64_t)at;
    }
    return rc;
}

/* What the guest gave belongs to the host, whatever came of it. A result was made before, so that
 * it lies elsewhere: guests of an older kind free their key once more. */
static otr_code take(otr_guest *g, otr_instance *inst, uint64_t given, otr_code rc, otr_err *err)
{
    return rc == OTR_OK ? otr_extism_take(g, inst, given, err) : rc;
}

/* ---- config, variables ---- */

static otr_code look_up(otr_guest *g, otr_instance *inst, otr_val *vals, otr_err *err)
{
    otr_bytes key;
    char name[CONFIG_KEY_BYTES];
    otr_code rc = otr_extism_view(inst, (uint64_t)vals[0].i64, "config_get key", &key, err);
    if (rc != OTR_OK) {
        return rc;
    }
    vals[0].i64 = 0;
    if (!text_of(key, name, sizeof(name))) {
        return OTR_OK;
    }
    otr_buf value;
    otr_err failure;
    otr_buf_init(&value, OTR_LIMIT_CONFIG_BYTES);
    rc = g->spec.ops->config(g->spec.host, name, &value, &failure);
    if (rc == OTR_ENOTFOUND && g->manifest != NULL) { /* what the plugin brings itself */
        const char *text = otr_extism_manifest_config(g->manifest, name);
        rc = text != NULL ? otr_buf_adds(&value, text, &failure) : rc;
    }
    if (rc == OTR_OK) {
        rc = give_result(g, inst, otr_buf_bytes(&value), &vals[0], err);
    } else {
        rc = rc == OTR_ENOTFOUND ? OTR_OK : tell(g, inst, &failure, err);
    }
    otr_buf_deinit(&value);
    return rc;
}

static otr_code config_get(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    uint64_t key = (uint64_t)vals[0].i64;
    return take(user, inst, key, look_up(user, inst, vals, err), err);
}

static otr_code var_get(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    otr_guest *g = user;
    otr_extism *x = g->state;
    otr_bytes key, value;
    uint64_t at = (uint64_t)vals[0].i64;
    otr_code rc = otr_extism_view(inst, at, "var_get key", &key, err);
    if (rc != OTR_OK) {
        return rc;
    }
    vals[0].i64 = 0;
    if (otr_extism_vars_get(&x->vars, key, &value)) {
        rc = give_result(g, inst, value, &vals[0], err);
    }
    return take(g, inst, at, rc, err);
}

static otr_code set_var(otr_guest *g, otr_bytes key, uint64_t handle, otr_bytes value,
                        otr_err *failure)
{
    otr_extism *x = g->state;
    if (g->spec.max_vars_bytes == 0) {
        return otr_fail(failure, OTR_EQUOTA, "variables are switched off (max_var_bytes: 0)");
    }
    if (handle == 0) {
        otr_extism_vars_remove(&x->vars, key);
        return OTR_OK;
    }
    return otr_extism_vars_set(&x->vars, key, value, g->spec.max_vars_bytes, failure);
}

static otr_code var_set(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    otr_guest *g = user;
    otr_bytes key, value;
    otr_err failure;
    uint64_t key_at = (uint64_t)vals[0].i64, value_at = (uint64_t)vals[1].i64;
    otr_code rc = otr_extism_view(inst, key_at, "var_set key", &key, err);
    if (rc == OTR_OK) {
        rc = otr_extism_view(inst, value_at, "var_set value", &value, err);
    }
    if (rc != OTR_OK) {
        return rc;
    }
    if (set_var(g, key, value_at, value, &failure) != OTR_OK) {
        rc = tell(g, inst, &failure, err);
    }
    return take(g, inst, key_at, take(g, inst, value_at, rc, err), err);
}

/* ---- log ---- */

static otr_code log_at(otr_guest *g, otr_instance *inst, int level, const otr_val *vals,
                       otr_err *err)
{
    otr_bytes text;
    otr_code rc = otr_extism_view(inst, (uint64_t)vals[0].i64, "log text", &text, err);
    if (rc == OTR_OK) {
        text.n = text.n < OTR_LIMIT_PLUGIN_LOG_BYTES ? text.n : OTR_LIMIT_PLUGIN_LOG_BYTES;
        g->spec.ops->log(g->spec.host, level, text);
    }
    return take(g, inst, (uint64_t)vals[0].i64, rc, err);
}

static otr_code log_trace(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    return log_at(user, inst, -1, vals, err);
}

static otr_code log_debug(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    return log_at(user, inst, OTR_LOG_DEBUG, vals, err);
}

static otr_code log_info(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    return log_at(user, inst, OTR_LOG_INFO, vals, err);
}

static otr_code log_warn(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    return log_at(user, inst, OTR_LOG_WARN, vals, err);
}

static otr_code log_error(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    return log_at(user, inst, OTR_LOG_ERROR, vals, err);
}

/* Extism counts from trace (0); we count from debug. */
static otr_code get_log_level(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    (void)user;
    (void)inst;
    (void)err;
    vals[0].i32 = (int32_t)otr_log_get_level() + 1;
    return OTR_OK;
}

/* ---- http ---- */

/* "http.request" takes and answers with the JSON text as a field (base/frame.h), then the body. */
static otr_code add_framed(otr_buf *to, otr_bytes json, otr_bytes body, otr_err *err)
{
    otr_code rc = otr_frame_put(json, to, err);
    return rc == OTR_OK ? otr_buf_add(to, body, err) : rc;
}

static otr_code take_answer(otr_extism *x, otr_bytes framed, otr_bytes *ret_body, otr_err *err)
{
    otr_bytes json;
    OTR_CLEANUP(otr_json_freep) otr_json *head = NULL;
    if (!otr_frame_take(&framed, &json)) {
        return otr_fail(err, OTR_EIO, "http.request: the host's answer is cut off");
    }
    otr_code rc = otr_json_parse(json, &head, err);
    if (rc != OTR_OK) {
        return rc;
    }
    x->http_status = (int32_t)otr_json_int(otr_json_get(head, "status"), 0);
    const otr_json *headers = otr_json_get(head, "headers");
    if (headers != NULL) {
        rc = otr_json_write(headers, &x->http_headers, err);
    }
    *ret_body = framed;
    return rc;
}

/* `framed` holds what `*ret_body` shows. */
static otr_code ask_http(otr_guest *g, otr_bytes question, otr_buf *framed, otr_bytes *ret_body,
                         otr_err *failure)
{
    otr_code rc = g->spec.ops->call(g->spec.host, "http.request", question, framed, failure);
    if (rc == OTR_OK) {
        rc = take_answer(g->state, otr_buf_bytes(framed), ret_body, failure);
    }
    if (rc == OTR_OK && ret_body->n > g->spec.max_http_bytes) {
        rc = otr_fail(failure, OTR_EQUOTA, "the HTTP answer has %zu bytes; the limit is %llu",
                      ret_body->n, (unsigned long long)g->spec.max_http_bytes);
    }
    return rc;
}

/* The two blocks are given back before the answer needs room. */
static otr_code http_request(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    otr_guest *g = user;
    otr_extism *x = g->state;
    uint64_t json_at = (uint64_t)vals[0].i64, body_at = (uint64_t)vals[1].i64;
    otr_bytes json, body, answer = { NULL, 0 };
    otr_code rc = otr_extism_view(inst, json_at, "http_request", &json, err);
    if (rc == OTR_OK) {
        rc = otr_extism_view(inst, body_at, "http_request body", &body, err);
    }
    if (rc != OTR_OK) {
        return rc;
    }
    otr_buf question, framed;
    otr_err failure;
    otr_buf_init(&question, OTR_LIMIT_PLUGIN_OUTPUT_BYTES);
    otr_buf_init(&framed, OTR_LIMIT_PLUGIN_OUTPUT_BYTES);
    otr_buf_clear(&x->http_headers);
    x->http_status = 0;
    vals[0].i64 = 0;
    otr_code asked = add_framed(&question, json, body, &failure);
    rc = take(g, inst, json_at, take(g, inst, body_at, OTR_OK, err), err);
    if (rc == OTR_OK && asked == OTR_OK) {
        asked = ask_http(g, otr_buf_bytes(&question), &framed, &answer, &failure);
    }
    if (rc == OTR_OK) {
        rc = asked == OTR_OK ? give_result(g, inst, answer, &vals[0], err)
                             : tell(g, inst, &failure, err);
    }
    otr_buf_deinit(&framed);
    otr_buf_deinit(&question);
    return rc;
}

static otr_code http_status_code(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    const otr_extism *x = ((otr_guest *)user)->state;
    (void)inst;
    (void)err;
    vals[0].i32 = x->http_status;
    return OTR_OK;
}

static otr_code http_headers(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    otr_guest *g = user;
    otr_extism *x = g->state;
    return give_result(g, inst, otr_buf_bytes(&x->http_headers), &vals[0], err);
}

/* ---- ours ---- */

/* (topic, data) -> 0, or the handle of an error text */
static otr_code outrider_publish(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    otr_guest *g = user;
    otr_bytes topic, data;
    char name[OTR_LIMIT_BUS_TOPIC_BYTES + 1];
    otr_code rc =
        otr_extism_view(inst, (uint64_t)vals[0].i64, "outrider_publish topic", &topic, err);
    if (rc == OTR_OK) {
        rc = otr_extism_view(inst, (uint64_t)vals[1].i64, "outrider_publish data", &data, err);
    }
    if (rc != OTR_OK) {
        return rc;
    }
    otr_err failure;
    if (!text_of(topic, name, sizeof(name))) {
        rc = otr_fail(&failure, OTR_EINVAL, "a topic has at most %d bytes, none of them zero",
                      OTR_LIMIT_BUS_TOPIC_BYTES);
    } else {
        rc = g->spec.ops->publish(g->spec.host, name, data, &failure);
    }
    vals[0].i64 = 0;
    return rc == OTR_OK ? OTR_OK : give_result(g, inst, otr_bytes_of(failure.msg), &vals[0], err);
}

/* (operation, input) -> the handle of the answer; 0: no bytes, or see outrider_error() */
static otr_code outrider_call(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    otr_guest *g = user;
    otr_extism *x = g->state;
    otr_bytes op, in;
    char name[OPERATION_BYTES];
    otr_code rc = otr_extism_view(inst, (uint64_t)vals[0].i64, "outrider_call operation", &op, err);
    if (rc == OTR_OK) {
        rc = otr_extism_view(inst, (uint64_t)vals[1].i64, "outrider_call input", &in, err);
    }
    if (rc != OTR_OK) {
        return rc;
    }
    otr_buf out;
    otr_err failure;
    otr_buf_init(&out, OTR_LIMIT_PLUGIN_OUTPUT_BYTES);
    vals[0].i64 = 0;
    x->last_error[0] = '\0';
    if (!text_of(op, name, sizeof(name))) {
        rc = otr_fail(&failure, OTR_EINVAL, "outrider_call: there is no operation of this name");
    } else {
        rc = g->spec.ops->call(g->spec.host, name, in, &out, &failure);
    }
    if (rc == OTR_OK) {
        rc = give_result(g, inst, otr_buf_bytes(&out), &vals[0], err);
    } else {
        memcpy(x->last_error, failure.msg, sizeof(x->last_error));
        rc = OTR_OK;
    }
    otr_buf_deinit(&out);
    return rc;
}

/* () -> the handle of the text of what the last outrider_call() failed with; 0: it did not */
static otr_code outrider_error(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    otr_guest *g = user;
    const otr_extism *x = g->state;
    return give_result(g, inst, otr_bytes_of(x->last_error), &vals[0], err);
}

#define ARGS_0()                     .n_args = 0
#define ARGS_1()                     .n_args = 1, .args = { OTR_WASM_I64 }
#define ARGS_2()                     .n_args = 2, .args = { OTR_WASM_I64, OTR_WASM_I64 }
#define RESULT_0()                   .n_results = 0
#define RESULT_I32()                 .n_results = 1, .results = { OTR_WASM_I32 }
#define RESULT_I64()                 .n_results = 1, .results = { OTR_WASM_I64 }
#define ONE(from, name, fn, in, out) { (from), (name), { ARGS_##in(), RESULT_##out() }, (fn), NULL }
/* Old guests name the module "env", some of them with a prefix in the function's name. */
#define ENV(fn, in, out)                                                    \
    ONE("extism:host/env", #fn, fn, in, out), ONE("env", #fn, fn, in, out), \
        ONE("env", "extism_" #fn, fn, in, out)
/* There, functions of hosts lay beside Extism's. */
#define USER(fn, in, out) ONE("extism:host/user", #fn, fn, in, out), ONE("env", #fn, fn, in, out)

static const otr_import imports[] = {
    ENV(config_get, 1, I64),
    ENV(var_get, 1, I64),
    ENV(var_set, 2, 0),
    ENV(http_request, 2, I64),
    ENV(http_status_code, 0, I32),
    ENV(http_headers, 0, I64),
    ENV(log_trace, 1, 0),
    ENV(log_debug, 1, 0),
    ENV(log_info, 1, 0),
    ENV(log_warn, 1, 0),
    ENV(log_error, 1, 0),
    ENV(get_log_level, 0, I32),
    USER(outrider_publish, 2, I64),
    USER(outrider_call, 2, I64),
    USER(outrider_error, 0, I64),
};

const otr_import *otr_extism_imports(size_t *ret_n)
{
    *ret_n = OTR_COUNT(imports);
    return imports;
}
