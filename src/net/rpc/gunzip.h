/*
 * gzip unpacked (RFC 1952) into a buffer that has a ceiling.
 *
 * Thread: any.
 */
#ifndef OTR_NET_RPC_GUNZIP_H
#define OTR_NET_RPC_GUNZIP_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

/* Appends to `out`. OTR_EQUOTA: it unpacks to more than fits; OTR_EINVAL: it is no gzip, it is cut
 * off, or something follows it. */
otr_code otr_rpc_gunzip(otr_bytes packed, otr_buf *out, otr_err *err) OTR_MUST_CHECK;

#endif
