#include "unit/wasm/on_wasmi.h"

#ifdef OTR_HAVE_WASMI
#include "unit/wasm/engine/test_account.c"
#endif
