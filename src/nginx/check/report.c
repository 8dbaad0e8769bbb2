#include "nginx/check/report.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/limits.h"

const char *otr_check_level_name(otr_check_level level)
{
    return level == OTR_CHECK_ERROR ? "error" : level == OTR_CHECK_WARNING ? "warning" : "note";
}

void otr_report_deinit(otr_report *report)
{
    otr_free(report->items);
    otr_arena_deinit(&report->arena);
    otr_table_deinit(&report->seen);
    *report = (otr_report){ 0 };
}

/* The place of `offset` in its line, in characters. */
static uint32_t column_of(otr_bytes text, size_t offset)
{
    uint32_t column = 1;
    for (size_t i = offset; i > 0 && i <= text.n && text.p[i - 1] != '\n'; i--) {
        column += (text.p[i - 1] & 0xc0U) != 0x80U;
    }
    return column;
}

static uint32_t line_of(otr_bytes text, size_t from, size_t to, uint32_t line)
{
    for (size_t i = from; i < to && i < text.n; i++) {
        line += text.p[i] == '\n';
    }
    return line;
}

static void find_place(const otr_conf *conf, otr_place_of at, otr_finding *f)
{
    const otr_node *node = at.node;
    otr_bytes text = conf->files[node->file].text;
    f->file = node->file;
    f->line = node->line;
    f->offset = node->start;
    if (node->end == 0 || text.p == NULL) {
        return;
    }
    if (at.word != NULL && at.word->p >= text.p + node->start && at.word->p <= text.p + node->end) {
        size_t quoted = at.word->quote != 0 ? 1 : 0;
        f->offset = (uint32_t)((size_t)(at.word->p - text.p) - quoted);
        f->line = line_of(text, node->start, f->offset, node->line);
    }
    f->column = column_of(text, f->offset);
}

/* The same rule says one thing of one place, however often its file is included. */
static otr_code is_new(otr_report *r, const otr_finding *f, bool *ret, otr_err *err)
{
    uint32_t key[3] = { f->rule, f->file, f->offset };
    otr_bytes bytes = { (const uint8_t *)key, sizeof(key) };
    *ret = otr_table_get(&r->seen, bytes) == NULL;
    if (!*ret) {
        return OTR_OK;
    }
    void *copy = otr_arena_alloc(&r->arena, 1, sizeof(key));
    if (copy == NULL) {
        return otr_fail_nomem(err);
    }
    memcpy(copy, key, sizeof(key));
    return otr_table_add(&r->seen, (otr_bytes){ copy, sizeof(key) }, 0, err);
}

otr_code otr_report_add(otr_report *report, const otr_conf *conf, otr_place_of at,
                        const otr_finding *made, const char *message, otr_err *err)
{
    otr_finding f = *made;
    bool fresh = true;
    if (at.node != NULL) {
        find_place(conf, at, &f);
        otr_code rc = is_new(report, &f, &fresh, err);
        if (rc != OTR_OK || !fresh) {
            return rc;
        }
    }
    if (report->n >= OTR_LIMIT_NGINX_FINDINGS) {
        report->left_out++;
        return OTR_OK;
    }
    otr_code rc = otr_grow(&report->items, report->n, &report->cap, sizeof(*report->items), err);
    f.message = rc == OTR_OK ? otr_arena_strdup(&report->arena, message) : NULL;
    if (f.message == NULL) {
        return rc != OTR_OK ? rc : otr_fail_nomem(err);
    }
    report->items[report->n++] = f;
    return OTR_OK;
}

static int compare(const void *a, const void *b)
{
    const otr_finding *x = a, *y = b;
    if (x->file != y->file) {
        return x->file < y->file ? -1 : 1;
    }
    if (x->line != y->line) {
        return x->line < y->line ? -1 : 1;
    }
    if (x->offset != y->offset) {
        return x->offset < y->offset ? -1 : 1;
    }
    return x->rule < y->rule ? -1 : x->rule > y->rule;
}

void otr_report_sort(otr_report *report)
{
    if (report->n > 1) {
        qsort(report->items, report->n, sizeof(*report->items), compare);
    }
}
