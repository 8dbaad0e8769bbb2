#include "modules/nginx_series.h"

#include "base/alloc.h"

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

/* Powers of two seconds: ends of buckets of the histograms, so that the counts are exact. */
enum { LEAST_POWER = -9, MOST_POWER = 6, BOUNDS = MOST_POWER - LEAST_POWER + 1 };
static const double bounds[BOUNDS + 1] = {
    0.001953125, 0.00390625, 0.0078125, 0.015625, 0.03125, 0.0625, 0.125, 0.25, 0.5,
    1,           2,          4,         8,        16,      32,     64,    0,
};
static const otr_family request_duration = {
    .name = "nginx.http.request.duration",
    .unit = "s",
    .help = "Times of requests, as access logs tell them ($request_time), by status range.",
    .kind = OTR_METRIC_HISTOGRAM,
    .labels = range_labels,
    .buckets = bounds,
};
static const otr_family upstream_durations[OTR_LOG_TIMES] = {
    [OTR_LOG_UPSTREAM_CONNECT] = {
        .name = "nginx.http.upstream.connect.duration",
        .unit = "s",
        .help = "Times to connect to servers of upstreams ($upstream_connect_time).",
        .kind = OTR_METRIC_HISTOGRAM,
        .labels = plain_labels,
        .buckets = bounds,
    },
    [OTR_LOG_UPSTREAM_HEADER] = {
        .name = "nginx.http.upstream.header.duration",
        .unit = "s",
        .help = "Times to the header of a response of an upstream ($upstream_header_time).",
        .kind = OTR_METRIC_HISTOGRAM,
        .labels = plain_labels,
        .buckets = bounds,
    },
    [OTR_LOG_UPSTREAM_RESPONSE] = {
        .name = "nginx.http.upstream.response.duration",
        .unit = "s",
        .help = "Times to the end of a response of an upstream ($upstream_response_time).",
        .kind = OTR_METRIC_HISTOGRAM,
        .labels = plain_labels,
        .buckets = bounds,
    },
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

void otr_nginx_series_count_times(otr_nginx_series *s, const otr_log_times *times)
{
    if (s->total_times == NULL) {
        s->total_times = otr_zalloc(sizeof(*s->total_times));
    }
    if (s->total_times != NULL) {
        otr_log_times_merge(s->total_times, times);
    }
}

static void set_histogram(const otr_histogram *h, otr_series *series)
{
    uint64_t counts[BOUNDS + 1], below = 0;
    for (int i = 0; i < BOUNDS; i++) {
        uint64_t until = otr_histogram_until(h, LEAST_POWER + i);
        counts[i] = until - below;
        below = until;
    }
    counts[BOUNDS] = h->count - below;
    otr_series_set_histogram(series, counts, (double)h->sum_ms / 1000.0);
}

otr_code otr_nginx_series_set_times(otr_nginx_series *s, otr_registry *reg, const char *id,
                                    const char *type, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; s->total_times != NULL && rc == OTR_OK && i < OTR_NGINX_TIME_SERIES; i++) {
        bool request = i < OTR_NGINX_LOG_SERIES;
        size_t what = request ? i : i - OTR_NGINX_LOG_SERIES;
        const otr_histogram *h =
            request ? &s->total_times->requests[what] : &s->total_times->upstreams[what];
        const char *const labels[] = { request ? ranges[what] : NULL, id, type, NULL };
        if (h->count > 0) {
            rc = make(reg, request ? &request_duration : &upstream_durations[what],
                      request ? labels : labels + 1, &s->times[i], err);
        }
        if (s->times[i] != NULL) {
            set_histogram(h, s->times[i]);
        }
    }
    return rc;
}

void otr_nginx_series_deinit(otr_nginx_series *s)
{
    otr_free(otr_steal(&s->total_times));
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
    drop(s->times, OTR_COUNT(s->times));
}
