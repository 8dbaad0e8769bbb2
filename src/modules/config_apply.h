/*
 * The module "config": changes of NGINX configurations, for the modules that ask for one.
 *
 * It owns the engine (nginx/apply), asks the plugins, records in the history, tells drift, and
 * answers the admin API. `apply` of otr_services is it; every call takes NULL (OTR_ESTATE).
 *
 * Thread: loop.
 */
#ifndef OTR_MODULES_CONFIG_APPLY_H
#define OTR_MODULES_CONFIG_APPLY_H

#include "nginx/apply/apply.h"

typedef struct otr_config_apply otr_config_apply;

/* The problem of an instance whose last change could not be rolled back. */
#define OTR_CONFIG_APPLY_PROBLEM "config apply"

/* As otr_applier_submit(). */
otr_code otr_config_apply_submit(otr_config_apply *apply, const otr_apply_request *request,
                                 char ret_id[OTR_APPLY_ID_BYTES], otr_err *err) OTR_MUST_CHECK;

#endif
