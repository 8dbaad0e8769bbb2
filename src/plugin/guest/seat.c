#include "plugin/guest/seat.h"

#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"

static void rested(void *arg)
{
    otr_guest_seat *s = arg;
    s->crew->events->rested(s);
}

void otr_seat_free(otr_guest_seat *s)
{
    if (s != NULL) {
        otr_timer_free(s->timer);
        otr_guest_job_free(s->job);
        otr_free(s);
    }
}

void otr_seats_free(otr_seats *seats)
{
    for (size_t i = 0; i < seats->n; i++) {
        otr_seat_free(seats->items[i]);
    }
    otr_free(seats->items);
    *seats = (otr_seats){ NULL, 0 };
}

static otr_code seat_new(otr_seat_crew *crew, otr_manifest *m, otr_guest_seat **ret, otr_err *err)
{
    otr_guest_seat *s = otr_zalloc(sizeof(*s));
    if (s == NULL) {
        return otr_fail_nomem(err);
    }
    s->g = crew->g;
    s->crew = crew;
    otr_code rc = otr_guest_job_new(crew->loop, crew->pool, crew->name, m,
                                    otr_guest_engine(crew->engines, m), &s->job, err);
    if (rc == OTR_OK) {
        s->job->owner = s;
        s->job->bus = crew->bus;
        otr_guest_job_rule(s->job, crew->policy);
        s->job->hostcalls.gate.budget = crew->budget;
        s->job->hostcalls.gate.topics = crew->topics;
        s->job->hostcalls.gate.paid_ns = crew->paid_ns;
        rc = otr_timer_new(crew->loop, rested, s, &s->timer, err);
    }
    if (rc != OTR_OK) {
        otr_seat_free(s);
        return rc;
    }
    *ret = s;
    return OTR_OK;
}

otr_code otr_seats_new(otr_seat_crew *crew, otr_manifest *m, otr_seat_role role, otr_seats *ret,
                       otr_err *err)
{
    otr_seats seats = { .items = otr_calloc(m->instances, sizeof(otr_guest_seat *)) };
    otr_code rc = seats.items != NULL ? OTR_OK : otr_fail_nomem(err);
    for (size_t i = 0; rc == OTR_OK && i < m->instances; i++) {
        rc = seat_new(crew, m, &seats.items[i], err);
        if (rc == OTR_OK) {
            seats.items[i]->role = role;
            seats.items[i]->number = i + 1;
            seats.n++;
        }
    }
    if (rc != OTR_OK) {
        otr_seats_free(&seats);
        return rc;
    }
    *ret = seats;
    return OTR_OK;
}

/* ---- jobs ---- */

static void job_done(void *arg, otr_code rc)
{
    otr_guest_job *job = arg;
    otr_guest_seat *s = job->owner;
    otr_guest_job_kind kind = job->kind;
    job->kind = OTR_JOB_NONE;
    job->cancellable = NULL;
    otr_guest_job_ended(job);
    s->memory_bytes = job->delta.memory_bytes;
    s->has_code = kind == OTR_JOB_LOAD || kind == OTR_JOB_DROP ? job->code != NULL : s->has_code;
    s->crew->events->done(s, kind, rc);
}

bool otr_seat_run(otr_guest_seat *s, otr_guest_job_kind kind)
{
    otr_err err = { 0 };
    if (otr_guest_job_submit(s->job, kind, job_done, &err) == OTR_OK) {
        return true;
    }
    otr_log_error("plugin job not started", "plugin", s->crew->name, "err", err.msg);
    s->crew->events->not_started(s, &err);
    return false;
}

/* One of `seats` whose code may be shared; or, in `*ret_compiling`, that there will be one. */
static const otr_guest_seat *code_of(const otr_seats *seats, bool *ret_compiling)
{
    *ret_compiling = false;
    for (size_t i = 0; i < seats->n; i++) {
        if (seats->items[i]->has_code) {
            return seats->items[i];
        }
        *ret_compiling = *ret_compiling || seats->items[i]->state == OTR_SEAT_LOADING;
    }
    return NULL;
}

static bool load_one(otr_guest_seat *s, const otr_seats *seats)
{
    bool compiling = false;
    const otr_guest_seat *with_code = code_of(seats, &compiling);
    if (with_code == NULL && compiling) {
        return true; /* when that is done */
    }
    if (!s->has_code && with_code != NULL) {
        otr_guest_job_share(s->job, with_code->job);
        s->has_code = true;
    }
    s->state = OTR_SEAT_LOADING;
    return otr_seat_run(s, OTR_JOB_LOAD);
}

void otr_seats_load(const otr_seats *seats)
{
    for (size_t i = 0; i < seats->n; i++) {
        otr_guest_seat *s = seats->items[i];
        if (s->state == OTR_SEAT_EMPTY && !otr_seat_busy(s) && !load_one(s, seats)) {
            return; /* `seats` is not what it was */
        }
    }
}

/* ---- leaving ---- */

static void unlink_leaving(otr_guest_seat *s)
{
    otr_guest_seat **at = &s->crew->leaving;
    while (*at != s) {
        at = &(*at)->next_leaving;
    }
    *at = s->next_leaving;
}

/* The next thing a leaving seat has to do, or NONE: it can go. */
static otr_guest_job_kind next_of_leaving(otr_guest_seat *s)
{
    bool stopping = s->crew->stopping;
    if (s->leave == OTR_LEAVE_BATCH && !stopping && s->state == OTR_SEAT_RUNNING && s->job->n > 0) {
        return OTR_JOB_PROCESS;
    }
    if (!s->closed && s->leave <= OTR_LEAVE_CLOSE) {
        s->closed = true;
        s->job->deadline_ns =
            stopping ? s->crew->stop_deadline_ns : otr_now_ns() + s->job->manifest->call_ns;
        return OTR_JOB_CLOSE;
    }
    if (!s->dropped) {
        s->dropped = true;
        s->job->drop_code = true;
        return OTR_JOB_DROP;
    }
    return OTR_JOB_NONE;
}

void otr_seat_leave_on(otr_guest_seat *s)
{
    otr_err err = { 0 };
    otr_guest_job_kind kind = next_of_leaving(s);
    if (kind != OTR_JOB_NONE && otr_guest_job_submit(s->job, kind, job_done, &err) == OTR_OK) {
        return;
    }
    unlink_leaving(s);
    s->crew->events->left(s);
}

static void hurry(const otr_guest_seat *s)
{
    if (s->leave == OTR_LEAVE_NOW) {
        otr_guest_job_cancel(s->job);
    } else if (s->leave == OTR_LEAVE_CALL ||
               (s->leave == OTR_LEAVE_CLOSE && s->job->kind == OTR_JOB_PROCESS)) {
        atomic_store(&s->job->last_call, true);
    }
}

void otr_seats_hurry(otr_seat_crew *crew, otr_leave how)
{
    for (otr_guest_seat *s = crew->leaving; s != NULL; s = s->next_leaving) {
        if (s->leave < how) {
            s->leave = how;
            hurry(s);
        }
    }
}

void otr_seats_leave(otr_seats *seats, otr_leave how)
{
    otr_seats gone = *seats;
    *seats = (otr_seats){ NULL, 0 };
    for (size_t i = 0; i < gone.n; i++) {
        otr_guest_seat *s = gone.items[i];
        s->role = OTR_SEAT_LEAVING;
        s->leave = how;
        s->next_leaving = s->crew->leaving;
        s->crew->leaving = s;
        otr_timer_stop(s->timer);
        if (otr_seat_busy(s)) {
            hurry(s);
        }
    }
    for (size_t i = 0; i < gone.n; i++) { /* now that the plugin knows all who leave */
        otr_guest_seat *s = gone.items[i];
        if (!otr_seat_busy(s)) {
            otr_seat_leave_on(s);
        }
    }
    otr_free(gone.items);
}

void otr_seats_trim(otr_seats *seats, size_t n, otr_leave how)
{
    size_t extra = seats->n > n ? seats->n - n : 0;
    otr_guest_seat **items = extra > 0 ? otr_calloc(extra, sizeof(*items)) : NULL;
    if (items != NULL) { /* else they go with the version */
        memcpy(items, seats->items + n, extra * sizeof(*items));
        seats->n = n;
        otr_seats_leave(&(otr_seats){ items, extra }, how);
    }
}
