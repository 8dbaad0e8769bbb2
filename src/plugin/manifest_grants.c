/* `grants:` of one plugin: all that it may ask of the agent. */
#include "base/alloc.h"
#include "plugin/manifest_read.h"

static otr_code read_publish(const otr_node *node, otr_manifest *m, otr_err *err)
{
    otr_free(m->publish);
    m->publish = NULL;
    return otr_manifest_patterns(node, "grants.publish", &m->publish, err);
}

static otr_code read_kv(const otr_node *node, otr_manifest *m, otr_err *err)
{
    return otr_node_as_bytes(node, &m->kv_bytes, err);
}

static otr_code read_http(const otr_node *node, otr_manifest *m, otr_err *err)
{
    return otr_http_grants_read(node, &m->http, err);
}

otr_code otr_manifest_grants(const otr_node *entry, otr_manifest *m, otr_err *err)
{
    static const char *const known[] = { "publish", "kv_bytes", "http", NULL };
    static otr_code (*const readers[])(const otr_node *, otr_manifest *,
                                       otr_err *) = { read_publish, read_kv, read_http };
    _Static_assert(OTR_COUNT(readers) + 1 == OTR_COUNT(known), "a reader for each key");
    const otr_node *grants = otr_node_get(entry, "grants");
    otr_code rc = OTR_OK;
    if ((m->publish = otr_calloc(1, sizeof(*m->publish))) == NULL) {
        return otr_fail_nomem(err);
    }
    if (grants == NULL) {
        return OTR_OK;
    }
    rc = otr_manifest_kind(grants, OTR_NODE_MAP, "grants", err);
    rc = rc == OTR_OK ? otr_node_only(grants, known, err) : rc;
    for (size_t i = 0; rc == OTR_OK && i < OTR_COUNT(readers); i++) {
        const otr_node *node = otr_node_get(grants, known[i]);
        rc = node != NULL ? readers[i](node, m, err) : OTR_OK;
    }
    return rc;
}
