/* What can be said of a subscriber's queue. */
#include "bus/sub.h"

bool otr_sub_holds(const otr_sub *sub, const otr_msg *msg)
{
    for (uint64_t place = sub->head; place != sub->tail; place++) {
        if (sub->ring[place & sub->mask] == msg) {
            return true;
        }
    }
    return false;
}

void otr_sub_get_stats(const otr_sub *sub, otr_sub_stats *ret)
{
    /* Every place that was filled and emptied was taken or dropped. */
    *ret = (otr_sub_stats){
        .received = sub->tail + sub->coalesced,
        .taken = sub->head - sub->dropped,
        .dropped = sub->dropped,
        .coalesced = sub->coalesced,
        .depth = (size_t)(sub->tail - sub->head),
        .depth_max = sub->depth_max,
        .capacity = sub->capacity,
    };
}
