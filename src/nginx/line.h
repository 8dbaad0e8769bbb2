/*
 * What a line of an error log begins with: "2026/01/02 03:04:05 [crit] 17#17: *3 ".
 *
 * Foreign input: any bytes. NGINX writes some of what clients send as it is, line feeds of a
 * decoded path among it: a client can make a line that looks like one of NGINX's.
 *
 * Thread: any.
 */
#ifndef OTR_NGINX_LINE_H
#define OTR_NGINX_LINE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/base.h"

typedef enum otr_level { /* as NGINX orders them */
                         OTR_LEVEL_STDERR,
                         OTR_LEVEL_EMERG,
                         OTR_LEVEL_ALERT,
                         OTR_LEVEL_CRIT,
                         OTR_LEVEL_ERROR,
                         OTR_LEVEL_WARN,
                         OTR_LEVEL_NOTICE,
                         OTR_LEVEL_INFO,
                         OTR_LEVEL_DEBUG,
                         OTR_LEVELS /* how many there are */
} otr_level;

const char *otr_level_name(otr_level level); /* "emerg" … */

typedef struct otr_line_head {
    otr_level level;
    pid_t pid;       /* of the process that wrote it */
    bool connection; /* it is about one connection ("*3"), not about NGINX itself */
} otr_line_head;

/* Each takes what it finds off the begin of `*line`. False: it is not there; then `*line` may be
 * anywhere in what was. */
bool otr_line_take_time(otr_bytes *line);                     /* "2026/01/02 03:04:05 " */
bool otr_line_take_level(otr_bytes *line, otr_level *ret);    /* "[crit] " */
bool otr_line_take_head(otr_bytes *line, otr_line_head *ret); /* time, level, process */

#endif
