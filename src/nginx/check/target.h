/*
 * Where requests are passed to: the parts of what `proxy_pass` and its kin name, and texts with
 * variables.
 *
 * Thread: any.
 */
#ifndef OTR_NGINX_CHECK_TARGET_H
#define OTR_NGINX_CHECK_TARGET_H

#include <stdbool.h>

#include "base/base.h"

typedef struct otr_part { /* of a text */
    otr_bytes text;       /* a variable's name, or text as it stands */
    bool is_variable;
} otr_part;

/* The next part of `*rest`, which is cut; false: there is none. */
bool otr_part_next(otr_bytes *rest, otr_part *ret);
bool otr_has_variable(otr_bytes text);
/* The one variable that `text` is, else nothing. */
otr_bytes otr_only_variable(otr_bytes text);

typedef struct otr_target {
    otr_bytes scheme; /* "http"; a text with variables, or none */
    otr_bytes place;  /* host and port, or "unix:path" */
    otr_bytes host, port;
    otr_bytes uri; /* from its "/" or "?" on */
    bool is_unix;
} otr_target;

otr_target otr_target_of(otr_bytes text);
/* "10.0.0.1", "[::1]": no name that is looked up. */
bool otr_is_address(otr_bytes host);

#endif
