/*
 * The program that a regular expression is compiled to. Private to regex*.c.
 *
 * Jumps are relative, so that a part of a program can be moved and copied.
 *
 * Thread: any; immutable once made.
 */
#ifndef OTR_NGINX_STATUS_REGEX_STEPS_H
#define OTR_NGINX_STATUS_REGEX_STEPS_H

#include "nginx/status/regex.h"

typedef enum otr_regex_op {
    OTR_STEP_SET,    /* one byte of a set */
    OTR_STEP_EITHER, /* to a or b; samples prefer b when `late` */
    OTR_STEP_JUMP,   /* to a */
    OTR_STEP_BEGIN,  /* only at the start */
    OTR_STEP_END,    /* only at the end */
    OTR_STEP_DONE,
} otr_regex_op;

typedef struct otr_regex_step {
    otr_regex_op op;
    bool late;
    int a, b;        /* relative to this otr_regex_step */
    uint8_t set[32]; /* a bit a byte */
} otr_regex_step;

struct otr_regex {
    otr_regex_step *steps;
    size_t n;
};

static inline bool otr_regex_has(const uint8_t *set, unsigned byte)
{
    return ((unsigned)set[byte / 8] >> (byte % 8) & 1U) != 0;
}

static inline void otr_regex_put(uint8_t *set, unsigned byte)
{
    set[byte / 8] |= (uint8_t)(1U << (byte % 8));
}

#endif
