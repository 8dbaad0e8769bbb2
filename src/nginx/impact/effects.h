/*
 * What a change does, as a list: each server, location, upstream or other thing that is added,
 * removed, changed or touched. All are counted; of each kind and each way the first
 * OTR_LIMIT_IMPACT_ITEMS are kept.
 *
 * Thread: one that makes it, then any.
 */
#ifndef OTR_NGINX_IMPACT_EFFECTS_H
#define OTR_NGINX_IMPACT_EFFECTS_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"

typedef enum otr_effect_kind {
    OTR_EFFECT_SERVER,
    OTR_EFFECT_LOCATION,
    OTR_EFFECT_UPSTREAM,
    OTR_EFFECT_OTHER, /* a map, a zone, a format … */
    OTR_EFFECT_KINDS,
} otr_effect_kind;

typedef enum otr_effect_way {
    OTR_EFFECT_ADDED,
    OTR_EFFECT_REMOVED,
    OTR_EFFECT_CHANGED,
    OTR_EFFECT_TOUCHED,
    OTR_EFFECT_WAYS,
} otr_effect_way;

typedef struct otr_effect { /* texts are copied when it is added */
    otr_effect_kind kind;
    otr_effect_way way;
    const char *block; /* "http", "stream", "mail" */
    const char *name; /* of a server: its names; of a location: what it matches; else as "map $x" */
    const char *listen; /* of a server; NULL */
    const char *server; /* of a location: whose; NULL */
    const char *why;    /* which directives, or what it inherits or names; NULL */
    const char *file;   /* where it stands: before the change when it was removed */
    uint32_t line;
} otr_effect;

typedef struct otr_effects {
    otr_arena arena;
    otr_effect *items;
    size_t n, cap;
    size_t counts[OTR_EFFECT_KINDS][OTR_EFFECT_WAYS];
    const char *everything; /* why all of it is another one; NULL */
} otr_effects;

otr_code otr_effects_add(otr_effects *effects, const otr_effect *effect, otr_err *err)
    OTR_MUST_CHECK;
void otr_effects_deinit(otr_effects *effects);
bool otr_effects_any(const otr_effects *effects);

const char *otr_effect_way_name(otr_effect_way way); /* "added" … */

#endif
