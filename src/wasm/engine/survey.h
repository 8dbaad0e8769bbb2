/*
 * What a module brings, read from its bytes before a runtime sees it, and why a runtime refused it:
 * the proposals it uses, in words that say what to do. docs/abi/proposals.md is the table.
 *
 * Private to the engines. With an installed Wasmtime (WASMTIME_DIR) nothing is known and nothing
 * refused.
 *
 * Thread: workers; it reads the whole module.
 */
#ifndef OTR_WASM_ENGINE_SURVEY_H
#define OTR_WASM_ENGINE_SURVEY_H

#include "base/base.h"
#include "base/err.h"

typedef enum otr_survey_engine { OTR_SURVEY_WASMTIME, OTR_SURVEY_WASMI } otr_survey_engine;

/* OTR_EQUOTA for more memories or tables than one file may have, OTR_EUNSUP for a shared memory.
 * `wasm` is a module or a component, binary or text; malformed ones pass. `ret_memory_bytes`: what
 * all its memories start with; may be NULL. */
otr_code otr_survey_check(otr_bytes wasm, uint64_t *ret_memory_bytes, otr_err *err);
/* `rc`, with which a runtime refused `wasm` (the same); and in place of its text
 * the proposals that it lacks, if that is the reason. */
otr_code otr_survey_explain(otr_bytes wasm, otr_survey_engine engine, otr_code rc, otr_err *err);

#endif
