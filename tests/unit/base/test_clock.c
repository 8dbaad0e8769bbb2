#include "base/clock.h"
#include "support/test.h"

static void real_clock(const int *unused)
{
    (void)unused;
    otr_clock_fake(0);
}

#define FAKE(ns)                                                  \
    OTR_CLEANUP(real_clock) __attribute__((unused)) int fake = 0; \
    otr_clock_fake(ns)

T(monotonic_time_does_not_go_back)
{
    uint64_t a = otr_now_ns();
    uint64_t b = otr_now_ns();
    CHECK(a > 0 && b >= a);
}

T(wall_time_is_of_this_century)
{
    CHECK(otr_wall_ns() > UINT64_C(1600000000) * OTR_NS_PER_S);
}

T(a_fake_clock_stands_still)
{
    FAKE(42);
    CHECK_INT(otr_now_ns(), 42);
    CHECK_INT(otr_wall_ns(), 42);
    CHECK_INT(otr_wall_of(40), 40);
    CHECK_INT(otr_wall_of(50), 50);
}

T(an_instant_becomes_wall_time)
{
    uint64_t now = otr_now_ns();
    uint64_t wall = otr_wall_ns();
    uint64_t earlier = otr_wall_of(now - OTR_NS_PER_S);
    CHECK(earlier < wall && wall - earlier > OTR_NS_PER_S / 2 && wall - earlier < 2 * OTR_NS_PER_S);
}

T(times_are_written_as_rfc_3339)
{
    char out[OTR_TIME_BYTES];
    CHECK_STR(otr_time_text(0, out), "1970-01-01T00:00:00.000Z");
    CHECK_STR(otr_time_text(UINT64_C(1709210096789999999), out), "2024-02-29T12:34:56.789Z");
    CHECK_STR(otr_time_text(UINT64_MAX, out), "2554-07-21T23:34:33.709Z");
}
