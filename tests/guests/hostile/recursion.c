/* expect: EGUEST stack overflow
 * abi: extism, wapc
 * phase: process */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS

static volatile int depth_seen;

static int deeper(int n)
{
    volatile char frame[64];
    frame[n & 63] = (char)n;
    depth_seen = n;
    return n < 0 ? 0 : deeper(n + 1) + frame[n & 63];
}

OG_OPERATION(process)
{
    return deeper(0);
}
