/*
 * Configuration: option tables → YAML, environment, flags, --help, man page.
 *
 * One otr_key row makes an option reachable from all four. A loaded configuration is an immutable,
 * reference-counted snapshot; a reload makes a new one. Precedence: flag > environment > file >
 * default. Where a value came from is kept for `outrider config show`.
 *
 * YAML file: NGINX Agent v3's nginx-agent.conf plus `plugins:` (facts: keys, types, defaults as
 * NGINX Agent documents them). Unknown keys are an error that names file:line:column and the
 * nearest key.
 *
 * Thread: a snapshot, any; loading, one at a time.
 */
#ifndef OTR_CONFIG_CONFIG_H
#define OTR_CONFIG_CONFIG_H

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

typedef enum otr_key_type {
    OTR_KEY_END, /* the empty row that ends a table */
    OTR_KEY_BOOL,
    OTR_KEY_INT, /* int64, min … max */
    OTR_KEY_FLOAT,
    OTR_KEY_DURATION, /* Go syntax ("5s", "1m30s", "500ms"); read in nanoseconds */
    OTR_KEY_STRING,
    OTR_KEY_STRINGS, /* list; in flags and environment separated by commas or white space */
    OTR_KEY_LABELS,  /* map of string to scalar; in flags and environment "k=v,k2=v2" */
    OTR_KEY_TREE,    /* any YAML below it, kept as nodes; YAML only */
} otr_key_type;

enum {                        /* otr_key.flags */
       OTR_KEY_NO_YAML = 1,   /* flag and environment only */
       OTR_KEY_NO_FLAG = 2,   /* YAML (and environment) only */
       OTR_KEY_HIDDEN = 4,    /* accepted, not in --help */
       OTR_KEY_SECRET = 8,    /* value never printed */
       OTR_KEY_PREFIX = 16,   /* everything below `path` is accepted and kept, as OTR_KEY_TREE;
                               * rows below it may still name single values */
       OTR_KEY_FOLDERS = 32,  /* OTR_KEY_STRINGS: cleaned absolute folders, /etc/nginx-agent first;
                               * others are left out with a warning */
       OTR_KEY_PRESENCE = 64, /* OTR_KEY_BOOL: a map in YAML ("debug: {}") means true */
       OTR_KEY_RESTART = 128, /* another value takes effect after a restart only; no tree */
};

typedef struct otr_key {
    const char *path; /* "data_plane_config.nginx.api.url" */
    otr_key_type type;
    const char *def;  /* as it would stand in the environment; NULL: empty */
    const char *help; /* one line, no full stop */
    int64_t min, max; /* OTR_KEY_INT; both 0: no bounds. OTR_KEY_DURATION: `min` is a floor in
                       * milliseconds; what is below gives a warning and the floor */
    unsigned flags;
    /* OTR_KEY_STRING: "a|b|c", any case; another value gives a warning and the default. */
    const char *choices;
} otr_key;

typedef struct otr_config otr_config;
typedef struct otr_node otr_node; /* one YAML value; borrowed from its snapshot */

typedef enum otr_origin { OTR_FROM_DEFAULT, OTR_FROM_FILE, OTR_FROM_ENV, OTR_FROM_FLAG } otr_origin;

typedef struct otr_config_source {
    const otr_key *const *tables; /* NULL-terminated list of tables */
    const char *file;             /* path; "": none; NULL: what otr_config_find() finds */
    const char *const *env;       /* "K=V" strings, NULL-terminated; NULL: none */
    int argc;                     /* flags: argv[0] … argv[argc-1] are all flags */
    char *const *argv;
} otr_config_source;

/* All or nothing: on error nothing changed and err->msg says file:line:column, key, what was
 * expected. Positional arguments are an error here; callers cut them off first. */
otr_code otr_config_load(const otr_config_source *source, otr_config **ret, otr_err *err)
    OTR_MUST_CHECK;
otr_config *otr_config_ref(otr_config *cfg);
void otr_config_unref(otr_config *cfg); /* NULL is fine */

/* The path of /etc/nginx-agent/nginx-agent.conf or else ./nginx-agent.conf; OTR_ENOTFOUND when
 * there is neither. */
otr_code otr_config_find(otr_buf *ret_path, otr_err *err) OTR_MUST_CHECK;

/* Values. A path that is in no table, or of another type, is our bug: assert. */
bool otr_config_bool(const otr_config *cfg, const char *path);
int64_t otr_config_int(const otr_config *cfg, const char *path);
double otr_config_float(const otr_config *cfg, const char *path);
uint64_t otr_config_duration_ns(const otr_config *cfg, const char *path);
const char *otr_config_str(const otr_config *cfg, const char *path); /* never NULL */
const char *const *otr_config_strings(const otr_config *cfg,
                                      const char *path); /* NULL-terminated */
/* Pairs key, value, key, value, NULL. Values are texts: otr_label_type_of() tells what they are. */
const char *const *otr_config_labels(const otr_config *cfg, const char *path);
const otr_node *otr_config_tree(const otr_config *cfg, const char *path); /* NULL: not given */
otr_origin otr_config_origin(const otr_config *cfg, const char *path);
const char *otr_config_file(const otr_config *cfg); /* the file that was read, or "" */
bool otr_config_feature(const otr_config *cfg, const char *name); /* is it in `features`? */

/* Appends the keys that `fresh` changes and that wait for a restart, as "a.b, c.d". */
otr_code otr_config_waiting(const otr_config *in_force, const otr_config *fresh, otr_buf *out,
                            otr_err *err) OTR_MUST_CHECK;

/* What was accepted but should be looked at (unknown variables, values that were left out):
 * sentences, NULL-terminated, for the caller to log. */
const char *const *otr_config_warnings(const otr_config *cfg);

/* What NGINX Agent takes a label's text for. */
typedef enum otr_label_type {
    OTR_LABEL_NULL, /* "" or "nil" */
    OTR_LABEL_INT,
    OTR_LABEL_FLOAT,
    OTR_LABEL_BOOL,
    OTR_LABEL_JSON, /* a JSON object, array or string */
    OTR_LABEL_TEXT,
    OTR_LABEL_BAD, /* none of these: it is left out of a loaded configuration */
} otr_label_type;
otr_label_type otr_label_type_of(const char *text);
/* The labels as one JSON object with typed values. */
otr_code otr_config_labels_json(const otr_config *cfg, const char *path, otr_buf *out, otr_err *err)
    OTR_MUST_CHECK;

/* Writes `--flag type   help (default …)` lines of all tables, sorted. */
otr_code otr_config_help(const otr_key *const *tables, otr_buf *out, otr_err *err) OTR_MUST_CHECK;
/* {"file", "keys": [{"key", "value", "origin", "from"}], "warnings"}; secrets as "***". */
otr_code otr_config_dump(const otr_config *cfg, otr_buf *out, otr_err *err) OTR_MUST_CHECK;

/* ---- nodes: for OTR_KEY_TREE ---- */

typedef enum otr_node_type { OTR_NODE_SCALAR, OTR_NODE_LIST, OTR_NODE_MAP } otr_node_type;

otr_node_type otr_node_kind(const otr_node *node);
const char *otr_node_text(const otr_node *node);             /* scalar's text; "" for others */
size_t otr_node_size(const otr_node *node);                  /* items or members */
const otr_node *otr_node_at(const otr_node *node, size_t i); /* item or member value */
const char *otr_node_key_at(const otr_node *node, size_t i); /* member name */
const otr_node *otr_node_get(const otr_node *map, const char *key); /* NULL: absent */
/* "file:line:column" of the node into `out`; returns `out`. */
const char *otr_node_where(const otr_node *node, char *out, size_t cap);

/* Typed reads for tree consumers; the error has file:line:column, the key and what was expected. */
otr_code otr_node_as_int(const otr_node *node, int64_t min, int64_t max, int64_t *ret, otr_err *err)
    OTR_MUST_CHECK;
otr_code otr_node_as_bool(const otr_node *node, bool *ret, otr_err *err) OTR_MUST_CHECK;
otr_code otr_node_as_duration_ns(const otr_node *node, uint64_t *ret, otr_err *err) OTR_MUST_CHECK;
/* "64MiB", "1 MB", "65536": bytes. */
otr_code otr_node_as_bytes(const otr_node *node, uint64_t *ret, otr_err *err) OTR_MUST_CHECK;
/* OTR_EINVAL naming the first member of `map` that is not in `known` (NULL-terminated) and the
 * nearest one. */
otr_code otr_node_only(const otr_node *map, const char *const *known, otr_err *err) OTR_MUST_CHECK;
/* A scalar as the JSON value that YAML's core schema gives it (true, 12, "text"); lists and maps
 * likewise. */
otr_code otr_node_json(const otr_node *node, otr_buf *out, otr_err *err) OTR_MUST_CHECK;

/* The nearest of `names` to `word` by edit distance (≤ 1/3 of the longer one), or NULL. */
const char *otr_nearest(const char *word, const char *const *names);
/* "1m30s", "500ms" → ns (Go's time.ParseDuration, non-negative). */
otr_code otr_duration_parse(const char *text, uint64_t *ret_ns, otr_err *err) OTR_MUST_CHECK;

#endif
