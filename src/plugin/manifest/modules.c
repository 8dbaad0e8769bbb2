/* `modules:` of one plugin: files that are linked to it by name. */
#include <string.h>

#include "base/alloc.h"
#include "plugin/manifest/read.h"
#include "plugin/manifest/url.h"

enum { MAX_MODULES = 7, SHA256_DIGITS = 64 };

bool otr_manifest_sha256_ok(const char *text)
{
    return strlen(text) == SHA256_DIGITS && strspn(text, "0123456789abcdef") == SHA256_DIGITS;
}

void otr_manifest_free_modules(otr_manifest *m)
{
    for (size_t i = 0; i < m->n_modules; i++) {
        otr_free(m->modules[i].name);
        otr_free(m->modules[i].source);
        otr_free(m->modules[i].sha256);
    }
    otr_free(m->modules);
}

/* What is fetched has a digest of its own; a signature is for the plugin itself. */
static otr_code check_url(const otr_node *node, const otr_module_file *m, otr_err *err)
{
    char where[OTR_MANIFEST_WHERE];
    if (m->sha256 == NULL) {
        return otr_manifest_bad(node, OTR_EINVAL, "modules: a source by https needs `sha256`", err);
    }
    otr_code rc = otr_url_check(m->source, err);
    return rc == OTR_OK
               ? OTR_OK
               : otr_wrap(err, rc, "%s: modules",
                          otr_node_where(otr_node_get(node, "source"), where, sizeof(where)));
}

static otr_code read_module(const otr_node *node, const char *directory, bool pinned,
                            otr_module_file *ret, otr_err *err)
{
    static const char *const known[] = { "name", "source", "sha256", NULL };
    otr_code rc = otr_manifest_kind(node, OTR_NODE_MAP, "modules", err);
    rc = rc == OTR_OK ? otr_node_only(node, known, err) : rc;
    rc = rc == OTR_OK ? otr_manifest_text(node, "name", &ret->name, err) : rc;
    rc = rc == OTR_OK ? otr_manifest_text(node, "source", &ret->source, err) : rc;
    rc = rc == OTR_OK ? otr_manifest_text(node, "sha256", &ret->sha256, err) : rc;
    if (rc != OTR_OK) {
        return rc;
    }
    if (ret->name == NULL || ret->source == NULL || ret->name[0] == '\0') {
        return otr_manifest_bad(node, OTR_EINVAL, "modules: each needs `name` and `source`", err);
    }
    if (ret->sha256 != NULL && !otr_manifest_sha256_ok(ret->sha256)) {
        return otr_manifest_bad(otr_node_get(node, "sha256"), OTR_EINVAL,
                                "sha256: expected 64 lower-case hex digits", err);
    }
    if (ret->sha256 == NULL && pinned) {
        return otr_manifest_bad(node, OTR_EINVAL,
                                "modules: `sha256` is missing: the plugin is trusted by digest or "
                                "signature, so every file of it is pinned",
                                err);
    }
    if (otr_url_is(ret->source)) {
        return check_url(node, ret, err);
    }
    if (strncmp(ret->source, "file:", 5) == 0) {
        memmove(ret->source, ret->source + 5, strlen(ret->source + 5) + 1);
    }
    return otr_manifest_resolve(directory, &ret->source, err);
}

otr_code otr_manifest_modules(const otr_node *entry, const char *directory, const otr_trust *trust,
                              otr_manifest *m, otr_err *err)
{
    const otr_node *list = otr_node_get(entry, "modules");
    bool pinned = m->sha256 != NULL || m->signed_needed || trust->require != OTR_TRUST_NONE;
    if (list == NULL) {
        return OTR_OK;
    }
    otr_code rc = otr_manifest_kind(list, OTR_NODE_LIST, "modules", err);
    size_t n = otr_node_size(list);
    if (rc == OTR_OK && n > MAX_MODULES) {
        rc = otr_manifest_bad(list, OTR_EQUOTA, "modules: more than 7", err);
    }
    if (rc == OTR_OK && (m->modules = otr_calloc(n + 1, sizeof(*m->modules))) == NULL) {
        rc = otr_fail_nomem(err);
    }
    for (size_t i = 0; rc == OTR_OK && i < n; i++) {
        m->n_modules = i + 1;
        rc = read_module(otr_node_at(list, i), directory, pinned, &m->modules[i], err);
    }
    return rc;
}

otr_code otr_manifest_zeroing(const otr_node *limits, otr_manifest *m, otr_err *err)
{
    static const char *const choices[] = { "used", "never", NULL };
    size_t choice = 0;
    otr_code rc = otr_manifest_choice(limits, "zero", choices, &choice, err);
    m->zeroing = choice == 0 ? OTR_ZERO_USED : OTR_ZERO_NEVER;
    return rc;
}
