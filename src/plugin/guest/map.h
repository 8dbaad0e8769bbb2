/*
 * What the entry of a guest says about it in the place of our contract (manifest/mapping.h): what
 * it is given, and where its answers go. Internal to plugin/guest.
 *
 * Thread: the strand's worker.
 */
#ifndef OTR_PLUGIN_GUEST_MAP_H
#define OTR_PLUGIN_GUEST_MAP_H

#include <stdbool.h>

#include "bus/msg.h"
#include "plugin/contract.h"
#include "plugin/manifest/manifest.h"
#include "plugin/services/hostcalls.h"

/* The input of `process`, which lives as long as the message or until `scratch` changes.
 * OTR_ENOTFOUND: the message has no such field. */
otr_code otr_guest_map_input(const otr_manifest *m, const otr_msg *msg, otr_buf *scratch,
                             otr_bytes *ret, otr_err *err) OTR_MUST_CHECK;
/* Publishes what it answered to an event, if it is to be and if it is anything. */
otr_code otr_guest_map_output(otr_hostcalls *hc, otr_bytes answer, otr_buf *scratch, otr_err *err)
    OTR_MUST_CHECK;
/* What `version:` says in the place of the guest. */
otr_code otr_guest_map_info(const otr_manifest *m, otr_contract_info *ret, otr_err *err)
    OTR_MUST_CHECK;
/* Is it asked for its topics? What the entry says of them may be all; a guest that can be asked all
 * the same has hooks, perhaps. */
bool otr_guest_map_asks_topics(const otr_plugin_mapping *map, const otr_guest_code *code);
/* Tells the log that the message has not what the guest is given, unless `*logged`. */
void otr_guest_map_skip(const otr_manifest *m, const otr_msg *msg, bool *logged);
/* Says of a load that failed which entry of `operations:` it speaks of, if it does. */
otr_code otr_guest_map_blame(const otr_manifest *m, otr_code rc, otr_err *err);
/* Tells the log by which names it is asked. */
void otr_guest_map_tell(const otr_manifest *m);

#endif
