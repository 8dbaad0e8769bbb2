/*
 * DER (X.690) as far as certificates and private keys need it: what is one inside the other.
 *
 * Thread: any; texts are borrowed.
 */
#ifndef OTR_NGINX_CHECK_DER_H
#define OTR_NGINX_CHECK_DER_H

#include <stdbool.h>

#include "base/base.h"

enum {
    OTR_DER_INTEGER = 0x02,
    OTR_DER_BITS = 0x03,
    OTR_DER_OCTETS = 0x04,
    OTR_DER_OID = 0x06,
    OTR_DER_UTC_TIME = 0x17,
    OTR_DER_TIME = 0x18,
    OTR_DER_SEQUENCE = 0x30,
    OTR_DER_TAGGED_0 = 0xa0,
    OTR_DER_TAGGED_1 = 0xa1,
};

typedef struct otr_der {
    uint8_t tag;
    otr_bytes all;   /* with tag and length */
    otr_bytes value; /* without */
} otr_der;

/* The next element of `*rest`, which is cut; false: there is none, or it is broken. */
bool otr_der_next(otr_bytes *rest, otr_der *ret);
/* The same, and it must be of `tag`. */
bool otr_der_take(otr_bytes *rest, uint8_t tag, otr_der *ret);
/* Seconds since 1970 of a time; false: it is none. */
bool otr_der_time(const otr_der *time, int64_t *ret);

#endif
