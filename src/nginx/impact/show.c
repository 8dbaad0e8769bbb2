/* What a change means, as JSON and as lines for people. */
#include "base/json.h"
#include "nginx/impact/internal.h"

static const char *action_of(const otr_impact_file *file)
{
    bool equal = !file->unread && file->diff.kind == OTR_DIFF_EQUAL;
    return file->was != file->will ? (file->will ? "add" : "delete")
           : equal                 ? "unchanged"
                                   : "update";
}

static const char *hidden_of(const otr_impact_file *file)
{
    return file->unread                         ? "unread"
           : file->diff.kind == OTR_DIFF_BINARY ? "binary"
           : file->diff.kind == OTR_DIFF_SECRET ? "secret"
                                                : NULL;
}

/* ---- JSON ---- */

static void put_text(otr_jw *w, const char *key, const char *text)
{
    if (text != NULL) {
        otr_jw_bytes(w, key, otr_bytes_of(text));
    } else {
        otr_jw_null(w, key);
    }
}

static void put_files(otr_jw *w, const otr_impact *i)
{
    otr_jw_arr(w, "files");
    for (size_t k = 0; k < i->n_files && k < OTR_LIMIT_IMPACT_ITEMS; k++) {
        const otr_impact_file *file = &i->files[k];
        otr_jw_obj(w, NULL);
        put_text(w, "path", file->path);
        otr_jw_str(w, "action", action_of(file));
        otr_jw_bool(w, "used", file->used);
        otr_jw_u64(w, "lines_added", file->diff.added);
        otr_jw_u64(w, "lines_removed", file->diff.removed);
        put_text(w, "hidden", hidden_of(file));
        otr_jw_obj_end(w);
    }
    otr_jw_arr_end(w);
    if (i->n_files > OTR_LIMIT_IMPACT_ITEMS) {
        otr_jw_u64(w, "files_more", i->n_files - OTR_LIMIT_IMPACT_ITEMS);
    }
}

static void put_effect(otr_jw *w, const otr_effect *e)
{
    otr_jw_obj(w, NULL);
    otr_jw_str(w, "change", otr_effect_way_name(e->way));
    otr_jw_str(w, "block", e->block);
    put_text(w, "name", e->name);
    if (e->kind == OTR_EFFECT_SERVER) {
        put_text(w, "listen", e->listen);
    }
    if (e->kind == OTR_EFFECT_LOCATION) {
        put_text(w, "server", e->server);
    }
    put_text(w, "why", e->why);
    put_text(w, "file", e->file);
    otr_jw_u64(w, "line", e->line);
    otr_jw_obj_end(w);
}

static const char *const kind_keys[] = { "servers", "locations", "upstreams", "others" };

static void put_kind(otr_jw *w, const otr_effects *e, otr_effect_kind kind)
{
    size_t shown = 0, all = 0;
    otr_jw_obj(w, kind_keys[kind]);
    for (otr_effect_way way = OTR_EFFECT_ADDED; way < OTR_EFFECT_WAYS; way++) {
        otr_jw_u64(w, otr_effect_way_name(way), e->counts[kind][way]);
        all += e->counts[kind][way];
    }
    otr_jw_arr(w, "items");
    for (size_t i = 0; i < e->n && shown < OTR_LIMIT_IMPACT_ITEMS; i++) {
        if (e->items[i].kind == kind) {
            put_effect(w, &e->items[i]);
            shown++;
        }
    }
    otr_jw_arr_end(w);
    otr_jw_u64(w, "more", all - shown);
    otr_jw_obj_end(w);
}

static void put_place(otr_jw *w, const char *file, uint32_t line)
{
    put_text(w, "file", file);
    if (line > 0) {
        otr_jw_u64(w, "line", line);
    } else {
        otr_jw_null(w, "line");
    }
}

static void put_errors(otr_jw *w, const otr_impact *i)
{
    otr_jw_arr(w, "errors");
    for (size_t k = 0; k < i->n_errors; k++) {
        otr_jw_obj(w, NULL);
        put_place(w, i->errors[k].file, i->errors[k].line);
        put_text(w, "error", i->errors[k].text);
        otr_jw_obj_end(w);
    }
    otr_jw_arr_end(w);
    otr_jw_u64(w, "errors_more", i->summary.errors - i->n_errors);
}

/* The next part with trouble from `*at` on; NULL: no more. */
static const otr_part *next_trouble(const otr_graph *g, size_t *at, const otr_part_side **ret)
{
    while (*at < g->n) {
        const otr_part *part = &g->parts[(*at)++];
        *ret = part->side[OTR_AFTER].trouble != NULL ? &part->side[OTR_AFTER]
                                                     : &part->side[OTR_BEFORE];
        if ((*ret)->trouble != NULL) {
            return part;
        }
    }
    return NULL;
}

static void put_unread(otr_jw *w, const otr_graph *g)
{
    const otr_part_side *side;
    size_t at = 0, n = 0;
    otr_jw_arr(w, "unread");
    for (const otr_part *part; (part = next_trouble(g, &at, &side)) != NULL;) {
        if (n++ < OTR_LIMIT_IMPACT_ERRORS) {
            otr_jw_obj(w, NULL);
            put_place(w, part->path, side->trouble_line);
            put_text(w, "why", side->trouble);
            otr_jw_obj_end(w);
        }
    }
    otr_jw_arr_end(w);
}

/* ---- lines ---- */

typedef struct text { /* sticky */
    otr_buf *out;
    size_t most; /* of each list */
    otr_code rc;
    otr_err *err;
} text;

#define LINE(t, ...)                                                     \
    do {                                                                 \
        if ((t)->rc == OTR_OK) {                                         \
            (t)->rc = otr_buf_add_line((t)->out, (t)->err, __VA_ARGS__); \
        }                                                                \
    } while (0)

static void say_reach(text *t, const otr_impact *i)
{
    const otr_impact_summary *s = &i->summary;
    LINE(t, "files: %zu added, %zu changed, %zu removed; lines: +%zu -%zu", s->files_added,
         s->files_changed, s->files_removed, s->lines_added, s->lines_removed);
    switch (s->reach) {
    case OTR_IMPACT_NONE:
        LINE(t, "no effect on NGINX");
        break;
    case OTR_IMPACT_EVERYTHING:
        LINE(t, "touches everything: %.300s", i->effects.everything);
        break;
    case OTR_IMPACT_UNKNOWN:
        LINE(t, "touches more than is known: not all of the configuration can be read");
        break;
    case OTR_IMPACT_SOME:
        break;
    }
}

static void say_effect(text *t, const otr_effect *e)
{
    static const char *const signs[] = { "+", "-", "~", "*" };
    bool listens = e->listen != NULL && e->listen[0] != '\0';
    const char *server = e->server != NULL ? e->server : "";
    const char *name = e->name[0] != '\0' ? e->name : "(no name)";
    LINE(t, "  %s %.160s%s%.80s%s%s%.80s  %.200s:%u%s%.120s", signs[e->way], name,
         listens ? " (" : "", listens ? e->listen : "", listens ? ")" : "",
         server[0] != '\0' ? " of " : "", server, e->file, e->line, e->why != NULL ? "  " : "",
         e->why != NULL ? e->why : "");
}

static void say_kind(text *t, const otr_effects *e, otr_effect_kind kind)
{
    const size_t *n = e->counts[kind];
    size_t all =
        n[OTR_EFFECT_ADDED] + n[OTR_EFFECT_REMOVED] + n[OTR_EFFECT_CHANGED] + n[OTR_EFFECT_TOUCHED];
    size_t shown = 0;
    if (all == 0) {
        return;
    }
    LINE(t, "%s: %zu added, %zu removed, %zu changed, %zu touched", kind_keys[kind],
         n[OTR_EFFECT_ADDED], n[OTR_EFFECT_REMOVED], n[OTR_EFFECT_CHANGED], n[OTR_EFFECT_TOUCHED]);
    for (size_t i = 0; i < e->n && shown < t->most; i++) {
        if (e->items[i].kind == kind) {
            say_effect(t, &e->items[i]);
            shown++;
        }
    }
    if (shown < all) {
        LINE(t, "  … and %zu more", all - shown);
    }
}

static void say_place(text *t, const char *what, const char *file, uint32_t line, const char *why)
{
    if (line > 0) {
        LINE(t, "%s: %.200s:%u: %.300s", what, file, line, why);
    } else {
        LINE(t, "%s: %.200s: %.300s", what, file, why);
    }
}

otr_code otr_impact_write_text(const otr_impact *impact, size_t max_items, otr_buf *out,
                               otr_err *err)
{
    text t = { .out = out, .most = max_items, .err = err };
    const otr_part_side *side;
    size_t at = 0;
    say_reach(&t, impact);
    for (otr_effect_kind kind = OTR_EFFECT_SERVER; kind < OTR_EFFECT_KINDS; kind++) {
        say_kind(&t, &impact->effects, kind);
    }
    for (size_t k = 0; k < impact->n_errors && k < max_items; k++) {
        say_place(&t, "error", impact->errors[k].file, impact->errors[k].line,
                  impact->errors[k].text);
    }
    if (impact->summary.errors > impact->n_errors || impact->n_errors > max_items) {
        LINE(&t, "… and %zu more errors",
             impact->summary.errors -
                 (impact->n_errors < max_items ? impact->n_errors : max_items));
    }
    const otr_part *part = next_trouble(&impact->graph, &at, &side);
    for (size_t n = 0; part != NULL && n < max_items; n++) {
        say_place(&t, "unread", part->path, side->trouble_line, side->trouble);
        part = next_trouble(&impact->graph, &at, &side);
    }
    return t.rc;
}

/* ---- all of it ---- */

static otr_code put_lines(otr_jw *w, const otr_impact *i, otr_err *err)
{
    enum { ITEMS = 10, BYTES = 256 << 10 };
    otr_buf all;
    otr_buf_init(&all, BYTES);
    otr_code rc = otr_impact_write_text(i, ITEMS, &all, err);
    otr_jw_arr(w, "lines");
    for (const char *at = otr_buf_text(&all); rc == OTR_OK && *at != '\0';) {
        size_t n = strcspn(at, "\n");
        otr_jw_bytes(w, NULL, (otr_bytes){ (const uint8_t *)at, n });
        at += n + (at[n] == '\n');
    }
    otr_jw_arr_end(w);
    otr_buf_deinit(&all);
    return rc;
}

otr_code otr_impact_write_json(const otr_impact *impact, otr_buf *out, otr_err *err)
{
    otr_jw w;
    otr_jw_begin(&w, out, err);
    otr_jw_obj(&w, NULL);
    otr_jw_str(&w, "reach", otr_impact_reach_name(impact->summary.reach));
    put_text(&w, "everything", impact->effects.everything);
    otr_jw_u64(&w, "lines_added", impact->summary.lines_added);
    otr_jw_u64(&w, "lines_removed", impact->summary.lines_removed);
    put_files(&w, impact);
    for (otr_effect_kind kind = OTR_EFFECT_SERVER; kind < OTR_EFFECT_KINDS; kind++) {
        put_kind(&w, &impact->effects, kind);
    }
    put_errors(&w, impact);
    put_unread(&w, &impact->graph);
    otr_code rc = put_lines(&w, impact, err);
    otr_jw_obj_end(&w);
    otr_code wrote = otr_jw_end(&w);
    return rc == OTR_OK ? wrote : rc;
}
