#include "nginx/status/lane.h"

#include "base/alloc.h"
#include "base/limits.h"

struct otr_lane {
    const otr_stub_spec *spec;
    otr_master_id master;
    size_t current; /* the candidate that `client` or `secure` is for */
    otr_dial *dial;
    otr_http_client *client;
    otr_secure *secure;
    uint64_t timeout_ms;
    size_t tried; /* candidates of this question */
    otr_buf why;  /* what each came back with */
    otr_stub_answer answer;
    otr_defer later; /* reports a failure that came at once */
    otr_lane_fn *done;
    void *arg;
};

static void on_response(void *arg, otr_code rc, const otr_http_response *response,
                        const otr_err *err);

otr_code otr_lane_new(const otr_stub_spec *spec, const otr_master_id *master, size_t first,
                      otr_lane **ret, otr_err *err)
{
    otr_lane *lane = otr_zalloc(sizeof(*lane));
    if (lane == NULL) {
        return otr_fail_nomem(err);
    }
    lane->spec = spec;
    lane->master = *master;
    lane->current = first;
    otr_buf_init(&lane->why, OTR_ERR_MSG_BYTES);
    if (spec->pool != NULL && master->pid != 0) {
        otr_code rc = otr_dial_new(spec->pool, master, &lane->dial, err);
        if (rc != OTR_OK) {
            otr_lane_free(lane);
            return rc;
        }
    }
    *ret = lane;
    return OTR_OK;
}

static void drop_connection(otr_lane *lane)
{
    otr_http_client_free(lane->client);
    otr_secure_free(lane->secure);
    lane->client = NULL;
    lane->secure = NULL;
}

void otr_lane_free(otr_lane *lane)
{
    if (lane == NULL) {
        return;
    }
    otr_loop_defer_cancel(&lane->later);
    drop_connection(lane);
    otr_dial_free(lane->dial);
    otr_buf_deinit(&lane->why);
    otr_free(lane);
}

const otr_stub_answer *otr_lane_answer(const otr_lane *lane)
{
    return &lane->answer;
}

const otr_master_id *otr_lane_master(const otr_lane *lane)
{
    return &lane->master;
}

size_t otr_lane_current(const otr_lane *lane)
{
    return lane->current;
}

/* ---- one candidate ---- */

static otr_code connect_to(otr_lane *lane, const otr_http_url *url, otr_err *err)
{
    if (!url->tls && !url->http2) {
        return otr_http_client_new(lane->spec->loop, url,
                                   lane->dial != NULL ? otr_dial_dialer(lane->dial) : NULL,
                                   &lane->client, err);
    }
    if (lane->spec->pool == NULL) {
        return otr_fail(err, OTR_EUNSUP, "https needs a worker");
    }
    otr_secure_spec spec = { .loop = lane->spec->loop,
                             .pool = lane->spec->pool,
                             .url = url,
                             .master = lane->master,
                             .ca = lane->spec->ca };
    return otr_secure_new(&spec, &lane->secure, err);
}

static otr_code ask_current(otr_lane *lane, otr_err *err)
{
    if (lane->client == NULL && lane->secure == NULL) {
        otr_http_url url;
        otr_code rc = otr_http_url_parse(lane->spec->urls[lane->current], &url, err);
        if (rc != OTR_OK) {
            return rc;
        }
        rc = connect_to(lane, &url, err);
        otr_http_url_deinit(&url);
        if (rc != OTR_OK) {
            return rc;
        }
    }
    otr_http_get get = { .timeout_ms = lane->timeout_ms,
                         .max_body_bytes = OTR_LIMIT_NGINX_STATUS_BYTES,
                         .done = on_response,
                         .arg = lane };
    return lane->client != NULL ? otr_http_client_get(lane->client, &get, err)
                                : otr_secure_get(lane->secure, &get, err);
}

void otr_status_url_hide(char *url)
{
    char *host = strstr(url, "://");
    if (strncmp(url, "unix:", 5) == 0 || host == NULL) {
        return;
    }
    host += 3;
    size_t n = strcspn(host, "/#");
    for (char *at = host + n; at > host; at--) {
        if (at[-1] == '@') {
            memmove(host, at, strlen(at) + 1);
            return;
        }
    }
}

/* What this candidate came back with joins the list, and the next one is due. */
static void move_on(otr_lane *lane, const otr_err *why)
{
    otr_err none;
    char *url = otr_strdup(lane->spec->urls[lane->current]);
    if (url != NULL) {
        otr_status_url_hide(url);
        (void)!otr_buf_addf(&lane->why, &none, "%s%s: %s", lane->why.n > 0 ? "; " : "", url,
                            why->msg);
        otr_free(url);
    }
    drop_connection(lane);
    lane->current = (lane->current + 1) % lane->spec->n;
    lane->tried++;
}

/* The next candidate to which a request begins; false when none is left. */
static bool ask_any(otr_lane *lane)
{
    while (lane->tried < lane->spec->n) {
        otr_err err = { 0 };
        if (ask_current(lane, &err) == OTR_OK) {
            return true;
        }
        move_on(lane, &err);
    }
    return false;
}

static void finish(otr_lane *lane)
{
    otr_err err;
    otr_fail(&err, OTR_EIO, "%s", lane->why.n > 0 ? otr_buf_text(&lane->why) : "nothing answered");
    lane->done(lane->arg, lane, &err);
}

static otr_code read_answer(const otr_http_response *response, otr_stub_status *ret, otr_err *err)
{
    if (response->status != 200) {
        return otr_fail(err, OTR_EINVAL, "HTTP %u", response->status);
    }
    return otr_stub_status_parse(response->body, ret, err);
}

static void on_response(void *arg, otr_code rc, const otr_http_response *response,
                        const otr_err *err)
{
    otr_lane *lane = arg;
    otr_err why = { 0 };
    if (rc != OTR_OK) {
        why = *err;
    } else {
        rc = read_answer(response, &lane->answer.status, &why);
    }
    if (rc == OTR_OK) {
        bool proved = lane->client != NULL ? lane->dial != NULL && otr_dial_proved(lane->dial)
                                           : otr_secure_proved(lane->secure);
        lane->answer.master_pid = proved ? lane->master.pid : 0;
        lane->answer.started_ticks = proved ? lane->master.started_ticks : 0;
        lane->done(lane->arg, lane, NULL);
        return;
    }
    move_on(lane, &why);
    if (!ask_any(lane)) {
        finish(lane);
    }
}

static void on_later(void *arg)
{
    finish(arg);
}

void otr_lane_ask(otr_lane *lane, uint64_t timeout_ms, otr_lane_fn *done, void *arg)
{
    lane->done = done;
    lane->arg = arg;
    lane->timeout_ms = timeout_ms;
    lane->tried = 0;
    otr_buf_clear(&lane->why);
    if (!ask_any(lane)) {
        otr_loop_defer(lane->spec->loop, &lane->later, on_later, lane);
    }
}
