#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "telemetry/otlp.h"
#include "telemetry/store.h"

static const char id_label[] = "instance.id", type_label[] = "instance.type";

typedef struct row { /* one series, with what decides on its place */
    const otr_series *series;
    const char *id, *type, *scope; /* "": of no instance */
    size_t entry;                  /* place of its family */
    size_t place;                  /* among all */
} row;

typedef struct rows {
    row *items;
    size_t n, cap;
} rows;

static const struct {
    const char *prefix, *scope;
} scopes[] = {
#define HOST \
    "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/hostmetricsreceiver/"
    { "system.cpu.load_average.", HOST "internal/scraper/loadscraper" },
    { "system.cpu.", HOST "internal/scraper/cpuscraper" },
    { "system.memory.", HOST "internal/scraper/memoryscraper" },
    { "system.linux.memory.", HOST "internal/scraper/memoryscraper" },
    { "system.disk.", HOST "internal/scraper/diskscraper" },
    { "system.filesystem.", HOST "internal/scraper/filesystemscraper" },
    { "system.network.", HOST "internal/scraper/networkscraper" },
    { "system.paging.", HOST "internal/scraper/pagingscraper" },
    { "system.processes.", HOST "internal/scraper/processesscraper" },
#undef HOST
};

static bool starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static const char *scope_of(const char *name, const char *type)
{
    if (starts(name, "nginx.")) {
        return strcmp(type, "nginxplus") == 0 ? "otelcol/nginxplusreceiver"
                                              : "otelcol/nginxreceiver";
    }
    for (size_t i = 0; i < OTR_COUNT(scopes); i++) {
        if (starts(name, scopes[i].prefix)) {
            return scopes[i].scope;
        }
    }
    return "outrider";
}

static row row_of(const otr_series *s, size_t entry, size_t place)
{
    row r = { .series = s, .id = "", .type = "", .entry = entry, .place = place };
    const char *value = s->values;
    for (size_t i = 0; i < s->entry->n_labels; i++) {
        if (strcmp(s->entry->family->labels[i], id_label) == 0) {
            r.id = value;
        } else if (strcmp(s->entry->family->labels[i], type_label) == 0) {
            r.type = value;
        }
        value += strlen(value) + 1;
    }
    r.scope = scope_of(s->entry->family->name, r.type);
    return r;
}

static int by_place(const void *left, const void *right)
{
    const row *a = left, *b = right;
    int order = strcmp(a->id, b->id);
    order = order != 0 ? order : strcmp(a->type, b->type);
    order = order != 0 ? order : strcmp(a->scope, b->scope);
    return order != 0 ? order : (a->place > b->place) - (a->place < b->place);
}

static otr_code list_rows(const otr_registry *reg, const otr_registry_otlp_spec *spec, rows *list,
                          otr_err *err)
{
    for (size_t i = 0; i < reg->n_entries; i++) {
        const otr_metric_entry *entry = reg->entries[i];
        if (spec->wanted != NULL && !spec->wanted(spec->arg, entry->family->name)) {
            continue;
        }
        for (const otr_series *s = entry->first; s != NULL; s = s->next) {
            otr_code rc = otr_grow(&list->items, list->n, &list->cap, sizeof(row), err);
            if (rc != OTR_OK) {
                return rc;
            }
            list->items[list->n] = row_of(s, i, list->n);
            list->n++;
        }
    }
    if (list->n > 1) {
        qsort(list->items, list->n, sizeof(row), by_place);
    }
    return OTR_OK;
}

static otr_otlp_kind kind_of(const otr_family *family)
{
    if (family->kind == OTR_METRIC_HISTOGRAM) {
        return OTR_OTLP_HISTOGRAM;
    }
    if (family->kind == OTR_METRIC_COUNTER) {
        return OTR_OTLP_SUM;
    }
    return (family->flags & OTR_FAMILY_UP_DOWN) != 0 ? OTR_OTLP_UP_DOWN_SUM : OTR_OTLP_GAUGE;
}

static bool is_fraction(const otr_family *family)
{
    return (family->flags & OTR_FAMILY_FRACTION) != 0 || family->unit[0] == '\0' ||
           strcmp(family->unit, "s") == 0 || strcmp(family->unit, "1") == 0;
}

/* Casting what no int64_t holds is undefined. */
static int64_t whole(double value)
{
    if (!(value > -9223372036854775808.0)) { /* NaN, too */
        return isnan(value) ? 0 : INT64_MIN;
    }
    return value >= 9223372036854775808.0 ? INT64_MAX : (int64_t)value;
}

static void write_point(otr_otlp *w, const row *r, const otr_registry_otlp_spec *spec)
{
    const otr_series *s = r->series;
    const otr_family *family = s->entry->family;
    otr_otlp_attribute attributes[OTR_LIMIT_METRIC_LABELS];
    otr_otlp_point point = { .attributes = attributes, .time_ns = spec->time_ns };
    const char *value = s->values;
    for (size_t i = 0; i < s->entry->n_labels; i++) {
        const char *key = family->labels[i];
        if (strcmp(key, id_label) != 0 && strcmp(key, type_label) != 0) {
            attributes[point.n_attributes++] = (otr_otlp_attribute){ key, value };
        }
        value += strlen(value) + 1;
    }
    if (kind_of(family) != OTR_OTLP_GAUGE) {
        point.start_ns = starts(family->name, "system.") ? spec->boot_ns : spec->start_ns;
    }
    if (s->counts != NULL) {
        otr_otlp_buckets(w, &point, family->buckets, s->entry->n_bounds, s->counts, s->value);
    } else if (is_fraction(family)) {
        otr_otlp_double(w, &point, s->value);
    } else {
        otr_otlp_int(w, &point, whole(s->value));
    }
}

static void begin_resource(otr_otlp *w, const row *r, const otr_registry_otlp_spec *spec)
{
    otr_otlp_attribute attributes[3];
    size_t n = 0;
    if (r->id[0] != '\0') {
        attributes[n++] = (otr_otlp_attribute){ id_label, r->id };
        attributes[n++] = (otr_otlp_attribute){ type_label, r->type };
    }
    if (spec->resource_id[0] != '\0') {
        attributes[n++] = (otr_otlp_attribute){ "resource.id", spec->resource_id };
    }
    otr_otlp_resource(w, attributes, n);
}

static void write_rows(otr_otlp *w, const rows *list, const otr_registry_otlp_spec *spec)
{
    const row *last = NULL;
    for (size_t i = 0; i < list->n; i++) {
        const row *r = &list->items[i];
        bool resource =
            last == NULL || strcmp(last->id, r->id) != 0 || strcmp(last->type, r->type) != 0;
        bool scope = resource || strcmp(last->scope, r->scope) != 0;
        if (resource) {
            begin_resource(w, r, spec);
        }
        if (scope) {
            otr_otlp_scope(w, r->scope, spec->version);
        }
        if (scope || last->entry != r->entry) {
            const otr_family *family = r->series->entry->family;
            otr_otlp_metric_begin(w, &(otr_otlp_metric){ .name = family->name,
                                                         .unit = family->unit,
                                                         .help = family->help,
                                                         .kind = kind_of(family),
                                                         .temporality = OTR_OTLP_CUMULATIVE });
        }
        write_point(w, r, spec);
        last = r;
    }
}

otr_code otr_registry_otlp(otr_registry *reg, const otr_registry_otlp_spec *spec, otr_buf *out,
                           size_t *ret_points, otr_err *err)
{
    otr_registry_collect(reg);
    rows list = { 0 };
    otr_code rc = list_rows(reg, spec, &list, err);
    if (rc == OTR_OK) {
        otr_otlp w;
        otr_otlp_begin(&w, out, err);
        write_rows(&w, &list, spec);
        rc = otr_otlp_end(&w);
    }
    if (rc == OTR_OK) {
        *ret_points = list.n;
    }
    otr_free(list.items);
    return rc;
}
