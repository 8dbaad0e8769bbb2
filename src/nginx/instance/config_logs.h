/*
 * Private to config.c: the access logs of a configuration, and which of them stand for requests.
 *
 * NGINX logs a request by the access_log directives of its innermost level that has any; a level
 * with some has nothing of the outer ones, and `off` silences the level it stands in. So each level
 * is a set of lines that its requests write: pairs of a file and a format. Of each set one pair is
 * chosen, and a pair is not chosen when requests of another level would then be counted twice. A
 * level for which that leaves nothing, or not all of its requests, is named in a remark.
 *
 * Thread: one at a time.
 */
#ifndef OTR_NGINX_INSTANCE_CONFIG_LOGS_H
#define OTR_NGINX_INSTANCE_CONFIG_LOGS_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "nginx/instance/config.h"
#include "nginx/language/walk.h"

enum { LOG_LEVEL_NONE = 0 }; /* no access_log of its own; others count from 1 */

typedef struct scan_format {
    char *name, *text;
} scan_format;

typedef struct log_pair { /* a file and one format of lines in it */
    size_t log;
    const char *text;        /* borrowed of a scan_format; NULL: combined; "": not known */
    size_t next;             /* pair of the same log, + 1; 0: none */
    size_t first_by, n_uses; /* in by_pair */
    unsigned repeats;        /* lines a request, the same on every level; 0: not the same */
    bool chosen, dropped;
} log_pair;

typedef struct log_use { /* the access_logs of a level that are alike */
    size_t level, log, pair, order;
    char *format;    /* its name; NULL: combined */
    char *condition; /* of if=; NULL: every request */
    unsigned repeats;
    bool mixed;    /* with different conditions: how many lines a request makes is open */
    bool buffered; /* its lines come late */
} log_use;

typedef struct log_level {
    char *where;              /* "file:line" of its first access_log */
    char *elsewhere;          /* another target than a file that can be followed; NULL: none */
    size_t first_use, n_uses; /* once they are sorted by level */
    size_t n_full, n_part;    /* that could stand for all requests, or for some */
    unsigned hits;            /* chosen pairs */
    bool off, used;           /* used: requests end in it */
} log_level;

typedef struct log_state { /* of a file */
    size_t first_pair;     /* + 1 */
    bool unreadable;       /* now; it may change */
    bool excluded;         /* by the agent's settings */
} log_state;

typedef struct log_scan {
    const otr_nginx_config_spec *spec;
    otr_nginx_config *config; /* logs and remarks go there */
    scan_format *formats;
    size_t n_formats, cap_formats;
    log_level *levels;
    size_t n_levels, cap_levels;
    log_use *uses;
    size_t n_uses, cap_uses;
    log_pair *pairs;
    size_t n_pairs, cap_pairs;
    log_state *states; /* as many as logs */
    size_t cap_logs, cap_states;
    size_t *by_pair; /* uses, sorted by pair */
    uint16_t *table; /* hash of path → log + 1 */
    bool look;       /* files may be opened */
    bool full;       /* there are more logs than are taken */
} log_scan;

/* log_format. */
otr_code otr_log_scan_format(log_scan *s, const otr_directive *d, otr_err *err) OTR_MUST_CHECK;
/* access_log of `*level`, which is made when it is LOG_LEVEL_NONE. */
otr_code otr_log_scan_use(log_scan *s, const otr_directive *d, size_t *level, otr_err *err)
    OTR_MUST_CHECK;
/* Requests end in this level. */
void otr_log_scan_mark(log_scan *s, size_t level);
/* Fills the logs and remarks of the configuration: all is known. */
otr_code otr_log_scan_finish(log_scan *s, otr_err *err) OTR_MUST_CHECK;
void otr_log_scan_deinit(log_scan *s);

/* Of config_choose.c: chooses pairs, and says in remarks what that leaves out. */
otr_code otr_log_scan_choose(log_scan *s, otr_err *err) OTR_MUST_CHECK;

/* Does `path` name a file: no syslog server, memory, variable, device …? */
bool otr_log_is_file(const char *path);
/* Makes `path` absolute as NGINX does. */
otr_code otr_log_path(const otr_nginx_config_spec *spec, const char *path, char **ret, otr_err *err)
    OTR_MUST_CHECK;

#endif
