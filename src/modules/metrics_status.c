#include "modules/metrics_status.h"

#include "base/alloc.h"
#include "config/config.h"

static const char ca_key[] = "data_plane_config.nginx.api.tls.ca";
static const char problem[] = "stub_status";

enum { LONGEST_PAUSE_MS = 5000 };

static void free_urls(char **urls, size_t n)
{
    for (size_t i = 0; urls != NULL && i < n; i++) {
        otr_free(urls[i]);
    }
    otr_free(urls);
}

static void drop_poller(otr_instance_status *s)
{
    otr_stub_poller_free(s->poller); /* what it was asking is not answered */
    free_urls(s->urls, s->n_urls);
    s->poller = NULL;
    s->urls = NULL;
    s->n_urls = 0;
    s->done = NULL;
    s->n = 0;
    s->err = (otr_err){ 0 };
}

void otr_instance_status_end(otr_instance_status *s)
{
    drop_poller(s);
    if (s->services != NULL) {
        otr_problems_forget(s->services->problems, s->id); /* those of an instance that is gone */
    }
    s->failures = 0;
    s->skip = 0;
}

static bool same(const otr_instance_status *s, const otr_nginx_instance *now)
{
    if (s->n_urls != now->n_status_urls || s->pid != now->pid ||
        s->started_ticks != now->started_ticks) {
        return false;
    }
    for (size_t i = 0; i < s->n_urls; i++) {
        if (strcmp(s->urls[i], now->status_urls[i]) != 0) {
            return false;
        }
    }
    return true;
}

static otr_code copy_urls(const otr_nginx_instance *from, char ***ret, otr_err *err)
{
    char **urls = otr_calloc(from->n_status_urls + 1, sizeof(*urls));
    for (size_t i = 0; urls != NULL && i < from->n_status_urls; i++) {
        urls[i] = otr_strdup(from->status_urls[i]);
        if (urls[i] == NULL) {
            free_urls(urls, i);
            urls = NULL;
        }
    }
    *ret = urls;
    return urls != NULL ? OTR_OK : otr_fail_nomem(err);
}

otr_code otr_instance_status_set(otr_instance_status *s, otr_loop *loop,
                                 const otr_services *services, const otr_nginx_instance *now,
                                 otr_err *err)
{
    s->skip = s->failures = 0;
    if (s->urls != NULL && same(s, now)) {
        return OTR_OK;
    }
    char **urls = NULL;
    otr_code rc = copy_urls(now, &urls, err);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_stub_poller *poller = NULL;
    if (now->n_status_urls > 0) {
        otr_stub_spec spec = {
            .loop = loop,
            .pool = services->pool,
            .urls = (const char *const *)urls,
            .n = now->n_status_urls,
            .pid = now->status_given ? 0 : now->pid,
            .started_ticks = now->started_ticks,
            .ca = services->config != NULL ? otr_config_str(services->config, ca_key) : "",
        };
        rc = otr_stub_poller_new(&spec, &poller, err);
        if (rc != OTR_OK) {
            free_urls(urls, now->n_status_urls);
            return rc;
        }
    }
    drop_poller(s);
    s->services = services;
    memcpy(s->id, now->id, sizeof(s->id));
    s->poller = poller;
    s->urls = urls;
    s->n_urls = now->n_status_urls;
    s->pid = now->pid;
    s->started_ticks = now->started_ticks;
    if (poller == NULL) {
        otr_problem_clear(services->problems, s->id, problem);
    }
    return OTR_OK;
}

static void on_answers(void *arg, const otr_stub_answer *answers, size_t n, const otr_err *err)
{
    otr_instance_status *s = arg;
    s->n = n < OTR_STATUS_ANSWERS ? n : OTR_STATUS_ANSWERS;
    if (n > 0) {
        memcpy(s->answers, answers, s->n * sizeof(*answers));
        s->err = (otr_err){ 0 };
        s->failures = 0;
        otr_problem_clear(s->services->problems, s->id, problem);
    } else {
        s->err = *err;
        s->failures++;
        otr_problem_set(s->services->problems, s->id, problem, "stub_status cannot be read: %s",
                        err->msg);
    }
    otr_loop_fn *done = s->done;
    s->done = NULL;
    done(s->arg);
}

/* 0, 1, 3, 7 ... samples are left out, as long as that is no more than LONGEST_PAUSE_MS. */
static void set_pause(otr_instance_status *s, uint64_t interval_ms)
{
    enum { DOUBLINGS = 10 };
    uint64_t most = LONGEST_PAUSE_MS / (interval_ms > 0 ? interval_ms : 1);
    unsigned n = s->failures < DOUBLINGS ? s->failures : DOUBLINGS;
    uint64_t skip = n > 0 ? (UINT64_C(1) << (n - 1)) - 1 : 0;
    s->skip = skip < most ? skip : most;
}

bool otr_instance_status_ask(otr_instance_status *s, uint64_t timeout_ms, uint64_t interval_ms,
                             otr_loop_fn *done, void *arg)
{
    if (s->poller == NULL || s->done != NULL) {
        return false;
    }
    if (s->skip > 0) {
        s->skip--;
        return false;
    }
    set_pause(s, interval_ms);
    s->n = 0;
    s->done = done;
    s->arg = arg;
    if (otr_stub_poller_ask(s->poller, timeout_ms, on_answers, s, &s->err) != OTR_OK) {
        s->done = NULL;
        return false;
    }
    return true;
}

bool otr_instance_status_asking(const otr_instance_status *s)
{
    return s->done != NULL;
}

bool otr_instance_status_sum(const otr_instance_status *s, otr_stub_status *ret)
{
    otr_stub_status sum = { 0 };
    for (size_t i = 0; i < s->n; i++) {
        const otr_stub_status *one = &s->answers[i].status;
        sum.active += one->active;
        sum.reading += one->reading;
        sum.writing += one->writing;
        sum.waiting += one->waiting;
        sum.accepted += one->accepted;
        sum.handled += one->handled;
        sum.requests += one->requests;
    }
    *ret = sum;
    return s->n > 0;
}
