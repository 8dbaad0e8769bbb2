/*
 * Access-log lines to status counts: the log_formats of a file compiled to a scanner.
 *
 * $status is looked for, and the times of those lines that have one (times.h). A line is counted
 * when every way to read it by the file's formats gives a status of the same class, whatever
 * clients and upstreams put into the values; what fits no format, or can be read as two classes, is
 * unparsed. Where NGINX escapes quotes and control bytes inside values (escape=default and json),
 * those of the format itself tell the values apart: the scanner counts them (memchr; no line is
 * copied). Any other format is read by an automaton that knows which bytes each variable can hold.
 *
 * Thread: compiled formats may be shared between threads, but for ref and unref; counts and lines
 * belong to their owner.
 */
#ifndef OTR_NGINX_LOG_FORMAT_H
#define OTR_NGINX_LOG_FORMAT_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "nginx/log/errors.h"
#include "nginx/log/times.h"

typedef struct otr_log_counts {
    uint64_t lines;         /* all of them */
    uint64_t responses[5];  /* 1xx … 5xx */
    uint64_t unparsed;      /* of `lines`: without a status that is beyond doubt */
    uint64_t ambiguous;     /* of `unparsed`: can be read in two ways */
    uint32_t started[5];    /* lines of requests whose other lines are still to come; kept when the
                               rest is taken */
    otr_log_times *times;   /* where their times go; NULL: nowhere. Kept, too */
    otr_log_errors *errors; /* the same for what lines of an error log tell */
} otr_log_counts;

typedef enum otr_log_use { OTR_LOG_COUNTED, OTR_LOG_NOT_COUNTED } otr_log_use;

/* One format of a file: the text of a log_format, "escape=none " in front if it has that; NULL:
 * "combined". Lines of a format that is not counted give no responses. */
typedef struct otr_log_format {
    const char *text;
    otr_log_use use;
    unsigned repeats; /* lines that one request makes; 0 as 1 */
} otr_log_format;

typedef struct otr_log_formats otr_log_formats; /* all of one file, compiled */

/* A format that cannot be decided is no error: see otr_log_formats_doubt(). Of two with one text
 * the first is taken. OTR_EQUOTA past OTR_LIMIT_NGINX_LOG_FORMATS. */
otr_code otr_log_formats_new(const otr_log_format *formats, size_t n, otr_log_formats **ret,
                             otr_err *err) OTR_MUST_CHECK;
/* Of an error log: its lines give no responses. */
otr_code otr_log_formats_new_errors(otr_log_formats **ret, otr_err *err) OTR_MUST_CHECK;
otr_log_formats *otr_log_formats_ref(otr_log_formats *formats);
void otr_log_formats_unref(otr_log_formats *formats); /* NULL is fine */
bool otr_log_formats_are(const otr_log_formats *formats, const otr_log_format *others, size_t n);

/* Why no line of the file can be decided, so that all are unparsed; NULL when lines can be. */
const char *otr_log_formats_doubt(const otr_log_formats *formats);
/* Can lines give responses: is one of the formats counted, and can it be decided? */
bool otr_log_formats_count(const otr_log_formats *formats);

/* Which times can be read, as bits by otr_log_time. Where a file has lines of several formats, or
 * lines are longer than the reader's buffer, none are. */
unsigned otr_log_formats_times(const otr_log_formats *formats);

/* Counts every complete line of `data` into `counts` and returns the bytes they take: what follows
 * the last line end is not touched. */
size_t otr_log_formats_scan(const otr_log_formats *formats, otr_bytes data, otr_log_counts *counts);

/* A line that comes in pieces, of any length. */
typedef struct otr_log_line otr_log_line;

otr_code otr_log_line_new(const otr_log_formats *formats, otr_log_line **ret, otr_err *err)
    OTR_MUST_CHECK;
void otr_log_line_free(otr_log_line *line);                  /* NULL is fine */
void otr_log_line_feed(otr_log_line *line, otr_bytes piece); /* without the line end */
void otr_log_line_end(otr_log_line *line, otr_log_counts *counts);

#endif
