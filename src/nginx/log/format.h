/*
 * Access-log lines to status counts: a log_format compiled to a scanner.
 *
 * Only $status is looked for. NGINX escapes quotes and control bytes inside values (escape=default
 * and json), so literals that hold one cannot be imitated by a client: the scanner counts quotes,
 * or finds such a literal directly. Any other format is walked from literal to literal. Everything
 * is memchr and memmem; no line is copied.
 *
 * Thread: a compiled format may be shared; counts belong to their owner.
 */
#ifndef OTR_NGINX_LOG_FORMAT_H
#define OTR_NGINX_LOG_FORMAT_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"

typedef struct otr_log_format otr_log_format;

typedef struct otr_log_counts {
    uint64_t lines;        /* all of them */
    uint64_t responses[5]; /* 1xx … 5xx */
    uint64_t unparsed;     /* of `lines`: without a status where the format has it */
} otr_log_counts;

/* `format` is the text of a log_format, "escape=none " in front if it has that; NULL: "combined".
 * OTR_EUNSUP when it has no $status that can be told apart: lines are still counted then with
 * `*ret` from otr_log_format_lines(). */
otr_code otr_log_format_new(const char *format, otr_log_format **ret, otr_err *err) OTR_MUST_CHECK;
/* A format that only counts lines, all of them unparsed. */
otr_code otr_log_format_lines(otr_log_format **ret, otr_err *err) OTR_MUST_CHECK;
void otr_log_format_free(otr_log_format *format);

/* Counts every complete line of `data` into `counts` and returns the bytes they take: what follows
 * the last line end is not touched. */
size_t otr_log_format_scan(const otr_log_format *format, otr_bytes data, otr_log_counts *counts);

#endif
