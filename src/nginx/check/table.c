#include "nginx/check/table.h"

#include "base/alloc.h"

enum { SLOTS_FIRST = 64 };

void otr_table_deinit(otr_table *table)
{
    otr_free(table->items);
    otr_free(table->slots);
    *table = (otr_table){ 0 };
}

static uint32_t hash_of(otr_bytes key)
{
    uint32_t hash = 2166136261U;
    for (size_t i = 0; i < key.n; i++) {
        hash = (hash ^ key.p[i]) * 16777619U;
    }
    return hash;
}

static uint32_t *slot_of(const otr_table *t, otr_bytes key, uint32_t hash)
{
    size_t i = hash & (t->n_slots - 1);
    for (; t->slots[i] != 0; i = (i + 1) & (t->n_slots - 1)) {
        const otr_table_item *item = &t->items[t->slots[i] - 1];
        if (item->hash == hash && item->key.n == key.n &&
            (key.n == 0 || memcmp(item->key.p, key.p, key.n) == 0)) {
            break;
        }
    }
    return &t->slots[i];
}

static otr_code grow_slots(otr_table *t, otr_err *err)
{
    if (t->n_slots > 2 * t->n) {
        return OTR_OK;
    }
    size_t n = t->n_slots > 0 ? 4 * t->n_slots : SLOTS_FIRST;
    uint32_t *slots = otr_calloc(n, sizeof(*slots));
    if (slots == NULL) {
        return otr_fail_nomem(err);
    }
    uint32_t *old = t->slots;
    size_t n_old = t->n_slots;
    t->slots = slots;
    t->n_slots = n;
    for (size_t i = 0; i < n_old; i++) {
        if (old[i] != 0) {
            size_t at = t->items[old[i] - 1].hash & (n - 1);
            while (slots[at] != 0) {
                at = (at + 1) & (n - 1);
            }
            slots[at] = old[i];
        }
    }
    otr_free(old);
    return OTR_OK;
}

otr_code otr_table_add(otr_table *table, otr_bytes key, uint32_t value, otr_err *err)
{
    otr_code rc = grow_slots(table, err);
    if (rc == OTR_OK) {
        rc = otr_grow(&table->items, table->n, &table->cap, sizeof(*table->items), err);
    }
    if (rc != OTR_OK) {
        return rc;
    }
    uint32_t hash = hash_of(key), index = (uint32_t)table->n;
    uint32_t *slot = slot_of(table, key, hash);
    table->items[table->n++] =
        (otr_table_item){ .key = key, .hash = hash, .value = value, .last = index };
    if (*slot == 0) {
        *slot = index + 1;
        return OTR_OK;
    }
    otr_table_item *first = &table->items[*slot - 1];
    table->items[first->last].next = index + 1;
    first->last = index;
    return OTR_OK;
}

const otr_table_item *otr_table_get(const otr_table *table, otr_bytes key)
{
    if (table->n == 0) {
        return NULL;
    }
    uint32_t at = *slot_of(table, key, hash_of(key));
    return at != 0 ? &table->items[at - 1] : NULL;
}

const otr_table_item *otr_table_next(const otr_table *table, const otr_table_item *item)
{
    return item->next != 0 ? &table->items[item->next - 1] : NULL;
}
