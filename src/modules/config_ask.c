/* What a change means, and what the plugins say to it. */
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "modules/config.h"
#include "nginx/change/plan.h"
#include "nginx/impact/question.h"
#include "nginx/overlay.h"

/* ---- on a worker ---- */

typedef struct config_weight {
    otr_impact *impact;
    otr_buf payload; /* of the question */
} config_weight;

static void weight_free(config_weight *w)
{
    if (w != NULL) {
        otr_impact_free(w->impact);
        otr_buf_deinit(&w->payload);
        otr_free(w);
    }
}

static otr_code lay_item(otr_overlay *overlay, const otr_apply_view *view,
                         const otr_plan_item *item, size_t *bytes, otr_err *err)
{
    if (item->action == OTR_PLAN_DELETE) {
        return otr_overlay_remove(overlay, item->path, err);
    }
    if (item->action != OTR_PLAN_ADD && item->action != OTR_PLAN_UPDATE) {
        return OTR_OK;
    }
    otr_buf text;
    otr_buf_init(&text, OTR_LIMIT_IMPACT_BYTES - *bytes);
    otr_code rc = otr_plan_read_after(view->plan, item, &text, err);
    *bytes += text.n;
    rc = rc == OTR_OK ? otr_overlay_take(overlay, item->path, &text, err) : rc;
    otr_buf_deinit(&text);
    return rc;
}

static otr_code lay_plan(otr_overlay *overlay, const otr_apply_view *view, otr_err *err)
{
    otr_code rc = OTR_OK;
    size_t bytes = 0;
    for (size_t i = 0; rc == OTR_OK && i < otr_plan_count(view->plan); i++) {
        rc = lay_item(overlay, view, otr_plan_at(view->plan, i), &bytes, err);
    }
    return rc;
}

/* What is to be done, without what stays. */
static otr_code write_plan(const otr_apply_view *view, otr_buf *out, otr_err *err)
{
    otr_jw w;
    otr_jw_begin(&w, out, err);
    otr_jw_arr(&w, NULL);
    for (size_t i = 0; i < otr_plan_count(view->plan); i++) {
        const otr_plan_item *item = otr_plan_at(view->plan, i);
        if (item->action != OTR_PLAN_UNCHANGED) {
            otr_jw_obj(&w, NULL);
            otr_jw_bytes(&w, "path", otr_bytes_of(item->path));
            otr_jw_str(&w, "action", otr_plan_action_name(item->action));
            otr_jw_obj_end(&w);
        }
    }
    otr_jw_arr_end(&w);
    return otr_jw_end(&w);
}

static const char *kind_of(otr_apply_asker asker)
{
    return asker == OTR_APPLY_BY_PLANE ? "management-plane" : otr_apply_asker_name(asker);
}

static otr_code make_payload(const otr_apply_view *view, config_weight *w, otr_err *err)
{
    const otr_apply_request *request = view->request;
    otr_buf plan;
    otr_buf_init(&plan, OTR_LIMIT_BUS_PAYLOAD_BYTES);
    otr_buf_init(&w->payload, OTR_LIMIT_BUS_PAYLOAD_BYTES);
    otr_code rc = write_plan(view, &plan, err);
    otr_impact_question question = { .instance = view->instance->id,
                                     .transaction = view->id,
                                     .action = otr_apply_why_name(request->why),
                                     .by_kind = kind_of(request->who.kind),
                                     .by_name = request->who.name,
                                     .message = request->message != NULL ? request->message : "",
                                     .dry_run = request->dry_run,
                                     .plan = otr_buf_bytes(&plan) };
    rc = rc == OTR_OK ? otr_impact_ask(w->impact, &question, &w->payload, err) : rc;
    otr_buf_deinit(&plan);
    return rc;
}

static otr_code make_impact(const otr_apply_view *view, config_weight *w, otr_err *err)
{
    OTR_CLEANUP(otr_overlay_freep) otr_overlay *overlay = NULL;
    otr_impact_spec spec = { .root = view->root,
                             .config = view->instance->config,
                             .with_config = true };
    if (spec.config == NULL) {
        return otr_fail(err, OTR_ESTATE, "the main file of that NGINX is not known");
    }
    otr_code rc = otr_overlay_new(view->root, &overlay, err);
    rc = rc == OTR_OK ? lay_plan(overlay, view, err) : rc;
    spec.overlay = overlay;
    return rc == OTR_OK ? otr_impact_new(&spec, &w->impact, err) : rc;
}

otr_code otr_config_weigh(void *config, const otr_apply_view *view, void **ret, otr_buf *impact,
                          otr_buf *diff, otr_err *err)
{
    (void)config;
    config_weight *w = otr_zalloc(sizeof(*w));
    if (w == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = make_impact(view, w, err);
    rc = rc == OTR_OK ? otr_impact_write_json(w->impact, impact, err) : rc;
    rc = rc == OTR_OK && view->request->dry_run
             ? otr_impact_write_diff(w->impact, OTR_LIMIT_IMPACT_ASKED_BYTES, diff, NULL, err)
             : rc;
    rc = rc == OTR_OK ? make_payload(view, w, err) : rc;
    if (rc != OTR_OK) {
        weight_free(w);
        return rc;
    }
    *ret = w;
    return OTR_OK;
}

void otr_config_drop(void *config, void *weighed)
{
    (void)config;
    weight_free(weighed);
}

/* ---- on the loop ---- */

static void forget(config_asked *q)
{
    for (config_asked **at = &q->c->asked; *at != NULL; at = &(*at)->next) {
        if (*at == q) {
            *at = q->next;
            break;
        }
    }
    otr_free(q);
}

static void on_answered(void *arg, const otr_hook_result *result)
{
    config_asked *q = arg;
    otr_apply *tx = q->tx;
    otr_buf json;
    otr_buf_init(&json, OTR_LIMIT_HTTP_REPLY_BYTES);
    bool have = result->n > 0 &&
                otr_hook_result_json(result, otr_topic_nginx_validate.name, &json, NULL) == OTR_OK;
    forget(q);
    otr_apply_answer(tx, result->verdict == OTR_VERDICT_ALLOW ? OTR_APPLY_ALLOW : OTR_APPLY_DENY,
                     result->reason, have ? otr_buf_text(&json) : NULL);
    otr_buf_deinit(&json);
}

/* Without what nginx/impact tells, when that could not be found out: who needs the configuration to
 * answer then has none, and says so. */
static otr_code write_question(const otr_apply_view *view, otr_buf *out, otr_err *err)
{
    otr_jw w;
    otr_jw_begin(&w, out, err);
    otr_jw_obj(&w, NULL);
    otr_jw_str(&w, "transaction", view->id);
    otr_jw_str(&w, "instance", view->instance->id);
    otr_jw_str(&w, "action", otr_apply_why_name(view->request->why));
    otr_jw_bool(&w, "dry_run", view->request->dry_run);
    otr_apply_who_write(&w, "by", &view->request->who);
    otr_jw_bytes(&w, "message",
                 otr_bytes_of(view->request->message != NULL ? view->request->message : ""));
    otr_jw_arr(&w, "files");
    for (size_t i = 0; i < view->result->n_files; i++) {
        otr_jw_obj(&w, NULL);
        otr_jw_bytes(&w, "path", otr_bytes_of(view->result->files[i].path));
        otr_jw_str(&w, "action", otr_apply_action_name(view->result->files[i].action));
        otr_jw_obj_end(&w);
    }
    otr_jw_arr_end(&w);
    otr_jw_obj_end(&w);
    return otr_jw_end(&w);
}

/* The hook owns the impact from then on: guests ask for its files until the last one is done. */
static otr_code ask(otr_config_apply *c, otr_apply *tx, const otr_apply_view *view,
                    config_weight *w, otr_err *err)
{
    otr_buf payload;
    config_asked *q = otr_zalloc(sizeof(*q));
    if (q == NULL) {
        return otr_fail_nomem(err);
    }
    otr_buf_init(&payload, OTR_LIMIT_BUS_PAYLOAD_BYTES);
    *q = (config_asked){ .c = c, .tx = tx };
    otr_code rc = w == NULL ? write_question(view, &payload, err) : OTR_OK;
    if (rc == OTR_OK) {
        otr_hook_files files = { .get = otr_impact_answer, .drop = otr_impact_drop };
        files.of = w != NULL ? w->impact : NULL;
        otr_hook_spec spec = { .topic = otr_topic_nginx_validate.name,
                               .payload = otr_buf_bytes(w != NULL ? &w->payload : &payload),
                               .checked = true,
                               .files = w != NULL ? &files : NULL,
                               .source = "nginx-config",
                               .deadline_ns = otr_now_ns() + c->policy_ns,
                               .known_only = c->fail_open,
                               .done = on_answered,
                               .arg = q };
        rc = otr_plugin_host_ask(c->services->plugins, &spec, &q->hook, err);
    }
    otr_buf_deinit(&payload);
    if (rc != OTR_OK) {
        otr_free(q);
        return rc;
    }
    if (w != NULL) {
        w->impact = NULL;
    }
    q->next = c->asked;
    c->asked = q;
    return OTR_OK;
}

void otr_config_ask(void *config, otr_apply *tx, const otr_apply_view *view, void *weighed)
{
    otr_config_apply *c = config;
    otr_err err = { 0 };
    otr_code rc = ask(c, tx, view, weighed, &err);
    weight_free(weighed);
    if (rc == OTR_OK) {
        return;
    }
    char text[OTR_ERR_MSG_BYTES + 64];
    (void)snprintf(text, sizeof(text), "the plugins could not be asked: %s", err.msg);
    otr_apply_answer(tx, c->fail_open ? OTR_APPLY_ALLOW : OTR_APPLY_NO_ANSWER, text, NULL);
}

void otr_config_unask(void *config, otr_apply *tx)
{
    otr_config_apply *c = config;
    otr_config_records_let(c, tx);
    for (config_asked *q = c->asked; q != NULL; q = q->next) {
        if (q->tx == tx) {
            otr_hook_cancel(q->hook);
            forget(q);
            return;
        }
    }
}
