#include "nginx/impact/effects.h"

#include "base/alloc.h"
#include "base/limits.h"

const char *otr_effect_way_name(otr_effect_way way)
{
    static const char *const names[] = { "added", "removed", "changed", "touched" };
    return names[way];
}

static otr_code copy(otr_effects *e, const char **text, otr_err *err)
{
    if (*text == NULL) {
        return OTR_OK;
    }
    *text = otr_arena_strndup(&e->arena, *text, strnlen(*text, OTR_LIMIT_IMPACT_TEXT_BYTES));
    return *text != NULL ? OTR_OK : otr_fail_nomem(err);
}

otr_code otr_effects_add(otr_effects *effects, const otr_effect *effect, otr_err *err)
{
    size_t *count = &effects->counts[effect->kind][effect->way];
    otr_effect made = *effect;
    const char **texts[] = { &made.block,  &made.name, &made.listen,
                             &made.server, &made.why,  &made.file };
    if (*count >= OTR_LIMIT_IMPACT_ITEMS) {
        (*count)++;
        return OTR_OK;
    }
    otr_code rc =
        otr_grow(&effects->items, effects->n, &effects->cap, sizeof(*effects->items), err);
    for (size_t i = 0; rc == OTR_OK && i < OTR_COUNT(texts); i++) {
        rc = copy(effects, texts[i], err);
    }
    if (rc == OTR_OK) {
        effects->items[effects->n++] = made;
        (*count)++;
    }
    return rc;
}

void otr_effects_deinit(otr_effects *effects)
{
    otr_arena_deinit(&effects->arena);
    otr_free(effects->items);
    *effects = (otr_effects){ 0 };
}

bool otr_effects_any(const otr_effects *effects)
{
    return effects->n > 0 || effects->everything != NULL;
}
