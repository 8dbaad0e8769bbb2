/*
 * Dead letters: the latest messages that a guest failed to process, to be looked at and tried
 * again.
 *
 * They are counted and weighed: a message that is too heavy for what its plugin may keep, or that
 * must make room for others, leaves a note of it behind, which can be looked at but not tried
 * again. The letters of all plugins share one room; when that is full, those go first of whom most
 * is kept.
 *
 * Thread: loop.
 */
#ifndef OTR_PLUGIN_GUEST_DEAD_H
#define OTR_PLUGIN_GUEST_DEAD_H

#include "plugin/guest/job.h"

enum { OTR_DEAD_LETTERS = 32 };

typedef struct otr_dead_letter {
    otr_msg *msg; /* a reference; NULL: it was let go */
    char *note;   /* then: its envelope without data; NULL: no memory for it */
    char *reason; /* owned, or NULL */
    size_t bytes; /* what `msg` is charged with */
    uint64_t at_ns;
    uint64_t number; /* counts up from 1 */
} otr_dead_letter;

typedef struct otr_dead_letters otr_dead_letters;

/* What all plugins keep together. Zeroed: nothing. Outlives them. */
typedef struct otr_dead_room {
    otr_dead_letters *first;
    size_t bytes;
} otr_dead_room;

struct otr_dead_letters {                   /* zeroed: none */
    otr_dead_letter kept[OTR_DEAD_LETTERS]; /* oldest first */
    size_t n_kept;
    uint64_t n;                       /* ever */
    otr_msg *again[OTR_DEAD_LETTERS]; /* to be replayed; the last one first */
    size_t again_bytes[OTR_DEAD_LETTERS];
    size_t n_again;
    size_t bytes; /* of `kept` and `again` */
    otr_dead_room *room;
    otr_dead_letters *next; /* in the room */
};

/* From now on they count in `room`, until otr_dead_deinit(). */
void otr_dead_enter(otr_dead_letters *d, otr_dead_room *room);
/* Keeps what the job just failed to process; before its batch is released. */
void otr_dead_bury(otr_dead_letters *d, otr_guest_job *job);
/* Keeps what is left of the batch, which nobody will process. */
void otr_dead_bury_rest(otr_dead_letters *d, const otr_guest_job *job, const char *reason);
/* Did this message fail before? */
bool otr_dead_has(const otr_dead_letters *d, const otr_msg *msg);
/* Moves all that there are messages of to `again`, which is empty. */
void otr_dead_replay(otr_dead_letters *d);
/* The next one to be replayed, whose reference is the caller's then; NULL: none. */
otr_msg *otr_dead_take(otr_dead_letters *d);
/* As otr_plugin_host_dead_letters(). */
otr_code otr_dead_write(const otr_dead_letters *d, otr_buf *out, otr_err *err) OTR_MUST_CHECK;
void otr_dead_deinit(otr_dead_letters *d);

#endif
