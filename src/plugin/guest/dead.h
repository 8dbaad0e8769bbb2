/*
 * Dead letters: the latest messages that a guest failed to process, to be looked at and tried
 * again.
 *
 * Thread: loop.
 */
#ifndef OTR_PLUGIN_GUEST_DEAD_H
#define OTR_PLUGIN_GUEST_DEAD_H

#include "plugin/guest/job.h"

enum { OTR_DEAD_LETTERS = 32 };

typedef struct otr_dead_letter {
    otr_msg *msg; /* a reference */
    char *reason; /* owned, or NULL */
    uint64_t at_ns;
    uint64_t number; /* counts up from 1 */
} otr_dead_letter;

typedef struct otr_dead_letters {           /* zeroed: none */
    otr_dead_letter kept[OTR_DEAD_LETTERS]; /* a ring */
    uint64_t n;                             /* ever */
    otr_msg *again[OTR_DEAD_LETTERS];       /* to be replayed; the last one first */
    size_t n_again;
} otr_dead_letters;

/* Keeps what the job just failed to process; before its batch is released. */
void otr_dead_bury(otr_dead_letters *d, otr_guest_job *job);
/* Keeps what is left of the batch, which nobody will process. */
void otr_dead_bury_rest(otr_dead_letters *d, const otr_guest_job *job, const char *reason);
/* Did this message fail before? */
bool otr_dead_has(const otr_dead_letters *d, const otr_msg *msg);
/* Moves all to `again`, which is empty. */
void otr_dead_replay(otr_dead_letters *d);
/* As otr_plugin_host_dead_letters(). */
otr_code otr_dead_write(const otr_dead_letters *d, otr_buf *out, otr_err *err) OTR_MUST_CHECK;
void otr_dead_deinit(otr_dead_letters *d);

#endif
