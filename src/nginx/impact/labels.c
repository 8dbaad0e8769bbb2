#include "nginx/impact/labels.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/limits.h"

enum { LABEL_BYTES = 4 * OTR_LIMIT_NGINX_CONFIG_BYTES };

static otr_code keep(otr_arena *arena, const otr_buf *text, const char **ret, otr_err *err)
{
    *ret = otr_arena_strndup(arena, otr_buf_text(text), text->n);
    return *ret != NULL ? OTR_OK : otr_fail_nomem(err);
}

otr_code otr_label_words(otr_arena *arena, otr_kid kid, size_t first, const char **ret,
                         otr_err *err)
{
    otr_buf text;
    otr_code rc = OTR_OK;
    otr_buf_init(&text, LABEL_BYTES);
    for (size_t i = first; rc == OTR_OK && i < kid.node->n_words; i++) {
        rc = i > first ? otr_buf_addc(&text, ' ', err) : OTR_OK;
        rc = rc == OTR_OK ? otr_kid_word(kid, i, &text, err) : rc;
    }
    rc = rc == OTR_OK ? keep(arena, &text, ret, err) : rc;
    otr_buf_deinit(&text);
    return rc;
}

typedef struct words {
    const char **items;
    size_t n, cap;
} words;

static otr_code add(otr_arena *arena, words *to, otr_kid kid, size_t i, otr_err *err)
{
    otr_buf text;
    otr_buf_init(&text, LABEL_BYTES);
    otr_code rc = otr_grow(&to->items, to->n, &to->cap, sizeof(*to->items), err);
    rc = rc == OTR_OK ? otr_kid_word(kid, i, &text, err) : rc;
    rc = rc == OTR_OK ? keep(arena, &text, &to->items[to->n], err) : rc;
    to->n += rc == OTR_OK;
    otr_buf_deinit(&text);
    return rc;
}

static otr_code join(otr_arena *arena, const words *w, const char *between, const char **ret,
                     otr_err *err)
{
    otr_buf text;
    otr_code rc = OTR_OK;
    otr_buf_init(&text, LABEL_BYTES);
    for (size_t i = 0; rc == OTR_OK && i < w->n; i++) {
        rc = otr_buf_addf(&text, err, "%s%s", i > 0 ? between : "", w->items[i]);
    }
    rc = rc == OTR_OK ? keep(arena, &text, ret, err) : rc;
    otr_buf_deinit(&text);
    return rc;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorts both. */
static otr_code make_key(otr_arena *arena, words *names, words *listens, const char **ret,
                         otr_err *err)
{
    otr_buf text;
    const char *part;
    otr_buf_init(&text, LABEL_BYTES);
    if (names->n > 1) {
        qsort(names->items, names->n, sizeof(*names->items), by_text);
    }
    if (listens->n > 1) {
        qsort(listens->items, listens->n, sizeof(*listens->items), by_text);
    }
    otr_code rc = join(arena, names, " ", &part, err);
    rc = rc == OTR_OK ? otr_buf_addf(&text, err, "%s|", part) : rc;
    rc = rc == OTR_OK ? join(arena, listens, " ", &part, err) : rc;
    rc = rc == OTR_OK ? otr_buf_adds(&text, part, err) : rc;
    rc = rc == OTR_OK ? keep(arena, &text, ret, err) : rc;
    otr_buf_deinit(&text);
    return rc;
}

otr_code otr_label_server(otr_arena *arena, const otr_kids *kids, otr_server_label *ret,
                          otr_err *err)
{
    words names = { 0 }, listens = { 0 };
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < kids->n; i++) {
        otr_kid kid = kids->items[i];
        bool name = otr_node_is(kid.node, "server_name");
        if (!name && !otr_node_is(kid.node, "listen")) {
            continue;
        }
        size_t last = name ? kid.node->n_words : 2;
        for (size_t w = 1; rc == OTR_OK && w < last && w < kid.node->n_words; w++) {
            rc = add(arena, name ? &names : &listens, kid, w, err);
        }
    }
    ret->first = names.n > 0 ? names.items[0] : NULL;
    rc = rc == OTR_OK ? join(arena, &names, " ", &ret->names, err) : rc;
    rc = rc == OTR_OK ? join(arena, &listens, ", ", &ret->listen, err) : rc;
    rc = rc == OTR_OK ? make_key(arena, &names, &listens, &ret->key, err) : rc;
    otr_free(names.items);
    otr_free(listens.items);
    return rc;
}
