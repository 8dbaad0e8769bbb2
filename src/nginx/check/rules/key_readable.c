#include <sys/stat.h>
#include <unistd.h>

#include "nginx/check/material.h"
#include "nginx/check/rules/rules.h"

static void look(otr_look *l, const otr_spot *spot)
{
    otr_bytes path = otr_arg(l, spot->node, 1);
    const otr_material *m = otr_material_of(l, path);
    if (m == NULL) {
        return;
    }
    if (m->seen != OTR_OK) {
        otr_find_unknown(l, spot->node, 1, "who may read the key %.*s is not known: %s",
                         OTR_S(path), m->why_unseen.msg);
        return;
    }
    unsigned mode = (unsigned)m->mode & 07777U;
    if (!S_ISREG(m->mode)) {
        otr_find_unknown(l, spot->node, 1,
                         "who may read the key %.*s is not known: it is no regular file",
                         OTR_S(path));
    } else if ((mode & 07U) != 0) {
        otr_find(l, spot->node, 1,
                 "the private key %.*s has mode %04o: everybody on this machine may %s it",
                 OTR_S(path), mode, (mode & 02U) != 0 ? "change" : "read");
    } else if ((mode & 020U) != 0) {
        l->level = OTR_CHECK_WARNING;
        otr_find(l, spot->node, 1, "the private key %.*s has mode %04o: its group may change it",
                 OTR_S(path), mode);
    } else if (m->uid != 0 && m->uid != geteuid()) {
        l->level = OTR_CHECK_WARNING;
        otr_find(l, spot->node, 1,
                 "the private key %.*s belongs to user %u, who is neither root nor you",
                 OTR_S(path), (unsigned)m->uid);
    }
}

const otr_rule otr_rule_key_readable = {
    .id = "key-readable",
    .level = OTR_CHECK_ERROR,
    .title = "A private key that others may read",
    .why = "Whoever has the key is this server to every client, and reads what was recorded before "
           "forward secrecy. The master process reads it as root: nobody else has to.",
    .mend = "chown root FILE; chmod 600 FILE, and make a new key if strangers had access.",
    .reference = "https://nginx.org/en/docs/http/configuring_https_servers.html",
    .on = { OTR_D_SSL_CERTIFICATE_KEY, OTR_D_PROXY_SSL_CERTIFICATE_KEY,
            OTR_D_GRPC_SSL_CERTIFICATE_KEY, OTR_D_UWSGI_SSL_CERTIFICATE_KEY },
    .look = look,
};
