/*
 * The error logs of an NGINX: which there are, and what is added to them from now on.
 *
 * Thread: one at a time; calls block.
 */
#ifndef OTR_NGINX_APPLY_ERRLOGS_H
#define OTR_NGINX_APPLY_ERRLOGS_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "nginx/apply/lines.h"
#include "nginx/apply/seal.h"
#include "nginx/files.h"
#include "nginx/root.h"

typedef struct otr_error_logs { /* zeroed at start */
    char **files;               /* absolute, ends with NULL */
    char **others;              /* "stderr", "syslog:…": what cannot be read; ends with NULL */
    otr_paths read;             /* the files of the configuration; each once, sorted */
    otr_seal *seal;             /* of the last otr_error_logs_collect() */
} otr_error_logs;

typedef struct otr_error_logs_spec {
    const otr_root *root;
    const char *config, *prefix; /* absolute */
    const char *global;          /* what -g gave; "" */
    const char *otherwise;       /* the log where the configuration names none; "" */
} otr_error_logs_spec;

/* Adds what the configuration on disk consists of and the logs that it names, on every level, and
 * seals it. What is wrong with it is no failure: what was understood before that counts.
 * OTR_ENOMEM, OTR_EQUOTA.
 */
otr_code otr_error_logs_collect(const otr_error_logs_spec *spec, otr_error_logs *to, otr_err *err)
    OTR_MUST_CHECK;
void otr_error_logs_deinit(otr_error_logs *logs);

typedef struct otr_log_watch otr_log_watch;

/* Watches `files` from their ends on; one that is not there yet, from its beginning. `root` is
 * borrowed for the call. A file that cannot be opened is passed over: `unwatched` is told why. */
typedef otr_code otr_unwatched_fn(void *arg, const char *path, const otr_err *why, otr_err *err);
otr_code otr_log_watch_new(const otr_root *root, char *const *files, otr_unwatched_fn *unwatched,
                           void *arg, otr_log_watch **ret, otr_err *err) OTR_MUST_CHECK;
/* Calls `fn` for each new line of NGINX's. `*ret_missed`: bytes went by that were not looked at, as
 * there were too many. */
typedef otr_code otr_log_line_fn(void *arg, const otr_line *line, otr_err *err);
otr_code otr_log_watch_read(otr_log_watch *watch, otr_log_line_fn *fn, void *arg, bool *ret_missed,
                            otr_err *err) OTR_MUST_CHECK;
void otr_log_watch_free(otr_log_watch *watch); /* NULL is fine */

#endif
