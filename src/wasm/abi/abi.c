#include "wasm/abi/abi.h"

#include <string.h>

static const otr_abi_ops *const abis[] = { &otr_abi_extism, &otr_abi_wapc, &otr_abi_wit };
_Static_assert(OTR_COUNT(abis) <= OTR_ENGINE_KERNELS, "a place for each kernel");

const otr_abi_ops *otr_abi_find(const char *name)
{
    for (size_t i = 0; i < OTR_COUNT(abis); i++) {
        if (strcmp(abis[i]->name, name) == 0) {
            return abis[i];
        }
    }
    return NULL;
}

const char *otr_abi_name(const otr_abi_ops *abi)
{
    return abi->name;
}

const char *otr_abi_names(void)
{
    return "extism, wapc, wit";
}

size_t otr_abi_index(const otr_abi_ops *abi)
{
    size_t i = 0;
    while (i < OTR_COUNT(abis) - 1 && abis[i] != abi) {
        i++;
    }
    return i;
}

const otr_abi_ops *otr_abi_detect(const otr_module_info *info)
{
    for (size_t i = 0; i < OTR_COUNT(abis); i++) {
        if (abis[i]->match(info)) {
            return abis[i];
        }
    }
    return NULL;
}

const otr_abi_ops *otr_abi_rewriter(const otr_abi_ops *wanted)
{
    for (size_t i = 0; i < OTR_COUNT(abis); i++) {
        if (abis[i]->rewrite != NULL && (wanted == NULL || wanted == abis[i])) {
            return abis[i];
        }
    }
    return NULL;
}
