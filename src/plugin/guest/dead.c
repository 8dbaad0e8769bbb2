#include "plugin/guest/dead.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"

/* All letters stay below what one answer holds. */
enum { LETTER_BYTES = 256 * 1024, STUB_BYTES = 1024 };

static void release(otr_dead_letter *letter)
{
    otr_msg_unref(letter->msg);
    otr_free(letter->reason);
    *letter = (otr_dead_letter){ .msg = NULL };
}

/* The place of the next one; its reason is the caller's to give. */
static otr_dead_letter *keep(otr_dead_letters *d, const otr_msg *msg)
{
    otr_dead_letter *slot = &d->kept[d->n % OTR_DEAD_LETTERS];
    release(slot);
    *slot = (otr_dead_letter){
        .msg = otr_msg_ref(msg),
        .at_ns = otr_now_ns(),
        .number = ++d->n,
    };
    d->n_kept += d->n_kept < OTR_DEAD_LETTERS;
    return slot;
}

void otr_dead_bury(otr_dead_letters *d, otr_guest_job *job)
{
    for (size_t i = 0; i < job->n_failed; i++) {
        otr_dead_letter *letter = keep(d, job->batch[job->failed[i].index].msg);
        letter->reason = otr_steal(&job->failed[i].reason);
    }
}

void otr_dead_bury_rest(otr_dead_letters *d, const otr_guest_job *job, const char *reason)
{
    for (size_t i = 0; i < job->n; i++) {
        if (job->batch[i].deadline_ns == 0) {
            keep(d, job->batch[i].msg)->reason = otr_strdup(reason);
        }
    }
}

void otr_dead_deinit(otr_dead_letters *d)
{
    for (size_t i = 0; i < OTR_DEAD_LETTERS; i++) {
        release(&d->kept[i]);
    }
    while (d->n_again > 0) {
        otr_msg_unref(d->again[--d->n_again]);
    }
}

/* The k-th of those kept, oldest first; NULL behind the last. */
static const otr_dead_letter *kept(const otr_dead_letters *d, size_t k)
{
    return k < d->n_kept ? &d->kept[(d->n - d->n_kept + k) % OTR_DEAD_LETTERS] : NULL;
}

/* A message that is too long shows without its data, so that all letters fit one answer. */
static otr_code write_one(otr_jw *w, const otr_dead_letter *letter, otr_err *err)
{
    char time[OTR_TIME_BYTES];
    otr_buf json;
    otr_buf_init(&json, LETTER_BYTES + STUB_BYTES);
    otr_code rc = otr_msg_json_most(letter->msg, LETTER_BYTES, &json, err);
    if (rc == OTR_OK) {
        otr_jw_obj(w, NULL);
        otr_jw_u64(w, "number", letter->number);
        otr_jw_str(w, "time", otr_time_text(otr_wall_of(letter->at_ns), time));
        otr_jw_str(w, "reason", letter->reason != NULL ? letter->reason : "");
        otr_jw_raw(w, "message", otr_buf_bytes(&json));
        otr_jw_obj_end(w);
    }
    otr_buf_deinit(&json);
    return rc;
}

otr_code otr_dead_write(const otr_dead_letters *d, otr_buf *out, otr_err *err)
{
    otr_jw w;
    otr_code rc = OTR_OK;
    otr_jw_begin(&w, out, err);
    otr_jw_arr(&w, NULL);
    const otr_dead_letter *letter;
    for (size_t k = 0; rc == OTR_OK && (letter = kept(d, k)) != NULL; k++) {
        rc = write_one(&w, letter, err);
    }
    otr_jw_arr_end(&w);
    otr_code wrote = otr_jw_end(&w);
    return rc == OTR_OK ? wrote : rc;
}

bool otr_dead_has(const otr_dead_letters *d, const otr_msg *msg)
{
    for (size_t i = 0; i < OTR_DEAD_LETTERS; i++) {
        if (d->kept[i].msg == msg) {
            return true;
        }
    }
    return false;
}

void otr_dead_replay(otr_dead_letters *d)
{
    /* Taken from the end, so the oldest goes last into the list. */
    for (size_t k = d->n_kept; k > 0; k--) {
        d->again[d->n_again++] = otr_msg_ref(kept(d, k - 1)->msg);
    }
    for (size_t i = 0; i < OTR_DEAD_LETTERS; i++) {
        release(&d->kept[i]);
    }
    d->n_kept = 0;
}
