/*
 * One log_format, compiled: private to this folder.
 *
 * Thread: any; a compiled format is constant.
 */
#ifndef OTR_NGINX_LOG_COMPILED_H
#define OTR_NGINX_LOG_COMPILED_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "nginx/log/automaton.h"
#include "nginx/log/times.h"

typedef enum otr_log_escape {
    OTR_LOG_ESCAPE_DEFAULT, /* quotes, backslashes and bytes outside of ' ' … '~' as \xXX */
    OTR_LOG_ESCAPE_JSON,    /* quotes as \", backslashes as \\, control bytes as \n or \u00XX */
    OTR_LOG_ESCAPE_NONE
} otr_log_escape;

/* The status stands behind a literal with a byte that no value can hold: its mark. */
typedef struct otr_log_marks {
    unsigned n;       /* marks up to the one before the status; 0: there is no such byte */
    uint8_t byte;     /* '"' or a control byte */
    otr_bytes first;  /* what the line begins with */
    otr_bytes lead;   /* of the last literal, what is before its last mark */
    otr_bytes behind; /* and what is behind that mark: the status follows */
    otr_bytes after;  /* literal behind the status */
    bool ends;        /* … is the end of the line */
} otr_log_marks;

/* One way in which NGINX can have come to a line. */
typedef struct otr_log_variant {
    otr_automaton *before; /* all up to the status, or all of it when it has none */
    otr_automaton *after;  /* all behind it; NULL when it has none */
} otr_log_variant;

/* Where a format has the request line and headers: a line that NGINX could read, none that it kept
 * (HTTP/2 can do that), and one that it could not read, after which it reads no header. */
enum { OTR_LOG_VARIANTS = 3 };

typedef struct otr_log_compiled {
    char *text; /* the format without its escape=: literals point into it */
    otr_log_escape escape;
    bool has_status;
    char doubt[160]; /* "" or why no line of a file that has this format can be decided */
    otr_log_marks marks;
    otr_log_variant variants[OTR_LOG_VARIANTS]; /* a line may be of each */
    size_t n_variants;
    otr_log_plan plan; /* where the times are */
} otr_log_compiled;

otr_code otr_log_compile(const char *format, otr_log_compiled *ret, otr_err *err) OTR_MUST_CHECK;
void otr_log_compiled_deinit(otr_log_compiled *c);

#endif
