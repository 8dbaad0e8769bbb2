#include "base/json.h"
#include "telemetry/store.h"

enum { TAIL_BYTES = 64 };

static void write_labels(otr_jw *w, const otr_series *s)
{
    const char *value = s->values;
    otr_jw_obj(w, "labels");
    for (size_t i = 0; i < s->entry->n_labels; i++) {
        otr_jw_str(w, s->entry->family->labels[i], value);
        value += strlen(value) + 1;
    }
    otr_jw_obj_end(w);
}

static void write_histogram(otr_jw *w, const otr_series *s)
{
    uint64_t count = 0;
    otr_jw_obj(w, "value");
    otr_jw_arr(w, "buckets");
    for (size_t i = 0; i <= s->entry->n_bounds; i++) {
        count += s->counts[i];
        otr_jw_obj(w, NULL);
        if (i < s->entry->n_bounds) {
            otr_jw_f64(w, "le", s->entry->family->buckets[i]);
        } else {
            otr_jw_null(w, "le");
        }
        otr_jw_u64(w, "count", s->counts[i]);
        otr_jw_obj_end(w);
    }
    otr_jw_arr_end(w);
    otr_jw_u64(w, "count", count);
    otr_jw_f64(w, "sum", s->value);
    otr_jw_obj_end(w);
}

static void write_series(otr_jw *w, const otr_series *s)
{
    static const char *const kinds[] = { "counter", "gauge", "histogram" };
    const otr_family *family = s->entry->family;
    otr_jw_obj(w, NULL);
    otr_jw_str(w, "name", family->name);
    otr_jw_str(w, "kind", kinds[family->kind]);
    otr_jw_str(w, "unit", family->unit);
    write_labels(w, s);
    if (s->counts != NULL) {
        write_histogram(w, s);
    } else {
        otr_jw_f64(w, "value", s->value);
    }
    otr_jw_obj_end(w);
}

/* False when it did not fit: then nothing of it was written. */
static bool write_if_room(otr_jw *w, const otr_series *s)
{
    const otr_jw before = *w;
    size_t n = w->out->n;
    write_series(w, s);
    if (w->rc != OTR_EQUOTA) {
        return true;
    }
    otr_buf_cut(w->out, n);
    *w = before;
    return false;
}

otr_code otr_registry_json(otr_registry *reg, otr_buf *out, otr_err *err)
{
    otr_registry_collect(reg);
    otr_jw w;
    size_t more = 0, max_bytes = out->max_bytes;
    out->max_bytes -= max_bytes > TAIL_BYTES ? TAIL_BYTES : 0; /* for the item that says so */
    otr_jw_begin(&w, out, err);
    otr_jw_arr(&w, NULL);
    for (size_t i = 0; i < reg->n_entries; i++) {
        for (const otr_series *s = reg->entries[i]->first; s != NULL; s = s->next) {
            more += more > 0 || !write_if_room(&w, s) ? 1 : 0;
        }
    }
    out->max_bytes = max_bytes;
    if (more > 0) {
        otr_jw_obj(&w, NULL);
        otr_jw_u64(&w, "more", more);
        otr_jw_obj_end(&w);
    }
    otr_jw_arr_end(&w);
    return otr_jw_end(&w);
}
