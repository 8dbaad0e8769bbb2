/*
 * Messages out of a stream of bytes: five bytes before each say how long it is and whether it is
 * compressed.
 *
 * Memory grows with what came, never with what was announced. A compressed message may unpack to
 * what a plain one may be.
 *
 * Thread: one at a time.
 */
#ifndef OTR_NET_RPC_READER_H
#define OTR_NET_RPC_READER_H

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "net/rpc/status.h"

enum { OTR_RPC_PREFIX = 5 };

typedef enum otr_rpc_encoding {
    OTR_RPC_IDENTITY,
    OTR_RPC_GZIP,
    OTR_RPC_OTHER, /* one that we do not know */
} otr_rpc_encoding;

typedef struct otr_rpc_reader {
    size_t max_bytes; /* of one message, unpacked */
    otr_rpc_encoding encoding;
    uint8_t head[OTR_RPC_PREFIX];
    size_t head_n;
    size_t want;
    otr_buf part;     /* of the message that comes */
    otr_buf unpacked; /* the message that was given last */
} otr_rpc_reader;

void otr_rpc_reader_init(otr_rpc_reader *reader, size_t max_bytes);
void otr_rpc_reader_deinit(otr_rpc_reader *reader);
/* The value of grpc-encoding. */
otr_rpc_encoding otr_rpc_encoding_of(otr_bytes name);

/* Takes from `*in`, which shrinks, up to the end of one message; `*ret_got` says whether it was
 * reached, `*ret` is borrowed until the next call and as long as `in` is. Anything but OTR_RPC_OK
 * ends the call: `err` is the message of that status. */
otr_rpc_status otr_rpc_reader_next(otr_rpc_reader *reader, otr_bytes *in, bool *ret_got,
                                   otr_bytes *ret, otr_err *err) OTR_MUST_CHECK;
/* A message has begun and not come to its end. */
bool otr_rpc_reader_inside(const otr_rpc_reader *reader);
/* How long the message that comes was announced to be; 0: none comes. */
size_t otr_rpc_reader_announced(const otr_rpc_reader *reader);

/* The five bytes before a plain message of `n` bytes, at most 2^32 - 1. */
void otr_rpc_prefix(size_t n, uint8_t out[OTR_RPC_PREFIX]);

#endif
