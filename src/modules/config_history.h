/*
 * The history of NGINX's configurations as the modules share it: `history` of otr_services.
 *
 * It opens the database on a worker, prunes it now and then, answers the admin API's questions
 * about it and says as a problem what could not be recorded. Who records or reads hands over a job:
 * it runs on the strand of the history, one at a time, in order.
 *
 * Thread: loop, but for `run` of a job (the strand of the history).
 */
#ifndef OTR_MODULES_CONFIG_HISTORY_H
#define OTR_MODULES_CONFIG_HISTORY_H

#include "config/config.h"
#include "loop/loop.h"
#include "modules/services.h"
#include "nginx/history/history.h"

typedef struct otr_config_history otr_config_history;

typedef struct otr_config_history_job {
    const char *what;    /* "record an apply": for the problem when it fails; static */
    bool writes;         /* its failure is a problem of the agent until a later one succeeds */
    otr_history_use use; /* OTR_HISTORY_READS: beside those that write, and not in their order */
    bool sparing; /* not run where there is no database yet, nor when the agent is stopping (`done`
                     has OTR_OK), and closes it afterwards: most agents have no use for it most of
                     the time */
    /* Worker. `h` is for this call only. */
    otr_code (*run)(void *arg, otr_history *h, otr_err *err);
    /* Loop, exactly once when otr_config_history_submit() returned OTR_OK. `rc` and `err` are those
     * of `run`, or say why there is no history (`run` was not called then). */
    void (*done)(void *arg, otr_code rc, const otr_err *err);
    void *arg;
} otr_config_history_job;

/* Copies `spec`. `ch` may be NULL (OTR_ESTATE). */
otr_code otr_config_history_submit(otr_config_history *ch, const otr_config_history_job *spec,
                                   otr_err *err) OTR_MUST_CHECK;

/* ---- for the module that owns it ---- */

otr_code otr_config_history_new(otr_services *services, otr_loop *loop, const otr_config *cfg,
                                otr_config_history **ret, otr_err *err) OTR_MUST_CHECK;
void otr_config_history_configure(otr_config_history *ch, const otr_config *cfg);
/* Opens it and takes away what is beyond the bounds; also after a new configuration. */
void otr_config_history_start(otr_config_history *ch);
/* `done` comes after the jobs that were submitted until now, perhaps at once. */
void otr_config_history_stop(otr_config_history *ch, otr_loop_fn *done, void *arg);
/* What has not begun is cancelled; what runs ends by itself and then releases the rest. */
void otr_config_history_free(otr_config_history *ch); /* NULL is fine */

#endif
