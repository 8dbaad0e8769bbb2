/*
 * The loop's half of a guest plugin. Internal to src/plugin: guest.c runs it, guest_swap.c changes
 * it.
 *
 *     LOADING ─► RUNNING ─► (trap, deadline, memory) ─► BACKOFF ─► LOADING …
 *        └─► DISABLED (cannot be loaded, or failed too often)
 *
 * Hot reload: a second job loads the new version on a strand of its own while the old one works on.
 * When it is ready the old one drains what was queued by then and the jobs are exchanged; the old
 * one closes in the background. A new version that fails is dropped and the old one stays.
 *
 * Thread: loop.
 */
#ifndef OTR_PLUGIN_GUEST_PLUGIN_H
#define OTR_PLUGIN_GUEST_PLUGIN_H

#include "plugin/guest_job.h"
#include "plugin/internal.h"

enum { OTR_DEAD_LETTERS = 32 };

typedef struct otr_dead_letter {
    otr_msg *msg; /* a reference */
    char *reason; /* owned, or NULL */
    uint64_t at_ns;
    uint64_t number; /* counts up from 1 */
} otr_dead_letter;

typedef struct otr_guest_plugin {
    otr_plugin *p;
    otr_guest_job *job;   /* the one that works */
    otr_guest_job *fresh; /* a new version that loads or waits for the exchange, or NULL */
    otr_manifest *fresh_manifest;
    bool fresh_ready; /* it is loaded: exchange when `drain` messages are done */
    size_t drain;
    unsigned retiring;  /* old jobs that still close */
    otr_timer *timer;   /* back-off, or the end of patience when stopping */
    unsigned failures;  /* in the window */
    unsigned unreached; /* attempts in a row that did not reach the server with the file */
    uint64_t window_ns;
    otr_manifest *next;     /* a changed manifest that waits for its turn */
    bool next_is_new_code;  /* it needs the file to be loaded anew */
    otr_manifest *previous; /* while RECONFIGURE runs: to go back to */
    bool stopping, closed;
    uint64_t stop_deadline_ns;
    bool load_after_drop, disable_after_drop;
    bool off;          /* an operator wants it off: a changed file does not switch it on */
    bool switched_off; /* by an operator while a job ran: what it failed of does not count */
    otr_dead_letter dead[OTR_DEAD_LETTERS]; /* a ring: the latest messages that failed */
    uint64_t n_dead;                        /* ever */
    otr_msg *again[OTR_DEAD_LETTERS];       /* to be replayed, before what the queue holds */
    size_t n_again;
    otr_facts *facts; /* what a fresh sandbox is still to hear; a reference, or NULL: all heard */
    size_t next_fact;
} otr_guest_plugin;

static inline bool otr_guest_busy(const otr_guest_plugin *g)
{
    return g->job->kind != OTR_JOB_NONE;
}

/* guest.c */
void otr_guest_run(otr_guest_plugin *g, otr_guest_job_kind kind);
void otr_guest_pump(
    otr_guest_plugin *g); /* gives the next job to an idle strand, if there is one */
void otr_guest_fail(otr_guest_plugin *g, const otr_err *err, bool permanent);
/* Drops the sandbox, and the code if asked; then loads again or stays off. */
void otr_guest_drop_then(otr_guest_plugin *g, bool load_again, bool drop_code);
/* The job's guest answered to info and subscriptions: subscribe and run. */
otr_code otr_guest_adopt(otr_guest_plugin *g, otr_err *err) OTR_MUST_CHECK;
void otr_guest_check_stopped(otr_guest_plugin *g);

/* guest_dead.c */
/* Keeps what the job just failed to process; before its batch is released. */
void otr_guest_bury(otr_guest_plugin *g);
void otr_guest_forget_dead(otr_guest_plugin *g);

/* guest_facts.c */
/* The sandbox is a fresh one: it will hear the facts before what the queue holds. */
void otr_guest_recall(otr_guest_plugin *g);
otr_msg *otr_guest_next_fact(otr_guest_plugin *g); /* the caller's reference; NULL: heard all */

/* guest_swap.c */
/* Takes up `next`, if it is its turn. True: a job was started or all is under way. */
bool otr_guest_take_next(otr_guest_plugin *g);
/* Exchanges the jobs when the new one is ready and the old one has drained. */
void otr_guest_exchange(otr_guest_plugin *g);
void otr_guest_reconfigured(otr_guest_plugin *g, otr_code rc);
/* Lets the new version go, when there is one. */
void otr_guest_forget_fresh(otr_guest_plugin *g);

#endif
