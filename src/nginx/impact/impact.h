/*
 * What a change of a configuration means: the diff of each file, and which servers, locations and
 * upstreams are another thing afterwards, found on both trees and not on the texts.
 *
 * A change of comments or white space changes nothing of what NGINX does. A directive that blocks
 * inherit (at http or in a server) touches all of them that do not set it themselves; one in the
 * main or events block touches everything. An upstream, a map, a log format, a zone that changed
 * touches who names it, a file that is no configuration (a certificate) the servers that name it.
 * What could not be read leaves the answer unknown, never "none".
 *
 * It owns all that it shows: the change set may go once it is made. Immutable then.
 *
 * Thread: one that makes it (blocks: reads all of the configuration), then any.
 */
#ifndef OTR_NGINX_IMPACT_IMPACT_H
#define OTR_NGINX_IMPACT_IMPACT_H

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "nginx/overlay.h"
#include "nginx/root.h"

typedef struct otr_impact otr_impact;

typedef struct otr_impact_spec { /* borrowed until otr_impact_new() returns */
    const otr_root *root;
    const char *config;         /* absolute: the main file, as that NGINX names it */
    const otr_overlay *overlay; /* the change, made with the same root */
    bool with_config;           /* keep the parsed configuration: otr_impact_ask() follows */
} otr_impact_spec;

typedef enum otr_impact_reach {
    OTR_IMPACT_NONE,       /* NGINX reads the same as before */
    OTR_IMPACT_SOME,       /* what `servers` … count */
    OTR_IMPACT_UNKNOWN,    /* some, and a part of the configuration cannot be read */
    OTR_IMPACT_EVERYTHING, /* the main or events level, or a block such as http comes or goes */
} otr_impact_reach;

typedef struct otr_impact_count {
    size_t added, removed, changed; /* their own text differs */
    size_t touched;                 /* what they inherit, include or name differs */
} otr_impact_count;

typedef struct otr_impact_summary {
    otr_impact_reach reach;
    size_t files_added, files_removed, files_changed; /* those of the change that differ at all */
    size_t files_unused; /* of these: no configuration includes them, before or after */
    size_t lines_added, lines_removed;
    /* Of a server that is added or removed the locations are not counted. */
    otr_impact_count servers, locations, upstreams, others; /* others: maps, zones, formats … */
    size_t errors; /* of the new configuration, that the old one does not have */
} otr_impact_summary;

/* OTR_EQUOTA: the configuration has more files than any limit allows. What is wrong in it, or
 * cannot be read, is no error: the summary tells. */
otr_code otr_impact_new(const otr_impact_spec *spec, otr_impact **ret, otr_err *err) OTR_MUST_CHECK;
void otr_impact_free(otr_impact *impact); /* NULL is fine */
void otr_impact_freep(void *slot);

const otr_impact_summary *otr_impact_get(const otr_impact *impact);
const char *
otr_impact_reach_name(otr_impact_reach reach); /* "none" "some" "unknown" "everything" */

/* Appends the diff of all files, about `max_bytes` of it at most (0: as much as there is).
 * `*ret_cut` (may be NULL): it is not all of it. */
otr_code otr_impact_write_diff(const otr_impact *impact, size_t max_bytes, otr_buf *out,
                               bool *ret_cut, otr_err *err) OTR_MUST_CHECK;

/* Appends {"reach","everything","files":[…],"servers":{…},"locations":{…},"upstreams":{…},
 * "others":{…},"errors":[…],"unread":[…],"lines":[…]}, see docs/abi/policy.md. Lists are cut at
 * OTR_LIMIT_IMPACT_ITEMS, and say how many more there are. */
otr_code otr_impact_write_json(const otr_impact *impact, otr_buf *out, otr_err *err) OTR_MUST_CHECK;

/* Appends the same as lines for a terminal, `max_items` of each list ("… and n more"). */
otr_code otr_impact_write_text(const otr_impact *impact, size_t max_items, otr_buf *out,
                               otr_err *err) OTR_MUST_CHECK;

#endif
