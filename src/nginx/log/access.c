#include "nginx/log/access.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "nginx/log/folders.h"
#include "nginx/log/listing.h"
#include "nginx/log/tail.h"

enum { CHAINS = 4096, NAME_BYTES = 256 };

/* The last of several, the youngest last. */
typedef struct names {
    char *name[OTR_LIMIT_NGINX_LOG_COPIES];
    size_t n;
} names;

struct otr_access_times {
    unsigned refs;
    otr_log_times job;   /* the job's while one runs */
    otr_log_times ready; /* the loop's */
};

typedef struct errors {
    otr_log_errors job;   /* the job's while it reads the log */
    otr_log_errors ready; /* the loop's */
} errors;

struct otr_access_log {
    otr_access_log *next, *prev; /* of all */
    otr_access_log *next_name;   /* in its chain of names */
    otr_access_log *next_job;    /* of the read that is under way */
    otr_access_logs *logs;
    otr_log_folder *folder;
    const char *name;     /* of the file, in tail.path */
    otr_log_tail tail;    /* the job's while it reads this log */
    otr_log_counts ready; /* the loop's, like all below */
    bool readable, dirty, reading, closed;
    names beside;     /* files that were made beside it */
    names job_beside; /* the same for the job */
    otr_access_times *times, *job_times;
    errors *errors; /* NULL: it is no error log. Owned */
    char problem[288];
};

struct otr_access_logs {
    otr_strand *strand;
    otr_log_folders *folders;
    otr_access_log *first;
    otr_access_log *names[CHAINS];
    otr_access_log *job; /* what the read that is under way looks at */
    bool all;            /* it looks at all */
    size_t open;         /* descriptors that are held: the job's while one runs */
    size_t closed_open;  /* of them, closed by the loop during the job */
    bool exhausted;      /* of the last read */
    bool missed;         /* inotify lost something: look at all */
    bool running, again, dirty, freed;
    otr_loop_fn *done, *next_done;
    void *arg, *next_arg;
};

static void start_job(otr_access_logs *logs);

/* ---- names ---- */

static size_t chain_of(const otr_log_folder *folder, const char *name, size_t n)
{
    uint64_t hash = UINT64_C(14695981039346656037) ^ (uint64_t)(uintptr_t)folder; /* FNV-1a */
    for (size_t i = 0; i < n; i++) {
        hash = (hash ^ (uint8_t)name[i]) * UINT64_C(1099511628211);
    }
    return (size_t)(hash % CHAINS);
}

static void clear(names *of)
{
    for (size_t i = 0; i < of->n; i++) {
        otr_free(of->name[i]);
    }
    of->n = 0;
}

/* Without memory a copy is found later, by its name. */
static void keep(names *of, const char *name)
{
    char *copy = otr_strdup(name);
    if (copy == NULL) {
        return;
    }
    if (of->n == OTR_COUNT(of->name)) {
        otr_free(of->name[0]);
        of->n--;
        memmove(&of->name[0], &of->name[1], of->n * sizeof(of->name[0]));
    }
    of->name[of->n++] = copy;
}

/* Every log of this name is to be looked at; `beside` (may be NULL) was made beside it. */
static void soil(otr_access_logs *logs, const otr_log_folder *folder, const char *name, size_t n,
                 const char *beside)
{
    for (otr_access_log *log = logs->names[chain_of(folder, name, n)]; log != NULL;
         log = log->next_name) {
        if (log->folder != folder || strncmp(log->name, name, n) != 0 || log->name[n] != '\0') {
            continue;
        }
        log->dirty = logs->dirty = true;
        if (beside != NULL) {
            keep(&log->beside, beside);
        }
    }
}

/* "a.log.1", "a.log-20261130" and "a-20261130.log" are named after "a.log". */
static void soil_originals(otr_access_logs *logs, const otr_log_folder *folder, const char *name)
{
    const char *last = strrchr(name, '.');
    for (size_t i = 1; name[i] != '\0'; i++) {
        if (strchr(".-_", name[i]) == NULL) {
            continue;
        }
        soil(logs, folder, name, i, name);
        char original[NAME_BYTES];
        if (last != NULL && last > name + i && i + strlen(last) < sizeof(original)) {
            (void)snprintf(original, sizeof(original), "%.*s%s", (int)i, name, last);
            soil(logs, folder, original, i + strlen(last), name);
        }
    }
}

static void on_name(void *arg, otr_log_folder *folder, const char *name)
{
    otr_access_logs *logs = arg;
    if (name == NULL) {
        logs->missed = logs->dirty = true;
    } else if (folder != NULL) {
        soil(logs, folder, name, strlen(name), NULL);
        soil_originals(logs, folder, name);
    } else if (logs->dirty && !logs->running) {
        start_job(logs);
    }
}

static void link_name(otr_access_log *log)
{
    otr_access_log **chain = &log->logs->names[chain_of(log->folder, log->name, strlen(log->name))];
    log->next_name = *chain;
    *chain = log;
}

static void unlink_name(const otr_access_log *log)
{
    otr_access_log **at = &log->logs->names[chain_of(log->folder, log->name, strlen(log->name))];
    while (*at != log) {
        at = &(*at)->next_name;
    }
    *at = log->next_name;
}

/* ---- times ---- */

otr_access_times *otr_access_times_new(void)
{
    otr_access_times *times = otr_zalloc(sizeof(*times));
    if (times != NULL) {
        times->refs = 1;
    }
    return times;
}

void otr_access_times_free(otr_access_times *times)
{
    if (times != NULL && --times->refs == 0) {
        otr_free(times);
    }
}

static otr_access_times *times_ref(otr_access_times *times)
{
    if (times != NULL) {
        times->refs++;
    }
    return times;
}

static void collect_times(otr_access_times *times)
{
    if (times != NULL && otr_log_times_any(&times->job)) {
        otr_log_times_merge(&times->ready, &times->job);
        memset(&times->job, 0, sizeof(times->job));
    }
}

void otr_access_times_take(otr_access_times *times, otr_log_times *ret)
{
    if (otr_log_times_any(&times->ready)) {
        otr_log_times_merge(ret, &times->ready);
        memset(&times->ready, 0, sizeof(times->ready));
    }
}

void otr_access_log_tell_times(otr_access_log *log, otr_access_times *times)
{
    otr_access_times_free(log->times);
    log->times = times_ref(times);
}

unsigned otr_access_log_times(const otr_access_log *log)
{
    return log->readable ? otr_log_formats_times(log->tail.formats) : 0;
}

/* ---- life ---- */

/* Not while the job reads it. */
static void free_log(otr_access_log *log)
{
    otr_access_logs *logs = log->logs;
    *(log->prev != NULL ? &log->prev->next : &logs->first) = log->next;
    if (log->next != NULL) {
        log->next->prev = log->prev;
    }
    size_t open = otr_log_tail_open(&log->tail);
    *(logs->running ? &logs->closed_open : &logs->open) += logs->running ? open : 0 - open;
    otr_log_tail_deinit(&log->tail, NULL);
    clear(&log->beside);
    clear(&log->job_beside);
    otr_access_times_free(log->times);
    otr_access_times_free(log->job_times);
    otr_free(log->errors);
    otr_free(log);
}

static void destroy(otr_access_logs *logs)
{
    while (logs->first != NULL) {
        free_log(logs->first);
    }
    otr_free(logs);
}

otr_code otr_access_logs_new(otr_loop *loop, otr_pool *pool, otr_access_logs **ret, otr_err *err)
{
    otr_access_logs *logs = otr_zalloc(sizeof(*logs));
    if (logs == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = otr_log_folders_new(loop, on_name, logs, &logs->folders, err);
    if (rc == OTR_OK) {
        rc = otr_strand_new(pool, 1, &logs->strand, err);
    }
    if (rc != OTR_OK) {
        otr_log_folders_free(logs->folders);
        otr_free(logs);
        return rc;
    }
    *ret = logs;
    return OTR_OK;
}

void otr_access_logs_free(otr_access_logs *logs)
{
    if (logs == NULL) {
        return;
    }
    for (otr_access_log *log = logs->first; log != NULL; log = log->next) {
        if (!log->closed) {
            otr_log_folders_leave(logs->folders, log->folder);
        }
    }
    otr_log_folders_free(logs->folders);
    logs->freed = true;
    bool running = logs->running;
    otr_strand_free(logs->strand);
    if (!running) {
        destroy(logs); /* else the job's end does it */
    }
}

/* ---- one log ---- */

/* Those that another log has already, or new ones: logs by thousands share a format. */
static otr_code get_formats(const otr_access_logs *logs, const otr_log_format *formats, size_t n,
                            otr_log_formats **ret, otr_err *err)
{
    unsigned looked_at = 0;
    for (const otr_access_log *log = logs->first;
         log != NULL && looked_at < OTR_LIMIT_NGINX_LOG_SHARE; log = log->next, looked_at++) {
        if (otr_log_formats_are(log->tail.formats, formats, n)) {
            *ret = otr_log_formats_ref(log->tail.formats);
            return OTR_OK;
        }
    }
    return otr_log_formats_new(formats, n, ret, err);
}

/* `formats` stay the caller's. */
static otr_code open_log(otr_access_logs *logs, const otr_root *root, const char *path,
                         otr_log_formats *formats, otr_access_log **ret, otr_err *err)
{
    otr_access_log *log = otr_zalloc(sizeof(*log));
    otr_code rc =
        log != NULL ? otr_log_tail_init(&log->tail, root, path, formats, err) : otr_fail_nomem(err);
    if (rc != OTR_OK) {
        otr_free(log);
        return rc;
    }
    const char *slash = strrchr(log->tail.path, '/');
    log->name = slash != NULL ? slash + 1 : log->tail.path;
    log->readable = true;
    log->logs = logs;
    log->folder = otr_log_folders_join(logs->folders, root->path, path);
    link_name(log);
    log->next = logs->first;
    if (logs->first != NULL) {
        logs->first->prev = log;
    }
    logs->first = log;
    *ret = log;
    return OTR_OK;
}

otr_code otr_access_log_open(otr_access_logs *logs, const otr_root *root, const char *path,
                             const otr_log_format *formats, size_t n, otr_access_log **ret,
                             otr_err *err)
{
    otr_log_formats *compiled = NULL;
    otr_code rc = get_formats(logs, formats, n, &compiled, err);
    rc = rc == OTR_OK ? open_log(logs, root, path, compiled, ret, err) : rc;
    otr_log_formats_unref(compiled);
    return rc;
}

otr_code otr_error_log_open(otr_access_logs *logs, const otr_root *root, const char *path,
                            otr_access_log **ret, otr_err *err)
{
    otr_log_formats *formats = NULL;
    errors *counts = otr_zalloc(sizeof(*counts));
    otr_code rc = counts != NULL ? otr_log_formats_new_errors(&formats, err) : otr_fail_nomem(err);
    rc = rc == OTR_OK ? open_log(logs, root, path, formats, ret, err) : rc;
    otr_log_formats_unref(formats);
    if (rc != OTR_OK) {
        otr_free(counts);
        return rc;
    }
    (*ret)->errors = counts;
    return OTR_OK;
}

bool otr_error_log_take(otr_access_log *log, otr_log_errors *ret)
{
    otr_log_errors_add(ret, &log->errors->ready);
    log->errors->ready = (otr_log_errors){ 0 };
    return log->readable;
}

void otr_access_log_close(otr_access_log *log)
{
    if (log == NULL) {
        return;
    }
    unlink_name(log);
    otr_log_folders_leave(log->logs->folders, log->folder);
    log->closed = true;
    if (!log->reading) {
        free_log(log);
    }
}

otr_log_counts otr_access_log_take(otr_access_log *log)
{
    otr_log_counts counts = log->ready;
    log->ready = (otr_log_counts){ 0 };
    return counts;
}

bool otr_access_log_counts(const otr_access_log *log)
{
    return log->readable && otr_log_formats_count(log->tail.formats);
}

const char *otr_access_log_problem(const otr_access_log *log)
{
    return log->problem;
}

bool otr_access_logs_exhausted(const otr_access_logs *logs)
{
    return logs->exhausted;
}

/* ---- reading: the job ---- */

static bool should_stop(const void *strand)
{
    return otr_worker_should_stop(strand);
}

static int by_growth(const void *a, const void *b)
{
    const otr_log_file *x = *(otr_log_file *const *)a, *y = *(otr_log_file *const *)b;
    return (x->grown_ns > y->grown_ns) - (x->grown_ns < y->grown_ns);
}

/* Near the budget those that have been quiet for longest are closed: there is room for others. */
static void close_quiet(otr_access_logs *logs, otr_log_reader *reader)
{
    if (reader->open <= reader->most / 4 * 3) {
        return;
    }
    otr_log_file **files = otr_calloc(reader->open + 1, sizeof(*files));
    size_t n = 0;
    for (otr_access_log *log = logs->job; files != NULL && log != NULL && n < reader->open;
         log = log->next_job) {
        if (log->tail.file.fd >= 0) {
            files[n++] = &log->tail.file;
        }
    }
    if (n > 0) {
        qsort(files, n, sizeof(*files), by_growth);
    }
    for (size_t i = 0; i < n && reader->open > reader->most / 2; i++) {
        otr_log_file_shut(files[i], reader);
    }
    otr_free(files);
}

static otr_code read_job(otr_strand *strand, void *arg)
{
    otr_access_logs *logs = arg;
    otr_log_reader reader = {
        .buffer = otr_alloc(OTR_LOG_BUFFER_BYTES),
        .stop = should_stop,
        .arg = strand,
        .now_ns = otr_now_ns(),
        .wall_ns = otr_wall_ns(),
        .open = logs->open,
        .most = otr_log_descriptors_most(),
    };
    if (reader.buffer == NULL) {
        return OTR_ENOMEM; /* the next read makes up for it */
    }
    for (otr_access_log *log = logs->job; log != NULL && !should_stop(strand);
         log = log->next_job) {
        for (size_t i = 0; i < log->job_beside.n; i++) {
            otr_log_tail_hold(&log->tail, log->job_beside.name[i], &reader);
        }
        otr_log_tail_read(&log->tail, &reader);
    }
    if (logs->all) {
        close_quiet(logs, &reader);
    }
    logs->open = reader.open;
    logs->exhausted = reader.exhausted;
    otr_log_listing_free(reader.listing);
    otr_free(reader.buffer);
    return OTR_OK;
}

/* ---- reading: the loop ---- */

static void collect(otr_access_log *log)
{
    otr_log_counts *from = &log->tail.counts, *to = &log->ready;
    to->lines += from->lines;
    to->unparsed += from->unparsed;
    to->ambiguous += from->ambiguous;
    for (size_t i = 0; i < OTR_COUNT(to->responses); i++) {
        to->responses[i] += from->responses[i];
    }
    if (log->errors != NULL) {
        otr_log_errors_add(&log->errors->ready, &log->errors->job);
        log->errors->job = (otr_log_errors){ 0 };
    }
    otr_log_counts kept = { 0 };
    memcpy(kept.started, from->started, sizeof(kept.started));
    *from = kept;
    const char *doubt = otr_log_formats_doubt(log->tail.formats);
    const char *problem = log->tail.problem[0] != '\0' ? log->tail.problem
                          : doubt != NULL              ? doubt
                                                       : log->tail.note;
    (void)snprintf(log->problem, sizeof(log->problem), "%s%s",
                   problem == doubt && doubt != NULL ? "is not counted: " : "", problem);
    log->readable = log->tail.readable;
}

static void end_job(otr_access_logs *logs)
{
    otr_access_log *next;
    for (otr_access_log *log = logs->job; log != NULL; log = next) {
        next = log->next_job;
        log->next_job = NULL;
        log->reading = false;
        clear(&log->job_beside);
        collect_times(log->job_times);
        otr_access_times_free(otr_steal(&log->job_times));
        if (log->closed) {
            free_log(log);
        } else {
            collect(log);
        }
    }
    logs->job = NULL;
    logs->all = logs->running = false;
    logs->open -= logs->closed_open;
    logs->closed_open = 0;
}

static void on_read(void *arg, otr_code rc)
{
    (void)rc;
    otr_access_logs *logs = arg;
    end_job(logs);
    if (logs->freed) {
        destroy(logs);
        return;
    }
    otr_loop_fn *done = logs->done;
    void *done_arg = logs->arg;
    logs->done = NULL;
    if (logs->again) {
        logs->again = false;
        otr_access_logs_read(logs, logs->next_done, logs->next_arg);
    } else if (logs->dirty) {
        start_job(logs);
    }
    if (done != NULL) {
        done(done_arg);
    }
}

/* What the job is to look at. */
static void list_job(otr_access_logs *logs)
{
    otr_access_log **end = &logs->job;
    for (otr_access_log *log = logs->first; log != NULL; log = log->next) {
        if (!log->closed && (logs->all || log->dirty)) {
            *end = log;
            end = &log->next_job;
            log->reading = true;
            log->dirty = false;
            log->job_beside = log->beside;
            log->beside.n = 0;
            log->job_times = times_ref(log->times);
            log->tail.counts.times = log->times != NULL ? &log->times->job : NULL;
            log->tail.counts.errors = log->errors != NULL ? &log->errors->job : NULL;
        }
    }
    *end = NULL;
    logs->dirty = logs->missed = false;
}

static void start_job(otr_access_logs *logs)
{
    logs->all |= logs->missed;
    if (logs->all) {
        otr_log_folders_renew(logs->folders);
    }
    list_job(logs);
    logs->running = true;
    otr_err err;
    if (otr_worker_submit(logs->strand, read_job, on_read, logs, &err) != OTR_OK) {
        otr_log_debug("cannot read access logs now", "err", err.msg);
        end_job(logs);
        otr_loop_fn *done = logs->done;
        logs->done = NULL;
        if (done != NULL) {
            done(logs->arg);
        }
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
    logs->all = true;
    start_job(logs);
}
