/*
 * Metadata of a call: names with values, in order, bounded.
 *
 * Names are lower case. The value of a name that ends in "-bin" is any bytes, which travel as
 * base64; all others are printable ASCII.
 *
 * Thread: one at a time.
 */
#ifndef OTR_NET_RPC_METADATA_H
#define OTR_NET_RPC_METADATA_H

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

typedef struct otr_rpc_field {
    char *name;
    otr_bytes value; /* followed by a NUL that does not count */
} otr_rpc_field;

typedef struct otr_rpc_metadata {
    otr_rpc_field *items;
    size_t n, cap;
    size_t bytes; /* as HTTP/2 counts them: 32 for each beside name and value */
    size_t max_bytes;
} otr_rpc_metadata;

void otr_rpc_metadata_init(otr_rpc_metadata *md, size_t max_bytes);
void otr_rpc_metadata_deinit(otr_rpc_metadata *md);
/* OTR_EINVAL: a name that is not to be sent as metadata, or a value that cannot be; OTR_EQUOTA. */
otr_code otr_rpc_metadata_add(otr_rpc_metadata *md, const char *name, otr_bytes value, otr_err *err)
    OTR_MUST_CHECK;
otr_code otr_rpc_metadata_adds(otr_rpc_metadata *md, const char *name, const char *value,
                               otr_err *err) OTR_MUST_CHECK;
otr_code otr_rpc_metadata_copy(otr_rpc_metadata *to, const otr_rpc_metadata *from, otr_err *err)
    OTR_MUST_CHECK;
/* A header as a peer sent it, base64 and all. OTR_EINVAL: not base64. */
otr_code otr_rpc_metadata_take(otr_rpc_metadata *md, otr_bytes name, otr_bytes value, otr_err *err)
    OTR_MUST_CHECK;
/* The first value of the name; NULL: there is none. */
const otr_rpc_field *otr_rpc_metadata_find(const otr_rpc_metadata *md, const char *name);
/* The same as text, "" when there is none. */
const char *otr_rpc_metadata_text(const otr_rpc_metadata *md, const char *name);
/* Whether the name ends in "-bin". */
bool otr_rpc_name_is_binary(otr_bytes name);

#endif
