/*
 * Private to the engine: one transaction, and what its files share.
 *
 * From below: steps.c has what all steps share, share.c who waits for whom, work.c what blocks,
 * back.c the way back, recover.c what was interrupted, tx.c the steps in their order, engine.c the
 * queue, journals.c what is left of an earlier life. One job at a time is on the strand of a
 * transaction: until its `done` everything that the job uses is its own.
 *
 * Thread: loop, except the jobs.
 */
#ifndef OTR_NGINX_APPLY_TX_H
#define OTR_NGINX_APPLY_TX_H

#include <stdbool.h>

#include "base/buf.h"
#include "loop/loop.h"
#include "loop/worker.h"
#include "nginx/apply/apply.h"
#include "nginx/apply/errlogs.h"
#include "nginx/apply/launch.h"
#include "nginx/apply/probation.h"
#include "nginx/apply/reload.h"
#include "nginx/apply/trial.h"
#include "nginx/change/change.h"
#include "nginx/change/claims.h"
#include "nginx/change/recover.h"

typedef struct apply_lane { /* one instance */
    char id[OTR_NGINX_ID_BYTES];
    otr_nginx_instance *instance; /* as it was last told; NULL: it is not there */
    otr_apply *running, *waiting;
    uint64_t back_ticks; /* since the boot: a recovery put its files back then and found no NGINX to
                            be told of it; 0: none */
} apply_lane;

typedef struct apply_settings { /* as otr_applier_settings, with its own texts */
    otr_applier_settings s;
    char **allowed;
} apply_settings;

struct otr_applier {
    otr_applier_spec spec;
    char *proc_root, *folder, *state_dir; /* `folder`: of the journals */
    apply_settings settings;
    apply_lane **lanes;
    size_t n_lanes, cap_lanes;
    size_t n_txs;
    unsigned ends;      /* of transactions that held files */
    otr_strand *strand; /* of the look for journals */
    otr_journals journals;
    otr_err job_err;
    bool listing; /* a job is on `strand`, whose `done` ends with otr_tx_listed() */
    bool stopping;
    bool freed;
    otr_loop_fn *stopped;
    void *stopped_arg;
    otr_defer sweep;
    /* journals.c: an NGINX that a recovery did not find is there. */
    void (*resume)(otr_applier *a, apply_lane *lane);
    void (*over)(otr_apply *tx); /* engine.c: it is told; frees it and begins the next one */
    void (*drop)(otr_apply *tx); /* engine.c: its last job is done, and nobody waits for it */
};

/* How a transaction goes on after its way back. */
typedef enum apply_way {
    APPLY_FORWARD,
    APPLY_BACK, /* files are being put back, or are back */
} apply_way;

struct otr_apply {
    otr_applier *a;
    apply_lane *lane;
    otr_nginx_instance
        *instance;             /* as it was when it began; of a recovery NULL until it is there */
    otr_apply_request request; /* its pointers are ours */
    struct otr_changes *set;
    char *texts[2]; /* of the request */
    otr_apply_probe *probes;
    otr_apply_result *result;
    otr_strand *strand;
    otr_timer *timer;               /* a step's deadline, and waits */
    otr_defer next;                 /* what to do at the end of this round */
    void (*next_fn)(otr_apply *tx); /* NULL: nothing */
    void (*on_time)(otr_apply *tx); /* what the timer is for */
    uint64_t began_ns, step_ns;     /* monotonic */
    otr_apply_step step;
    apply_way way;
    otr_apply_outcome then; /* outcome once the way back is done */
    bool reload_back;       /* NGINX may have read the new files: it has to read the old ones */
    bool asking, holding, telling; /* what the owner owes us: an answer, proceed, told */
    bool ended;
    bool stop; /* the agent is stopping: as soon as that can be */
    bool waiting_for_master;
    bool keep_journal;             /* something is left to do, when its NGINX is found */
    void (*undone)(otr_apply *tx); /* after its files are back; NULL: as usual */
    bool abandoned;                /* freed while a job runs */
    unsigned retries;
    otr_claims claims;            /* what it needs, from its plan; of the job while that works */
    bool holds;                   /* nobody else may change it */
    bool blocked, blocked_once;   /* somebody else holds some of it */
    void (*again)(otr_apply *tx); /* makes its plan anew */
    unsigned ends_seen, plans;
    unsigned moved;        /* reloads whose files were changed meanwhile */
    uint64_t moved_ticks;  /* since the boot, when the files were exchanged; 0: they were not, or it
                              is a recovery */
    uint64_t moved_wall_s; /* recovery: when the files may have been exchanged; 0: they were not */

    /* of the jobs */
    bool working;
    otr_code (*job)(otr_apply *tx, otr_err *err);
    void (*job_done)(otr_apply *tx, otr_code rc);
    otr_err job_err;
    otr_root *root;
    otr_launch *launch;
    otr_error_logs logs;
    otr_plan *plan;
    otr_change *change;
    void *weighed;
    otr_buf impact, diff;
    char weigh_remark[OTR_ERR_MSG_BYTES], launch_remark[OTR_ERR_MSG_BYTES];
    const char *const *allowed; /* folders that may be changed, as the engine had them when it
                                   began; ours */
    char **allowed_texts;
    char root_path[512];             /* of a recovery: as it was */
    char trouble[OTR_ERR_MSG_BYTES]; /* of a journal */
    char touched[OTR_ERR_MSG_BYTES]; /* which file somebody else changed meanwhile */

    otr_trial *trial;
    otr_reload *reload;
    otr_probation *probation;
};

/* How long the owner may take to keep or record something. */
enum { OTR_TX_OWNER_MS = 30000 };

/* ---- steps.c ---- */
/* A step of its way begins / is over. `text` may be "". */
void otr_tx_step(otr_apply *tx, otr_apply_step step);
void otr_tx_step_done(otr_apply *tx);
void otr_tx_says(otr_apply *tx, otr_apply_state state, const char *text);
/* Runs `job` on the strand, then `done` on the loop. */
void otr_tx_job(otr_apply *tx, otr_code (*job)(otr_apply *tx, otr_err *err),
                void (*done)(otr_apply *tx, otr_code rc));
/* Runs fn at the end of this round of the loop. */
void otr_tx_soon(otr_apply *tx, void (*fn)(otr_apply *tx));
void otr_tx_on_timer(void *tx);
void otr_tx_deadline(otr_apply *tx, uint64_t ms, void (*fn)(otr_apply *tx));
void otr_tx_no_deadline(otr_apply *tx);
/* The owner need not answer any more. */
void otr_tx_let_owner(otr_apply *tx);
/* All is decided; the files are as `outcome` says. `reason` may be "". */
void otr_tx_end(otr_apply *tx, otr_apply_outcome outcome, const char *reason);
void otr_tx_remark(otr_apply *tx, const char *text);
/* SIGHUP and the proof; `done` as of reload.h. */
void otr_tx_reload(otr_apply *tx, otr_reload_fn *done);
/* Takes lines and remarks of a reload over. */
void otr_tx_take_reload(otr_apply *tx, const otr_reload_result *result);

/* ---- share.c ---- */
/* Its plan is made. False: another transaction has files of it; `again` is called when a new plan
 * is worth while. */
bool otr_tx_claim(otr_apply *tx, void (*again)(otr_apply *tx));

/* ---- back.c ---- */
/* Undoes what was done to the files; then, where NGINX may have read them, reloads and proves. */
void otr_tx_back(otr_apply *tx, otr_apply_outcome then, const char *reason);
void otr_tx_back_launched(otr_apply *tx, otr_code rc);
void otr_tx_back_instance(otr_apply *tx);

/* ---- recover.c ---- */
void otr_tx_recover_begin(otr_apply *tx);
/* Its instance is there, or another process. */
void otr_tx_recover_instance(otr_apply *tx);

/* ---- tx.c ---- */
void otr_tx_begin(otr_apply *tx);
void otr_tx_master_gone(otr_apply *tx); /* its instance is not there any more */
void otr_tx_stop(otr_apply *tx);        /* as otr_applier_stop() */

/* ---- engine.c ---- */
void otr_tx_free(otr_apply *tx);
otr_code otr_tx_lane_for(otr_applier *a, const char *id, apply_lane **ret, otr_err *err)
    OTR_MUST_CHECK;
otr_code otr_tx_new(otr_applier *a, apply_lane *lane, otr_apply **ret, otr_err *err) OTR_MUST_CHECK;
/* The look for journals is over. */
void otr_tx_listed(otr_applier *a);
/* Puts it at the end of its lane; what waited there is superseded. */
void otr_tx_queue(otr_apply *tx);

/* ---- work.c: jobs ---- */
/* Clock ticks since the boot, as starts of processes are counted; 0: not known. No job. */
uint64_t otr_tx_ticks(void);
otr_code otr_tx_job_plan(otr_apply *tx, otr_err *err);
otr_code otr_tx_job_stage(otr_apply *tx, otr_err *err);
/* Also seals what NGINX is to read. */
otr_code otr_tx_job_swap(otr_apply *tx, otr_err *err);
/* Seals what it is to read, as it is on disk now. */
otr_code otr_tx_job_seal(otr_apply *tx, otr_err *err);
otr_code otr_tx_job_mark(otr_apply *tx, otr_err *err);
otr_code otr_tx_job_commit(otr_apply *tx, otr_err *err);
otr_code otr_tx_job_undo(otr_apply *tx, otr_err *err);
otr_code otr_tx_job_launch(otr_apply *tx, otr_err *err); /* of another process than before */
otr_code otr_tx_job_resume(otr_apply *tx, otr_err *err);
/* The items of the plan into the result. */
otr_code otr_tx_take_files(otr_apply *tx, otr_err *err) OTR_MUST_CHECK;
#endif
