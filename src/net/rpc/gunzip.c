#include "net/rpc/gunzip.h"

#include <zlib.h>

#include "base/alloc.h"

enum { STEP = 32768, GZIP_WINDOW = 16 + 15 };

static void *take(void *arg, unsigned count, unsigned size)
{
    (void)arg;
    return otr_calloc(count, size);
}

static void give(void *arg, void *p)
{
    (void)arg;
    otr_free(p);
}

/* One step: OTR_OK with `*ret_end` when the end was reached. */
static otr_code step(z_stream *z, otr_buf *out, bool *ret_end, otr_err *err)
{
    uint8_t *to;
    uint8_t beyond; /* shows that there is more than fits */
    size_t room = out->max_bytes - out->n < STEP ? out->max_bytes - out->n : STEP;
    if (room > 0) {
        otr_code rc = otr_buf_reserve(out, room, &to, err);
        if (rc != OTR_OK) {
            return rc;
        }
    } else {
        to = &beyond;
    }
    z->next_out = to;
    z->avail_out = room > 0 ? (unsigned)room : 1;
    unsigned offered = z->avail_out;
    int rc = inflate(z, Z_NO_FLUSH);
    size_t made = offered - z->avail_out;
    if (room == 0 && made > 0) {
        return otr_fail(err, OTR_EQUOTA, "it unpacks to more than %zu bytes", out->max_bytes);
    }
    otr_buf_grew(out, room > 0 ? made : 0);
    *ret_end = rc == Z_STREAM_END;
    if (rc == Z_MEM_ERROR) {
        return otr_fail_nomem(err);
    }
    if (rc != Z_OK && rc != Z_STREAM_END) {
        return otr_fail(err, OTR_EINVAL, "a compressed message is no gzip, or cut off");
    }
    return OTR_OK;
}

otr_code otr_rpc_gunzip(otr_bytes packed, otr_buf *out, otr_err *err)
{
    z_stream z = { .zalloc = take, .zfree = give };
    bool end = false;
    if (packed.n == 0 || packed.n > UINT32_MAX) {
        return otr_fail(err, OTR_EINVAL, "a compressed message is empty");
    }
    /* zlib does not write to its input. */
    z.next_in = (uint8_t *)(uintptr_t)packed.p;
    z.avail_in = (unsigned)packed.n;
    if (inflateInit2(&z, GZIP_WINDOW) != Z_OK) {
        return otr_fail_nomem(err);
    }
    otr_code rc = OTR_OK;
    while (rc == OTR_OK && !end) {
        rc = step(&z, out, &end, err);
    }
    if (rc == OTR_OK && z.avail_in > 0) {
        rc = otr_fail(err, OTR_EINVAL, "something follows a compressed message");
    }
    (void)inflateEnd(&z);
    return rc;
}
