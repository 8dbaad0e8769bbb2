/*
 * bus.publish of waPC guests: topic and data in one JSON text, which is taken apart as text where
 * it is plain. Private to wapc.c.
 *
 * Thread: that of the guest.
 */
#ifndef OTR_WASM_ABI_WAPC_PUBLISH_H
#define OTR_WASM_ABI_WAPC_PUBLISH_H

#include "wasm/abi/abi.h"

/* `in` may lie in the guest's memory. OTR_EINVAL: it is no such message; else as the host says. */
otr_code otr_wapc_publish(const otr_guest *g, otr_bytes in, otr_err *err) OTR_MUST_CHECK;

#endif
