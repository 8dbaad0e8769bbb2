/*
 * What NGINX's variables may look like in an access log: which bytes, how many, and whether a
 * client can put line ends into them.
 *
 * A variable that is not listed may hold anything that the format's escaping lets through. Sets are
 * rather too large than too small: one that misses a byte would make a line of NGINX look wrong.
 *
 * Thread: any; the table is constant.
 */
#ifndef OTR_NGINX_LOG_VALUES_H
#define OTR_NGINX_LOG_VALUES_H

#include <stdbool.h>

#include "base/base.h"

typedef enum otr_log_shape {
    OTR_LOG_STATUS,   /* three digits: the one that is looked for */
    OTR_LOG_TEXT,     /* anything, without line ends also when it is not escaped */
    OTR_LOG_ANYTHING, /* as TEXT, but not escaped it may hold line ends */
    OTR_LOG_REQUEST,  /* TEXT: the request line as it came, or "" */
    OTR_LOG_HEADER,   /* TEXT: a request header; none of them is read after a malformed line */
    OTR_LOG_SET,      /* bytes of a set, also none */
    OTR_LOG_SET_SOME, /* bytes of a set, at least one */
    OTR_LOG_SECONDS,  /* digits, a point and three digits */
    OTR_LOG_TEMPLATE, /* '0' is a digit, 'A' a letter, '+' a sign, others stand for themselves */
} otr_log_shape;

typedef struct otr_log_value {
    const char *name; /* without '$', lower case */
    otr_log_shape shape;
    const char *set; /* of SET and SET_SOME: bytes, "a-z" for a range; or the template */
} otr_log_value;

/* Never NULL; `name` in any case, as NGINX takes it. */
const otr_log_value *otr_log_value_of(otr_bytes name);

/* Is `byte` in a set of the table's kind? */
bool otr_log_set_has(const char *set, uint8_t byte);

#endif
