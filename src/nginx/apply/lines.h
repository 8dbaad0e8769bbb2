/*
 * Lines that NGINX writes about itself: to a terminal ("nginx: [emerg] …") and to error logs
 * ("2026/01/02 03:04:05 [crit] 17#17: *3 …"), and the place in a file that they end with.
 *
 * Foreign input: any bytes.
 *
 * Thread: any.
 */
#ifndef OTR_NGINX_APPLY_LINES_H
#define OTR_NGINX_APPLY_LINES_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/base.h"
#include "base/err.h"
#include "nginx/apply/result.h"
#include "nginx/line.h"

typedef struct otr_line { /* borrows from the line */
    otr_level level;
    pid_t pid;       /* 0: the line names none */
    bool connection; /* it is about one connection ("*3"), not about NGINX itself */
    otr_bytes text;  /* behind all of that, without " in FILE:LINE" */
    otr_bytes file;  /* empty: it names none */
    unsigned number; /* of the line in that file */
} otr_line;

/* `line` without its end. False: it is none of NGINX's, or is cut. */
bool otr_line_parse(otr_bytes line, otr_line *ret);
/* Adds it, texts escaped. */
otr_code otr_findings_add_line(otr_findings *findings, const otr_line *line, otr_err *err)
    OTR_MUST_CHECK;
/* The first line of `*rest`, which is then what follows it; false: there is none. A last line
 * without an end counts. */
bool otr_line_next(otr_bytes *rest, otr_bytes *ret);

#endif
