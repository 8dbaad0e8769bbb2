/*
 * Module "host-metrics": samples the machine or the container, publishes the samples and exports
 * the series. Reading is a worker's: file systems may be slow.
 */
#include "host/host.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "modules/host_series.h"
#include "modules/modules.h"
#include "modules/services.h"
#include "modules/topics.h"

static const char interval_key[] = "outrider.metrics.interval";
static const char enabled_key[] = "outrider.host.enabled";

typedef struct job {
    otr_plugin *plugin; /* NULL: it has ended */
    otr_host_sample *sample;
    otr_err err;
} job;

typedef struct state {
    otr_strand *strand;
    otr_timer *timer;
    uint64_t interval_ms;
    bool off, told;
    job *job; /* under way */
    otr_host_sample *before;
    otr_host_series series;
} state;

static otr_code read_job(otr_strand *strand, void *arg)
{
    (void)strand;
    job *j = arg;
    const otr_host_places places = { .root = "" };
    return otr_host_read(&places, &j->sample, &j->err);
}

static void publish(otr_plugin *p, const state *s, otr_host_sample **sample)
{
    otr_host_event *event = otr_zalloc(sizeof(*event));
    if (event == NULL) {
        return;
    }
    event->interval_ns = s->before != NULL ? (*sample)->at_ns - s->before->at_ns : 0;
    event->shares_known = otr_host_shares(s->before, *sample, event->shares);
    event->sample = otr_steal(sample);
    otr_plugin_publish(p, &otr_topic_host_metrics, event, NULL);
}

/* The series that found no room are told once, not with each sample. */
static void tell_refused(state *s)
{
    if (s->series.refused > 0 && !s->told) {
        otr_log_warn("metrics of the host are left out: too many series", "series",
                     OTR_U64(s->series.refused));
    }
    s->told = s->series.refused > 0;
}

static void take(otr_plugin *p, state *s, otr_host_sample *sample)
{
    otr_err err;
    otr_host_sample *brief = NULL;
    const otr_services *services = otr_plugin_services(p);
    otr_code rc = otr_host_series_set(&s->series, services->metrics, s->before, sample, &err);
    rc = rc != OTR_OK ? rc : otr_host_sample_brief(sample, &brief, &err);
    if (rc != OTR_OK) {
        otr_log_warn("metrics of the host not exported", "err", err.msg);
        otr_host_sample_free(sample);
        return;
    }
    tell_refused(s);
    publish(p, s, &sample);
    otr_host_sample_free(sample);
    otr_host_sample_free(s->before);
    s->before = brief;
}

static void read_done(void *arg, otr_code rc)
{
    job *j = arg;
    if (j->plugin != NULL) {
        state *s = otr_plugin_state(j->plugin);
        s->job = NULL;
        if (rc == OTR_OK && !s->off) {
            take(j->plugin, s, otr_steal(&j->sample));
        } else if (rc != OTR_OK && rc != OTR_ESTATE) {
            otr_log_warn("metrics of the host not read", "err", j->err.msg);
        }
    }
    otr_host_sample_free(j->sample);
    otr_free(j);
}

/* A look that takes longer than the interval is not joined by a second one. */
static void on_timer(void *arg)
{
    otr_plugin *p = arg;
    state *s = otr_plugin_state(p);
    otr_err err;
    if (s->job != NULL || s->off) {
        return;
    }
    job *j = otr_zalloc(sizeof(*j));
    if (j == NULL) {
        return;
    }
    j->plugin = p;
    if (otr_worker_submit(s->strand, read_job, read_done, j, &err) != OTR_OK) {
        otr_free(j);
        return;
    }
    s->job = j;
}

static void read_settings(state *s, const otr_config *cfg)
{
    uint64_t interval = otr_config_duration_ns(cfg, interval_key) / OTR_NS_PER_MS;
    s->interval_ms = interval > 0 ? interval : 1;
    s->off = !otr_config_feature(cfg, "metrics") || !otr_config_bool(cfg, enabled_key);
}

static otr_code init(otr_plugin *p, const otr_config *cfg, otr_err *err)
{
    state *s = otr_plugin_state(p);
    const otr_services *services = otr_plugin_services(p);
    read_settings(s, cfg);
    otr_code rc = otr_strand_new(services->pool, 1, &s->strand, err);
    return rc == OTR_OK ? otr_timer_new(otr_plugin_loop(p), on_timer, p, &s->timer, err) : rc;
}

static otr_code start(otr_plugin *p, otr_err *err)
{
    (void)err;
    const state *s = otr_plugin_state(p);
    otr_timer_start(s->timer, 0, s->interval_ms);
    return OTR_OK;
}

static otr_code reload(otr_plugin *p, const otr_config *cfg, otr_err *err)
{
    (void)err;
    state *s = otr_plugin_state(p);
    read_settings(s, cfg);
    if (s->off) {
        otr_host_series_drop(&s->series);
        otr_host_sample_free(s->before);
        s->before = NULL;
    }
    otr_timer_start(s->timer, 0, s->interval_ms);
    return OTR_OK;
}

static void fini(otr_plugin *p)
{
    state *s = otr_plugin_state(p);
    if (s->job != NULL) {
        s->job->plugin = NULL;
    }
    otr_timer_free(s->timer);
    otr_strand_free(s->strand);
    otr_host_series_drop(&s->series);
    otr_host_sample_free(s->before);
}

static const otr_topic *const published[] = { &otr_topic_host_metrics, NULL };

const otr_plugin_ops otr_module_host = {
    .name = "host-metrics",
    .summary = "samples processors, memory, disks, file systems and network",
    .publishes = published,
    .state_size = sizeof(state),
    .init = init,
    .start = start,
    .reload = reload,
    .fini = fini,
};
