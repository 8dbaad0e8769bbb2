#include "base/log.h"
#include "config/agent_keys.h"
#include "modules/config_history.h"
#include "support/test.h"
#include "unit/nginx/tree.h"

typedef struct rig {
    tree t;
    otr_loop *loop;
    otr_pool *pool;
    otr_config *cfg;
    otr_services services;
    otr_config_history *history;
    unsigned stopped, jobs;
} rig;

static void rig_deinit(rig *r)
{
    otr_config_history_free(r->history);
    otr_pool_free(r->pool);
    otr_problems_free(r->services.problems);
    otr_loop_free(r->loop);
    otr_config_unref(r->cfg);
    tree_deinit(&r->t);
}

static bool rig_init(rig *r)
{
    static const otr_key *const tables[] = { otr_agent_keys, NULL };
    memset(r, 0, sizeof(*r));
    otr_err err = { 0 };
    otr_config_source source = { .tables = tables, .file = "" };
    bool ok = tree_init(&r->t) && otr_config_load(&source, &r->cfg, &err) == OTR_OK &&
              otr_loop_new(&r->loop, &err) == OTR_OK &&
              otr_pool_new(r->loop, 1, &r->pool, &err) == OTR_OK &&
              otr_problems_new(&r->services.problems, &err) == OTR_OK;
    r->services.pool = r->pool;
    r->services.config = r->cfg;
    return ok && otr_config_history_new(&r->services, r->loop, r->cfg, &r->history, &err) == OTR_OK;
}

#define RIG(r)                     \
    OTR_CLEANUP(rig_deinit) rig r; \
    REQUIRE(rig_init(&(r)))

static void on_stopped(void *arg)
{
    ((rig *)arg)->stopped++;
}

static otr_code run(void *arg, otr_history *h, otr_err *err)
{
    (void)arg;
    (void)h;
    (void)err;
    return OTR_OK;
}

static void done(void *arg, otr_code rc, const otr_err *err)
{
    (void)rc;
    (void)err;
    ((rig *)arg)->jobs++;
}

static otr_code submit(rig *r)
{
    const otr_config_history_job job = {
        .what = "test", .sparing = true, .run = run, .done = done, .arg = r
    };
    return otr_config_history_submit(r->history, &job, NULL);
}

T_NO_OOM(who_stops_it_is_told_when_the_last_job_is_done)
{
    RIG(r);
    REQUIRE(submit(&r) == OTR_OK);
    otr_config_history_stop(r.history, on_stopped, &r);
    CHECK_INT(r.stopped, 0);
    for (int i = 0; i < 1000 && r.stopped == 0; i++) {
        otr_loop_step(r.loop, 5);
    }
    CHECK_INT(r.stopped, 1);
    CHECK_INT(r.jobs, 1);
}

T_NO_OOM(without_a_job_it_is_stopped_at_once)
{
    RIG(r);
    otr_config_history_stop(r.history, on_stopped, &r);
    CHECK_INT(r.stopped, 1);
}

/* Past the agent's deadline the module goes while its jobs are still at work. */
T_NO_OOM(who_did_not_wait_for_the_last_job_is_not_told)
{
    RIG(r);
    REQUIRE(submit(&r) == OTR_OK);
    otr_config_history_stop(r.history, on_stopped, &r);
    otr_config_history_free(otr_steal(&r.history));
    otr_pool_free(otr_steal(&r.pool));
    CHECK_INT(r.jobs, 1);
    CHECK_INT(r.stopped, 0);
}
