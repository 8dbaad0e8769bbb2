/*
 * A participant and the host, for those who keep them: src/plugin and plugin/guest.
 *
 * Thread: loop.
 */
#ifndef OTR_PLUGIN_INTERNAL_H
#define OTR_PLUGIN_INTERNAL_H

#include "plugin/guests.h"
#include "plugin/host.h"
#include "plugin/log_budget.h"

enum { OTR_REASON_BYTES = 480 };

struct otr_plugin {
    otr_plugin_host *host;
    const otr_plugin_ops *ops;
    char *name;
    void *state;
    otr_sub *sub;
    otr_plugin_state_id state_id;
    uint64_t state_since_ns;
    char reason[OTR_REASON_BYTES];
    otr_plugin_stats stats;
    otr_log_budget log_budget; /* any thread */
    _Atomic uint64_t paid_ns;  /* as in plugin/services/gate.h */
    otr_topic_owner topics;    /* that it published under */
    otr_sub_stats past;        /* of the queues that it had before `sub`: nothing waits in them */
    char **patterns;           /* what it subscribed to; NULL-terminated or NULL */
    bool guest;                /* one of host->guests */
    bool inited, settled, stopped;
    struct otr_plugin *next, *prev;
};

struct otr_plugin_host {
    otr_plugin_host_spec spec;
    otr_plugin *first, *last;
    otr_guests *guests; /* of spec.guests */
    otr_timer *deadline;
    otr_loop_fn *stop_done;
    void *stop_arg;
    bool started, ready_told, stopping;
    struct otr_hook *hooks; /* questions under way */
    size_t n_hooks;
    otr_defer stop_check;     /* are all stopped? */
    otr_defer sweep;          /* frees guests that were removed and have stopped */
    otr_reload_report report; /* of the latest otr_plugin_host_start() or _reload() */
};

void otr_plugin_set_state(otr_plugin *p, otr_plugin_state_id state, const char *reason);
/* Subscribes `p` to `patterns` (copied), in place of what it was subscribed to: what waits and is
 * among them still does. `queue`: messages that may wait; 0: OTR_LIMIT_PLUGIN_QUEUE. On failure
 * nothing has changed. */
otr_code otr_plugin_subscribe(otr_plugin *p, const char *const *patterns, size_t queue,
                              void (*ready)(void *arg, otr_sub *sub), otr_err *err) OTR_MUST_CHECK;
/* What waits is dropped, and counted so. */
void otr_plugin_unsubscribe(otr_plugin *p);
/* Adds one call of `ns` to the time histogram in `stats`. Any thread. */
void otr_plugin_count_call(otr_plugin_stats *stats, uint64_t ns);
/* A new participant with this name, not yet initialised. */
otr_code otr_plugin_new(otr_plugin_host *host, const otr_plugin_ops *ops, const char *name,
                        otr_plugin **ret, otr_err *err) OTR_MUST_CHECK;
void otr_plugin_free(otr_plugin *p); /* fini() included */
/* The one of this name, or NULL. */
otr_plugin *otr_plugin_find(const otr_plugin_host *host, const char *name);
void otr_plugin_view_of(const otr_plugin *p, otr_plugin_view *ret);
/* The plugin loaded, or will not: counts towards otr_plugin_host_spec.ready. */
void otr_plugin_settle(otr_plugin *p);

#endif
