#include "net/rpc/reader.h"

#include <string.h>

#include "net/rpc/gunzip.h"

enum { KEPT_BYTES = 16384, BYTE_BITS = 8, BYTE_MASK = 0xff };

void otr_rpc_reader_init(otr_rpc_reader *reader, size_t max_bytes)
{
    *reader = (otr_rpc_reader){ .max_bytes = max_bytes };
    otr_buf_init(&reader->part, max_bytes);
    otr_buf_init(&reader->unpacked, max_bytes);
}

void otr_rpc_reader_deinit(otr_rpc_reader *reader)
{
    otr_buf_deinit(&reader->part);
    otr_buf_deinit(&reader->unpacked);
}

otr_rpc_encoding otr_rpc_encoding_of(otr_bytes name)
{
    static const char gzip[] = "gzip", identity[] = "identity";
    if (name.n == sizeof(gzip) - 1 && memcmp(name.p, gzip, name.n) == 0) {
        return OTR_RPC_GZIP;
    }
    if (name.n == sizeof(identity) - 1 && memcmp(name.p, identity, name.n) == 0) {
        return OTR_RPC_IDENTITY;
    }
    return OTR_RPC_OTHER;
}

/* What was given before is done with; a large block is given back. */
static void forget(otr_buf *buf)
{
    if (buf->cap > KEPT_BYTES) {
        otr_buf_deinit(buf);
    } else {
        otr_buf_clear(buf);
    }
}

static otr_rpc_status fail(otr_err *err, otr_rpc_status status, const char *what)
{
    (void)otr_fail(err, OTR_EIO, "%s", what);
    return status;
}

static otr_rpc_status read_head(otr_rpc_reader *reader, otr_err *err)
{
    size_t want = 0;
    for (size_t i = 1; i < OTR_RPC_PREFIX; i++) {
        want = (want << BYTE_BITS) | reader->head[i];
    }
    reader->want = want;
    if (reader->head[0] > 1) {
        return fail(err, OTR_RPC_INTERNAL, "a message begins with flags that are not defined");
    }
    if (reader->head[0] == 1 && reader->encoding == OTR_RPC_IDENTITY) {
        return fail(err, OTR_RPC_INTERNAL, "a message is compressed, without a grpc-encoding");
    }
    if (reader->head[0] == 1 && reader->encoding == OTR_RPC_OTHER) {
        return fail(err, OTR_RPC_UNIMPLEMENTED,
                    "a message is compressed in an encoding that is not known here: only gzip is");
    }
    if (want > reader->max_bytes) {
        (void)otr_fail(err, OTR_EQUOTA, "received message larger than max (%zu vs. %zu)", want,
                       reader->max_bytes);
        return OTR_RPC_RESOURCE_EXHAUSTED;
    }
    return OTR_RPC_OK;
}

static otr_rpc_status unpack(otr_rpc_reader *reader, otr_bytes *message, otr_err *err)
{
    switch (otr_rpc_gunzip(*message, &reader->unpacked, err)) {
    case OTR_OK:
        *message = otr_buf_bytes(&reader->unpacked);
        return OTR_RPC_OK;
    case OTR_EQUOTA:
        (void)otr_fail(err, OTR_EQUOTA, "received message larger than max (%zu), unpacked",
                       reader->max_bytes);
        return OTR_RPC_RESOURCE_EXHAUSTED;
    case OTR_ENOMEM:
        return OTR_RPC_RESOURCE_EXHAUSTED;
    default:
        return OTR_RPC_INTERNAL;
    }
}

static bool take_head(otr_rpc_reader *reader, otr_bytes *in)
{
    while (reader->head_n < OTR_RPC_PREFIX && in->n > 0) {
        reader->head[reader->head_n++] = *in->p++;
        in->n--;
    }
    return reader->head_n == OTR_RPC_PREFIX;
}

otr_rpc_status otr_rpc_reader_next(otr_rpc_reader *reader, otr_bytes *in, bool *ret_got,
                                   otr_bytes *ret, otr_err *err)
{
    *ret_got = false;
    if (reader->head_n == 0) {
        forget(&reader->part);
        forget(&reader->unpacked);
    }
    if (reader->head_n < OTR_RPC_PREFIX) {
        if (!take_head(reader, in)) {
            return OTR_RPC_OK;
        }
        otr_rpc_status status = read_head(reader, err);
        if (status != OTR_RPC_OK) {
            return status;
        }
    }
    size_t left = reader->want - reader->part.n;
    otr_bytes message = { in->p, left };
    if (reader->part.n > 0 || in->n < left) {
        size_t n = in->n < left ? in->n : left;
        if (otr_buf_add(&reader->part, (otr_bytes){ in->p, n }, err) != OTR_OK) {
            return OTR_RPC_RESOURCE_EXHAUSTED;
        }
        in->p += n;
        in->n -= n;
        if (n < left) {
            return OTR_RPC_OK;
        }
        message = otr_buf_bytes(&reader->part);
    } else {
        in->p += left;
        in->n -= left;
    }
    reader->head_n = 0;
    if (reader->head[0] == 1) {
        otr_rpc_status status = unpack(reader, &message, err);
        if (status != OTR_RPC_OK) {
            return status;
        }
    }
    *ret_got = true;
    *ret = message;
    return OTR_RPC_OK;
}

bool otr_rpc_reader_inside(const otr_rpc_reader *reader)
{
    return reader->head_n > 0;
}

size_t otr_rpc_reader_announced(const otr_rpc_reader *reader)
{
    return reader->head_n == OTR_RPC_PREFIX ? reader->want : 0;
}

void otr_rpc_prefix(size_t n, uint8_t out[OTR_RPC_PREFIX])
{
    out[0] = 0;
    for (size_t i = OTR_RPC_PREFIX - 1; i > 0; i--) {
        out[i] = (uint8_t)(n & BYTE_MASK);
        n >>= BYTE_BITS;
    }
}
