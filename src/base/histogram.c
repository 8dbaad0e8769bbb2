#include "base/histogram.h"

#include <math.h>

enum { PER_DOUBLE = 1 << OTR_HISTOGRAM_SCALE };

/* 2^(i/8). */
static const double steps[PER_DOUBLE] = {
    1.0,
    1.0905077326652577,
    1.189207115002721,
    1.2968395546510096,
    1.4142135623730951,
    1.5422108254079407,
    1.681792830507429,
    1.8340080864093424,
};

int otr_histogram_index(uint64_t ms)
{
    int power = 0;
    double mantissa = frexp((double)ms / 1000.0, &power) * 2; /* 1 … 2 */
    int index = (power - 1) * PER_DOUBLE - 1;
    for (size_t i = 0; i < PER_DOUBLE; i++) {
        index += mantissa > steps[i];
    }
    return index;
}

double otr_histogram_bound(int index)
{
    int up = index + 1;
    int power = up >= 0 ? up / PER_DOUBLE : -((-up + PER_DOUBLE - 1) / PER_DOUBLE);
    return ldexp(steps[up - power * PER_DOUBLE], power);
}

void otr_histogram_add(otr_histogram *h, uint64_t ms)
{
    h->count++;
    h->sum_ms += ms;
    h->most_ms = ms > h->most_ms ? ms : h->most_ms;
    if (ms == 0) {
        h->zero++;
        return;
    }
    int at = otr_histogram_index(ms) - OTR_HISTOGRAM_LEAST;
    h->buckets[at < OTR_HISTOGRAM_BUCKETS ? at : OTR_HISTOGRAM_BUCKETS - 1]++;
}

void otr_histogram_merge(otr_histogram *h, const otr_histogram *other)
{
    h->count += other->count;
    h->zero += other->zero;
    h->sum_ms += other->sum_ms;
    h->most_ms = other->most_ms > h->most_ms ? other->most_ms : h->most_ms;
    for (size_t i = 0; i < OTR_HISTOGRAM_BUCKETS; i++) {
        h->buckets[i] += other->buckets[i];
    }
}

void otr_histogram_subtract(otr_histogram *h, const otr_histogram *earlier)
{
    h->count -= earlier->count;
    h->zero -= earlier->zero;
    h->sum_ms -= earlier->sum_ms;
    for (size_t i = 0; i < OTR_HISTOGRAM_BUCKETS; i++) {
        h->buckets[i] -= earlier->buckets[i];
    }
}

void otr_histogram_halve(otr_histogram *h)
{
    h->zero /= 2;
    h->count = h->zero;
    h->sum_ms /= 2;
    for (size_t i = 0; i < OTR_HISTOGRAM_BUCKETS; i++) {
        h->buckets[i] /= 2;
        h->count += h->buckets[i];
    }
}

double otr_histogram_quantile(const otr_histogram *h, double q)
{
    double rank = ceil(q * (double)h->count), most = (double)h->most_ms / 1000.0;
    if (h->count == 0 || rank <= (double)h->zero) {
        return 0;
    }
    double below = (double)h->zero;
    for (int i = 0; i < OTR_HISTOGRAM_BUCKETS; i++) {
        double n = (double)h->buckets[i];
        if (n > 0 && below + n >= rank) {
            double from = otr_histogram_bound(i + OTR_HISTOGRAM_LEAST - 1);
            double value = from * pow(steps[1], (rank - below) / n);
            return value < most ? value : most;
        }
        below += n;
    }
    return most;
}

uint64_t otr_histogram_until(const otr_histogram *h, int power)
{
    int end = power * PER_DOUBLE - OTR_HISTOGRAM_LEAST;
    uint64_t n = h->zero;
    for (int i = 0; i < end && i < OTR_HISTOGRAM_BUCKETS; i++) {
        n += h->buckets[i];
    }
    return n;
}
