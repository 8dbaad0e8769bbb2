/*
 * What a regular expression (PCRE, as NGINX uses it) and its groups can match: which bytes, which
 * first, how many texts at most. Nothing is matched.
 *
 * Each answer is on the safe side: a set never lacks a byte that can occur. A pattern with what is
 * not known here has `known` false, and its groups take anything.
 *
 * Thread: any.
 */
#ifndef OTR_NGINX_CHECK_PATTERN_H
#define OTR_NGINX_CHECK_PATTERN_H

#include "nginx/check/set.h"

enum { OTR_PATTERN_GROUPS = 24, OTR_PATTERN_MANY = 256, OTR_PATTERN_DEPTH = 32 };

typedef struct otr_shape { /* of the texts that a part of a pattern matches */
    otr_set chars, first, last;
    uint32_t texts;          /* how many there are at most; OTR_PATTERN_MANY: no bound is known */
    uint32_t head, tail;     /* fixed bytes that each begins and ends with */
    bool nullable;           /* the empty one is among them */
    bool single;             /* each is one byte long */
    bool fixed;              /* there is one: `head` bytes */
    bool pumps;              /* repeating it can be done in many ways for one text … */
    otr_set pump;            /* … and for a text of one of these bytes alone */
    bool from_start, to_end; /* it is tied to the start, the end */
} otr_shape;

typedef struct otr_group {
    otr_bytes name; /* none: by its number only */
    otr_shape shape;
    otr_set before; /* the byte before it, if there is one */
    bool at_start;  /* there may be none: it can begin the text */
} otr_group;

typedef struct otr_pattern {
    otr_shape shape;
    otr_group groups[OTR_PATTERN_GROUPS]; /* number 1 first */
    uint32_t n_groups;
    bool known;
    bool explodes; /* some text takes time exponential in its length */
} otr_pattern;

typedef enum otr_pattern_case { OTR_PATTERN_EXACT_CASE, OTR_PATTERN_ANY_CASE } otr_pattern_case;

void otr_pattern_read(otr_bytes text, otr_pattern_case how, otr_pattern *ret);

/* A text of which nothing is known. */
otr_shape otr_shape_any(void);
otr_shape otr_shape_empty(void);
otr_shape otr_shape_byte(uint8_t c);
/* `a` and then `b`; one of both. */
otr_shape otr_shape_then(const otr_shape *a, const otr_shape *b);
otr_shape otr_shape_either(const otr_shape *a, const otr_shape *b);

#endif
