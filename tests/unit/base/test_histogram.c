#include <math.h>
#include <stdlib.h>

#include "base/histogram.h"
#include "support/test.h"

/* The index by the definition, in more digits than the code has. */
static int index_of(uint64_t ms)
{
    long double power = log2l((long double)ms / 1000.0L) * 8;
    return (int)ceill(power) - 1;
}

T(every_duration_is_in_its_bucket)
{
    CHECK_INT(otr_histogram_index(1), -80);
    CHECK_INT(otr_histogram_index(1000), -1); /* 1 s is the end of the bucket below 1 s */
    CHECK_INT(otr_histogram_index(1001), 0);
    CHECK_INT(otr_histogram_index(2000), 7);
    CHECK_INT(otr_histogram_index(125), -25);
    uint64_t ms = 1;
    for (; ms < 20000; ms++) {
        CHECK_INT(otr_histogram_index(ms), index_of(ms));
    }
    for (; ms < UINT64_C(1) << 45; ms += ms / 977) {
        CHECK_INT(otr_histogram_index(ms), index_of(ms));
    }
    for (int i = -80; i < 160; i++) {
        CHECK(fabs(otr_histogram_bound(i) / pow(2, (i + 1) / 8.0) - 1) < 1e-15);
    }
}

T(nothing_is_lost_at_the_ends)
{
    otr_histogram h = { 0 };
    otr_histogram_add(&h, 0);
    otr_histogram_add(&h, 1);
    otr_histogram_add(&h, 262144000); /* 2^18 s: the end of the last bucket */
    otr_histogram_add(&h, 262144001);
    otr_histogram_add(&h, UINT64_C(999999999999999));
    CHECK_INT(h.count, 5);
    CHECK_INT(h.zero, 1);
    CHECK_INT(h.buckets[0], 1);
    CHECK_INT(h.buckets[OTR_HISTOGRAM_BUCKETS - 1], 3);
    CHECK_INT(h.most_ms, 999999999999999);
    CHECK_INT(otr_histogram_until(&h, -9), 2);
    CHECK_INT(otr_histogram_until(&h, 17), 2);
    CHECK_INT(otr_histogram_until(&h, 18), 5); /* the range ends here */
    CHECK_INT(otr_histogram_until(&h, -40), 1);
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

T(quantiles_are_in_the_bucket_of_the_truth)
{
    enum { N = 5000 };
    static uint64_t all[N];
    static const double shares[] = { 0, 0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1 };
    uint64_t bits = 88172645463325252;
    for (int round = 0; round < 20; round++) {
        otr_histogram h = { 0 };
        for (size_t i = 0; i < N; i++) {
            bits ^= bits << 13; /* xorshift64 */
            bits ^= bits >> 7;
            bits ^= bits << 17;
            all[i] = (bits >> 20) % (UINT64_C(1) << (bits % 20)); /* small ones are more frequent */
            otr_histogram_add(&h, all[i]);
        }
        qsort(all, N, sizeof(all[0]), by_size);
        for (size_t i = 0; i < OTR_COUNT(shares); i++) {
            size_t rank = (size_t)ceil(shares[i] * N);
            uint64_t truth = all[rank > 0 ? rank - 1 : 0];
            double got = otr_histogram_quantile(&h, shares[i]);
            if (truth == 0) {
                CHECK(got == 0);
                continue;
            }
            int index = otr_histogram_index(truth);
            CHECK(got > otr_histogram_bound(index - 1) * (1 - 1e-12));
            CHECK(got <= otr_histogram_bound(index) * (1 + 1e-12));
        }
    }
    otr_histogram none = { 0 };
    CHECK(otr_histogram_quantile(&none, 0.5) == 0);
}

T(what_is_merged_can_be_taken_away)
{
    otr_histogram a = { 0 }, b = { 0 };
    for (uint64_t ms = 0; ms < 3000; ms += 7) {
        otr_histogram_add(ms % 2 == 0 ? &a : &b, ms);
    }
    otr_histogram sum = a;
    otr_histogram_merge(&sum, &b);
    CHECK_INT(sum.count, a.count + b.count);
    CHECK_INT(sum.sum_ms, a.sum_ms + b.sum_ms);
    CHECK_INT(sum.most_ms, 2996);
    otr_histogram_subtract(&sum, &b);
    CHECK_INT(sum.count, a.count);
    CHECK_INT(sum.zero, a.zero);
    CHECK(memcmp(sum.buckets, a.buckets, sizeof(a.buckets)) == 0);
    otr_histogram_halve(&a);
    uint64_t n = a.zero;
    for (size_t i = 0; i < OTR_HISTOGRAM_BUCKETS; i++) {
        n += a.buckets[i];
    }
    CHECK_INT(a.count, n);
}
