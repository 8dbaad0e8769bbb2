/*
 * The loop's half of a guest plugin. Internal to plugin/guest.
 *
 * A plugin has `instances` seats (seat.h), which take from its one queue. Its state follows from
 * them: running when one of them runs, else loading when one of them loads, else in back-off.
 * Failures count for the plugin; too many, or one that trying again cannot help, disable it: then
 * it has no seats. Disabling, stopping and hot reload are all of them seats that leave.
 *
 * What the operator wrote last (`crew.policy`) rules every seat, old or new, from the moment of the
 * reload on: policy.c. Which code runs is another matter, and follows when it can.
 *
 * Hot reload: fresh seats load the new version while the old ones work on. When all are ready the
 * old ones drain what was queued by then, and leave. A fresh seat that fails takes the others with
 * it and the old ones stay.
 *
 * The files stand on each other as they stand here, from the ground up: each calls what is above
 * it in this list, and is told by function pointers what comes from below it.
 *
 * Thread: loop.
 */
#ifndef OTR_PLUGIN_GUEST_GUEST_H
#define OTR_PLUGIN_GUEST_GUEST_H

#include "base/digest.h"
#include "plugin/guest/dead.h"
#include "plugin/guest/engines.h"
#include "plugin/guest/seat.h"
#include "plugin/hook_call.h"
#include "plugin/internal.h"

typedef struct otr_source_watch otr_source_watch; /* see watch.h */

struct otr_guests {
    otr_plugin_host *host;
    otr_guest_engines engines;
    otr_source_watch *watches; /* owned; a list */
    otr_dead_room dead;        /* letters of all plugins */
    /* One of them is at work with a new version, which may have another file. */
    void (*adopted)(otr_guests *all);
};

struct otr_guest_plugin {
    otr_plugin *p;
    otr_manifest *manifest;                 /* of the seats; owned */
    void (*ready)(void *arg, otr_sub *sub); /* there are messages; `arg` is `p` */

    /* what it shows of itself, from when it first ran */
    char *version;
    const char *abi; /* static */
    char sha256[OTR_SHA256_HEX_BYTES];
    char **hooks;        /* questions it answers; NULL-terminated */
    size_t running;      /* sandboxes at work */
    bool quarantined;    /* disabled by too many failures */
    uint64_t keys_stamp; /* of the files that `manifest->trust_keys` names, as they were then */

    otr_seat_crew crew;
    otr_seats seats;
    size_t down;       /* seats in back-off, as the plugin's reason says */
    unsigned failures; /* in the window */
    unsigned waits;    /* attempts to load in a row that failed for reasons that may pass */
    uint64_t window_ns;

    otr_seats fresh; /* of a new version, or none */
    otr_manifest *fresh_manifest;
    bool fresh_ready; /* they are loaded: exchange when `drain` messages are done */
    size_t drain;
    bool wanted;            /* the seats are to become what `crew.policy` says, in their turn */
    bool wanted_code;       /* and the file is to be loaded, also when that says nothing new */
    otr_timer *again;       /* until a new version that failed may be tried again; or NULL */
    otr_manifest *back;     /* it stops and was put back meanwhile: who takes its place */
    otr_manifest *changing; /* settings that the seats are being asked to take, or NULL */
    bool refused;           /* one did not: the others go back */
    otr_err refusal;
    struct stat tried;  /* the file of the latest load, also of one that failed */
    bool watch_pending; /* watch.c: its file may have changed */
    bool watch_again;   /* its signature did: load it though the file is the same */
    struct stat watch_last;

    bool adopted; /* subscribed as the version at work wants */
    bool waiting; /* for the plugins in `after:` */
    bool off;     /* an operator wants it off: only he, or a changed entry, switches it on */
    bool started, stop_wanted, stop_begun;
    uint64_t stop_by_ns; /* monotonic; of stop_wanted */
    otr_timer *timer;    /* the end of patience when stopping */

    otr_hook_call *first_call, **last_call; /* questions that wait */
    size_t n_calls;
    otr_dead_letters dead;
    otr_facts *facts; /* what fresh sandboxes are still to hear; a reference, or NULL: all heard */
    size_t next_fact;
};

static inline otr_guest_plugin *otr_guest_of(otr_plugin *p)
{
    return otr_plugin_state(p);
}

/* Neither written nor replaced in between, as far as stat(2) tells. */
static inline bool otr_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* ---- order.c: `after:` ---- */

/* The first plugin in `after:` that has not come up yet, or NULL. */
const char *otr_guest_waits_for(const otr_guest_plugin *g);
/* It is to stop by then; it may, when all that came up after it have. */
void otr_guest_want_stop(otr_guest_plugin *g, uint64_t deadline_ns);
bool otr_guest_may_stop(const otr_guest_plugin *g);

/* ---- hook.c: questions ---- */

/* Takes the question up (owns `call`). False: there was no room, it is answered. */
bool otr_guest_queue_call(otr_guest_plugin *g, otr_hook_call *call);
/* The question that is due, or NULL; it is the caller's then. */
otr_hook_call *otr_guest_take_call(otr_guest_plugin *g);
/* The batch's first `n` are done: answers those of them that were questions. */
void otr_guest_answer_calls(otr_guest_job *job, size_t n);
/* Nobody here will answer: those that wait, also in batches of seats that do not run. */
void otr_guest_fail_calls(otr_guest_plugin *g, const char *why);
void otr_guest_fail_batch(otr_guest_job *job, const char *why);

/* ---- facts.c: what the bus keeps ---- */

/* There are fresh sandboxes: one of them will hear each fact, before what the queue holds. */
void otr_guest_recall(otr_guest_plugin *g);
otr_msg *otr_guest_next_fact(otr_guest_plugin *g); /* the caller's reference; NULL: heard all */

/* ---- state.c: what follows from the seats ---- */

/* Loads the seats, or waits for the plugins in `after:`. */
void otr_guest_begin(otr_guest_plugin *g);
/* Loads what is empty of `seats`, unless the plugin waits for something. */
void otr_guest_load_seats(const otr_guest_plugin *g, const otr_seats *seats);
const otr_guest_seat *otr_guest_running_seat(const otr_guest_plugin *g); /* one, or NULL */
/* Subscribes, and answers hooks, as the policy says, or the guest itself by `job`. */
otr_code otr_guest_listen(otr_guest_plugin *g, const otr_guest_job *job, otr_err *err)
    OTR_MUST_CHECK;
/* Changes when a file of a key does. */
uint64_t otr_guest_keys_stamp(const otr_manifest *m);
/* The plugin's manifest is the policy from now on. */
void otr_guest_settle_for_policy(otr_guest_plugin *g);
/* The plugin's state follows from its seats; says so when it changes. */
void otr_guest_derive(otr_guest_plugin *g);
/* Takes name, topics and hooks from a seat that was loaded, and subscribes. */
otr_code otr_guest_adopt(otr_guest_plugin *g, const otr_guest_seat *s, otr_err *err) OTR_MUST_CHECK;
/* Lets the new version go, when there is one. */
void otr_guest_forget_fresh(otr_guest_plugin *g);
/* All seats leave; the plugin stays off until it is switched on. `quarantined`: by its failures. */
void otr_guest_disable(otr_guest_plugin *g, const char *reason, bool quarantined);
void otr_guest_check_stopped(otr_guest_plugin *g);

/* ---- failure.c: back-off and quarantine ---- */

/* Counts the failure. The seat backs off, or the plugin is disabled: `s` may be void then. */
void otr_guest_seat_failed(otr_guest_seat *s, const otr_err *err);
/* It could not be loaded for a reason that may pass: a server with its file, or that its init()
 * asks, does not answer. Tried again and again, ever more rarely; `s` backs off, or is void. */
void otr_guest_wait(otr_guest_seat *s);
/* Until the next try of such a load, which this counts. */
uint64_t otr_guest_next_wait_ms(otr_guest_plugin *g);
void otr_guest_seat_rested(otr_guest_seat *s);

/* ---- work.c: who takes which message ---- */

/* Gives every idle seat its next job, if there is one. */
void otr_guest_work(otr_guest_plugin *g);
/* What `from` took and did not begin goes to whoever has room. */
void otr_guest_hand_over(const otr_seats *from, const otr_seats *to);

/* ---- swap.c: new settings, new versions ---- */

/* Does what is `wanted`, if it is its turn. */
void otr_guest_take_next(otr_guest_plugin *g);
/* All seats leave at once, `how`, and others begin in their place, as the policy says. `code`: a
 * seat with code that may still run and is what the policy asks for; NULL: it is loaded. */
void otr_guest_begin_anew(otr_guest_plugin *g, otr_leave how, const otr_guest_seat *code);
/* Exchanges the seats when the new ones are ready and the old ones have drained. */
void otr_guest_try_exchange(otr_guest_plugin *g);
/* A fresh seat has loaded, or not. `s` may be void afterwards. */
void otr_guest_fresh_loaded(otr_guest_seat *s, otr_code rc);
/* RECONFIGURE is done. `s` may be void afterwards. */
void otr_guest_reconfigured(otr_guest_seat *s, otr_code rc);
/* Ends the change of settings when all were asked. */
void otr_guest_check_changed(otr_guest_plugin *g);

/* ---- policy.c: what the operator wrote ---- */

#define OTR_GUEST_SWITCHED_OFF "switched off by an operator"

/* `off: true` */
void otr_guest_switch_off(otr_guest_plugin *g);
/* From the return on `m` (owned) rules the plugin; what it changes is in `ret`. */
void otr_guest_take_policy(otr_guest_plugin *g, otr_manifest *m, otr_reload_entry *ret);

/* ---- results.c: what follows from the end of a job ---- */

/* `s` may be void afterwards. */
void otr_guest_take_result(otr_guest_seat *s, otr_guest_job_kind kind, otr_code rc);

/* ---- guest.c: the plugin, for watch.c and guests.c ---- */

extern const otr_plugin_ops otr_guest_plugin_ops;

/* Another plugin came up or failed to; it may be one that this one waits for. */
void otr_guest_plugin_others_settled(otr_plugin *p);
/* Takes the question up (owns `call`), or answers it when there is no room. */
void otr_guest_plugin_ask(otr_plugin *p, otr_hook_call *call);
/* Its entry is `manifest` (owned) now, or the same as before. */
void otr_guest_plugin_reconfigure(otr_plugin *p, otr_manifest *manifest, otr_reload_entry *ret);
/* Loads the file anew, also when it has not changed; off: ends it until it is switched on. */
void otr_guest_plugin_reload(otr_plugin *p);
otr_code otr_guest_plugin_disable(otr_plugin *p, otr_err *err) OTR_MUST_CHECK;
otr_code otr_guest_plugin_write_dead(const otr_plugin *p, otr_buf *out, otr_err *err)
    OTR_MUST_CHECK;
otr_code otr_guest_plugin_replay(otr_plugin *p, otr_err *err) OTR_MUST_CHECK;
typedef enum otr_file_state {
    OTR_FILE_SAME,  /* it was loaded already, or tried */
    OTR_FILE_OFF,   /* it is not to be loaded: an operator switched the plugin off */
    OTR_FILE_OTHER, /* than the one that was loaded, if any was */
    OTR_FILE_BUSY,  /* a load is under way: ask again */
} otr_file_state;
otr_file_state otr_guest_plugin_compare(const otr_plugin *p, const struct stat *now);

#endif
