#include "nginx/instance/inventory.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/log.h"
#include "nginx/proc.h"

enum { QUICK_MS = 10 }; /* again while a new master is held back */

/* Rescans after the start and after the death of a master: its successor is seen soon. */
static const unsigned quick_ms[] = { 10, 20, 50, 100, 200, 500, 1000, 2000 };

typedef struct watched { /* an instance that was reported */
    otr_nginx_instance *instance;
    otr_inventory *inv;
    int fd; /* pidfd of the master, or -1 */
    otr_watch *watch;
    bool seen;
} watched;

struct otr_inventory {
    otr_loop *loop;
    otr_strand *strand;
    otr_timer *timer;
    otr_survey *survey; /* the job's while one runs, the loop's otherwise */
    void (*event)(void *arg, otr_inventory_event event, const otr_nginx_instance *instance);
    otr_loop_fn *surveyed;
    void *arg;
    uint64_t rescan_ms;
    char *status_url;
    otr_strangers strangers;
    otr_root *allowed, *excluded;            /* the `allowed` of each is the list */
    bool url_is_new, allowed_is_new, reread; /* taken over between two surveys */
    bool unhurried;
    bool pidfds; /* proc_root is this system's own */
    bool started, running, freed, again;
    size_t quick;         /* next of quick_ms */
    otr_survey_lack lack; /* of the last survey */
    otr_err job_err;
    char last_error[OTR_ERR_MSG_BYTES]; /* logged already */
    watched *items[OTR_LIMIT_NGINX_INSTANCES];
    size_t n;
};

static void survey_now(otr_inventory *inv);

/* ---- reported instances ---- */

static void unwatch(watched *w)
{
    otr_watch_free(w->watch);
    w->watch = NULL;
    if (w->fd >= 0) {
        close(w->fd);
        w->fd = -1;
    }
}

static void free_watched(watched *w)
{
    unwatch(w);
    otr_nginx_instance_free(w->instance);
    otr_free(w);
}

static void on_master_end(void *arg, int events)
{
    (void)events;
    watched *w = arg;
    otr_inventory *inv = w->inv;
    unwatch(w); /* the descriptor stays readable for ever */
    inv->quick = 0;
    survey_now(inv);
}

/* Without a pidfd the next rescan finds the death. */
static void watch_master(watched *w)
{
    unwatch(w);
    if (!w->inv->pidfds || w->instance->stranger) {
        return; /* a user who starts and ends masters shall not keep us busy */
    }
    long fd = syscall(SYS_pidfd_open, w->instance->pid, 0);
    if (fd < 0) {
        if (errno == ESRCH) {
            w->inv->quick = 0;
        }
        return;
    }
    w->fd = (int)fd;
    otr_proc_stat st;
    if (!otr_proc_stat_read("/proc", w->instance->pid, &st) ||
        st.started_ticks != w->instance->started_ticks) {
        unwatch(w); /* the pid names another process by now */
        w->inv->quick = 0;
        return;
    }
    otr_err err;
    if (otr_watch_new(w->inv->loop, w->fd, OTR_WATCH_READ, on_master_end, w, &w->watch, &err) !=
        OTR_OK) {
        otr_log_debug("cannot watch a master process", "err", err.msg);
        unwatch(w);
    }
}

static watched *find(const otr_inventory *inv, const char *id)
{
    for (size_t i = 0; i < inv->n; i++) {
        if (strcmp(inv->items[i]->instance->id, id) == 0) {
            return inv->items[i];
        }
    }
    return NULL;
}

/* ---- what a survey found ---- */

/* True when it could be kept; without memory the next survey reports it. */
static bool set_instance(watched *w, const otr_nginx_instance *from)
{
    otr_nginx_instance *copy;
    if (otr_nginx_instance_copy(from, &copy, NULL) != OTR_OK) {
        return false;
    }
    bool other = w->instance == NULL || w->instance->pid != copy->pid ||
                 w->instance->started_ticks != copy->started_ticks;
    otr_nginx_instance_free(w->instance);
    w->instance = copy;
    if (other) {
        watch_master(w);
    }
    return true;
}

static void report_new(otr_inventory *inv, const otr_nginx_instance *from)
{
    watched *w = inv->n < OTR_COUNT(inv->items) ? otr_zalloc(sizeof(*w)) : NULL;
    if (w == NULL) {
        return;
    }
    w->inv = inv;
    w->fd = -1;
    if (!set_instance(w, from)) {
        free_watched(w);
        return;
    }
    inv->items[inv->n++] = w;
    inv->event(inv->arg, OTR_INSTANCE_STARTED, w->instance);
}

static void report_known(otr_inventory *inv, watched *w, const otr_found *found)
{
    const otr_nginx_instance *now = found->instance;
    if (found->same_life && otr_nginx_instance_eq(w->instance, now)) {
        return;
    }
    bool restarted = !found->same_life;
    if (restarted) {
        inv->event(inv->arg, OTR_INSTANCE_STOPPED, w->instance);
    }
    if (set_instance(w, now)) {
        inv->event(inv->arg, restarted ? OTR_INSTANCE_STARTED : OTR_INSTANCE_CHANGED, w->instance);
    }
}

static void report_gone(otr_inventory *inv)
{
    size_t kept = 0;
    for (size_t i = 0; i < inv->n; i++) {
        watched *w = inv->items[i];
        if (w->seen) {
            w->seen = false;
            inv->items[kept++] = w;
            continue;
        }
        inv->event(inv->arg, OTR_INSTANCE_STOPPED, w->instance);
        if (!w->instance->stranger) {
            inv->quick = 0;
        }
        free_watched(w);
    }
    inv->n = kept;
}

/* First the ends, then what goes on or begins: each instance is told of once. */
static void report(otr_inventory *inv)
{
    size_t n;
    const otr_found *found = otr_survey_found(inv->survey, &n);
    for (size_t i = 0; i < n; i++) {
        watched *w = find(inv, found[i].instance->id);
        if (w != NULL) {
            w->seen = true;
        }
    }
    report_gone(inv);
    for (size_t i = 0; i < n; i++) {
        watched *w = find(inv, found[i].instance->id);
        if (w != NULL) {
            report_known(inv, w, &found[i]);
        } else {
            report_new(inv, found[i].instance);
        }
    }
}

/* ---- surveys ---- */

static void destroy(otr_inventory *inv)
{
    otr_survey_free(inv->survey);
    otr_root_free(inv->allowed);
    otr_root_free(inv->excluded);
    otr_free(inv->status_url);
    otr_free(inv);
}

static otr_code survey_job(otr_strand *strand, void *arg)
{
    (void)strand;
    otr_inventory *inv = arg;
    return otr_survey_run(inv->survey, &inv->job_err);
}

static void schedule(otr_inventory *inv)
{
    uint64_t wait = inv->rescan_ms;
    if (inv->again) {
        inv->again = false;
        wait = 0;
    } else if (inv->unhurried) {
        wait = inv->rescan_ms;
    } else if (otr_survey_is_early(inv->survey)) {
        wait = QUICK_MS;
    } else if (inv->quick < OTR_COUNT(quick_ms)) {
        uint64_t quick = quick_ms[inv->quick++];
        wait = quick < wait ? quick : wait;
    }
    otr_timer_start(inv->timer, wait, 0);
}

static void note_result(otr_inventory *inv, otr_code rc)
{
    const char *text = rc == OTR_OK ? "" : inv->job_err.msg;
    if (strcmp(text, inv->last_error) != 0) {
        if (rc != OTR_OK) {
            otr_log_debug("cannot look for NGINX instances", "err", text);
        }
        memcpy(inv->last_error, text, strlen(text) + 1);
    }
}

static void on_surveyed(void *arg, otr_code rc)
{
    otr_inventory *inv = arg;
    inv->running = false;
    if (inv->freed) {
        destroy(inv);
        return;
    }
    note_result(inv, rc);
    if (rc == OTR_OK) {
        inv->lack = otr_survey_get_lack(inv->survey);
        report(inv);
        if (inv->surveyed != NULL) {
            inv->surveyed(inv->arg);
        }
    }
    schedule(inv);
}

/* Settings that came while a survey was running. */
static void take_settings(otr_inventory *inv)
{
    if (inv->url_is_new &&
        otr_survey_set_status_url(inv->survey, inv->status_url, NULL) == OTR_OK) {
        inv->url_is_new = false;
    }
    if (inv->allowed_is_new &&
        otr_survey_set_allowed(inv->survey, inv->allowed->allowed, NULL) == OTR_OK &&
        otr_survey_set_excluded(inv->survey, inv->excluded->allowed, NULL) == OTR_OK) {
        inv->allowed_is_new = false;
    }
    otr_survey_set_strangers(inv->survey, inv->strangers);
    if (inv->reread) {
        inv->reread = false;
        otr_survey_reread(inv->survey);
    }
}

static void survey_now(otr_inventory *inv)
{
    if (!inv->started) {
        return;
    }
    if (inv->running) {
        inv->again = true;
        return;
    }
    otr_timer_stop(inv->timer);
    take_settings(inv);
    otr_err err;
    inv->running = true;
    if (otr_worker_submit(inv->strand, survey_job, on_surveyed, inv, &err) != OTR_OK) {
        inv->running = false;
        otr_log_debug("cannot look for NGINX instances", "err", err.msg);
        otr_timer_start(inv->timer, inv->rescan_ms, 0);
    }
}

static void on_timer(void *arg)
{
    survey_now(arg);
}

/* ---- life ---- */

otr_code otr_inventory_configure(otr_inventory *inv, const otr_inventory_settings *settings,
                                 otr_err *err)
{
    otr_root view = { .path = "", .allowed = settings->allowed }, *allowed;
    otr_code rc = otr_root_copy(&view, &allowed, err);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_root patterns = { .path = "", .allowed = settings->excluded }, *excluded = NULL;
    rc = otr_root_copy(&patterns, &excluded, err);
    char *url = rc == OTR_OK ? otr_strdup(settings->status_url) : NULL;
    if (url == NULL) {
        otr_root_free(allowed);
        otr_root_free(excluded);
        return otr_fail_nomem(err);
    }
    otr_root_free(inv->allowed);
    otr_root_free(inv->excluded);
    inv->allowed = allowed;
    inv->excluded = excluded;
    inv->allowed_is_new = true;
    inv->url_is_new = true;
    otr_free(inv->status_url);
    inv->status_url = url;
    inv->strangers = settings->strangers;
    inv->rescan_ms = settings->rescan_ms > 0 ? settings->rescan_ms : 1;
    survey_now(inv);
    return OTR_OK;
}

otr_code otr_inventory_new(const otr_inventory_spec *spec, const otr_inventory_settings *settings,
                           otr_inventory **ret, otr_err *err)
{
    otr_inventory *inv = otr_zalloc(sizeof(*inv));
    if (inv == NULL) {
        return otr_fail_nomem(err);
    }
    inv->loop = spec->loop;
    inv->event = spec->event;
    inv->surveyed = spec->surveyed;
    inv->arg = spec->arg;
    inv->unhurried = spec->unhurried;
    inv->pidfds = strcmp(spec->proc_root, "/proc") == 0;
    otr_code rc = otr_inventory_configure(inv, settings, err);
    if (rc == OTR_OK) {
        rc = otr_survey_new(spec->proc_root, &inv->survey, err);
    }
    if (rc == OTR_OK) {
        rc = otr_strand_new(spec->pool, 1, &inv->strand, err);
    }
    if (rc == OTR_OK) {
        rc = otr_timer_new(spec->loop, on_timer, inv, &inv->timer, err);
    }
    if (rc != OTR_OK) {
        otr_inventory_free(inv);
        return rc;
    }
    *ret = inv;
    return OTR_OK;
}

otr_survey_lack otr_inventory_get_lack(const otr_inventory *inv)
{
    return inv->lack;
}

void otr_inventory_start(otr_inventory *inv)
{
    inv->started = true;
    survey_now(inv);
}

void otr_inventory_refresh(otr_inventory *inv)
{
    inv->reread = true;
    survey_now(inv);
}

void otr_inventory_free(otr_inventory *inv)
{
    if (inv == NULL) {
        return;
    }
    for (size_t i = 0; i < inv->n; i++) {
        free_watched(inv->items[i]);
    }
    otr_timer_free(inv->timer);
    inv->freed = true;
    bool running = inv->running;
    otr_strand_free(inv->strand);
    if (!running) {
        destroy(inv); /* else the job's end does it */
    }
}
