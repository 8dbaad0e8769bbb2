/*
 * What does not work at the moment, said by whoever finds out, for `outrider status`, the page and
 * the metrics.
 *
 * A problem is about somebody ("" for the agent, else an instance's id) and has a name that stays
 * the same while it lasts ("stub_status", "access_log /var/log/nginx/a.log", "status page"). Its
 * text says what was tried, what came back and what to do. Setting it again changes the text only.
 * A new problem is logged as a warning and its end as information, once each.
 *
 * Thread: loop.
 */
#ifndef OTR_MODULES_PROBLEMS_H
#define OTR_MODULES_PROBLEMS_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"

typedef struct otr_problems otr_problems;

typedef struct otr_problem {
    char *who;  /* an instance's id; "": the agent */
    char *name; /* unique for `who` */
    char *text; /* a sentence for people, UTF-8 */
    uint64_t since_ns;
} otr_problem;

otr_code otr_problems_new(otr_problems **ret, otr_err *err) OTR_MUST_CHECK;
void otr_problems_free(otr_problems *problems); /* NULL is fine */

/* `format` makes the text. Without memory, or past OTR_LIMIT_PROBLEMS, it is counted as missing
 * until it is over; set again, it is listed once there is room. */
void otr_problem_set(otr_problems *problems, const char *who, const char *name, const char *format,
                     ...) OTR_PRINTF(4, 5);
/* It is over; none of this name is fine. */
void otr_problem_clear(otr_problems *problems, const char *who, const char *name);
/* `who` is gone: all of its problems end without a word in the log. */
void otr_problems_forget(otr_problems *problems, const char *who);

/* In the order in which they came up; valid until the next change. */
const otr_problem *otr_problems_list(const otr_problems *problems, size_t *ret_n);
/* Problems that last and found no room; at most OTR_LIMIT_PROBLEMS_MISSED are known. */
uint64_t otr_problems_missing(const otr_problems *problems);

#endif
