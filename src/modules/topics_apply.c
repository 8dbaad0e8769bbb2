/* The topics of applies: what a result carries, cut to the size of an event. */
#include "base/alloc.h"
#include "base/escape.h"
#include "base/json.h"
#include "base/limits.h"
#include "modules/topics.h"

enum { TEXT_BYTES = 1024 };

static void drop_apply(void *payload)
{
    otr_apply_event *event = payload;
    otr_apply_result_free(event->result);
    otr_free(event);
}

/* Whether `n` more bytes fit; each list has a budget of its own. */
static bool spend(size_t *left, size_t n)
{
    if (n > *left) {
        *left = 0;
        return false;
    }
    *left -= n;
    return true;
}

static void write_text(otr_jw *w, const char *key, const char *text)
{
    char cut[TEXT_BYTES];
    otr_jw_bytes(
        w, key,
        otr_bytes_of(otr_escape_text(otr_bytes_of(text != NULL ? text : ""), cut, sizeof(cut))));
}

static void write_files(otr_jw *w, const otr_apply_result *r)
{
    size_t left = OTR_LIMIT_APPLY_EVENT_BYTES, i = 0;
    otr_jw_arr(w, "files");
    for (; i < r->n_files && spend(&left, strlen(r->files[i].path) + 32); i++) {
        otr_jw_obj(w, NULL);
        otr_jw_bytes(w, "path", otr_bytes_of(r->files[i].path));
        otr_jw_str(w, "action", otr_apply_action_name(r->files[i].action));
        otr_jw_obj_end(w);
    }
    otr_jw_arr_end(w);
    otr_jw_u64(w, "files_more", r->more_files + r->n_files - i);
}

static void write_findings(otr_jw *w, const otr_findings *findings)
{
    otr_findings shown = *findings;
    size_t left = OTR_LIMIT_APPLY_EVENT_BYTES;
    for (shown.n = 0; shown.n < findings->n; shown.n++) {
        const otr_finding *f = &findings->items[shown.n];
        if (!spend(&left, strlen(f->file) + strlen(f->text) + 48)) {
            break;
        }
    }
    otr_findings_write(w, "findings", &shown);
    otr_jw_u64(w, "findings_more", findings->missing + findings->n - shown.n);
}

static void write_remarks(otr_jw *w, char *const *remarks)
{
    size_t left = OTR_LIMIT_APPLY_EVENT_BYTES;
    otr_jw_arr(w, "remarks");
    for (; remarks != NULL && *remarks != NULL && spend(&left, strlen(*remarks) + 3); remarks++) {
        otr_jw_bytes(w, NULL, otr_bytes_of(*remarks));
    }
    otr_jw_arr_end(w);
}

static void write_begin(otr_jw *w, const otr_apply_result *r)
{
    otr_jw_str(w, "id", r->id);
    otr_jw_str(w, "instance", r->instance);
    otr_apply_who_write(w, "who", &r->who);
    otr_jw_str(w, "why", otr_apply_why_name(r->why));
    write_text(w, "message", r->message);
    write_text(w, "of", r->of);
    write_files(w, r);
}

static otr_code encode_started(const void *payload, otr_buf *out, otr_err *err)
{
    otr_jw w;
    otr_jw_begin(&w, out, err);
    otr_jw_obj(&w, NULL);
    write_begin(&w, ((const otr_apply_event *)payload)->result);
    otr_jw_obj_end(&w);
    return otr_jw_end(&w);
}

static otr_code encode_finished(const void *payload, otr_buf *out, otr_err *err)
{
    const otr_apply_result *r = ((const otr_apply_event *)payload)->result;
    otr_jw w;
    otr_jw_begin(&w, out, err);
    otr_jw_obj(&w, NULL);
    write_begin(&w, r);
    otr_jw_u64(&w, "number", r->number);
    otr_jw_str(&w, "result", otr_apply_outcome_name(r->outcome));
    otr_jw_str(&w, "step", otr_apply_step_name(r->step));
    otr_jw_bool(&w, "touched", r->touched);
    write_text(&w, "text", r->reason);
    write_findings(&w, &r->findings);
    write_remarks(&w, r->remarks);
    write_text(&w, "version", r->version_after);
    uint64_t us = r->ns / 1000;
    otr_jw_f64(&w, "took_ms", (double)us / 1000);
    otr_jw_obj_end(&w);
    return otr_jw_end(&w);
}

const otr_topic otr_topic_apply_started = { "nginx.config.apply.started", 1, drop_apply,
                                            encode_started };
const otr_topic otr_topic_apply_finished = { "nginx.config.apply.finished", 1, drop_apply,
                                             encode_finished };
