#include "nginx/check/write.h"

#include <stdio.h>

#include "base/json.h"

enum { PIECE_BYTES = 1 << 20 };

typedef struct writer {
    const otr_check *check;
    const otr_check_writer *to;
    otr_jw jw;
    otr_buf buf;
    otr_code rc;
    otr_err *err;
} writer;

static void begin(writer *w, const otr_check_writer *to, otr_err *err)
{
    w->to = to;
    w->err = err;
    otr_buf_init(&w->buf, 16UL * PIECE_BYTES);
    otr_jw_begin(&w->jw, &w->buf, err);
}

static void flush(writer *w)
{
    if (w->rc == OTR_OK && w->jw.rc == OTR_OK && w->buf.n > 0) {
        w->rc = w->to->put(w->to->arg, otr_buf_bytes(&w->buf), w->err);
    }
    otr_buf_clear(&w->buf);
}

static otr_code finish(writer *w)
{
    otr_code rc = otr_jw_end(&w->jw);
    if (rc == OTR_OK) {
        rc = otr_buf_addc(&w->buf, '\n', w->err);
    }
    flush(w);
    otr_buf_deinit(&w->buf);
    return rc == OTR_OK ? w->rc : rc;
}

static bool is_shown(const writer *w, const otr_finding *f)
{
    return f->level >= w->to->least;
}

/* ---- JSON ---- */

static void rule_texts(writer *w, const otr_rule *r)
{
    otr_jw_str(&w->jw, "why", r->why);
    otr_jw_str(&w->jw, "mend", r->mend);
    otr_jw_str(&w->jw, "reference", r->reference);
}

static void json_finding(writer *w, const otr_finding *f)
{
    const otr_rule *r = w->check->rules->items[f->rule];
    otr_jw_obj(&w->jw, NULL);
    otr_jw_str(&w->jw, "rule", r->id);
    otr_jw_str(&w->jw, "severity", otr_check_level_name(f->level));
    otr_jw_bytes(&w->jw, "file", otr_bytes_of(w->check->conf->files[f->file].path));
    if (f->line > 0) {
        otr_jw_u64(&w->jw, "line", f->line);
    } else {
        otr_jw_null(&w->jw, "line");
    }
    if (f->column > 0) {
        otr_jw_u64(&w->jw, "column", f->column);
    }
    otr_jw_bytes(&w->jw, "message", otr_bytes_of(f->message));
    if (f->unknown) {
        otr_jw_bool(&w->jw, "unknown", true);
    }
    if (f->reason != NULL) {
        otr_jw_bytes(&w->jw, "ignored", otr_bytes_of(f->reason));
    }
    rule_texts(w, r);
    otr_jw_obj_end(&w->jw);
    flush(w);
}

static void json_counts(writer *w)
{
    const otr_check *c = w->check;
    otr_jw_obj(&w->jw, "counts");
    otr_jw_u64(&w->jw, "error", c->counts[OTR_CHECK_ERROR]);
    otr_jw_u64(&w->jw, "warning", c->counts[OTR_CHECK_WARNING]);
    otr_jw_u64(&w->jw, "note", c->counts[OTR_CHECK_NOTE]);
    otr_jw_u64(&w->jw, "ignored", c->n_quiet);
    otr_jw_u64(&w->jw, "left_out", c->report.left_out);
    otr_jw_obj_end(&w->jw);
}

otr_code otr_check_write_json(const otr_check *check, const otr_check_writer *to, otr_err *err)
{
    writer w = { .check = check };
    begin(&w, to, err);
    otr_jw_obj(&w.jw, NULL);
    otr_jw_u64(&w.jw, "version", 1);
    otr_jw_bytes(&w.jw, "file", otr_bytes_of(check->conf->files[0].path));
    otr_jw_str(&w.jw, "part_of", check->place);
    otr_jw_bool(&w.jw, "parsed", !check->failed);
    otr_jw_u64(&w.jw, "files", check->conf->n_files);
    otr_jw_u64(&w.jw, "directives", check->n_directives);
    otr_jw_arr(&w.jw, "findings");
    for (size_t i = 0; i < check->report.n && w.rc == OTR_OK; i++) {
        if (is_shown(&w, &check->report.items[i])) {
            json_finding(&w, &check->report.items[i]);
        }
    }
    otr_jw_arr_end(&w.jw);
    json_counts(&w);
    otr_jw_obj_end(&w.jw);
    return finish(&w);
}

otr_code otr_check_write_rules(const otr_rules_list *rules, const otr_check_writer *to,
                               otr_err *err)
{
    writer w = { 0 };
    begin(&w, to, err);
    otr_jw_arr(&w.jw, NULL);
    for (size_t i = 0; i < rules->n; i++) {
        const otr_rule *r = rules->items[i];
        otr_jw_obj(&w.jw, NULL);
        otr_jw_str(&w.jw, "rule", r->id);
        otr_jw_str(&w.jw, "severity", otr_check_level_name(r->level));
        otr_jw_str(&w.jw, "title", r->title);
        rule_texts(&w, r);
        otr_jw_obj_end(&w.jw);
    }
    otr_jw_arr_end(&w.jw);
    return finish(&w);
}

/* ---- SARIF ---- */

static void sarif_text(writer *w, const char *key, const char *text)
{
    otr_jw_obj(&w->jw, key);
    otr_jw_bytes(&w->jw, "text", otr_bytes_of(text));
    otr_jw_obj_end(&w->jw);
}

static void sarif_rule(writer *w, const otr_rule *r)
{
    otr_jw_obj(&w->jw, NULL);
    otr_jw_str(&w->jw, "id", r->id);
    sarif_text(w, "shortDescription", r->title);
    sarif_text(w, "fullDescription", r->why);
    sarif_text(w, "help", r->mend);
    otr_jw_str(&w->jw, "helpUri", r->reference);
    otr_jw_obj(&w->jw, "defaultConfiguration");
    otr_jw_str(&w->jw, "level", otr_check_level_name(r->level));
    otr_jw_obj_end(&w->jw);
    otr_jw_obj_end(&w->jw);
}

static otr_code add_uri(otr_buf *out, const char *path, otr_err *err)
{
    otr_code rc = path[0] == '/' ? otr_buf_adds(out, "file://", err) : OTR_OK;
    for (const char *p = path; *p != '\0' && rc == OTR_OK; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                     (*p >= '0' && *p <= '9') || strchr("/-._~", *p) != NULL;
        rc = plain ? otr_buf_addc(out, *p, err)
                   : otr_buf_addf(out, err, "%%%02X", (unsigned)(uint8_t)*p);
    }
    return rc;
}

static void sarif_place(writer *w, const otr_finding *f)
{
    otr_buf uri;
    otr_buf_init(&uri, 65536);
    otr_code rc = add_uri(&uri, w->check->conf->files[f->file].path, w->err);
    w->rc = w->rc == OTR_OK ? rc : w->rc;
    otr_jw_arr(&w->jw, "locations");
    otr_jw_obj(&w->jw, NULL);
    otr_jw_obj(&w->jw, "physicalLocation");
    otr_jw_obj(&w->jw, "artifactLocation");
    otr_jw_str(&w->jw, "uri", otr_buf_text(&uri));
    otr_jw_obj_end(&w->jw);
    if (f->line > 0) {
        otr_jw_obj(&w->jw, "region");
        otr_jw_u64(&w->jw, "startLine", f->line);
        if (f->column > 0) {
            otr_jw_u64(&w->jw, "startColumn", f->column);
        }
        otr_jw_obj_end(&w->jw);
    }
    otr_jw_obj_end(&w->jw);
    otr_jw_obj_end(&w->jw);
    otr_jw_arr_end(&w->jw);
    otr_buf_deinit(&uri);
}

static void sarif_result(writer *w, const otr_finding *f)
{
    otr_jw_obj(&w->jw, NULL);
    otr_jw_str(&w->jw, "ruleId", w->check->rules->items[f->rule]->id);
    otr_jw_u64(&w->jw, "ruleIndex", f->rule);
    otr_jw_str(&w->jw, "level", otr_check_level_name(f->level));
    sarif_text(w, "message", f->message);
    sarif_place(w, f);
    if (f->reason != NULL) {
        otr_jw_arr(&w->jw, "suppressions");
        otr_jw_obj(&w->jw, NULL);
        otr_jw_str(&w->jw, "kind", "inSource");
        otr_jw_bytes(&w->jw, "justification", otr_bytes_of(f->reason));
        otr_jw_obj_end(&w->jw);
        otr_jw_arr_end(&w->jw);
    }
    otr_jw_obj_end(&w->jw);
    flush(w);
}

static void sarif_tool(writer *w)
{
    const otr_rules_list *rules = w->check->rules;
    otr_jw_obj(&w->jw, "tool");
    otr_jw_obj(&w->jw, "driver");
    otr_jw_str(&w->jw, "name", "outrider nginx check");
    otr_jw_str(&w->jw, "version", w->to->version);
    otr_jw_arr(&w->jw, "rules");
    for (size_t i = 0; i < rules->n; i++) {
        sarif_rule(w, rules->items[i]);
    }
    otr_jw_arr_end(&w->jw);
    otr_jw_obj_end(&w->jw);
    otr_jw_obj_end(&w->jw);
}

otr_code otr_check_write_sarif(const otr_check *check, const otr_check_writer *to, otr_err *err)
{
    writer w = { .check = check };
    begin(&w, to, err);
    otr_jw_obj(&w.jw, NULL);
    otr_jw_str(&w.jw, "$schema", "https://json.schemastore.org/sarif-2.1.0.json");
    otr_jw_str(&w.jw, "version", "2.1.0");
    otr_jw_arr(&w.jw, "runs");
    otr_jw_obj(&w.jw, NULL);
    sarif_tool(&w);
    otr_jw_str(&w.jw, "columnKind", "unicodeCodePoints");
    otr_jw_arr(&w.jw, "invocations");
    otr_jw_obj(&w.jw, NULL);
    otr_jw_bool(&w.jw, "executionSuccessful", !check->failed);
    otr_jw_obj_end(&w.jw);
    otr_jw_arr_end(&w.jw);
    otr_jw_arr(&w.jw, "results");
    for (size_t i = 0; i < check->report.n && w.rc == OTR_OK; i++) {
        if (is_shown(&w, &check->report.items[i])) {
            sarif_result(&w, &check->report.items[i]);
        }
    }
    otr_jw_arr_end(&w.jw);
    otr_jw_obj_end(&w.jw);
    otr_jw_arr_end(&w.jw);
    otr_jw_obj_end(&w.jw);
    return finish(&w);
}
