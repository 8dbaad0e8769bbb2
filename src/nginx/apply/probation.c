#include "nginx/apply/probation.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/histogram.h"
#include "nginx/apply/probe.h"

/* The share of requests whose times are judged by the slowest of them, and what is noise. */
static const double judged_share = 0.9, slower_least_s = 0.01;

/* ROUND_MS: between two rounds of all probes, and two looks at the traffic. FAILURES: a probe that
 * answered well before may fail once. */
enum { ROUND_MS = 1000, ROUNDS_LEAST = 4, FAILURES = 2, LEAST_REQUESTS = 50, TEXT_BYTES = 600 };

struct otr_probation {
    otr_loop *loop;
    otr_probation_spec spec;
    otr_timer *timer;
    otr_probe *probe;
    size_t next;     /* probe of this round */
    unsigned failed; /* in a row, of one that answered well before */
    bool all_once;   /* each was well once */
    otr_apply_traffic before;
    uint64_t began_ns;
    otr_histogram times, usual;         /* of `before` */
    char *errors_remark, *times_remark; /* NULL: none */
    bool *gone;
};

void otr_probation_free(otr_probation *probation)
{
    if (probation == NULL) {
        return;
    }
    if (probation->gone != NULL) {
        *probation->gone = true;
    }
    otr_probe_free(probation->probe);
    otr_timer_free(probation->timer);
    otr_free(probation->errors_remark);
    otr_free(probation->times_remark);
    otr_free(probation);
}

static void tell(otr_probation *p, bool passed, const char *reason)
{
    char *first = p->errors_remark != NULL ? p->errors_remark : p->times_remark;
    char *remarks[] = { first, first != p->times_remark ? p->times_remark : NULL, NULL };
    otr_probation_result result = {
        .passed = passed, .reason = reason, .remarks = remarks, .ns = otr_now_ns() - p->began_ns
    };
    bool gone = false;
    otr_timer_stop(p->timer);
    p->gone = &gone;
    p->spec.done(p->spec.arg, &result);
    if (!gone) {
        p->gone = NULL;
    }
}

/* ---- traffic ---- */

static double percent(uint64_t part, uint64_t all)
{
    return all > 0 ? 100.0 * (double)part / (double)all : 0;
}

OTR_PRINTF(2, 3) static void remark(char **slot, const char *format, ...)
{
    char text[TEXT_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    otr_free(*slot);
    *slot = otr_strdup(text); /* without memory there is one remark less */
}

static unsigned least(const otr_probation *p)
{
    unsigned n = p->spec.what->least_requests;
    return n > 0 ? n : LEAST_REQUESTS;
}

/* "" or why it failed. */
static void judge_errors(otr_probation *p, const otr_apply_traffic *now, bool last,
                         char ret[TEXT_BYTES])
{
    uint64_t requests = now->requests - p->before.requests;
    uint64_t errors = now->errors_5xx - p->before.errors_5xx;
    if (p->spec.what->most_5xx_percent == 0) {
        return;
    }
    if (requests < least(p)) {
        if (last) {
            remark(&p->errors_remark,
                   "the traffic could not be judged: %llu requests, %u are needed",
                   (unsigned long long)requests, least(p));
        }
        return;
    }
    double usual = percent(p->before.window_5xx, p->before.window_requests);
    double share = percent(errors, requests);
    if (share > usual + (double)p->spec.what->most_5xx_percent) {
        (void)snprintf(ret, TEXT_BYTES,
                       "probation: %.1f %% of %llu requests were answered with 5xx, %.1f %% before",
                       share, (unsigned long long)requests, usual);
    }
}

/* The same. */
static void judge_times(otr_probation *p, const otr_apply_traffic *now, bool last,
                        char ret[TEXT_BYTES])
{
    static const char cannot[] = "the request times could not be judged";
    if (p->spec.what->most_slower_percent == 0) {
        return;
    }
    if (now->times == NULL) {
        remark(&p->times_remark,
               "%s: no line of an access log told one; $request_time in the log_format does",
               cannot);
        return;
    }
    otr_histogram after = *now->times;
    otr_histogram_subtract(&after, &p->times);
    if (after.count < least(p) || p->usual.count < least(p)) {
        if (last) {
            remark(&p->times_remark,
                   "%s: %llu requests with a time since the change, %llu before, %u are needed",
                   cannot, (unsigned long long)after.count, (unsigned long long)p->usual.count,
                   least(p));
        }
        return;
    }
    double usual = otr_histogram_quantile(&p->usual, judged_share);
    double late = otr_histogram_quantile(&after, judged_share);
    double most = usual * (1 + (double)p->spec.what->most_slower_percent / 100.0);
    if (late > most && late > usual + slower_least_s) {
        (void)snprintf(ret, TEXT_BYTES,
                       "probation: the slowest tenth of %llu requests took %.3f s or more, %.3f s "
                       "before",
                       (unsigned long long)after.count, late, usual);
    }
}

/* False: it was told that it failed. */
static bool judge_traffic(otr_probation *p, bool last)
{
    const otr_apply_probation *what = p->spec.what;
    otr_apply_traffic now = { 0 };
    char why[TEXT_BYTES] = "";
    if (what->most_5xx_percent == 0 && what->most_slower_percent == 0) {
        return true;
    }
    otr_free(otr_steal(&p->errors_remark)); /* what could not be judged before may be now */
    otr_free(otr_steal(&p->times_remark));
    if (p->spec.traffic != NULL) {
        p->spec.traffic(p->spec.traffic_arg, p->spec.instance, &now);
    }
    if (!now.known || !p->before.known) {
        remark(&p->errors_remark,
               "the traffic could not be judged: no access log of this NGINX is counted");
        return true;
    }
    if (now.requests < p->before.requests) {
        remark(&p->errors_remark,
               "the traffic could not be judged: this NGINX was found anew in the meantime");
        return true;
    }
    judge_errors(p, &now, last, why);
    if (why[0] == '\0') {
        judge_times(p, &now, last, why);
    }
    if (why[0] != '\0') {
        tell(p, false, why);
        return false;
    }
    return true;
}

/* ---- probes ---- */

static void go_on(otr_probation *p);

static void on_probe(void *arg, otr_code rc, const otr_err *err)
{
    otr_probation *p = arg;
    char text[TEXT_BYTES];
    otr_probe_free(otr_steal(&p->probe));
    if (rc == OTR_OK) {
        p->failed = 0;
        p->next++;
        go_on(p);
        return;
    }
    if (p->all_once && ++p->failed < FAILURES) {
        go_on(p); /* asks once more */
        return;
    }
    (void)snprintf(text, sizeof(text), "probe: %s", err->msg);
    tell(p, false, text);
}

static void on_round(void *arg)
{
    otr_probation *p = arg;
    p->next = 0;
    go_on(p);
}

static uint64_t waited_ms(const otr_probation *p)
{
    return (otr_now_ns() - p->began_ns) / OTR_NS_PER_MS;
}

/* Asks the next probe of this round; behind the last one looks at the traffic and waits. */
static void go_on(otr_probation *p)
{
    otr_err err = { 0 };
    const otr_apply_probation *what = p->spec.what;
    if (p->next < what->n_probes) {
        otr_probe_spec spec = {
            .strand = p->spec.strand, .what = &what->probes[p->next], .done = on_probe, .arg = p
        };
        if (otr_probe_start(p->loop, &spec, &p->probe, &err) != OTR_OK) {
            tell(p, false, err.msg);
        }
        return;
    }
    p->all_once = true;
    uint64_t waited = waited_ms(p);
    bool last = waited >= what->watch_ms;
    if (!judge_traffic(p, last)) {
        return;
    }
    if (last) {
        tell(p, true, "");
        return;
    }
    uint64_t round =
        what->watch_ms / ROUNDS_LEAST < ROUND_MS ? what->watch_ms / ROUNDS_LEAST : ROUND_MS;
    uint64_t left = what->watch_ms - waited;
    otr_timer_start(p->timer, left < round ? left : round > 0 ? round : 1, 0);
}

otr_code otr_probation_start(otr_loop *loop, const otr_probation_spec *spec, otr_probation **ret,
                             otr_err *err)
{
    otr_probation *p = otr_zalloc(sizeof(*p));
    if (p == NULL) {
        return otr_fail_nomem(err);
    }
    p->loop = loop;
    p->spec = *spec;
    p->began_ns = otr_now_ns();
    otr_code rc = otr_timer_new(loop, on_round, p, &p->timer, err);
    if (rc != OTR_OK) {
        otr_probation_free(p);
        return rc;
    }
    if (spec->traffic != NULL) {
        spec->traffic(spec->traffic_arg, spec->instance, &p->before);
        p->times = p->before.times != NULL ? *p->before.times : p->times;
        p->usual = p->before.window_times != NULL ? *p->before.window_times : p->usual;
        p->before.times = p->before.window_times = NULL; /* borrowed */
    }
    otr_timer_start(p->timer, 0, 0);
    *ret = p;
    return OTR_OK;
}
