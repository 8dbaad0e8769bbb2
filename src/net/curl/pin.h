/*
 * A name that is looked up before libcurl would.
 *
 * Thread: any.
 */
#ifndef OTR_NET_CURL_PIN_H
#define OTR_NET_CURL_PIN_H

#include "base/base.h"
#include "base/err.h"
#include "net/curl/curl.h"
#include "net/resolve/resolve.h"

/* What otr_resolve() gives for CURLOPT_RESOLVE, so that libcurl looks up nothing; the caller's to
 * free. NULL: the host is an address itself. */
otr_code otr_resolve_pin(const otr_curl *curl, const otr_resolve_spec *spec, unsigned port,
                         struct curl_slist **ret, otr_err *err) OTR_MUST_CHECK;

#endif
