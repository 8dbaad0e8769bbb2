/*
 * What an agent reports over MPI, from its messages into the store.
 *
 * An agent is foreign, NGINX Agent as well as Outrider, and so is each of its texts. A message is
 * taken whole or refused whole: OTR_EINVAL (an id or a path is none), OTR_EQUOTA (more than a plane
 * keeps), OTR_EDENIED (it speaks for another agent), OTR_ENOTFOUND (an instance that it has not
 * told of). What is only unknown (a digest that is none, permissions that are none, a number that
 * this protocol does not have) is kept as unknown, and never as equal to anything.
 *
 * Thread: that of the store; calls may block (disk).
 */
#ifndef OTR_PLANE_REPORT_H
#define OTR_PLANE_REPORT_H

#include "base/base.h"
#include "base/err.h"
#include "plane/store/store.h"

typedef struct otr_plane_from { /* whose message it is */
    const char *uuid;           /* of the call's metadata; "": it sent none */
    const char *peer;           /* address */
    const char *subject;        /* of its certificate; "" */
    uint64_t now_ms;            /* wall clock */
} otr_plane_from;

/* CreateConnectionRequest. `ret_id` is the agent's from now on. */
otr_code otr_plane_take_connection(otr_plane_store *store, const otr_plane_from *from,
                                   otr_bytes message, char ret_id[OTR_PLANE_ID_BYTES], otr_err *err)
    OTR_MUST_CHECK;
/* UpdateDataPlaneStatusRequest of the agent `id`, as the others below. */
otr_code otr_plane_take_status(otr_plane_store *store, const otr_plane_from *from, const char *id,
                               otr_bytes message, otr_err *err) OTR_MUST_CHECK;
/* UpdateDataPlaneHealthRequest. What it says of instances that are not known is passed over: an
 * agent that manages other things than NGINX tells of those, too. */
otr_code otr_plane_take_health(otr_plane_store *store, const otr_plane_from *from, const char *id,
                               otr_bytes message, otr_err *err) OTR_MUST_CHECK;
/* UpdateOverviewRequest. */
otr_code otr_plane_take_overview(otr_plane_store *store, const otr_plane_from *from, const char *id,
                                 otr_bytes message, otr_err *err) OTR_MUST_CHECK;

#endif
