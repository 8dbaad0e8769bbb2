/*
 * Module "otlp-export": sends metrics to the collectors that `collector.pipelines` names.
 */
#include <stdio.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "modules/export_plan.h"
#include "modules/modules.h"
#include "modules/services.h"

enum { NAME_BYTES = 160 };

typedef struct way { /* one exporter of one pipeline */
    otr_plugin *plugin;
    otr_otlp_grpc *grpc;
    unsigned sources;
    char name[NAME_BYTES]; /* of its problem */
    char target[280];
    char why[OTR_ERR_MSG_BYTES]; /* what is wrong now; "": nothing */
} way;

typedef struct state {
    way *ways[OTR_LIMIT_EXPORT_PIPELINES];
    size_t n;
    otr_timer *timer;
    uint64_t delay_ms, interval_ms;
} state;

/* Anew with each request, so that the numbers are those of now. */
static void tell(const way *w)
{
    const otr_services *services = otr_plugin_services(w->plugin);
    if (w->why[0] == '\0') {
        otr_problem_clear(services->problems, "", w->name);
        return;
    }
    otr_otlp_grpc_stats stats = { 0 };
    if (w->grpc != NULL) {
        otr_otlp_grpc_read(w->grpc, &stats);
    }
    otr_problem_set(services->problems, "", w->name,
                    "metrics do not reach %s: %s; %zu requests wait, %llu points are lost",
                    w->target, w->why, stats.queued, (unsigned long long)stats.lost);
}

static void on_state(void *arg, const char *why)
{
    way *w = arg;
    (void)snprintf(w->why, sizeof(w->why), "%s", why);
    tell(w);
}

static bool wanted(void *arg, const char *name)
{
    const way *w = arg;
    if (strncmp(name, "nginx.", 6) == 0) {
        return (w->sources & OTR_EXPORT_NGINX) != 0;
    }
    if (strncmp(name, "system.", 7) == 0 || strncmp(name, "container.", 10) == 0) {
        return (w->sources & OTR_EXPORT_HOST) != 0;
    }
    return false;
}

/* When the host began to count, as wall time. */
static uint64_t boot_ns(void)
{
    struct timespec up = { 0 };
    (void)clock_gettime(CLOCK_BOOTTIME, &up);
    return otr_wall_ns() - ((uint64_t)up.tv_sec * OTR_NS_PER_S + (uint64_t)up.tv_nsec);
}

static void export_to(way *w)
{
    const otr_services *services = otr_plugin_services(w->plugin);
    const otr_registry_otlp_spec spec = { .version = OTR_VERSION,
                                          .resource_id = "",
                                          .start_ns = otr_wall_of(services->started_ns),
                                          .boot_ns = boot_ns(),
                                          .time_ns = otr_wall_ns(),
                                          .wanted = wanted,
                                          .arg = w };
    otr_buf request;
    otr_buf_init(&request, OTR_LIMIT_EXPORT_BATCH_BYTES);
    size_t points = 0;
    otr_err err = { 0 };
    otr_code rc = otr_registry_otlp(services->metrics, &spec, &request, &points, &err);
    if (rc == OTR_OK && points > 0) {
        rc = otr_otlp_grpc_send(w->grpc, &request, points, &err);
    }
    if (rc != OTR_OK) {
        otr_log_warn("metrics not exported", "to", w->target, "err", err.msg);
    }
    otr_buf_deinit(&request);
    tell(w);
}

static void on_timer(void *arg)
{
    state *s = otr_plugin_state(arg);
    for (size_t i = 0; i < s->n; i++) {
        export_to(s->ways[i]);
    }
}

/* An exporter that cannot be made is a problem; the agent and the others live on. */
static otr_code add_way(otr_plugin *p, otr_export_way *planned, otr_err *err)
{
    state *s = otr_plugin_state(p);
    const otr_services *services = otr_plugin_services(p);
    way *w = otr_zalloc(sizeof(*w));
    if (w == NULL) {
        return otr_fail_nomem(err);
    }
    w->plugin = p;
    w->sources = planned->sources;
    (void)snprintf(w->name, sizeof(w->name), "collector pipeline %s: %s", planned->pipeline,
                   planned->exporter);
    (void)snprintf(w->target, sizeof(w->target), "%s", planned->target);
    planned->spec.target = w->target;
    planned->spec.state = on_state;
    planned->spec.arg = w;
    otr_code rc = otr_otlp_grpc_new(otr_plugin_loop(p), &planned->spec, &w->grpc, err);
    if (rc == OTR_OK) {
        s->ways[s->n++] = w;
        return rc;
    }
    if (rc != OTR_ENOMEM) {
        otr_problem_set(services->problems, "", w->name, "nothing is sent to %s: %s", w->target,
                        err->msg);
        rc = OTR_OK;
    }
    otr_free(w);
    return rc;
}

static otr_code init(otr_plugin *p, const otr_config *cfg, otr_err *err)
{
    state *s = otr_plugin_state(p);
    const otr_services *services = otr_plugin_services(p);
    otr_export_plan *plan = otr_zalloc(sizeof(*plan));
    if (plan == NULL) {
        return otr_fail_nomem(err);
    }
    otr_export_plan_read(cfg, plan, services->problems);
    s->delay_ms = plan->delay_ms;
    s->interval_ms = plan->interval_ms;
    otr_code rc = otr_timer_new(otr_plugin_loop(p), on_timer, p, &s->timer, err);
    for (size_t i = 0; rc == OTR_OK && i < plan->n; i++) {
        rc = add_way(p, &plan->ways[i], err);
    }
    otr_free(plan);
    return rc;
}

static otr_code start(otr_plugin *p, otr_err *err)
{
    (void)err;
    const state *s = otr_plugin_state(p);
    if (s->n > 0) {
        otr_timer_start(s->timer, s->delay_ms, s->interval_ms);
    }
    return OTR_OK;
}

static void fini(otr_plugin *p)
{
    state *s = otr_plugin_state(p);
    otr_timer_free(s->timer);
    for (size_t i = 0; i < s->n; i++) {
        otr_otlp_grpc_free(s->ways[i]->grpc);
        otr_free(s->ways[i]);
    }
}

const otr_plugin_ops otr_module_exporter = {
    .name = "otlp-export",
    .summary = "sends metrics to OpenTelemetry collectors",
    .state_size = sizeof(state),
    .init = init,
    .start = start,
    .fini = fini,
};
