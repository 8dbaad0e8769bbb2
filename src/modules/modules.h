/*
 * The compiled-in plugins that the daemon adds to its host.
 *
 * Thread: constant.
 */
#ifndef OTR_MODULES_MODULES_H
#define OTR_MODULES_MODULES_H

#include "plugin/plugin.h"

extern const otr_plugin_ops otr_module_instances;      /* nginx.instance.* */
extern const otr_plugin_ops otr_module_health;         /* nginx.health.changed */
extern const otr_plugin_ops otr_module_drift;          /* nginx.config.drifted */
extern const otr_plugin_ops otr_module_metrics;        /* nginx.metrics.sampled and its series */
extern const otr_plugin_ops otr_module_host;           /* host.metrics and its series */
extern const otr_plugin_ops otr_module_config_history; /* what was changed, and how to go back */
extern const otr_plugin_ops otr_module_config;         /* nginx.config.apply.* */
extern const otr_plugin_ops otr_module_command;        /* the management plane */
extern const otr_plugin_ops otr_module_prometheus;     /* GET /metrics and the agent's own series */
extern const otr_plugin_ops otr_module_exporter;       /* metrics to collectors */
extern const otr_plugin_ops otr_module_admin;          /* JSON API, event stream, status page */

#endif
