/* The engine: lanes, the queue of each, and what outlives a transaction. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/texts.h"
#include "net/http/client.h"
#include "nginx/apply/tx.h"

/* ---- transactions ---- */

/* What the loop knows of. */
static void free_handles(otr_apply *tx)
{
    if (tx->next_fn != NULL) {
        otr_loop_defer_cancel(&tx->next);
        tx->next_fn = NULL;
    }
    otr_trial_free(otr_steal(&tx->trial));
    otr_reload_free(otr_steal(&tx->reload));
    otr_probation_free(otr_steal(&tx->probation));
    otr_timer_free(otr_steal(&tx->timer));
    otr_strand_free(otr_steal(&tx->strand));
}

/* The memory of a freed engine, once no job needs it any more. */
static void release(otr_applier *a)
{
    if (!a->freed || a->n_txs > 0 || a->listing) {
        return;
    }
    otr_journals_deinit(&a->journals);
    otr_texts_free(a->settings.allowed);
    otr_free(a->proc_root);
    otr_free(a->state_dir);
    otr_free(a->folder);
    otr_free(a);
}

void otr_tx_free(otr_apply *tx)
{
    if (tx == NULL) {
        return;
    }
    otr_applier *a = tx->a;
    free_handles(tx);
    if (tx->working) { /* its job has the rest; otr_tx_job() comes back here */
        tx->abandoned = true;
        return;
    }
    otr_change_free(tx->change);
    otr_plan_free(tx->plan);
    otr_changes_free(tx->set);
    if (tx->weighed != NULL && a->spec.host.drop != NULL) {
        a->spec.host.drop(a->spec.host.arg, tx->weighed);
    }
    if (tx->launch != NULL) {
        otr_launch_deinit(tx->launch);
        otr_free(tx->launch);
    }
    otr_error_logs_deinit(&tx->logs);
    otr_claims_deinit(&tx->claims);
    otr_root_free(tx->root);
    otr_texts_free(tx->allowed_texts);
    otr_buf_deinit(&tx->impact);
    otr_buf_deinit(&tx->diff);
    for (size_t i = 0; tx->probes != NULL && i < tx->request.probation.n_probes; i++) {
        otr_free((char *)(uintptr_t)tx->probes[i].url);
        otr_free((char *)(uintptr_t)tx->probes[i].body);
    }
    otr_free(tx->probes);
    otr_nginx_instance_free(tx->instance);
    otr_apply_result_free(tx->result);
    a->n_txs--;
    otr_free(tx);
    release(a);
}

otr_code otr_tx_new(otr_applier *a, apply_lane *lane, otr_apply **ret, otr_err *err)
{
    otr_apply *tx = otr_zalloc(sizeof(*tx));
    if (tx == NULL) {
        return otr_fail_nomem(err);
    }
    tx->a = a;
    tx->lane = lane;
    tx->began_ns = otr_now_ns();
    tx->then = OTR_APPLY_FAILED;
    a->n_txs++;
    otr_buf_init(&tx->impact, OTR_LIMIT_APPLY_IMPACT_BYTES);
    otr_buf_init(&tx->diff, OTR_LIMIT_APPLY_IMPACT_BYTES);
    tx->result = otr_zalloc(sizeof(*tx->result));
    otr_code rc = tx->result != NULL ? OTR_OK : otr_fail_nomem(err);
    rc = rc == OTR_OK ? otr_strand_new(a->spec.pool, 4, &tx->strand, err) : rc;
    rc = rc == OTR_OK ? otr_texts_copy(a->settings.allowed, &tx->allowed_texts, err) : rc;
    if (rc != OTR_OK) {
        otr_tx_free(tx);
        return rc;
    }
    tx->allowed = (const char *const *)tx->allowed_texts;
    otr_apply_id_make(tx->result->id);
    (void)snprintf(tx->result->instance, sizeof(tx->result->instance), "%s", lane->id);
    tx->result->begun_ns = otr_wall_ns();
    *ret = tx;
    return OTR_OK;
}

/* ---- lanes ---- */

static apply_lane *find_lane(const otr_applier *a, const char *id)
{
    for (size_t i = 0; i < a->n_lanes; i++) {
        if (strcmp(a->lanes[i]->id, id) == 0) {
            return a->lanes[i];
        }
    }
    return NULL;
}

otr_code otr_tx_lane_for(otr_applier *a, const char *id, apply_lane **ret, otr_err *err)
{
    *ret = find_lane(a, id);
    if (*ret != NULL) {
        return OTR_OK;
    }
    if (strlen(id) >= OTR_NGINX_ID_BYTES) {
        return otr_fail(err, OTR_EINVAL, "no id of an instance: %s", id);
    }
    otr_code rc = otr_grow(&a->lanes, a->n_lanes, &a->cap_lanes, sizeof(apply_lane *), err);
    apply_lane *lane = rc == OTR_OK ? otr_zalloc(sizeof(*lane)) : NULL;
    if (lane == NULL) {
        return rc != OTR_OK ? rc : otr_fail_nomem(err);
    }
    memcpy(lane->id, id, strlen(id) + 1);
    a->lanes[a->n_lanes++] = lane;
    *ret = lane;
    return OTR_OK;
}

static void free_lane(apply_lane *lane)
{
    otr_nginx_instance_free(lane->instance);
    otr_free(lane);
}

/* Lanes of instances that are gone. Not from inside a call that uses one. */
static void sweep(void *arg)
{
    otr_applier *a = arg;
    for (size_t i = 0; i < a->n_lanes;) {
        apply_lane *lane = a->lanes[i];
        if (lane->running == NULL && lane->waiting == NULL && lane->instance == NULL &&
            lane->back_ticks == 0) {
            free_lane(lane);
            a->lanes[i] = a->lanes[--a->n_lanes];
        } else {
            i++;
        }
    }
    if (a->stopping && a->n_txs == 0 && a->stopped != NULL) {
        otr_loop_fn *stopped = a->stopped;
        a->stopped = NULL;
        stopped(a->stopped_arg);
    }
}

static void begin_next(apply_lane *lane)
{
    if (lane->running == NULL && lane->waiting != NULL) {
        lane->running = lane->waiting;
        lane->waiting = NULL;
        otr_tx_begin(lane->running);
    }
}

void otr_tx_queue(otr_apply *tx)
{
    apply_lane *lane = tx->lane;
    if (lane->running == NULL) {
        lane->running = tx;
        otr_tx_begin(tx);
        return;
    }
    otr_apply *older = lane->waiting;
    if (older == NULL && lane->running->blocked) { /* it waits, too: for another instance's */
        older = lane->running;
        older->blocked = false;
    }
    lane->waiting = tx;
    otr_tx_step(tx, OTR_APPLY_WAITING);
    if (older != NULL) {
        char text[96];
        (void)snprintf(text, sizeof(text), "the newer request %s took its place", tx->result->id);
        otr_tx_end(older, OTR_APPLY_SUPERSEDED, text);
    }
}

static void over(otr_apply *tx)
{
    otr_applier *a = tx->a;
    apply_lane *lane = tx->lane;
    if (lane->running == tx) {
        lane->running = NULL;
    }
    a->ends += tx->holds;
    otr_tx_free(tx);
    begin_next(lane);
    otr_loop_defer(a->spec.loop, &a->sweep, sweep, a);
}

/* ---- requests ---- */

static otr_code check_probation(const otr_apply_probation *p, otr_err *err)
{
    if (p->n_probes > OTR_LIMIT_APPLY_PROBES) {
        return otr_fail(err, OTR_EQUOTA, "more than %d probes", OTR_LIMIT_APPLY_PROBES);
    }
    if (p->watch_ms > OTR_LIMIT_APPLY_WATCH_MS) {
        return otr_fail(err, OTR_EINVAL, "a probation of more than %d s",
                        OTR_LIMIT_APPLY_WATCH_MS / 1000);
    }
    for (size_t i = 0; i < p->n_probes; i++) {
        otr_http_url url = { 0 };
        otr_code rc = otr_http_url_parse(p->probes[i].url, &url, err);
        otr_http_url_deinit(&url);
        if (rc != OTR_OK) {
            return otr_wrap(err, rc, "probe %zu", i + 1);
        }
    }
    return OTR_OK;
}

static otr_code check_request(const otr_applier *a, const otr_apply_request *r, otr_err *err)
{
    if (!a->settings.s.enabled && !r->dry_run) {
        return otr_fail(err, OTR_EUNSUP,
                        "changes of configurations are switched off: see outrider.config.apply");
    }
    if (a->listing) {
        return otr_fail(err, OTR_ESTATE,
                        "the agent has just started and looks for changes that "
                        "were interrupted: try again");
    }
    if (a->stopping) {
        return otr_fail(err, OTR_ESTATE, "the agent is stopping");
    }
    if (a->n_txs >= OTR_LIMIT_APPLY_RUNNING) {
        return otr_fail(err, OTR_EQUOTA, "%d changes run or wait already", OTR_LIMIT_APPLY_RUNNING);
    }
    return check_probation(&r->probation, err);
}

static otr_code dup(const char *text, const char **ret, otr_err *err)
{
    *ret = text != NULL ? otr_strdup(text) : NULL;
    return text == NULL || *ret != NULL ? OTR_OK : otr_fail_nomem(err);
}

static otr_code copy_probes(otr_apply *tx, const otr_apply_probation *from, otr_err *err)
{
    tx->request.probation = *from;
    tx->request.probation.n_probes = 0;
    tx->probes = otr_calloc(from->n_probes + 1, sizeof(*tx->probes));
    tx->request.probation.probes = tx->probes;
    otr_code rc = tx->probes != NULL ? OTR_OK : otr_fail_nomem(err);
    for (size_t i = 0; rc == OTR_OK && i < from->n_probes; i++) {
        tx->probes[i] = from->probes[i];
        tx->probes[i].body = NULL;
        rc = dup(from->probes[i].url, &tx->probes[i].url, err);
        tx->request.probation.n_probes += rc == OTR_OK;
        rc = rc == OTR_OK ? dup(from->probes[i].body, &tx->probes[i].body, err) : rc;
    }
    return rc;
}

static otr_code copy_request(otr_apply *tx, const otr_apply_request *from, otr_err *err)
{
    otr_apply_result *r = tx->result;
    tx->request = *from;
    tx->request.probation = (otr_apply_probation){ 0 };
    tx->request.set = NULL; /* `set` has it once it is taken */
    r->who = from->who;
    r->why = from->why;
    otr_code rc =
        otr_apply_result_say(&r->message, err, from->message != NULL ? from->message : "");
    rc = rc == OTR_OK ? otr_apply_result_say(&r->of, err, from->of != NULL ? from->of : "") : rc;
    rc = rc == OTR_OK ? otr_nginx_instance_copy(from->instance, &tx->instance, err) : rc;
    tx->request.message = r->message;
    tx->request.of = r->of;
    tx->request.instance = tx->instance;
    return rc == OTR_OK ? copy_probes(tx, &from->probation, err) : rc;
}

otr_code otr_applier_submit(otr_applier *a, const otr_apply_request *request,
                            char ret_id[OTR_APPLY_ID_BYTES], otr_err *err)
{
    apply_lane *lane = NULL;
    otr_apply *tx = NULL;
    otr_code rc = check_request(a, request, err);
    rc = rc == OTR_OK ? otr_tx_lane_for(a, request->instance->id, &lane, err) : rc;
    rc = rc == OTR_OK ? otr_tx_new(a, lane, &tx, err) : rc;
    if (rc != OTR_OK) {
        return rc;
    }
    rc = copy_request(tx, request, err);
    rc = rc == OTR_OK ? otr_timer_new(a->spec.loop, otr_tx_on_timer, tx, &tx->timer, err) : rc;
    if (rc != OTR_OK) {
        otr_tx_free(tx);
        otr_loop_defer(a->spec.loop, &a->sweep, sweep, a);
        return rc;
    }
    tx->set = request->set;
    memcpy(ret_id, tx->result->id, OTR_APPLY_ID_BYTES);
    otr_tx_queue(tx);
    return OTR_OK;
}

static bool tell_now(const otr_apply *tx, bool waits, bool (*fn)(void *, const otr_apply_now *),
                     void *arg)
{
    otr_apply_now now = { .id = tx->result->id,
                          .instance = tx->result->instance,
                          .who = &tx->result->who,
                          .step = tx->step,
                          .since_ns = tx->result->begun_ns,
                          .waits = waits };
    return fn(arg, &now);
}

void otr_applier_each(const otr_applier *a, bool (*fn)(void *arg, const otr_apply_now *now),
                      void *arg)
{
    bool on = true;
    for (size_t i = 0; on && i < a->n_lanes; i++) {
        const apply_lane *lane = a->lanes[i];
        on = lane->running == NULL || tell_now(lane->running, false, fn, arg);
        on = on && (lane->waiting == NULL || tell_now(lane->waiting, true, fn, arg));
    }
}

/* ---- instances ---- */

void otr_applier_instance(otr_applier *a, const otr_nginx_instance *instance)
{
    apply_lane *lane = NULL;
    otr_nginx_instance *copy = NULL;
    if (otr_tx_lane_for(a, instance->id, &lane, NULL) != OTR_OK ||
        otr_nginx_instance_copy(instance, &copy, NULL) != OTR_OK) {
        return; /* told again with its next change; a recovery waits for a while */
    }
    otr_nginx_instance_free(lane->instance);
    lane->instance = copy;
    if (lane->running != NULL) {
        otr_tx_recover_instance(lane->running);
    } else if (lane->back_ticks != 0 && a->resume != NULL && !a->stopping) {
        a->resume(a, lane);
    }
}

void otr_applier_instance_gone(otr_applier *a, const char *id)
{
    apply_lane *lane = find_lane(a, id);
    if (lane != NULL) {
        otr_nginx_instance_free(lane->instance);
        lane->instance = NULL;
        if (lane->running != NULL) {
            otr_tx_master_gone(lane->running);
        }
        otr_loop_defer(a->spec.loop, &a->sweep, sweep, a);
    }
}

/* ---- the engine itself ---- */

static otr_code take_settings(apply_settings *to, const otr_applier_settings *from, otr_err *err)
{
    apply_settings fresh = { .s = *from };
    otr_code rc = otr_texts_copy((char *const *)(uintptr_t)from->allowed, &fresh.allowed, err);
    if (rc == OTR_OK) {
        fresh.s.allowed = (const char *const *)fresh.allowed;
        otr_texts_free(to->allowed);
        *to = fresh;
    }
    return rc;
}

otr_code otr_applier_configure(otr_applier *a, const otr_applier_settings *settings, otr_err *err)
{
    return take_settings(&a->settings, settings, err);
}

otr_code otr_applier_new(const otr_applier_spec *spec, const otr_applier_settings *settings,
                         otr_applier **ret, otr_err *err)
{
    otr_applier *a = otr_zalloc(sizeof(*a));
    if (a == NULL) {
        return otr_fail_nomem(err);
    }
    a->spec = *spec;
    a->over = over;
    a->drop = otr_tx_free;
    size_t n = strlen(spec->state_dir) + sizeof("/apply");
    a->proc_root = otr_strdup(spec->proc_root);
    a->state_dir = otr_strdup(spec->state_dir);
    a->folder = otr_alloc(n);
    otr_code rc = a->proc_root != NULL && a->state_dir != NULL && a->folder != NULL
                      ? OTR_OK
                      : otr_fail_nomem(err);
    rc = rc == OTR_OK ? otr_strand_new(spec->pool, 1, &a->strand, err) : rc;
    rc = rc == OTR_OK ? take_settings(&a->settings, settings, err) : rc;
    if (rc != OTR_OK) {
        otr_applier_free(a);
        return rc;
    }
    (void)snprintf(a->folder, n, "%s/apply", spec->state_dir);
    *ret = a;
    return OTR_OK;
}

void otr_applier_stop(otr_applier *a, otr_loop_fn *done, void *arg)
{
    a->stopping = true;
    a->stopped = done;
    a->stopped_arg = arg;
    for (size_t i = 0; i < a->n_lanes; i++) {
        otr_apply *waiting = a->lanes[i]->waiting;
        if (waiting != NULL) {
            a->lanes[i]->waiting = NULL;
            otr_tx_end(waiting, OTR_APPLY_FAILED, "the agent is stopping");
        }
        if (a->lanes[i]->running != NULL) {
            otr_tx_stop(a->lanes[i]->running);
        }
    }
    otr_loop_defer(a->spec.loop, &a->sweep, sweep, a);
}

void otr_applier_free(otr_applier *a)
{
    if (a == NULL) {
        return;
    }
    otr_loop_defer_cancel(&a->sweep);
    otr_strand_free(otr_steal(&a->strand));
    for (size_t i = 0; i < a->n_lanes; i++) {
        otr_tx_free(a->lanes[i]->running);
        otr_tx_free(a->lanes[i]->waiting);
        free_lane(a->lanes[i]);
    }
    otr_free(otr_steal(&a->lanes));
    a->n_lanes = 0;
    a->freed = true;
    release(a);
}

void otr_tx_listed(otr_applier *a)
{
    a->listing = false;
    release(a);
}
