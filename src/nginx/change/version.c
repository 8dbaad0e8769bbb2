#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "nginx/change/plan.h"

static int by_path(const void *a, const void *b)
{
    return strcmp(((const otr_version_entry *)a)->path, ((const otr_version_entry *)b)->path);
}

/* Each entry is "<digest> <mode> <path>" and a NUL, which no path holds. */
otr_code otr_version_of(otr_version_entry *entries, size_t n, char out[OTR_SHA256_HEX_BYTES],
                        otr_err *err)
{
    (void)err;
    otr_sha256 sum;
    otr_sha256_init(&sum);
    if (n > 1) {
        qsort(entries, n, sizeof(*entries), by_path);
    }
    for (size_t i = 0; i < n; i++) {
        char head[OTR_SHA256_HEX_BYTES + 16];
        int len = snprintf(head, sizeof(head), "%s %04o ", entries[i].digest,
                           (unsigned)(entries[i].mode & 0777));
        otr_sha256_add(&sum, (otr_bytes){ (const uint8_t *)head, (size_t)len });
        otr_sha256_add(
            &sum, (otr_bytes){ (const uint8_t *)entries[i].path, strlen(entries[i].path) + 1 });
    }
    (void)otr_sha256_end(&sum, out);
    return OTR_OK;
}

otr_code otr_plan_version(const otr_plan *plan, otr_plan_time when, char out[OTR_SHA256_HEX_BYTES],
                          otr_err *err)
{
    size_t n = 0;
    OTR_CLEANUP(otr_freep) otr_version_entry *entries =
        otr_calloc(otr_plan_count(plan) + 1, sizeof(*entries));
    if (entries == NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t i = 0; i < otr_plan_count(plan); i++) {
        const otr_plan_item *item = otr_plan_at(plan, i);
        const otr_plan_side *side = when == OTR_PLAN_BEFORE ? &item->before : &item->after;
        if (side->exists && side->digest[0] != '\0') {
            entries[n++] = (otr_version_entry){ item->path, side->digest, side->mode };
        }
    }
    return otr_version_of(entries, n, out, err);
}

otr_code otr_version_read(const otr_root *root, const char *const *paths,
                          char out[OTR_SHA256_HEX_BYTES], otr_err *err)
{
    size_t n = 0, many = 0;
    while (paths[many] != NULL) {
        many++;
    }
    OTR_CLEANUP(otr_freep) otr_plan_side *sides = otr_calloc(many + 1, sizeof(*sides));
    OTR_CLEANUP(otr_freep) otr_version_entry *entries = otr_calloc(many + 1, sizeof(*entries));
    if (sides == NULL || entries == NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t i = 0; i < many; i++) {
        otr_code rc = otr_plan_side_read(root, paths[i], &sides[i], err);
        if (rc != OTR_OK) {
            return rc;
        }
        if (sides[i].exists) {
            entries[n++] = (otr_version_entry){ paths[i], sides[i].digest, sides[i].mode };
        }
    }
    return otr_version_of(entries, n, out, err);
}
