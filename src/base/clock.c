#include "base/clock.h"

#include <stdio.h>
#include <time.h>

#ifdef OTR_TESTING
#include <stdatomic.h>
static _Atomic uint64_t fake_ns;

void otr_clock_fake(uint64_t mono_ns)
{
    atomic_store(&fake_ns, mono_ns);
}
#endif

static uint64_t read_clock(clockid_t id)
{
#ifdef OTR_TESTING
    uint64_t fake = atomic_load(&fake_ns);
    if (fake != 0) {
        return fake;
    }
#endif
    struct timespec t = { 0 };
    (void)clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * OTR_NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t otr_now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t otr_wall_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

uint64_t otr_wall_of(uint64_t mono_ns)
{
    return otr_wall_ns() - (otr_now_ns() - mono_ns);
}

const char *otr_time_text(uint64_t wall_ns, char out[OTR_TIME_BYTES])
{
    time_t seconds = (time_t)(wall_ns / OTR_NS_PER_S);
    unsigned ms = (unsigned)(wall_ns % OTR_NS_PER_S / OTR_NS_PER_MS);
    struct tm t;
    if (gmtime_r(&seconds, &t) == NULL) {
        t = (struct tm){ .tm_year = 70, .tm_mday = 1 };
    }
    char date[24];
    (void)strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &t);
    (void)snprintf(out, OTR_TIME_BYTES, "%s.%03uZ", date, ms);
    return out;
}
