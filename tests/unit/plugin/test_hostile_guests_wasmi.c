#include "unit/wasm/on_wasmi.h"

#ifdef OTR_HAVE_WASMI
#include "unit/plugin/test_hostile_guests.c"
#endif
