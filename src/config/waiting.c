/* What a reload cannot put in force. */
#include <string.h>

#include "config/config.h"
#include "config/settings.h"

static bool same_lists(const char *const *a, const char *const *b)
{
    size_t i = 0;
    while (a[i] != NULL && b[i] != NULL && strcmp(a[i], b[i]) == 0) {
        i++;
    }
    return a[i] == NULL && b[i] == NULL;
}

static bool same_value(const otr_setting *a, const otr_setting *b)
{
    switch (a->key->type) {
    case OTR_KEY_BOOL:
        return a->yes == b->yes;
    case OTR_KEY_INT:
        return a->whole == b->whole;
    case OTR_KEY_FLOAT:
        return !(a->number < b->number) && !(a->number > b->number);
    case OTR_KEY_DURATION:
        return a->ns == b->ns;
    case OTR_KEY_STRINGS:
    case OTR_KEY_LABELS:
        return same_lists(a->list, b->list);
    default:
        return strcmp(a->text, b->text) == 0;
    }
}

otr_code otr_config_waiting(const otr_config *in_force, const otr_config *fresh, otr_buf *out,
                            otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; i < fresh->n && rc == OTR_OK; i++) {
        const otr_setting *now = &fresh->settings[i];
        if ((now->key->flags & OTR_KEY_RESTART) == 0) {
            continue;
        }
        const otr_setting *before = otr_settings_find(in_force, now->key->path);
        if (before != NULL && !same_value(before, now)) {
            rc = otr_buf_addf(out, err, "%s%s", out->n > 0 ? ", " : "", now->key->path);
        }
    }
    return rc;
}
