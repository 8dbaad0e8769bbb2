#include <stdio.h>

#include "base/clock.h"
#include "nginx/apply/result.h"

static const char *text_of(const char *text)
{
    return text != NULL ? text : "";
}

static void write_text(otr_jw *w, const char *key, const char *text)
{
    otr_jw_bytes(w, key, otr_bytes_of(text_of(text)));
}

static void write_raw(otr_jw *w, const char *key, const char *json)
{
    if (text_of(json)[0] != '\0') {
        otr_jw_raw(w, key, otr_bytes_of(json));
    } else {
        otr_jw_null(w, key);
    }
}

void otr_apply_who_write(otr_jw *w, const char *key, const otr_apply_who *who)
{
    otr_jw_obj(w, key);
    otr_jw_str(w, "kind", otr_apply_asker_name(who->kind));
    otr_jw_i64(w, "uid", who->uid != (uid_t)-1 ? (int64_t)who->uid : -1);
    otr_jw_i64(w, "pid", who->pid);
    write_text(w, "name", who->name);
    otr_jw_obj_end(w);
}

void otr_findings_write(otr_jw *w, const char *key, const otr_findings *findings)
{
    otr_jw_arr(w, key);
    for (size_t i = 0; i < findings->n; i++) {
        const otr_finding *f = &findings->items[i];
        otr_jw_obj(w, NULL);
        otr_jw_str(w, "level", f->level);
        write_text(w, "file", f->file);
        otr_jw_u64(w, "line", f->line);
        write_text(w, "text", f->text);
        otr_jw_obj_end(w);
    }
    otr_jw_arr_end(w);
}

static void write_stat(otr_jw *w, const char *key, const otr_apply_stat *st)
{
    if (st->sha256[0] == '\0') {
        otr_jw_null(w, key);
        return;
    }
    char mode[8];
    (void)snprintf(mode, sizeof(mode), "%04o", (unsigned)(st->mode & 07777));
    otr_jw_obj(w, key);
    otr_jw_str(w, "digest", st->sha256);
    otr_jw_u64(w, "bytes", st->bytes);
    otr_jw_str(w, "mode", mode);
    otr_jw_u64(w, "uid", st->uid);
    otr_jw_u64(w, "gid", st->gid);
    otr_jw_obj_end(w);
}

static void write_items(otr_jw *w, const otr_apply_result *r)
{
    otr_jw_arr(w, "items");
    for (size_t i = 0; i < r->n_files; i++) {
        const otr_apply_file *f = &r->files[i];
        otr_jw_obj(w, NULL);
        write_text(w, "path", f->path);
        otr_jw_str(w, "action", otr_apply_action_name(f->action));
        write_stat(w, "before", &f->before);
        write_stat(w, "after", &f->after);
        otr_jw_obj_end(w);
    }
    otr_jw_arr_end(w);
    otr_jw_u64(w, "items_more", r->more_files);
}

static double ms_of(uint64_t ns)
{
    uint64_t us = ns / 1000;
    return (double)us / 1000;
}

static void write_steps(otr_jw *w, const otr_apply_result *r)
{
    otr_jw_arr(w, "steps");
    for (size_t i = 0; i < OTR_APPLY_STEPS; i++) {
        if (r->step_ns[i] > 0) {
            otr_jw_obj(w, NULL);
            otr_jw_str(w, "name", otr_apply_step_name((otr_apply_step)i));
            otr_jw_f64(w, "ms", ms_of(r->step_ns[i]));
            otr_jw_obj_end(w);
        }
    }
    otr_jw_arr_end(w);
}

static void write_remarks(otr_jw *w, char *const *remarks)
{
    otr_jw_arr(w, "remarks");
    for (; remarks != NULL && *remarks != NULL; remarks++) {
        write_text(w, NULL, *remarks);
    }
    otr_jw_arr_end(w);
}

void otr_apply_result_write(otr_jw *w, const otr_apply_result *r)
{
    char began[OTR_TIME_BYTES];
    otr_jw_str(w, "id", r->id);
    otr_jw_u64(w, "number", r->number);
    otr_jw_str(w, "instance", r->instance);
    otr_apply_who_write(w, "who", &r->who);
    otr_jw_str(w, "why", otr_apply_why_name(r->why));
    write_text(w, "message", r->message);
    write_text(w, "of", r->of);
    otr_jw_str(w, "result", otr_apply_outcome_name(r->outcome));
    otr_jw_str(w, "step", otr_apply_step_name(r->step));
    otr_jw_bool(w, "touched", r->touched);
    otr_jw_bool(w, "dry_run", r->outcome == OTR_APPLY_PLANNED);
    write_text(w, "text", r->reason);
    otr_findings_write(w, "findings", &r->findings);
    otr_jw_u64(w, "findings_more", r->findings.missing);
    write_remarks(w, r->remarks);
    write_items(w, r);
    write_steps(w, r);
    write_raw(w, "verdicts", r->verdicts);
    write_raw(w, "impact", r->impact);
    write_text(w, "diff", r->diff);
    write_text(w, "version_before", r->version_before);
    write_text(w, "version_after", r->version_after);
    write_text(w, "history", r->history);
    otr_jw_str(w, "began", otr_time_text(r->begun_ns, began));
    otr_jw_f64(w, "took_ms", ms_of(r->ns));
}

otr_code otr_apply_result_json(const otr_apply_result *result, otr_buf *out, otr_err *err)
{
    otr_jw w;
    otr_jw_begin(&w, out, err);
    otr_jw_obj(&w, NULL);
    otr_apply_result_write(&w, result);
    otr_jw_obj_end(&w);
    return otr_jw_end(&w);
}
