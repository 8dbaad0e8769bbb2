/* `grants:` of one plugin: all that it may ask of the agent. */
#include "base/alloc.h"
#include "plugin/manifest_read.h"

otr_code otr_manifest_grants(const otr_node *entry, otr_manifest *m, otr_err *err)
{
    static const char *const known[] = { "publish", "kv_bytes", NULL };
    const otr_node *grants = otr_node_get(entry, "grants");
    const otr_node *publish = NULL;
    if (grants != NULL) {
        otr_code rc = otr_manifest_kind(grants, OTR_NODE_MAP, "grants", err);
        if (rc == OTR_OK) {
            rc = otr_node_only(grants, known, err);
        }
        if (rc != OTR_OK) {
            return rc;
        }
        publish = otr_node_get(grants, "publish");
    }
    const otr_node *kv = otr_node_get(grants, "kv_bytes");
    if (kv != NULL) {
        otr_code rc = otr_node_as_bytes(kv, &m->kv_bytes, err);
        if (rc != OTR_OK) {
            return rc;
        }
    }
    if (publish != NULL) {
        return otr_manifest_patterns(publish, "grants.publish", &m->publish, err);
    }
    m->publish = otr_calloc(1, sizeof(*m->publish));
    return m->publish != NULL ? OTR_OK : otr_fail_nomem(err);
}
