/*
 * Private to src/nginx/drift: where in the file system the paths of a picture stand.
 *
 * A place is a folder without links in its path and a name in it: what a path leads to, each link
 * on the way, and where the way ends when there is nothing. These folders are what has to be
 * watched, and these names what counts in them.
 *
 * Thread: one at a time; calls block.
 */
#ifndef OTR_NGINX_DRIFT_PLACES_H
#define OTR_NGINX_DRIFT_PLACES_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "nginx/drift/picture.h"
#include "nginx/root.h"

typedef struct otr_place {
    char *folder; /* as that NGINX sees it */
    char *name;   /* a name, or a pattern where `pattern` */
    bool pattern;
} otr_place;

typedef struct otr_places {
    otr_place *items; /* by folder, then name, once sorted */
    size_t n, cap;
} otr_places;

/* Adds the places of one path. */
otr_code otr_places_trace(const otr_root *root, const char *path, otr_places *ret, otr_err *err)
    OTR_MUST_CHECK;
/* All places of a picture, sorted, each once. */
otr_code otr_places_of(const otr_root *root, const otr_picture *picture, otr_places *ret,
                       otr_err *err) OTR_MUST_CHECK;
void otr_places_deinit(otr_places *places);

#endif
