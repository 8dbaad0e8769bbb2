/*
 * Private to src/nginx/drift: one look at the files of one instance, on a worker.
 *
 * Everything it needs goes with it, everything it finds comes back with it.
 *
 * Thread: otr_drift_sight_run() on a worker, the rest on the loop.
 */
#ifndef OTR_NGINX_DRIFT_LOOK_H
#define OTR_NGINX_DRIFT_LOOK_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "nginx/drift/compare.h"
#include "nginx/drift/excludes.h"
#include "nginx/drift/places.h"
#include "nginx/drift/watches.h"
#include "nginx/drift/writers.h"

typedef struct otr_held { /* a folder that is watched */
    size_t first, n;      /* its places */
    int wd;
    otr_folder_key key;
} otr_held;

typedef struct otr_holding { /* what an instance has watched */
    otr_places places;
    otr_held *items; /* by folder */
    size_t n;
    size_t unwatched; /* folders that are not, for a limit */
    int why;          /* errno of that; 0: our own limit */
} otr_holding;

void otr_holding_deinit(otr_holding *h);
/* The watch of a folder; NULL: it has none. */
const otr_held *otr_holding_find(const otr_holding *h, const char *folder);
/* Is `name` in the folder of `held` one that counts? */
bool otr_holding_counts(const otr_holding *h, const otr_held *held, const char *name);

typedef struct otr_drift_sight {
    /* in */
    const otr_watches *watches;
    const otr_writers *writers;
    const char *proc_root;
    otr_root *root; /* owned, as all that follows */
    char *config;
    otr_excludes *excluded; /* a reference */
    otr_picture was;
    otr_base *version, *loaded, *before, *coming; /* references */
    bool take_loaded; /* make `new_loaded`, with `before` and `since_ns` */
    bool compare;     /* make the report */
    bool trace;       /* make `holding` in any case */
    uint64_t since_ns;
    size_t room; /* folders that may be watched */
    /* out */
    otr_picture now;
    otr_base *new_loaded;
    bool sure;
    bool traced;
    otr_holding holding;
    otr_drift_report report;
    otr_places *where; /* of each file of the report */
    otr_err err;
} otr_drift_sight;

otr_code otr_drift_sight_run(otr_drift_sight *look);
/* Takes out of the report what does not count. Loop. */
void otr_drift_sight_leave_out(otr_drift_sight *look, const otr_excludes *excluded);
void otr_drift_sight_deinit(otr_drift_sight *look);

#endif
