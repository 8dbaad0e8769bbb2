/*
 * After a crash: which transactions were left.
 *
 * Hidden files that no journal knows are left alone: they may be the only copy of what stood there.
 *
 * Thread: any, one at a time. Calls block.
 */
#ifndef OTR_NGINX_CHANGE_RECOVER_H
#define OTR_NGINX_CHANGE_RECOVER_H

#include "base/base.h"
#include "base/err.h"
#include "nginx/change/change.h"
#include "nginx/root.h"

typedef struct otr_journal_entry {
    char *instance;
    otr_change_state state; /* OTR_CHANGE_NONE: nothing is left of it to do */
    char *trouble;          /* NULL; else why the journal cannot be used (of another version, not
                               ours, damaged before its first record) and what to do */
} otr_journal_entry;

typedef struct otr_journals {
    otr_journal_entry *items;
    size_t n, cap;
} otr_journals;

/* Every journal in `folder` that has something left to do, or trouble; a folder that is not there
 * has none. Those of a transaction that is under way are not listed. */
otr_code otr_recover_list(const char *folder, const otr_fileops *ops, otr_journals *ret,
                          otr_err *err) OTR_MUST_CHECK;
void otr_journals_deinit(otr_journals *journals);

/* The transaction that the journal of `spec->instance` holds, to be undone or finished;
 * `spec->note` does not count. `root` is that of the instance now (its processes may have others
 * numbers since); NULL: as it was at begin(). OTR_ENOTFOUND: nothing is left to do; OTR_ESTATE: it
 * is under way; OTR_EINVAL: the journal has trouble. */
otr_code otr_change_resume(const otr_change_spec *spec, const otr_root *root, otr_change **ret,
                           otr_err *err) OTR_MUST_CHECK;

#endif
