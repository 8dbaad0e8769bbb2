/*
 * What the composition root lends to every plugin: otr_plugin_services().
 *
 * Everything here outlives the plugins.
 *
 * Thread: loop.
 */
#ifndef OTR_MODULES_SERVICES_H
#define OTR_MODULES_SERVICES_H

#include "config/config.h"
#include "loop/worker.h"
#include "modules/problems.h"
#include "net/http/server.h"
#include "plugin/host.h"
#include "telemetry/registry.h"

/* `err` is that of `rc`, borrowed; NULL when all is well. */
typedef void otr_reload_done_fn(void *arg, otr_code rc, const otr_err *err);

typedef struct otr_services {
    otr_pool *pool;                 /* workers for guests and blocking jobs */
    otr_registry *metrics;          /* every metric the agent serves */
    otr_problems *problems;         /* what does not work now, for `outrider status` */
    otr_http_routes *admin_routes;  /* served on the admin socket; added to in init() */
    otr_http_routes *status_routes; /* served on loopback HTTP, read-only */
    otr_plugin_host *plugins;
    struct otr_config_apply *apply; /* modules/config_apply.h; NULL: the module is not there */
    struct otr_config_history
        *history;                /* modules/config_history.h; NULL: the module is not there */
    struct otr_command *command; /* modules/command.h; NULL: the module is not there */
    struct otr_drift *drift; /* of the module "drift": nginx/drift/drift.h; NULL while it is off */
    uint64_t started_ns;     /* monotonic: when the process began */

    const otr_config *config;   /* in force; replaced at a reload */
    uint64_t config_generation; /* successful reloads so far */
    uint16_t status_port;       /* of the status page; 0: off */
    char waiting[512];          /* keys that wait for a restart, "a.b, c.d"; "": none */
    /* Reads the configuration again, as SIGHUP does, and asks the plugins about it. On error the
     * old one stays in force. `done(arg, …)` follows on the loop when this returned OTR_OK, never
     * from inside; OTR_ESTATE: another reload is under way. */
    otr_code (*reload)(void *daemon, otr_reload_done_fn *done, void *arg, otr_err *err);
    void *daemon;
} otr_services;

#endif
