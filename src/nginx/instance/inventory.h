/*
 * The NGINX instances of this host, kept up to date.
 *
 * Puts together what discovery, executables and configurations tell. A survey runs on a worker:
 * soon after start, after the death of a master (noticed at once by its pidfd), then at the rescan
 * interval; it starts no process. A configuration is read again when its instance has new workers,
 * that is, when NGINX read it.
 *
 * An upgrade in place (old and new master side by side) is one instance: the new master stands for
 * it once it has workers, and the id stays. A restart is a stop and a start. In one survey an
 * instance is started, changed or stopped once, and a survey that finds nothing new tells nothing.
 *
 * Thread: loop.
 */
#ifndef OTR_NGINX_INSTANCE_INVENTORY_H
#define OTR_NGINX_INSTANCE_INVENTORY_H

#include "base/base.h"
#include "base/err.h"
#include "loop/loop.h"
#include "loop/worker.h"
#include "nginx/instance/instance.h"
#include "nginx/instance/survey.h"

typedef struct otr_inventory otr_inventory;

typedef enum otr_inventory_event {
    OTR_INSTANCE_STARTED,
    OTR_INSTANCE_CHANGED,
    OTR_INSTANCE_STOPPED, /* with the instance as it was last */
} otr_inventory_event;

typedef struct otr_inventory_settings { /* copied */
    uint64_t rescan_ms;
    const char *status_url;      /* takes the place of what configurations say; "" : they decide */
    const char *const *excluded; /* as otr_nginx_config_spec.exclude */
    const char *const *allowed;  /* folders that files of NGINX are read in: as in root.h */
    otr_strangers strangers;
} otr_inventory_settings;

typedef struct otr_inventory_spec {
    otr_loop *loop;
    otr_pool *pool;
    const char *proc_root; /* "/proc" */
    bool unhurried; /* no surveys beyond those of the interval and those that are asked for */
    /* `instance` is borrowed until return. Optional calls back into the inventory are fine. */
    void (*event)(void *arg, otr_inventory_event event, const otr_nginx_instance *instance);
    /* A survey is complete and its events are out: the first one ends "not yet known". Optional. */
    otr_loop_fn *surveyed;
    void *arg;
} otr_inventory_spec;

otr_code otr_inventory_new(const otr_inventory_spec *spec, const otr_inventory_settings *settings,
                           otr_inventory **ret, otr_err *err) OTR_MUST_CHECK;
/* Begins to survey. */
void otr_inventory_start(otr_inventory *inv);
otr_code otr_inventory_configure(otr_inventory *inv, const otr_inventory_settings *settings,
                                 otr_err *err) OTR_MUST_CHECK;
/* What the last survey could not show. */
otr_survey_lack otr_inventory_get_lack(const otr_inventory *inv);
/* Surveys as soon as possible; with the configurations read anew. */
void otr_inventory_refresh(otr_inventory *inv);
/* No event follows. A survey that is under way ends on its own and then releases the rest. */
void otr_inventory_free(otr_inventory *inv);

#endif
