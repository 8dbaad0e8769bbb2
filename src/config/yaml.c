#include "config/yaml.h"

#include <assert.h>
#include <stdlib.h>
#include <yaml.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "config/node.h"
#include "config/scalar.h"

enum { MOST_MERGE_WORK = 10000000, MOST_DIRECTIVES = 16 };

/* A list or map that is being read. Its members lie in reader.members from `first` on. */
typedef struct frame {
    otr_node *node;
    size_t first;
    const otr_node *key; /* of the map member whose value comes next */
} frame;

typedef struct anchor {
    const char *name;
    const otr_node *node;
    bool open; /* its list or map has not ended yet */
} anchor;

typedef struct reader {
    otr_arena *arena;
    const char *file;
    otr_err *err;
    frame stack[OTR_LIMIT_CONFIG_DEPTH];
    size_t depth;
    otr_member *members;
    size_t members_n, members_cap;
    anchor *anchors;
    size_t anchors_n, anchors_cap;
    size_t nodes;
    size_t merge_work; /* keys compared */
    unsigned documents;
    const otr_node *root;
} reader;

static otr_code fail_at(const reader *r, yaml_mark_t mark, const char *text)
{
    return otr_fail(r->err, OTR_EINVAL, "%s:%zu:%zu: %s", r->file, mark.line + 1, mark.column + 1,
                    text);
}

static otr_code count_nodes(reader *r, size_t more, yaml_mark_t mark)
{
    r->nodes += more;
    if (r->nodes > OTR_LIMIT_CONFIG_NODES) {
        return otr_fail(r->err, OTR_EQUOTA,
                        "%s:%zu:%zu: more than %d values (an alias counts as all it stands for)",
                        r->file, mark.line + 1, mark.column + 1, OTR_LIMIT_CONFIG_NODES);
    }
    return OTR_OK;
}

static otr_code new_node(reader *r, otr_node_type kind, yaml_mark_t mark, otr_node **ret)
{
    otr_code rc = count_nodes(r, 1, mark);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_node *node = otr_arena_alloc(r->arena, 1, sizeof(*node));
    if (node == NULL) {
        return otr_fail_nomem(r->err);
    }
    *node = (otr_node){ .kind = kind,
                        .height = 1,
                        .weight = 1,
                        .line = (uint32_t)mark.line + 1,
                        .column = (uint32_t)mark.column + 1,
                        .file = r->file,
                        .name = "",
                        .text = "" };
    *ret = node;
    return OTR_OK;
}

static otr_code push_member(reader *r, otr_member member)
{
    if (otr_grow(&r->members, r->members_n, &r->members_cap, sizeof(*r->members), r->err) !=
        OTR_OK) {
        return otr_fail_nomem(r->err);
    }
    r->members[r->members_n++] = member;
    return OTR_OK;
}

/* Puts a finished scalar or alias, or a list or map that begins, where it belongs. */
static otr_code place(reader *r, otr_node *node)
{
    if (r->depth == 0) {
        r->root = node;
        return OTR_OK;
    }
    frame *top = &r->stack[r->depth - 1];
    if (top->node->kind == OTR_NODE_LIST) {
        return push_member(r, (otr_member){ NULL, node });
    }
    if (top->key == NULL) {
        if (node->kind != OTR_NODE_SCALAR) {
            return otr_node_fail(node, r->err, "a key must be text, not a list or a map");
        }
        top->key = node;
        return OTR_OK;
    }
    node->name = top->key->text;
    otr_member member = { top->key, node };
    top->key = NULL;
    return push_member(r, member);
}

static otr_code add_anchor(reader *r, const yaml_char_t *name, const otr_node *node,
                           yaml_mark_t mark)
{
    if (name == NULL) {
        return OTR_OK;
    }
    if (r->anchors_n >= OTR_LIMIT_CONFIG_ANCHORS) {
        return otr_fail(r->err, OTR_EQUOTA, "%s:%zu:%zu: more than %d anchors", r->file,
                        mark.line + 1, mark.column + 1, OTR_LIMIT_CONFIG_ANCHORS);
    }
    const char *copy = otr_arena_strdup(r->arena, (const char *)name);
    if (copy == NULL || otr_grow(&r->anchors, r->anchors_n, &r->anchors_cap, sizeof(*r->anchors),
                                 r->err) != OTR_OK) {
        return otr_fail_nomem(r->err);
    }
    bool open = node->kind != OTR_NODE_SCALAR;
    r->anchors[r->anchors_n++] = (anchor){ copy, node, open };
    return OTR_OK;
}

static anchor *find_anchor(const reader *r, const char *name)
{
    for (size_t i = r->anchors_n; i > 0; i--) { /* the latest of a name is meant */
        if (strcmp(r->anchors[i - 1].name, name) == 0) {
            return &r->anchors[i - 1];
        }
    }
    return NULL;
}

static otr_code on_alias(reader *r, const yaml_event_t *e)
{
    const anchor *a = find_anchor(r, (const char *)e->data.alias.anchor);
    if (a == NULL) {
        return fail_at(r, e->start_mark, "this alias has no anchor before it");
    }
    if (a->open) {
        return fail_at(r, e->start_mark, "this alias stands inside what it refers to");
    }
    if (r->depth + a->node->height > OTR_LIMIT_CONFIG_DEPTH) {
        return fail_at(r, e->start_mark, "what this alias stands for is nested too deeply here");
    }
    otr_node *node;
    otr_code rc = new_node(r, a->node->kind, e->start_mark, &node);
    if (rc == OTR_OK) {
        rc = count_nodes(r, a->node->weight, e->start_mark);
    }
    if (rc != OTR_OK) {
        return rc;
    }
    otr_node copy = *a->node;
    copy.line = node->line;
    copy.column = node->column;
    *node = copy;
    return place(r, node);
}

/* Tags of the core schema only: any other asks for a type that nothing here knows. */
static otr_code check_tag(const reader *r, const yaml_event_t *e, const yaml_char_t *tag)
{
    static const char *const known[] = { YAML_NULL_TAG,  YAML_BOOL_TAG, YAML_STR_TAG, YAML_INT_TAG,
                                         YAML_FLOAT_TAG, YAML_SEQ_TAG,  YAML_MAP_TAG, "!" };
    if (tag == NULL) {
        return OTR_OK;
    }
    for (size_t i = 0; i < OTR_COUNT(known); i++) {
        if (strcmp((const char *)tag, known[i]) == 0) {
            return OTR_OK;
        }
    }
    return fail_at(r, e->start_mark, "this tag is not known");
}

static otr_code on_scalar(reader *r, const yaml_event_t *e)
{
    const char *value = (const char *)e->data.scalar.value;
    const char *tag = (const char *)e->data.scalar.tag;
    if (memchr(value, '\0', e->data.scalar.length) != NULL) {
        return fail_at(r, e->start_mark, "a NUL byte in a text is not allowed");
    }
    otr_code rc = check_tag(r, e, e->data.scalar.tag);
    otr_node *node = NULL;
    if (rc == OTR_OK) {
        rc = new_node(r, OTR_NODE_SCALAR, e->start_mark, &node);
    }
    if (rc != OTR_OK) {
        return rc;
    }
    bool is_text = tag != NULL && (strcmp(tag, YAML_STR_TAG) == 0 || strcmp(tag, "!") == 0);
    bool has_type = tag != NULL && !is_text;
    node->plain = has_type || (!is_text && e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE);
    node->text = otr_arena_strndup(r->arena, value, e->data.scalar.length);
    if (node->text == NULL) {
        return otr_fail_nomem(r->err);
    }
    rc = add_anchor(r, e->data.scalar.anchor, node, e->start_mark);
    return rc == OTR_OK ? place(r, node) : rc;
}

static otr_code on_open(reader *r, const yaml_event_t *e)
{
    bool is_map = e->type == YAML_MAPPING_START_EVENT;
    const yaml_char_t *name = is_map ? e->data.mapping_start.anchor : e->data.sequence_start.anchor;
    otr_code rc = check_tag(r, e, is_map ? e->data.mapping_start.tag : e->data.sequence_start.tag);
    if (rc != OTR_OK) {
        return rc;
    }
    if (r->depth + 1 >= OTR_LIMIT_CONFIG_DEPTH) {
        return otr_fail(r->err, OTR_EQUOTA, "%s:%zu:%zu: nested deeper than %d", r->file,
                        e->start_mark.line + 1, e->start_mark.column + 1, OTR_LIMIT_CONFIG_DEPTH);
    }
    otr_node *node = NULL;
    rc = new_node(r, is_map ? OTR_NODE_MAP : OTR_NODE_LIST, e->start_mark, &node);
    if (rc == OTR_OK) {
        rc = add_anchor(r, name, node, e->start_mark);
    }
    if (rc == OTR_OK) {
        rc = place(r, node);
    }
    if (rc == OTR_OK) {
        r->stack[r->depth++] = (frame){ node, r->members_n, NULL };
    }
    return rc;
}

static int by_key_then_place(const void *a, const void *b)
{
    const otr_node *x = *(const otr_node *const *)a;
    const otr_node *y = *(const otr_node *const *)b;
    int order = strcmp(x->text, y->text);
    if (order != 0) {
        return order;
    }
    if (x->line != y->line) {
        return x->line < y->line ? -1 : 1;
    }
    return (x->column > y->column) - (x->column < y->column);
}

/* Of the members from `first` on. */
static otr_code check_duplicates(const reader *r, size_t first)
{
    size_t n = r->members_n - first;
    if (n < 2) {
        return OTR_OK;
    }
    const otr_node **keys = otr_calloc(n, sizeof(*keys));
    if (keys == NULL) {
        return otr_fail_nomem(r->err);
    }
    for (size_t i = 0; i < n; i++) {
        keys[i] = r->members[first + i].key;
    }
    qsort(keys, n, sizeof(*keys), by_key_then_place);
    otr_code rc = OTR_OK;
    for (size_t i = 1; i < n && rc == OTR_OK; i++) {
        if (strcmp(keys[i - 1]->text, keys[i]->text) == 0) {
            char show[OTR_SCALAR_SHOW_BYTES];
            rc = otr_node_fail(keys[i], r->err, "key \"%s\" stands twice, first in line %u",
                               otr_scalar_show(keys[i]->text, show), (unsigned)keys[i - 1]->line);
        }
    }
    otr_free(keys);
    return rc;
}

static bool is_merge(const otr_member *m)
{
    return m->key->plain && strcmp(m->key->text, "<<") == 0;
}

/* Appends what `from` has and the map that began at `first` has not. */
static otr_code merge_map(reader *r, size_t first, const otr_node *from)
{
    if (from->kind != OTR_NODE_MAP) {
        return otr_node_fail(from, r->err, "<<: expected a map or a list of maps");
    }
    size_t own = r->members_n;
    r->merge_work += (own - first) * from->n;
    if (r->merge_work > MOST_MERGE_WORK) {
        return otr_node_fail(from, r->err, "<<: too many keys to merge");
    }
    for (size_t i = 0; i < from->n; i++) {
        bool present = false;
        for (size_t j = first; j < own && !present; j++) {
            present = strcmp(r->members[j].key->text, from->members[i].key->text) == 0;
        }
        otr_code rc = present ? OTR_OK : push_member(r, from->members[i]);
        if (rc != OTR_OK) {
            return rc;
        }
    }
    return OTR_OK;
}

/* Replaces the member "<<" by the members it brings. */
static otr_code merge(reader *r, size_t first)
{
    size_t at = first;
    while (at < r->members_n && !is_merge(&r->members[at])) {
        at++;
    }
    if (at == r->members_n) {
        return OTR_OK;
    }
    const otr_node *from = r->members[at].value;
    memmove(&r->members[at], &r->members[at + 1], (r->members_n - at - 1) * sizeof(r->members[0]));
    r->members_n--;
    if (from->kind != OTR_NODE_LIST) {
        return merge_map(r, first, from);
    }
    otr_code rc = OTR_OK;
    for (size_t i = 0; i < from->n && rc == OTR_OK; i++) {
        rc = merge_map(r, first, from->members[i].value);
    }
    return rc;
}

static void close_anchor(reader *r, const otr_node *node)
{
    for (size_t i = r->anchors_n; i > 0; i--) {
        if (r->anchors[i - 1].node == node) {
            r->anchors[i - 1].open = false;
            return;
        }
    }
}

static otr_code on_close(reader *r)
{
    assert(r->depth > 0); /* libyaml's events are balanced */
    frame *top = &r->stack[r->depth - 1];
    otr_node *node = top->node;
    otr_code rc = OTR_OK;
    if (node->kind == OTR_NODE_MAP) {
        rc = check_duplicates(r, top->first);
        if (rc == OTR_OK) {
            rc = merge(r, top->first);
        }
    }
    if (rc != OTR_OK) {
        return rc;
    }
    size_t n = r->members_n - top->first;
    otr_member *members = otr_arena_alloc(r->arena, n, sizeof(*members));
    if (members == NULL) {
        return otr_fail_nomem(r->err);
    }
    for (size_t i = 0; i < n; i++) {
        members[i] = r->members[top->first + i];
        const otr_node *value = members[i].value;
        node->weight += value->weight + (members[i].key != NULL);
        node->height = value->height >= node->height ? (uint8_t)(value->height + 1) : node->height;
    }
    node->members = members;
    node->n = (uint32_t)n;
    r->members_n = top->first;
    r->depth--;
    close_anchor(r, node);
    return OTR_OK;
}

static otr_code on_event(reader *r, const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        return ++r->documents > 1
                   ? fail_at(r, e->start_mark, "a second document begins here; only one is allowed")
                   : OTR_OK;
    case YAML_ALIAS_EVENT:
        return on_alias(r, e);
    case YAML_SCALAR_EVENT:
        return on_scalar(r, e);
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        return on_open(r, e);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return on_close(r);
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        break;
    }
    return OTR_OK;
}

static otr_code fail_syntax(const reader *r, const yaml_parser_t *parser)
{
    if (parser->error == YAML_MEMORY_ERROR) {
        return otr_fail_nomem(r->err);
    }
    const char *problem = parser->problem != NULL ? parser->problem : "cannot be read";
    const yaml_mark_t *mark = &parser->problem_mark;
    bool has_context = parser->context != NULL;
    return otr_fail(r->err, OTR_EINVAL, "%s:%zu:%zu: not YAML: %s%s%s", r->file, mark->line + 1,
                    mark->column + 1, problem, has_context ? " " : "",
                    has_context ? parser->context : "");
}

static otr_code read_events(reader *r, yaml_parser_t *parser)
{
    for (bool done = false; !done;) {
        yaml_event_t event;
        if (yaml_parser_parse(parser, &event) == 0) {
            return fail_syntax(r, parser);
        }
        otr_code rc = on_event(r, &event);
        done = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
        if (rc != OTR_OK) {
            return rc;
        }
    }
    return OTR_OK;
}

static bool is_forbidden(uint32_t code)
{
    bool control = code < 0x20 && code != '\t' && code != '\n' && code != '\r';
    bool control_1 = code >= 0x7f && code <= 0x9f && code != 0x85;
    return control || control_1 || code == 0xfeff || code == 0xfffe || code == 0xffff;
}

/* libyaml says only at which byte a character is wrong, takes a NUL for the end, and compares each
 * %TAG with all before it. */
static otr_code check_characters(const reader *r, otr_bytes text)
{
    yaml_mark_t mark = { 0 };
    unsigned directives = 0;
    for (size_t i = 0; i < text.n;) {
        uint32_t code = 0;
        size_t len = otr_utf8_next((otr_bytes){ text.p + i, text.n - i }, &code);
        if (len == 0) {
            return fail_at(r, mark, "this byte is not UTF-8");
        }
        if (is_forbidden(code)) {
            return fail_at(r, mark, "a control character is not allowed here");
        }
        directives += code == '%' && mark.column == 0;
        if (directives > MOST_DIRECTIVES) {
            return fail_at(r, mark, "too many directives");
        }
        bool ends_line =
            code == '\n' || (code == '\r' && !(i + 1 < text.n && text.p[i + 1] == '\n'));
        mark.line += ends_line;
        mark.column = ends_line ? 0 : mark.column + 1;
        i += len;
    }
    return OTR_OK;
}

static otr_code finish(reader *r, const otr_node **ret)
{
    yaml_mark_t start = { 0 };
    if (r->root == NULL || otr_node_is_null(r->root)) {
        otr_node *empty = NULL;
        otr_code rc = new_node(r, OTR_NODE_MAP, start, &empty);
        if (rc != OTR_OK) {
            return rc;
        }
        r->root = empty;
    }
    if (r->root->kind != OTR_NODE_MAP) {
        return otr_node_fail(r->root, r->err, "expected \"key: value\" lines at the top");
    }
    *ret = r->root;
    return OTR_OK;
}

otr_code otr_yaml_parse(otr_bytes text, const char *file, otr_arena *arena, const otr_node **ret,
                        otr_err *err)
{
    static const uint8_t bom[] = { 0xef, 0xbb, 0xbf };
    reader r = { .arena = arena, .file = file, .err = err };
    if (text.n > OTR_LIMIT_CONFIG_BYTES) {
        return otr_fail(err, OTR_EQUOTA, "%s: longer than the limit of %u bytes", file,
                        OTR_LIMIT_CONFIG_BYTES);
    }
    if (text.n >= sizeof(bom) && memcmp(text.p, bom, sizeof(bom)) == 0) {
        text = (otr_bytes){ text.p + sizeof(bom), text.n - sizeof(bom) };
    }
    otr_code rc = check_characters(&r, text);
    if (rc != OTR_OK) {
        return rc;
    }
    yaml_parser_t parser;
    if (yaml_parser_initialize(&parser) == 0) {
        return otr_fail_nomem(err);
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, text.n > 0 ? text.p : (const uint8_t *)"", text.n);
    rc = read_events(&r, &parser);
    yaml_parser_delete(&parser);
    if (rc == OTR_OK) {
        rc = finish(&r, ret);
    }
    otr_free(r.members);
    otr_free(r.anchors);
    return rc;
}
