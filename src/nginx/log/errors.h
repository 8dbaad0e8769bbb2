/*
 * A line of an error log: its level, and its cause where that is a known one.
 *
 * A message holds what clients sent (paths, names), mostly in quotes and behind ", client: ".
 * Causes are told by words of NGINX's own that stand before any of that, or by its level, which no
 * client chooses. Whole lines can be forged nonetheless: NGINX writes a line feed of a decoded URI
 * as it is. So these counts are for people and alerts; nothing may be permitted by them.
 *
 * Thread: any.
 */
#ifndef OTR_NGINX_LOG_ERRORS_H
#define OTR_NGINX_LOG_ERRORS_H

#include <stdbool.h>

#include "base/base.h"

typedef enum otr_error_level { /* worst first */
                               OTR_ERROR_EMERG,
                               OTR_ERROR_ALERT,
                               OTR_ERROR_CRIT,
                               OTR_ERROR_ERROR,
                               OTR_ERROR_WARN,
                               OTR_ERROR_NOTICE,
                               OTR_ERROR_INFO,
                               OTR_ERROR_DEBUG,
                               OTR_ERROR_LEVELS,
} otr_error_level;

typedef enum otr_error_cause {
    OTR_CAUSE_OTHER, /* none of those below */
    OTR_CAUSE_UPSTREAM_TIMED_OUT,
    OTR_CAUSE_UPSTREAM_CLOSED,
    OTR_CAUSE_UPSTREAM_REFUSED,
    OTR_CAUSE_UPSTREAM_RESET,
    OTR_CAUSE_UPSTREAM_HEADER,
    OTR_CAUSE_UPSTREAM_SSL,
    OTR_CAUSE_NO_LIVE_UPSTREAMS,
    OTR_CAUSE_WORKER_CONNECTIONS,
    OTR_CAUSE_OPEN_FILES,
    OTR_CAUSE_SHARED_MEMORY,
    OTR_CAUSE_DISK_FULL,
    OTR_CAUSE_WORKER_DIED,
    OTR_CAUSE_SSL_HANDSHAKE,
    OTR_CAUSE_BODY_TOO_LARGE,
    OTR_CAUSE_BUFFERED_TO_DISK,
    OTR_CAUSE_LIMITED,
    OTR_CAUSE_FORBIDDEN,
    OTR_CAUSE_NOT_AUTHORIZED,
    OTR_CAUSE_FILE,
    OTR_CAUSE_REDIRECT_CYCLE,
    OTR_CAUSES,
} otr_error_cause;

typedef struct otr_error_line {
    otr_error_level level;
    otr_error_cause cause;
} otr_error_line;

/* `line` is without its end. False: it does not begin as NGINX begins a line ("YYYY/MM/DD HH:MM:SS
 * [level] PID#TID: "): the rest of a longer message, or not of NGINX; `ret` is then untouched. */
bool otr_error_line_read(otr_bytes line, otr_error_line *ret);
const char *otr_error_level_name(otr_error_level level); /* "emerg" … */
const char *otr_error_cause_name(otr_error_cause cause); /* "upstream_timed_out" …, "other" */

#endif
