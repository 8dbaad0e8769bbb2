/*
 * The loop's half of a guest plugin. Internal to plugin/guest.
 *
 * A plugin has `instances` seats. A seat is one sandbox on a strand of its own; all of them take
 * from the plugin's one queue and share its compiled code. A seat at work is
 *
 *     EMPTY ─► LOADING ─► RUNNING ─► (trap, deadline, memory) ─► BACKOFF ─► EMPTY …
 *
 * and the plugin's state follows from its seats: running when one of them runs, else loading when
 * one of them loads, else in back-off. Failures count for the plugin; too many, or one that trying
 * again cannot help, disable it: then it has no seats.
 *
 * Seats are never taken from the plugin in the midst of a job. They *leave*: a leaving seat ends
 * its job, closes if it is to, drops its sandbox and is freed. Disabling, stopping and hot reload
 * are all of them leaving.
 *
 * Hot reload: fresh seats load the new version while the old ones work on. When all are ready the
 * old ones drain what was queued by then, and leave. A fresh seat that fails takes the others with
 * it and the old ones stay.
 *
 * guest.c: the plugin. seat.c: jobs of a seat and their results. work.c: who takes
 * which message. swap.c: new settings, new versions. hook.c: questions. dead.c:
 * dead letters.
 *
 * Thread: loop.
 */
#ifndef OTR_PLUGIN_GUEST_GUEST_H
#define OTR_PLUGIN_GUEST_GUEST_H

#include "base/digest.h"
#include "plugin/guest/engines.h"
#include "plugin/guest/job.h"
#include "plugin/hook_call.h"
#include "plugin/internal.h"

enum { OTR_DEAD_LETTERS = 32 };

typedef struct otr_dead_letter {
    otr_msg *msg; /* a reference */
    char *reason; /* owned, or NULL */
    uint64_t at_ns;
    uint64_t number; /* counts up from 1 */
} otr_dead_letter;

typedef enum otr_seat_state {
    OTR_SEAT_EMPTY,   /* loads when it may: one compiles, the others wait for its code */
    OTR_SEAT_LOADING, /* the job runs */
    OTR_SEAT_RUNNING,
    OTR_SEAT_BACKOFF, /* failed: dropped, then empty again after its timer */
} otr_seat_state;

typedef enum otr_seat_role {
    OTR_SEAT_AT_WORK,
    OTR_SEAT_FRESH,   /* of a new version */
    OTR_SEAT_LEAVING, /* in `leaving`, until it is freed */
} otr_seat_role;

typedef struct otr_guest_plugin otr_guest_plugin;

typedef struct otr_guest_seat {
    otr_guest_plugin *g;
    otr_guest_job *job;
    otr_seat_role role;
    otr_seat_state state;
    otr_timer *timer; /* back-off */
    uint64_t wait_ms; /* of the back-off that begins when the sandbox is dropped */
    size_t number;    /* from 1, for people */
    uint64_t memory_bytes;
    bool has_code;      /* the job's code may be shared */
    otr_err failure;    /* the latest */
    bool take_settings; /* is to be asked to take `changing`, or to go back */
    /* leaving */
    bool finish_batch, close_wanted, dropped;
    struct otr_guest_seat *next_leaving;
} otr_guest_seat;

/* Seats of one version. */
typedef struct otr_seats {
    otr_guest_seat **items;
    size_t n;
} otr_seats;

typedef struct otr_source_watch otr_source_watch; /* see watch.h */

struct otr_guests {
    otr_plugin_host *host;
    otr_guest_engines engines;
    otr_source_watch *watches; /* owned; a list */
};

struct otr_guest_plugin {
    otr_plugin *p;
    otr_manifest *manifest; /* owned */
    char *version;          /* NULL: it never ran; so abi, sha256 and hooks */
    const char *abi;        /* static */
    char sha256[OTR_SHA256_HEX_BYTES];
    char **hooks;     /* questions it answers; NULL-terminated */
    size_t queue;     /* the capacity it subscribed with */
    size_t running;   /* sandboxes at work */
    bool quarantined; /* disabled by too many failures */
    bool started, stop_wanted, stop_begun;
    uint64_t stop_by_ns; /* monotonic; of stop_wanted */
    bool watch_pending;  /* watch.c: its file may have changed */
    bool watch_again;    /* its signature did: load it though the file is the same */
    struct stat watch_last;
    otr_seats seats;
    otr_seats fresh; /* of a new version, or none */
    otr_manifest *fresh_manifest;
    bool fresh_ready; /* they are loaded: exchange when `drain` messages are done */
    size_t drain;
    otr_guest_seat *leaving;
    size_t down;        /* seats in back-off, as the plugin's reason says */
    otr_timer *timer;   /* the end of patience when stopping */
    unsigned failures;  /* in the window */
    unsigned unreached; /* attempts in a row that did not reach the server with the file */
    uint64_t window_ns;
    otr_manifest *next;     /* a changed manifest that waits for its turn */
    bool next_is_new_code;  /* it needs the file to be loaded anew */
    otr_manifest *changing; /* settings that the seats are being asked to take, or NULL */
    bool refused;           /* one did not: the others go back */
    otr_err refusal;
    struct stat tried; /* the file of the latest load, also of one that failed */
    bool adopted;      /* subscribed as the version at work wants */
    bool waiting;      /* for the plugins in `after:` */
    bool off;          /* an operator wants it off: a changed file does not switch it on */
    bool stopping;
    uint64_t stop_deadline_ns;
    otr_hook_call *first_call, **last_call; /* questions that wait */
    size_t n_calls;
    otr_dead_letter dead[OTR_DEAD_LETTERS]; /* a ring: the latest messages that failed */
    uint64_t n_dead;                        /* ever */
    otr_msg *again[OTR_DEAD_LETTERS];       /* to be replayed, before what the queue holds */
    size_t n_again;
    otr_facts *facts; /* what fresh sandboxes are still to hear; a reference, or NULL: all heard */
    size_t next_fact;
};

static inline otr_guest_plugin *otr_guest_of(otr_plugin *p)
{
    return otr_plugin_state(p);
}

static inline bool otr_seat_busy(const otr_guest_seat *s)
{
    return s->job->kind != OTR_JOB_NONE;
}

/* Does nobody else touch its batch? */
static inline bool otr_seat_batch_free(const otr_guest_seat *s)
{
    return s->job->kind != OTR_JOB_PROCESS;
}

extern const otr_plugin_ops otr_guest_plugin_ops;

/* order.c */
/* The first plugin in `after:` that has not come up yet, or NULL. */
const char *otr_guest_waits_for(const otr_guest_plugin *g);
/* It is to stop by then; it may, when all that came up after it have. */
void otr_guest_want_stop(otr_guest_plugin *g, uint64_t deadline_ns);
bool otr_guest_may_stop(const otr_guest_plugin *g);

/* guest.c */
/* Loads the seats, or waits for the plugins in `after:`. */
void otr_guest_begin(otr_guest_plugin *g);
/* The plugin's state follows from its seats; says so when it changes. */
void otr_guest_derive(otr_guest_plugin *g);
/* All seats leave; the plugin stays off until it is switched on. `quarantined`: by its failures. */
void otr_guest_disable(otr_guest_plugin *g, const char *reason, bool quarantined);
/* Takes name, topics and hooks from a seat that was loaded, and subscribes. */
otr_code otr_guest_adopt(otr_guest_plugin *g, const otr_guest_seat *s, otr_err *err) OTR_MUST_CHECK;
void otr_guest_check_stopped(otr_guest_plugin *g);
/* Another plugin came up or failed to; it may be one that this one waits for. */
void otr_guest_plugin_others_settled(otr_plugin *p);
/* The same texts in the same order; NULL is like nothing. */
bool otr_guest_same_texts(char *const *a, char *const *b);

/* seat.c */
otr_code otr_seats_new(otr_guest_plugin *g, otr_manifest *m, otr_seat_role role, otr_seats *ret,
                       otr_err *err) OTR_MUST_CHECK;
/* All of `seats` leave, and it is empty then. `close_wanted`: after close(). `finish_batch`: after
 * the messages they took. */
void otr_seats_leave(otr_seats *seats, bool close_wanted, bool finish_batch);
/* Loads what is empty, as far as it may. */
void otr_seats_load(otr_guest_plugin *g, otr_seats *seats);
/* Starts the job. False: it cannot, the plugin is disabled and `s` is void. */
bool otr_seat_run(otr_guest_seat *s, otr_guest_job_kind kind);
/* Counts the failure. The seat backs off, or the plugin is disabled: `s` may be void then. */
void otr_seat_fail(otr_guest_seat *s, const otr_err *err);
void otr_seat_free(otr_guest_seat *s); /* idle; NULL is fine */

/* work.c */
/* Gives every idle seat its next job, if there is one. */
void otr_guest_pump(otr_guest_plugin *g);
/* What `from` took and did not begin goes to whoever has room. */
void otr_guest_hand_over(const otr_seats *from, const otr_seats *to);

/* hook.c */
/* Takes the question up (owns `call`), or answers it when there is no room. */
void otr_guest_plugin_ask(otr_plugin *p, otr_hook_call *call);
/* The question that is due, or NULL; it is the caller's then. */
otr_hook_call *otr_guest_take_call(otr_guest_plugin *g);
/* The batch's first `n` are done: answers those of them that were questions. */
void otr_guest_answer_calls(otr_guest_job *job, size_t n);
/* Nobody here will answer: those that wait, also in batches of seats that do not run. */
void otr_guest_fail_calls(otr_guest_plugin *g, const char *why);
void otr_guest_fail_batch(otr_guest_job *job, const char *why);

/* dead.c */
/* Keeps what the job just failed to process; before its batch is released. */
void otr_guest_bury(otr_guest_plugin *g, otr_guest_job *job);
/* Keeps what is left of the batch, which nobody will process. */
void otr_guest_bury_rest(otr_guest_plugin *g, const otr_guest_job *job, const char *reason);
void otr_guest_forget_dead(otr_guest_plugin *g);
otr_code otr_guest_plugin_write_dead(const otr_plugin *p, otr_buf *out, otr_err *err)
    OTR_MUST_CHECK;
otr_code otr_guest_plugin_replay(otr_plugin *p, otr_err *err) OTR_MUST_CHECK;

/* facts.c */
/* There are fresh sandboxes: one of them will hear each fact, before what the queue holds. */
void otr_guest_recall(otr_guest_plugin *g);
otr_msg *otr_guest_next_fact(otr_guest_plugin *g); /* the caller's reference; NULL: heard all */

/* swap.c */
/* Takes up `next`, if it is its turn. */
void otr_guest_take_next(otr_guest_plugin *g);
/* Exchanges the seats when the new ones are ready and the old ones have drained. */
void otr_guest_try_exchange(otr_guest_plugin *g);
/* The gate is closed: what is queued is for the new version. */
bool otr_guest_gate_closed(const otr_guest_plugin *g);
/* A fresh seat has loaded, or not. `s` may be void afterwards. */
void otr_guest_fresh_loaded(otr_guest_seat *s, otr_code rc);
/* RECONFIGURE is done. `s` may be void afterwards. */
void otr_guest_reconfigured(otr_guest_seat *s, otr_code rc);
/* Ends the change of settings when all were asked. */
void otr_guest_check_changed(otr_guest_plugin *g);
/* Lets the new version go, when there is one. */
void otr_guest_forget_fresh(otr_guest_plugin *g);
/* Asks the running guest to take `manifest` (owned), which differs from its own. */
void otr_guest_plugin_reconfigure(otr_plugin *p, otr_manifest *manifest);
/* Loads the file anew, also when it has not changed; off: ends it until it is switched on. */
void otr_guest_plugin_reload(otr_plugin *p);
otr_code otr_guest_plugin_disable(otr_plugin *p, otr_err *err) OTR_MUST_CHECK;
/* Its file is not the one that was loaded. */
bool otr_guest_plugin_stale(otr_plugin *p);

typedef enum otr_file_state {
    OTR_FILE_SAME,  /* it was loaded already, or tried */
    OTR_FILE_OFF,   /* it is not to be loaded: an operator switched the plugin off */
    OTR_FILE_OTHER, /* than the one that was loaded, if any was */
    OTR_FILE_BUSY,  /* a load is under way: ask again */
} otr_file_state;
/* Neither written nor replaced in between, as far as stat(2) tells. */
static inline bool otr_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

otr_file_state otr_guest_plugin_compare(const otr_plugin *p, const struct stat *now);

#endif
