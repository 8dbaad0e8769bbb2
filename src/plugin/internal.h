/*
 * What host.c and guest.c share about one plugin. Internal to src/plugin.
 *
 * Thread: loop.
 */
#ifndef OTR_PLUGIN_INTERNAL_H
#define OTR_PLUGIN_INTERNAL_H

#include <sys/stat.h>

#include "base/digest.h"
#include "loop/worker.h"
#include "plugin/compiler.h"
#include "plugin/host.h"
#include "plugin/manifest.h"
#include "wasm/engine.h"

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
    char *version;   /* guests, once known */
    const char *abi; /* guests, once known; static */
    char sha256[OTR_SHA256_HEX_BYTES];
    char **patterns;  /* what it subscribed to; NULL-terminated or NULL */
    size_t queue;     /* guests: the capacity it subscribed with */
    char **hooks;     /* guests: questions it answers; NULL: it never ran */
    size_t running;   /* guests: sandboxes at work */
    bool quarantined; /* guests: disabled by too many failures */
    bool started, stop_wanted, stop_begun;
    uint64_t stop_deadline_ns;
    otr_manifest *manifest; /* guests; owned */
    bool inited, settled, stopped;
    bool watch_pending; /* watch.c: its file may have changed */
    bool watch_again;   /* its signature did: load it though the file is the same */
    struct stat watch_last;
    struct otr_plugin *next, *prev;
};

enum { OTR_HOST_ENGINES = 2 };

typedef struct otr_source_watch otr_source_watch; /* see watch.h */

struct otr_plugin_host {
    otr_plugin_host_spec spec;
    otr_plugin *first, *last;
    otr_pool *pool;                        /* borrowed: guests' jobs */
    otr_engine *engines[OTR_HOST_ENGINES]; /* each opened with the first guest that names it */
    otr_plugin_compiler *compiler;         /* of all engines, or NULL */
    otr_source_watch *watches;             /* owned; a list */
    otr_timer *deadline;
    otr_loop_fn *stop_done;
    void *stop_arg;
    uint64_t stop_deadline_ns;
    bool started, ready_told, stopping;
    struct otr_hook *hooks; /* questions under way */
    size_t n_hooks;
    otr_defer stop_check; /* are all stopped? */
    otr_defer sweep;      /* frees guests that were removed and have stopped */
};

extern const otr_plugin_ops otr_guest_plugin_ops;

/* The open engine that `m` names. */
otr_engine *otr_plugin_host_engine(const otr_plugin_host *host, const otr_manifest *m);

void otr_plugin_set_state(otr_plugin *p, otr_plugin_state_id state, const char *reason);
/* Subscribes `p` to `patterns` (copied), in place of what it was subscribed to. */
otr_code otr_plugin_subscribe(otr_plugin *p, const char *const *patterns,
                              void (*ready)(void *arg, otr_sub *sub), otr_err *err) OTR_MUST_CHECK;
void otr_plugin_unsubscribe(otr_plugin *p);
/* Adds one call of `ns` to the time histogram in `stats`. */
void otr_plugin_count_call(otr_plugin_stats *stats, uint64_t ns);
/* A new participant with this name, not yet initialised. Owns `manifest` on success. */
otr_code otr_plugin_new(otr_plugin_host *host, const otr_plugin_ops *ops, const char *name,
                        otr_manifest *manifest, otr_plugin **ret, otr_err *err) OTR_MUST_CHECK;
void otr_plugin_free(otr_plugin *p); /* fini() included */
/* The plugin loaded, or will not: counts towards otr_plugin_host_spec.ready. */
void otr_plugin_settle(otr_plugin *p);

/* host_guests.c: make the running guests those of `set`, whose items move into the plugins. */
otr_code otr_host_guests_apply(otr_plugin_host *host, otr_manifest_set *set, otr_err *err)
    OTR_MUST_CHECK;
/* The first plugin in `after:` that has not come up yet, or NULL. */
const char *otr_host_guests_waits_for(const otr_plugin *p);
/* host_guests.c: it stops when all that came up after it have. */
void otr_host_stop_one(otr_plugin *p, uint64_t deadline_ns);
void otr_host_stop_more(otr_plugin_host *host);

/* guest.c: another plugin came up or failed to; it may be one that this one waits for. */
void otr_guest_plugin_others_settled(otr_plugin *p);
/* guest_hook.c: takes the question up (owns `call`), or answers it when there is no room. */
struct otr_hook_call;
void otr_guest_plugin_ask(otr_plugin *p, struct otr_hook_call *call);
/* guest_swap.c: asks the running guest to take `manifest` (owned), which differs from its own. */
void otr_guest_plugin_reconfigure(otr_plugin *p, otr_manifest *manifest);
/* guest_swap.c: loads the file anew, also when it has not changed; off: ends it until it is
 * switched on. */
void otr_guest_plugin_reload(otr_plugin *p);
otr_code otr_guest_plugin_disable(otr_plugin *p, otr_err *err) OTR_MUST_CHECK;
/* guest_dead.c */
otr_code otr_guest_plugin_write_dead(const otr_plugin *p, otr_buf *out, otr_err *err)
    OTR_MUST_CHECK;
otr_code otr_guest_plugin_replay(otr_plugin *p, otr_err *err) OTR_MUST_CHECK;
/* guest_swap.c: its file is not the one that was loaded. */
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
