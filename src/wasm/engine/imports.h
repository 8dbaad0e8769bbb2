/*
 * What satisfies the imports of a module, and words for those that nothing does: the same for every
 * engine.
 *
 * Thread: any.
 */
#ifndef OTR_WASM_ENGINE_IMPORTS_H
#define OTR_WASM_ENGINE_IMPORTS_H

#include "wasm/engine/engine.h"

/* The host function that `wanted` names, or NULL. */
const otr_import *otr_imports_find(const otr_spawn *spec, const otr_extern_info *wanted);
/* The export of one of the first `n_links` links that `wanted` names, or NULL; `*ret_link` is then
 * its index. */
const otr_extern_info *otr_imports_find_linked(const otr_spawn *spec, size_t n_links,
                                               const otr_extern_info *wanted, size_t *ret_link);
/* Adds a clause to `problems` unless `linked` or else `import` is what `wanted` wants; both may be
 * NULL: nothing is offered. A full buffer names as many as fit. */
void otr_imports_explain(const otr_extern_info *wanted, const otr_extern_info *linked,
                         const otr_import *import, otr_buf *problems);

#endif
