#include "nginx/impact/question.h"

#include "base/alloc.h"
#include "base/json.h"
#include "base/limits.h"
#include "nginx/impact/internal.h"
#include "nginx/language/payload.h"

/* ---- the payload ---- */

static void put_text(otr_jw *w, const char *key, const char *text)
{
    otr_jw_bytes(w, key, otr_bytes_of(text != NULL ? text : ""));
}

static void put_who(otr_jw *w, const otr_impact_question *q)
{
    put_text(w, "instance", q->instance);
    put_text(w, "transaction", q->transaction);
    put_text(w, "action", q->action);
    otr_jw_obj(w, "by");
    put_text(w, "kind", q->by_kind);
    put_text(w, "name", q->by_name);
    otr_jw_obj_end(w);
    put_text(w, "message", q->message);
    otr_jw_bool(w, "dry_run", q->dry_run);
}

static void put_plan(otr_jw *w, const otr_impact *i, const otr_impact_question *q)
{
    if (q->plan.n > 0) {
        otr_jw_raw(w, "plan", q->plan);
        return;
    }
    otr_jw_arr(w, "plan");
    for (size_t k = 0; k < i->n_files; k++) {
        const otr_impact_file *file = &i->files[k];
        otr_jw_obj(w, NULL);
        put_text(w, "path", file->path);
        otr_jw_str(w, "action",
                   file->was != file->will ? (file->will ? "add" : "delete") : "update");
        otr_jw_obj_end(w);
    }
    otr_jw_arr_end(w);
}

static void put_paths(otr_jw *w, const otr_graph *g)
{
    otr_jw_arr(w, "config_files");
    for (size_t k = 0; k < g->n; k++) {
        if (g->parts[k].side[OTR_AFTER].used && g->parts[k].side[OTR_AFTER].there) {
            otr_jw_bytes(w, NULL, otr_bytes_of(g->parts[k].path));
        }
    }
    otr_jw_arr_end(w);
}

/* `with`: the parsed configuration, too. */
static otr_code write_question(const otr_impact *i, const otr_impact_question *q, bool with,
                               otr_buf *out, otr_err *err)
{
    otr_buf diff, radius;
    bool cut = false;
    otr_jw w;
    otr_buf_init(&diff, OTR_LIMIT_IMPACT_ASKED_BYTES + OTR_MIB);
    otr_buf_init(&radius, OTR_LIMIT_BUS_PAYLOAD_BYTES);
    otr_code rc = otr_impact_write_diff(i, OTR_LIMIT_IMPACT_ASKED_BYTES, &diff, &cut, err);
    rc = rc == OTR_OK ? otr_impact_write_json(i, &radius, err) : rc;
    if (rc == OTR_OK) {
        otr_jw_begin(&w, out, err);
        otr_jw_obj(&w, NULL);
        put_who(&w, q);
        put_plan(&w, i, q);
        otr_jw_bytes(&w, "diff", otr_buf_bytes(&diff));
        otr_jw_bool(&w, "diff_truncated", cut);
        otr_jw_raw(&w, "impact", otr_buf_bytes(&radius));
        put_paths(&w, &i->graph);
        otr_jw_bool(&w, "config_truncated", !with);
        if (with) {
            otr_jw_raw(&w, "config", otr_buf_bytes(&i->config));
        } else {
            otr_jw_null(&w, "config");
        }
        otr_jw_obj_end(&w);
        rc = otr_jw_end(&w);
    }
    otr_buf_deinit(&diff);
    otr_buf_deinit(&radius);
    return rc;
}

otr_code otr_impact_ask(const otr_impact *impact, const otr_impact_question *question, otr_buf *out,
                        otr_err *err)
{
    size_t before = out->n;
    otr_err why = { 0 };
    otr_code rc = OTR_EQUOTA;
    if (impact->config_kept) {
        rc = write_question(impact, question, true, out, &why);
        if (rc != OTR_OK && rc != OTR_EQUOTA) {
            return otr_fail(err, rc, "%s", why.msg);
        }
    }
    if (rc == OTR_EQUOTA) {
        otr_buf_cut(out, before);
        rc = write_question(impact, question, false, out, err);
    }
    return rc;
}

/* ---- what guests ask back ---- */

typedef struct wanted {
    const char *path;
    otr_when when;
    bool parsed;
} wanted;

static otr_code read_wanted(const otr_json *root, wanted *ret, otr_err *err)
{
    const char *path = otr_json_str(otr_json_get(root, "path"), NULL);
    const char *version = otr_json_str(otr_json_get(root, "version"), "new");
    const char *form = otr_json_str(otr_json_get(root, "form"), "text");
    bool old = strcmp(version, "old") == 0, parsed = strcmp(form, "parsed") == 0;
    if (otr_json_kind(root) != OTR_JSON_OBJECT || path == NULL ||
        (!old && strcmp(version, "new") != 0) || (!parsed && strcmp(form, "text") != 0)) {
        return otr_fail(err, OTR_EINVAL,
                        "expected {\"path\":…,\"version\":\"new\" or \"old\",\"form\":\"text\" or "
                        "\"parsed\"}, or a path");
    }
    *ret = (wanted){ path, old ? OTR_BEFORE : OTR_AFTER, parsed };
    return OTR_OK;
}

typedef struct found {
    otr_bytes text;
    bool there;
    otr_where where;
} found;

static found find(const otr_impact *i, const wanted *w)
{
    const otr_part *part = otr_graph_find(&i->graph, w->path);
    if (part != NULL && part->side[w->when].used) {
        const otr_part_side *side = &part->side[w->when];
        return (found){ side->text, side->there, part->where };
    }
    for (size_t k = 0; k < i->n_files; k++) {
        const otr_impact_file *file = &i->files[k];
        if (!file->unread && strcmp(file->path, w->path) == 0) {
            bool old = w->when == OTR_BEFORE;
            return (found){ otr_buf_bytes(old ? &file->old : &file->new),
                            old ? file->was : file->will, 0 };
        }
    }
    return (found){ .there = false };
}

static otr_code into_buf(void *arg, otr_bytes bytes, otr_err *err)
{
    return otr_buf_add(arg, bytes, err);
}

static otr_code write_parsed(const wanted *w, const found *f, otr_buf *out, otr_err *err)
{
    static const otr_root nowhere = { .path = "" };
    bool failed;
    otr_sink sink = { .put = into_buf, .arg = out };
    otr_json_style style = { 0 };
    otr_parse spec = { .root = &nowhere,
                       .path = w->path,
                       .text = &f->text,
                       .where = f->where,
                       .any_place = f->where == 0,
                       .single = true };
    return otr_conf_stream_json(&spec, &style, &sink, &failed, err);
}

static otr_code answer(const otr_impact *i, const wanted *w, otr_buf *out, otr_err *err)
{
    found f = find(i, w);
    if (!f.there) {
        return otr_fail(err, OTR_ENOTFOUND, "the %s configuration has no file %s",
                        w->when == OTR_BEFORE ? "old" : "new", w->path);
    }
    if (otr_diff_hides(w->path, f.text) == OTR_DIFF_SECRET) {
        return otr_fail(err, OTR_EDENIED, "%s holds a secret", w->path);
    }
    return w->parsed ? write_parsed(w, &f, out, err) : otr_buf_add(out, f.text, err);
}

otr_code otr_impact_answer(void *of, otr_bytes in, otr_buf *out, otr_err *err)
{
    wanted w = { .when = OTR_AFTER };
    if (in.n > 0 && in.p[0] == '/') {
        if (memchr(in.p, '\0', in.n) != NULL) {
            return otr_fail(err, OTR_EINVAL, "a path with a NUL byte");
        }
        OTR_CLEANUP(otr_freep) char *path = otr_strndup((const char *)in.p, in.n);
        w.path = path;
        return path != NULL ? answer(of, &w, out, err) : otr_fail_nomem(err);
    }
    OTR_CLEANUP(otr_json_freep) otr_json *root = NULL;
    otr_code rc = in.n <= OTR_LIMIT_JSON_ASKED
                      ? otr_json_parse(in, &root, err)
                      : otr_fail(err, OTR_EQUOTA, "a question of %zu bytes; the limit is %u", in.n,
                                 OTR_LIMIT_JSON_ASKED);
    rc = rc == OTR_OK ? read_wanted(root, &w, err) : rc;
    size_t before = out->n;
    rc = rc == OTR_OK ? answer(of, &w, out, err) : rc;
    if (rc != OTR_OK) {
        otr_buf_cut(out, before);
    }
    return rc;
}

void otr_impact_drop(void *of)
{
    otr_impact_free(of);
}
