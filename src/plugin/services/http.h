/*
 * The host operation http.request.
 *
 *     in:   length of the JSON (u32, little endian), {"url":…,"method":…,"headers":{…}}, the body
 *     out:  length of the JSON (u32, little endian), {"status":…,"headers":{…}}, the body
 *
 * It blocks the guest's worker, at most for what is left of the call's time. Each redirect is a
 * request of its own, which needs a grant. The addresses that a name stands for are checked when
 * the connection is made, so that no second look-up can give others.
 *
 * Thread: that of the guest's job.
 */
#ifndef OTR_PLUGIN_SERVICES_HTTP_H
#define OTR_PLUGIN_SERVICES_HTTP_H

#include "plugin/services/hostcalls.h"

otr_code otr_hostcalls_http(otr_hostcalls *hc, otr_bytes in, otr_buf *out, otr_err *err)
    OTR_MUST_CHECK;
/* Closes the plugin's connections. NULL is fine. */
void otr_guest_http_free(otr_guest_http *http);

#endif
