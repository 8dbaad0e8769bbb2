#include "unit/wasm/on_wasmi.h"

#ifdef OTR_HAVE_WASMI
#include "unit/wasm/test_files_guest.c"
#endif
