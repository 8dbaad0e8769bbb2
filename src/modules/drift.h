/*
 * The module "drift": what its files share.
 *
 * It follows the files of each NGINX (nginx/drift), says which of them somebody else changed
 * (topic, problem, metric, admin API), and keeps or undoes that when it is told to.
 *
 * Thread: loop.
 */
#ifndef OTR_MODULES_DRIFT_H
#define OTR_MODULES_DRIFT_H

#include "base/limits.h"
#include "modules/config_instances.h"
#include "modules/services.h"
#include "modules/topics.h"
#include "nginx/drift/drift.h"
#include "telemetry/registry.h"

typedef struct otr_drift_instance {
    char id[OTR_NGINX_ID_BYTES];
    otr_series *files; /* NULL: not known */
} otr_drift_instance;

typedef struct otr_drift_box otr_drift_box; /* outlives the module: for jobs of the history */

typedef struct otr_drift_module {
    otr_plugin *plugin;
    otr_services *services;
    otr_drift *drift; /* NULL: switched off */
    otr_config_instances list;
    otr_drift_instance items[OTR_LIMIT_NGINX_INSTANCES];
    size_t n;
    otr_drift_box *box;
} otr_drift_module;

/* drift_text.c: a sentence for people, of at most `cap` bytes. */
void otr_drift_say(const otr_drift_report *report, char *out, size_t cap);

/* drift_versions.c: what is right, by the history. */
/* Asks what the files of an instance should be; otr_drift_set_base() or otr_drift_set_seen()
 * follows, at once where there is no history, and then otr_drift_end(), unless another apply has
 * begun meanwhile. */
void otr_drift_ask_base(otr_drift_module *m, const otr_nginx_instance *nginx);
/* What NGINX has loaded is another text: kept as a version that nobody applied. */
void otr_drift_keep_seen(otr_drift_module *m, const otr_nginx_instance *nginx);

typedef struct otr_drift_adopt { /* `paths` is copied, the texts live until `done` */
    const char *const *paths;    /* absolute, ended by NULL; NULL: all */
    int64_t uid, pid;            /* who asks; -1: not known */
    const char *user, *message;
    const char *by; /* who changed the files, as far as that is known */
    /* `version`, and a remark or "". */
    void (*done)(void *arg, otr_code rc, const otr_err *err, const char *version,
                 const char *remark);
    void *arg;
} otr_drift_adopt;

/* What is there becomes a version, applied by "drift". `done` follows on the loop, once, when this
 * returned OTR_OK. OTR_ESTATE: there is no history. */
otr_code otr_drift_start_adopt(otr_drift_module *m, const otr_nginx_instance *nginx,
                               const otr_drift_adopt *asked, otr_err *err) OTR_MUST_CHECK;

otr_code otr_drift_box_new(otr_drift_module *m, otr_err *err) OTR_MUST_CHECK;
void otr_drift_box_leave(otr_drift_module *m);

/* drift_api.c */
otr_code otr_drift_routes(otr_drift_module *m, otr_err *err) OTR_MUST_CHECK;
void otr_drift_unroute(otr_drift_module *m);

#endif
