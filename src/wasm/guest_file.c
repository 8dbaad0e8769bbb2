#include "wasm/guest_file.h"

#include "base/json.h"
#include "wasm/guest_code.h"

/* `spec` with the modules of `m`. */
typedef struct plan {
    otr_load_spec spec;
    otr_load_module modules[OTR_GUEST_MODULES];
} plan;

static otr_code make_plan(const otr_load_spec *spec, const otr_extism_manifest *m, plan *ret,
                          otr_err *err)
{
    if (spec->n_modules > 0) {
        return otr_fail(err, OTR_EINVAL, "%s: an Extism manifest names all of its modules itself",
                        spec->name);
    }
    if (spec->abi != NULL && strcmp(spec->abi, "extism") != 0) {
        return otr_fail(err, OTR_EINVAL,
                        "%s: is configured as %s, but the file is an Extism "
                        "manifest",
                        spec->name, spec->abi);
    }
    *ret = (plan){ .spec = *spec };
    ret->spec.abi = "extism";
    ret->spec.wasm = otr_buf_bytes(&m->modules[m->main].wasm);
    for (size_t i = 0; i < m->n_modules; i++) {
        if (i != m->main) {
            ret->modules[ret->spec.n_modules++] =
                (otr_load_module){ m->modules[i].name, otr_buf_bytes(&m->modules[i].wasm) };
        }
    }
    ret->spec.modules = ret->modules;
    return OTR_OK;
}

static otr_code open_manifest(const otr_load_spec *spec, const otr_extism_source *from,
                              otr_extism_manifest **ret, otr_err *err)
{
    otr_extism_manifest *m = NULL;
    otr_code rc = otr_extism_manifest_parse(spec->wasm, &m, err);
    rc = rc == OTR_OK ? otr_extism_manifest_collect(m, from, err) : rc;
    if (rc != OTR_OK) {
        otr_extism_manifest_free(m);
        return otr_wrap(err, rc, "%s", spec->name);
    }
    *ret = m;
    return OTR_OK;
}

otr_code otr_guest_load_file(otr_engine *engine, const otr_load_spec *spec,
                             const otr_extism_source *from, otr_guest_code **ret, otr_err *err)
{
    if (!otr_extism_manifest_is(spec->wasm)) {
        return otr_guest_load(engine, spec, ret, err);
    }
    OTR_CLEANUP(otr_extism_manifest_freep) otr_extism_manifest *m = NULL;
    otr_guest_code *code = NULL;
    plan p;
    otr_code rc = open_manifest(spec, from, &m, err);
    rc = rc == OTR_OK ? make_plan(spec, m, &p, err) : rc;
    rc = rc == OTR_OK ? otr_guest_load(engine, &p.spec, &code, err) : rc;
    if (rc != OTR_OK) {
        return rc;
    }
    otr_extism_manifest_forget(m);
    code->manifest = otr_steal(&m);
    (void)otr_sha256_hex(spec->wasm, code->sha256);
    *ret = code;
    return OTR_OK;
}

otr_code otr_guest_inspect_file(otr_engine *engine, const otr_load_spec *spec,
                                const otr_extism_source *from, otr_buf *out, otr_err *err)
{
    if (!otr_extism_manifest_is(spec->wasm)) {
        return otr_guest_inspect(engine, spec, out, err);
    }
    OTR_CLEANUP(otr_extism_manifest_freep) otr_extism_manifest *m = NULL;
    plan p;
    otr_code rc = open_manifest(spec, from, &m, err);
    rc = rc == OTR_OK ? make_plan(spec, m, &p, err) : rc;
    return rc == OTR_OK ? otr_guest_inspect_of(engine, &p.spec, spec->wasm, out, err) : rc;
}

const otr_extism_manifest *otr_guest_code_manifest(const otr_guest_code *code)
{
    return code->manifest;
}

/* ---- config ---- */

typedef struct merger {
    otr_jw w;
    otr_buf text;
    otr_err *err;
    otr_code rc;
} merger;

static bool copy_member(void *arg, const char *key, const otr_json *v)
{
    merger *m = arg;
    otr_buf_clear(&m->text);
    m->rc = otr_json_write(v, &m->text, m->err);
    if (m->rc == OTR_OK) {
        otr_jw_raw(&m->w, key, otr_buf_bytes(&m->text));
    }
    return m->rc == OTR_OK;
}

otr_code otr_guest_code_config(const otr_guest_code *code, otr_bytes config, otr_buf *out,
                               otr_err *err)
{
    const otr_extism_manifest *from = code->manifest;
    if (from == NULL || from->config[0] == NULL) {
        return otr_buf_add(out, config, err);
    }
    OTR_CLEANUP(otr_json_freep) otr_json *root = NULL;
    otr_code rc = otr_json_parse(config, &root, err);
    if (rc != OTR_OK) {
        return rc;
    }
    size_t before = out->n;
    merger m = { .err = err };
    otr_buf_init(&m.text, out->max_bytes);
    otr_jw_begin(&m.w, out, err);
    otr_jw_obj(&m.w, NULL);
    otr_json_each(root, copy_member, &m);
    for (char *const *pair = from->config; m.rc == OTR_OK && *pair != NULL; pair += 2) {
        if (otr_json_get(root, pair[0]) == NULL) {
            otr_jw_str(&m.w, pair[0], pair[1]);
        }
    }
    otr_jw_obj_end(&m.w);
    rc = otr_jw_end(&m.w);
    rc = m.rc != OTR_OK ? m.rc : rc;
    otr_buf_deinit(&m.text);
    if (rc != OTR_OK) {
        otr_buf_cut(out, before);
    }
    return rc;
}
