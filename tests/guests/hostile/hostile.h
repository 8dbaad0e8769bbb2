/* What the hostile guests in C share: either ABI, and pointers that no host function should like.
 */
#ifndef OUTRIDER_TESTS_HOSTILE_H
#define OUTRIDER_TESTS_HOSTILE_H

#ifdef GUEST_WAPC
#include "outrider_wapc.h"
#else
#include "outrider_extism.h"
#endif

/* Answers as a well-behaved plugin would, so that only the operation under test is hostile. */
#define GOOD_INFO          OG_INFO("hostile", "1.0.0")
#define GOOD_SUBSCRIPTIONS OG_SUBSCRIBE("test.ping")
#define GOOD_PROCESS      \
    OG_OPERATION(process) \
    {                     \
        return OG_OK;     \
    }

static const uint64_t hostile_pointers[] = {
    0,
    1,
    7,
    8,
    16,
    4095,
    65535,
    65536,
    0x7fffffff,
    0x80000000,
    0xffffffff,
    0x100000000,
    0x100000001,
    0x7fffffffffffffff,
    0x8000000000000000,
    0xfffffffffffffff8,
    0xffffffffffffffff,
};

#define EACH_POINTER(p)                                                                           \
    for (size_t p##_i = 0; p##_i < sizeof hostile_pointers / sizeof hostile_pointers[0]; p##_i++) \
        for (uint64_t p = hostile_pointers[p##_i], p##_once = 1; p##_once; p##_once = 0)

#endif
