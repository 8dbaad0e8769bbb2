/*
 * Compilation in a process of its own: `outrider plugin compile`, which fills the code cache.
 *
 * A compiler needs many megabytes that never come back, takes seconds, and reads foreign code. In a
 * child all of that ends with it: the child has a time limit, a memory limit and a low priority,
 * and it dies with the agent. The agent then takes the code from the cache, with all of the cache's
 * checks. See docs/adr/0010.
 *
 * Thread: fill, workers; the rest, loop.
 */
#ifndef OTR_PLUGIN_SOURCE_COMPILER_H
#define OTR_PLUGIN_SOURCE_COMPILER_H

#include "base/base.h"
#include "base/err.h"
#include "wasm/engine/engine.h"

typedef struct otr_plugin_compiler otr_plugin_compiler;

typedef struct otr_plugin_compiler_spec {
    const char *program;   /* what is run, for example "/proc/self/exe" */
    const char *cache_dir; /* where it puts the code */
    uint64_t limit_ns;     /* wall clock of one compilation */
} otr_plugin_compiler_spec;

otr_code otr_plugin_compiler_new(const otr_plugin_compiler_spec *spec, otr_plugin_compiler **ret,
                                 otr_err *err) OTR_MUST_CHECK;
/* After the engines that it was given to; NULL is fine. */
void otr_plugin_compiler_free(otr_plugin_compiler *c);
const otr_compiler *otr_plugin_compiler_base(const otr_plugin_compiler *c);
/* Compilations from now on may take so long. */
void otr_plugin_compiler_limit(otr_plugin_compiler *c, uint64_t limit_ns);
/* Ends the compilations that run, and all later ones at once. */
void otr_plugin_compiler_stop(otr_plugin_compiler *c);

#endif
