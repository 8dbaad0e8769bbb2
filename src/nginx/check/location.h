/*
 * Heads of blocks: what a `location` stands for, what an `if` asks.
 *
 * Thread: any.
 */
#ifndef OTR_NGINX_CHECK_LOCATION_H
#define OTR_NGINX_CHECK_LOCATION_H

#include "nginx/check/look.h"
#include "nginx/check/pattern.h"

typedef enum otr_location_kind {
    OTR_LOCATION_PREFIX,
    OTR_LOCATION_EXACT,    /* = */
    OTR_LOCATION_NO_REGEX, /* ^~ */
    OTR_LOCATION_REGEX,    /* ~ */
    OTR_LOCATION_ANY_CASE, /* ~* */
    OTR_LOCATION_NAMED,    /* @ */
} otr_location_kind;

typedef struct otr_location {
    otr_location_kind kind;
    otr_bytes text;
} otr_location;

/* `node` NULL: a location that stands around the file, of which nothing is known. */
otr_location otr_location_of(otr_look *l, const otr_node *node);
bool otr_location_is_regex(const otr_location *location);
void otr_location_pattern(const otr_location *location, otr_pattern *ret);

typedef struct otr_question { /* of an `if` */
    otr_bytes left;           /* "$name" mostly */
    otr_bytes op;             /* "=", "!~*" …; none: is it set? */
    otr_bytes right;
} otr_question;

otr_question otr_question_of(otr_look *l, const otr_node *node);
/* "~", "~*", "!~", "!~*" */
bool otr_question_is_regex(const otr_question *question);
bool otr_question_is_negated(const otr_question *question);
void otr_question_pattern(const otr_question *question, otr_pattern *ret);

#endif
