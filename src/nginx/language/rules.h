/*
 * Which directive may stand where, and with what: the tables in directives/, one file for each
 * module or family of modules.
 *
 * A name may have several rules (`server` of http and of an upstream); a use is right when one of
 * them fits. A place that no rule knows (the body of `map`, of `types`, of a foreign module's
 * block) takes anything. Sources: the command tables and documentation of the modules that each
 * file names. Rules of all releases are joined, so a directive that one release has lost still
 * counts as known.
 *
 * Thread: any once made.
 */
#ifndef OTR_NGINX_LANGUAGE_RULES_H
#define OTR_NGINX_LANGUAGE_RULES_H

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

/* Where a directive stands: one place, or 0 for one that no rule knows. */
typedef uint32_t otr_where;
#define OTR_WHERE_MAIN       (1U << 0)
#define OTR_WHERE_EVENTS     (1U << 1)
#define OTR_WHERE_MAIL       (1U << 2)
#define OTR_WHERE_MAIL_SRV   (1U << 3)
#define OTR_WHERE_STREAM     (1U << 4)
#define OTR_WHERE_STREAM_SRV (1U << 5)
#define OTR_WHERE_STREAM_UPS (1U << 6)
#define OTR_WHERE_HTTP       (1U << 7)
#define OTR_WHERE_HTTP_SRV   (1U << 8)
#define OTR_WHERE_HTTP_LOC   (1U << 9)
#define OTR_WHERE_HTTP_UPS   (1U << 10)
#define OTR_WHERE_HTTP_SIF   (1U << 11) /* `if` in a server */
#define OTR_WHERE_HTTP_LIF   (1U << 12) /* `if` in a location */
#define OTR_WHERE_HTTP_LMT   (1U << 13) /* limit_except */
#define OTR_WHERE_MGMT       (1U << 14)
#define OTR_WHERE_HTTP_OIDC  (1U << 15)
#define OTR_WHERE_PLACES     0xffffU
#define OTR_WHERE_IN_HTTP    (1U << 31) /* added to each place inside of http */

/* Inside of the block that `name` opens at `outer`. */
otr_where otr_where_in(otr_where outer, otr_bytes name);

typedef struct otr_rules otr_rules;

otr_code otr_rules_new(otr_rules **ret, otr_err *err) OTR_MUST_CHECK;
void otr_rules_free(otr_rules *rules);

typedef enum otr_use_end {
    OTR_USE_SEMICOLON,
    OTR_USE_BLOCK,
    OTR_USE_TORN, /* `}` came before either */
} otr_use_end;

typedef struct otr_use { /* of a directive */
    otr_bytes name;
    otr_where where;
    size_t n_args;
    otr_bytes first; /* its first argument, for flags */
    otr_use_end end;
    bool any_place, any_args; /* leave these unchecked */
} otr_use;

typedef enum otr_use_verdict {
    OTR_USE_FITS,
    OTR_USE_UNKNOWN, /* no rule has this name: it may be a foreign module's */
    OTR_USE_NOT_HERE,
    OTR_USE_NOT_OPENED,     /* it wants a block */
    OTR_USE_NOT_TERMINATED, /* it takes no block */
    OTR_USE_BAD_FLAG,
    OTR_USE_BAD_COUNT,
} otr_use_verdict;

otr_use_verdict otr_rules_check(const otr_rules *rules, const otr_use *use);
/* Appends what NGINX says of such a verdict, without the place; nothing for OTR_USE_FITS. */
otr_code otr_use_say(const otr_use *use, otr_use_verdict verdict, otr_buf *out, otr_err *err)
    OTR_MUST_CHECK;

#endif
