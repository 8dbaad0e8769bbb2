#include "unit/wasm/on_wasmi.h"

#ifdef OTR_HAVE_WASMI
#include "unit/wasm/abi/test_extism_ends.c"
#endif
