/*
 * Every compiled-in topic of the bus: payload, senders, listeners.
 *
 * Guests publish under run-time topics of their own ("alert.request-rate"): see otr_bus_topic().
 * Payloads are immutable once published; strings are UTF-8 and owned by the payload. The JSON that
 * guests receive as "data" has the member names given here.
 *
 * topic                    payload               senders    listeners
 * nginx.instance.started   otr_instance_event    instances  health, metrics, admin, guests
 * nginx.instance.changed   otr_instance_event    instances  health, metrics, admin, guests
 * nginx.instance.stopped   otr_instance_event    instances  health, metrics, admin, guests
 * nginx.health.changed     otr_health_event      health     admin, guests
 * nginx.metrics.sampled    otr_metrics_event     metrics    health, admin, guests
 * host.metrics             otr_host_event        host-metrics admin, guests
 * nginx.config.apply.started   otr_apply_event  nginx-config admin, guests
 * nginx.config.apply.finished  otr_apply_event  nginx-config admin, guests
 * nginx.config.drifted     otr_drift_event       nginx-drift admin, guests
 * agent.config.reloaded    otr_reload_event      daemon     admin, guests
 * agent.plugin.changed     otr_plugin_event      daemon     admin, guests
 *
 * The first two, nginx.health.changed and nginx.config.drifted are facts: who subscribes later
 * hears them, until the instance stops.
 *
 * Hooks are questions: guests that subscribe with "kind":"hook" answer them with a verdict, see
 * plugin/hooks.h. They are not published, and nobody but the agent can ask them.
 *
 * agent.config.validate    {"file","generation","plugins":[{"name","source","instances"}]}: the
 *                          daemon asks before it takes a configuration that it was told to read
 *                          anew; a denial keeps the old one
 * nginx.config.validate    {"instance","transaction","action","by":{"kind","name"},"message",
 *                          "dry_run","plan","diff","diff_truncated","impact","config_files",
 *                          "config_truncated","config"} as nginx/impact/question.h makes it: an
 *                          apply asks before it touches a file, and a denial ends it;
 *                          docs/abi/policy.md. What the asker gives: operators, by `outrider
 *                          plugin ask`
 *
 * Thread: any; payloads are read-only.
 */
#ifndef OTR_MODULES_TOPICS_H
#define OTR_MODULES_TOPICS_H

#include <stdbool.h>

#include "base/histogram.h"
#include "base/json.h"
#include "bus/msg.h"
#include "host/host.h"
#include "nginx/apply/result.h"
#include "nginx/drift/state.h"
#include "nginx/instance/instance.h"
#include "nginx/log/errors.h"

/* One NGINX master and what is known of it. JSON: {"id","pid","uid","stranger","net_ns","own_net",
 * "workers":[pid…],"maker","version","plus","binary","replaced","config","config_error",
 * "config_changed","prefix","error_log","stub_status","access_logs":["/path"…],
 * "remarks":["sentence"…],"truncated":{"access_logs":n…}}. Lists are cut at an item
 * (OTR_LIMIT_INSTANCE_*); "truncated" says of those that were how many items are missing. */
typedef struct otr_instance_event {
    otr_nginx_instance *instance; /* a deep copy, owned */
} otr_instance_event;

typedef enum otr_health {
    OTR_HEALTH_HEALTHY,
    OTR_HEALTH_UNHEALTHY,
    OTR_HEALTH_DEGRADED,
    OTR_HEALTH_UNKNOWN
} otr_health;

const char *otr_health_name(otr_health health); /* "healthy" … */

/* JSON: {"id","status":"healthy|unhealthy|degraded|unknown","description"} */
typedef struct otr_health_event {
    char id[OTR_NGINX_ID_BYTES];
    otr_health status;
    char *description; /* "" when healthy */
} otr_health_event;

#define OTR_STATUS_ERROR_BYTES OTR_ERR_MSG_BYTES

/* One sample of one instance. Counters are since NGINX started (they restart with it); what several
 * masters of an upgrade count is added up.
 * JSON:
 * {"id","interval_ms","status_ok","status_error","active","reading","writing","waiting","accepted",
 * "handled","requests","requests_delta","requests_per_second","logs_ok",
 * "responses":{"1xx",…,"5xx"},"log_lines","log_unparsed",
 * "request_time":{"count","mean","p50","p90","p99","max"},
 * "errors":{"levels":{"emerg",…,"debug"},"causes":{"upstream_timed_out",…}}}; times in seconds,
 * left out when no line told one. "errors" are messages in the error log since the previous sample,
 * left out when it is not read; causes that none had are left out. */
typedef struct otr_metrics_event {
    char id[OTR_NGINX_ID_BYTES];
    uint64_t interval_ns; /* since the previous sample; 0 for the first */
    bool status_ok;       /* stub_status answered; the counts and gauges of it are 0 otherwise */
    bool status_unknown;  /* it could not be asked, for a lack of the agent's own */
    char
        status_error[OTR_STATUS_ERROR_BYTES]; /* what came back instead; "" when nobody was asked */
    uint64_t active, reading, writing, waiting; /* connections now */
    uint64_t accepted, handled, requests;       /* counters */
    uint64_t requests_delta;                    /* since the previous sample */
    double requests_per_second;
    bool logs_ok;           /* an access log is read; the next three are 0 otherwise */
    uint64_t responses[5];  /* access-log lines 1xx … 5xx since the previous sample */
    uint64_t log_lines;     /* access-log lines since the previous sample, also unparsable ones */
    uint64_t log_unparsed;  /* of log_lines: their status is not beyond doubt */
    otr_histogram *times;   /* of the responses, as far as the lines tell; NULL: of none. Owned */
    otr_log_errors *errors; /* of its error log; NULL: it is not read. Owned */
} otr_metrics_event;

/* One sample of the machine (host/host.h). What is not known is left out. Counters are since boot.
 * JSON: {"interval_ms","container","cpu":{"count","shares":{"idle","interrupt","nice","softirq",
 * "steal","system","user","wait"}},"memory":{"total","available","used","free","buffered","cached",
 * "swap_total","swap_free"},"load":[1,5,15 minutes],"files":{"used","most"},
 * "disks":[{"name","read_bytes","write_bytes","reads","writes","busy_s","pending"}…],
 * "filesystems":[{"mount","device","type","read_only","used","free","reserved","inodes_used",
 * "inodes_free"}…],"interfaces":[{"name","received_bytes","sent_bytes","receive_errors",
 * "send_errors","receive_dropped","send_dropped"}…],"connections":{"ESTABLISHED":n…},
 * "pressure":{"cpu|memory|io":{"some","full"}},"cgroup":{"version","user_s","system_s","cpu_most",
 * "throttled","memory","cache","memory_most","pids","pids_most"}}; pressure over 10 s. */
typedef struct otr_host_event {
    otr_host_sample *sample; /* owned */
    uint64_t interval_ns;    /* since the previous sample; 0 for the first */
    bool shares_known;
    double shares[OTR_CPU_STATES]; /* of all processors, since the previous sample */
} otr_host_event;

/* A change of a configuration begins, or has ended (see nginx/apply/result.h). JSON:
 * {"id","instance","who":{"kind","uid","pid","name"},"why","message","of","files":[{"path",
 * "action"}],"files_more"}; finished ones have
 * "number","result","step","touched","text","findings":
 * [{"level","file","line","text"}],"findings_more","remarks":["sentence"…],"version","took_ms" too.
 * Lists are cut at an item (OTR_LIMIT_APPLY_EVENT_BYTES). */
typedef struct otr_apply_event {
    otr_apply_result *result; /* owned */
} otr_apply_event;

/* Files of a configuration are not as its last version has them, or are so again ("files" is
 * empty then). JSON: {"id","version","known","since","files":[{"path","kind","named","old_digest",
 * "new_digest","noticed","modified","owner","by"}],"more","by","remark"}. "kind" is "changed",
 * "added", "removed", "attributes" or "unreadable". "by" is a sentence on who did it, "" when that
 * is not known. Digests are SHA-256, and "" for what not everybody may read. Times are RFC 3339,
 * null when not known. The list is cut at OTR_LIMIT_DRIFT_JSON_BYTES, "more" are missing. */
typedef struct otr_drift_event {
    otr_drift_report *report; /* a deep copy, owned */
} otr_drift_event;

/* The members of the JSON above into an object that is open. For the admin API. */
void otr_drift_write(otr_jw *w, const otr_drift_report *report);
/* Who changed the file, for people; "": not known. Foreign text: to be escaped. */
void otr_drift_by(const otr_drift_file *file, char *out, size_t cap);

/* JSON: {"file","generation"} */
typedef struct otr_reload_event {
    char *file;
    uint64_t generation; /* 1 after the first reload */
} otr_reload_event;

/* A plugin changed its state. JSON: {"name","state","reason"}; states as otr_plugin_state_name().
 */
typedef struct otr_plugin_event {
    char *name;
    const char *state; /* a static string */
    char *reason;      /* "" when there is nothing to say */
} otr_plugin_event;

/* otr_about_fn: the instance's id */
const char *otr_instance_event_id(const void *payload);
const char *otr_health_event_id(const void *payload);
const char *otr_drift_event_id(const void *payload);

extern const otr_topic otr_topic_instance_started;
extern const otr_topic otr_topic_instance_changed;
extern const otr_topic otr_topic_instance_stopped;
extern const otr_topic otr_topic_health_changed;
extern const otr_topic otr_topic_metrics_sampled;
extern const otr_topic otr_topic_host_metrics;
extern const otr_topic otr_topic_apply_started;
extern const otr_topic otr_topic_apply_finished;
extern const otr_topic otr_topic_config_drifted;
extern const otr_topic otr_topic_config_reloaded;
extern const otr_topic otr_topic_plugin_changed;

/* Declared, so that no guest publishes under them. */
extern const otr_topic otr_topic_config_validate;
extern const otr_topic otr_topic_nginx_validate;

#endif
