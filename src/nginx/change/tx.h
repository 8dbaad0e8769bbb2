/*
 * A transaction's object, shared by the files that do its steps.
 *
 * Thread: one at a time.
 */
#ifndef OTR_NGINX_CHANGE_TX_H
#define OTR_NGINX_CHANGE_TX_H

#include "base/base.h"
#include "base/err.h"
#include "nginx/change/change.h"
#include "nginx/change/journal.h"
#include "nginx/change/work.h"
#include "nginx/rights.h"

struct otr_change {
    const otr_fileops *ops;
    otr_journal journal;
    otr_work work;
    const otr_plan *plan; /* NULL after a crash */
    char **kept;          /* ended by NULL */
    size_t n_kept, cap_kept;
};

/* Takes and gives back the rights that the step's folder is worked in with; errno stays. */
void otr_tx_enter(const otr_change *change, size_t folder, otr_rights *rights);
void otr_tx_leave(const otr_rights *rights);

/* What the names of a step hold. */
typedef enum otr_holds {
    OTR_HOLDS_NOTHING,
    OTR_HOLDS_OLD,     /* the file before */
    OTR_HOLDS_NEW,     /* the file after, as it was staged */
    OTR_HOLDS_TOUCHED, /* the same, whose content somebody changed since */
    OTR_HOLDS_OTHER,   /* somebody else's */
} otr_holds;
typedef struct otr_names {
    char new_name[OTR_CHANGE_NAME_BYTES]; /* hidden */
    char old_name[OTR_CHANGE_NAME_BYTES];
    otr_holds target, hidden_new, hidden_old;
    bool old_touched; /* the content of the file before was changed since */
} otr_names;
otr_code otr_tx_look(const otr_change *change, size_t step, otr_names *ret, otr_err *err)
    OTR_MUST_CHECK;

/* Renames within the folder of a step without replacing anything, also where the file system cannot
 * promise that. 0, or -1 with errno. */
int otr_tx_move(const otr_change *change, const otr_step *step, const char *from, const char *to);
/* Moves `name` to a hidden name that is kept, and lists it. */
otr_code otr_tx_keep(otr_change *change, size_t step, const char *name, otr_err *err)
    OTR_MUST_CHECK;

/* Appends the state to the journal and takes it. */
otr_code otr_tx_state(otr_change *change, otr_change_state state, otr_bytes note,
                      otr_journal_sync sync, otr_err *err) OTR_MUST_CHECK;

#endif
