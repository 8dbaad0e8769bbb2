/*
 * Logs, followed: what was written to them since the last look. Of access logs it is counted by
 * status, with the times that it tells; of error logs by level and cause.
 *
 * Each log is read from its end on; a file that appears later from its start. A rotation is
 * followed in every style, see tail.h. A quiet log costs one stat(2) a read: a descriptor is kept
 * only for logs that are written to, and for no more than a share of what the process may have.
 * Between two reads nothing runs but inotify on the logs' folders: only the log that a new or
 * renamed file is named after is looked at. Without inotify the next read finds out. Reading
 * happens on a worker. A line that is not complete yet is read again later and counted once; its
 * length does not matter.
 *
 * Thread: loop.
 */
#ifndef OTR_NGINX_LOG_ACCESS_H
#define OTR_NGINX_LOG_ACCESS_H

#include "base/base.h"
#include "base/err.h"
#include "loop/loop.h"
#include "loop/worker.h"
#include "nginx/log/format.h"
#include "nginx/root.h"

typedef struct otr_access_logs otr_access_logs; /* all that are followed */
typedef struct otr_access_log otr_access_log;   /* one file */

otr_code otr_access_logs_new(otr_loop *loop, otr_pool *pool, otr_access_logs **ret, otr_err *err)
    OTR_MUST_CHECK;
/* Closes every log. A read that is under way ends on its own; its `done` is not called. */
void otr_access_logs_free(otr_access_logs *logs);

/* Times of one or more logs, as one instance has. */
typedef struct otr_access_times otr_access_times;

otr_access_times *otr_access_times_new(void); /* NULL: no memory */
/* The logs that tell into it may still be open: what they tell then goes nowhere. */
void otr_access_times_free(otr_access_times *times); /* NULL is fine */
/* What was told since the last take, as of the last complete read, is added to `ret`. */
void otr_access_times_take(otr_access_times *times, otr_log_times *ret);

/* Follows `path` below `root` (borrowed) in any of `n` formats. Existing content is not
 * counted. */
otr_code otr_access_log_open(otr_access_logs *logs, const otr_root *root, const char *path,
                             const otr_log_format *formats, size_t n, otr_access_log **ret,
                             otr_err *err) OTR_MUST_CHECK;
void otr_access_log_close(otr_access_log *log); /* NULL is fine */

/* The same for an error log: it gives no responses. */
otr_code otr_error_log_open(otr_access_logs *logs, const otr_root *root, const char *path,
                            otr_access_log **ret, otr_err *err) OTR_MUST_CHECK;
/* Adds what an error log told since the last take, as of the last complete read, to `ret`. False:
 * it is not read; what it told before is added all the same. */
bool otr_error_log_take(otr_access_log *log, otr_log_errors *ret);

/* From the next read on its times go to `times`, NULL: nowhere. */
void otr_access_log_tell_times(otr_access_log *log, otr_access_times *times);
/* Which times its lines tell, as bits by otr_log_time. */
unsigned otr_access_log_times(const otr_access_log *log);

/* Reads every log to its end; `done(arg)` (may be NULL) comes once, later, or at once when there is
 * no memory to read. A call during a read asks for one more: only the last such `done` is kept. */
void otr_access_logs_read(otr_access_logs *logs, otr_loop_fn *done, void *arg);

/* What was counted since the last take, as of the last complete read. */
otr_log_counts otr_access_log_take(otr_access_log *log);

/* Does it give status counts: is it read, and can its lines be decided? True before the first read,
 * when they can. */
bool otr_access_log_counts(const otr_access_log *log);
/* "" or what keeps it from being counted or what could not be known of it: goes on "the log …".
 * Valid until the next read ends. */
const char *otr_access_log_problem(const otr_access_log *log);
/* Did the last read want more descriptors than the process may have? Nothing is lost by that: it is
 * read later. */
bool otr_access_logs_exhausted(const otr_access_logs *logs);

#endif
