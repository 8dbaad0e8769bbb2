#include "modules/nginx_series.h"

static const char *const outcome_labels[] = { "nginx.connections.outcome", "instance.id",
                                              "instance.type", NULL };
static const char *const range_labels[] = { "nginx.status_range", "instance.id", "instance.type",
                                            NULL };
static const char *const plain_labels[] = { "instance.id", "instance.type", NULL };

static const otr_family connection_count = {
    .name = "nginx.http.connection.count",
    .unit = "connections",
    .help = "The current number of connections.",
    .kind = OTR_METRIC_GAUGE,
    .labels = outcome_labels,
};
static const otr_family connections = {
    .name = "nginx.http.connections",
    .unit = "connections",
    .help = "The total number of connections.",
    .kind = OTR_METRIC_COUNTER,
    .labels = outcome_labels,
};
static const otr_family request_count = {
    .name = "nginx.http.request.count",
    .unit = "requests",
    .help = "The number of client requests received since the last collection.",
    .kind = OTR_METRIC_GAUGE,
    .labels = plain_labels,
};
static const otr_family requests = {
    .name = "nginx.http.requests",
    .unit = "requests",
    .help = "The total number of client requests received.",
    .kind = OTR_METRIC_COUNTER,
    .labels = plain_labels,
};
static const otr_family response_count = {
    .name = "nginx.http.response.count",
    .unit = "responses",
    .help = "The number of responses since the last collection, by status range.",
    .kind = OTR_METRIC_GAUGE,
    .labels = range_labels,
};
static const otr_family responses_total = {
    .name = "nginx.http.responses",
    .unit = "responses",
    .help = "The total number of responses that access logs tell of, by status range.",
    .kind = OTR_METRIC_COUNTER,
    .labels = range_labels,
};

/* In the order of otr_nginx_series.status. */
static const struct {
    const otr_family *family;
    const char *outcome; /* NULL: the family has none */
} status_rows[OTR_NGINX_STATUS_SERIES] = {
    { &connection_count, "ACTIVE" },  { &connection_count, "READING" },
    { &connection_count, "WRITING" }, { &connection_count, "WAITING" },
    { &connections, "ACCEPTED" },     { &connections, "HANDLED" },
    { &request_count, NULL },         { &requests, NULL },
};
static const char *const ranges[OTR_NGINX_LOG_SERIES] = { "1xx", "2xx", "3xx", "4xx", "5xx" };

static void end_life(otr_nginx_total *t)
{
    t->before += t->now;
    t->now = 0;
}

void otr_nginx_series_restart(otr_nginx_series *s)
{
    end_life(&s->accepted);
    end_life(&s->handled);
    end_life(&s->requests);
    s->lives = (otr_lives){ 0 };
}

uint64_t otr_nginx_series_count(otr_nginx_series *s, const otr_stub_answer *answers, size_t n)
{
    uint64_t delta = 0;
    for (size_t i = 0; i < n; i++) {
        delta += otr_lives_count(&s->lives, &answers[i]);
    }
    s->accepted.now = s->lives.total.accepted;
    s->handled.now = s->lives.total.handled;
    s->requests.now = s->lives.total.requests;
    return delta;
}

static otr_code make(otr_registry *reg, const otr_family *family, const char *const *values,
                     otr_series **slot, otr_err *err)
{
    return *slot != NULL ? OTR_OK : otr_registry_series(reg, family, values, slot, err);
}

otr_code otr_nginx_series_set_status(otr_nginx_series *s, otr_registry *reg,
                                     const otr_metrics_event *event, const char *type, otr_err *err)
{
    const uint64_t values[OTR_NGINX_STATUS_SERIES] = {
        event->active,
        event->reading,
        event->writing,
        event->waiting,
        s->accepted.before + s->accepted.now,
        s->handled.before + s->handled.now,
        event->requests_delta,
        s->requests.before + s->requests.now,
    };
    for (size_t i = 0; i < OTR_NGINX_STATUS_SERIES; i++) {
        const char *outcome = status_rows[i].outcome;
        const char *const labels[] = { outcome, event->id, type, NULL };
        otr_code rc = make(reg, status_rows[i].family, outcome != NULL ? labels : labels + 1,
                           &s->status[i], err);
        if (rc != OTR_OK) {
            return rc;
        }
        otr_series_set(s->status[i], (double)values[i]);
    }
    return OTR_OK;
}

void otr_nginx_series_count_responses(otr_nginx_series *s, const otr_metrics_event *event)
{
    for (size_t i = 0; i < OTR_NGINX_LOG_SERIES; i++) {
        s->total_responses[i] += event->responses[i];
    }
}

otr_code otr_nginx_series_set_responses(otr_nginx_series *s, otr_registry *reg,
                                        const otr_metrics_event *event, const char *type,
                                        otr_err *err)
{
    for (size_t i = 0; i < OTR_NGINX_LOG_SERIES; i++) {
        const char *const labels[] = { ranges[i], event->id, type, NULL };
        otr_series **last = &s->responses[i], **total = &s->responses[OTR_NGINX_LOG_SERIES + i];
        otr_code rc = make(reg, &response_count, labels, last, err);
        rc = rc == OTR_OK ? make(reg, &responses_total, labels, total, err) : rc;
        if (rc != OTR_OK) {
            return rc;
        }
        otr_series_set(*last, (double)event->responses[i]);
        otr_series_set(*total, (double)s->total_responses[i]);
    }
    return OTR_OK;
}

static void drop(otr_series **list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        otr_series_drop(list[i]);
        list[i] = NULL;
    }
}

void otr_nginx_series_drop_status(otr_nginx_series *s)
{
    drop(s->status, OTR_NGINX_STATUS_SERIES);
}

void otr_nginx_series_drop_responses(otr_nginx_series *s)
{
    drop(s->responses, OTR_COUNT(s->responses));
}
