/*
 * What a check found: findings with their place, each once, in the order of the text.
 *
 * A finding that a comment "# outrider: ignore RULE reason" covers is kept and marked.
 *
 * Thread: one at a time.
 */
#ifndef OTR_NGINX_CHECK_REPORT_H
#define OTR_NGINX_CHECK_REPORT_H

#include <stdarg.h>

#include "base/arena.h"
#include "nginx/check/table.h"
#include "nginx/language/conf.h"

typedef enum otr_check_level { OTR_CHECK_NOTE, OTR_CHECK_WARNING, OTR_CHECK_ERROR } otr_check_level;

const char *otr_check_level_name(otr_check_level level); /* "note", "warning", "error" */

typedef struct otr_finding {
    const char *message;
    const char *reason; /* of the comment that keeps it quiet; NULL: none does */
    uint32_t rule;      /* index into the rules */
    uint32_t file;
    uint32_t line, column; /* from 1, in characters; column 0, line 0: not known */
    uint32_t offset;       /* in the file's text */
    otr_check_level level;
    bool unknown; /* nothing is wrong as far as one can tell, but one cannot tell */
} otr_finding;

typedef struct otr_report {
    otr_finding *items;
    size_t n, cap;
    size_t left_out; /* past OTR_LIMIT_NGINX_FINDINGS */
    otr_arena arena;
    otr_table seen;
} otr_report;

void otr_report_deinit(otr_report *report);

typedef struct otr_place_of { /* where a finding stands */
    const otr_node *node;
    const otr_word *word; /* of the node; NULL: all of it */
} otr_place_of;

/* `made`: rule, level and what else is known; message and place are filled in. */
otr_code otr_report_add(otr_report *report, const otr_conf *conf, otr_place_of at,
                        const otr_finding *made, const char *message, otr_err *err) OTR_MUST_CHECK;
void otr_report_sort(otr_report *report);

#endif
