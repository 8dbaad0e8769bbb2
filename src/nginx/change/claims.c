#include "nginx/change/claims.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "nginx/change/entry.h"

static uint64_t hash(const char *name, size_t n)
{
    uint64_t h = 1469598103934665603U; /* FNV-1a: what meets by chance only waits */
    for (size_t i = 0; i < n; i++) {
        h = (h ^ (uint8_t)name[i]) * 1099511628211U;
    }
    return h != 0 ? h : 1;
}

static otr_code add(otr_claims *c, const otr_claim *claim, otr_err *err)
{
    otr_code rc = otr_grow(&c->items, c->n, &c->cap, sizeof(*c->items), err);
    if (rc == OTR_OK) {
        c->items[c->n++] = *claim;
    }
    return rc;
}

/* The name in the innermost folder that exists: of a file in folders to be made, the first of
 * these. */
static otr_code add_entry(otr_claims *c, const otr_plan_entry *e, otr_err *err)
{
    const char *last = strrchr(e->item.real, '/');
    const char *name = (e->item.before.exists ? last : e->item.real + e->there) + 1;
    otr_claim claim = { .dev = e->folder_dev,
                        .ino = e->folder_ino,
                        .name = hash(name, strcspn(name, "/")),
                        .changes = e->item.action != OTR_PLAN_UNCHANGED };
    otr_code rc = add(c, &claim, err);
    if (rc == OTR_OK && (e->item.action == OTR_PLAN_ADD || e->item.action == OTR_PLAN_DELETE)) {
        claim.name = 0;
        rc = add(c, &claim, err);
    }
    return rc;
}

otr_code otr_claims_of_plan(otr_claims *claims, const otr_plan *plan, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < plan->n; i++) {
        rc = add_entry(claims, &plan->entries[i], err);
    }
    return rc;
}

otr_code otr_claims_add_folder(otr_claims *claims, uint64_t dev, uint64_t ino, otr_err *err)
{
    return add(claims, &(otr_claim){ .dev = dev, .ino = ino }, err);
}

static int compare(const otr_claim *a, const otr_claim *b)
{
    if (a->dev != b->dev) {
        return a->dev < b->dev ? -1 : 1;
    }
    if (a->ino != b->ino) {
        return a->ino < b->ino ? -1 : 1;
    }
    return a->name < b->name ? -1 : a->name > b->name;
}

static int by_place(const void *a, const void *b)
{
    return compare(a, b);
}

void otr_claims_end(otr_claims *claims)
{
    size_t n = 0;
    if (claims->n > 1) {
        qsort(claims->items, claims->n, sizeof(*claims->items), by_place);
    }
    for (size_t i = 0; i < claims->n; i++) {
        if (n > 0 && compare(&claims->items[n - 1], &claims->items[i]) == 0) {
            claims->items[n - 1].changes |= claims->items[i].changes;
        } else {
            claims->items[n++] = claims->items[i];
        }
    }
    claims->n = n;
}

bool otr_claims_meet(const otr_claims *a, const otr_claims *b)
{
    for (size_t i = 0, k = 0; i < a->n && k < b->n;) {
        int order = compare(&a->items[i], &b->items[k]);
        if (order == 0 && (a->items[i].changes || b->items[k].changes)) {
            return true;
        }
        i += order <= 0;
        k += order >= 0;
    }
    return false;
}

void otr_claims_deinit(otr_claims *claims)
{
    otr_free(claims->items);
    *claims = (otr_claims){ .n = 0 };
}
