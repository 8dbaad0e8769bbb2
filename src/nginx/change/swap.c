#include <errno.h>
#include <stdio.h>

#include "base/limits.h"
#include "nginx/change/record.h"
#include "nginx/change/tx.h"

#ifndef RENAME_EXCHANGE
enum { RENAME_EXCHANGE = 2 };
#endif

static otr_code fail_swap(const otr_change *change, const otr_step *s, int sys, otr_err *err)
{
    char path[OTR_ROOT_PATH_BYTES];
    (void)otr_work_path(&change->work, s, path, sizeof(path));
    if (sys == EEXIST) {
        return otr_fail(err, OTR_ESTATE,
                        "%s was made by somebody else meanwhile: plan the change again", path);
    }
    if (sys == EPERM) {
        return otr_fail_sys(err, sys,
                            "cannot replace %s; is it or its folder immutable or append-only "
                            "(lsattr)?",
                            path);
    }
    return otr_fail_sys(err, sys, "cannot replace %s", path);
}

/* The file system cannot exchange: the old file gets a second name first, so that it has one at
 * each moment. */
static int replace_by_link(const otr_change *change, const otr_step *s, const otr_names *n)
{
    const otr_fileops *ops = change->ops;
    int dir = change->work.folders[s->folder].fd;
    if (ops->link(ops, dir, s->name, dir, n->old_name) != 0) {
        return -1;
    }
    return ops->rename(ops, dir, n->new_name, dir, s->name, 0);
}

static int exchange(const otr_change *change, const otr_step *s, const otr_names *n)
{
    const otr_fileops *ops = change->ops;
    otr_work_folder *f = &change->work.folders[s->folder];
    otr_rights rights;
    otr_tx_enter(change, s->folder, &rights);
    f->dirty = true;
    int rc = ops->rename(ops, f->fd, n->new_name, f->fd, s->name, RENAME_EXCHANGE);
    if (rc != 0 && (errno == EINVAL || errno == ENOSYS)) {
        rc = replace_by_link(change, s, n);
    }
    otr_tx_leave(&rights);
    return rc;
}

static int swap_one(const otr_change *change, size_t step)
{
    const otr_step *s = &change->work.steps[step];
    otr_names n;
    (void)otr_change_hidden_name(change->work.id, OTR_HIDDEN_NEW, step, n.new_name);
    (void)otr_change_hidden_name(change->work.id, OTR_HIDDEN_OLD, step, n.old_name);
    switch (s->action) {
    case OTR_PLAN_ADD:
        return otr_tx_move(change, s, n.new_name, s->name);
    case OTR_PLAN_DELETE:
        return otr_tx_move(change, s, s->name, n.new_name);
    default:
        return exchange(change, s, &n);
    }
}

/* ---- looks before and after ---- */

static bool is_ready(const otr_step *s, const otr_names *n)
{
    otr_holds target = s->action == OTR_PLAN_ADD ? OTR_HOLDS_NOTHING : OTR_HOLDS_OLD;
    otr_holds hidden = s->action == OTR_PLAN_DELETE ? OTR_HOLDS_NOTHING : OTR_HOLDS_NEW;
    return n->target == target && n->hidden_new == hidden && !n->old_touched;
}

static bool is_swapped(const otr_step *s, const otr_names *n)
{
    otr_holds target = s->action == OTR_PLAN_DELETE ? OTR_HOLDS_NOTHING : OTR_HOLDS_NEW;
    bool old = n->hidden_new == OTR_HOLDS_OLD || n->hidden_old == OTR_HOLDS_OLD;
    return n->target == target && (old || s->action == OTR_PLAN_ADD) && !n->old_touched;
}

static otr_code check_all(const otr_change *change,
                          bool (*check)(const otr_step *s, const otr_names *n), otr_err *err)
{
    const otr_work *work = &change->work;
    for (size_t i = 0; i < work->n_steps; i++) {
        otr_names n;
        otr_code rc = otr_tx_look(change, i, &n, err);
        if (rc != OTR_OK) {
            return rc;
        }
        if (!check(&work->steps[i], &n)) {
            char path[OTR_ROOT_PATH_BYTES];
            return otr_fail(
                err, OTR_ESTATE,
                "%s was changed by somebody else while it was replaced: plan the change "
                "again",
                otr_work_path(work, &work->steps[i], path, sizeof(path)));
        }
    }
    return OTR_OK;
}

static otr_code write_staged(otr_change *change, otr_err *err)
{
    OTR_CLEANUP(otr_buf_deinit) otr_buf record;
    otr_buf_init(&record, OTR_LIMIT_CHANGE_JOURNAL_BYTES);
    otr_code rc = otr_record_staged(&change->work, &record, err);
    return rc == OTR_OK
               ? otr_journal_append(&change->journal, otr_buf_bytes(&record), OTR_JOURNAL_SYNC, err)
               : rc;
}

otr_code otr_change_swap(otr_change *change, otr_err *err)
{
    otr_work *work = &change->work;
    if (work->state != OTR_CHANGE_PREPARED || !work->staged) {
        return otr_fail(err, OTR_ESTATE, "this change cannot be swapped now");
    }
    otr_code rc = write_staged(change, err);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_work_set_state(work, OTR_CHANGE_SWAPPING);
    rc = otr_work_verify(work, change->ops, err);
    if (rc == OTR_OK) {
        rc = check_all(change, is_ready, err);
    }
    for (size_t i = 0; rc == OTR_OK && i < work->n_steps; i++) {
        if (swap_one(change, i) != 0) {
            rc = fail_swap(change, &work->steps[i], errno, err);
        }
    }
    if (rc == OTR_OK) {
        rc = otr_work_sync(work, change->ops, err);
    }
    if (rc == OTR_OK) {
        rc = check_all(change, is_swapped, err);
    }
    if (rc == OTR_OK) {
        rc = otr_work_verify(work, change->ops, err);
    }
    return rc == OTR_OK
               ? otr_tx_state(change, OTR_CHANGE_SWAPPED, (otr_bytes){ 0 }, OTR_JOURNAL_LATER, err)
               : rc;
}

otr_code otr_change_check(const otr_change *change, otr_err *err)
{
    const otr_work *work = &change->work;
    for (size_t i = 0; i < work->n_steps; i++) {
        otr_names n;
        otr_code rc = otr_tx_look(change, i, &n, err);
        if (rc == OTR_OK && !is_swapped(&work->steps[i], &n)) {
            char path[OTR_ROOT_PATH_BYTES];
            rc = otr_fail(err, OTR_ESTATE,
                          "%s was changed by somebody else after it was replaced: what stands "
                          "there is not what was given",
                          otr_work_path(work, &work->steps[i], path, sizeof(path)));
        }
        if (rc != OTR_OK) {
            return rc;
        }
    }
    return OTR_OK;
}
