/*
 * What error logs tell: their messages by level, and by those causes that operators know.
 *
 * A cause is told by what a message begins with, behind the number of the connection, where nothing
 * of a client's stands; errors.c has the table. A line feed that a client sent in a path begins a
 * line that may look like any other: a count may be too high for that, and never too low.
 *
 * Thread: any; the counts belong to their owner.
 */
#ifndef OTR_NGINX_LOG_ERRORS_H
#define OTR_NGINX_LOG_ERRORS_H

#include <stdbool.h>

#include "base/base.h"
#include "nginx/line.h"

enum { OTR_ERROR_CAUSES = 18 };

typedef struct otr_log_errors {
    uint64_t levels[OTR_LEVELS];
    uint64_t causes[OTR_ERROR_CAUSES];
} otr_log_errors;

const char *otr_error_cause_name(size_t cause); /* "upstream_timed_out" … */

void otr_log_errors_add(otr_log_errors *to, const otr_log_errors *from);

/* Counts a line, given without its end. False: it does not begin as NGINX's do. */
bool otr_log_errors_read(otr_log_errors *errors, otr_bytes line);

#endif
