#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "nginx/change/tx.h"

#ifndef RENAME_EXCHANGE
enum { RENAME_EXCHANGE = 2 };
#endif

static otr_code fail_back(const otr_change *change, const otr_step *s, const char *what,
                          otr_err *err)
{
    int sys = errno;
    char path[OTR_ROOT_PATH_BYTES];
    return otr_fail_sys(err, sys, "cannot %s %s (trying again may help)", what,
                        otr_work_path(&change->work, s, path, sizeof(path)));
}

static otr_code remove_name(otr_change *change, const otr_step *s, const char *name, otr_err *err)
{
    const otr_fileops *ops = change->ops;
    otr_work_folder *f = &change->work.folders[s->folder];
    otr_rights rights;
    otr_tx_enter(change, s->folder, &rights);
    f->dirty = true;
    int rc = ops->unlink(ops, f->fd, name, 0);
    otr_tx_leave(&rights);
    if (rc == 0 || errno == ENOENT) {
        return OTR_OK;
    }
    return otr_fail_sys(err, errno, "cannot remove %s in %s (trying again may help)", name,
                        f->path);
}

/* Renames `from` over the target: the staged file that stands there is ours and goes. */
static otr_code put_back_over(otr_change *change, const otr_step *s, const char *from, otr_err *err)
{
    const otr_fileops *ops = change->ops;
    otr_work_folder *f = &change->work.folders[s->folder];
    otr_rights rights;
    otr_tx_enter(change, s->folder, &rights);
    f->dirty = true;
    int rc = ops->rename(ops, f->fd, from, f->fd, s->name, 0);
    otr_tx_leave(&rights);
    return rc == 0 ? OTR_OK : fail_back(change, s, "put back", err);
}

static otr_code exchange_back(otr_change *change, const otr_step *s, const otr_names *n,
                              otr_err *err)
{
    const otr_fileops *ops = change->ops;
    otr_work_folder *f = &change->work.folders[s->folder];
    otr_rights rights;
    otr_tx_enter(change, s->folder, &rights);
    f->dirty = true;
    int rc = ops->rename(ops, f->fd, n->new_name, f->fd, s->name, RENAME_EXCHANGE);
    otr_tx_leave(&rights);
    if (rc != 0 && (errno == EINVAL || errno == ENOSYS)) {
        return put_back_over(change, s, n->new_name, err);
    }
    return rc == 0 ? OTR_OK : fail_back(change, s, "put back", err);
}

/* `from` holds the old file and the target something else, or nothing. */
static otr_code put_back(otr_change *change, size_t step, const otr_names *n, const char *from,
                         otr_err *err)
{
    const otr_step *s = &change->work.steps[step];
    if (n->target == OTR_HOLDS_NEW) {
        return from == n->new_name ? exchange_back(change, s, n, err)
                                   : put_back_over(change, s, from, err);
    }
    if (n->target != OTR_HOLDS_NOTHING) {
        otr_code rc = otr_tx_keep(change, step, s->name, err);
        if (rc != OTR_OK) {
            return rc;
        }
    }
    return otr_tx_move(change, s, from, s->name) == 0 ? OTR_OK
                                                      : fail_back(change, s, "put back", err);
}

/* An addition: what stands at its name is ours as it was, or somebody's work on it. */
static otr_code take_away(otr_change *change, size_t step, const otr_names *n, otr_err *err)
{
    const otr_step *s = &change->work.steps[step];
    if (n->target == OTR_HOLDS_NEW && n->hidden_new == OTR_HOLDS_NEW) { /* moved by a link */
        return remove_name(change, s, s->name, err);
    }
    if (n->target == OTR_HOLDS_NEW && n->hidden_new == OTR_HOLDS_NOTHING) {
        return otr_tx_move(change, s, s->name, n->new_name) == 0
                   ? OTR_OK
                   : fail_back(change, s, "take away", err);
    }
    if (n->target == OTR_HOLDS_TOUCHED ||
        (n->target == OTR_HOLDS_OTHER && n->hidden_new == OTR_HOLDS_NOTHING &&
         otr_change_reached(change, OTR_CHANGE_SWAPPED))) {
        return otr_tx_keep(change, step, s->name, err);
    }
    return OTR_OK;
}

/* Whatever stands under a hidden name and is not what was staged there was at the target before the
 * exchange, and goes back: the old file, or one that somebody put in the way at the last moment. */
static otr_code undo_step(otr_change *change, size_t step, otr_err *err)
{
    const otr_step *s = &change->work.steps[step];
    otr_names n;
    otr_code rc = otr_tx_look(change, step, &n, err);
    if (rc != OTR_OK) {
        return rc;
    }
    if (s->action == OTR_PLAN_ADD) {
        return take_away(change, step, &n, err);
    }
    if (n.target == OTR_HOLDS_OLD) {
        return OTR_OK;
    }
    if (n.hidden_new == OTR_HOLDS_OLD) {
        return put_back(change, step, &n, n.new_name, err);
    }
    if (n.hidden_old == OTR_HOLDS_OLD) {
        return put_back(change, step, &n, n.old_name, err);
    }
    bool mine = n.target == OTR_HOLDS_NEW || n.target == OTR_HOLDS_NOTHING;
    if (n.hidden_new == OTR_HOLDS_OTHER && mine && change->work.staged) {
        return put_back(change, step, &n, n.new_name, err);
    }
    if (n.target == OTR_HOLDS_NEW || n.target == OTR_HOLDS_TOUCHED) {
        char path[OTR_ROOT_PATH_BYTES];
        return otr_fail(err, OTR_ESTATE,
                        "%s cannot be put back: its old file was removed by somebody else",
                        otr_work_path(&change->work, s, path, sizeof(path)));
    }
    return OTR_OK;
}

/* ---- hidden names ---- */

/* Before the swap an unknown one is what was being staged. */
static otr_code clear_undone(otr_change *change, size_t step, otr_err *err)
{
    const otr_step *s = &change->work.steps[step];
    otr_names n;
    otr_code rc = otr_tx_look(change, step, &n, err);
    if (rc != OTR_OK) {
        return rc;
    }
    if (n.hidden_new == OTR_HOLDS_NEW ||
        (n.hidden_new == OTR_HOLDS_OTHER && !change->work.staged)) {
        rc = remove_name(change, s, n.new_name, err);
    } else if (n.hidden_new == OTR_HOLDS_TOUCHED || n.hidden_new == OTR_HOLDS_OTHER) {
        rc = otr_tx_keep(change, step, n.new_name, err);
    }
    bool back = n.target == OTR_HOLDS_OLD; /* and a second name of it from a move by link */
    if (rc == OTR_OK && back && n.hidden_new == OTR_HOLDS_OLD) {
        rc = remove_name(change, s, n.new_name, err);
    }
    if (rc == OTR_OK && back && n.hidden_old == OTR_HOLDS_OLD) {
        rc = remove_name(change, s, n.old_name, err);
    }
    return rc;
}

static otr_code clear_hidden(otr_change *change, size_t step, const char *name, otr_holds holds,
                             bool touched, otr_err *err)
{
    const otr_step *s = &change->work.steps[step];
    if (holds == OTR_HOLDS_NOTHING) {
        return OTR_OK;
    }
    return holds == OTR_HOLDS_OLD && !touched ? remove_name(change, s, name, err)
                                              : otr_tx_keep(change, step, name, err);
}

static otr_code clear_finished(otr_change *change, size_t step, otr_err *err)
{
    otr_names n;
    otr_code rc = otr_tx_look(change, step, &n, err);
    if (rc == OTR_OK) {
        rc = clear_hidden(change, step, n.new_name, n.hidden_new, n.old_touched, err);
    }
    if (rc == OTR_OK) {
        rc = clear_hidden(change, step, n.old_name, n.hidden_old, n.old_touched, err);
    }
    return rc;
}

/* ---- folders that were made ---- */

static otr_code remove_folder(otr_change *change, otr_work_folder *f, otr_err *err)
{
    const otr_fileops *ops = change->ops;
    otr_work_folder *parent = &change->work.folders[f->parent];
    if (parent->fd < 0) {
        return OTR_OK;
    }
    parent->dirty = true;
    if (ops->unlink(ops, parent->fd, strrchr(f->path, '/') + 1, AT_REMOVEDIR) == 0 ||
        errno == ENOENT || errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR) {
        return OTR_OK;
    }
    return otr_fail_sys(err, errno, "cannot remove the folder %s (trying again may help)", f->path);
}

static otr_code remove_folders(otr_change *change, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = change->work.n_folders; rc == OTR_OK && i > 0; i--) {
        otr_work_folder *f = &change->work.folders[i - 1];
        if (f->make) {
            otr_rights rights;
            otr_tx_enter(change, i - 1, &rights);
            rc = remove_folder(change, f, err);
            otr_tx_leave(&rights);
        }
    }
    return rc;
}

/* ---- ends ---- */

typedef otr_code step_fn(otr_change *change, size_t step, otr_err *err);

/* All steps, backwards; one that fails does not keep the others from being done. The first failure
 * counts. */
static otr_code each_step(otr_change *change, step_fn *fn, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = change->work.n_steps; i > 0; i--) {
        otr_err why;
        otr_code one = fn(change, i - 1, rc == OTR_OK ? err : &why);
        rc = rc == OTR_OK ? one : rc;
    }
    return rc;
}

/* Only after a crash: else all are open that are there, wherever their paths lead by now. */
static otr_code reopen(otr_change *change, otr_err *err)
{
    return change->plan == NULL
               ? otr_work_open(&change->work, change->ops, OTR_MISSING_IS_FINE, err)
               : OTR_OK;
}

static otr_code put_back_all(otr_change *change, otr_err *err)
{
    otr_work *work = &change->work;
    otr_code rc = reopen(change, err);
    if (rc == OTR_OK) {
        rc = each_step(change, undo_step, err);
    }
    if (rc == OTR_OK) {
        rc = otr_work_sync(work, change->ops, err);
    }
    if (rc == OTR_OK) {
        rc = each_step(change, clear_undone, err);
    }
    if (rc == OTR_OK) {
        rc = remove_folders(change, err);
    }
    return rc == OTR_OK ? otr_work_sync(work, change->ops, err) : rc;
}

/* A state that is worth knowing after a crash and that nothing hangs on: a full disk keeps nobody
 * from going back. */
static void say(otr_change *change, otr_change_state state)
{
    const otr_bytes none = { 0 };
    if (otr_tx_state(change, state, none, OTR_JOURNAL_LATER, NULL) != OTR_OK) {
        otr_work_set_state(&change->work, state);
    }
}

otr_code otr_change_put_back(otr_change *change, otr_err *err)
{
    otr_change_state state = change->work.state;
    if (state == OTR_CHANGE_NONE || state == OTR_CHANGE_UNDONE) {
        return OTR_OK;
    }
    if (state == OTR_CHANGE_PROVEN) {
        return otr_fail(err, OTR_ESTATE, "a change that is proven is not undone: finish it");
    }
    if (state == OTR_CHANGE_SWAPPED || state == OTR_CHANGE_RELOADING) {
        say(change, OTR_CHANGE_UNDOING);
    }
    otr_code rc = put_back_all(change, err);
    if (rc == OTR_OK) {
        say(change, OTR_CHANGE_UNDONE);
    }
    return rc;
}

otr_code otr_change_undo(otr_change *change, otr_err *err)
{
    otr_work *work = &change->work;
    otr_code rc = otr_change_put_back(change, err);
    if (rc == OTR_OK && work->state != OTR_CHANGE_NONE) {
        rc = otr_journal_clear(&change->journal, err);
    }
    work->state = rc == OTR_OK ? OTR_CHANGE_NONE : work->state;
    return rc;
}

otr_code otr_change_finish(otr_change *change, otr_err *err)
{
    otr_work *work = &change->work;
    if (work->state == OTR_CHANGE_NONE) {
        return OTR_OK;
    }
    if (work->state != OTR_CHANGE_PROVEN) {
        return otr_fail(err, OTR_ESTATE, "a change that is %s, not proven, is not finished",
                        otr_change_state_name(work->state));
    }
    otr_code rc = reopen(change, err);
    if (rc == OTR_OK) {
        rc = each_step(change, clear_finished, err);
    }
    if (rc == OTR_OK) {
        rc = otr_work_sync(work, change->ops, err);
    }
    if (rc == OTR_OK) {
        rc = otr_journal_clear(&change->journal, err);
    }
    work->state = rc == OTR_OK ? OTR_CHANGE_NONE : work->state;
    return rc;
}
