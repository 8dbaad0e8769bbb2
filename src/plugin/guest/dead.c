#include "plugin/guest/dead.h"

#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"

/* All letters stay below what one answer holds. */
enum { LETTER_BYTES = 256 * 1024, NOTE_BYTES = 4096 };

/* ---- what is kept ---- */

static void charge(otr_dead_letters *d, size_t bytes)
{
    d->bytes += bytes;
    if (d->room != NULL) {
        d->room->bytes += bytes;
    }
}

static void discharge(otr_dead_letters *d, size_t bytes)
{
    d->bytes -= bytes;
    if (d->room != NULL) {
        d->room->bytes -= bytes;
    }
}

/* Its place is the caller's to close. */
static void release(otr_dead_letters *d, otr_dead_letter *letter)
{
    discharge(d, letter->bytes);
    otr_msg_unref(letter->msg);
    otr_free(letter->note);
    otr_free(letter->reason);
    *letter = (otr_dead_letter){ .msg = NULL };
}

/* Lets the message go and leaves a note. */
static void strip(otr_dead_letters *d, otr_dead_letter *letter)
{
    otr_buf note;
    otr_buf_init(&note, NOTE_BYTES);
    if (otr_msg_json_most(letter->msg, 0, &note, NULL) == OTR_OK) {
        letter->note = otr_strdup(otr_buf_text(&note));
    }
    otr_buf_deinit(&note);
    discharge(d, letter->bytes);
    letter->bytes = 0;
    letter->msg = otr_msg_unref(letter->msg);
}

/* False: there is nothing to let go. */
static bool strip_oldest(otr_dead_letters *d)
{
    for (size_t i = 0; i < d->n_kept; i++) {
        if (d->kept[i].msg != NULL) {
            strip(d, &d->kept[i]);
            return true;
        }
    }
    return false;
}

static size_t kept_bytes(const otr_dead_letters *d)
{
    size_t bytes = 0;
    for (size_t i = 0; i < d->n_kept; i++) {
        bytes += d->kept[i].bytes;
    }
    return bytes;
}

static otr_dead_letters *heaviest(const otr_dead_room *room)
{
    otr_dead_letters *most = NULL;
    size_t most_bytes = 0;
    for (otr_dead_letters *d = room->first; d != NULL; d = d->next) {
        size_t bytes = kept_bytes(d);
        if (bytes > most_bytes) {
            most = d;
            most_bytes = bytes;
        }
    }
    return most;
}

static void make_room(otr_dead_letters *d)
{
    while (d->bytes > OTR_LIMIT_PLUGIN_DEAD_BYTES && strip_oldest(d)) {
    }
    otr_dead_letters *most;
    while (d->room != NULL && d->room->bytes > OTR_LIMIT_DEAD_BYTES &&
           (most = heaviest(d->room)) != NULL) {
        (void)strip_oldest(most);
    }
}

/* The letter, whose reason is the caller's to give. */
static otr_dead_letter *keep(otr_dead_letters *d, otr_msg *msg)
{
    if (d->n_kept == OTR_DEAD_LETTERS) {
        release(d, &d->kept[0]);
        memmove(&d->kept[0], &d->kept[1], --d->n_kept * sizeof(d->kept[0]));
    }
    otr_msg_trim(msg, 1); /* the batch has it */
    otr_dead_letter *letter = &d->kept[d->n_kept++];
    *letter = (otr_dead_letter){ .msg = otr_msg_ref(msg),
                                 .bytes = otr_msg_weight(msg),
                                 .at_ns = otr_now_ns(),
                                 .number = ++d->n };
    charge(d, letter->bytes);
    make_room(d);
    return letter;
}

void otr_dead_enter(otr_dead_letters *d, otr_dead_room *room)
{
    d->room = room;
    d->next = room->first;
    room->first = d;
    room->bytes += d->bytes;
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
    while (d->n_kept > 0) {
        release(d, &d->kept[--d->n_kept]);
    }
    for (otr_msg *msg; (msg = otr_dead_take(d)) != NULL;) {
        otr_msg_unref(msg);
    }
    if (d->room != NULL) {
        otr_dead_letters **at = &d->room->first;
        while (*at != d) {
            at = &(*at)->next;
        }
        *at = d->next;
        d->room = NULL;
    }
}

/* ---- what is shown ---- */

/* A message that is too long shows without its data, so that all letters fit one answer. */
static otr_code write_message(const otr_dead_letter *letter, otr_buf *out, otr_err *err)
{
    if (letter->msg != NULL) {
        return otr_msg_json_most(letter->msg, LETTER_BYTES, out, err);
    }
    return otr_buf_adds(out, letter->note != NULL ? letter->note : "null", err);
}

static otr_code write_one(otr_jw *w, const otr_dead_letter *letter, otr_err *err)
{
    char time[OTR_TIME_BYTES];
    otr_buf json;
    otr_buf_init(&json, LETTER_BYTES + NOTE_BYTES);
    otr_code rc = write_message(letter, &json, err);
    if (rc == OTR_OK) {
        otr_jw_obj(w, NULL);
        otr_jw_u64(w, "number", letter->number);
        otr_jw_str(w, "time", otr_time_text(otr_wall_of(letter->at_ns), time));
        otr_jw_str(w, "reason", letter->reason != NULL ? letter->reason : "");
        if (letter->msg == NULL) {
            otr_jw_bool(w, "replayable", false);
        }
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
    for (size_t k = 0; rc == OTR_OK && k < d->n_kept; k++) {
        rc = write_one(&w, &d->kept[k], err);
    }
    otr_jw_arr_end(&w);
    otr_code wrote = otr_jw_end(&w);
    return rc == OTR_OK ? wrote : rc;
}

bool otr_dead_has(const otr_dead_letters *d, const otr_msg *msg)
{
    for (size_t i = 0; i < d->n_kept; i++) {
        if (d->kept[i].msg == msg) {
            return true;
        }
    }
    return false;
}

/* ---- once more ---- */

void otr_dead_replay(otr_dead_letters *d)
{
    size_t notes = 0;
    /* Taken from the end, so the oldest goes last into the list. */
    for (size_t k = d->n_kept; k > 0; k--) {
        otr_dead_letter *letter = &d->kept[k - 1];
        if (letter->msg != NULL) {
            d->again_bytes[d->n_again] = letter->bytes;
            d->again[d->n_again++] = otr_steal(&letter->msg);
            letter->bytes = 0;
            release(d, letter);
        }
    }
    for (size_t k = 0; k < d->n_kept; k++) {
        if (d->kept[k].number != 0) {
            otr_dead_letter note = d->kept[k];
            d->kept[k] = (otr_dead_letter){ .msg = NULL };
            d->kept[notes++] = note;
        }
    }
    d->n_kept = notes;
}

otr_msg *otr_dead_take(otr_dead_letters *d)
{
    if (d->n_again == 0) {
        return NULL;
    }
    discharge(d, d->again_bytes[--d->n_again]);
    return d->again[d->n_again];
}
