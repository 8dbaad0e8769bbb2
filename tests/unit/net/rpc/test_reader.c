#include <zlib.h>

#include "base/buf.h"
#include "net/rpc/backoff.h"
#include "net/rpc/gunzip.h"
#include "net/rpc/reader.h"
#include "support/test.h"

typedef struct heard {
    otr_buf text; /* messages, each with a line break */
    otr_rpc_status status;
} heard;

/* Feeds in steps of so many bytes. */
static void feed(otr_rpc_reader *reader, otr_bytes all, size_t step, heard *h)
{
    while (all.n > 0 && h->status == OTR_RPC_OK) {
        size_t n = step < all.n ? step : all.n;
        otr_bytes in = { all.p, n };
        while (in.n > 0 && h->status == OTR_RPC_OK) {
            bool got = false;
            otr_bytes message;
            otr_err err = { 0 };
            h->status = otr_rpc_reader_next(reader, &in, &got, &message, &err);
            if (h->status == OTR_RPC_OK && got) {
                (void)!otr_buf_add(&h->text, message, &err);
                (void)!otr_buf_addc(&h->text, '\n', &err);
            }
        }
        all.p += n;
        all.n -= n;
    }
}

T(messages_are_the_same_however_they_are_cut)
{
    static const char bytes[] = "\0\0\0\0\2hi\0\0\0\0\0\0\0\0\0\5there";
    for (size_t step = 1; step < sizeof bytes; step++) {
        otr_rpc_reader reader;
        heard h = { .status = OTR_RPC_OK };
        otr_rpc_reader_init(&reader, 5);
        otr_buf_init(&h.text, 100);
        feed(&reader, (otr_bytes){ (const uint8_t *)bytes, sizeof bytes - 1 }, step, &h);
        CHECK_INT(h.status, OTR_RPC_OK);
        CHECK_STR(otr_buf_text(&h.text), "hi\n\nthere\n");
        CHECK(!otr_rpc_reader_inside(&reader));
        otr_buf_deinit(&h.text);
        otr_rpc_reader_deinit(&reader);
    }
}

static otr_rpc_status verdict(const char *bytes, size_t n, size_t max, otr_rpc_encoding encoding)
{
    otr_rpc_reader reader;
    heard h = { .status = OTR_RPC_OK };
    otr_rpc_reader_init(&reader, max);
    reader.encoding = encoding;
    otr_buf_init(&h.text, 100);
    feed(&reader, (otr_bytes){ (const uint8_t *)bytes, n }, n, &h);
    otr_buf_deinit(&h.text);
    otr_rpc_reader_deinit(&reader);
    return h.status;
}

T(what_is_no_message_ends_the_call)
{
    CHECK_INT(verdict("\0\0\0\0\5", 5, 5, OTR_RPC_IDENTITY), OTR_RPC_OK);
    CHECK_INT(verdict("\0\0\0\0\6", 5, 5, OTR_RPC_IDENTITY), OTR_RPC_RESOURCE_EXHAUSTED);
    CHECK_INT(verdict("\0\xff\xff\xff\xff", 5, 5, OTR_RPC_IDENTITY), OTR_RPC_RESOURCE_EXHAUSTED);
    CHECK_INT(verdict("\2\0\0\0\1", 5, 5, OTR_RPC_IDENTITY), OTR_RPC_INTERNAL);
    CHECK_INT(verdict("\1\0\0\0\1", 5, 5, OTR_RPC_IDENTITY), OTR_RPC_INTERNAL);
    CHECK_INT(verdict("\1\0\0\0\1", 5, 5, OTR_RPC_OTHER), OTR_RPC_UNIMPLEMENTED);
    CHECK_INT(verdict("\1\0\0\0\0", 5, 5, OTR_RPC_GZIP), OTR_RPC_INTERNAL);
    CHECK_INT(verdict("\1\0\0\0\1x", 6, 5, OTR_RPC_GZIP), OTR_RPC_INTERNAL);
}

static size_t pack(const uint8_t *from, size_t n, uint8_t *to, size_t cap)
{
    enum { GZIP = 31 };
    z_stream z = { 0 };
    if (deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, GZIP, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        return 0;
    }
    z.next_in = (uint8_t *)(uintptr_t)from;
    z.avail_in = (unsigned)n;
    z.next_out = to;
    z.avail_out = (unsigned)cap;
    (void)deflate(&z, Z_FINISH);
    size_t made = cap - z.avail_out;
    (void)deflateEnd(&z);
    return made;
}

T(gzip_unpacks_up_to_the_limit_and_not_beyond)
{
    enum { PLAIN = 100000 };
    static uint8_t plain[PLAIN], packed[PLAIN];
    size_t n = pack(plain, PLAIN, packed, sizeof packed);
    otr_buf out;
    otr_err err = { 0 };
    REQUIRE(n > 0);
    for (size_t max = PLAIN - 1; max <= PLAIN + 1; max++) {
        otr_buf_init(&out, max);
        otr_code rc = otr_rpc_gunzip((otr_bytes){ packed, n }, &out, &err);
        CHECK_INT(rc, max < PLAIN ? OTR_EQUOTA : OTR_OK);
        if (rc == OTR_OK) {
            CHECK_INT(out.n, PLAIN);
        }
        otr_buf_deinit(&out);
    }
    otr_buf_init(&out, PLAIN);
    CHECK_INT(otr_rpc_gunzip((otr_bytes){ packed, n - 1 }, &out, &err), OTR_EINVAL);
    otr_buf_clear(&out);
    packed[n] = 'x';
    CHECK_INT(otr_rpc_gunzip((otr_bytes){ packed, n + 1 }, &out, &err), OTR_EINVAL);
    otr_buf_deinit(&out);
}

T(names_of_encodings)
{
    CHECK_INT(otr_rpc_encoding_of(otr_bytes_of("gzip")), OTR_RPC_GZIP);
    CHECK_INT(otr_rpc_encoding_of(otr_bytes_of("identity")), OTR_RPC_IDENTITY);
    CHECK_INT(otr_rpc_encoding_of(otr_bytes_of("gzi")), OTR_RPC_OTHER);
    CHECK_INT(otr_rpc_encoding_of(otr_bytes_of("")), OTR_RPC_OTHER);
}

T(waits_grow_to_their_limit_and_start_anew)
{
    otr_rpc_backoff b = { .initial_ms = 100, .max_ms = 1000, .multiplier = 3 };
    CHECK_INT(otr_rpc_backoff_next(&b, 0), 100);
    CHECK_INT(otr_rpc_backoff_next(&b, 0), 300);
    CHECK_INT(otr_rpc_backoff_next(&b, 0), 900);
    CHECK_INT(otr_rpc_backoff_next(&b, 0), 1000);
    CHECK_INT(otr_rpc_backoff_next(&b, 0), 1000);
    otr_rpc_backoff_reset(&b);
    CHECK_INT(otr_rpc_backoff_next(&b, 0), 100);
}

T(waits_are_left_to_chance_within_their_part)
{
    otr_rpc_backoff b = {
        .initial_ms = 1000, .max_ms = 1200, .multiplier = 2, .randomization = .5
    };
    CHECK_INT(otr_rpc_backoff_next(&b, 0), 500);
    otr_rpc_backoff_reset(&b);
    CHECK_INT(otr_rpc_backoff_next(&b, UINT32_MAX / 2), 999);
    otr_rpc_backoff_reset(&b);
    CHECK_INT(otr_rpc_backoff_next(&b, UINT32_MAX), 1200); /* never above the limit */
}

T(odd_settings_of_waits_do_no_harm)
{
    otr_rpc_backoff defaults = { 0 };
    CHECK_INT(otr_rpc_backoff_next(&defaults, 5), 1000);
    CHECK_INT(otr_rpc_backoff_next(&defaults, 5), 3000);
    otr_rpc_backoff odd = { .initial_ms = 50, .max_ms = 10, .multiplier = -1, .randomization = 9 };
    CHECK_INT(otr_rpc_backoff_next(&odd, 0), 1);
    CHECK_INT(otr_rpc_backoff_next(&odd, UINT32_MAX), 10);
}
