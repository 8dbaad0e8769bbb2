/*
 * What differs between two entries of one plugin, setting by setting, and which way.
 *
 * Effective values are compared, not how they were written: an entry that was moved, or that names
 * a default, is the same. `kind` says what a change asks for; the life of guests (plugin/guest)
 * does it.
 *
 * Thread: any; manifests are read-only.
 */
#ifndef OTR_PLUGIN_MANIFEST_CHANGES_H
#define OTR_PLUGIN_MANIFEST_CHANGES_H

#include "plugin/manifest/manifest.h"

enum { OTR_SETTINGS = 44 };

typedef enum otr_setting_kind {
    OTR_SETTING_AT_ONCE, /* whoever asks, asks the newest entry */
    OTR_SETTING_FETCH,   /* as above; a load under way was begun with the old value */
    OTR_SETTING_CHECKED, /* asked for at each use: narrower at once, wider with a fresh sandbox */
    OTR_SETTING_SANDBOX, /* what a sandbox is made of or was handed: narrower ends it */
    OTR_SETTING_TRUST,   /* which code may run: narrower, what runs has to be looked at */
    OTR_SETTING_CONFIG,  /* what the guest itself is told */
    OTR_SETTING_CODE,    /* which code runs; narrower: it pins what was not pinned */
} otr_setting_kind;

/* Both bits: some of it narrower, some wider. */
typedef enum otr_change { OTR_SAME = 0, OTR_NARROWER = 1, OTR_WIDER = 2 } otr_change;

typedef struct otr_changes {
    unsigned char of[OTR_SETTINGS]; /* bits of otr_change */
} otr_changes;

/* From `from` to `to`. */
void otr_manifest_compare(const otr_manifest *from, const otr_manifest *to, otr_changes *ret);
/* The name of setting `i` for people, "grants.env"; static. */
const char *otr_setting_name(size_t i);
otr_setting_kind otr_setting_kind_of(size_t i);
/* Is there a change of this kind with one of `bits`? */
bool otr_changes_have(const otr_changes *c, otr_setting_kind kind, unsigned bits);
/* Is `grants.paths` narrower? */
bool otr_changes_paths(const otr_changes *c);
/* Does the change need another sandbox? */
bool otr_changes_sandbox(const otr_changes *c);
bool otr_changes_any(const otr_changes *c);
/* Did something change that the entry itself says, not `plugins:` for all of them? */
bool otr_changes_own(const otr_changes *c);
/* That `limits.*` or `grants.*` number of the two that allows less. */
static inline uint64_t otr_least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

#endif
