/*
 * Lets a test file that asks for "wasmtime" run on wasmi: include this, then that file.
 *
 * A build whose engines lack wasmi has one skipped test instead.
 */
#ifndef OTR_TESTS_UNIT_WASM_ON_WASMI_H
#define OTR_TESTS_UNIT_WASM_ON_WASMI_H

#include "support/test.h"
#include "wasm/engine/wasmi.h"

#ifdef OTR_HAVE_WASMI
static inline const otr_engine_ops *find_on_wasmi(const char *name)
{
    return otr_engine_find(strcmp(name, "wasmtime") == 0 ? "wasmi" : name);
}
#define otr_engine_find(name) find_on_wasmi(name)
#define ON_WASMI              1
/* Its traps name no functions. */
#define CHECK_TRACE(text, trace) ((void)(trace))
#else
T(wasmi_runs_the_same_tests)
{
    otr_test_skip("these engines were built without wasmi");
}
#endif

#endif
