/* Transactions of the history as JSON. */
#include <stdio.h>

#include "base/clock.h"
#include "base/json.h"
#include "modules/config_question.h"

static void write_stat(otr_jw *w, const char *key, const otr_history_stat *s)
{
    char mode[8];
    if (s->digest[0] == '\0') {
        otr_jw_null(w, key);
        return;
    }
    (void)snprintf(mode, sizeof(mode), "%04o", (unsigned)(s->mode & 07777));
    otr_jw_obj(w, key);
    otr_jw_str(w, "digest", s->digest);
    otr_jw_u64(w, "bytes", s->bytes);
    otr_jw_str(w, "mode", mode);
    otr_jw_u64(w, "uid", s->uid);
    otr_jw_u64(w, "gid", s->gid);
    otr_jw_obj_end(w);
}

static void write_who(otr_jw *w, const otr_history_who *who)
{
    otr_jw_obj(w, "who");
    otr_jw_str(w, "kind", otr_history_kind_name(who->kind));
    if (who->uid >= 0) {
        otr_jw_i64(w, "uid", who->uid);
    }
    if (who->pid >= 0) {
        otr_jw_i64(w, "pid", who->pid);
    }
    otr_jw_bytes(w, "name", otr_bytes_of(who->name));
    otr_jw_bytes(w, "detail", otr_bytes_of(who->detail));
    otr_jw_obj_end(w);
}

static void write_json(otr_jw *w, const char *key, const char *json)
{
    if (json[0] == '\0') {
        otr_jw_null(w, key);
    } else {
        otr_jw_raw(w, key, otr_bytes_of(json));
    }
}

static void write_items(otr_jw *w, const otr_history_entry *e)
{
    otr_jw_arr(w, "items");
    for (size_t i = 0; i < e->n_items; i++) {
        otr_jw_obj(w, NULL);
        otr_jw_bytes(w, "path", otr_bytes_of(e->items[i].path));
        otr_jw_bytes(w, "action", otr_bytes_of(e->items[i].action));
        write_stat(w, "before", &e->items[i].before);
        write_stat(w, "after", &e->items[i].after);
        otr_jw_obj_end(w);
    }
    otr_jw_arr_end(w);
}

/* One of an earlier life without an end: that NGINX has not been seen since, so nobody could look.
 */
static const char *result_of(const otr_config_question *q, const otr_history_row *row)
{
    if (row->end.result[0] != '\0') {
        return row->end.result;
    }
    return row->entry.began_ms < q->started_ms ? "unknown" : "running";
}

static void write_row(otr_jw *w, const otr_config_question *q, const otr_history_row *row)
{
    char began[OTR_TIME_BYTES];
    const otr_history_entry *e = &row->entry;
    const otr_history_end *end = &row->end;
    otr_jw_u64(w, "number", row->number);
    otr_jw_bytes(w, "id", otr_bytes_of(e->id));
    otr_jw_bytes(w, "instance", otr_bytes_of(e->instance));
    otr_jw_bytes(w, "config", otr_bytes_of(e->config));
    write_who(w, &e->who);
    otr_jw_str(w, "began", otr_time_text(e->began_ms * OTR_NS_PER_MS, began));
    otr_jw_bytes(w, "message", otr_bytes_of(e->message));
    otr_jw_bytes(w, "of", otr_bytes_of(e->rollback_of));
    otr_jw_bytes(w, "result", otr_bytes_of(result_of(q, row)));
    otr_jw_bytes(w, "text", otr_bytes_of(end->text));
    otr_jw_f64(w, "took_ms", (double)end->took_ns / (double)OTR_NS_PER_MS);
    otr_jw_u64(w, "files", row->n_items);
    otr_jw_str(w, "version_before", e->version_before);
    otr_jw_str(w, "version_after", end->version_after);
    otr_jw_bool(w, "good", end->good);
}

typedef struct lister {
    otr_jw *w;
    const otr_config_question *q;
    uint64_t last; /* number */
    size_t n;
} lister;

static bool list_row(void *arg, const otr_history_row *row)
{
    lister *l = arg;
    otr_jw_obj(l->w, NULL);
    write_row(l->w, l->q, row);
    otr_jw_obj_end(l->w);
    l->last = row->number;
    l->n++;
    return true;
}

otr_code otr_config_answer_list(otr_config_question *q, otr_history *h, otr_err *err)
{
    otr_jw w;
    lister l = { .w = &w, .q = q };
    otr_jw_begin(&w, &q->body, err);
    otr_jw_obj(&w, NULL);
    otr_jw_arr(&w, "changes");
    q->query.instance = q->instance;
    otr_code rc = otr_history_list(h, &q->query, list_row, &l, err);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_jw_arr_end(&w);
    if (l.n == q->query.limit && l.last > 1) {
        otr_jw_u64(&w, "next", l.last); /* "before" of the next page */
    } else {
        otr_jw_null(&w, "next");
    }
    otr_jw_u64(&w, "bytes", otr_history_bytes(h));
    otr_jw_obj_end(&w);
    return otr_jw_end(&w);
}

static bool write_one(void *arg, const otr_history_row *row)
{
    const lister *l = arg;
    otr_jw *w = l->w;
    bool shown = l->q->hidden == NULL;
    otr_jw_obj(w, NULL);
    write_row(w, l->q, row);
    write_items(w, &row->entry);
    write_json(w, "steps", row->steps_json);
    write_json(w, "verdicts", shown ? row->end.verdicts_json : "");
    write_json(w, "impact", shown ? row->end.impact_json : "");
    otr_jw_str(w, "hidden", l->q->hidden);
    otr_jw_obj_end(w);
    return true;
}

otr_code otr_config_answer_one(otr_config_question *q, otr_history *h, otr_err *err)
{
    otr_jw w;
    lister l = { .w = &w, .q = q };
    otr_jw_begin(&w, &q->body, err);
    otr_code rc = otr_history_get(h, q->which, write_one, &l, err);
    return rc == OTR_OK ? otr_jw_end(&w) : rc;
}

otr_code otr_config_answer_versions(otr_config_question *q, otr_history *h, otr_err *err)
{
    static const struct {
        const char *name;
        otr_history_point point;
    } points[] = { { "current", OTR_HISTORY_IN_FORCE },
                   { "good", OTR_HISTORY_GOOD },
                   { "previous", OTR_HISTORY_BEFORE } };
    otr_jw w;
    otr_jw_begin(&w, &q->body, err);
    otr_jw_obj(&w, NULL);
    otr_jw_str(&w, "instance", q->instance);
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < OTR_COUNT(points); i++) {
        char id[OTR_HISTORY_ID_BYTES] = "";
        rc = otr_history_version_at(h, q->instance, points[i].point, id, err);
        otr_jw_str(&w, points[i].name, id);
        rc = rc == OTR_ENOTFOUND ? OTR_OK : rc;
    }
    if (rc != OTR_OK) {
        return rc;
    }
    otr_jw_obj_end(&w);
    return otr_jw_end(&w);
}
