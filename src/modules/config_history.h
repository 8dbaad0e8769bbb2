/*
 * The module "config-history": owns the history of NGINX's configurations and lends it to others.
 *
 * It opens the database on a worker, prunes it now and then, answers the admin API's questions
 * about it and says as a problem what could not be recorded. Who records or reads hands over a job:
 * it runs on the strand of the history, one at a time, in order.
 *
 * Thread: loop, but for `run` of a job (the strand of the history).
 */
#ifndef OTR_MODULES_CONFIG_HISTORY_H
#define OTR_MODULES_CONFIG_HISTORY_H

#include "nginx/history/history.h"

typedef struct otr_config_history otr_config_history;

typedef struct otr_config_history_job {
    const char *what; /* "record an apply": for the problem when it fails; static */
    bool writes;      /* its failure is a problem of the agent until a later one succeeds */
    /* Worker. `h` is for this call only. */
    otr_code (*run)(void *arg, otr_history *h, otr_err *err);
    /* Loop, exactly once when otr_config_history_submit() returned OTR_OK. `rc` and `err` are those
     * of `run`, or say why there is no history (`run` was not called then). */
    void (*done)(void *arg, otr_code rc, const otr_err *err);
    void *arg;
} otr_config_history_job;

/* Copies `job`. `history` may be NULL (OTR_ESTATE). */
otr_code otr_config_history_submit(otr_config_history *history, const otr_config_history_job *job,
                                   otr_err *err) OTR_MUST_CHECK;

#endif
