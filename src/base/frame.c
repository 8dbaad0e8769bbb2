#include "base/frame.h"

#include "base/little_endian.h"

enum { LENGTH_BYTES = 4 };

bool otr_frame_take(otr_bytes *from, otr_bytes *ret)
{
    size_t n = from->n >= LENGTH_BYTES ? otr_le_load(from->p, LENGTH_BYTES) : 0;
    if (from->n < LENGTH_BYTES || n > from->n - LENGTH_BYTES) {
        return false;
    }
    *ret = (otr_bytes){ from->p + LENGTH_BYTES, n };
    from->p += LENGTH_BYTES + n;
    from->n -= LENGTH_BYTES + n;
    return true;
}

otr_code otr_frame_put(otr_bytes field, otr_buf *out, otr_err *err)
{
    uint8_t length[LENGTH_BYTES];
    if (field.n > UINT32_MAX) {
        return otr_fail(err, OTR_EQUOTA, "a field of %zu bytes is too long", field.n);
    }
    otr_le_store(length, LENGTH_BYTES, field.n);
    otr_code rc = otr_buf_add(out, (otr_bytes){ length, sizeof(length) }, err);
    return rc == OTR_OK ? otr_buf_add(out, field, err) : rc;
}
