#include "nginx/check/material.h"
#include "nginx/check/rules/rules.h"

/* The n-th key is that of the n-th certificate. */
static const otr_node *key_of(otr_look *l, const otr_spot *spot)
{
    const otr_entry *cert = otr_scope_first(l, spot->scope, OTR_D_SSL_CERTIFICATE);
    const otr_entry *key = otr_scope_first(l, spot->scope, OTR_D_SSL_CERTIFICATE_KEY);
    while (cert != NULL && key != NULL && cert->node != spot->node) {
        cert = otr_scope_next(l, spot->scope, cert);
        key = otr_scope_next(l, spot->scope, key);
    }
    return cert != NULL && key != NULL ? key->node : NULL;
}

static void look(otr_look *l, const otr_spot *spot)
{
    const otr_node *node = key_of(l, spot);
    const otr_material *cert = otr_material_of(l, otr_arg(l, spot->node, 1));
    const otr_material *key = node != NULL ? otr_material_of(l, otr_arg(l, node, 1)) : NULL;
    if (cert == NULL || key == NULL || cert->certs_rc != OTR_OK) {
        return;
    }
    otr_bytes path = otr_arg(l, node, 1), of = otr_arg(l, spot->node, 1);
    if (key->key_rc != OTR_OK) {
        otr_find_unknown(l, node, 1, "whether the key %.*s is that of %.*s is not known: %s",
                         OTR_S(path), OTR_S(of), key->why_no_key.msg);
    } else if (!cert->certs.key.known) {
        otr_find_unknown(l, node, 1,
                         "whether the key %.*s is that of %.*s is not known: its kind is not",
                         OTR_S(path), OTR_S(of));
    } else if (memcmp(cert->certs.key.digest, key->key.digest, OTR_PUBLIC_KEY_BYTES) != 0) {
        otr_find(l, node, 1, "the key %.*s is not that of the first certificate in %.*s",
                 OTR_S(path), OTR_S(of));
    }
}

const otr_rule otr_rule_cert_key_mismatch = {
    .id = "cert-key-mismatch",
    .level = OTR_CHECK_ERROR,
    .title = "A private key that is not that of its certificate",
    .why = "NGINX does not start or reload with the two; one of them was renewed or copied without "
           "the other.",
    .mend =
        "Install the pair that was made together, the server's own certificate first in its file.",
    .reference = "https://nginx.org/en/docs/http/configuring_https_servers.html#chains",
    .on = { OTR_D_SSL_CERTIFICATE },
    .look = look,
};
