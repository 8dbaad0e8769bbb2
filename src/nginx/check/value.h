/*
 * What a text with variables can come to, and who decides.
 *
 * A variable is followed through `set`, `map`, `geo` and the groups of regular expressions to what
 * a request brings along. Where several values are possible, the answer holds for the worst of
 * them. What is not known (variables of other modules, of scripts) counts as decided by nobody.
 *
 * Thread: one at a time.
 */
#ifndef OTR_NGINX_CHECK_VALUE_H
#define OTR_NGINX_CHECK_VALUE_H

#include "nginx/check/look.h"
#include "nginx/check/pattern.h"

typedef struct otr_value {
    otr_shape shape;
    bool client; /* whoever sends a request chooses it, within `shape` */
    bool host;   /* it is the name that the request asks for ($host) */
    bool raw;    /* a line feed that was sent as %0a may be in it, decoded */
} otr_value;

otr_value otr_value_of(otr_look *l, const otr_scope *scope, otr_bytes text);
/* `name` without "$". */
otr_value otr_value_of_variable(otr_look *l, const otr_scope *scope, otr_bytes name);

/* The same in the second argument of a rewrite, where $1 … are groups of its own pattern. */
otr_value otr_value_in_rewrite(otr_look *l, const otr_scope *scope, const otr_node *rewrite,
                               otr_bytes name);

/* Calls `fn` with each text, itself with variables perhaps, that a variable is set to; false: these
 * are not all values it can have. What the variables in such a text come to,
 * otr_value_in_text() says. */
typedef struct otr_setting {
    otr_bytes text;
    const otr_node *map, *entry; /* NULL: of a `set` */
} otr_setting;
typedef void otr_value_fn(otr_look *l, const otr_setting *setting, void *arg);
bool otr_value_each(otr_look *l, const otr_scope *scope, otr_bytes name, otr_value_fn *fn,
                    void *arg);
otr_value otr_value_in_text(otr_look *l, const otr_scope *scope, const otr_setting *setting,
                            otr_bytes name);

#endif
