#include "nginx/change/change.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "base/texts.h"
#include "nginx/change/record.h"
#include "nginx/change/tx.h"

const char *otr_change_state_name(otr_change_state state)
{
    static const char *const names[] = { "none",      "prepared", "swapping", "swapped",
                                         "reloading", "proven",   "undoing",  "undone" };
    return names[state];
}

/* ---- beginning ---- */

/* The journal must hold nothing that is still to be done. */
static otr_code check_free(otr_change *change, otr_err *err)
{
    OTR_CLEANUP(otr_buf_deinit) otr_buf bytes;
    otr_buf_init(&bytes, OTR_LIMIT_CHANGE_JOURNAL_BYTES);
    otr_code rc = otr_journal_read(&change->journal, &bytes, err);
    if (rc != OTR_OK || bytes.n == 0) {
        return rc;
    }
    otr_work work;
    otr_record_result result;
    otr_work_init(&work);
    rc = otr_records_read(otr_buf_bytes(&bytes), NULL, &work, &result, err);
    otr_work_deinit(&work, change->ops);
    if (rc != OTR_OK) {
        return rc;
    }
    if (result.verdict == OTR_RECORDS_WHOLE) {
        return otr_fail(err, OTR_ESTATE,
                        "a change of that instance was broken off and has to be undone or finished "
                        "first: restart the agent, which does that");
    }
    if (result.verdict == OTR_RECORDS_TROUBLE) {
        return otr_fail(err, OTR_EINVAL, "the %s: %s", change->journal.name, result.why);
    }
    return otr_journal_clear(&change->journal, err);
}

static otr_code write_begin(otr_change *change, otr_err *err)
{
    OTR_CLEANUP(otr_buf_deinit) otr_buf record;
    otr_buf_init(&record, OTR_LIMIT_CHANGE_JOURNAL_BYTES);
    otr_code rc = otr_record_begin(&change->work, &record, err);
    if (rc != OTR_OK) {
        return rc;
    }
    rc = otr_journal_append(&change->journal, otr_buf_bytes(&record), OTR_JOURNAL_SYNC, err);
    if (rc != OTR_OK) { /* nothing was done: half of a record may go */
        change->journal.end = 0;
        if (otr_journal_clear(&change->journal, NULL) != OTR_OK) {
            return rc;
        }
    }
    return rc;
}

otr_code otr_change_begin(const otr_change_spec *spec, const otr_plan *plan, otr_change **ret,
                          otr_err *err)
{
    otr_change *change = otr_zalloc(sizeof(*change));
    if (change == NULL) {
        return otr_fail_nomem(err);
    }
    change->ops = spec->ops != NULL ? spec->ops : &otr_fileops_system;
    change->plan = plan;
    change->journal.fd = -1;
    otr_work_init(&change->work);
    otr_code rc = otr_work_of_plan(&change->work, plan, err);
    if (rc == OTR_OK) {
        rc = otr_buf_add(&change->work.note, spec->note, err);
    }
    if (rc == OTR_OK) {
        rc = otr_journal_open(&change->journal, change->ops, spec->folder, spec->instance,
                              OTR_JOURNAL_MAKE, err);
    }
    if (rc == OTR_OK) {
        rc = check_free(change, err);
    }
    if (rc == OTR_OK) {
        rc = otr_work_open(&change->work, change->ops, OTR_MISSING_FAILS, err);
    }
    if (rc == OTR_OK) {
        rc = otr_work_check_new(&change->work, err);
    }
    if (rc == OTR_OK) {
        otr_change_new_id(change->work.id);
        rc = write_begin(change, err);
    }
    if (rc != OTR_OK) {
        otr_change_free(change);
        return rc;
    }
    otr_work_set_state(&change->work, OTR_CHANGE_PREPARED);
    *ret = change;
    return OTR_OK;
}

void otr_change_free(otr_change *change)
{
    if (change != NULL) {
        otr_work_deinit(&change->work, change->ops);
        otr_journal_close(&change->journal);
        otr_texts_free(change->kept);
        otr_free(change);
    }
}

/* ---- going on ---- */

otr_code otr_change_mark(otr_change *change, otr_change_state state, otr_bytes note, otr_err *err)
{
    otr_change_state now = change->work.state;
    bool next = (state == OTR_CHANGE_RELOADING && now == OTR_CHANGE_SWAPPED) ||
                (state == OTR_CHANGE_PROVEN &&
                 (now == OTR_CHANGE_SWAPPED || now == OTR_CHANGE_RELOADING)) ||
                (state == now && (now == OTR_CHANGE_RELOADING || now == OTR_CHANGE_PROVEN));
    if (!next) {
        return otr_fail(err, OTR_ESTATE, "a change that is %s cannot be %s next",
                        otr_change_state_name(now), otr_change_state_name(state));
    }
    if (note.n > OTR_LIMIT_CHANGE_NOTE_BYTES) {
        return otr_fail(err, OTR_EQUOTA, "a note of a change has at most %d bytes",
                        OTR_LIMIT_CHANGE_NOTE_BYTES);
    }
    otr_code rc = otr_tx_state(change, state, note, OTR_JOURNAL_SYNC, err);
    if (rc == OTR_OK && note.n > 0) {
        otr_buf_clear(&change->work.mark_note);
        rc = otr_buf_add(&change->work.mark_note, note, err);
    }
    return rc;
}

/* ---- reading ---- */

otr_change_state otr_change_get_state(const otr_change *change)
{
    return change->work.state;
}

bool otr_change_reached(const otr_change *change, otr_change_state state)
{
    return (change->work.reached & 1U << state) != 0;
}

const char *otr_change_id(const otr_change *change)
{
    return change->work.id;
}

otr_bytes otr_change_note(const otr_change *change)
{
    return otr_buf_bytes(&change->work.note);
}

otr_bytes otr_change_mark_note(const otr_change *change)
{
    return otr_buf_bytes(&change->work.mark_note);
}

uint64_t otr_change_began_s(const otr_change *change)
{
    return change->work.began_s;
}

const char *const *otr_change_kept(const otr_change *change)
{
    static const char *const none[] = { NULL };
    return change->kept != NULL ? (const char *const *)change->kept : none;
}

size_t otr_change_count(const otr_change *change)
{
    return change->work.n_steps;
}

const char *otr_change_path(const otr_change *change, size_t i, char *out, size_t cap)
{
    return otr_work_path(&change->work, &change->work.steps[i], out, cap);
}
