/*
 * The `plugins:` section of the configuration, checked and copied into plain structs.
 *
 *     plugins:
 *       directory: /usr/lib/outrider/plugins     # for relative sources
 *       cache: /var/lib/nginx-agent/wasm          # compiled code; "" or off: none
 *       store: /var/lib/nginx-agent/plugins.db    # what plugins keep by kv
 *       downloads: /var/lib/nginx-agent/plugins   # fetched files; "" or off: none are kept
 *       download_timeout: 30s
 *       watch: on                                 # load changed files
 *       trust: { require: signature, keys: [release.pub] }
 *       load:
 *         - name: rate-watch
 *           source: rate-watch.wasm
 *           config: { threshold: 100 }
 *           grants: { publish: [alert.*] }
 *
 * Every key and its default stands in man/nginx-agent.conf.5. Everything is denied that is not
 * granted.
 *
 * Thread: any; a parsed section is read-only.
 */
#ifndef OTR_PLUGIN_MANIFEST_MANIFEST_H
#define OTR_PLUGIN_MANIFEST_MANIFEST_H

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "config/config.h"
#include "plugin/encoding/encoding.h"
#include "plugin/manifest/http_grant.h"
#include "plugin/manifest/mapping.h"
#include "wasm/engine/engine.h"
#include "wasm/guest.h"

typedef enum otr_on_failure {
    OTR_ON_FAILURE_RESTART, /* a fresh instance after a back-off; disabled after too many failures
                             */
    OTR_ON_FAILURE_DISABLE, /* off at the first failure */
    OTR_ON_FAILURE_CLOSED,  /* as RESTART, and a hook it does not answer is denied */
} otr_on_failure;

typedef struct otr_restart { /* `restart:` */
    uint64_t backoff_ns;     /* after the first failure; doubled with each */
    uint64_t backoff_max_ns;
    unsigned failures;  /* so many within the window: quarantine */
    uint64_t window_ns; /* begins with the first failure */
} otr_restart;

/* What a plugin file must have before it is compiled. */
typedef enum otr_trust_require {
    OTR_TRUST_NONE,
    OTR_TRUST_DIGEST,    /* a `sha256:` or a `signature:` of its own */
    OTR_TRUST_SIGNATURE, /* a signature by one of the keys */
} otr_trust_require;

typedef struct otr_trust {
    otr_trust_require require;
    char **keys;    /* minisign public keys and paths of such; NULL-terminated, NULL: none */
    char **revoked; /* sha256 of files and ids of keys, hex; NULL-terminated, NULL: none */
    char *ca;       /* PEM roots for https sources; NULL: the system's */
} otr_trust;

enum { OTR_SECRETS = 16 }; /* of one plugin */

typedef struct otr_module_file { /* one entry of `modules:` */
    char *name, *source;         /* absolute path */
    char *sha256;                /* 64 hex digits, or NULL */
} otr_module_file;

typedef struct otr_manifest { /* one entry of `load:` */
    unsigned more_owners;     /* beside the first: otr_manifest_ref() */
    char *name;
    char *source; /* absolute path of the file, or https:// URL */
    char *label;  /* `source` for people: without a query, which may hold a token */
    char *abi;    /* NULL: detect */
    char *engine; /* "wasmtime" */
    otr_encoding encoding;
    otr_module_file *modules; /* linked to it by name (Extism) */
    size_t n_modules;
    char *sha256;         /* 64 hex digits, or NULL */
    char *signature;      /* path or https:// URL of the .minisig file */
    bool signed_needed;   /* refuse the file without a good signature */
    char **trust_keys;    /* as otr_trust.keys; never NULL */
    char **revoked;       /* as otr_trust.revoked */
    char *ca;             /* as otr_trust.ca */
    char *downloads;      /* as otr_manifest_set.downloads */
    uint64_t fetch_ns;    /* limit of one download */
    bool watch;           /* load a changed file by itself */
    char *where;          /* "file:line:column" of the entry */
    char *config_json;    /* `config:` as one JSON object */
    char **config_pairs;  /* key, text, …, NULL: scalars as written, the rest as JSON */
    char **subscribe;     /* patterns that replace the guest's own; NULL: the guest's own */
    char **hooks;         /* patterns that replace the guest's own hooks; NULL: the guest's own */
    char **after;         /* names of plugins that come up before it, or NULL */
    char **publish;       /* granted topic patterns, NULL-terminated, never NULL */
    otr_http_grants http; /* granted requests */
    bool see_instances;   /* granted: the list of NGINX instances */
    bool see_config;      /* granted: nginx_config.get */
    size_t metrics;       /* granted series; 0: none */
    char **env_names;     /* granted variables of the agent's environment, or NULL */
    char **env;           /* those of them that are set, as "NAME=value"; NULL-terminated or NULL */
    char **secrets;       /* name, absolute path, …, NULL; or NULL */
    otr_wasi wasi;        /* granted folders and `env`, for guests that import WASI */
    struct otr_wasi_dir *dirs; /* those of `wasi`, with texts of their own */
    char *store;               /* path of the kv database */
    uint64_t kv_bytes;         /* granted; 0: none */
    uint64_t memory_bytes, vars_bytes;
    uint64_t recycle_bytes; /* an instance that grew beyond it is replaced; 0: never */
    uint64_t call_ns, init_ns;
    otr_zeroing zeroing;
    size_t queue;
    unsigned publish_per_s; /* 0: without bound */
    otr_on_failure on_failure;
    otr_restart restart;
    size_t instances;           /* sandboxes that share its queue */
    bool off;                   /* known, and not loaded */
    otr_plugin_mapping mapping; /* for a guest that does not know the contract */
    char *identity;             /* keys that changes.c does not compare by themselves, as JSON */
    /* Of one that a reload took the place of: the next one, which it keeps alive. A worker that
     * looked at the older one in the midst of a job finds every later one so. */
    struct otr_manifest *newer;
    unsigned serial; /* how many of this plugin came before */
} otr_manifest;

typedef struct otr_manifest_set {
    char *cache_dir;     /* NULL: none */
    char *store;         /* path of the kv database */
    uint64_t compile_ns; /* most that one compilation may take */
    char *downloads;     /* folder of fetched files; NULL: none are kept */
    uint64_t fetch_ns;
    bool watch;
    otr_manifest **items;
    size_t n;
} otr_manifest_set;

/* Reads `plugins:` of `cfg`; an absent section gives an empty set. The error has file:line:column,
 * the key and what was expected. Files are not looked at. */
otr_code otr_manifest_parse(const otr_config *cfg, otr_manifest_set **ret, otr_err *err)
    OTR_MUST_CHECK;
void otr_manifest_set_free(otr_manifest_set *set); /* NULL is fine */
void otr_manifest_set_freep(void *slot);
void otr_manifest_free(otr_manifest *m); /* one owner less; NULL is fine */
/* One owner more. Loop thread only. */
otr_manifest *otr_manifest_ref(otr_manifest *m);

#endif
