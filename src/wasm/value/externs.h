/*
 * What a module wants and what it has: its imports, its exports and its memory.
 *
 * Thread: any; an engine makes it with the module, and it does not change.
 */
#ifndef OTR_WASM_VALUE_EXTERNS_H
#define OTR_WASM_VALUE_EXTERNS_H

#include "wasm/value/value.h"

typedef enum otr_extern_kind {
    OTR_EXTERN_FUNC,
    OTR_EXTERN_MEMORY,
    OTR_EXTERN_TABLE,
    OTR_EXTERN_GLOBAL,
    OTR_EXTERN_OTHER
} otr_extern_kind;

typedef struct otr_extern_info { /* an import or an export */
    const char *module;          /* imports only, else NULL */
    const char *name;
    otr_extern_kind kind;
    otr_sig sig; /* functions */
} otr_extern_info;

typedef struct otr_module_info {
    const otr_extern_info *imports;
    size_t n_imports;
    const otr_extern_info *exports;
    size_t n_exports;
    uint64_t memory_min_bytes; /* of the module's own memory */
    bool component;            /* a component, not a core module */
    const char *missing;       /* components: what is not offered, a line each, or NULL */
} otr_module_info;

const otr_extern_info *otr_module_export(const otr_module_info *info,
                                         const char *name); /* or NULL */

#endif
