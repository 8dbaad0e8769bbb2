/* GET /api/v1/config/applies: what runs, and what came of the last change of each instance. */
#include "base/clock.h"
#include "modules/config.h"

static bool write_now(void *arg, const otr_apply_now *now)
{
    char since[OTR_TIME_BYTES];
    otr_jw *w = arg;
    otr_jw_obj(w, NULL);
    otr_jw_str(w, "id", now->id);
    otr_jw_str(w, "instance", now->instance);
    otr_apply_who_write(w, "who", now->who);
    otr_jw_str(w, "step", otr_apply_step_name(now->step));
    otr_jw_bool(w, "waits", now->waits);
    otr_jw_str(w, "since", otr_time_text(now->since_ns, since));
    otr_jw_obj_end(w);
    return true;
}

/* Without what only who may change it should see. */
static void write_last(otr_jw *w, const otr_apply_result *result)
{
    otr_apply_result shown = *result;
    shown.diff = NULL;
    shown.impact = NULL;
    shown.verdicts = NULL;
    otr_jw_obj(w, NULL);
    otr_apply_result_write(w, &shown);
    otr_jw_obj_end(w);
}

otr_code otr_config_get_applies(void *config, const otr_http_request *req, otr_http_reply *reply,
                                otr_err *err)
{
    const otr_config_apply *c = config;
    otr_jw w;
    (void)req;
    otr_jw_begin(&w, &reply->body, err);
    otr_jw_obj(&w, NULL);
    otr_jw_arr(&w, "running");
    otr_applier_each(c->applier, write_now, &w);
    otr_jw_arr_end(&w);
    otr_jw_arr(&w, "last");
    for (size_t i = 0; i < c->n_last; i++) {
        write_last(&w, c->last[i]);
    }
    otr_jw_arr_end(&w);
    otr_jw_obj_end(&w);
    return otr_jw_end(&w);
}
