/*
 * The engine of applies: transactions of many instances, one at a time for each.
 *
 * A request is taken by otr_applier_submit() and ends in exactly one otr_apply_result, on the loop.
 * Per instance one transaction runs and one waits; a newer request takes the place of the one that
 * waits, which ends as superseded. The order of the steps is that of docs/adr/0015-apply.md. Each
 * step has a deadline. Files are the business of nginx/change and are worked on in a strand of the
 * pool; whoever owns the engine (modules/config.c) is asked for what needs plugins, history or
 * metrics, by the calls of otr_apply_host.
 *
 * At start otr_applier_recover() finishes or undoes what the journals tell of, each as a
 * transaction of its own whose `why` is recovery.
 *
 * Thread: loop, except what is marked as worker.
 */
#ifndef OTR_NGINX_APPLY_APPLY_H
#define OTR_NGINX_APPLY_APPLY_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "loop/loop.h"
#include "loop/worker.h"
#include "nginx/apply/result.h"
#include "nginx/instance/instance.h"

struct otr_changes; /* nginx/change */
struct otr_plan;

typedef struct otr_applier otr_applier;
typedef struct otr_apply otr_apply; /* one transaction */

struct otr_apply_progress;
struct otr_histogram;

/* ---- probation ---- */

typedef struct otr_apply_probe {
    const char *url;     /* http://, https:// or unix: (net/http/client.h) */
    unsigned status;     /* 0: any of 200 to 399 */
    const char *body;    /* an extended regular expression that must be found; NULL: none */
    uint64_t timeout_ms; /* 0: OTR_LIMIT_APPLY_PROBE_MS */
} otr_apply_probe;

typedef struct otr_apply_probation {
    const otr_apply_probe *probes;
    size_t n_probes;
    uint64_t watch_ms;         /* of traffic and repeated probes; 0: each probe once, no traffic */
    unsigned most_5xx_percent; /* share of 5xx that ends it, in points above the one before; 0:
                                  it is not judged */
    unsigned most_slower_percent; /* 90th percentile of request times that ends it, in percent
                                     above the one before; 0: it is not judged */
    unsigned least_requests;      /* with fewer the traffic says nothing */
} otr_apply_probation;

/* Answers of an instance by its access logs; borrowed until return to the loop. */
typedef struct otr_apply_traffic {
    bool known;                    /* an access log is read */
    uint64_t requests, errors_5xx; /* counted since some time: a difference of two is a window */
    uint64_t window_requests, window_5xx; /* in the time before: what is usual */
    /* Request times, counted in the same two ways; NULL: no line told one. */
    const struct otr_histogram *times, *window_times;
} otr_apply_traffic;

/* ---- requests ---- */

typedef struct otr_apply_request { /* copied but for `set` */
    const otr_nginx_instance *instance;
    /* Taken on success. */
    struct otr_changes *set;
    otr_apply_who who;
    otr_apply_why why;
    const char *message; /* of the asker; may be NULL */
    const char *of;      /* see otr_apply_result; may be NULL */
    bool dry_run;        /* plan, impact and policy only */
    otr_apply_probation probation;
    /* A step begins, ends or says something. Optional. */
    void (*progress)(void *arg, const struct otr_apply_progress *progress);
    /* Exactly once, never from inside otr_applier_submit(). `result` is borrowed until return. */
    void (*done)(void *arg, const otr_apply_result *result);
    void *arg;
} otr_apply_request;

typedef enum otr_apply_state {
    OTR_APPLY_BEGINS,
    OTR_APPLY_DONE,
    OTR_APPLY_BROKEN,
    OTR_APPLY_SAYS, /* `text` within a step */
} otr_apply_state;

typedef struct otr_apply_progress { /* borrowed until return */
    const char *id;                 /* transaction */
    const char *instance;           /* id */
    const otr_apply_who *who;
    otr_apply_step step;
    otr_apply_state state;
    uint64_t ms;      /* of a step that ended */
    const char *text; /* "" or a sentence */
} otr_apply_progress;

/* ---- the owner ---- */

typedef enum otr_apply_verdict {
    OTR_APPLY_ALLOW,
    OTR_APPLY_DENY,
    OTR_APPLY_NO_ANSWER, /* it could not be asked, and without an answer nothing is done */
} otr_apply_verdict;

/* What is being weighed and asked about; borrowed until return. */
typedef struct otr_apply_view {
    const char *id; /* transaction */
    const otr_nginx_instance *instance;
    const otr_root *root; /* how its files are read */
    const struct otr_changes *set;
    const struct otr_plan *plan;
    const otr_apply_result *result; /* so far: files, impact; loop calls only */
    const otr_apply_request *request;
} otr_apply_view;

typedef struct otr_apply_host {
    /* Worker. What does the change mean? `*ret` is the host's and goes to ask() or drop(); into
     * `impact` its JSON, into `diff` (for a dry run) its text. A failure is a remark. Optional. */
    otr_code (*weigh)(void *arg, const otr_apply_view *view, void **ret, otr_buf *impact,
                      otr_buf *diff, otr_err *err);
    void (*drop)(void *arg, void *weighed); /* any thread; NULL is fine */
    /* May it be done? Owns `weighed` in every case. Answers with otr_apply_answer(), now or later,
     * once. Optional: it may. */
    void (*ask)(void *arg, otr_apply *tx, const otr_apply_view *view, void *weighed);
    /* The transaction waits no longer for an answer, to proceed or to be told: none of these may
     * follow. */
    void (*unask)(void *arg, otr_apply *tx);
    /* Before the first file is touched: drift is told, history keeps the old files. Calls
     * otr_apply_proceed(), now or later, once. Optional. */
    void (*before)(void *arg, otr_apply *tx, const otr_apply_view *view);
    /* All is decided and nothing of it is told yet: history writes it down, adding to `result`
     * what it knows. Calls otr_apply_told(), now or later, once. Optional. */
    void (*after)(void *arg, otr_apply *tx, otr_apply_result *result);
    /* Counts of an instance until now. Optional. */
    void (*traffic)(void *arg, const char *instance, otr_apply_traffic *ret);
    /* Each transaction's beginning and end, whoever asked for it. `progress` too. Optional. */
    void (*begun)(void *arg, const otr_apply_view *view);
    void (*progress)(void *arg, const otr_apply_progress *progress);
    void (*finished)(void *arg, const otr_apply_result *result);
    /* The look for journals is over, and what was found has begun; `err` (NULL: none) says why
     * not. Optional. */
    void (*recovered)(void *arg, const otr_err *err);
    void *arg;
} otr_apply_host;

/* `verdicts`: JSON of the answers, copied; NULL: nobody was asked. */
void otr_apply_answer(otr_apply *tx, otr_apply_verdict verdict, const char *reason,
                      const char *verdicts);
void otr_apply_proceed(otr_apply *tx, const char *remark); /* NULL: nothing to remark */
void otr_apply_told(otr_apply *tx);

/* ---- the engine ---- */

typedef struct otr_applier_settings { /* milliseconds */
    bool enabled;
    uint64_t policy_ms, test_ms, reload_ms, settle_ms, files_ms;
    bool strict; /* watch the error logs for all of reload_ms */
    bool warnings_are_errors;
    const char *const *allowed; /* folders that may be changed; copied */
    size_t most_files;
    uint64_t most_bytes; /* of all contents of one request */
} otr_applier_settings;

typedef struct otr_applier_spec {
    otr_loop *loop;
    otr_pool *pool;
    const char *proc_root;
    const char *state_dir; /* journals stand in "<state_dir>/apply"; made when needed */
    otr_apply_host host;
} otr_applier_spec;

otr_code otr_applier_new(const otr_applier_spec *spec, const otr_applier_settings *settings,
                         otr_applier **ret, otr_err *err) OTR_MUST_CHECK;
otr_code otr_applier_configure(otr_applier *a, const otr_applier_settings *settings, otr_err *err)
    OTR_MUST_CHECK;
/* Undoes or finishes what was interrupted. The files at once; NGINX is reloaded and the proof made
 * when its instance is known: otr_applier_instance(). */
otr_code otr_applier_recover(otr_applier *a, otr_err *err) OTR_MUST_CHECK;
/* An instance is there, or is another process by now; borrowed until return. */
void otr_applier_instance(otr_applier *a, const otr_nginx_instance *instance);
void otr_applier_instance_gone(otr_applier *a, const char *id);

/* OTR_EUNSUP: applies are switched off, or not possible for this instance; OTR_EQUOTA; OTR_EINVAL.
 * `ret_id` receives the transaction's id. */
otr_code otr_applier_submit(otr_applier *a, const otr_apply_request *request,
                            char ret_id[OTR_APPLY_ID_BYTES], otr_err *err) OTR_MUST_CHECK;

typedef struct otr_apply_now { /* what runs; borrowed until the next call */
    const char *id, *instance;
    const otr_apply_who *who;
    otr_apply_step step;
    uint64_t since_ns; /* wall time */
    bool waits;
} otr_apply_now;
/* Each that runs or waits until `fn` returns false. */
void otr_applier_each(const otr_applier *a, bool (*fn)(void *arg, const otr_apply_now *now),
                      void *arg);

/* Takes no more requests; what waits ends as failed; what has not touched files ends; what has is
 * undone, or finished when it is proven. `done` comes when nothing runs any more. */
void otr_applier_stop(otr_applier *a, otr_loop_fn *done, void *arg);
/* Whatever still runs is left to the next start: the journal knows. */
void otr_applier_free(otr_applier *a);

#endif
