#include "nginx/change/tx.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "nginx/change/record.h"

#ifndef RENAME_NOREPLACE
enum { RENAME_NOREPLACE = 1 };
#endif

void otr_tx_enter(const otr_change *change, size_t folder, otr_rights *rights)
{
    int sys = errno;
    const otr_work *w = &change->work;
    otr_rights_take(w->actors.items[w->folders[folder].actor], rights);
    errno = sys;
}

void otr_tx_leave(const otr_rights *rights)
{
    int sys = errno;
    otr_rights_give_back(rights);
    errno = sys;
}

/* ---- what is where ---- */

static otr_holds judge(const otr_work *w, const otr_step *s, const struct stat *st, bool *touched)
{
    if (otr_work_is(w, &s->before, st)) {
        *touched = *touched || !otr_work_is_as_it_was(w, &s->before, st);
        return OTR_HOLDS_OLD;
    }
    if (otr_work_is(w, &s->after, st)) {
        return otr_work_is_as_it_was(w, &s->after, st) ? OTR_HOLDS_NEW : OTR_HOLDS_TOUCHED;
    }
    return OTR_HOLDS_OTHER;
}

static otr_code look_at(const otr_change *change, const otr_step *s, const char *name,
                        otr_holds *ret, bool *touched, otr_err *err)
{
    const otr_work_folder *f = &change->work.folders[s->folder];
    struct stat st;
    if (otr_fileops_stat(change->ops, f->fd, name, &st)) {
        *ret = judge(&change->work, s, &st, touched);
        return OTR_OK;
    }
    *ret = OTR_HOLDS_NOTHING;
    return errno == ENOENT ? OTR_OK
                           : otr_fail_sys(err, errno, "cannot look at %s in %s", name, f->path);
}

otr_code otr_tx_look(const otr_change *change, size_t step, otr_names *ret, otr_err *err)
{
    const otr_step *s = &change->work.steps[step];
    *ret = (otr_names){ 0 };
    (void)otr_change_hidden_name(change->work.id, OTR_HIDDEN_NEW, step, ret->new_name);
    (void)otr_change_hidden_name(change->work.id, OTR_HIDDEN_OLD, step, ret->old_name);
    otr_rights rights;
    otr_tx_enter(change, s->folder, &rights);
    otr_code rc = look_at(change, s, s->name, &ret->target, &ret->old_touched, err);
    if (rc == OTR_OK) {
        rc = look_at(change, s, ret->new_name, &ret->hidden_new, &ret->old_touched, err);
    }
    if (rc == OTR_OK) {
        rc = look_at(change, s, ret->old_name, &ret->hidden_old, &ret->old_touched, err);
    }
    otr_tx_leave(&rights);
    return rc;
}

/* ---- renames ---- */

/* A link never replaces anything, and a file has two names for a moment instead of one that could
 * replace another. Where there are no links either, nothing but us gives such names. */
static int move_by_link(const otr_fileops *ops, int dir, const char *from, const char *to)
{
    if (ops->link(ops, dir, from, dir, to) == 0) {
        return ops->unlink(ops, dir, from, 0);
    }
    if (errno != EPERM && errno != EOPNOTSUPP && errno != EMLINK) {
        return -1;
    }
    struct stat st;
    if (otr_fileops_stat(ops, dir, to, &st)) {
        errno = EEXIST;
        return -1;
    }
    return ops->rename(ops, dir, from, dir, to, 0);
}

int otr_tx_move(const otr_change *change, const otr_step *step, const char *from, const char *to)
{
    const otr_fileops *ops = change->ops;
    otr_work_folder *f = &change->work.folders[step->folder];
    otr_rights rights;
    otr_tx_enter(change, step->folder, &rights);
    int rc = ops->rename(ops, f->fd, from, f->fd, to, RENAME_NOREPLACE);
    if (rc != 0 && (errno == EINVAL || errno == ENOSYS)) {
        rc = move_by_link(ops, f->fd, from, to);
    }
    f->dirty = true;
    otr_tx_leave(&rights);
    return rc;
}

enum { KEPT_BYTES = OTR_ROOT_PATH_BYTES + OTR_CHANGE_NAME_BYTES };

/* Room in the list, before anything is moved: what is put aside must be told of. */
static otr_code make_room(otr_change *change, char **ret, otr_err *err)
{
    for (size_t i = 0; i < 2; i++) { /* for the NULL, too */
        otr_code rc =
            otr_grow(&change->kept, change->n_kept + i, &change->cap_kept, sizeof(char *), err);
        if (rc != OTR_OK) {
            return rc;
        }
        change->kept[change->n_kept] = NULL;
    }
    *ret = otr_alloc(KEPT_BYTES);
    return *ret != NULL ? OTR_OK : otr_fail_nomem(err);
}

otr_code otr_tx_keep(otr_change *change, size_t step, const char *name, otr_err *err)
{
    const otr_step *s = &change->work.steps[step];
    char kept[OTR_CHANGE_NAME_BYTES], *text;
    otr_code rc = make_room(change, &text, err);
    if (rc != OTR_OK) {
        return rc;
    }
    int moved = -1;
    for (size_t tries = 0; tries < 8; tries++) {
        size_t n = step + tries * change->work.n_steps;
        (void)otr_change_hidden_name(change->work.id, OTR_HIDDEN_KEPT, n, kept);
        moved = otr_tx_move(change, s, name, kept);
        if (moved == 0 || errno != EEXIST) {
            break;
        }
    }
    if (moved != 0) {
        int sys = errno;
        otr_free(text);
        return otr_fail_sys(err, sys, "cannot put %s in %s aside", name,
                            change->work.folders[s->folder].path);
    }
    const otr_step shown = { .folder = s->folder, .name = kept };
    (void)otr_work_path(&change->work, &shown, text, KEPT_BYTES);
    change->kept[change->n_kept++] = text;
    change->kept[change->n_kept] = NULL;
    return OTR_OK;
}

/* ---- states ---- */

otr_code otr_tx_state(otr_change *change, otr_change_state state, otr_bytes note,
                      otr_journal_sync sync, otr_err *err)
{
    OTR_CLEANUP(otr_buf_deinit) otr_buf record;
    otr_buf_init(&record, OTR_LIMIT_CHANGE_JOURNAL_BYTES);
    otr_code rc = otr_record_state(&change->work, state, note, &record, err);
    if (rc == OTR_OK) {
        rc = otr_journal_append(&change->journal, otr_buf_bytes(&record), sync, err);
    }
    if (rc == OTR_OK) {
        otr_work_set_state(&change->work, state);
    }
    return rc;
}
