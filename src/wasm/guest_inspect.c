/* What `outrider plugin inspect` shows. */
#include "base/alloc.h"
#include "base/json.h"
#include "wasm/guest_code.h"

enum { MISSING_BYTES = 65536 };

static void write_externs(otr_jw *w, const char *key, const otr_extern_info *list, size_t n)
{
    static const char *const kinds[] = { "function", "memory", "table", "global", "tag" };
    char sig[200];
    otr_jw_arr(w, key);
    for (size_t i = 0; i < n; i++) {
        otr_jw_obj(w, NULL);
        if (list[i].module != NULL) {
            otr_jw_str(w, "module", list[i].module);
        }
        otr_jw_str(w, "name", list[i].name);
        otr_jw_str(w, "kind", kinds[list[i].kind]);
        if (list[i].kind == OTR_EXTERN_FUNC) {
            otr_jw_str(w, "type", otr_sig_text(&list[i].sig, sig, sizeof(sig)));
        }
        otr_jw_obj_end(w);
    }
    otr_jw_arr_end(w);
}

static void write_lines(otr_jw *w, const char *key, const char *text)
{
    otr_jw_arr(w, key);
    while (*text != '\0') {
        size_t n = strcspn(text, "\n");
        if (n > 0) {
            otr_jw_bytes(w, NULL, (otr_bytes){ (const uint8_t *)text, n });
        }
        text += n + (text[n] == '\n' ? 1 : 0);
    }
    otr_jw_arr_end(w);
}

typedef struct report {
    otr_guest_code code;
    otr_buf missing; /* lines */
} report;

static void write_modules(otr_jw *w, const otr_guest_code *code)
{
    otr_jw_arr(w, "modules");
    for (size_t i = 0; i < code->n_linked; i++) {
        const otr_module_info *info = otr_module_info_of(code->linked[i].module);
        otr_jw_obj(w, NULL);
        otr_jw_str(w, "name", code->linked[i].name);
        write_externs(w, "imports", info->imports, info->n_imports);
        write_externs(w, "exports", info->exports, info->n_exports);
        otr_jw_obj_end(w);
    }
    otr_jw_arr_end(w);
}

static otr_code write_report(const otr_load_spec *spec, const report *r, otr_buf *out, otr_err *err)
{
    char digest[OTR_SHA256_HEX_BYTES];
    const otr_module_info *info = otr_module_info_of(r->code.module);
    otr_jw w;
    otr_jw_begin(&w, out, err);
    otr_jw_obj(&w, NULL);
    otr_jw_str(&w, "name", spec->name);
    otr_jw_str(&w, "abi", r->code.abi != NULL ? r->code.abi->name : NULL);
    otr_jw_str(&w, "engine", r->code.module->ops->name);
    otr_jw_u64(&w, "size", spec->wasm.n);
    otr_jw_str(&w, "sha256", otr_sha256_hex(spec->wasm, digest));
    otr_jw_bool(&w, "component", info->component);
    otr_jw_u64(&w, "memory_min_bytes", info->memory_min_bytes);
    write_externs(&w, "imports", info->imports, info->n_imports);
    write_externs(&w, "exports", info->exports, info->n_exports);
    if (r->code.n_linked > 0) {
        write_modules(&w, &r->code);
    }
    write_lines(&w, "missing", otr_buf_text(&r->missing));
    otr_jw_obj_end(&w);
    return otr_jw_end(&w);
}

/* Whatever does not fit becomes a line of `missing`. */
static otr_code look(const otr_load_spec *spec, report *r, otr_err *err)
{
    otr_err why = { 0 };
    otr_code rc = otr_guest_pick_abi(&r->code, spec->abi, &r->code.abi, &why);
    rc = rc == OTR_OK ? otr_guest_complete(spec, &r->code, &why) : rc;
    if (rc == OTR_ENOMEM) {
        return otr_fail_nomem(err);
    }
    if (rc == OTR_OK) {
        return otr_guest_check(&r->code, spec->operations, &r->missing, err);
    }
    if (r->code.abi == NULL) {
        r->code.abi = otr_abi_detect(otr_module_info_of(r->code.module));
    }
    return otr_buf_addf(&r->missing, err, "%s\n", why.msg);
}

otr_code otr_guest_inspect(otr_engine *engine, const otr_load_spec *spec, otr_buf *out,
                           otr_err *err)
{
    otr_load_spec plain = *spec;
    plain.rewrite = false; /* what the file imports, not what is made of it */
    report *r = otr_zalloc(sizeof(*r));
    if (r == NULL) {
        return otr_fail_nomem(err);
    }
    otr_buf_init(&r->missing, MISSING_BYTES);
    otr_code rc = otr_guest_compile_all(engine, &plain, &r->code, err);
    if (rc != OTR_OK) {
        rc = otr_wrap(err, rc, "%s", spec->name);
    } else {
        rc = look(&plain, r, err);
        rc = rc == OTR_OK || rc == OTR_EQUOTA ? write_report(spec, r, out, err) : rc;
    }
    otr_buf_deinit(&r->missing);
    otr_guest_code_deinit(&r->code);
    otr_free(r);
    return rc;
}
