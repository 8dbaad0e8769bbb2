/* What a change means, and what the plugins say to it. */
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "modules/config.h"

/* ---- on a worker ---- */

otr_code otr_config_weigh(void *config, const otr_apply_view *view, void **ret, otr_buf *impact,
                          otr_buf *diff, otr_err *err)
{
    (void)config;
    (void)view;
    (void)impact;
    (void)diff;
    (void)err;
    *ret = NULL;
    return OTR_OK;
}

void otr_config_drop(void *config, void *weighed)
{
    (void)config;
    (void)weighed;
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

/* Without what nginx/impact tells. */
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

static otr_code ask(otr_config_apply *c, otr_apply *tx, const otr_apply_view *view, otr_err *err)
{
    otr_buf payload;
    config_asked *q = otr_zalloc(sizeof(*q));
    if (q == NULL) {
        return otr_fail_nomem(err);
    }
    otr_buf_init(&payload, OTR_LIMIT_BUS_PAYLOAD_BYTES);
    *q = (config_asked){ .c = c, .tx = tx };
    otr_code rc = write_question(view, &payload, err);
    if (rc == OTR_OK) {
        otr_hook_spec spec = { .topic = otr_topic_nginx_validate.name,
                               .payload = otr_buf_bytes(&payload),
                               .source = "config",
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
    q->next = c->asked;
    c->asked = q;
    return OTR_OK;
}

void otr_config_ask(void *config, otr_apply *tx, const otr_apply_view *view, void *weighed)
{
    otr_config_apply *c = config;
    otr_err err = { 0 };
    (void)weighed;
    if (ask(c, tx, view, &err) == OTR_OK) {
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
