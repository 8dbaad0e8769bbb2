/*
 * A subscriber with its queue: private to src/bus.
 *
 * Thread: loop.
 */
#ifndef OTR_BUS_SUB_H
#define OTR_BUS_SUB_H

#include "bus/bus.h"
#include "bus/msg.h"

enum { OTR_SUB_FEW = 8 }; /* a queue this short needs no memory of its own */

typedef struct otr_link {
    struct otr_link *next, *prev; /* both NULL: in no list */
} otr_link;

struct otr_sub {
    otr_link ready_link; /* first: a link in the bus's ready ring is its subscriber */
    otr_link all_link;
    otr_bus *bus;
    const otr_msg **ring;
    size_t mask;         /* slots of `ring` - 1 */
    uint64_t head, tail; /* places ever emptied and filled: slot is place & mask */
    size_t capacity;
    size_t depth_max;
    size_t bytes; /* otr_msg_charge() of all that wait */
    uint64_t dropped, coalesced;
    void (*ready)(void *arg, otr_sub *sub);
    void *arg;
    unsigned turn_left; /* messages it may still take in its turn */
    otr_sub_policy policy;
    const otr_msg *few[OTR_SUB_FEW];
    const char *name;
    size_t n_patterns;
    const char *patterns[]; /* the strings follow in the same block */
};

#endif
