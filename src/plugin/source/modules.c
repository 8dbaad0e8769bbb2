#include "plugin/source/modules.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "plugin/manifest/url.h"
#include "plugin/source/trust.h"

enum { MAX_MODULES = 7, PATH_BYTES = 4096 };

typedef struct files { /* the bytes of `modules:` while they are compiled */
    otr_buf bytes[MAX_MODULES];
    uint64_t stamps[MAX_MODULES];
    otr_load_module modules[MAX_MODULES];
} files;

typedef struct fetcher { /* where an Extism manifest's modules come from */
    const otr_source *source;
    bool unreached;
    char folder[PATH_BYTES];
} fetcher;

/* Only for who is vouched for: a plugin file alone must not send the agent anywhere. */
static otr_code fetch(void *arg, const char *url, const char *sha256, otr_buf *out, otr_err *err)
{
    fetcher *f = arg;
    const otr_manifest *m = f->source->manifest;
    const otr_source one = {
        .manifest = m, .location = url, .sha256 = sha256, .ended = f->source->ended
    };
    otr_source_info info = { .unreached = false };
    otr_code rc = otr_url_check(url, err);
    if (rc == OTR_OK && m->sha256 == NULL && !m->signed_needed) {
        return otr_fail(err, OTR_EDENIED,
                        "the manifest itself is vouched for by nobody: give the plugin at %s "
                        "`sha256` or a signature",
                        m->where);
    }
    rc = rc == OTR_OK ? otr_source_read(&one, out, &info, err) : rc;
    f->unreached = info.unreached;
    return rc;
}

static otr_code not_revoked(void *arg, const char *label, otr_bytes wasm, otr_err *err)
{
    const fetcher *f = arg;
    return otr_trust_digest(f->source->manifest, label, NULL, wasm, err);
}

static otr_extism_source source_of(fetcher *f)
{
    const otr_manifest *m = f->source->manifest;
    const char *slash = m->source[0] == '/' ? strrchr(m->source, '/') : NULL;
    int n = slash != NULL ? (int)(slash - m->source) : 0;
    (void)snprintf(f->folder, sizeof(f->folder), "%.*s", n, m->source);
    return (otr_extism_source){
        .folder = slash != NULL && n < PATH_BYTES ? f->folder : NULL,
        .pinned = m->sha256 != NULL || m->signed_needed,
        .fetch = fetch,
        .check = not_revoked,
        .arg = f,
    };
}

static otr_code read_files(const otr_source *source, files *f, bool *ret_unreached, otr_err *err)
{
    const otr_manifest *m = source->manifest;
    for (size_t i = 0; i < m->n_modules; i++) {
        const otr_module_file *file = &m->modules[i];
        const otr_source one = {
            .manifest = m, .location = file->source, .sha256 = file->sha256, .ended = source->ended
        };
        otr_source_info info = { .unreached = false };
        otr_buf_init(&f->bytes[i], OTR_LIMIT_PLUGIN_FILE_BYTES);
        otr_code rc = otr_source_read(&one, &f->bytes[i], &info, err);
        *ret_unreached = info.unreached;
        if (rc != OTR_OK) {
            return otr_wrap(err, rc, "module %s", file->name);
        }
        f->stamps[i] = otr_module_stamp_of(&info.file);
        f->modules[i] = (otr_load_module){ file->name, otr_buf_bytes(&f->bytes[i]) };
    }
    return OTR_OK;
}

static otr_code add_part(otr_guest_parts *parts, const char *path, uint64_t stamp, otr_err *err)
{
    char *copy = otr_strdup(path);
    if (copy == NULL) {
        return otr_fail_nomem(err);
    }
    parts->items[parts->n++] = (struct otr_guest_part){ copy, stamp };
    return OTR_OK;
}

static otr_code note_parts(const otr_manifest *m, const files *f, const otr_guest_code *code,
                           otr_guest_parts *parts, otr_err *err)
{
    const otr_extism_manifest *x = otr_guest_code_manifest(code);
    size_t most = m->n_modules + (x != NULL ? x->n_modules : 0);
    otr_guest_parts_deinit(parts);
    if (most == 0) {
        return OTR_OK;
    }
    if ((parts->items = otr_calloc(most, sizeof(*parts->items))) == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < m->n_modules; i++) {
        if (m->modules[i].source[0] == '/') {
            rc = add_part(parts, m->modules[i].source, f->stamps[i], err);
        }
    }
    for (size_t i = 0; rc == OTR_OK && x != NULL && i < x->n_modules; i++) {
        if (x->modules[i].file != NULL) {
            rc = add_part(parts, x->modules[i].file, x->modules[i].stamp, err);
        }
    }
    return rc;
}

otr_code otr_guest_parts_load(const otr_source *source, otr_engine *engine,
                              const otr_load_spec *spec, otr_guest_parts *parts,
                              otr_guest_code **ret, otr_err *err)
{
    const otr_manifest *m = source->manifest;
    fetcher fetches = { .source = source };
    const otr_extism_source from = source_of(&fetches);
    otr_load_spec all = *spec;
    otr_guest_code *code = NULL;
    files f = { 0 };
    bool unreached = false;
    otr_code rc = read_files(source, &f, &unreached, err);
    all.modules = f.modules;
    all.n_modules = m->n_modules;
    rc = rc == OTR_OK ? otr_guest_load_file(engine, &all, &from, &code, err) : rc;
    rc = rc == OTR_OK ? note_parts(m, &f, code, parts, err) : rc;
    for (size_t i = 0; i < m->n_modules; i++) {
        otr_buf_deinit(&f.bytes[i]);
    }
    parts->unreached = unreached || fetches.unreached;
    if (rc != OTR_OK) {
        otr_guest_code_free(code);
        return rc;
    }
    *ret = code;
    return OTR_OK;
}

bool otr_guest_parts_changed(const otr_guest_parts *parts)
{
    for (size_t i = 0; i < parts->n; i++) {
        uint64_t now = otr_module_file_stamp(parts->items[i].path);
        if (now != 0 && now != parts->items[i].stamp) {
            return true;
        }
    }
    return false;
}

void otr_guest_parts_deinit(otr_guest_parts *parts)
{
    for (size_t i = 0; i < parts->n; i++) {
        otr_free(parts->items[i].path);
    }
    otr_free(parts->items);
    *parts = (otr_guest_parts){ 0 };
}

/* ---- allowed_paths ---- */

/* The grant of this very folder: one inside of it could be a link that leads out. */
static const struct otr_wasi_dir *find_grant(const otr_manifest *m, const char *host)
{
    size_t n = strlen(host);
    while (n > 1 && host[n - 1] == '/') {
        n--;
    }
    for (size_t i = 0; i < m->wasi.n_dirs; i++) {
        const char *granted = m->dirs[i].host;
        size_t have = strlen(granted);
        while (have > 1 && granted[have - 1] == '/') {
            have--;
        }
        if (have == n && memcmp(granted, host, n) == 0) {
            return &m->dirs[i];
        }
    }
    return NULL;
}

otr_code otr_guest_wasi_fill(const otr_manifest *m, const otr_guest_code *code, otr_guest_wasi *ret,
                             otr_err *err)
{
    const otr_extism_manifest *x = otr_guest_code_manifest(code);
    otr_guest_wasi_deinit(ret);
    ret->wasi = m->wasi;
    if (x == NULL || !x->has_paths) {
        return OTR_OK;
    }
    ret->wasi.dirs = ret->dirs = otr_calloc(x->n_paths + 1, sizeof(*ret->dirs));
    ret->wasi.n_dirs = 0;
    if (ret->dirs == NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t i = 0; i < x->n_paths; i++) {
        const otr_extism_path *p = &x->paths[i];
        const struct otr_wasi_dir *grant = find_grant(m, p->host);
        if (grant == NULL) {
            return otr_fail(
                err, OTR_EDENIED,
                "allowed_paths of %s names %s, which grants.paths at %s does not; grant "
                "that folder, or take it out",
                m->source, p->host, m->where);
        }
        ret->dirs[ret->wasi.n_dirs++] = (struct otr_wasi_dir){
            .host = grant->host, .guest = p->guest, .writable = grant->writable && !p->read_only
        };
    }
    return OTR_OK;
}

void otr_guest_wasi_deinit(otr_guest_wasi *w)
{
    otr_free(w->dirs);
    *w = (otr_guest_wasi){ .dirs = NULL };
}
