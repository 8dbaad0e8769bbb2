/*
 * What the composition root lends to every plugin: otr_plugin_services().
 *
 * Everything here outlives the plugins.
 *
 * Thread: loop.
 */
#ifndef OTR_MODULES_SERVICES_H
#define OTR_MODULES_SERVICES_H

#include "loop/worker.h"
#include "net/http_server.h"
#include "plugin/host.h"
#include "telemetry/registry.h"

typedef struct otr_services {
    otr_pool *pool;                 /* workers for guests and blocking jobs */
    otr_registry *metrics;          /* every metric the agent serves */
    otr_http_routes *admin_routes;  /* served on the admin socket; added to in init() */
    otr_http_routes *status_routes; /* served on loopback HTTP, read-only */
    otr_plugin_host *plugins;
    uint64_t started_ns; /* monotonic: when the process began */
} otr_services;

#endif
