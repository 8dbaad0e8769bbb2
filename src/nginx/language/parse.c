#include "nginx/language/parse.h"

#include <stdlib.h>

#include "base/limits.h"
#include "nginx/files.h"
#include "nginx/language/gather.h"
#include "nginx/language/reader.h"
#include "nginx/language/rules.h"

typedef struct level { /* an open block, or the file itself */
    otr_node **tail, *last;
    otr_node *after; /* comments between the words of the block: shown behind it */
    otr_where where;
} level;

typedef struct parser {
    otr_gather g;
    const otr_parse *spec;
    otr_rules *rules;
    level levels[OTR_LIMIT_NGINX_BLOCK_DEPTH + 1];
    unsigned depth;
} parser;

/* What the grammar refused: ":<line>: what", for the reader was given no name. */
static otr_code note_broken(parser *p, const otr_err *why, otr_err *err)
{
    char *text = NULL;
    unsigned long line = strtoul(why->msg + 1, &text, 10);
    otr_buf_clear(&p->g.say);
    otr_code rc = otr_buf_adds(&p->g.say, text + 2, err);
    return rc == OTR_OK ? otr_gather_note(&p->g, (uint32_t)line, true, err) : rc;
}

static otr_code follow(parser *p, otr_node *node, otr_where where, otr_err *err)
{
    otr_gather *g = &p->g;
    otr_buf name;
    otr_buf_init(&name, OTR_NGINX_PATH_BYTES);
    node->is_include = true;
    otr_code rc = otr_word_meaning(&node->words[1], &name, err);
    if (rc == OTR_OK) {
        rc = otr_gather_include(g, otr_buf_text(&name), node->line, where, err);
    }
    otr_buf_deinit(&name);
    if (rc != OTR_OK || g->n_found == 0) {
        return rc;
    }
    uint32_t *copy = otr_arena_alloc(&g->conf->files[g->file].arena, g->n_found, sizeof(*copy));
    if (copy == NULL) {
        return otr_fail_nomem(err);
    }
    memcpy(copy, g->found, g->n_found * sizeof(*copy));
    node->includes = copy;
    node->n_includes = (uint32_t)g->n_found;
    return OTR_OK;
}

/* ---- one file ---- */

static bool is_ignored(const parser *p, const otr_token *name)
{
    if (p->spec->ignore == NULL) {
        return false;
    }
    for (const char *const *word = p->spec->ignore; *word != NULL; word++) {
        if (strlen(*word) == name->raw.n && memcmp(*word, name->raw.p, name->raw.n) == 0) {
            return true;
        }
    }
    return false;
}

static void append(parser *p, otr_node *node)
{
    level *here = &p->levels[p->depth];
    *here->tail = node;
    here->tail = &node->next;
    here->last = node;
}

/* A node with its words behind it; NULL: memory is out. */
static otr_node *new_node(parser *p, size_t n_words, otr_word **ret_words)
{
    otr_arena *arena = &p->g.conf->files[p->g.file].arena;
    otr_node *node = otr_arena_alloc(arena, 1, sizeof(*node) + n_words * sizeof(otr_word));
    if (node != NULL) {
        *ret_words = (otr_word *)(node + 1);
        node->words = *ret_words;
        node->n_words = (uint32_t)n_words;
        node->file = p->g.file;
    }
    return node;
}

static otr_code make_node(parser *p, const otr_item *item, otr_node **ret, otr_err *err)
{
    otr_word *words;
    otr_node *node = new_node(p, item->n_words, &words);
    if (node == NULL) {
        return otr_fail_nomem(err);
    }
    const uint8_t *text = p->g.conf->files[p->g.file].text.p;
    for (size_t i = 0; i < item->n_words; i++) {
        const otr_token *t = &item->words[i];
        words[i].p = t->raw.p;
        words[i].n = (uint32_t)t->raw.n;
        words[i].escaped = t->escaped;
        words[i].body = t->body;
        words[i].quote = (char)(t->quoted ? text[t->start] : 0);
    }
    node->line = item->line;
    node->start = (uint32_t)item->start;
    node->end = (uint32_t)item->end;
    node->has_block = item->kind == OTR_ITEM_BLOCK;
    *ret = node;
    return OTR_OK;
}

static otr_code make_comment(parser *p, const otr_token *token, uint32_t line, otr_node **ret,
                             otr_err *err)
{
    otr_word *word;
    otr_node *node = new_node(p, 1, &word);
    if (node == NULL) {
        return otr_fail_nomem(err);
    }
    *word = (otr_word){ .p = token->raw.p + 1, .n = (uint32_t)token->raw.n - 1 };
    node->line = line;
    node->start = (uint32_t)token->start;
    node->end = (uint32_t)token->end;
    node->is_comment = true;
    p->g.conf->n_nodes++;
    *ret = node;
    return OTR_OK;
}

static bool is_word(const otr_word *word, const char *text, size_t n)
{
    return word->n == n && memcmp(word->p, text, n) == 0;
}
#define IS_WORD(word, text) is_word((word), (text), sizeof(text) - 1)

/* How many arguments there are, and the first one; those of an `if` without its parentheses. */
static size_t look_at_args(const otr_node *node, otr_word *ret_first)
{
    otr_args args;
    if (!IS_WORD(&node->words[0], "if")) {
        *ret_first = node->n_words > 1 ? node->words[1] : (otr_word){ 0 };
        return node->n_words - 1;
    }
    otr_args_begin(&args, node);
    (void)otr_args_next(&args, ret_first);
    return otr_args_count(node);
}

/* `*ret`: the directive may stay. */
static otr_code check(parser *p, const otr_node *node, otr_item_kind kind, bool *ret, otr_err *err)
{
    otr_word first = { 0 };
    size_t n_args = look_at_args(node, &first);
    otr_use use = { .name = { node->words[0].p, node->words[0].n },
                    .where = p->levels[p->depth].where,
                    .n_args = n_args,
                    .first = { first.p, first.n },
                    .end = kind == OTR_ITEM_BLOCK  ? OTR_USE_BLOCK
                           : kind == OTR_ITEM_TORN ? OTR_USE_TORN
                                                   : OTR_USE_SEMICOLON,
                    .any_place = p->spec->any_place,
                    .any_args = p->spec->any_args };
    otr_use_verdict verdict = otr_rules_check(p->rules, &use);
    if (verdict == OTR_USE_UNKNOWN && !p->spec->strict) {
        verdict = OTR_USE_FITS;
    }
    *ret = verdict == OTR_USE_FITS && kind != OTR_ITEM_TORN;
    if (*ret) {
        return OTR_OK;
    }
    otr_buf_clear(&p->g.say);
    otr_code rc = verdict == OTR_USE_FITS ? otr_buf_adds(&p->g.say, "unexpected \"}\"", err)
                                          : otr_use_say(&use, verdict, &p->g.say, err);
    return rc == OTR_OK ? otr_gather_note(&p->g, node->line, true, err) : rc;
}

/* Passes over what is inside a block that was just opened. */
static otr_code skip_block(otr_reader *reader, otr_err *err)
{
    unsigned outer = reader->depth - 1;
    otr_item item;
    do {
        otr_code rc = otr_reader_next(reader, &item, err);
        if (rc != OTR_OK) {
            return rc;
        }
    } while (reader->depth > outer);
    return OTR_OK;
}

static void close_level(parser *p, uint32_t end)
{
    otr_node *after = p->levels[p->depth].after;
    p->depth--;
    p->levels[p->depth].last->end = end;
    while (after != NULL) {
        otr_node *next = after->next;
        after->next = NULL;
        append(p, after);
        after = next;
    }
}

/* The comments between the words of a directive: behind it, and behind its block. */
static otr_code take_comments(parser *p, const otr_item *item, otr_err *err)
{
    otr_node **tail = item->kind == OTR_ITEM_BLOCK ? &p->levels[p->depth].after : NULL;
    for (size_t i = 0; i < item->n_comments; i++) {
        otr_node *node;
        otr_code rc = make_comment(p, &item->comments[i], item->line, &node, err);
        if (rc != OTR_OK) {
            return rc;
        }
        if (tail == NULL) {
            append(p, node);
        } else {
            *tail = node;
            tail = &node->next;
        }
    }
    return OTR_OK;
}

static otr_code keep(parser *p, const otr_item *item, otr_node *node, otr_err *err)
{
    otr_where where = p->levels[p->depth].where;
    otr_code rc = OTR_OK;
    p->g.conf->n_nodes++;
    append(p, node);
    if (!p->spec->single && node->n_words > 1 && IS_WORD(&node->words[0], "include")) {
        rc = follow(p, node, where, err);
    }
    if (rc == OTR_OK && item->kind == OTR_ITEM_BLOCK) {
        otr_bytes name = { node->words[0].p, node->words[0].n };
        p->levels[++p->depth] = (level){ .tail = &node->block, .where = otr_where_in(where, name) };
    }
    return rc;
}

/* One directive. */
static otr_code take(parser *p, otr_reader *reader, const otr_item *item, otr_err *err)
{
    bool fine = true;
    otr_node *made = NULL;
    if (is_ignored(p, &item->words[0])) {
        fine = false;
    } else {
        otr_code rc = make_node(p, item, &made, err);
        if (rc == OTR_OK) {
            rc = check(p, made, item->kind, &fine, err);
        }
        if (rc != OTR_OK) {
            return rc;
        }
        p->g.stop = !fine && p->spec->first_only;
    }
    if (!fine) {
        return item->kind == OTR_ITEM_BLOCK && !p->g.stop ? skip_block(reader, err) : OTR_OK;
    }
    otr_code rc = keep(p, item, made, err);
    return rc == OTR_OK ? take_comments(p, item, err) : rc;
}

static otr_code take_comment(parser *p, const otr_item *item, otr_err *err)
{
    otr_node *node;
    otr_code rc = make_comment(p, &item->words[0], item->line, &node, err);
    if (rc == OTR_OK) {
        append(p, node);
    }
    return rc;
}

static otr_code read_item(parser *p, otr_reader *reader, otr_item *item, otr_err *err)
{
    otr_code rc = otr_reader_next(reader, item, err);
    if (rc != OTR_OK) {
        return rc;
    }
    switch (item->kind) {
    case OTR_ITEM_END:
        return OTR_OK;
    case OTR_ITEM_COMMENT:
        return p->spec->comments ? take_comment(p, item, err) : OTR_OK;
    case OTR_ITEM_TORN:
        rc = take(p, reader, item, err);
        close_level(p, (uint32_t)item->end);
        return rc;
    case OTR_ITEM_CLOSE:
        close_level(p, (uint32_t)item->end);
        return OTR_OK;
    default:
        return take(p, reader, item, err);
    }
}

static otr_code read_items(parser *p, otr_err *err)
{
    const otr_conf_file *file = &p->g.conf->files[p->g.file];
    otr_reader reader;
    otr_reader_init(&reader, file->text, "");
    reader.comments = true; /* those between words stay in any case */
    reader.torn = true;
    otr_item item = { 0 };
    otr_code rc = OTR_OK;
    p->g.stop = false;
    while (rc == OTR_OK && !p->g.stop && item.kind != OTR_ITEM_END) {
        rc = read_item(p, &reader, &item, err);
    }
    otr_reader_deinit(&reader);
    return rc;
}

static otr_code read_file(parser *p, uint32_t index, otr_err *err)
{
    otr_node *first = NULL;
    p->g.file = index;
    p->depth = 0;
    p->g.stop = false;
    p->levels[0] = (level){ .tail = &first, .where = otr_gather_where(&p->g) };
    otr_code rc = otr_gather_read(&p->g, err);
    if (rc != OTR_OK || p->g.stop) {
        return rc;
    }
    otr_err why = { 0 };
    rc = read_items(p, &why);
    if (rc == OTR_EINVAL) {
        p->g.stop = true;
        rc = note_broken(p, &why, err);
    } else if (rc != OTR_OK) {
        return otr_fail(err, rc, "%s%s", why.msg[0] == ':' ? p->g.conf->files[index].path : "",
                        why.msg);
    }
    p->g.conf->files[index].first = p->g.stop ? NULL : first;
    return rc;
}

/* The memory of a file that was let go is that of the next one. */
static void take_memory(otr_conf_file *to, otr_conf_file *spare)
{
    to->arena = spare->arena;
    spare->arena = (otr_arena){ 0 };
    if (spare->kept.p != NULL) {
        to->kept = spare->kept;
        spare->kept = (otr_buf){ 0 };
    }
}

static void leave_memory(otr_conf_file *from, otr_conf_file *spare)
{
    otr_arena_reset(&from->arena);
    otr_buf_clear(&from->kept);
    spare->arena = from->arena;
    spare->kept = from->kept;
    from->arena = (otr_arena){ 0 };
    from->kept = (otr_buf){ 0 };
    otr_conf_drop(from);
}

static otr_code read_and_give(parser *p, uint32_t i, otr_conf_file *spare, otr_err *err)
{
    otr_gather *g = &p->g;
    if (p->spec->each == NULL) {
        return read_file(p, i, err);
    }
    take_memory(&g->conf->files[i], spare);
    otr_code rc = read_file(p, i, err);
    if (rc == OTR_OK) {
        rc = p->spec->each(p->spec->arg, g->conf, i, err);
    }
    leave_memory(&g->conf->files[i], spare);
    return rc;
}

otr_code otr_conf_parse(const otr_parse *spec, otr_conf **ret, otr_err *err)
{
    otr_conf_file spare = { 0 };
    parser p = { .spec = spec };
    otr_gather *g = &p.g;
    otr_code rc = otr_gather_begin(g, spec, err);
    if (rc == OTR_OK) {
        rc = otr_rules_new(&p.rules, err);
    }
    for (uint32_t i = 0; rc == OTR_OK && i < g->conf->n_files; i++) {
        rc = read_and_give(&p, i, &spare, err);
    }
    if (rc == OTR_OK) {
        *ret = otr_steal(&g->conf);
    }
    otr_conf_drop(&spare);
    otr_rules_free(p.rules);
    otr_gather_end(g);
    return rc;
}
