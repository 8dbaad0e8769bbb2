/*
 * The times in the lines of an access log: where a format has them, and what was read.
 *
 * A time is read where its place is beyond doubt: behind a byte of the format that no value can
 * hold (its marks, see compiled.h), or behind the start of the line, with nothing in between but
 * values whose end can be seen. What cannot be read so is not read: it is unknown, never 0.
 *
 * Thread: a plan is constant once made; the times belong to their owner.
 */
#ifndef OTR_NGINX_LOG_TIMES_H
#define OTR_NGINX_LOG_TIMES_H

#include <stdbool.h>

#include "base/base.h"
#include "base/histogram.h"

typedef enum otr_log_time {
    OTR_LOG_REQUEST_TIME,     /* $request_time */
    OTR_LOG_UPSTREAM_CONNECT, /* $upstream_connect_time: of each server that was tried, … */
    OTR_LOG_UPSTREAM_HEADER,  /* … as the other two of an upstream */
    OTR_LOG_UPSTREAM_RESPONSE,
    OTR_LOG_TIMES /* how many there are; also: none of them */
} otr_log_time;

enum { OTR_LOG_CLASSES = 5 };

/* Of the responses that were counted, as far as their lines tell. */
typedef struct otr_log_times {
    otr_histogram requests[OTR_LOG_CLASSES]; /* by class of status */
    otr_histogram upstreams[OTR_LOG_TIMES];  /* [OTR_LOG_REQUEST_TIME] stays empty */
} otr_log_times;

bool otr_log_times_any(const otr_log_times *times); /* was one told? */
void otr_log_times_merge(otr_log_times *times, const otr_log_times *other);

/* ---- of one format; private to this folder ---- */

typedef enum otr_log_step_kind {
    OTR_LOG_STEP_MARKS,   /* to behind the n-th mark from here */
    OTR_LOG_STEP_TEXT,    /* stands there */
    OTR_LOG_STEP_SKIP,    /* n bytes of any kind */
    OTR_LOG_STEP_SET,     /* as many bytes of the set as there are */
    OTR_LOG_STEP_SECONDS, /* one time or a list of them */
    OTR_LOG_STEP_END      /* of the line */
} otr_log_step_kind;

typedef struct otr_log_step {
    otr_log_step_kind kind;
    unsigned n;
    otr_bytes text;
    const char *set;
    otr_log_time time; /* of SECONDS: what it is, OTR_LOG_TIMES: it is passed over */
} otr_log_step;

enum { OTR_LOG_STEPS = 48 };

typedef struct otr_log_plan {
    size_t n; /* 0: no time can be read */
    uint8_t mark;
    bool json;      /* a mark behind a backslash is none */
    unsigned known; /* bits by otr_log_time: those that are read */
    otr_log_step steps[OTR_LOG_STEPS];
} otr_log_plan;

/* Reads the line [begin, end) of a response of `class` (0: 1xx) into `times`. */
void otr_log_plan_read(const otr_log_plan *plan, const uint8_t *begin, const uint8_t *end,
                       unsigned class, otr_log_times *times);

/* Behind the n-th mark from `p` on in a line that begins at `begin`; NULL when there are fewer. */
const uint8_t *otr_log_behind_mark(const uint8_t *begin, const uint8_t *p, const uint8_t *end,
                                   uint8_t mark, bool json, unsigned n);

#endif
