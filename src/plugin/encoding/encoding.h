/*
 * What a plugin's messages look like on the wire: JSON, or protobuf by proto/outrider/plugin/v1.
 *
 * This is the edge. On our side everything is JSON: what a guest of another encoding answers and
 * asks for is turned into JSON before the contract and the host operations see it, and their
 * answers are turned back. So there is one place that checks grants, and one meaning.
 * docs/abi/encoding.md has the table.
 *
 * Thread: that of the guest's job.
 */
#ifndef OTR_PLUGIN_ENCODING_ENCODING_H
#define OTR_PLUGIN_ENCODING_ENCODING_H

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "bus/msg.h"
#include "wasm/guest.h"

typedef enum otr_encoding { OTR_ENCODING_JSON, OTR_ENCODING_PROTOBUF } otr_encoding;

extern const char *const otr_encoding_names[]; /* by number; ends with NULL */

bool otr_encoding_find(const char *name, otr_encoding *ret); /* false: there is no such encoding */

/* OTR_EUNSUP for an ABI that has no choice of encodings. */
otr_code otr_encoding_check(otr_encoding encoding, const char *abi, otr_err *err) OTR_MUST_CHECK;

/* The input of `process`; lives as long as the message. */
otr_code otr_encoding_message(otr_encoding encoding, const otr_msg *msg, otr_bytes *ret,
                              otr_err *err) OTR_MUST_CHECK;
/* The payload alone, from JSON: in protobuf the message that Envelope has for this topic. `*ret`
 * lies in `json` or in `scratch`, which is cleared. */
otr_code otr_encoding_data(otr_encoding encoding, const char *topic, otr_bytes json,
                           otr_buf *scratch, otr_bytes *ret, otr_err *err) OTR_MUST_CHECK;
/* The input of operation `op` from JSON; what has no message of its own stays as it is. `*ret` lies
 * in `json` or in `scratch`, which is cleared. */
otr_code otr_encoding_input(otr_encoding encoding, const char *op, otr_bytes json, otr_buf *scratch,
                            otr_bytes *ret, otr_err *err) OTR_MUST_CHECK;
/* What the guest answered to `op` as JSON: `info`, `subscriptions`, and the verdict of `process`.
 * `*ret` as above. */
otr_code otr_encoding_answer(otr_encoding encoding, const char *op, otr_bytes answer,
                             otr_buf *scratch, otr_bytes *ret, otr_err *err) OTR_MUST_CHECK;

/* Host operations in a guest's encoding, in front of those in JSON. */
typedef struct otr_encoded_host {
    otr_encoding encoding;
    const otr_host_ops *ops;
    void *host;
} otr_encoded_host;

/* Puts into `spec` (its ops and host) what the guest is to call. `host` outlives the guest. */
void otr_encoding_host(otr_encoded_host *host, otr_guest_spec *spec);

/* ops.c: otr_host_ops for protobuf; `host` is an otr_encoded_host. */
extern const otr_host_ops otr_encoding_protobuf_ops;

#endif
