#include "nginx/log/access.h"

#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "nginx/files.h"
#include "nginx/log/tail.h"

enum { EVENT_BYTES = 4096 };

struct otr_access_log {
    otr_access_log *next;
    otr_access_logs *logs;
    otr_log_tail tail;    /* the job's while one runs */
    otr_log_counts ready; /* the loop's */
    int watch;            /* inotify descriptor of its folder; -1: none */
    bool closed;
};

struct otr_access_logs {
    otr_loop *loop;
    otr_strand *strand;
    otr_access_log *first; /* the job walks it */
    otr_access_log *added; /* while a job ran */
    int inotify;           /* -1: not to be had */
    otr_watch *watch;
    bool running, again, freed;
    otr_loop_fn *done, *next_done;
    void *arg, *next_arg;
};

/* ---- life ---- */

static void free_log(otr_access_log *log)
{
    otr_log_tail_deinit(&log->tail);
    otr_free(log);
}

/* Logs that were opened during a job join the others. */
static void merge_added(otr_access_logs *logs)
{
    while (logs->added != NULL) {
        otr_access_log *log = logs->added;
        logs->added = log->next;
        log->next = logs->first;
        logs->first = log;
    }
}

static void destroy(otr_access_logs *logs)
{
    merge_added(logs);
    while (logs->first != NULL) {
        otr_access_log *log = logs->first;
        logs->first = log->next;
        free_log(log);
    }
    otr_free(logs);
}

/* Something was renamed or made beside a log: read now, while the renamed file is at hand. */
static void on_change(void *arg, int events)
{
    (void)events;
    otr_access_logs *logs = arg;
    char bytes[EVENT_BYTES];
    while (read(logs->inotify, bytes, sizeof(bytes)) > 0) {
    }
    otr_access_logs_read(logs, logs->again ? logs->next_done : NULL,
                         logs->again ? logs->next_arg : NULL);
}

/* Without inotify a rotation is found by the next read. */
static void open_inotify(otr_access_logs *logs)
{
    otr_err err;
    logs->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (logs->inotify >= 0 && otr_watch_new(logs->loop, logs->inotify, OTR_WATCH_READ, on_change,
                                            logs, &logs->watch, &err) != OTR_OK) {
        close(logs->inotify);
        logs->inotify = -1;
    }
    if (logs->inotify < 0) {
        otr_log_debug("no inotify: log rotation is found at the next sample");
    }
}

otr_code otr_access_logs_new(otr_loop *loop, otr_pool *pool, otr_access_logs **ret, otr_err *err)
{
    otr_access_logs *logs = otr_zalloc(sizeof(*logs));
    if (logs == NULL) {
        return otr_fail_nomem(err);
    }
    logs->loop = loop;
    logs->inotify = -1;
    otr_code rc = otr_strand_new(pool, 1, &logs->strand, err);
    if (rc != OTR_OK) {
        otr_free(logs);
        return rc;
    }
    open_inotify(logs);
    *ret = logs;
    return OTR_OK;
}

void otr_access_logs_free(otr_access_logs *logs)
{
    if (logs == NULL) {
        return;
    }
    otr_watch_free(logs->watch);
    if (logs->inotify >= 0) {
        close(logs->inotify);
    }
    logs->freed = true;
    bool running = logs->running;
    otr_strand_free(logs->strand);
    if (!running) {
        destroy(logs); /* else the job's end does it */
    }
}

/* ---- one log ---- */

static int watch_folder(const otr_access_logs *logs, const char *root, const char *path)
{
    char folder[2 * OTR_NGINX_PATH_BYTES];
    const char *slash = strrchr(path, '/');
    if (logs->inotify < 0 || slash == NULL) {
        return -1;
    }
    (void)snprintf(folder, sizeof(folder), "%s%.*s", root, slash > path ? (int)(slash - path) : 1,
                   path);
    return inotify_add_watch(logs->inotify, folder,
                             IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_ONLYDIR);
}

otr_code otr_access_log_open(otr_access_logs *logs, const char *root, const char *path,
                             const char *format, otr_access_log **ret, otr_err *err)
{
    otr_access_log *log = otr_zalloc(sizeof(*log));
    if (log == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = otr_log_tail_init(&log->tail, root, path, format, err);
    if (rc != OTR_OK) {
        otr_free(log);
        return rc;
    }
    log->logs = logs;
    log->watch = watch_folder(logs, root, path);
    otr_access_log **list = logs->running ? &logs->added : &logs->first;
    log->next = *list;
    *list = log;
    *ret = log;
    return OTR_OK;
}

static bool shares_watch(const otr_access_log *list, const otr_access_log *log)
{
    for (const otr_access_log *l = list; l != NULL; l = l->next) {
        if (l != log && !l->closed && l->watch == log->watch) {
            return true;
        }
    }
    return false;
}

/* The folder's watch goes with the last log in it. */
static void unwatch(const otr_access_log *log)
{
    bool shared = shares_watch(log->logs->first, log) || shares_watch(log->logs->added, log);
    if (!shared && log->watch >= 0) {
        inotify_rm_watch(log->logs->inotify, log->watch);
    }
}

static void sweep(otr_access_logs *logs)
{
    for (otr_access_log **at = &logs->first; *at != NULL;) {
        otr_access_log *log = *at;
        if (log->closed) {
            *at = log->next;
            free_log(log);
        } else {
            at = &log->next;
        }
    }
}

void otr_access_log_close(otr_access_log *log)
{
    if (log == NULL) {
        return;
    }
    log->closed = true;
    unwatch(log);
    if (!log->logs->running) {
        sweep(log->logs);
    }
}

otr_log_counts otr_access_log_take(otr_access_log *log)
{
    otr_log_counts counts = log->ready;
    log->ready = (otr_log_counts){ 0 };
    return counts;
}

/* ---- reading ---- */

static bool should_stop(const void *strand)
{
    return otr_worker_should_stop(strand);
}

static otr_code read_job(otr_strand *strand, void *arg)
{
    otr_access_logs *logs = arg;
    uint8_t *buffer = otr_alloc(OTR_LOG_TAIL_BYTES);
    if (buffer == NULL) {
        return OTR_ENOMEM; /* the next read makes up for it */
    }
    for (otr_access_log *log = logs->first; log != NULL; log = log->next) {
        if (!otr_worker_should_stop(strand)) {
            otr_log_tail_read(&log->tail, buffer, should_stop, strand);
        }
    }
    otr_free(buffer);
    return OTR_OK;
}

static void collect(otr_access_log *log)
{
    otr_log_counts *from = &log->tail.counts, *to = &log->ready;
    to->lines += from->lines;
    to->unparsed += from->unparsed;
    for (size_t i = 0; i < OTR_COUNT(to->responses); i++) {
        to->responses[i] += from->responses[i];
    }
    *from = (otr_log_counts){ 0 };
}

static void on_read(void *arg, otr_code rc)
{
    (void)rc;
    otr_access_logs *logs = arg;
    logs->running = false;
    if (logs->freed) {
        destroy(logs);
        return;
    }
    for (otr_access_log *log = logs->first; log != NULL; log = log->next) {
        collect(log);
    }
    merge_added(logs);
    sweep(logs);
    otr_loop_fn *done = logs->done;
    void *done_arg = logs->arg;
    if (logs->again) {
        logs->again = false;
        otr_access_logs_read(logs, logs->next_done, logs->next_arg);
    }
    if (done != NULL) {
        done(done_arg);
    }
}

void otr_access_logs_read(otr_access_logs *logs, otr_loop_fn *done, void *arg)
{
    if (logs->running) {
        logs->again = true;
        logs->next_done = done;
        logs->next_arg = arg;
        return;
    }
    logs->done = done;
    logs->arg = arg;
    logs->running = true;
    otr_err err;
    if (otr_worker_submit(logs->strand, read_job, on_read, logs, &err) != OTR_OK) {
        logs->running = false;
        otr_log_debug("cannot read access logs now", "err", err.msg);
        if (done != NULL) {
            done(arg);
        }
    }
}
