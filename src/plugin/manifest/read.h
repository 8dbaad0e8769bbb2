/*
 * What the readers of the `plugins:` section share. Internal to plugin/manifest.
 *
 * Every error begins with file:line:column. Texts and lists are copies; lists end with NULL.
 *
 * Thread: any.
 */
#ifndef OTR_PLUGIN_MANIFEST_READ_H
#define OTR_PLUGIN_MANIFEST_READ_H

#include "plugin/manifest/manifest.h"

enum { OTR_MANIFEST_WHERE = 512, OTR_MANIFEST_JSON = 1 << 20 };

otr_code otr_manifest_bad(const otr_node *node, otr_code code, const char *text, otr_err *err);
otr_code otr_manifest_kind(const otr_node *node, otr_node_type kind, const char *key, otr_err *err)
    OTR_MUST_CHECK;
/* These leave `*ret` alone when `map` has no `key`. */
otr_code otr_manifest_text(const otr_node *map, const char *key, char **ret, otr_err *err)
    OTR_MUST_CHECK;
otr_code otr_manifest_choice(const otr_node *map, const char *key, const char *const *choices,
                             size_t *ret, otr_err *err) OTR_MUST_CHECK;
/* A list of topic patterns. */
otr_code otr_manifest_patterns(const otr_node *node, const char *key, char ***ret, otr_err *err)
    OTR_MUST_CHECK;
/* A list of texts, checked by nobody yet. */
otr_code otr_manifest_texts(const otr_node *node, const char *key, char ***ret, otr_err *err)
    OTR_MUST_CHECK;
otr_code otr_manifest_json(const otr_node *node, char **ret, otr_err *err) OTR_MUST_CHECK;
/* Puts `directory` before a relative path. `*path` is replaced. */
otr_code otr_manifest_resolve(const char *directory, char **path, otr_err *err) OTR_MUST_CHECK;

/* grants.c */
otr_code otr_manifest_grants(const otr_node *entry, otr_manifest *m, otr_err *err) OTR_MUST_CHECK;
void otr_manifest_free_grants(otr_manifest *m); /* env, paths, secrets */

/* life.c: `on_failure`, `restart`, `instances`, `off`, `hooks`, `after`. */
otr_code otr_manifest_life(const otr_node *entry, otr_manifest *m, otr_err *err) OTR_MUST_CHECK;
void otr_manifest_free_life(otr_manifest *m);
/* Every name in `after` is an entry, and there is an order in which all can come up. */
otr_code otr_manifest_check_order(const otr_manifest_set *set, otr_err *err) OTR_MUST_CHECK;
/* Leaves `*slot` alone when `map` has no `key`; 0 is refused. */
otr_code otr_manifest_duration(const otr_node *map, const char *key, uint64_t *slot, otr_err *err)
    OTR_MUST_CHECK;

/* modules.c: `modules:`, and `limits: zero`. */
otr_code otr_manifest_modules(const otr_node *entry, const char *directory, const otr_trust *trust,
                              otr_manifest *m, otr_err *err) OTR_MUST_CHECK;
void otr_manifest_free_modules(otr_manifest *m);
otr_code otr_manifest_zeroing(const otr_node *limits, otr_manifest *m, otr_err *err) OTR_MUST_CHECK;
/* Whether `text` is a SHA-256 digest as the configuration wants it. */
bool otr_manifest_sha256_ok(const char *text);

/* trust.c: `plugins.trust`, then what it means for one entry. */
otr_code otr_manifest_trust(const otr_node *root, const char *directory, otr_trust *ret,
                            otr_err *err) OTR_MUST_CHECK;
void otr_manifest_trust_deinit(otr_trust *trust);
otr_code otr_manifest_demand(const otr_node *entry, const otr_trust *trust, otr_manifest *m,
                             otr_err *err) OTR_MUST_CHECK;

#endif
