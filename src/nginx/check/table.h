/*
 * Numbers by keys of bytes: a hash table that only grows. A key may have several numbers.
 *
 * Thread: one at a time; keys are borrowed.
 */
#ifndef OTR_NGINX_CHECK_TABLE_H
#define OTR_NGINX_CHECK_TABLE_H

#include "base/base.h"
#include "base/err.h"

typedef struct otr_table_item {
    otr_bytes key;
    uint32_t hash;
    uint32_t value;
    uint32_t next; /* index + 1 of the next one with this key; 0: the last */
    uint32_t last; /* of the first one of a key: index of the last one */
} otr_table_item;

typedef struct otr_table { /* all zero: empty */
    otr_table_item *items;
    size_t n, cap;
    uint32_t *slots; /* index + 1 of the first item of a key */
    size_t n_slots;
} otr_table;

void otr_table_deinit(otr_table *table);
otr_code otr_table_add(otr_table *table, otr_bytes key, uint32_t value, otr_err *err)
    OTR_MUST_CHECK;
/* The first number of a key in the order in which they came, NULL: none; and the one behind it. */
const otr_table_item *otr_table_get(const otr_table *table, otr_bytes key);
const otr_table_item *otr_table_next(const otr_table *table, const otr_table_item *item);

#endif
