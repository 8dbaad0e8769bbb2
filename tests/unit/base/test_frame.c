#include "base/frame.h"
#include "support/test.h"

static void deinit(otr_buf *b)
{
    otr_buf_deinit(b);
}

T(a_field_that_is_cut_short_is_not_taken)
{
    static const uint8_t text[] = { 3, 0, 0, 0, 'a', 'b', 'c' };
    for (size_t n = 0; n < sizeof(text); n++) {
        otr_bytes from = { text, n }, got = { NULL, 77 };
        CHECK(!otr_frame_take(&from, &got));
        CHECK(from.p == text && from.n == n && got.n == 77);
    }
    otr_bytes none = { NULL, 0 }, got;
    CHECK(!otr_frame_take(&none, &got));
}

T(a_length_of_four_gigabytes_is_no_overflow)
{
    static const uint8_t text[] = { 0xff, 0xff, 0xff, 0xff, 'a' };
    otr_bytes from = { text, sizeof(text) }, got;
    CHECK(!otr_frame_take(&from, &got));
    CHECK_INT(from.n, sizeof(text));
}

T(fields_come_back_in_order_and_leave_the_rest)
{
    OTR_CLEANUP(deinit) otr_buf b;
    otr_err err;
    otr_buf_init(&b, 1000);
    char long_one[300];
    memset(long_one, 'x', sizeof(long_one));
    REQUIRE_OK(otr_frame_put(otr_bytes_of("head"), &b, &err), err);
    REQUIRE_OK(otr_frame_put((otr_bytes){ NULL, 0 }, &b, &err), err);
    REQUIRE_OK(otr_frame_put((otr_bytes){ (const uint8_t *)long_one, 300 }, &b, &err), err);
    REQUIRE_OK(otr_buf_adds(&b, "rest", &err), err);
    CHECK(b.n == 4 + 4 + 4 + 4 + 300 + 4 &&
          memcmp(b.p, "\4\0\0\0head\0\0\0\0\54\1\0\0xx", 18) == 0);
    otr_bytes from = otr_buf_bytes(&b), got = { NULL, 0 };
    REQUIRE(otr_frame_take(&from, &got));
    CHECK(got.n == 4 && memcmp(got.p, "head", 4) == 0);
    REQUIRE(otr_frame_take(&from, &got));
    CHECK_INT(got.n, 0);
    REQUIRE(otr_frame_take(&from, &got));
    CHECK(got.n == 300 && memcmp(got.p, long_one, 300) == 0);
    CHECK(from.n == 4 && memcmp(from.p, "rest", 4) == 0);
}

T(a_field_that_finds_no_room_is_an_error)
{
    OTR_CLEANUP(deinit) otr_buf b;
    otr_err err;
    otr_buf_init(&b, 6);
    CHECK_INT(otr_frame_put(otr_bytes_of("abc"), &b, &err), OTR_EQUOTA);
    CHECK_INT(otr_frame_put((otr_bytes){ (const uint8_t *)"", (size_t)UINT32_MAX + 1 }, &b, &err),
              OTR_EQUOTA);
}
