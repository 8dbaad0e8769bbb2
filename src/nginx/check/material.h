/*
 * Files with certificates and keys that a configuration names, each looked at once.
 *
 * They are opened as their NGINX would open them, regular files only (nginx/root.h); who may read a
 * key is seen without reading it.
 *
 * Thread: one at a time; calls block.
 */
#ifndef OTR_NGINX_CHECK_MATERIAL_H
#define OTR_NGINX_CHECK_MATERIAL_H

#include "nginx/check/cert.h"
#include "nginx/check/look.h"

typedef struct otr_material {
    otr_code seen; /* OTR_OK: mode, uid and gid are those of the file */
    mode_t mode;
    uid_t uid;
    otr_code certs_rc, key_rc; /* OTR_OK: `certs`, `key` */
    otr_certs certs;
    otr_public_key key;
    otr_err why_unseen, why_no_certs, why_no_key;
} otr_material;

/* NULL: `path` is no file ("data:…", "engine:…", a variable), or memory is out. */
const otr_material *otr_material_of(otr_look *l, otr_bytes path);

#endif
