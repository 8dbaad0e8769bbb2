/*
 * Fetches one file over https into memory. Internal to plugin/source; source.h decides what to
 * trust.
 *
 * TLS is always verified: against the system's roots, or against `ca` alone. Redirects stay on
 * https and are few. The file has a ceiling, the connection and the whole transfer have a time
 * limit, so that a server that drips is left at the limit.
 *
 * Thread: any but the loop's; it blocks.
 */
#ifndef OTR_PLUGIN_SOURCE_FETCH_H
#define OTR_PLUGIN_SOURCE_FETCH_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

enum { OTR_ETAG_BYTES = 257 };

typedef struct otr_fetch_spec {
    const char *url;
    const char *ca;           /* file of PEM roots in place of the system's; NULL: the system's */
    const char *etag;         /* of what the caller has; "" or NULL: nothing */
    uint64_t limit_ns;        /* for all of it */
    const atomic_bool *ended; /* Optional: becomes true when nobody waits for it any more */
} otr_fetch_spec;

typedef struct otr_fetched {
    bool unchanged;            /* the caller has it: nothing was appended */
    char etag[OTR_ETAG_BYTES]; /* "": the server gave none */
} otr_fetched;

/* Appends the file to `out`, at most what it may still hold. The error names the URL without its
 * query and says what happened. OTR_EQUOTA: too large; OTR_ETIMEOUT; OTR_EIO: all else. */
otr_code otr_fetch(const otr_fetch_spec *spec, otr_buf *out, otr_fetched *ret, otr_err *err)
    OTR_MUST_CHECK;

#endif
