#include "telemetry/registry.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "telemetry/names.h"
#include "telemetry/store.h"

enum { FIRST_SLOTS = 64, PART_BYTES = OTR_LIMIT_METRIC_NAME_BYTES + 8 };

otr_code otr_registry_new(otr_registry **ret, otr_err *err)
{
    otr_registry *reg = otr_zalloc(sizeof(*reg));
    if (reg == NULL) {
        return otr_fail_nomem(err);
    }
    reg->slots = otr_calloc(FIRST_SLOTS, sizeof(otr_series *));
    if (reg->slots == NULL) {
        otr_free(reg);
        return otr_fail_nomem(err);
    }
    reg->n_slots = FIRST_SLOTS;
    *ret = reg;
    return OTR_OK;
}

void otr_registry_free(otr_registry *reg)
{
    if (reg == NULL) {
        return;
    }
    while (reg->n_entries > 0) {
        otr_metric_entry *last = reg->entries[reg->n_entries - 1];
        while (last->first != last->last) {
            otr_series_drop(last->first);
        }
        otr_series_drop(last->first); /* takes the entry with it */
    }
    otr_free(reg->entries);
    otr_free(reg->slots);
    otr_free(reg->collectors);
    otr_free(reg);
}

/* ---- label values ---- */

static uint64_t hash_bytes(uint64_t hash, const void *p, size_t n)
{
    const uint8_t *bytes = p;
    for (size_t i = 0; i < n; i++) {
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
    }
    return hash;
}

static size_t count_names(const char *const *names)
{
    size_t n = 0;
    while (names != NULL && names[n] != NULL) {
        n++;
    }
    return n;
}

/* Hash of family and values; also how many bytes the values take with their NULs. */
static otr_code measure(const otr_family *family, const char *const *values, uint64_t *ret_hash,
                        size_t *ret_bytes, otr_err *err)
{
    size_t n = count_names(family->labels), given = count_names(values), bytes = 0;
    if (n != given) {
        return otr_fail(err, OTR_EINVAL, "metric %s has %zu labels, %zu values were given",
                        family->name, n, given);
    }
    uintptr_t identity = (uintptr_t)family;
    uint64_t hash = hash_bytes(UINT64_C(0xcbf29ce484222325), &identity, sizeof(identity));
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(values[i]) + 1;
        hash = hash_bytes(hash, values[i], len);
        bytes += len;
    }
    if (bytes > OTR_LIMIT_METRIC_LABEL_BYTES) {
        return otr_fail(err, OTR_EQUOTA, "metric %s: the label values take %zu bytes, at most %d",
                        family->name, bytes, OTR_LIMIT_METRIC_LABEL_BYTES);
    }
    *ret_hash = hash;
    *ret_bytes = bytes;
    return OTR_OK;
}

static bool same_values(const otr_series *s, const char *const *values)
{
    const char *mine = s->values;
    for (size_t i = 0; i < s->entry->n_labels; i++) {
        size_t len = strlen(mine) + 1;
        if (strcmp(mine, values[i]) != 0) {
            return false;
        }
        mine += len;
    }
    return true;
}

static otr_series *find_series(const otr_registry *reg, const otr_family *family,
                               const char *const *values, uint64_t hash)
{
    otr_series *s = reg->slots[hash & (reg->n_slots - 1)];
    while (s != NULL &&
           (s->hash != hash || s->entry->family != family || !same_values(s, values))) {
        s = s->chain;
    }
    return s;
}

/* Best effort: a full table with long chains is slow, not wrong. */
static void grow_slots(otr_registry *reg)
{
    size_t n = reg->n_slots * 2;
    otr_series **slots = otr_calloc(n, sizeof(*slots));
    if (slots == NULL) {
        return;
    }
    for (size_t i = 0; i < reg->n_slots; i++) {
        for (otr_series *s = reg->slots[i], *next; s != NULL; s = next) {
            next = s->chain;
            s->chain = slots[s->hash & (n - 1)];
            slots[s->hash & (n - 1)] = s;
        }
    }
    otr_free(reg->slots);
    reg->slots = slots;
    reg->n_slots = n;
}

/* ---- families ---- */

static otr_code check_labels(const otr_family *family, size_t n, otr_err *err)
{
    if (n > OTR_LIMIT_METRIC_LABELS) {
        return otr_fail(err, OTR_EQUOTA, "metric %s has %zu labels, at most %d", family->name, n,
                        OTR_LIMIT_METRIC_LABELS);
    }
    otr_buf names[2];
    otr_code rc = OTR_OK;
    otr_buf_init(&names[0], OTR_LIMIT_METRIC_NAME_BYTES);
    otr_buf_init(&names[1], OTR_LIMIT_METRIC_NAME_BYTES);
    for (size_t i = 0; rc == OTR_OK && i < n; i++) {
        otr_buf_clear(&names[0]);
        rc = otr_prom_label_name(family->labels[i], &names[0], err);
        bool reserved =
            family->kind == OTR_METRIC_HISTOGRAM && strcmp(otr_buf_text(&names[0]), "le") == 0;
        if (rc == OTR_OK && reserved) {
            rc =
                otr_fail(err, OTR_EINVAL, "histogram %s may not have a label \"le\"", family->name);
        }
        for (size_t j = 0; rc == OTR_OK && j < i; j++) {
            otr_buf_clear(&names[1]);
            rc = otr_prom_label_name(family->labels[j], &names[1], err);
            if (rc == OTR_OK && strcmp(otr_buf_text(&names[0]), otr_buf_text(&names[1])) == 0) {
                rc = otr_fail(err, OTR_EINVAL, "metric %s: labels \"%s\" and \"%s\" export as one",
                              family->name, family->labels[j], family->labels[i]);
            }
        }
    }
    otr_buf_deinit(&names[0]);
    otr_buf_deinit(&names[1]);
    return rc;
}

static otr_code count_bounds(const otr_family *family, size_t *ret, otr_err *err)
{
    size_t n = 0;
    *ret = 0;
    if (family->kind != OTR_METRIC_HISTOGRAM) {
        return OTR_OK;
    }
    while (family->buckets != NULL && n <= OTR_LIMIT_METRIC_BUCKETS && family->buckets[n] != 0) {
        if (n > 0 && !(family->buckets[n] > family->buckets[n - 1])) {
            return otr_fail(err, OTR_EINVAL, "histogram %s: its bounds do not ascend",
                            family->name);
        }
        n++;
    }
    if (n == 0 || n > OTR_LIMIT_METRIC_BUCKETS) {
        return otr_fail(err, OTR_EINVAL, "histogram %s needs 1 to %d bounds", family->name,
                        OTR_LIMIT_METRIC_BUCKETS);
    }
    *ret = n;
    return OTR_OK;
}

/* Where `name` stands or would stand in the order. */
static size_t position(const otr_registry *reg, const char *name)
{
    size_t low = 0, high = reg->n_entries;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (strcmp(reg->entries[mid]->prom_name, name) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static const otr_metric_entry *named(const otr_registry *reg, const char *name)
{
    size_t at = position(reg, name);
    return at < reg->n_entries && strcmp(reg->entries[at]->prom_name, name) == 0 ? reg->entries[at]
                                                                                 : NULL;
}

/* The entry that has a name which `entry` would have, too: its own or, of a histogram, one of its
 * parts'. The name stands in `ret_name`. */
static const otr_metric_entry *find_clash(const otr_registry *reg, const otr_metric_entry *entry,
                                          char ret_name[PART_BYTES])
{
    static const char *const parts[] = { "_bucket", "_sum", "_count" };
    size_t n = strlen(entry->prom_name);
    (void)snprintf(ret_name, PART_BYTES, "%s", entry->prom_name);
    const otr_metric_entry *other = named(reg, ret_name);
    for (size_t i = 0; other == NULL && i < OTR_COUNT(parts); i++) {
        size_t len = strlen(parts[i]);
        if (n > len && strcmp(entry->prom_name + n - len, parts[i]) == 0) {
            ret_name[n - len] = '\0';
            other = named(reg, ret_name);
            other = other != NULL && other->family->kind == OTR_METRIC_HISTOGRAM ? other : NULL;
            ret_name[n - len] = '_';
        }
    }
    for (size_t i = 0;
         other == NULL && entry->family->kind == OTR_METRIC_HISTOGRAM && i < OTR_COUNT(parts);
         i++) {
        (void)snprintf(ret_name, PART_BYTES, "%s%s", entry->prom_name, parts[i]);
        other = named(reg, ret_name);
    }
    return other;
}

static otr_code make_room(otr_registry *reg, otr_err *err)
{
    if (reg->n_entries == OTR_LIMIT_METRIC_FAMILIES) {
        return otr_fail(err, OTR_EQUOTA, "there are %d metrics already, the most there may be",
                        OTR_LIMIT_METRIC_FAMILIES);
    }
    return otr_grow(&reg->entries, reg->n_entries, &reg->cap_entries, sizeof(otr_metric_entry *),
                    err);
}

static void free_entry(otr_metric_entry *entry)
{
    otr_free(entry->prom_name);
    otr_free(entry);
}

static otr_code new_entry(otr_registry *reg, const otr_family *family, otr_metric_entry **ret,
                          otr_err *err)
{
    otr_metric_entry *entry = otr_zalloc(sizeof(*entry));
    if (entry == NULL) {
        return otr_fail_nomem(err);
    }
    *entry = (otr_metric_entry){ .family = family, .reg = reg };
    entry->n_labels = count_names(family->labels);
    otr_buf name;
    otr_buf_init(&name, OTR_LIMIT_METRIC_NAME_BYTES);
    otr_code rc = check_labels(family, entry->n_labels, err);
    rc = rc != OTR_OK ? rc : count_bounds(family, &entry->n_bounds, err);
    rc = rc != OTR_OK ? rc : otr_prom_metric_name(family, &name, err);
    rc = rc != OTR_OK ? rc : make_room(reg, err);
    if (rc == OTR_OK) {
        entry->prom_name = (char *)name.p;
        *ret = entry;
    } else {
        otr_buf_deinit(&name);
        free_entry(entry);
    }
    return rc;
}

/* The entry of `family`; a new one is in the order but has no series yet. */
static otr_code find_entry(otr_registry *reg, const otr_family *family, otr_metric_entry **ret,
                           otr_err *err)
{
    for (size_t i = 0; i < reg->n_entries; i++) {
        if (reg->entries[i]->family == family) {
            *ret = reg->entries[i];
            return OTR_OK;
        }
    }
    otr_metric_entry *entry = NULL;
    otr_code rc = new_entry(reg, family, &entry, err);
    if (rc != OTR_OK) {
        return rc;
    }
    char name[PART_BYTES];
    const otr_metric_entry *other = find_clash(reg, entry, name);
    if (other != NULL) {
        rc = otr_fail(err, OTR_ESTATE, "metric %s would be exported as %s, as %s is", family->name,
                      name, other->family->name);
        free_entry(entry);
        return rc;
    }
    size_t at = position(reg, entry->prom_name);
    memmove(reg->entries + at + 1, reg->entries + at,
            (reg->n_entries - at) * sizeof(otr_metric_entry *));
    reg->entries[at] = entry;
    reg->n_entries++;
    *ret = entry;
    return OTR_OK;
}

static void drop_entry_if_empty(otr_metric_entry *entry)
{
    otr_registry *reg = entry->reg;
    if (entry->first != NULL) {
        return;
    }
    size_t at = position(reg, entry->prom_name);
    assert(at < reg->n_entries && reg->entries[at] == entry);
    reg->n_entries--;
    memmove(reg->entries + at, reg->entries + at + 1,
            (reg->n_entries - at) * sizeof(otr_metric_entry *));
    free_entry(entry);
}

/* ---- series ---- */

static otr_series *alloc_series(const otr_metric_entry *entry, const char *const *values,
                                size_t bytes)
{
    size_t counts = entry->n_bounds > 0 ? (entry->n_bounds + 1) * sizeof(uint64_t) : 0;
    otr_series *s = otr_zalloc(sizeof(*s) + counts + bytes);
    if (s == NULL) {
        return NULL;
    }
    s->counts = counts > 0 ? (uint64_t *)(s + 1) : NULL;
    s->values = (char *)(s + 1) + counts;
    char *at = s->values;
    for (size_t i = 0; i < entry->n_labels; i++) {
        size_t len = strlen(values[i]) + 1;
        memcpy(at, values[i], len);
        at += len;
    }
    return s;
}

otr_code otr_registry_series(otr_registry *reg, const otr_family *family, const char *const *values,
                             otr_series **ret, otr_err *err)
{
    uint64_t hash = 0;
    size_t bytes = 0;
    otr_code rc = measure(family, values, &hash, &bytes, err);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_series *s = find_series(reg, family, values, hash);
    if (s != NULL) {
        *ret = s;
        return OTR_OK;
    }
    if (reg->n_series == OTR_LIMIT_METRIC_SERIES) {
        return otr_fail(err, OTR_EQUOTA, "metric %s: there are %d series already, the most allowed",
                        family->name, OTR_LIMIT_METRIC_SERIES);
    }
    otr_metric_entry *entry = NULL;
    rc = find_entry(reg, family, &entry, err);
    if (rc != OTR_OK) {
        return rc;
    }
    s = alloc_series(entry, values, bytes);
    if (s == NULL) {
        drop_entry_if_empty(entry);
        return otr_fail_nomem(err);
    }
    if (reg->n_series >= reg->n_slots) {
        grow_slots(reg);
    }
    s->entry = entry;
    s->hash = hash;
    s->chain = reg->slots[hash & (reg->n_slots - 1)];
    reg->slots[hash & (reg->n_slots - 1)] = s;
    s->prev = entry->last;
    *(entry->last != NULL ? &entry->last->next : &entry->first) = s;
    entry->last = s;
    reg->n_series++;
    *ret = s;
    return OTR_OK;
}

void otr_series_drop(otr_series *s)
{
    if (s == NULL) {
        return;
    }
    otr_metric_entry *entry = s->entry;
    otr_registry *reg = entry->reg;
    otr_series **slot = &reg->slots[s->hash & (reg->n_slots - 1)];
    while (*slot != s) {
        slot = &(*slot)->chain;
    }
    *slot = s->chain;
    *(s->prev != NULL ? &s->prev->next : &entry->first) = s->next;
    *(s->next != NULL ? &s->next->prev : &entry->last) = s->prev;
    reg->n_series--;
    otr_free(s);
    drop_entry_if_empty(entry);
}

void otr_series_set(otr_series *s, double value)
{
    assert(s->counts == NULL);
    s->value = value;
}

void otr_series_add(otr_series *s, double value)
{
    assert(s->counts == NULL);
    /* A counter never falls: what a guest adds may be anything. */
    if (s->entry->family->kind != OTR_METRIC_COUNTER || value > 0) {
        s->value += value;
    }
}

void otr_series_observe(otr_series *s, double value)
{
    assert(s->counts != NULL);
    if (isnan(value)) {
        return; /* one NaN would spoil the sum for ever */
    }
    const double *bounds = s->entry->family->buckets;
    size_t i = 0;
    while (i < s->entry->n_bounds && value > bounds[i]) {
        i++;
    }
    s->counts[i]++;
    s->value += value;
}

void otr_series_set_histogram(otr_series *s, const uint64_t *counts, double sum)
{
    assert(s->counts != NULL);
    memcpy(s->counts, counts, (s->entry->n_bounds + 1) * sizeof(*counts));
    s->value = sum;
}

double otr_series_value(const otr_series *s)
{
    return s->value;
}

/* ---- collectors ---- */

otr_code otr_registry_on_collect(otr_registry *reg, void (*fn)(void *arg), void *arg, otr_err *err)
{
    otr_code rc = otr_grow(&reg->collectors, reg->n_collectors, &reg->cap_collectors,
                           sizeof(*reg->collectors), err);
    if (rc == OTR_OK) {
        reg->collectors[reg->n_collectors++] = (otr_collector){ fn, arg };
    }
    return rc;
}

void otr_registry_off_collect(otr_registry *reg, const void *arg)
{
    size_t kept = 0;
    for (size_t i = 0; i < reg->n_collectors; i++) {
        if (reg->collectors[i].arg != arg) {
            reg->collectors[kept++] = reg->collectors[i];
        }
    }
    reg->n_collectors = kept;
}

void otr_registry_collect(otr_registry *reg)
{
    for (size_t i = 0; i < reg->n_collectors; i++) {
        reg->collectors[i].fn(reg->collectors[i].arg);
    }
}
