/*
 * Names to addresses, within a deadline.
 *
 * getaddrinfo() takes as long as the name servers of /etc/resolv.conf let it, ten seconds and more,
 * and nothing ends it. libcurl calls it in a thread, but waits for that thread when the transfer
 * ends. Here a look-up is a thread that nobody has to wait for: who asked leaves at the deadline,
 * the thread ends by itself, and what it found serves the next who asks. One owner has a few of
 * them at a time, so that names that nobody answers for do not add up.
 *
 * Thread: any.
 */
#ifndef OTR_NET_RESOLVE_RESOLVE_H
#define OTR_NET_RESOLVE_RESOLVE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/err.h"

enum { OTR_RESOLVED_BYTES = 768, OTR_RESOLVE_HOST_BYTES = 256, OTR_RESOLVE_OWNER_BYTES = 72 };

typedef struct otr_resolve_spec {
    const char *host;         /* a name; one that is too long is not found */
    const char *owner;        /* whose look-ups are counted together; cut */
    uint64_t until_ns;        /* monotonic */
    const atomic_bool *ended; /* Optional: it becomes true when nobody waits any more */
} otr_resolve_spec;

/* Addresses as text, with commas between them, IPv6 in brackets: at least one. OTR_ETIMEOUT: not in
 * time, or `*ended`; OTR_EIO: there is none, `err` says why. */
otr_code otr_resolve(const otr_resolve_spec *spec, char ret[OTR_RESOLVED_BYTES], otr_err *err)
    OTR_MUST_CHECK;
/* The same for who cannot wait: the loop asks again and again, the first times soon. */
typedef struct otr_lookup otr_lookup;

/* OTR_EQUOTA: none can be begun now, a later try may. `until_ns` and `ended` mean nothing. */
otr_code otr_lookup_begin(const otr_resolve_spec *spec, otr_lookup **ret, otr_err *err)
    OTR_MUST_CHECK;
bool otr_lookup_over(const otr_lookup *lookup);
/* What it came to, as otr_resolve() says it; OTR_ETIMEOUT while it is not over. Ends `lookup`. */
otr_code otr_lookup_end(otr_lookup *lookup, char ret[OTR_RESOLVED_BYTES], otr_err *err);

#endif
