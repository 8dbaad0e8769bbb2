#include "unit/wasm/on_wasmi.h"

#ifdef OTR_HAVE_WASMI
#include "unit/wasm/wasi/test_unstable.c"
#endif
