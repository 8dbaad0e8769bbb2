#include "nginx/check/rule.h"

const otr_rule *otr_rule_find(const otr_rules_list *list, otr_bytes id, uint32_t *ret_index)
{
    for (size_t i = 0; i < list->n; i++) {
        if (otr_is(id, list->items[i]->id)) {
            *ret_index = (uint32_t)i;
            return list->items[i];
        }
    }
    return NULL;
}
