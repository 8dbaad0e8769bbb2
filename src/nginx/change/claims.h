/*
 * Which names of which folders a change needs for itself, so that two of them are kept apart.
 *
 * A name is claimed by device and inode of its folder: instances may have other roots and paths and
 * the same files. What is changed may not be looked at by another change at the same time, or one
 * would test, prove and undo the files of the other. A folder itself is claimed where names come or
 * go in it, and by who reads all that match a pattern.
 *
 * Thread: any, one at a time.
 */
#ifndef OTR_NGINX_CHANGE_CLAIMS_H
#define OTR_NGINX_CHANGE_CLAIMS_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "nginx/change/plan.h"

typedef struct otr_claim {
    uint64_t dev, ino; /* of the folder */
    uint64_t name;     /* of what is in it, hashed; 0: the folder itself */
    bool changes;
} otr_claim;

typedef struct otr_claims { /* zeroed at start */
    otr_claim *items;
    size_t n, cap;
} otr_claims;

/* All files of the plan, those that it leaves as they are, too. */
otr_code otr_claims_of_plan(otr_claims *claims, const otr_plan *plan, otr_err *err) OTR_MUST_CHECK;
/* A folder that is looked through. */
otr_code otr_claims_add_folder(otr_claims *claims, uint64_t dev, uint64_t ino, otr_err *err)
    OTR_MUST_CHECK;
/* Sorts; to be called when all are added. */
void otr_claims_end(otr_claims *claims);
/* Does one change what the other one needs? */
bool otr_claims_meet(const otr_claims *a, const otr_claims *b);
void otr_claims_deinit(otr_claims *claims);

#endif
