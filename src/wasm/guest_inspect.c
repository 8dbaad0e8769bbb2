/* What `outrider plugin inspect` shows. */
#include <stdio.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/limits.h"
#include "wasm/guest_code.h"

enum { MISSING_BYTES = 65536 };

/* Whether the interface `name` has something called `rest` after "#". */
static bool has_member(const otr_module_info *info, const char *name, size_t n, const char *rest)
{
    for (size_t i = 0; i < info->n_exports; i++) {
        const char *x = info->exports[i].name;
        if (strncmp(x, name, n) == 0 && x[n] == '#' &&
            strncmp(x + n + 1, rest, strlen(rest)) == 0) {
            return true;
        }
    }
    return false;
}

/* A resource is what functions of the same interface are called after: "[method]NAME.f". */
static bool is_resource(const otr_module_info *info, const char *name, const char *hash)
{
    static const char *const forms[] = { "[constructor]", "[method]", "[static]" };
    char rest[128];
    for (size_t i = 0; i < OTR_COUNT(forms); i++) {
        int n = snprintf(rest, sizeof(rest), "%s%s%s", forms[i], hash + 1, i > 0 ? "." : "");
        if (n > 0 && (size_t)n < sizeof(rest) &&
            has_member(info, name, (size_t)(hash - name), rest)) {
            return true;
        }
    }
    return false;
}

/* Of what a component imports or exports, by how it is named. */
static const char *component_kind(const otr_module_info *info, const char *name)
{
    const char *hash = strchr(name, '#');
    if (hash != NULL) {
        return is_resource(info, name, hash) ? "resource" : "function";
    }
    return strchr(name, '/') != NULL || has_member(info, name, strlen(name), "") ? "instance"
                                                                                 : "function";
}

static const char *kind_of(const otr_module_info *info, const otr_extern_info *x)
{
    static const char *const kinds[] = { "function", "memory", "table", "global", "tag" };
    return info->component ? component_kind(info, x->name) : kinds[x->kind];
}

static void write_externs(otr_jw *w, const char *key, const otr_module_info *info,
                          const otr_extern_info *list, size_t n)
{
    char sig[200];
    otr_jw_arr(w, key);
    for (size_t i = 0; i < n; i++) {
        otr_jw_obj(w, NULL);
        if (list[i].module != NULL) {
            otr_jw_str(w, "module", list[i].module);
        }
        otr_jw_str(w, "name", list[i].name);
        otr_jw_str(w, "kind", kind_of(info, &list[i]));
        if (list[i].kind == OTR_EXTERN_FUNC) {
            otr_jw_str(w, "type", otr_sig_text(&list[i].sig, sig, sizeof(sig)));
        }
        otr_jw_obj_end(w);
    }
    otr_jw_arr_end(w);
}

static void write_both(otr_jw *w, const otr_module_info *info)
{
    write_externs(w, "imports", info, info->imports, info->n_imports);
    write_externs(w, "exports", info, info->exports, info->n_exports);
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
    otr_bytes file; /* what was given: a module, or the manifest that names it */
    const char *engine;
    otr_buf missing; /* lines */
} report;

static void write_modules(otr_jw *w, const otr_guest_code *code)
{
    otr_jw_arr(w, "modules");
    for (size_t i = 0; i < code->n_linked; i++) {
        const otr_module_info *info = otr_module_info_of(code->linked[i].module);
        otr_jw_obj(w, NULL);
        otr_jw_str(w, "name", code->linked[i].name);
        write_both(w, info);
        otr_jw_obj_end(w);
    }
    otr_jw_arr_end(w);
}

static void write_code(otr_jw *w, const otr_guest_code *code)
{
    const otr_module_info *info = otr_module_info_of(code->module);
    otr_jw_bool(w, "compiled", true);
    otr_jw_bool(w, "component", info->component);
    otr_jw_u64(w, "memory_min_bytes", info->memory_min_bytes);
    write_both(w, info);
    if (code->n_linked > 0) {
        write_modules(w, code);
    }
}

static otr_code write_report(const otr_load_spec *spec, const report *r, otr_buf *out, otr_err *err)
{
    char digest[OTR_SHA256_HEX_BYTES];
    const otr_module *module = r->code.module;
    otr_jw w;
    otr_jw_begin(&w, out, err);
    otr_jw_obj(&w, NULL);
    otr_jw_str(&w, "name", spec->name);
    otr_jw_str(&w, "abi", r->code.abi != NULL ? r->code.abi->name : NULL);
    otr_jw_str(&w, "engine", module != NULL ? module->ops->name : r->engine);
    otr_jw_u64(&w, "size", r->file.n);
    otr_jw_str(&w, "sha256", otr_sha256_hex(r->file, digest));
    if (module != NULL) {
        write_code(&w, &r->code);
    } else {
        otr_jw_bool(&w, "compiled", false); /* nothing is known of its imports and exports */
        otr_jw_bool(&w, "component", otr_is_component(spec->wasm));
    }
    write_lines(&w, "missing", otr_buf_text(&r->missing));
    otr_jw_obj_end(&w);
    return otr_jw_end(&w);
}

/* An agent that is told nothing else would refuse it when it makes the instance. */
static otr_code check_memory(const otr_guest_code *code, otr_buf *missing, otr_err *err)
{
    uint64_t least = otr_module_info_of(code->module)->memory_min_bytes;
    return least <= OTR_LIMIT_PLUGIN_MEMORY_BYTES
               ? OTR_OK
               : otr_buf_add_line(missing, err,
                                  "memory: it begins with %llu bytes; `limits: memory` is %llu "
                                  "unless the entry says more",
                                  (unsigned long long)least,
                                  (unsigned long long)OTR_LIMIT_PLUGIN_MEMORY_BYTES);
}

/* Whatever does not fit becomes a line of `missing`: the checks are those of otr_guest_load(). */
static otr_code look(const otr_load_spec *spec, report *r, otr_err *err)
{
    otr_err why = { 0 };
    otr_code rc = otr_guest_pick_abi(&r->code, spec->abi, &r->code.abi, &why);
    rc = rc == OTR_OK ? otr_guest_complete(spec, &r->code, &why) : rc;
    if (rc == OTR_ENOMEM) {
        return otr_fail_nomem(err);
    }
    if (rc == OTR_OK) {
        rc = otr_guest_check(&r->code, spec->operations, &r->missing, err);
        return rc == OTR_OK ? check_memory(&r->code, &r->missing, err) : rc;
    }
    if (r->code.abi == NULL) {
        r->code.abi = otr_abi_detect(otr_module_info_of(r->code.module));
    }
    return otr_buf_add_line(&r->missing, err, "%s", why.msg);
}

/* Binary, or text. */
static bool is_meant_as_wasm(otr_bytes file)
{
    size_t i = 0;
    while (i < file.n && file.p[i] != '\0' && strchr(" \t\r\n", file.p[i]) != NULL) {
        i++;
    }
    bool binary = file.n >= 4 && memcmp(file.p, "\0asm", 4) == 0;
    return binary || (i < file.n && (file.p[i] == '(' || file.p[i] == ';'));
}

/* Wasm that this engine does not take is told like all else that is wrong with a file; what is no
 * Wasm at all is a failure. */
static otr_code compile(otr_engine *engine, const otr_load_spec *spec, report *r, otr_err *err)
{
    otr_err why = { 0 };
    otr_code rc = otr_guest_compile_all(engine, spec, &r->code, &why);
    if (rc == OTR_OK) {
        return look(spec, r, err);
    }
    if (!is_meant_as_wasm(spec->wasm) || rc == OTR_ENOMEM || rc == OTR_EIO ||
        r->code.module != NULL) {
        return otr_fail(err, rc, "%s: %s", spec->name, why.msg);
    }
    return otr_buf_add_line(&r->missing, err, "%s", why.msg);
}

otr_code otr_guest_inspect_of(otr_engine *engine, const otr_load_spec *spec, otr_bytes file,
                              otr_buf *out, otr_err *err)
{
    otr_load_spec plain = *spec;
    plain.rewrite = false; /* what the file imports, not what is made of it */
    report *r = otr_zalloc(sizeof(*r));
    if (r == NULL) {
        return otr_fail_nomem(err);
    }
    r->file = file;
    r->engine = engine->ops->name;
    otr_buf_init(&r->missing, MISSING_BYTES);
    otr_code rc = compile(engine, &plain, r, err);
    rc = rc == OTR_OK || (rc == OTR_EQUOTA && r->missing.n > 0) ? write_report(spec, r, out, err)
                                                                : rc;
    otr_buf_deinit(&r->missing);
    otr_guest_code_deinit(&r->code);
    otr_free(r);
    return rc;
}

otr_code otr_guest_inspect(otr_engine *engine, const otr_load_spec *spec, otr_buf *out,
                           otr_err *err)
{
    return otr_guest_inspect_of(engine, spec, spec->wasm, out, err);
}
