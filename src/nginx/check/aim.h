/*
 * Whether whoever sends a request can choose the host that a text with variables leads to.
 *
 * Thread: one at a time.
 */
#ifndef OTR_NGINX_CHECK_AIM_H
#define OTR_NGINX_CHECK_AIM_H

#include "nginx/check/value.h"

typedef enum otr_aim {
    OTR_AIM_FIXED, /* nobody chooses, as far as is known */
    OTR_AIM_HOST,  /* by the name that is asked for ($host) */
    OTR_AIM_PORT,  /* the port alone */
    OTR_AIM_OPEN,
} otr_aim;

/* `rewrite`: whose groups $1 … are; NULL: those around. `*ret_by`: the variable. */
otr_aim otr_aim_of(otr_look *l, const otr_scope *scope, const otr_node *rewrite, otr_bytes text,
                   otr_bytes *ret_by);
/* Host and port of a text: what stands before a variable that begins with "/" is left. */
otr_bytes otr_place_text(otr_look *l, const otr_scope *scope, otr_bytes text);

#endif
