/*
 * The typed services of the world outrider:plugin 1.1, in terms of the host operations that every
 * ABI has. engines/src/services.rs hands over lists as fields: length (u32, little-endian), bytes.
 * A guest can reach these by `host.call`, too, so that no field is believed.
 *
 *     wit.http      in: method, url, (name, value)*; and the body
 *                   out: status (u16), number of headers (u32), (name, value)*, the body
 *     wit.counter, wit.gauge, wit.histogram   in: value (f64), name, (label, value)*
 *     wit.unix-ns, wit.monotonic-ns           out: u64
 *
 * Internal to src/wasm/abi.
 *
 * Thread: that of the guest.
 */
#ifndef OTR_WASM_ABI_WIT_SERVICES_H
#define OTR_WASM_ABI_WIT_SERVICES_H

#include <stdbool.h>

#include "wasm/abi/abi.h"

/* Is `op` one of those above? */
bool otr_wit_service_is(const char *op);
otr_code otr_wit_service(otr_guest *g, const char *op, otr_bytes a, otr_bytes b, otr_buf *out,
                         otr_err *err) OTR_MUST_CHECK;

#endif
