/*
 * What an otr_impact is made of. Internal to this folder.
 *
 * Thread: as impact.h says.
 */
#ifndef OTR_NGINX_IMPACT_INTERNAL_H
#define OTR_NGINX_IMPACT_INTERNAL_H

#include "base/limits.h"
#include "nginx/impact/diff.h"
#include "nginx/impact/effects.h"
#include "nginx/impact/graph.h"
#include "nginx/impact/impact.h"

typedef struct otr_impact_file { /* one that the change names */
    char *path;
    otr_buf old, new;
    bool was, will; /* there */
    bool used;      /* part of the configuration, before or after */
    bool unread;    /* it cannot be read, or is too large: no diff */
    otr_diff_stats diff;
    size_t start, end; /* in `diff` */
} otr_impact_file;

typedef struct otr_impact_error {
    char *text;
    const char *file; /* of a part */
    uint32_t line;    /* 0: of no line */
} otr_impact_error;

struct otr_impact {
    otr_graph graph; /* without root and overlay: only its texts are of use */
    char *folder;
    otr_effects effects;
    otr_impact_summary summary;
    otr_impact_file *files;
    size_t n_files;
    otr_buf diff;
    otr_impact_error errors[OTR_LIMIT_IMPACT_ERRORS];
    size_t n_errors;
    otr_buf config; /* crossplane's JSON of the new configuration */
    bool config_kept;
};

#endif
