/*
 * One look at the NGINX instances of a host: discovery, executables and configurations together.
 *
 * The blocking half of the inventory, without loop or events. Each run gives the full list; what
 * has not changed since the last run is not read again.
 *
 * Thread: one at a time; otr_survey_run() blocks.
 */
#ifndef OTR_NGINX_INSTANCE_SURVEY_H
#define OTR_NGINX_INSTANCE_SURVEY_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "nginx/instance/discovery.h"
#include "nginx/instance/instance.h"

typedef struct otr_survey otr_survey;

typedef struct otr_found {
    const otr_nginx_instance *instance;
    pid_t other_pid; /* upgrade in place: the master that stands back; else 0 */
    bool same_life;  /* this master, or the other, already stood for the instance last time */
} otr_found;

/* Masters of users who are neither root nor the agent's own. */
typedef enum otr_strangers { OTR_STRANGERS_SHOW, OTR_STRANGERS_IGNORE } otr_strangers;

otr_code otr_survey_new(const char *proc_root, otr_survey **ret, otr_err *err) OTR_MUST_CHECK;
void otr_survey_free(otr_survey *s);

/* On error the list of the last run stays. */
otr_code otr_survey_run(otr_survey *s, otr_err *err) OTR_MUST_CHECK;
/* Valid until the next run. No two have one id, and no master that ended is among them. */
const otr_found *otr_survey_found(const otr_survey *s, size_t *ret_n);
/* A new master has no workers yet and is held back: run again within milliseconds. */
bool otr_survey_is_early(const otr_survey *s);

/* What the last run could not show. */
typedef struct otr_survey_lack {
    size_t missing; /* masters for which there is no place */
    size_t hidden;  /* strangers that are ignored */
} otr_survey_lack;
otr_survey_lack otr_survey_get_lack(const otr_survey *s);

void otr_survey_set_strangers(otr_survey *s, otr_strangers strangers);
/* A status URL that takes the place of what configurations say; "": they decide. */
otr_code otr_survey_set_status_url(otr_survey *s, const char *url, otr_err *err) OTR_MUST_CHECK;
/* The folders that files of NGINX are read in (root.h), copied; NULL: everywhere. */
otr_code otr_survey_set_allowed(otr_survey *s, const char *const *folders, otr_err *err)
    OTR_MUST_CHECK;
/* Patterns of access logs that are not read (otr_nginx_config_spec.exclude), copied. */
otr_code otr_survey_set_excluded(otr_survey *s, const char *const *patterns, otr_err *err)
    OTR_MUST_CHECK;
/* The next run reads every configuration anew. */
void otr_survey_reread(otr_survey *s);

#endif
