/*
 * The exported series that say how one NGINX instance is: nginx_up, nginx_health,
 * nginx_instance_info.
 *
 * Private to health.c. What is not known has no series; all go with the instance.
 *
 * Thread: loop.
 */
#ifndef OTR_MODULES_NGINX_STATE_H
#define OTR_MODULES_NGINX_STATE_H

#include "modules/topics.h"
#include "telemetry/registry.h"

enum { OTR_NGINX_HEALTH_SERIES = 4 };

typedef enum otr_nginx_up { OTR_NGINX_DOWN, OTR_NGINX_UP, OTR_NGINX_UP_UNKNOWN } otr_nginx_up;

typedef struct otr_nginx_state { /* zeroed at start */
    otr_series *up, *info;
    otr_series *health[OTR_NGINX_HEALTH_SERIES]; /* in the order of otr_health */
} otr_nginx_state;

/* Does its stub_status answer or, where none is configured, does its master run? */
otr_code otr_nginx_state_set_up(otr_nginx_state *s, otr_registry *reg,
                                const otr_nginx_instance *instance, otr_nginx_up up, otr_err *err)
    OTR_MUST_CHECK;
/* 1 for `health`, 0 for the others. */
otr_code otr_nginx_state_set_health(otr_nginx_state *s, otr_registry *reg,
                                    const otr_nginx_instance *instance, otr_health health,
                                    otr_err *err) OTR_MUST_CHECK;
/* Always 1; the labels say what runs. */
otr_code otr_nginx_state_set_info(otr_nginx_state *s, otr_registry *reg,
                                  const otr_nginx_instance *instance, otr_err *err) OTR_MUST_CHECK;
void otr_nginx_state_drop(otr_nginx_state *s);

#endif
