#include "wasm/value/externs.h"

#include <string.h>

const otr_extern_info *otr_module_export(const otr_module_info *info, const char *name)
{
    for (size_t i = 0; i < info->n_exports; i++) {
        if (strcmp(info->exports[i].name, name) == 0) {
            return &info->exports[i];
        }
    }
    return NULL;
}
