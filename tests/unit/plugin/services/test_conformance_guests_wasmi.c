#include "unit/wasm/on_wasmi.h"

#ifdef OTR_HAVE_WASMI
#include "unit/plugin/services/test_conformance_guests.c"
#endif
