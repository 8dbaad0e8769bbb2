#include "nginx/check/suppress.h"

#include <stdio.h>

#include "base/alloc.h"

typedef struct cover { /* of one rule by one comment */
    const otr_node *comment;
    otr_bytes reason;
    uint32_t rule, file, start, end;
    bool used;
} cover;

typedef struct collector {
    const otr_suppress *spec;
    cover *covers;
    size_t n, cap;
    otr_code rc;
    otr_err *err;
} collector;

typedef struct around { /* a comment */
    const otr_node *comment, *parent, *before;
} around;

static void complain(collector *c, const otr_node *comment, const char *format, otr_bytes what)
{
    char text[300];
    if (c->rc != OTR_OK || c->spec->off[c->spec->own]) {
        return;
    }
    int n = snprintf(text, sizeof(text), "%s", format);
    if (what.n > 0 && n > 0 && (size_t)n < sizeof(text)) {
        (void)snprintf(text + n, sizeof(text) - (size_t)n, " \"%.*s\"", OTR_S(what));
    }
    otr_finding made = { .rule = c->spec->own,
                         .level = c->spec->rules->items[c->spec->own]->level };
    otr_place_of at = { .node = comment };
    c->rc = otr_report_add(c->spec->report, c->spec->conf, at, &made, text, c->err);
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static otr_bytes trim(otr_bytes text)
{
    while (text.n > 0 && is_blank(text.p[0])) {
        text = (otr_bytes){ text.p + 1, text.n - 1 };
    }
    while (text.n > 0 && is_blank(text.p[text.n - 1])) {
        text.n--;
    }
    return text;
}

/* The first word of `*text`, which is cut. */
static otr_bytes word_of(otr_bytes *text, char end)
{
    size_t n = 0;
    while (n < text->n && !is_blank(text->p[n]) && text->p[n] != (uint8_t)end) {
        n++;
    }
    otr_bytes word = { text->p, n };
    size_t skip = n < text->n && text->p[n] == (uint8_t)end ? n + 1 : n;
    *text = trim((otr_bytes){ text->p + skip, text->n - skip });
    return word;
}

/* Does something else stand before it in its line? */
static bool is_behind(otr_bytes text, const otr_node *comment)
{
    for (size_t i = comment->start; i > 0 && text.p[i - 1] != '\n'; i--) {
        if (!is_blank(text.p[i - 1])) {
            return true;
        }
    }
    return false;
}

static bool has_break(otr_bytes text, uint32_t from, uint32_t to)
{
    return to > from && memchr(text.p + from, '\n', to - from) != NULL;
}

/* The directive that a comment is about; NULL: none. */
static const otr_node *target_of(otr_bytes text, const around *a)
{
    const otr_node *next = a->comment->next;
    while (next != NULL && next->is_comment) {
        next = next->next;
    }
    if (!is_behind(text, a->comment)) {
        return next;
    }
    const otr_node *before = a->before;
    if (before != NULL && !has_break(text, before->end, a->comment->start)) {
        return before;
    }
    if (a->parent != NULL && a->parent->line == a->comment->line) {
        return a->parent;
    }
    return before != NULL && before->end > a->comment->start ? before : a->parent;
}

static void add_cover(collector *c, const around *a, otr_bytes id, otr_bytes reason)
{
    uint32_t rule;
    const otr_node *comment = a->comment;
    if (otr_rule_find(c->spec->rules, id, &rule) == NULL) {
        complain(c, comment, "there is no rule of this name:", id);
        return;
    }
    const otr_node *target = target_of(c->spec->conf->files[comment->file].text, a);
    if (c->rc == OTR_OK) {
        c->rc = otr_grow(&c->covers, c->n, &c->cap, sizeof(*c->covers), c->err);
    }
    if (c->rc != OTR_OK) {
        return;
    }
    c->covers[c->n++] = (cover){ .comment = comment,
                                 .reason = reason,
                                 .rule = rule,
                                 .file = comment->file,
                                 .start = target != NULL ? target->start : 0,
                                 .end = target != NULL ? target->end : 0 };
}

static void take_comment(collector *c, const around *a)
{
    otr_bytes text = trim((otr_bytes){ a->comment->words[0].p, a->comment->words[0].n });
    if (!otr_begins(text, "outrider:") || a->comment->end == 0) {
        return;
    }
    text = trim((otr_bytes){ text.p + 9, text.n - 9 });
    otr_bytes verb = word_of(&text, ' ');
    if (!otr_is(verb, "ignore")) {
        complain(c, a->comment, "a comment to outrider is \"outrider: ignore RULE reason\", not",
                 verb);
        return;
    }
    otr_bytes ids = word_of(&text, ' ');
    if (ids.n == 0 || text.n == 0) {
        complain(c, a->comment,
                 ids.n == 0 ? "which rule it ignores is missing"
                            : "the reason is missing, so it covers nothing:",
                 ids);
        return;
    }
    while (ids.n > 0) {
        otr_bytes id = word_of(&ids, ',');
        add_cover(c, a, id, text);
    }
}

static void collect(collector *c, const otr_node *first, const otr_node *parent)
{
    const otr_node *before = NULL;
    for (const otr_node *node = first; node != NULL && c->rc == OTR_OK; node = node->next) {
        if (node->is_comment) {
            around a = { .comment = node, .parent = parent, .before = before };
            take_comment(c, &a);
            continue;
        }
        before = node;
        if (node->has_block) {
            collect(c, node->block, node);
        }
    }
}

/* The first cover of a file; they stand in the order of the files. */
static size_t first_of(const collector *c, uint32_t file)
{
    size_t low = 0, high = c->n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (c->covers[mid].file < file) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static void apply(collector *c)
{
    otr_report *r = c->spec->report;
    for (size_t i = 0; c->n > 0 && i < r->n; i++) {
        otr_finding *f = &r->items[i];
        for (size_t j = first_of(c, f->file); j < c->n && c->covers[j].file == f->file; j++) {
            cover *k = &c->covers[j];
            if (k->rule != f->rule || f->offset < k->start || f->offset >= k->end ||
                f->reason != NULL) {
                continue;
            }
            k->used = true;
            f->reason = otr_arena_strndup(&r->arena, (const char *)k->reason.p, k->reason.n);
            if (f->reason == NULL) {
                c->rc = otr_fail_nomem(c->err);
                return;
            }
        }
    }
}

otr_code otr_suppress_all(const otr_suppress *spec, otr_err *err)
{
    collector c = { .spec = spec, .err = err };
    for (size_t i = 0; i < spec->conf->n_files; i++) {
        collect(&c, spec->conf->files[i].first, NULL);
    }
    if (c.rc == OTR_OK) {
        apply(&c);
    }
    for (size_t i = 0; i < c.n; i++) {
        const cover *k = &c.covers[i];
        if (!k->used && !spec->off[k->rule]) {
            complain(&c, k->comment, "it covers nothing: there is no such finding:",
                     otr_bytes_of(spec->rules->items[k->rule]->id));
        }
    }
    otr_free(c.covers);
    return c.rc;
}
