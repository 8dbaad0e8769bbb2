#include "nginx/status/poller.h"

#include "base/alloc.h"
#include "nginx/status/kin.h"
#include "nginx/status/lane.h"

typedef struct look {        /* a job: which masters are there? */
    otr_stub_poller *poller; /* NULL: nobody waits any more */
    otr_master_id master, found[OTR_KIN_MASTERS];
    size_t n;
} look;

struct otr_stub_poller {
    otr_stub_spec spec;
    char **urls;
    char *ca;
    otr_strand *strand;
    look *look;                       /* under way */
    otr_lane *lanes[OTR_KIN_MASTERS]; /* [0] is for the master of `spec` */
    size_t n_lanes, waiting;
    otr_stub_answer answers[OTR_KIN_MASTERS];
    size_t n_answers;
    otr_err err; /* of lane 0 */
    uint64_t timeout_ms;
    otr_stub_done_fn *done; /* NULL: not asking */
    void *arg;
};

static otr_code copy_spec(otr_stub_poller *p, const otr_stub_spec *spec, otr_err *err)
{
    p->spec = *spec;
    p->spec.n = 0;
    p->urls = otr_calloc(spec->n + 1, sizeof(*p->urls));
    p->ca = otr_strdup(spec->ca != NULL ? spec->ca : "");
    for (; p->urls != NULL && p->spec.n < spec->n; p->spec.n++) {
        p->urls[p->spec.n] = otr_strdup(spec->urls[p->spec.n]);
        if (p->urls[p->spec.n] == NULL) {
            break;
        }
    }
    if (p->urls == NULL || p->ca == NULL || p->spec.n < spec->n) {
        return otr_fail_nomem(err);
    }
    p->spec.urls = (const char *const *)p->urls;
    p->spec.ca = p->ca;
    return OTR_OK;
}

otr_code otr_stub_poller_new(const otr_stub_spec *spec, otr_stub_poller **ret, otr_err *err)
{
    enum { JOBS = 4 };
    otr_stub_poller *p = otr_zalloc(sizeof(*p));
    if (p == NULL) {
        return otr_fail_nomem(err);
    }
    otr_master_id master = { spec->pid, spec->started_ticks };
    otr_code rc = copy_spec(p, spec, err);
    if (rc == OTR_OK && spec->pool != NULL) {
        rc = otr_strand_new(spec->pool, JOBS, &p->strand, err);
    }
    rc = rc == OTR_OK ? otr_lane_new(&p->spec, &master, 0, &p->lanes[0], err) : rc;
    if (rc != OTR_OK) {
        otr_stub_poller_free(p);
        return rc;
    }
    p->n_lanes = 1;
    *ret = p;
    return OTR_OK;
}

void otr_stub_poller_free(otr_stub_poller *poller)
{
    if (poller == NULL) {
        return;
    }
    if (poller->look != NULL) {
        poller->look->poller = NULL;
    }
    for (size_t i = 0; i < poller->n_lanes; i++) {
        otr_lane_free(poller->lanes[i]);
    }
    otr_strand_free(poller->strand);
    for (size_t i = 0; i < poller->spec.n; i++) {
        otr_free(poller->urls[i]);
    }
    otr_free(poller->urls);
    otr_free(poller->ca);
    otr_free(poller);
}

const char *otr_stub_poller_url(const otr_stub_poller *poller)
{
    return poller->spec.n > 0 ? poller->urls[otr_lane_current(poller->lanes[0])] : "";
}

static void finish(otr_stub_poller *p)
{
    otr_stub_done_fn *done = p->done;
    otr_stub_answer answers[OTR_KIN_MASTERS];
    size_t n = p->n_answers;
    otr_err err = p->err;
    memcpy(answers, p->answers, sizeof(answers));
    p->done = NULL;
    done(p->arg, answers, n, n > 0 ? NULL : &err);
}

/* Without an answer of the master itself those of the others stand for the instance. */
static void on_lane(void *arg, otr_lane *lane, const otr_err *err)
{
    otr_stub_poller *p = arg;
    if (err == NULL) {
        p->answers[p->n_answers++] = *otr_lane_answer(lane);
    } else if (lane == p->lanes[0]) {
        p->err = *err;
    }
    if (--p->waiting == 0) {
        finish(p);
    }
}

static void ask_lanes(otr_stub_poller *p)
{
    p->n_answers = 0;
    p->waiting = p->n_lanes;
    for (size_t i = 0; i < p->n_lanes; i++) {
        otr_lane_ask(p->lanes[i], p->timeout_ms, on_lane, p);
    }
}

static bool same(const otr_master_id *a, const otr_master_id *b)
{
    return a->pid == b->pid && a->started_ticks == b->started_ticks;
}

/* A lane for each master; those that are kept keep their connections. */
static void set_lanes(otr_stub_poller *p, const otr_master_id *masters, size_t n)
{
    size_t kept = 1;
    for (size_t i = 1; i < p->n_lanes; i++) {
        bool there = false;
        for (size_t j = 0; j < n; j++) {
            there |= same(otr_lane_master(p->lanes[i]), &masters[j]);
        }
        if (there) {
            p->lanes[kept++] = p->lanes[i];
        } else {
            otr_lane_free(p->lanes[i]);
        }
    }
    p->n_lanes = kept;
    for (size_t j = 0; j < n && p->n_lanes < OTR_KIN_MASTERS; j++) {
        bool there = false;
        for (size_t i = 0; i < p->n_lanes; i++) {
            there |= same(otr_lane_master(p->lanes[i]), &masters[j]);
        }
        if (!there && otr_lane_new(&p->spec, &masters[j], otr_lane_current(p->lanes[0]),
                                   &p->lanes[p->n_lanes], NULL) == OTR_OK) {
            p->n_lanes++;
        }
    }
}

static otr_code run_look(otr_strand *strand, void *arg)
{
    (void)strand;
    look *l = arg;
    l->n = otr_kin_masters(&l->master, l->found);
    return OTR_OK;
}

static void on_look(void *arg, otr_code rc)
{
    look *l = arg;
    otr_stub_poller *p = l->poller;
    if (p != NULL) {
        p->look = NULL;
        set_lanes(p, l->found, rc == OTR_OK ? l->n : 0);
        ask_lanes(p);
    }
    otr_free(l);
}

static otr_code begin_look(otr_stub_poller *p, otr_err *err)
{
    look *l = otr_zalloc(sizeof(*l));
    if (l == NULL) {
        return otr_fail_nomem(err);
    }
    l->poller = p;
    l->master = *otr_lane_master(p->lanes[0]);
    otr_code rc = otr_worker_submit(p->strand, run_look, on_look, l, err);
    if (rc != OTR_OK) {
        otr_free(l);
        return rc;
    }
    p->look = l;
    return OTR_OK;
}

otr_code otr_stub_poller_ask(otr_stub_poller *p, uint64_t timeout_ms, otr_stub_done_fn *done,
                             void *arg, otr_err *err)
{
    if (p->done != NULL) {
        return otr_fail(err, OTR_ESTATE, "the status is being asked for");
    }
    if (p->spec.n == 0) {
        return otr_fail(err, OTR_ENOTFOUND, "no status location is known");
    }
    p->timeout_ms = timeout_ms;
    if (p->strand != NULL && p->spec.pid != 0) {
        otr_code rc = begin_look(p, err);
        if (rc != OTR_OK) {
            return rc;
        }
    }
    p->done = done;
    p->arg = arg;
    if (p->look == NULL) {
        ask_lanes(p);
    }
    return OTR_OK;
}
