/*
 * The registry's own data, shared by its writers (prometheus.c, registry_json.c).
 *
 * Thread: loop.
 */
#ifndef OTR_TELEMETRY_STORE_H
#define OTR_TELEMETRY_STORE_H

#include "telemetry/registry.h"

typedef struct otr_metric_entry otr_metric_entry;

struct otr_series {
    otr_metric_entry *entry;
    otr_series *prev, *next; /* of the same entry, in the order of making */
    otr_series *chain;       /* of the same hash slot */
    uint64_t hash;
    double value;     /* counter, gauge; a histogram's sum */
    uint64_t *counts; /* histogram: one more than the bounds; else NULL */
    char *values;     /* label values one after another, each with its NUL */
};

struct otr_metric_entry { /* a family that has at least one series */
    const otr_family *family;
    otr_registry *reg;
    size_t n_labels;
    size_t n_bounds;
    otr_series *first, *last;
    char *prom_name; /* as exported: the key of the order */
};

typedef struct otr_collector {
    void (*fn)(void *arg);
    void *arg;
} otr_collector;

struct otr_registry {
    otr_metric_entry **entries; /* sorted by prom_name */
    size_t n_entries, cap_entries;
    otr_series **slots; /* n_slots is a power of two */
    size_t n_slots;
    size_t n_series;
    otr_collector *collectors;
    size_t n_collectors, cap_collectors;
};

/* Asks every collector to refresh its series. */
void otr_registry_collect(otr_registry *reg);

#endif
