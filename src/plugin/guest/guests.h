/*
 * Guests, for a host: otr_plugin_host_spec.guests.
 *
 * Thread: loop.
 */
#ifndef OTR_PLUGIN_GUEST_GUESTS_H
#define OTR_PLUGIN_GUEST_GUESTS_H

#include "plugin/guests.h"

extern const otr_guests_ops otr_guests_of_wasm;

#endif
