/*
 * The plugin host: owns every bus participant, modules and guests alike.
 *
 * Order of life: add → init → start → (message, reload)* → stop → fini. The host subscribes for a
 * plugin, delivers its messages in order, counts, and tells what it sees to `changed`.
 *
 * Thread: loop.
 */
#ifndef OTR_PLUGIN_HOST_H
#define OTR_PLUGIN_HOST_H

#include "loop/worker.h"
#include "plugin/denials.h"
#include "plugin/guest_metrics.h"
#include "plugin/plugin.h"

typedef struct otr_plugin_host otr_plugin_host;
typedef struct otr_guests_ops otr_guests_ops; /* see guests.h */

typedef enum otr_plugin_state_id {
    OTR_PLUGIN_LOADING, /* reading, compiling, init() running */
    OTR_PLUGIN_RUNNING,
    OTR_PLUGIN_BACKOFF,  /* failed; a fresh instance follows */
    OTR_PLUGIN_DISABLED, /* failed too often, or cannot be loaded: stays off until a reload */
    OTR_PLUGIN_STOPPING,
    OTR_PLUGIN_STOPPED,
} otr_plugin_state_id;

const char *otr_plugin_state_name(otr_plugin_state_id state); /* "loading" … */

enum { OTR_PLUGIN_BUCKETS = 12, OTR_PLUGIN_NAME_BYTES = 65 };
extern const double otr_plugin_bucket_bounds[OTR_PLUGIN_BUCKETS + 1]; /* seconds; ended by 0 */

typedef struct otr_plugin_stats {
    uint64_t calls;    /* messages processed and other operations */
    uint64_t errors;   /* operations that answered with an error */
    uint64_t skipped;  /* messages without the field that `input:` names */
    uint64_t traps;    /* guest traps */
    uint64_t timeouts; /* guest calls past their deadline */
    uint64_t restarts;
    uint64_t recycled; /* instances replaced because they had grown */
    uint64_t published;
    uint64_t publish_dropped; /* refused: grant, quota, malformed, no memory */
    uint64_t denials;         /* host operations that a grant did not cover */
    uint64_t denials_by[OTR_DENIAL_KINDS];
    uint64_t logs, logs_dropped;
    uint64_t dead_letters; /* messages that failed, ever */
    uint64_t handled;      /* messages that it took without an error */
    uint64_t given_again;  /* messages given to it beside the queue: replayed, or facts */
    uint64_t in_hand;      /* messages taken for it that are neither handled nor dead yet */
    uint64_t hooks_asked;
    uint64_t hooks_denied;                        /* by its answer, or for want of one */
    uint64_t hooks_unanswered;                    /* no usable answer in time */
    uint64_t call_ns;                             /* time in calls, all together */
    uint64_t time_counts[OTR_PLUGIN_BUCKETS + 1]; /* calls by duration */
    uint64_t memory_bytes;                        /* guest memory now, of all instances */
    uint64_t memory_max_bytes;
    otr_sub_stats queue;
    otr_guest_metrics *metrics; /* the plugin's own; NULL: none so far */
} otr_plugin_stats;

typedef struct otr_plugin_view { /* borrowed until the next turn of the loop */
    const char *name, *summary;
    const char *kind;                           /* "module" or "guest" */
    const char *version;                        /* guests: from info; modules: the agent's */
    const char *abi, *engine, *source, *sha256; /* guests; "" for modules */
    const char *encoding;                       /* guests: "json" …; "" for modules */
    otr_plugin_state_id state;
    const char *reason;            /* of backoff or disabled; "" otherwise */
    uint64_t state_since_ns;       /* monotonic */
    const char *const *subscribes; /* NULL-terminated */
    const char *const *hooks;      /* guests: questions it answers; NULL-terminated */
    /* Guests that are asked by names of their own: operation, name, …; NULL-terminated. NULL: none
     * is. */
    const char *const *operations;
    const char *input, *publishes; /* guests: `input:` and `publish:`, "" when not given */
    size_t instances, running;     /* guests: sandboxes configured, and at work */
    bool quarantined;              /* disabled by too many failures */
    otr_plugin_stats stats;
} otr_plugin_view;

/* What became of one entry at a reload. */
typedef enum otr_reload_result {
    OTR_RELOAD_UNCHANGED,
    OTR_RELOAD_APPLIED,   /* all of it holds */
    OTR_RELOAD_LOADING,   /* what is narrower holds; the rest comes with the version being loaded */
    OTR_RELOAD_RESTARTED, /* what ran was ended by it; a fresh sandbox is being loaded */
    OTR_RELOAD_ADDED,
    OTR_RELOAD_REMOVED,
    OTR_RELOAD_QUEUED,   /* it begins when the plugin before of this name has stopped */
    OTR_RELOAD_OFF,      /* `off: true` */
    OTR_RELOAD_DISABLED, /* an operator switched it off, and it stays so; its settings are taken */
    OTR_RELOAD_FAILED,   /* see `reason`; what it asks for is not done */
} otr_reload_result;

const char *otr_reload_result_name(otr_reload_result result); /* "unchanged" … */

enum { OTR_RELOAD_SETTINGS = 48 };

typedef struct otr_reload_entry {
    char name[OTR_PLUGIN_NAME_BYTES];
    otr_reload_result result;
    /* Names of settings that changed, static, NULL-terminated: those that hold from now on, and
     * those that wait for the version being loaded. */
    const char *applied[OTR_RELOAD_SETTINGS], *pending[OTR_RELOAD_SETTINGS];
    char reason[480]; /* "": there is nothing to say */
} otr_reload_entry;

typedef struct otr_reload_report {
    otr_reload_entry *items;
    size_t n;
    const char *waiting; /* a setting of all that waits for a restart of the agent; NULL: none */
} otr_reload_report;

typedef struct otr_plugin_host_spec {
    otr_loop *loop;
    otr_bus *bus;
    otr_pool *pool; /* workers for guests; outlives the host */
    /* The program whose `plugin compile` compiles guests, in a process for each. Optional: NULL
     * compiles in this process. */
    const char *program;
    const otr_guests_ops *guests; /* who runs guests. Optional: NULL, there are none */
    void *services;
    /* A plugin changed state. Optional. */
    void (*changed)(void *arg, const otr_plugin_view *view);
    /* Every plugin has left OTR_PLUGIN_LOADING for the first time. Optional. */
    otr_loop_fn *ready;
    void *arg;
} otr_plugin_host_spec;

otr_code otr_plugin_host_new(const otr_plugin_host_spec *spec, otr_plugin_host **ret, otr_err *err)
    OTR_MUST_CHECK;
void otr_plugin_host_free(otr_plugin_host *host); /* after otr_plugin_host_stop() is complete */

/* Adds a compiled-in module; init() runs in otr_plugin_host_start(), in the order of adding. */
otr_code otr_plugin_host_add(otr_plugin_host *host, const otr_plugin_ops *ops, otr_err *err)
    OTR_MUST_CHECK;

/* Runs init() and start() of all modules, in order. The first failure ends it and names the plugin.
 */
otr_code otr_plugin_host_start(otr_plugin_host *host, const otr_config *cfg, otr_err *err)
    OTR_MUST_CHECK;
/* Each module takes `cfg` by reload(). One that cannot keeps its old settings: the first failure is
 * returned after all were asked, and guests are left as they are. Then the guests become those of
 * `cfg`: from the return on no call begins under a wider policy than it has. What became of each
 * entry is in otr_plugin_host_report(); one that cannot be done is no failure of the reload. */
otr_code otr_plugin_host_reload(otr_plugin_host *host, const otr_config *cfg, otr_err *err)
    OTR_MUST_CHECK;
/* Of the latest start or reload, in the order of the entries; those that are gone come last. */
const otr_reload_report *otr_plugin_host_report(const otr_plugin_host *host);
typedef enum otr_plugin_verb {
    OTR_PLUGIN_RELOAD,  /* load the file anew beside the running one, then exchange them */
    OTR_PLUGIN_DISABLE, /* off until enabled, reloaded or its entry changes */
    OTR_PLUGIN_ENABLE,  /* on again, with its failures forgotten */
    OTR_PLUGIN_REPLAY,  /* its dead letters are processed again, oldest first */
} otr_plugin_verb;

/* What an operator asks of one guest. OTR_ENOTFOUND: no such plugin; OTR_EINVAL: it is compiled in;
 * OTR_ESTATE: not in its present state. Under way when this returns. */
otr_code otr_plugin_host_tell(otr_plugin_host *host, const char *name, otr_plugin_verb verb,
                              otr_err *err) OTR_MUST_CHECK;
/* Appends the messages that the guest failed to process, newest last, as a JSON array of
 * {"number","time","reason","message":<envelope>}: the latest 32. */
otr_code otr_plugin_host_dead_letters(const otr_plugin_host *host, const char *name, otr_buf *out,
                                      otr_err *err) OTR_MUST_CHECK;

/* Stops all in reverse order, a guest after those that came up after it, then calls done(arg) on
 * the loop, not later than deadline_ns. */
void otr_plugin_host_stop(otr_plugin_host *host, uint64_t deadline_ns, otr_loop_fn *done,
                          void *arg);

/* After otr_plugin_host_stop(): a guest is still inside a job that could not be ended (a
 * compilation). The host must then not be freed: end the process. */
bool otr_plugin_host_stuck(const otr_plugin_host *host);

/* Calls fn for each plugin in the order of adding until it returns false. */
void otr_plugin_host_each(const otr_plugin_host *host,
                          bool (*fn)(void *arg, const otr_plugin_view *view), void *arg);

#endif
