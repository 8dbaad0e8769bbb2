#include "nginx/impact/marks.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "nginx/files.h"

void otr_marks_init(otr_marks *marks, const char *folder)
{
    *marks = (otr_marks){ .folder = folder };
    otr_buf_init(&marks->word, OTR_LIMIT_NGINX_CONFIG_BYTES);
}

void otr_marks_deinit(otr_marks *marks)
{
    otr_arena_deinit(&marks->arena);
    otr_free(marks->items);
    otr_buf_deinit(&marks->word);
}

otr_code otr_marks_add(otr_marks *marks, otr_mark_kind kind, const char *text, otr_err *err)
{
    otr_code rc = otr_grow(&marks->items, marks->n, &marks->cap, sizeof(*marks->items), err);
    char *copy = rc == OTR_OK ? otr_arena_strdup(&marks->arena, text) : NULL;
    if (copy == NULL) {
        return rc != OTR_OK ? rc : otr_fail_nomem(err);
    }
    marks->items[marks->n++] = (otr_mark){ kind, copy };
    marks->kinds |= 1U << kind;
    return OTR_OK;
}

static int by_text(const void *x, const void *y)
{
    const otr_mark *a = x, *b = y;
    return a->kind != b->kind ? (int)a->kind - (int)b->kind : strcmp(a->text, b->text);
}

void otr_marks_sort(otr_marks *marks)
{
    if (marks->n > 1) {
        qsort(marks->items, marks->n, sizeof(*marks->items), by_text);
    }
}

/* ---- who defines one ---- */

enum { LAST = -1, ZONE = -2 };

static const struct definer {
    const char *name;
    otr_mark_kind kind;
    int at; /* which word; LAST; ZONE: the one of the form `…zone=NAME:…` */
} definers[] = {
    { "upstream", OTR_MARK_UPSTREAM, 1 },
    { "map", OTR_MARK_VARIABLE, LAST },
    { "geo", OTR_MARK_VARIABLE, LAST },
    { "split_clients", OTR_MARK_VARIABLE, LAST },
    { "js_set", OTR_MARK_VARIABLE, 1 },
    { "perl_set", OTR_MARK_VARIABLE, 1 },
    { "keyval", OTR_MARK_VARIABLE, 2 },
    { "log_format", OTR_MARK_WORD, 1 },
    { "match", OTR_MARK_WORD, 1 },
    { "lua_shared_dict", OTR_MARK_WORD, 1 },
    { "oidc_provider", OTR_MARK_WORD, 1 },
    { "limit_req_zone", OTR_MARK_WORD, ZONE },
    { "limit_conn_zone", OTR_MARK_WORD, ZONE },
    { "keyval_zone", OTR_MARK_WORD, ZONE },
    { "js_shared_dict_zone", OTR_MARK_WORD, ZONE },
    { "proxy_cache_path", OTR_MARK_WORD, ZONE },
    { "fastcgi_cache_path", OTR_MARK_WORD, ZONE },
    { "uwsgi_cache_path", OTR_MARK_WORD, ZONE },
    { "scgi_cache_path", OTR_MARK_WORD, ZONE },
};

static const struct definer *definer_of(const otr_node *node)
{
    for (size_t i = 0; i < OTR_COUNT(definers); i++) {
        if (otr_node_is(node, definers[i].name)) {
            return &definers[i];
        }
    }
    return NULL;
}

/* Leaves NAME of "keys_zone=NAME:10m" in `name`; nothing when it is no such word. */
static void cut_zone(otr_buf *name)
{
    const char *text = otr_buf_text(name);
    const char *start = strncmp(text, "zone=", 5) == 0         ? text + 5
                        : strncmp(text, "keys_zone=", 10) == 0 ? text + 10
                                                               : NULL;
    size_t n = start != NULL ? strcspn(start, ":") : 0;
    if (start != NULL) {
        memmove(name->p, start, n);
    }
    otr_buf_cut(name, n);
}

static otr_code read_zone(otr_kid kid, otr_buf *name, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (uint32_t i = 1; rc == OTR_OK && name->n == 0 && i < kid.node->n_words; i++) {
        rc = otr_kid_word(kid, i, name, err);
        if (rc == OTR_OK) {
            cut_zone(name);
        }
    }
    return rc;
}

otr_code otr_mark_of(otr_kid kid, bool *ret, otr_mark_kind *ret_kind, otr_buf *name, otr_err *err)
{
    const struct definer *d = definer_of(kid.node);
    *ret = false;
    if (d == NULL || kid.node->n_words < 2) {
        return OTR_OK;
    }
    size_t at = d->at == LAST ? kid.node->n_words - 1 : (size_t)(d->at > 0 ? d->at : 0);
    otr_code rc = d->at == ZONE ? read_zone(kid, name, err) : otr_kid_word(kid, at, name, err);
    if (rc == OTR_OK && d->kind == OTR_MARK_VARIABLE && name->n > 0 && name->p[0] == '$') {
        memmove(name->p, name->p + 1, name->n - 1);
        otr_buf_cut(name, name->n - 1);
    }
    *ret = rc == OTR_OK && name->n > 0;
    *ret_kind = d->kind;
    return rc;
}

/* ---- who names one ---- */

static const otr_mark *find(const otr_marks *marks, otr_mark_kind kind, const char *text, size_t n)
{
    size_t low = 0, high = marks->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const otr_mark *m = &marks->items[mid];
        int order = (int)m->kind - (int)kind;
        if (order == 0) {
            order = strncmp(m->text, text, n);
            order = order == 0 && m->text[n] != '\0' ? 1 : order;
        }
        if (order == 0) {
            return m;
        }
        if (order < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return NULL;
}

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static const otr_mark *find_variable(const otr_marks *marks, const char *text)
{
    const otr_mark *found = NULL;
    for (const char *at = strchr(text, '$'); found == NULL && at != NULL;
         at = strchr(at + 1, '$')) {
        const char *name = at + (at[1] == '{' ? 2 : 1);
        size_t n = 0;
        while (is_name(name[n])) {
            n++;
        }
        found = n > 0 ? find(marks, OTR_MARK_VARIABLE, name, n) : NULL;
    }
    return found;
}

/* "http://NAME:80/uri" */
static const otr_mark *find_upstream(const otr_marks *marks, const char *text)
{
    const char *scheme = strstr(text, "://");
    const char *name = scheme != NULL ? scheme + 3 : text;
    return find(marks, OTR_MARK_UPSTREAM, name, strcspn(name, ":/?"));
}

static const otr_mark *find_word(const otr_marks *marks, const char *text)
{
    const otr_mark *found = find(marks, OTR_MARK_WORD, text, strlen(text));
    const char *value = strchr(text, '=');
    return found == NULL && value != NULL
               ? find(marks, OTR_MARK_WORD, value + 1, strcspn(value + 1, ":"))
               : found;
}

static otr_code find_file(const otr_marks *marks, const char *text, const otr_mark **ret,
                          otr_err *err)
{
    const otr_mark *last = marks->n > 0 ? &marks->items[marks->n - 1] : NULL;
    if (last == NULL || last->kind != OTR_MARK_FILE || text[0] == '\0') {
        return OTR_OK;
    }
    otr_buf path;
    otr_buf_init(&path, OTR_LIMIT_NGINX_CONFIG_BYTES + OTR_NGINX_PATH_BYTES);
    otr_code rc = otr_path_join(marks->folder, text, &path, err);
    if (rc == OTR_OK) {
        *ret = find(marks, OTR_MARK_FILE, otr_buf_text(&path), path.n);
    }
    otr_buf_deinit(&path);
    return rc;
}

static bool ends_with(const otr_word *word, const char *end)
{
    size_t n = strlen(end);
    return word->n >= n && memcmp(word->p + word->n - n, end, n) == 0;
}

/* Do the words of this directive name upstreams? Those of a map's lines do, as anything may use its
 * variable. */
static bool passes(const otr_node *node, bool inside)
{
    return inside || ends_with(&node->words[0], "_pass") || otr_node_is(node, "set");
}

static bool have(const otr_marks *marks, otr_mark_kind kind)
{
    return (marks->kinds & 1U << kind) != 0;
}

static otr_code look_at(otr_marks *marks, const otr_node *node, bool inside, uint32_t i,
                        const otr_mark **ret, otr_err *err)
{
    bool upstreams = have(marks, OTR_MARK_UPSTREAM) && passes(node, inside);
    if (!upstreams && (marks->kinds & ~(1U << OTR_MARK_UPSTREAM)) == 0) {
        return OTR_OK;
    }
    otr_buf_clear(&marks->word);
    otr_code rc = otr_word_meaning(&node->words[i], &marks->word, err);
    const char *text = otr_buf_text(&marks->word);
    if (rc != OTR_OK) {
        return rc;
    }
    const otr_mark *found = have(marks, OTR_MARK_VARIABLE) ? find_variable(marks, text) : NULL;
    found = found == NULL && have(marks, OTR_MARK_WORD) ? find_word(marks, text) : found;
    found = found == NULL && upstreams ? find_upstream(marks, text) : found;
    *ret = found;
    return found == NULL ? find_file(marks, text, ret, err) : OTR_OK;
}

static bool is_table(const otr_node *node)
{
    return otr_node_is(node, "map") || otr_node_is(node, "geo") ||
           otr_node_is(node, "split_clients");
}

static otr_code named_in(otr_marks *marks, const otr_node *node, bool inside, const otr_mark **ret,
                         otr_err *err)
{
    otr_code rc = OTR_OK;
    for (uint32_t i = inside ? 0 : 1; rc == OTR_OK && *ret == NULL && i < node->n_words; i++) {
        rc = look_at(marks, node, inside, i, ret, err);
    }
    bool table = inside || is_table(node);
    for (const otr_node *kid = node->block; rc == OTR_OK && *ret == NULL && kid != NULL;
         kid = kid->next) {
        rc = kid->is_comment ? OTR_OK : named_in(marks, kid, table, ret, err);
    }
    return rc;
}

otr_code otr_marks_named_by(otr_marks *marks, const otr_node *node, const otr_mark **ret,
                            otr_err *err)
{
    *ret = NULL;
    return marks->n > 0 ? named_in(marks, node, false, ret, err) : OTR_OK;
}

bool otr_marks_may_be_in(const otr_marks *marks, otr_bytes text)
{
    enum { LOOKED_FOR = 16 };
    if (marks->n > LOOKED_FOR) {
        return true;
    }
    for (size_t i = 0; i < marks->n; i++) {
        const char *what = marks->items[i].text;
        if (marks->items[i].kind == OTR_MARK_FILE) { /* it may be named relatively */
            what = strrchr(what, '/') + 1;
        }
        if (what[strcspn(what, "\\\"'\t\r\n")] != '\0' ||
            memmem(text.p, text.n, what, strlen(what)) != NULL) {
            return true;
        }
    }
    return false;
}
