#include "unit/wasm/on_wasmi.h"

#ifdef OTR_HAVE_WASMI
#include "unit/plugin/services/test_hostile_guests.c"
#endif
