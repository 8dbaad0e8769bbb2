#include "wasm/abi/extism_manifest.h"

#include <ctype.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/texts.h"

enum {
    MAX_MODULES = 8,
    MAX_ITEMS = 256, /* hosts, paths, config keys */
    PAGE_BYTES = 65536,
    HASH_DIGITS = OTR_SHA256_HEX_BYTES - 1,
};

typedef struct reader { /* state of otr_json_each() */
    otr_extism_manifest *m;
    otr_extism_module *module;
    otr_code rc;
    otr_err *err;
} reader;

typedef otr_code take_fn(reader *r, const char *key, const otr_json *v);

typedef struct member {
    const char *key;
    take_fn *take;
} member;

bool otr_extism_manifest_is(otr_bytes file)
{
    size_t i = 0;
    while (i < file.n &&
           (file.p[i] == ' ' || file.p[i] == '\n' || file.p[i] == '\t' || file.p[i] == '\r')) {
        i++;
    }
    return i < file.n && file.p[i] == '{';
}

/* ---- values ---- */

static otr_code bad(reader *r, const char *key, const char *wanted)
{
    return otr_fail(r->err, OTR_EINVAL, "%s: expected %s", key, wanted);
}

static otr_code take_text(reader *r, const char *key, const otr_json *v, char **ret)
{
    const char *text = otr_json_str(v, NULL);
    if (text == NULL) {
        return bad(r, key, "a text");
    }
    otr_free(*ret);
    *ret = otr_strdup(text);
    return *ret != NULL ? OTR_OK : otr_fail_nomem(r->err);
}

/* `null` is as good as absent, as other hosts write it. */
static otr_code take_number(reader *r, const char *key, const otr_json *v, uint64_t most,
                            uint64_t *ret)
{
    if (otr_json_kind(v) == OTR_JSON_NULL) {
        return OTR_OK;
    }
    int64_t n = otr_json_int(v, -1);
    if (otr_json_kind(v) != OTR_JSON_INT || n < 0) {
        return bad(r, key, "a whole number");
    }
    *ret = (uint64_t)n < most ? (uint64_t)n : most;
    return OTR_OK;
}

/* ---- wasm[] ---- */

static otr_code take_name(reader *r, const char *key, const otr_json *v)
{
    return otr_json_kind(v) == OTR_JSON_NULL ? OTR_OK : take_text(r, key, v, &r->module->name);
}

static otr_code take_path(reader *r, const char *key, const otr_json *v)
{
    otr_code rc = take_text(r, key, v, &r->module->path);
    return rc == OTR_OK && r->module->path[0] == '\0' ? bad(r, key, "the path of a file") : rc;
}

static otr_code take_url(reader *r, const char *key, const otr_json *v)
{
    otr_code rc = take_text(r, key, v, &r->module->url);
    return rc == OTR_OK && r->module->url[0] == '\0' ? bad(r, key, "a URL") : rc;
}

static otr_code take_ignored(reader *r, const char *key, const otr_json *v)
{
    (void)v;
    return otr_fail(r->err, OTR_EUNSUP, "%s: a module is fetched by GET without headers of its own",
                    key);
}

static otr_code take_data(reader *r, const char *key, const otr_json *v)
{
    const char *text = otr_json_str(v, NULL);
    uint8_t *to;
    size_t n = 0;
    if (text == NULL || text[0] == '\0') {
        return bad(r, key, "a Wasm module in base64");
    }
    size_t room = strlen(text) / 4 * 3 + 3;
    otr_buf_clear(&r->module->wasm);
    otr_code rc = otr_buf_reserve(&r->module->wasm, room, &to, r->err);
    if (rc != OTR_OK) {
        return rc;
    }
    if (sodium_base642bin(to, room, text, strlen(text), "\r\n ", &n, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0) {
        return bad(r, key, "a Wasm module in base64");
    }
    otr_buf_grew(&r->module->wasm, n);
    return OTR_OK;
}

static otr_code take_hash(reader *r, const char *key, const otr_json *v)
{
    const char *text = otr_json_str(v, "");
    if (otr_json_kind(v) == OTR_JSON_NULL) {
        return OTR_OK;
    }
    if (strlen(text) != HASH_DIGITS || strspn(text, "0123456789abcdefABCDEF") != HASH_DIGITS) {
        return bad(r, key, "the 64 hex digits of a SHA-256 digest");
    }
    for (size_t i = 0; i < HASH_DIGITS; i++) {
        r->module->hash[i] = (char)tolower((unsigned char)text[i]);
    }
    r->module->hashed = true;
    return OTR_OK;
}

static bool take_member(reader *r, const member *known, const char *key, const otr_json *v)
{
    for (; known->key != NULL; known++) {
        if (strcmp(known->key, key) == 0) {
            r->rc = known->take(r, key, v);
            return r->rc == OTR_OK;
        }
    }
    r->rc = otr_fail(r->err, OTR_EINVAL, "%.64s: no such key", key);
    return false;
}

static bool on_module_key(void *arg, const char *key, const otr_json *v)
{
    static const member known[] = { { "name", take_name },       { "path", take_path },
                                    { "url", take_url },         { "data", take_data },
                                    { "hash", take_hash },       { "method", take_ignored },
                                    { "headers", take_ignored }, { NULL, NULL } };
    return take_member(arg, known, key, v);
}

static otr_code read_module(reader *r, const otr_json *v)
{
    otr_extism_module *x = r->module;
    if (otr_json_kind(v) != OTR_JSON_OBJECT) {
        return otr_fail(r->err, OTR_EINVAL, "expected an object");
    }
    r->rc = OTR_OK;
    otr_json_each(v, on_module_key, r);
    if (r->rc != OTR_OK) {
        return r->rc;
    }
    int sources = (x->path != NULL) + (x->url != NULL) + (x->wasm.n > 0);
    if (sources != 1) {
        return otr_fail(r->err, OTR_EINVAL, "expected one of path, data and url, there are %d",
                        sources);
    }
    if (x->name == NULL && (x->name = otr_strdup("")) == NULL) {
        return otr_fail_nomem(r->err);
    }
    return OTR_OK;
}

/* The one called "main", else the last. */
static otr_code find_main(otr_extism_manifest *m, otr_err *err)
{
    size_t n_main = 0;
    m->main = m->n_modules - 1;
    for (size_t i = 0; i < m->n_modules; i++) {
        if (strcmp(m->modules[i].name, "main") == 0) {
            m->main = i;
            n_main++;
        }
    }
    if (n_main > 1) {
        return otr_fail(err, OTR_EINVAL, "wasm: %zu modules are called \"main\"", n_main);
    }
    for (size_t i = 0; i < m->n_modules; i++) {
        if (i != m->main && m->modules[i].name[0] == '\0') {
            return otr_fail(err, OTR_EINVAL,
                            "wasm[%zu]: a module that is linked to another needs a name", i);
        }
    }
    return OTR_OK;
}

static otr_code take_wasm(reader *r, const char *key, const otr_json *v)
{
    size_t n = otr_json_size(v);
    otr_extism_manifest *m = r->m;
    if (otr_json_kind(v) != OTR_JSON_ARRAY || n == 0) {
        return bad(r, key, "a list of modules");
    }
    if (n > MAX_MODULES) {
        return otr_fail(r->err, OTR_EQUOTA, "wasm: %zu modules; the limit is %d", n, MAX_MODULES);
    }
    if ((m->modules = otr_calloc(n, sizeof(*m->modules))) == NULL) {
        return otr_fail_nomem(r->err);
    }
    for (size_t i = 0; i < n; i++) {
        r->module = &m->modules[i];
        otr_buf_init(&r->module->wasm, OTR_LIMIT_PLUGIN_FILE_BYTES);
        m->n_modules = i + 1;
        otr_code rc = read_module(r, otr_json_at(v, i));
        if (rc != OTR_OK) {
            return otr_wrap(r->err, rc, "wasm[%zu]", i);
        }
    }
    return find_main(m, r->err);
}

/* ---- the rest ---- */

static otr_code take_pages(reader *r, const char *key, const otr_json *v)
{
    uint64_t pages = UINT64_MAX;
    otr_code rc = take_number(r, key, v, INT64_MAX, &pages);
    if (rc != OTR_OK || pages == UINT64_MAX) {
        return rc;
    }
    if (pages > UINT32_MAX) {
        return bad(r, key, "a number of pages up to 4294967295");
    }
    r->m->max_memory_bytes = pages * PAGE_BYTES; /* 0: Extism memory's first page alone */
    return OTR_OK;
}

static otr_code take_http_bytes(reader *r, const char *key, const otr_json *v)
{
    return take_number(r, key, v, INT64_MAX, &r->m->max_http_bytes);
}

static otr_code take_var_bytes(reader *r, const char *key, const otr_json *v)
{
    return take_number(r, key, v, INT64_MAX, &r->m->max_vars_bytes);
}

static bool on_memory_key(void *arg, const char *key, const otr_json *v)
{
    static const member known[] = { { "max_pages", take_pages },
                                    { "max_http_response_bytes", take_http_bytes },
                                    { "max_var_bytes", take_var_bytes },
                                    { NULL, NULL } };
    return take_member(arg, known, key, v);
}

static otr_code take_memory(reader *r, const char *key, const otr_json *v)
{
    if (otr_json_kind(v) == OTR_JSON_NULL) {
        return OTR_OK;
    }
    if (otr_json_kind(v) != OTR_JSON_OBJECT) {
        return bad(r, key, "an object");
    }
    otr_json_each(v, on_memory_key, r);
    return r->rc == OTR_OK ? OTR_OK : otr_wrap(r->err, r->rc, "memory");
}

static otr_code take_timeout(reader *r, const char *key, const otr_json *v)
{
    uint64_t ms = UINT64_MAX;
    otr_code rc = take_number(r, key, v, UINT32_MAX, &ms);
    if (rc == OTR_OK && ms != UINT64_MAX) {
        r->m->timeout_ms = ms > 0 ? ms : 1; /* as soon as somebody looks */
    }
    return rc;
}

static bool on_pair(void *arg, const char *key, const otr_json *v)
{
    reader *r = arg;
    char **end = r->m->config;
    while (*end != NULL) {
        end += 2;
    }
    r->rc = take_text(r, key, v, &end[1]);
    if (r->rc == OTR_OK && (end[0] = otr_strdup(key)) == NULL) {
        r->rc = otr_fail_nomem(r->err);
    }
    if (r->rc != OTR_OK) {
        otr_freep(&end[1]); /* no key ends the list before it */
    }
    return r->rc == OTR_OK;
}

static otr_code count_items(reader *r, const char *key, const otr_json *v, otr_json_type kind,
                            size_t *ret)
{
    *ret = otr_json_size(v);
    if (otr_json_kind(v) != kind) {
        return bad(r, key, kind == OTR_JSON_ARRAY ? "a list" : "an object");
    }
    return *ret <= MAX_ITEMS ? OTR_OK
                             : otr_fail(r->err, OTR_EQUOTA, "%s: %zu entries; the limit is %d", key,
                                        *ret, MAX_ITEMS);
}

static otr_code take_config(reader *r, const char *key, const otr_json *v)
{
    size_t n;
    if (otr_json_kind(v) == OTR_JSON_NULL) {
        return OTR_OK;
    }
    otr_code rc = count_items(r, key, v, OTR_JSON_OBJECT, &n);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_free(r->m->config);
    if ((r->m->config = otr_calloc(2 * n + 1, sizeof(char *))) == NULL) {
        return otr_fail_nomem(r->err);
    }
    otr_json_each(v, on_pair, r);
    return r->rc == OTR_OK ? OTR_OK : otr_wrap(r->err, r->rc, "config");
}

static otr_code take_hosts(reader *r, const char *key, const otr_json *v)
{
    size_t n;
    if (otr_json_kind(v) == OTR_JSON_NULL) {
        return OTR_OK;
    }
    otr_code rc = count_items(r, key, v, OTR_JSON_ARRAY, &n);
    if (rc == OTR_OK && (r->m->allowed_hosts = otr_calloc(n + 1, sizeof(char *))) == NULL) {
        return otr_fail_nomem(r->err);
    }
    for (size_t i = 0; rc == OTR_OK && i < n; i++) {
        rc = take_text(r, key, otr_json_at(v, i), &r->m->allowed_hosts[i]);
        for (char *c = r->m->allowed_hosts[i]; rc == OTR_OK && *c != '\0'; c++) {
            *c = (char)tolower((unsigned char)*c);
        }
    }
    return rc;
}

static bool on_path(void *arg, const char *key, const otr_json *v)
{
    reader *r = arg;
    otr_extism_path *p = &r->m->paths[r->m->n_paths++];
    p->read_only = strncmp(key, "ro:", 3) == 0;
    p->host = otr_strdup(p->read_only ? key + 3 : key);
    r->rc = p->host == NULL ? otr_fail_nomem(r->err) : take_text(r, key, v, &p->guest);
    if (r->rc == OTR_OK && (p->host[0] != '/' || p->guest[0] == '\0')) {
        r->rc = otr_fail(r->err, OTR_EINVAL,
                         "%.100s: expected a folder's absolute path (after \"ro:\" when it is only "
                         "read) and the guest's path of it",
                         key);
    }
    return r->rc == OTR_OK;
}

static otr_code take_paths(reader *r, const char *key, const otr_json *v)
{
    size_t n;
    if (otr_json_kind(v) == OTR_JSON_NULL) {
        return OTR_OK;
    }
    otr_code rc = count_items(r, key, v, OTR_JSON_OBJECT, &n);
    if (rc == OTR_OK && (r->m->paths = otr_calloc(n + 1, sizeof(*r->m->paths))) == NULL) {
        return otr_fail_nomem(r->err);
    }
    if (rc != OTR_OK) {
        return rc;
    }
    r->m->has_paths = true;
    otr_json_each(v, on_path, r);
    return r->rc == OTR_OK ? OTR_OK : otr_wrap(r->err, r->rc, "allowed_paths");
}

static bool on_key(void *arg, const char *key, const otr_json *v)
{
    static const member known[] = { { "wasm", take_wasm },
                                    { "memory", take_memory },
                                    { "config", take_config },
                                    { "allowed_hosts", take_hosts },
                                    { "allowed_paths", take_paths },
                                    { "timeout_ms", take_timeout },
                                    { NULL, NULL } };
    return take_member(arg, known, key, v);
}

otr_code otr_extism_manifest_parse(otr_bytes text, otr_extism_manifest **ret, otr_err *err)
{
    OTR_CLEANUP(otr_json_freep) otr_json *root = NULL;
    OTR_CLEANUP(otr_extism_manifest_freep) otr_extism_manifest *m = otr_zalloc(sizeof(*m));
    if (m == NULL || (m->config = otr_calloc(1, sizeof(char *))) == NULL) {
        return otr_fail_nomem(err);
    }
    m->max_memory_bytes = m->max_http_bytes = m->max_vars_bytes = UINT64_MAX;
    otr_code rc = otr_extism_manifest_tree(text, &root, err);
    if (rc != OTR_OK) {
        return otr_wrap(err, rc, "Extism manifest");
    }
    reader r = { .m = m, .err = err };
    if (otr_json_kind(root) != OTR_JSON_OBJECT || otr_json_get(root, "wasm") == NULL) {
        return otr_fail(err, OTR_EINVAL, "Extism manifest: it has no list \"wasm\"");
    }
    otr_json_each(root, on_key, &r);
    if (r.rc != OTR_OK) {
        return otr_wrap(err, r.rc, "Extism manifest");
    }
    *ret = otr_steal(&m);
    return OTR_OK;
}

void otr_extism_manifest_free(otr_extism_manifest *m)
{
    if (m == NULL) {
        return;
    }
    for (size_t i = 0; i < m->n_modules; i++) {
        otr_free(m->modules[i].name);
        otr_free(m->modules[i].path);
        otr_free(m->modules[i].url);
        otr_free(m->modules[i].file);
        otr_buf_deinit(&m->modules[i].wasm);
    }
    otr_free(m->modules);
    otr_texts_free(m->config);
    otr_texts_free(m->allowed_hosts);
    for (size_t i = 0; i < m->n_paths; i++) {
        otr_free(m->paths[i].host);
        otr_free(m->paths[i].guest);
    }
    otr_free(m->paths);
    otr_free(m);
}

void otr_extism_manifest_freep(void *slot)
{
    otr_extism_manifest_free(otr_steal(slot));
}
