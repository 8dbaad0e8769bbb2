/*
 * A seat: one sandbox on a strand of its own, and one job at a time.
 *
 *     EMPTY ─► LOADING ─► RUNNING ─► (trap, deadline, memory) ─► BACKOFF ─► EMPTY …
 *
 * The seats of a version share its compiled code: one compiles, the others take it. A seat is never
 * taken away in the midst of a job. It *leaves*: it ends the job, closes if it is to, drops its
 * sandbox and is then handed back.
 *
 * A seat runs jobs and leaves; what follows from that is the plugin's to say, which it tells by
 * otr_seat_events and knows nothing else of.
 *
 * Thread: loop.
 */
#ifndef OTR_PLUGIN_GUEST_SEAT_H
#define OTR_PLUGIN_GUEST_SEAT_H

#include "plugin/guest/engines.h"
#include "plugin/guest/job.h"

typedef enum otr_seat_state {
    OTR_SEAT_EMPTY,   /* loads when it may: one compiles, the others wait for its code */
    OTR_SEAT_LOADING, /* the job runs */
    OTR_SEAT_RUNNING,
    OTR_SEAT_BACKOFF, /* failed: dropped, then empty again after its timer */
} otr_seat_state;

typedef enum otr_seat_role {
    OTR_SEAT_AT_WORK,
    OTR_SEAT_FRESH,   /* of a new version */
    OTR_SEAT_LEAVING, /* in `leaving`, until it is handed back */
} otr_seat_role;

typedef struct otr_guest_plugin otr_guest_plugin;
typedef struct otr_guest_seat otr_guest_seat;

/* What a seat tells its plugin. In each the seat may go, and others with it. */
typedef struct otr_seat_events {
    /* The job ended with `rc`; what it left is in `s->job`. */
    void (*done)(otr_guest_seat *s, otr_guest_job_kind kind, otr_code rc);
    void (*not_started)(otr_guest_seat *s, const otr_err *why); /* of otr_seat_run() */
    void (*rested)(otr_guest_seat *s);                          /* its timer has ended */
    /* It has left, and is the plugin's to free. What it took and did not begin is in its batch. */
    void (*left)(otr_guest_seat *s);
} otr_seat_events;

typedef enum otr_leave {
    OTR_LEAVE_BATCH, /* after the messages it took, and close() */
    OTR_LEAVE_CLOSE, /* after its job, and close() */
    OTR_LEAVE_CALL,  /* after the call that runs; no other one is made */
    OTR_LEAVE_NOW,   /* what runs is cut short; no other call is made */
} otr_leave;

/* What all seats of one plugin share. */
typedef struct otr_seat_crew {
    otr_guest_plugin *g; /* whose they are */
    const char *name;    /* the plugin's */
    const otr_seat_events *events;
    otr_loop *loop;
    otr_pool *pool;
    const otr_bus *bus;
    otr_log_budget *budget;    /* the plugin's */
    _Atomic uint64_t *paid_ns; /* the plugin's */
    otr_topic_owner *topics;   /* the plugin's */
    const otr_guest_engines *engines;
    otr_manifest *policy;      /* what the operator wrote last; the plugin's reference */
    otr_guest_seat *leaving;   /* a list */
    bool stopping;             /* no seat begins anything but its end */
    uint64_t stop_deadline_ns; /* monotonic; of `stopping` */
} otr_seat_crew;

struct otr_guest_seat {
    otr_guest_plugin *g;
    otr_seat_crew *crew;
    otr_guest_job *job;
    otr_seat_role role;
    otr_seat_state state;
    otr_timer *timer; /* back-off */
    uint64_t wait_ms; /* of the back-off that begins when the sandbox is dropped */
    size_t number;    /* from 1, for people */
    uint64_t memory_bytes;
    bool has_code;      /* the job's code may be shared */
    otr_err failure;    /* the latest */
    bool take_settings; /* is to be asked to take the plugin's `changing`, or to go back */
    /* leaving */
    otr_leave leave;
    bool closed, dropped;
    otr_guest_seat *next_leaving;
};

/* Seats of one version. */
typedef struct otr_seats {
    otr_guest_seat **items;
    size_t n;
} otr_seats;

static inline bool otr_seat_busy(const otr_guest_seat *s)
{
    return s->job->kind != OTR_JOB_NONE;
}

/* Does nobody else touch its batch? */
static inline bool otr_seat_batch_free(const otr_guest_seat *s)
{
    return s->job->kind != OTR_JOB_PROCESS;
}

/* As many as `m` wants. */
otr_code otr_seats_new(otr_seat_crew *crew, otr_manifest *m, otr_seat_role role, otr_seats *ret,
                       otr_err *err) OTR_MUST_CHECK;
void otr_seat_free(otr_guest_seat *s); /* idle; NULL is fine */
void otr_seats_free(otr_seats *seats); /* idle, all of them */

/* Starts the job. False: it cannot, the plugin was told and `s` may be void. */
bool otr_seat_run(otr_guest_seat *s, otr_guest_job_kind kind);
/* Loads what is empty, as far as it may. */
void otr_seats_load(const otr_seats *seats);
/* All of `seats` leave, and it is empty then. */
void otr_seats_leave(otr_seats *seats, otr_leave how);
/* The same of all but the first `n`. */
void otr_seats_trim(otr_seats *seats, size_t n, otr_leave how);
/* Who leaves already leaves sooner. */
void otr_seats_hurry(otr_seat_crew *crew, otr_leave how);
/* Its job is done: the next step of leaving. */
void otr_seat_leave_on(otr_guest_seat *s);

#endif
