/*
 * Time: monotonic nanoseconds inside, wall time at the edges only.
 *
 * Thread: any. With OTR_TESTING a test can replace both clocks.
 */
#ifndef OTR_BASE_CLOCK_H
#define OTR_BASE_CLOCK_H

#include "base/base.h"

#define OTR_NS_PER_MS UINT64_C(1000000)
#define OTR_NS_PER_S  UINT64_C(1000000000)

uint64_t otr_now_ns(void);  /* CLOCK_MONOTONIC */
uint64_t otr_wall_ns(void); /* nanoseconds since 1970-01-01 UTC */
/* The wall time of a monotonic instant, by the clocks' present difference. */
uint64_t otr_wall_of(uint64_t mono_ns);

#define OTR_TIME_BYTES 32
/* "2026-01-02T03:04:05.678Z" (RFC 3339, UTC, milliseconds) into `out`; returns `out`. */
const char *otr_time_text(uint64_t wall_ns, char out[OTR_TIME_BYTES]);

#ifdef OTR_TESTING
void otr_clock_fake(uint64_t mono_ns); /* both clocks stand at this; 0: real again */
#endif

#endif
