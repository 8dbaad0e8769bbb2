/*
 * What a component imports, exports and lacks, from the shim's description of it.
 *
 * Internal to component*.c.
 *
 * Thread: any.
 */
#ifndef OTR_WASM_ENGINE_COMPONENT_NAMES_H
#define OTR_WASM_ENGINE_COMPONENT_NAMES_H

#include "base/buf.h"
#include "wasm/value/externs.h"

typedef struct otr_component_names {
    otr_module_info info;  /* points into the rest */
    char *text;            /* the description, cut into strings */
    otr_extern_info *list; /* imports, then exports */
    char *missing;         /* info.missing */
    char *interface;       /* the lifecycle interface that it exports, or "" */
} otr_component_names;

/* `text`: the lines of otr_component_describe(). On failure, too, deinit() follows. */
otr_code otr_component_names_read(otr_component_names *m, const otr_buf *text, otr_err *err)
    OTR_MUST_CHECK;
void otr_component_names_deinit(otr_component_names *m);

#endif
