/*
 * Extism's manifest: a JSON file that names modules, and says what they may have.
 *
 *     {"wasm": [{"name": "util", "path": "util.wasm", "hash": "<sha256 hex>"},
 *               {"name": "main", "data": "<base64>"}],
 *      "memory": {"max_pages": 64, "max_http_response_bytes": 65536, "max_var_bytes": 4096},
 *      "config": {"key": "text"}, "allowed_hosts": ["*.example.com"],
 *      "allowed_paths": {"/var/data": "/data", "ro:/etc/x": "/x"}, "timeout_ms": 500}
 *
 * It belongs to the plugin, not to the operator: nothing in it can widen what a guest is given
 * otherwise. docs/abi/extism.md says for each key what it does.
 *
 * Thread: any; once its modules are there it does not change.
 */
#ifndef OTR_WASM_ABI_EXTISM_MANIFEST_H
#define OTR_WASM_ABI_EXTISM_MANIFEST_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/json.h"

typedef struct otr_extism_module {
    char *name;       /* "" when it has none */
    char *path, *url; /* at most one of them; neither: `wasm` came with the manifest */
    bool hashed;
    char hash[OTR_SHA256_HEX_BYTES]; /* lower case */
    otr_buf wasm;
    char *file; /* where `path` was found, and its state when it was read */
    uint64_t stamp;
} otr_extism_module;

typedef struct otr_extism_path {
    char *host, *guest;
    bool read_only;
} otr_extism_path;

typedef struct otr_extism_manifest {
    otr_extism_module *modules;
    size_t n_modules;
    size_t main; /* index of the guest; the others are linked to it */
    uint64_t max_memory_bytes, max_http_bytes, max_vars_bytes; /* UINT64_MAX: not said */
    uint64_t timeout_ms;                                       /* 0: not said; of each call */
    char **config;                                             /* key, text, …, NULL; never NULL */
    char **allowed_hosts;                                      /* NULL-terminated; NULL: not said */
    bool has_paths;
    otr_extism_path *paths;
    size_t n_paths;
} otr_extism_manifest;

/* Whether a plugin file is meant as one: JSON and not Wasm. */
bool otr_extism_manifest_is(otr_bytes file);
/* Reads the text; files are not looked at. The error names the key. */
otr_code otr_extism_manifest_parse(otr_bytes text, otr_extism_manifest **ret, otr_err *err)
    OTR_MUST_CHECK;
/* extism_manifest_text.c: the same text as JSON, for the former. */
otr_code otr_extism_manifest_tree(otr_bytes text, otr_json **ret, otr_err *err) OTR_MUST_CHECK;
void otr_extism_manifest_free(otr_extism_manifest *m); /* NULL is fine */
void otr_extism_manifest_freep(void *slot);

typedef struct otr_extism_source { /* how modules that are not in the text are had */
    const char *folder;            /* for relative paths; NULL: paths are refused */
    /* The manifest itself is vouched for by a digest or a signature: then whatever it names must
     * be pinned by its `hash`. */
    bool pinned;
    /* Optional: appends what `url` has, once it has this digest. NULL: a URL is refused. */
    otr_code (*fetch)(void *arg, const char *url, const char *sha256, otr_buf *out, otr_err *err);
    /* Optional: refuses a module that came with the manifest or from a file. */
    otr_code (*check)(void *arg, const char *label, otr_bytes wasm, otr_err *err);
    void *arg;
} otr_extism_source;

/* Reads every module and compares its hash. */
otr_code otr_extism_manifest_collect(otr_extism_manifest *m, const otr_extism_source *from,
                                     otr_err *err) OTR_MUST_CHECK;
/* Drops the modules' bytes. */
void otr_extism_manifest_forget(otr_extism_manifest *m);

/* The state of the file that is there now, 0: none. Another number when it was written or replaced.
 */
uint64_t otr_module_file_stamp(const char *path);
uint64_t otr_module_stamp_of(const struct stat *st);

/* The text of a config key, or NULL. */
const char *otr_extism_manifest_config(const otr_extism_manifest *m, const char *key);
/* Whether `host` (lower case) fits a pattern of `list`: '*' is any run of characters, '?' one. */
bool otr_extism_host_allowed(char *const *list, const char *host);

#endif
