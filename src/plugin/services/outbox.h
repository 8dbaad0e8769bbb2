/*
 * What a guest publishes, until its job is done: checked at once, on the bus when the loop flushes.
 *
 * Thread: that of the guest's job; the loop between jobs.
 */
#ifndef OTR_PLUGIN_SERVICES_OUTBOX_H
#define OTR_PLUGIN_SERVICES_OUTBOX_H

#include "bus/bus.h"
#include "bus/msg.h"
#include "plugin/services/gate.h"

typedef struct otr_outgoing {
    struct otr_outgoing *next;
    otr_msg *cause; /* a reference, or NULL */
    otr_bus_json *json;
    char topic[]; /* checked */
} otr_outgoing;

typedef struct otr_outbox {
    otr_outgoing *first, **last;
    unsigned in_call;   /* messages published by the running call */
    size_t bytes;       /* of all in it; at most OTR_LIMIT_BUS_PAYLOAD_BYTES */
    uint64_t looked_ns; /* monotonic: the last look at the clock for it */
    uint64_t dropped;   /* refused for another reason than the grant */
    bool drop_logged;
} otr_outbox;

void otr_outbox_init(otr_outbox *box);
void otr_outbox_begin(otr_outbox *box); /* a new call begins */
/* OTR_EDENIED when the gate lets nothing through under `topic`. */
otr_code otr_outbox_permits(otr_gate *gate, const char *topic, otr_err *err) OTR_MUST_CHECK;
/* Takes a message under `topic`, with the gate's cause. OTR_EDENIED, OTR_EQUOTA, OTR_EINVAL. */
otr_code otr_outbox_add(otr_outbox *box, otr_gate *gate, const char *topic, otr_bytes payload,
                        otr_err *err) OTR_MUST_CHECK;
/* Publishes all in order, as the gate's plugin. Returns how many; those refused are counted. */
uint64_t otr_outbox_flush(otr_outbox *box, const otr_gate *gate, otr_bus *bus);
void otr_outbox_deinit(otr_outbox *box); /* drops what is in it */

#endif
