/* Requests whose answer waits for plugins: POST /api/v1/reload and POST /api/v1/hooks/TOPIC. */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "modules/admin.h"
#include "plugin/hooks.h"

enum { HOOK_MS = 2000, MS_DIGITS = 5 };

typedef struct pending {
    otr_admin *a;
    otr_http_later *later; /* NULL: nobody waits any more */
    otr_hook *hook;        /* of a question */
    bool begun;            /* of a reload: its `done` will come */
    char topic[OTR_LIMIT_BUS_TOPIC_BYTES + 1];
} pending;

static otr_code open_pending(otr_admin *a, const otr_http_request *req, otr_http_reply *reply,
                             otr_loop_fn *closed, pending **ret, otr_err *err)
{
    pending *p = otr_zalloc(sizeof(*p));
    if (p == NULL) {
        return otr_fail_nomem(err);
    }
    p->a = a;
    otr_code rc = otr_http_later_open(req, reply, closed, p, &p->later, err);
    if (rc != OTR_OK) {
        otr_free(p);
        return rc;
    }
    *ret = p;
    return OTR_OK;
}

/* ---- reload ---- */

static void reload_closed(void *arg)
{
    pending *p = arg;
    p->later = NULL;
    if (!p->begun) {
        otr_free(p);
    }
}

static void write_names(otr_jw *w, const char *key, const char *const *names)
{
    otr_jw_arr(w, key);
    for (; *names != NULL; names++) {
        otr_jw_str(w, NULL, *names);
    }
    otr_jw_arr_end(w);
}

static void write_entry(otr_jw *w, const otr_reload_entry *e)
{
    otr_jw_obj(w, NULL);
    otr_jw_str(w, "name", e->name);
    otr_jw_str(w, "result", otr_reload_result_name(e->result));
    write_names(w, "applied", e->applied);
    write_names(w, "pending", e->pending);
    otr_jw_str(w, "reason", e->reason);
    otr_jw_obj_end(w);
}

static otr_code write_reloaded(const otr_admin *a, otr_buf *out, otr_err *err)
{
    otr_jw w;
    otr_jw_begin(&w, out, err);
    otr_jw_obj(&w, NULL);
    otr_admin_write_config(&w, a);
    otr_jw_arr(&w, "plugins");
    const otr_reload_report *report = otr_plugin_host_report(a->services->plugins);
    for (size_t i = 0; i < report->n; i++) {
        write_entry(&w, &report->items[i]);
    }
    otr_jw_arr_end(&w);
    otr_jw_obj_end(&w);
    return otr_jw_end(&w);
}

static void reloaded(void *arg, otr_code rc, const otr_err *err)
{
    pending *p = arg;
    otr_err own = { 0 };
    otr_buf body;
    otr_buf_init(&body, OTR_LIMIT_HTTP_REPLY_BYTES);
    if (rc == OTR_OK) {
        p->a->reloaded_ns = otr_now_ns(); /* the message that says so is still on its way */
        rc = write_reloaded(p->a, &body, &own);
        err = &own;
    }
    if (p->later != NULL) {
        otr_http_later_send(p->later, rc, &body, err);
    }
    otr_buf_deinit(&body);
    otr_free(p);
}

otr_code otr_admin_post_reload(void *admin, const otr_http_request *req, otr_http_reply *reply,
                               otr_err *err)
{
    otr_admin *a = admin;
    const otr_services *s = a->services;
    pending *p = NULL;
    if (s->reload == NULL) {
        return otr_fail(err, OTR_EUNSUP, "this agent cannot reload its configuration");
    }
    otr_code rc = open_pending(a, req, reply, reload_closed, &p, err);
    if (rc == OTR_OK) {
        rc = s->reload(s->daemon, reloaded, p, err);
        p->begun = rc == OTR_OK;
    }
    return rc; /* a failure closes what was opened */
}

/* ---- hooks ---- */

static void hook_closed(void *arg)
{
    pending *p = arg;
    otr_hook_cancel(p->hook);
    otr_free(p);
}

static void hook_done(void *arg, const otr_hook_result *result)
{
    pending *p = arg;
    otr_err err = { 0 };
    otr_buf body;
    otr_buf_init(&body, OTR_LIMIT_HTTP_REPLY_BYTES);
    otr_code rc = otr_hook_result_json(result, p->topic, &body, &err);
    otr_http_later_send(p->later, rc, &body, &err);
    otr_buf_deinit(&body);
    otr_free(p);
}

static otr_code read_deadline(const otr_http_request *req, uint64_t *ret, otr_err *err)
{
    const char *text = otr_http_query(req, "deadline_ms");
    unsigned long ms = HOOK_MS;
    if (text != NULL) {
        char *end = NULL;
        bool digits = text[0] >= '1' && text[0] <= '9' && strlen(text) <= MS_DIGITS;
        ms = digits ? strtoul(text, &end, 10) : 0;
        ms = end != NULL && *end == '\0' ? ms : 0;
    }
    if (ms == 0 || ms > OTR_LIMIT_HOOK_MS) {
        return otr_fail(err, OTR_EINVAL, "deadline_ms: expected 1 to %d", OTR_LIMIT_HOOK_MS);
    }
    *ret = otr_now_ns() + ms * OTR_NS_PER_MS;
    return OTR_OK;
}

otr_code otr_admin_post_hook(void *admin, const otr_http_request *req, otr_http_reply *reply,
                             otr_err *err)
{
    otr_admin *a = admin;
    pending *p = NULL;
    uint64_t deadline_ns = 0;
    otr_code rc = otr_topic_check(req->tail, false, err);
    rc = rc == OTR_OK ? read_deadline(req, &deadline_ns, err) : rc;
    rc = rc == OTR_OK ? open_pending(a, req, reply, hook_closed, &p, err) : rc;
    if (rc != OTR_OK) {
        return rc;
    }
    (void)snprintf(p->topic, sizeof(p->topic), "%s", req->tail);
    otr_hook_spec spec = {
        .topic = p->topic,
        .payload = req->body.n > 0 ? req->body : otr_bytes_of("null"),
        .source = "admin",
        .deadline_ns = deadline_ns,
        .done = hook_done,
        .arg = p,
    };
    return otr_plugin_host_ask(a->services->plugins, &spec, &p->hook, err);
}
