/*
 * Every service that answers operations by name. Internal to plugin/services; hostcalls.c has them
 * in its table. Inputs and outputs are bytes:
 *
 *     kv.get      key → the value as it was set (JSON)        grant: kv_bytes
 *     kv.set      {"key":…,"value":<any JSON>} → nothing       grant: kv_bytes
 *     kv.put      length of the key (u32, little endian), key, value → nothing   grant: kv_bytes
 *     kv.delete   key → "true" or "false"                      grant: kv_bytes
 *     kv.list     prefix → ["key",…], 10,000 at most           grant: kv_bytes
 *                 {"prefix":…,"after":key,"limit":n} → {"keys":["key",…],"more":bool}
 *     clock.now   nothing → {"unix_ns":…,"monotonic_ns":…}
 *     random.bytes  count as text, 1 to 1024 → that many bytes
 *     http.request  length of the JSON (u32, little endian), {"url":…,"method":…,"headers":{…}},
 *                 the body → length of the JSON, {"status":…,"headers":{…}}, the body   grant: http
 *     metric.counter, metric.gauge, metric.histogram
 *                 {"name":…,"value":…,"labels":{…}} → nothing  grant: metrics
 *     instances.list  nothing → [{…},…], as topic nginx.instance.started has them
 *                                                              grant: instances
 *     nginx_config.get  a path, or {"path":…,"version":"new|old","form":"text|parsed"} → the file
 * of the configuration that a hook asks about; only while it is answered grant: nginx_config
 *     env.get     name → the value of the agent's variable     grant: env
 *     secret.get  name → the content of its file, without the line break at the end
 *                                                              grant: secrets
 *
 * Thread: that of the guest's job.
 */
#ifndef OTR_PLUGIN_SERVICES_SERVICES_H
#define OTR_PLUGIN_SERVICES_SERVICES_H

#include "plugin/services/gate.h"

extern const otr_service otr_service_kv;      /* kv.c; keeps an otr_kv */
extern const otr_service otr_service_metrics; /* metrics.c; keeps an otr_guest_metrics */
extern const otr_service otr_service_http;
extern const otr_service otr_service_instances;
extern const otr_service otr_service_nginx_config;
extern const otr_service otr_service_env;
extern const otr_service otr_service_secrets;
extern const otr_service otr_service_clock;
extern const otr_service otr_service_random;

#endif
