#include "nginx/impact/match.h"

#include <stdlib.h>

#include "base/alloc.h"

typedef struct entry {
    const char *key;
    uint32_t index;
} entry;

static int by_key(const void *x, const void *y)
{
    const entry *a = x, *b = y;
    int order = strcmp(a->key, b->key);
    return order != 0 ? order : a->index < b->index ? -1 : 1;
}

static otr_code sorted(const otr_match_list *list, entry **ret, size_t *ret_n, otr_err *err)
{
    entry *made = otr_calloc(list->n + 1, sizeof(*made));
    size_t n = 0;
    if (made == NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t i = 0; i < list->n; i++) {
        if (list->items[i].key != NULL && list->items[i].mate == OTR_NO_MATE) {
            made[n++] = (entry){ list->items[i].key, (uint32_t)i };
        }
    }
    qsort(made, n, sizeof(*made), by_key);
    *ret = made;
    *ret_n = n;
    return OTR_OK;
}

otr_code otr_match(const otr_match_list *a, const otr_match_list *b, otr_err *err)
{
    entry *x = NULL, *y = NULL;
    size_t n = 0, m = 0;
    otr_code rc = sorted(a, &x, &n, err);
    rc = rc == OTR_OK ? sorted(b, &y, &m, err) : rc;
    for (size_t i = 0, j = 0; rc == OTR_OK && i < n && j < m;) {
        int order = strcmp(x[i].key, y[j].key);
        if (order == 0) {
            a->items[x[i].index].mate = y[j].index;
            b->items[y[j].index].mate = x[i].index;
        }
        i += order <= 0;
        j += order >= 0;
    }
    otr_free(x);
    otr_free(y);
    return rc;
}
