/*
 * Access logs, followed: what was written to them since the last look, counted by status.
 *
 * Each log is read from its end on; a file that appears later from its start. A rotation is
 * followed: what is left in the renamed file is read first, then the new one from its start; a
 * truncated file is read from its start. Between two reads nothing runs but inotify, which tells
 * of renames and new files (never of plain writes); without inotify the next read finds out.
 * Reading happens on a worker. A line that is not complete yet is read again later and counted
 * once; of a line above OTR_LIMIT_NGINX_LOG_LINE only the end is looked for.
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

typedef struct otr_access_logs otr_access_logs; /* all that are followed */
typedef struct otr_access_log otr_access_log;   /* one file */

otr_code otr_access_logs_new(otr_loop *loop, otr_pool *pool, otr_access_logs **ret, otr_err *err)
    OTR_MUST_CHECK;
/* Closes every log. A read that is under way ends on its own; its `done` is not called. */
void otr_access_logs_free(otr_access_logs *logs);

/* Follows `path` below `root` (as in files.h) in `format` (as in log_format.h; one without a status
 * counts lines only). Existing content is not counted. */
otr_code otr_access_log_open(otr_access_logs *logs, const char *root, const char *path,
                             const char *format, otr_access_log **ret, otr_err *err) OTR_MUST_CHECK;
void otr_access_log_close(otr_access_log *log); /* NULL is fine */

/* Reads every log to its end; `done(arg)` (may be NULL) comes once, later, or at once when there is
 * no memory to read. A call during a read asks for one more: only the last such `done` is kept. */
void otr_access_logs_read(otr_access_logs *logs, otr_loop_fn *done, void *arg);

/* What was counted since the last take, as of the last complete read. */
otr_log_counts otr_access_log_take(otr_access_log *log);

#endif
