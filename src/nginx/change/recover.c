#include "nginx/change/recover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "nginx/change/record.h"
#include "nginx/change/tx.h"

static const otr_fileops *ops_of(const otr_fileops *ops)
{
    return ops != NULL ? ops : &otr_fileops_system;
}

/* ---- one journal ---- */

typedef struct found {
    otr_journal journal;
    otr_work work;
    otr_record_result result;
} found;

static otr_code read_journal(found *f, const otr_change_spec *spec, const otr_root *root,
                             otr_err *err)
{
    OTR_CLEANUP(otr_buf_deinit) otr_buf bytes;
    otr_buf_init(&bytes, OTR_LIMIT_CHANGE_JOURNAL_BYTES);
    otr_code rc = otr_journal_open(&f->journal, ops_of(spec->ops), spec->folder, spec->instance,
                                   OTR_JOURNAL_FIND, err);
    if (rc == OTR_OK) {
        rc = otr_journal_read(&f->journal, &bytes, err);
    }
    if (rc == OTR_OK) {
        rc = otr_records_read(otr_buf_bytes(&bytes), root, &f->work, &f->result, err);
    }
    f->journal.end = f->result.end;
    return rc;
}

/* "Proven" was written, could not be synced and was taken back, and then the undo was broken off:
 * where a name holds what only an undo puts there, it is one. */
static otr_code check_proven(otr_change *change, otr_err *err)
{
    otr_work *work = &change->work;
    otr_code rc = work->state == OTR_CHANGE_PROVEN
                      ? otr_work_open(work, change->ops, OTR_MISSING_IS_FINE, err)
                      : OTR_OK;
    for (size_t i = 0; rc == OTR_OK && work->state == OTR_CHANGE_PROVEN && i < work->n_steps; i++) {
        otr_names n;
        rc = otr_tx_look(change, i, &n, err);
        if (rc == OTR_OK && (n.target == OTR_HOLDS_OLD || n.hidden_new == OTR_HOLDS_NEW)) {
            otr_work_set_state(work, OTR_CHANGE_UNDOING);
        }
    }
    return rc;
}

otr_code otr_change_resume(const otr_change_spec *spec, const otr_root *root, otr_change **ret,
                           otr_err *err)
{
    found f = { .journal.fd = -1 };
    otr_work_init(&f.work);
    otr_code rc = read_journal(&f, spec, root, err);
    if (rc == OTR_OK && f.result.verdict == OTR_RECORDS_NONE) {
        rc = otr_fail(err, OTR_ENOTFOUND, "no change of %s was broken off", spec->instance);
    } else if (rc == OTR_OK && f.result.verdict == OTR_RECORDS_TROUBLE) {
        rc = otr_fail(err, OTR_EINVAL, "the %s: %s", f.journal.name, f.result.why);
    }
    otr_change *change = rc == OTR_OK ? otr_zalloc(sizeof(*change)) : NULL;
    if (change == NULL) {
        otr_work_deinit(&f.work, ops_of(spec->ops));
        otr_journal_close(&f.journal);
        return rc == OTR_OK ? otr_fail_nomem(err) : rc;
    }
    change->ops = ops_of(spec->ops);
    change->journal = f.journal;
    change->work = f.work;
    rc = check_proven(change, err);
    if (rc != OTR_OK) {
        otr_change_free(change);
        return rc;
    }
    *ret = change;
    return OTR_OK;
}

/* ---- all of them ---- */

typedef otr_code each_fn(void *arg, const char *instance, otr_err *err);

/* Names of journals, and only those. A folder that is not there has none. */
static otr_code each_journal(const otr_fileops *ops, const char *folder, each_fn *fn, void *arg,
                             otr_err *err)
{
    int fd;
    otr_err why;
    otr_code rc = otr_journal_open_folder(ops, folder, OTR_JOURNAL_FIND, &fd, &why);
    if (rc != OTR_OK) {
        return rc == OTR_ENOTFOUND ? OTR_OK : otr_fail(err, rc, "%s", why.msg);
    }
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        int sys = errno;
        (void)close(fd);
        return otr_fail_sys(err, sys, "cannot list %s", folder);
    }
    const struct dirent *e;
    size_t end = strlen(OTR_JOURNAL_SUFFIX);
    while (rc == OTR_OK && (e = readdir(dir)) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
        char name[160];
        size_t n = strlen(e->d_name);
        if (n <= end || n - end >= sizeof(name) ||
            strcmp(e->d_name + n - end, OTR_JOURNAL_SUFFIX) != 0) {
            continue;
        }
        memcpy(name, e->d_name, n - end);
        name[n - end] = '\0';
        rc = otr_change_is_instance(name) ? fn(arg, name, err) : OTR_OK;
    }
    (void)closedir(dir);
    return rc;
}

typedef struct listing {
    const char *folder;
    const otr_fileops *ops;
    otr_journals *out;
} listing;

static otr_code add(otr_journals *out, const char *instance, otr_change_state state,
                    const char *trouble, otr_err *err)
{
    otr_code rc = otr_grow(&out->items, out->n, &out->cap, sizeof(*out->items), err);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_journal_entry e = { .instance = otr_strdup(instance), .state = state };
    e.trouble = trouble != NULL ? otr_strdup(trouble) : NULL;
    if (e.instance == NULL || (trouble != NULL && e.trouble == NULL)) {
        otr_free(e.instance);
        otr_free(e.trouble);
        return otr_fail_nomem(err);
    }
    out->items[out->n++] = e;
    return OTR_OK;
}

static otr_code list_one(void *arg, const char *instance, otr_err *err)
{
    const listing *l = arg;
    const otr_change_spec spec = { .folder = l->folder, .instance = instance, .ops = l->ops };
    found f = { .journal.fd = -1 };
    otr_err why = { 0 };
    otr_work_init(&f.work);
    otr_code rc = read_journal(&f, &spec, NULL, &why);
    const char *trouble = rc != OTR_OK ? why.msg : f.result.why;
    if (rc == OTR_ENOMEM) {
        rc = otr_fail_nomem(err);
    } else if (rc == OTR_ESTATE) { /* somebody is at work with it */
        rc = OTR_OK;
    } else if (rc != OTR_OK || f.result.verdict == OTR_RECORDS_TROUBLE) {
        rc = add(l->out, instance, OTR_CHANGE_NONE, trouble, err);
    } else if (f.result.verdict == OTR_RECORDS_WHOLE) {
        rc = add(l->out, instance, f.work.state, NULL, err);
    }
    otr_work_deinit(&f.work, l->ops);
    otr_journal_close(&f.journal);
    return rc;
}

otr_code otr_recover_list(const char *folder, const otr_fileops *ops, otr_journals *ret,
                          otr_err *err)
{
    *ret = (otr_journals){ 0 };
    listing l = { folder, ops_of(ops), ret };
    otr_code rc = each_journal(l.ops, folder, list_one, &l, err);
    if (rc != OTR_OK) {
        otr_journals_deinit(ret);
    }
    return rc;
}

void otr_journals_deinit(otr_journals *journals)
{
    for (size_t i = 0; i < journals->n; i++) {
        otr_free(journals->items[i].instance);
        otr_free(journals->items[i].trouble);
    }
    otr_free(journals->items);
    *journals = (otr_journals){ 0 };
}
