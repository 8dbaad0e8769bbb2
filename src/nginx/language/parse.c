#include "nginx/language/parse.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "nginx/files.h"
#include "nginx/language/reader.h"
#include "nginx/language/rules.h"

typedef struct source { /* of the file with the same index */
    otr_where where;    /* it is included at */
    bool unread;        /* noted already */
} source;

typedef struct level { /* an open block, or the file itself */
    otr_node **tail, *last;
    otr_node *after; /* comments between the words of the block: shown behind it */
    otr_where where;
} level;

typedef struct parser {
    const otr_parse *spec;
    otr_conf *conf;
    otr_rules *rules;
    source *sources;
    size_t cap_sources;
    uint32_t *by_path; /* hash of a path to its index + 1, open addressing */
    size_t n_slots;
    char *folder;    /* of the main file as it is shown: "" or "x" or "/x" */
    uint32_t file;   /* the one that is read */
    uint32_t *found; /* what an include brings in */
    size_t n_found, cap_found;
    level levels[OTR_LIMIT_NGINX_BLOCK_DEPTH + 1];
    unsigned depth;
    bool stop; /* the file is to be left empty */
    otr_buf say;
} parser;

/* ---- notes ---- */

static otr_code note(parser *p, uint32_t line, bool at, otr_err *err)
{
    otr_conf_error error = {
        .text = otr_buf_text(&p->say), .file = p->file, .line = line, .at = at
    };
    return otr_conf_add_error(p->conf, &error, err);
}

/* A file that cannot be read, in the words of its errno. */
static otr_code note_unread(parser *p, const char *path, uint32_t line, const otr_err *why,
                            otr_err *err)
{
    otr_buf_clear(&p->say);
    otr_code rc = why->sys != 0 ? otr_buf_addf(&p->say, err, "[Errno %d] %s: '%s'", why->sys,
                                               strerrordesc_np(why->sys), path)
                                : otr_buf_adds(&p->say, why->msg, err);
    return rc == OTR_OK ? note(p, line, false, err) : rc;
}

/* What the grammar refused: ":<line>: what", for the reader was given no name. */
static otr_code note_broken(parser *p, const otr_err *why, otr_err *err)
{
    char *text = NULL;
    unsigned long line = strtoul(why->msg + 1, &text, 10);
    otr_buf_clear(&p->say);
    otr_code rc = otr_buf_adds(&p->say, text + 2, err);
    return rc == OTR_OK ? note(p, (uint32_t)line, true, err) : rc;
}

/* ---- files ---- */

static uint32_t hash_of(const char *path)
{
    uint32_t hash = 2166136261U;
    for (; *path != '\0'; path++) {
        hash = (hash ^ (uint8_t)*path) * 16777619U;
    }
    return hash;
}

/* Where `path` stands in the index, or would. */
static uint32_t *slot_of(const parser *p, const char *path)
{
    size_t i = hash_of(path) & (p->n_slots - 1);
    while (p->by_path[i] != 0 && strcmp(p->conf->files[p->by_path[i] - 1].path, path) != 0) {
        i = (i + 1) & (p->n_slots - 1);
    }
    return &p->by_path[i];
}

static otr_code grow_index(parser *p, otr_err *err)
{
    if (p->n_slots > 2 * p->conf->n_files + 2) {
        return OTR_OK;
    }
    size_t n = p->n_slots > 0 ? 4 * p->n_slots : 64;
    uint32_t *slots = otr_calloc(n, sizeof(*slots));
    if (slots == NULL) {
        return otr_fail_nomem(err);
    }
    otr_free(p->by_path);
    p->by_path = slots;
    p->n_slots = n;
    for (size_t i = 0; i < p->conf->n_files; i++) {
        *slot_of(p, p->conf->files[i].path) = (uint32_t)i + 1;
    }
    return OTR_OK;
}

/* "<folder>/<path>" into the empty `out`, nothing cleaned: that is how the file is shown. */
static otr_code join(const char *folder, const char *path, otr_buf *out, otr_err *err)
{
    if (path[0] == '/' || folder[0] == '\0') {
        return otr_buf_adds(out, path, err);
    }
    const char *slash = folder[strlen(folder) - 1] == '/' ? "" : "/";
    return otr_buf_addf(out, err, "%s%s%s", folder, slash, path);
}

static otr_code open_path(const parser *p, const char *path, otr_buf *out, otr_err *err)
{
    otr_buf_init(out, 2 * OTR_NGINX_PATH_BYTES);
    return join(p->spec->folder != NULL ? p->spec->folder : "", path, out, err);
}

static otr_code read_text(parser *p, const char *path, otr_buf *out, otr_err *err)
{
    otr_buf full;
    otr_code rc = open_path(p, path, &full, err);
    if (rc == OTR_OK) {
        rc = otr_root_read(p->spec->root, otr_buf_text(&full), out, NULL, err);
    }
    otr_buf_deinit(&full);
    return rc;
}

static otr_code add_file(parser *p, const char *path, otr_where where, uint32_t *ret, otr_err *err)
{
    otr_code rc = otr_conf_add_file(p->conf, path, ret, err);
    if (rc == OTR_OK) {
        rc = otr_grow(&p->sources, *ret, &p->cap_sources, sizeof(*p->sources), err);
    }
    if (rc == OTR_OK) {
        p->sources[*ret] = (source){ .where = where };
        rc = grow_index(p, err);
    }
    if (rc == OTR_OK) {
        *slot_of(p, path) = *ret + 1;
    }
    return rc;
}

static bool is_fatal(otr_code rc)
{
    return rc == OTR_ENOMEM || rc == OTR_EQUOTA;
}

typedef struct include { /* one that is being followed */
    uint32_t line;
    otr_where where;
    bool named; /* no pattern: a file that cannot be read is noted here, else in that file */
} include;

static otr_code bring_in(parser *p, const include *inc, const char *path, otr_err *err)
{
    uint32_t index = *slot_of(p, path);
    otr_code rc = OTR_OK;
    if (index != 0) {
        index--;
    } else {
        otr_buf text;
        otr_buf_init(&text, OTR_LIMIT_NGINX_CONFIG_BYTES);
        otr_err why = { 0 };
        otr_code read = read_text(p, path, &text, &why);
        if (is_fatal(read) || (read != OTR_OK && inc->named)) {
            otr_buf_deinit(&text);
            p->stop = p->spec->first_only;
            return is_fatal(read) ? otr_fail(err, read, "%s", why.msg)
                                  : note_unread(p, path, inc->line, &why, err);
        }
        rc = add_file(p, path, inc->where, &index, err);
        if (rc != OTR_OK) {
            otr_buf_deinit(&text);
            return rc;
        }
        p->conf->files[index].kept = text;
        p->conf->files[index].text = otr_buf_bytes(&p->conf->files[index].kept);
        if (read != OTR_OK) {
            uint32_t here = p->file;
            p->file = index;
            p->sources[index].unread = true;
            rc = note_unread(p, path, 0, &why, err);
            p->file = here;
        }
    }
    if (rc == OTR_OK) {
        rc = otr_grow(&p->found, p->n_found, &p->cap_found, sizeof(*p->found), err);
    }
    if (rc == OTR_OK) {
        p->found[p->n_found++] = index;
    }
    return rc;
}

static otr_code bring_in_matches(parser *p, const include *inc, const char *pattern, otr_err *err)
{
    otr_buf full;
    otr_paths paths = { 0 };
    otr_code rc = open_path(p, pattern, &full, err);
    size_t skip = pattern[0] != '/' ? full.n - strlen(pattern) : 0;
    if (rc == OTR_OK) {
        otr_glob glob = { .pattern = otr_buf_text(&full), .max = OTR_LIMIT_NGINX_CONFIG_FILES };
        otr_err why = { 0 };
        otr_code found = otr_root_glob(p->spec->root, &glob, &paths, &why);
        if (found != OTR_OK) {
            rc = is_fatal(found) ? otr_fail(err, found, "%s", why.msg)
                                 : note_unread(p, pattern, inc->line, &why, err);
        }
    }
    for (size_t i = 0; rc == OTR_OK && i < paths.n; i++) {
        rc = bring_in(p, inc, paths.items[i] + skip, err);
    }
    otr_paths_deinit(&paths);
    otr_buf_deinit(&full);
    return rc;
}

static otr_code follow(parser *p, otr_node *node, otr_where where, otr_err *err)
{
    otr_buf arg, pattern;
    otr_buf_init(&arg, OTR_NGINX_PATH_BYTES);
    otr_buf_init(&pattern, 2 * OTR_NGINX_PATH_BYTES);
    otr_code rc = otr_word_meaning(&node->words[1], &arg, err);
    if (rc == OTR_OK) {
        rc = join(p->folder, otr_buf_text(&arg), &pattern, err);
    }
    include inc = { .line = node->line, .where = where };
    p->n_found = 0;
    if (rc == OTR_OK) {
        const char *path = otr_buf_text(&pattern);
        inc.named = !otr_is_glob(path);
        rc = inc.named ? bring_in(p, &inc, path, err) : bring_in_matches(p, &inc, path, err);
    }
    if (rc == OTR_OK && p->n_found > 0) {
        uint32_t *copy = otr_arena_alloc(&p->conf->arena, p->n_found, sizeof(*copy));
        if (copy == NULL) {
            rc = otr_fail_nomem(err);
        } else {
            memcpy(copy, p->found, p->n_found * sizeof(*copy));
            node->includes = copy;
            node->n_includes = (uint32_t)p->n_found;
        }
    }
    node->is_include = true;
    otr_buf_deinit(&pattern);
    otr_buf_deinit(&arg);
    return rc == OTR_OK ? rc : otr_wrap(err, rc, "%s:%u", p->conf->files[p->file].path, node->line);
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

static otr_code copy_node(parser *p, const otr_node *made, otr_node **ret, otr_err *err)
{
    otr_node *node = otr_arena_alloc(&p->conf->arena, 1, sizeof(*node));
    if (node == NULL) {
        return otr_fail_nomem(err);
    }
    *node = *made;
    p->conf->n_nodes++;
    *ret = node;
    return OTR_OK;
}

static void append(parser *p, otr_node *node)
{
    level *here = &p->levels[p->depth];
    *here->tail = node;
    here->tail = &node->next;
    here->last = node;
}

static otr_code make_node(parser *p, const otr_item *item, otr_node *ret, otr_err *err)
{
    otr_word *words = otr_arena_alloc(&p->conf->arena, item->n_words, sizeof(*words));
    if (words == NULL) {
        return otr_fail_nomem(err);
    }
    const uint8_t *text = p->conf->files[p->file].text.p;
    for (size_t i = 0; i < item->n_words; i++) {
        const otr_token *t = &item->words[i];
        words[i] = (otr_word){ .p = t->raw.p, .n = (uint32_t)t->raw.n, .escaped = t->escaped };
        words[i].quote = (char)(t->quoted ? text[t->start] : 0);
    }
    *ret = (otr_node){ .words = words,
                       .n_words = (uint32_t)item->n_words,
                       .file = p->file,
                       .line = item->line,
                       .start = (uint32_t)item->start,
                       .end = (uint32_t)item->end,
                       .has_block = item->kind == OTR_ITEM_BLOCK };
    return OTR_OK;
}

static otr_code make_comment(parser *p, const otr_token *token, uint32_t line, otr_node **ret,
                             otr_err *err)
{
    otr_word *word = otr_arena_alloc(&p->conf->arena, 1, sizeof(*word));
    if (word == NULL) {
        return otr_fail_nomem(err);
    }
    *word = (otr_word){ .p = token->raw.p + 1, .n = (uint32_t)token->raw.n - 1 };
    otr_node made = { .words = word,
                      .n_words = 1,
                      .file = p->file,
                      .line = line,
                      .start = (uint32_t)token->start,
                      .end = (uint32_t)token->end,
                      .is_comment = true };
    return copy_node(p, &made, ret, err);
}

/* `*ret`: the directive may stay. */
static otr_code check(parser *p, const otr_node *node, otr_item_kind kind, bool *ret, otr_err *err)
{
    otr_args args;
    otr_word first = { 0 };
    otr_args_begin(&args, node);
    (void)otr_args_next(&args, &first);
    otr_use use = { .name = { node->words[0].p, node->words[0].n },
                    .where = p->levels[p->depth].where,
                    .n_args = otr_args_count(node),
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
    otr_buf_clear(&p->say);
    otr_code rc = verdict == OTR_USE_FITS ? otr_buf_adds(&p->say, "unexpected \"}\"", err)
                                          : otr_use_say(&use, verdict, &p->say, err);
    return rc == OTR_OK ? note(p, node->line, true, err) : rc;
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

static otr_code keep(parser *p, const otr_item *item, const otr_node *made, otr_err *err)
{
    otr_node *node;
    otr_where where = p->levels[p->depth].where;
    otr_code rc = copy_node(p, made, &node, err);
    if (rc != OTR_OK) {
        return rc;
    }
    append(p, node);
    if (!p->spec->single && node->n_words > 1 && otr_node_is(node, "include")) {
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
    otr_node made = { 0 };
    if (is_ignored(p, &item->words[0])) {
        fine = false;
    } else {
        otr_code rc = make_node(p, item, &made, err);
        if (rc == OTR_OK) {
            rc = check(p, &made, item->kind, &fine, err);
        }
        if (rc != OTR_OK) {
            return rc;
        }
        p->stop = !fine && p->spec->first_only;
    }
    if (!fine) {
        return item->kind == OTR_ITEM_BLOCK && !p->stop ? skip_block(reader, err) : OTR_OK;
    }
    otr_code rc = keep(p, item, &made, err);
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

static otr_code read_file(parser *p, uint32_t index, otr_err *err)
{
    otr_conf_file *file = &p->conf->files[index];
    otr_node *first = NULL;
    p->file = index;
    p->depth = 0;
    p->levels[0] = (level){ .tail = &first, .where = p->sources[index].where };
    otr_reader reader;
    otr_reader_init(&reader, file->text, "");
    reader.comments = true; /* those between words stay in any case */
    reader.torn = true;
    otr_item item = { 0 };
    p->stop = false;
    otr_err why = { 0 };
    otr_code rc = OTR_OK;
    while (rc == OTR_OK && !p->stop && item.kind != OTR_ITEM_END) {
        rc = read_item(p, &reader, &item, &why);
    }
    otr_reader_deinit(&reader);
    if (rc == OTR_EINVAL) {
        p->stop = true;
        rc = note_broken(p, &why, err);
    } else if (rc != OTR_OK) {
        return otr_fail(err, rc, "%s%s", why.msg[0] == ':' ? p->conf->files[index].path : "",
                        why.msg);
    }
    p->conf->files[index].first = p->stop ? NULL : first;
    return rc;
}

/* ---- all ---- */

static otr_code add_main(parser *p, otr_err *err)
{
    const otr_parse *spec = p->spec;
    const char *slash = strrchr(spec->path, '/');
    size_t n = slash == NULL ? 0 : slash == spec->path ? 1 : (size_t)(slash - spec->path);
    p->folder = otr_strndup(spec->path, n);
    if (p->folder == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = grow_index(p, err);
    uint32_t index = 0;
    if (rc == OTR_OK) {
        rc = add_file(p, spec->path, OTR_WHERE_MAIN, &index, err);
    }
    if (rc != OTR_OK) {
        return rc;
    }
    otr_conf_file *file = &p->conf->files[index];
    if (spec->text != NULL) {
        file->text = *spec->text;
        return OTR_OK;
    }
    otr_err why = { 0 };
    rc = read_text(p, spec->path, &file->kept, &why);
    file->text = otr_buf_bytes(&file->kept);
    if (rc == OTR_OK || is_fatal(rc)) {
        return rc == OTR_OK ? rc : otr_fail(err, rc, "%s", why.msg);
    }
    p->sources[index].unread = true;
    return note_unread(p, spec->path, 0, &why, err);
}

otr_code otr_conf_parse(const otr_parse *spec, otr_conf **ret, otr_err *err)
{
    parser p = { .spec = spec };
    otr_buf_init(&p.say, 65536);
    otr_code rc = otr_conf_new(&p.conf, err);
    if (rc == OTR_OK) {
        rc = otr_rules_new(&p.rules, err);
    }
    if (rc == OTR_OK) {
        rc = add_main(&p, err);
    }
    for (uint32_t i = 0; rc == OTR_OK && i < p.conf->n_files; i++) {
        rc = p.sources[i].unread ? OTR_OK : read_file(&p, i, err);
    }
    if (rc == OTR_OK) {
        *ret = otr_steal(&p.conf);
    }
    otr_conf_free(p.conf);
    otr_rules_free(p.rules);
    otr_free(p.sources);
    otr_free(p.by_path);
    otr_free(p.found);
    otr_free(p.folder);
    otr_buf_deinit(&p.say);
    return rc;
}
