/*
 * Files with certificates and private keys as `ssl_certificate` and `ssl_certificate_key` name
 * them: until when they are good, and whether they belong together.
 *
 * A key is compared by its public half; where that cannot be had from it (an encrypted key, a kind
 * that is not known here) the answer is that it is not known.
 *
 * Thread: any.
 */
#ifndef OTR_NGINX_CHECK_CERT_H
#define OTR_NGINX_CHECK_CERT_H

#include "base/buf.h"
#include "base/err.h"

enum { OTR_PUBLIC_KEY_BYTES = 32 };

typedef struct otr_public_key {
    bool known;
    uint8_t digest[OTR_PUBLIC_KEY_BYTES]; /* of its kind and its numbers */
} otr_public_key;

typedef struct otr_certs { /* of a file */
    size_t n;
    int64_t not_before; /* the latest one, seconds since 1970 */
    int64_t not_after;  /* the soonest one … */
    size_t soonest;     /* … and which it is, from 1 */
    otr_public_key key; /* of the first one */
} otr_certs;

/* PEM. OTR_EINVAL: there is no certificate in it, or one that is broken. */
otr_code otr_certs_read(otr_bytes pem, otr_certs *ret, otr_err *err) OTR_MUST_CHECK;
/* OTR_EINVAL: there is no key in it. OTR_EUNSUP: it is encrypted, or of a kind that is not known
 * here; `err` says which. */
otr_code otr_key_read(otr_bytes pem, otr_public_key *ret, otr_err *err) OTR_MUST_CHECK;

#endif
