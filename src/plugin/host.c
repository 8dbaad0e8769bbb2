#include "plugin/host.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "plugin/hook_call.h"
#include "plugin/internal.h"

enum { TURN_MESSAGES = 64 };

/* ---- modules ---- */

static void deliver(void *arg, otr_sub *sub)
{
    otr_plugin *p = arg;
    for (int i = 0; i < TURN_MESSAGES; i++) {
        OTR_CLEANUP(otr_msg_unrefp) otr_msg *msg = otr_sub_take(sub);
        if (msg == NULL) {
            return;
        }
        otr_err err = { 0 };
        uint64_t begin = otr_now_ns();
        otr_code rc = p->ops->message(p, msg, &err);
        otr_plugin_count_call(&p->stats, otr_now_ns() - begin);
        if (rc != OTR_OK) {
            p->stats.errors++;
            otr_log_warn("message not handled", "plugin", p->name, "topic", msg->topic->name, "err",
                         err.msg);
        }
        if (p->sub != sub) {
            return;
        }
    }
    otr_sub_wake(sub);
}

static otr_code init_module(otr_plugin *p, const otr_config *cfg, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; p->ops->publishes != NULL && p->ops->publishes[i] != NULL && rc == OTR_OK;
         i++) {
        rc = otr_bus_declare(p->host->spec.bus, p->ops->publishes[i], err);
    }
    if (rc == OTR_OK) {
        p->inited = true;
        rc = p->ops->init(p, cfg, err);
    }
    if (rc == OTR_OK && p->ops->subscribes != NULL) {
        rc = otr_plugin_subscribe(p, p->ops->subscribes, p->ops->queue, deliver, err);
    }
    return rc == OTR_OK ? OTR_OK : otr_wrap(err, rc, "module %s", p->name);
}

static otr_code start_module(otr_plugin *p, otr_err *err)
{
    otr_code rc = p->ops->start != NULL ? p->ops->start(p, err) : OTR_OK;
    if (rc != OTR_OK) {
        return otr_wrap(err, rc, "module %s", p->name);
    }
    otr_plugin_set_state(p, OTR_PLUGIN_RUNNING, "");
    return OTR_OK;
}

static void tell_ready(otr_plugin_host *host)
{
    if (!host->started || host->ready_told || host->spec.ready == NULL) {
        return;
    }
    for (const otr_plugin *p = host->first; p != NULL; p = p->next) {
        if (p->guest && !p->settled) {
            return;
        }
    }
    host->ready_told = true;
    host->spec.ready(host->spec.arg);
}

void otr_plugin_settle(otr_plugin *p)
{
    if (p->settled) {
        return;
    }
    p->settled = true;
    if (p->host->guests != NULL) {
        p->host->spec.guests->settled(p->host->guests);
    }
    tell_ready(p->host);
}

/* ---- host ---- */

void otr_plugin_host_each(const otr_plugin_host *host,
                          bool (*fn)(void *arg, const otr_plugin_view *view), void *arg)
{
    for (const otr_plugin *p = host->first; p != NULL; p = p->next) {
        otr_plugin_view view;
        otr_plugin_view_of(p, &view);
        if (!fn(arg, &view)) {
            return;
        }
    }
}

otr_code otr_plugin_host_new(const otr_plugin_host_spec *spec, otr_plugin_host **ret, otr_err *err)
{
    otr_plugin_host *host = otr_zalloc(sizeof(*host));
    if (host == NULL) {
        return otr_fail_nomem(err);
    }
    host->spec = *spec;
    otr_code rc = spec->guests != NULL ? spec->guests->open(host, &host->guests, err) : OTR_OK;
    if (rc != OTR_OK) {
        otr_free(host);
        return rc;
    }
    *ret = host;
    return OTR_OK;
}

void otr_plugin_host_free(otr_plugin_host *host)
{
    if (host == NULL) {
        return;
    }
    assert(!otr_plugin_host_stuck(host));
    while (host->hooks != NULL) {
        otr_hook_cancel(host->hooks);
    }
    while (host->last != NULL) {
        otr_plugin_free(host->last);
    }
    otr_loop_defer_cancel(&host->stop_check);
    otr_loop_defer_cancel(&host->sweep);
    otr_timer_free(host->deadline);
    if (host->guests != NULL) {
        host->spec.guests->close(host->guests);
    }
    otr_free(host->report.items);
    otr_free(host);
}

otr_code otr_plugin_host_add(otr_plugin_host *host, const otr_plugin_ops *ops, otr_err *err)
{
    otr_plugin *p;
    return otr_plugin_new(host, ops, ops->name, &p, err);
}

/* ---- configuration ---- */

/* `*ret` is NULL when there is nobody to run guests. */
static otr_code read_guests(const otr_plugin_host *host, const otr_config *cfg,
                            otr_manifest_set **ret, otr_err *err)
{
    *ret = NULL;
    return host->guests != NULL ? host->spec.guests->read(cfg, ret, err) : OTR_OK;
}

/* Nothing changes yet; `set` stays the caller's. */
static otr_code prepare_guests(otr_plugin_host *host, const otr_manifest_set *set, otr_err *err)
{
    otr_freep(&host->report.items);
    host->report = (otr_reload_report){ .items = NULL };
    return host->guests != NULL ? host->spec.guests->prepare(host->guests, set, &host->report, err)
                                : OTR_OK;
}

/* Frees `set`. */
static void apply_guests(otr_plugin_host *host, otr_manifest_set *set)
{
    if (host->guests != NULL) {
        host->spec.guests->apply(host->guests, set, &host->report);
    }
}

static void forget_guests(const otr_plugin_host *host, otr_manifest_set *set)
{
    if (host->guests != NULL) {
        host->spec.guests->forget(set);
    }
}

const otr_reload_report *otr_plugin_host_report(const otr_plugin_host *host)
{
    return &host->report;
}

const char *otr_reload_result_name(otr_reload_result result)
{
    static const char *const names[] = { "unchanged", "applied", "loading", "restarted", "added",
                                         "removed",   "queued",  "off",     "disabled",  "failed" };
    return (size_t)result < OTR_COUNT(names) ? names[result] : "unknown";
}

otr_code otr_plugin_host_start(otr_plugin_host *host, const otr_config *cfg, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (otr_plugin *p = host->first; p != NULL && rc == OTR_OK; p = p->next) {
        rc = init_module(p, cfg, err);
    }
    for (otr_plugin *p = host->first; p != NULL && rc == OTR_OK; p = p->next) {
        rc = start_module(p, err);
    }
    otr_manifest_set *set = NULL;
    rc = rc == OTR_OK ? read_guests(host, cfg, &set, err) : rc;
    rc = rc == OTR_OK ? prepare_guests(host, set, err) : rc;
    if (rc != OTR_OK) {
        forget_guests(host, set);
        return rc;
    }
    apply_guests(host, set);
    host->started = true;
    tell_ready(host);
    return OTR_OK;
}

/* A module without reload() is taken down and built again in its place. */
static otr_code reload_module(otr_plugin *p, const otr_config *cfg, otr_err *err)
{
    if (p->ops->reload != NULL) {
        return p->ops->reload(p, cfg, err);
    }
    otr_plugin_unsubscribe(p);
    p->ops->fini(p);
    memset(p->state, 0, p->ops->state_size);
    otr_code rc = init_module(p, cfg, err);
    return rc == OTR_OK ? start_module(p, err) : rc;
}

otr_code otr_plugin_host_reload(otr_plugin_host *host, const otr_config *cfg, otr_err *err)
{
    otr_manifest_set *set = NULL;
    otr_code first = read_guests(host, cfg, &set, err);
    first = first == OTR_OK ? prepare_guests(host, set, err) : first;
    if (first != OTR_OK) {
        forget_guests(host, set);
        return first;
    }
    for (otr_plugin *p = host->first; p != NULL; p = p->next) {
        otr_err own = { 0 };
        otr_code rc = !p->guest ? reload_module(p, cfg, &own) : OTR_OK;
        if (rc != OTR_OK && first == OTR_OK) {
            first = otr_fail(err, rc, "module %s: %s", p->name, own.msg);
        }
    }
    if (first != OTR_OK) {
        forget_guests(host, set); /* what is in force is the configuration before */
        return first;
    }
    apply_guests(host, set);
    return OTR_OK;
}

/* ---- stop ---- */

static void finish_stop(otr_plugin_host *host)
{
    if (host->stop_done != NULL) {
        otr_loop_fn *done = host->stop_done;
        host->stop_done = NULL;
        otr_timer_stop(host->deadline);
        done(host->stop_arg);
    }
}

static void stop_more(otr_plugin_host *host)
{
    if (host->guests != NULL) {
        host->spec.guests->stop_more(host->guests);
    }
}

static void check_stopped(void *arg)
{
    otr_plugin_host *host = arg;
    stop_more(host);
    for (const otr_plugin *p = host->first; p != NULL; p = p->next) {
        if (!p->stopped) {
            return;
        }
    }
    finish_stop(host);
}

static void sweep(void *arg)
{
    otr_plugin_host *host = arg;
    stop_more(host);
    if (host->guests != NULL && !host->stopping) {
        host->spec.guests->sweep(host->guests);
    }
}

void otr_plugin_stopped(otr_plugin *p)
{
    p->stopped = true;
    otr_plugin_set_state(p, OTR_PLUGIN_STOPPED, "");
    if (p->host->stopping) {
        otr_loop_defer(p->host->spec.loop, &p->host->stop_check, check_stopped, p->host);
    } else {
        otr_loop_defer(p->host->spec.loop, &p->host->sweep, sweep, p->host);
    }
}

static void past_deadline(void *arg)
{
    otr_plugin_host *host = arg;
    for (const otr_plugin *p = host->first; p != NULL; p = p->next) {
        if (!p->stopped) {
            otr_log_warn("plugin did not stop in time", "plugin", p->name);
        }
    }
    finish_stop(host);
}

void otr_plugin_host_stop(otr_plugin_host *host, uint64_t deadline_ns, otr_loop_fn *done, void *arg)
{
    host->stopping = true;
    if (host->guests != NULL) {
        host->spec.guests->end(host->guests);
    }
    host->stop_done = done;
    host->stop_arg = arg;
    uint64_t now = otr_now_ns();
    uint64_t wait_ms = deadline_ns > now ? (deadline_ns - now) / OTR_NS_PER_MS : 0;
    otr_err err = { 0 };
    if (otr_timer_new(host->spec.loop, past_deadline, host, &host->deadline, &err) == OTR_OK) {
        otr_timer_start(host->deadline, wait_ms, 0);
    }
    otr_hooks_end(host);
    for (otr_plugin *p = host->last; p != NULL; p = p->prev) {
        if (!p->stopped) {
            otr_plugin_set_state(p, OTR_PLUGIN_STOPPING, "");
        }
        if (!p->stopped && p->guest) {
            host->spec.guests->stop(p, deadline_ns);
        }
    }
    stop_more(host);
    for (otr_plugin *p = host->last; p != NULL; p = p->prev) {
        if (p->stopped || p->guest) {
            continue;
        }
        if (p->inited && p->ops->stop != NULL) {
            p->ops->stop(p, deadline_ns);
        } else {
            otr_plugin_stopped(p);
        }
    }
    otr_loop_defer(host->spec.loop, &host->stop_check, check_stopped, host);
}

bool otr_plugin_host_stuck(const otr_plugin_host *host)
{
    for (const otr_plugin *p = host->first; p != NULL; p = p->next) {
        if (p->guest && host->stopping && !p->stopped) {
            return true;
        }
    }
    return false;
}

/* ---- what an operator asks ---- */

static otr_code find_guest(const otr_plugin_host *host, const char *name, otr_plugin **ret,
                           otr_err *err)
{
    otr_plugin *p = otr_plugin_find(host, name);
    if (p == NULL) {
        return otr_fail(err, OTR_ENOTFOUND, "there is no plugin \"%s\"", name);
    }
    if (!p->guest) {
        return otr_fail(err, OTR_EINVAL, "\"%s\" is compiled in: this is for guests", name);
    }
    if (p->stopped || p->state_id == OTR_PLUGIN_STOPPING) {
        return otr_fail(err, OTR_ESTATE, "plugin \"%s\" is stopping", name);
    }
    *ret = p;
    return OTR_OK;
}

otr_code otr_plugin_host_tell(otr_plugin_host *host, const char *name, otr_plugin_verb verb,
                              otr_err *err)
{
    otr_plugin *p;
    otr_code rc = find_guest(host, name, &p, err);
    return rc == OTR_OK ? host->spec.guests->tell(p, verb, err) : rc;
}

otr_code otr_plugin_host_dead_letters(const otr_plugin_host *host, const char *name, otr_buf *out,
                                      otr_err *err)
{
    otr_plugin *p;
    otr_code rc = find_guest(host, name, &p, err);
    return rc == OTR_OK ? host->spec.guests->write_dead(p, out, err) : rc;
}
