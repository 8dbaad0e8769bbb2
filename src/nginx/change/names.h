/*
 * Names: paths of a change, and the hidden names that a transaction gives to files.
 *
 * Thread: any.
 */
#ifndef OTR_NGINX_CHANGE_NAMES_H
#define OTR_NGINX_CHANGE_NAMES_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"

/* How each of our hidden names begins. */
#define OTR_CHANGE_HIDDEN ".outrider-"
enum {
    OTR_CHANGE_ID_BYTES = 33,   /* 32 hex digits and a NUL */
    OTR_CHANGE_NAME_BYTES = 72, /* a hidden name */
};

/* Absolute, clean ("/" alone is not), without "..", control characters and our hidden names, parts
 * of at most 255 bytes. OTR_EINVAL says what is wrong; OTR_EQUOTA: too long. */
otr_code otr_change_path_check(const char *path, otr_err *err) OTR_MUST_CHECK;

typedef enum otr_hidden {
    OTR_HIDDEN_NEW = 'n',  /* the new file before the swap, the old one after an exchange */
    OTR_HIDDEN_OLD = 'o',  /* the old one, where files cannot be exchanged */
    OTR_HIDDEN_KEPT = 'k', /* what somebody else had put in the way */
} otr_hidden;

/* ".outrider-<id>-<kind><n>"; of what is kept ".outrider-kept-<id>-<n>". Returns `out`. */
const char *otr_change_hidden_name(const char *id, otr_hidden kind, size_t n,
                                   char out[OTR_CHANGE_NAME_BYTES]);

/* Random: nobody can have made the name before. */
void otr_change_new_id(char out[OTR_CHANGE_ID_BYTES]);
bool otr_change_is_id(const char *text);
/* May it name a journal? */
bool otr_change_is_instance(const char *text);

#endif
