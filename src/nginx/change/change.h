/*
 * One transaction of files: staged, swapped, and undone or finished, whatever ends in between.
 *
 *     begin → stage → swap → (mark …) → finish
 *                 ↘       ↘            ↘
 *                  undo    undo         undo
 *
 * begin() writes the journal of that instance before anything is touched; each step is synced there
 * before it is taken. stage() writes each new file under a hidden name beside its target, with
 * owner, mode and extended attributes of what it replaces. swap() is nothing but renames. undo() is
 * the same renames backwards and takes away what was staged; finish() takes away the old files.
 * Both end the transaction and its journal, may be called again after an error, and do what is left
 * to do. After a crash otr_change_resume() gives the transaction back as far as it came, and
 * `otr_change_get_state()` says which of both is due: finish at OTR_CHANGE_PROVEN, else undo.
 *
 * Which file stands where is asked of the file system by device and inode. A file that somebody
 * else put in the way meanwhile is never removed: undo() moves it to a hidden name that begins with
 * ".outrider-kept-" and lists it.
 *
 * Errors name the file and what to do. After an error of stage() or swap() call undo(). OTR_ESTATE:
 * the disk is not what the plan saw.
 *
 * Thread: any, one at a time. Calls block (files, syncs), a few milliseconds for one file.
 */
#ifndef OTR_NGINX_CHANGE_CHANGE_H
#define OTR_NGINX_CHANGE_CHANGE_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "nginx/change/fileops.h"
#include "nginx/change/plan.h"
#include "nginx/root.h"

/* How far a transaction came, as the journal has it. In this order. */
typedef enum otr_change_state {
    OTR_CHANGE_NONE,      /* no transaction */
    OTR_CHANGE_PREPARED,  /* folders and hidden files may be there; no name has changed */
    OTR_CHANGE_SWAPPING,  /* some names may have changed */
    OTR_CHANGE_SWAPPED,   /* all have */
    OTR_CHANGE_RELOADING, /* NGINX may have been told to read them */
    OTR_CHANGE_PROVEN,    /* NGINX serves them: they stay. Set when probation is over, too */
    OTR_CHANGE_UNDOING,   /* some names may have changed back: only undo() may follow */
    OTR_CHANGE_UNDONE,    /* all have, by put_back(): NGINX may still run with the new files */
} otr_change_state;
/* "none", "prepared", "swapping", … */
const char *otr_change_state_name(otr_change_state state);

typedef struct otr_change otr_change;

typedef struct otr_change_spec {
    const char *folder;     /* of the journals, "<state>/apply": made with 0700 if it is missing */
    const char *instance;   /* its id: letters, digits, '.', '_', '-', at most 128 */
    otr_bytes note;         /* the caller's own, given back by resume(): who, why; up to
                               OTR_LIMIT_CHANGE_NOTE_BYTES */
    const otr_fileops *ops; /* NULL: the system's */
} otr_change_spec;

/* Journals that `plan` begins. Borrows the plan until the transaction is freed. OTR_ESTATE: one of
 * that instance is under way, or waits to be resumed after a crash. */
otr_code otr_change_begin(const otr_change_spec *spec, const otr_plan *plan, otr_change **ret,
                          otr_err *err) OTR_MUST_CHECK;
otr_code otr_change_stage(otr_change *change, otr_err *err) OTR_MUST_CHECK;
otr_code otr_change_swap(otr_change *change, otr_err *err) OTR_MUST_CHECK;
/* Journals, synced, that RELOADING or PROVEN is reached; a state never goes back. `note` (may be
 * empty) is kept beside the first one: the last that was given comes back from resume(). */
otr_code otr_change_mark(otr_change *change, otr_change_state state, otr_bytes note, otr_err *err)
    OTR_MUST_CHECK;
/* The old files come back, and the journal stays: for who has to reload NGINX with them (RELOADING
 * was reached) and wants to be told of that after a crash, too. undo() then ends it. */
otr_code otr_change_put_back(otr_change *change, otr_err *err) OTR_MUST_CHECK;
/* put_back(), if it was not called yet, and the end of the transaction. */
otr_code otr_change_undo(otr_change *change, otr_err *err) OTR_MUST_CHECK;
otr_code otr_change_finish(otr_change *change, otr_err *err) OTR_MUST_CHECK;
/* Lets go of descriptors and of the journal, which stays as it is: a transaction that is neither
 * undone nor finished waits to be resumed. NULL is fine. */
void otr_change_free(otr_change *change);

/* Between swap and end: does what was put there still stand there? OTR_ESTATE names one file of
 * which it does not. */
otr_code otr_change_check(const otr_change *change, otr_err *err) OTR_MUST_CHECK;

otr_change_state otr_change_get_state(const otr_change *change);
/* Whether it ever was in `state`: had RELOADING been reached before it was undone? */
bool otr_change_reached(const otr_change *change, otr_change_state state);
/* 32 hex digits, random: in hidden names and in the journal. */
const char *otr_change_id(const otr_change *change);
otr_bytes otr_change_note(const otr_change *change);      /* of begin() */
otr_bytes otr_change_mark_note(const otr_change *change); /* of the last mark(); may be empty */
uint64_t otr_change_began_s(const otr_change *change);    /* wall time of begin(), seconds */
/* Whether undo() had to put something aside: paths, ended by NULL; empty list: nothing. */
const char *const *otr_change_kept(const otr_change *change);
/* How many files it changes, and where the i-th is, without links, into `out`; returns `out`. */
size_t otr_change_count(const otr_change *change);
const char *otr_change_path(const otr_change *change, size_t i, char *out, size_t cap);

#endif
