/*
 * The plugin interface: what every bus participant provides, compiled in (module) or Wasm (guest).
 *
 * The host (host.h) creates the state, subscribes, calls the operations in order and counts what
 * they do. The bus cannot tell a module from a guest: both are an otr_plugin with an
 * otr_plugin_ops.
 *
 * Thread: loop.
 */
#ifndef OTR_PLUGIN_PLUGIN_H
#define OTR_PLUGIN_PLUGIN_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "bus/bus.h"
#include "bus/msg.h"
#include "config/config.h"
#include "loop/loop.h"

typedef struct otr_plugin otr_plugin;

/* What every bus participant provides, compiled in or Wasm. Static and const.
 * Thread: every call comes from the loop thread and must return within 1 ms. */
typedef struct otr_plugin_ops {
    const char *name;    /* [a-z0-9-]+, unique; a guest's name comes from its manifest */
    const char *summary; /* one line for `outrider plugins` */
    const otr_key *keys; /* config keys, ends with an empty one; NULL: none */
    const char *const
        *subscribes; /* topic patterns, NULL-terminated; NULL: none, or set in start() */
    const otr_topic *const *publishes; /* compiled-in topics, NULL-terminated; NULL: none */
    size_t state_size;                 /* zeroed for you; otr_plugin_state(p) returns it */
    size_t queue;                      /* messages that may wait; 0: OTR_LIMIT_PLUGIN_QUEUE */

    /* Check config and allocate. No I/O, no publishing. On error fini() still runs. */
    otr_code (*init)(otr_plugin *p, const otr_config *cfg, otr_err *err);
    /* Optional. Open things and begin to publish. */
    otr_code (*start)(otr_plugin *p, otr_err *err);
    /* Optional when `subscribes` is NULL. `msg` is borrowed until return; otr_msg_ref() keeps it.
     * An error is logged and counted. */
    otr_code (*message)(otr_plugin *p, const otr_msg *msg, otr_err *err);
    /* Optional. Take all of `cfg` or none of it. NULL: the host stops and starts anew. */
    otr_code (*reload)(otr_plugin *p, const otr_config *cfg, otr_err *err);
    /* Optional. Stop taking work; call otr_plugin_stopped(p) before deadline_ns (monotonic). */
    void (*stop)(otr_plugin *p, uint64_t deadline_ns);
    /* Release everything, also after a failed or partial init(). */
    void (*fini)(otr_plugin *p);
} otr_plugin_ops;

void *otr_plugin_state(otr_plugin *p);
const char *otr_plugin_name(const otr_plugin *p);
otr_loop *otr_plugin_loop(const otr_plugin *p);
otr_bus *otr_plugin_bus(const otr_plugin *p);
/* What the composition root gave every plugin: src/modules/services.h. */
void *otr_plugin_services(const otr_plugin *p);
/* New message on `topic` with this plugin as its source. Owns `payload` in every case: a message
 * that cannot be published is dropped and counted. `cause` may be NULL. */
void otr_plugin_publish(otr_plugin *p, const otr_topic *topic, void *payload, const otr_msg *cause);
/* Tells the host that stop() is complete. */
void otr_plugin_stopped(otr_plugin *p);

#endif
