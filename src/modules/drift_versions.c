/*
 * What the files of an instance should be, by the history; and what is kept there of drift.
 *
 * While nobody has applied anything, each text that NGINX has loaded is kept as a version without a
 * transaction: there is something to go back to, and drift is seen after a restart of the agent.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "modules/config_apply.h"
#include "modules/config_history.h"
#include "modules/config_snapshot.h"
#include "modules/drift.h"
#include "modules/problems.h"

enum { ROWS_MOST = 200, TEXT_BYTES = 512, ID_BYTES = 80 };

struct otr_drift_box {
    otr_drift_module *m; /* NULL: it is gone */
    size_t refs;
};

static void unref_box(otr_drift_box *box)
{
    if (box != NULL && --box->refs == 0) {
        otr_free(box);
    }
}

otr_code otr_drift_box_new(otr_drift_module *m, otr_err *err)
{
    m->box = otr_zalloc(sizeof(*m->box));
    if (m->box == NULL) {
        return otr_fail_nomem(err);
    }
    m->box->m = m;
    m->box->refs = 1;
    return OTR_OK;
}

void otr_drift_box_leave(otr_drift_module *m)
{
    if (m->box != NULL) {
        m->box->m = NULL;
        unref_box(otr_steal(&m->box));
    }
}

/* ---- jobs ---- */

typedef struct job {
    otr_drift_box *box;
    otr_nginx_instance *nginx;
    bool adopt;
    char **paths; /* to be adopted, absolute, ended by NULL; NULL: all */
    otr_drift_adopt asked;
    otr_drift_files files; /* of the version in force */
    char version[OTR_HISTORY_ID_BYTES];
    char before[OTR_HISTORY_ID_BYTES];
    bool applied;   /* somebody applied it, or adopted it */
    uint64_t last;  /* number of the transaction that was read last; 0: none */
    uint64_t begun; /* applies that had begun when it was asked */
    char id[ID_BYTES];
    char remark[TEXT_BYTES];
    otr_err err;
    otr_code rc;
} job;

static void free_texts(char **texts)
{
    for (char **t = texts; t != NULL && *t != NULL; t++) {
        otr_free(*t);
    }
    otr_free(texts);
}

static void free_job(job *j)
{
    if (j != NULL) {
        unref_box(j->box);
        otr_nginx_instance_free(j->nginx);
        otr_drift_files_deinit(&j->files);
        free_texts(j->paths);
        otr_free(j);
    }
}

static otr_code make_job(const otr_drift_module *m, const otr_nginx_instance *nginx, job **ret,
                         otr_err *err)
{
    job *j = otr_zalloc(sizeof(*j));
    otr_code rc = j != NULL ? otr_nginx_instance_copy(nginx, &j->nginx, err) : otr_fail_nomem(err);
    if (rc != OTR_OK) {
        free_job(j);
        return rc;
    }
    j->box = m->box;
    j->box->refs++;
    *ret = j;
    return OTR_OK;
}

/* ---- the version in force ---- */

static bool take_row(void *arg, const otr_history_row *row)
{
    job *j = arg;
    j->applied = strcmp(row->end.result, "applied") == 0;
    j->last = row->number;
    return !j->applied;
}

static bool take_file(void *arg, const otr_history_file *file)
{
    job *j = arg;
    otr_drift_entry *e;
    if (file->link != NULL) {
        return true; /* what it leads to counts, and is looked at under its own name */
    }
    j->rc = otr_drift_files_add(&j->files, file->path, file->stat.digest, &e, &j->err);
    if (j->rc == OTR_OK) {
        e->mode = (uint32_t)file->stat.mode;
        e->uid = file->stat.uid;
        e->gid = file->stat.gid;
    }
    return j->rc == OTR_OK;
}

/* Has anything been applied? However many changes were refused since. */
static otr_code find_applied(job *j, otr_history *h, otr_err *err)
{
    otr_history_query query = { .instance = j->nginx->id, .limit = ROWS_MOST };
    otr_code rc;
    do {
        j->last = 0;
        rc = otr_history_list(h, &query, take_row, j, err);
        query.before = j->last;
    } while (rc == OTR_OK && !j->applied && j->last > 1);
    return rc;
}

/* OTR_ENOTFOUND: there is none. */
static otr_code read_version(job *j, otr_history *h, otr_err *err)
{
    otr_code rc = otr_history_version_at(h, j->nginx->id, OTR_HISTORY_IN_FORCE, j->version, err);
    rc = rc == OTR_OK ? find_applied(j, h, err) : rc;
    rc = rc == OTR_OK ? otr_history_files(h, j->version, take_file, j, err) : rc;
    if (rc == OTR_OK && j->rc != OTR_OK) {
        *err = j->err;
        rc = j->rc;
    }
    return rc;
}

static otr_code run_base(void *arg, otr_history *h, otr_err *err)
{
    return read_version(arg, h, err);
}

static void set_base(const otr_drift_module *m, const job *j, bool known)
{
    otr_err err = { 0 };
    const char *id = j->nginx->id;
    otr_code rc = known && j->applied
                      ? otr_drift_set_base(m->drift, id, j->version, &j->files, &err)
                  : known ? otr_drift_set_seen(m->drift, id, &j->files, &err)
                          : otr_drift_set_seen(m->drift, id, NULL, &err);
    if (rc != OTR_OK) {
        otr_log_warn("drift is not noticed", "instance", id, "err", err.msg);
    }
}

static void based(void *arg, otr_code rc, const otr_err *err)
{
    job *j = arg;
    otr_drift_module *m = j->box->m;
    if (m != NULL) {
        if (rc != OTR_OK && rc != OTR_ENOTFOUND && rc != OTR_ESTATE) {
            otr_log_warn("the history does not say what a configuration should be: what NGINX has "
                         "loaded counts",
                         "instance", j->nginx->id, "err", err->msg);
        }
        set_base(m, j, rc == OTR_OK);
        if (otr_drift_begun(m->drift, j->nginx->id) == j->begun) { /* else another one began */
            otr_drift_end(m->drift, j->nginx->id);
        }
    }
    free_job(j);
}

void otr_drift_ask_base(otr_drift_module *m, const otr_nginx_instance *nginx)
{
    otr_err err = { 0 };
    job *j = NULL;
    otr_code rc = make_job(m, nginx, &j, &err);
    if (rc == OTR_OK) {
        j->begun = otr_drift_begun(m->drift, nginx->id);
        otr_config_history_job ask = {
            .what = "read the version in force", .run = run_base, .done = based, .arg = j
        };
        rc = otr_config_history_submit(m->services->history, &ask, &err);
    }
    if (rc != OTR_OK) {
        free_job(j);
        rc = otr_drift_set_seen(m->drift, nginx->id, NULL, &err);
        otr_drift_end(m->drift, nginx->id);
    }
    if (rc != OTR_OK) {
        otr_log_warn("drift is not noticed", "instance", nginx->id, "err", err.msg);
    }
}

/* ---- what NGINX has loaded ---- */

static otr_code run_seen(void *arg, otr_history *h, otr_err *err)
{
    job *j = arg;
    otr_snapshot_spec spec = { .instance = j->nginx };
    otr_snapshot snap;
    otr_code rc = find_applied(j, h, err);
    if (rc != OTR_OK || j->applied) {
        return rc; /* an apply came first: it has kept its own */
    }
    rc = otr_config_snapshot(h, &spec, &snap, err);
    return rc == OTR_OK
               ? otr_history_set_version(h, j->nginx->id, snap.version, OTR_HISTORY_GOOD, err)
               : rc;
}

static void done_seen(void *arg, otr_code rc, const otr_err *err)
{
    job *j = arg;
    if (rc != OTR_OK) {
        otr_log_info("what NGINX has loaded is not kept: drift while the agent is down will not be "
                     "noticed",
                     "instance", j->nginx->id, "err", err->msg);
    }
    free_job(j);
}

void otr_drift_keep_seen(otr_drift_module *m, const otr_nginx_instance *nginx)
{
    otr_err err = { 0 };
    job *j = NULL;
    otr_code rc = make_job(m, nginx, &j, &err);
    if (rc == OTR_OK) {
        /* An agent that has no place for a history is no worse for that until it is to change
         * something. */
        otr_config_history_job keep = { .what = "record a configuration that NGINX has loaded",
                                        .run = run_seen,
                                        .done = done_seen,
                                        .arg = j };
        rc = otr_config_history_submit(m->services->history, &keep, &err);
    }
    if (rc != OTR_OK) {
        free_job(j);
    }
}

/* ---- adoption ---- */

static bool is_asked(const job *j, const char *path)
{
    for (char *const *p = j->paths; p != NULL && *p != NULL; p++) {
        if (strcmp(*p, path) == 0) {
            return true;
        }
    }
    return false;
}

static otr_code add_now(otr_history_draft *draft, const otr_root *root, const char *path,
                        otr_err *err)
{
    struct stat st;
    int fd;
    otr_code rc = otr_root_open_file(root, path, &fd, &st, err);
    if (rc != OTR_OK) {
        return rc == OTR_ENOTFOUND ? OTR_OK : rc; /* gone: not in the version */
    }
    const otr_history_file file = {
        .path = path, .stat = { .mode = st.st_mode & 07777, .uid = st.st_uid, .gid = st.st_gid }
    };
    rc = otr_history_draft_add(draft, &file, fd, NULL, err);
    close(fd);
    return rc;
}

/* The version in force with the files that were asked for as they are now. */
static otr_code draft_some(job *j, otr_history *h, otr_err *err)
{
    otr_root own = { .path = j->nginx->root };
    const otr_root *root = j->nginx->reach != NULL ? j->nginx->reach : &own;
    otr_history_draft *draft = NULL;
    otr_code rc = otr_history_draft_new(h, &draft, err);
    for (size_t i = 0; rc == OTR_OK && i < j->files.n; i++) {
        const char *path = j->files.items[i].path;
        if (!is_asked(j, path)) {
            rc = otr_history_draft_keep(draft, j->before, path, err);
        }
    }
    for (char *const *p = j->paths; rc == OTR_OK && *p != NULL; p++) {
        rc = add_now(draft, root, *p, err);
    }
    rc = rc == OTR_OK ? otr_history_draft_commit(draft, j->nginx->id, j->version, err) : rc;
    otr_history_draft_free(draft);
    return rc;
}

static otr_code draft_all(job *j, otr_history *h, otr_err *err)
{
    otr_snapshot_spec spec = { .instance = j->nginx };
    otr_snapshot snap;
    otr_code rc = otr_config_snapshot(h, &spec, &snap, err);
    if (rc == OTR_OK) {
        memcpy(j->version, snap.version, sizeof(j->version));
        (void)snprintf(j->remark, sizeof(j->remark), "%s", snap.remark);
    }
    return rc;
}

typedef struct diff { /* items of the transaction */
    otr_history_item *items;
    size_t n, cap;
    otr_err *err;
    otr_code rc;
} diff;

static bool take_change(void *arg, const otr_history_change *change)
{
    diff *d = arg;
    const otr_history_file *file = change->after != NULL ? change->after : change->before;
    d->rc = otr_grow(&d->items, d->n, &d->cap, sizeof(*d->items), d->err);
    char *path = d->rc == OTR_OK ? otr_strdup(file->path) : NULL;
    if (path == NULL) {
        d->rc = d->rc == OTR_OK ? otr_fail_nomem(d->err) : d->rc;
        return false;
    }
    otr_history_item *item = &d->items[d->n++];
    *item = (otr_history_item){ .path = path };
    item->action = strcmp(change->action, "add") == 0      ? "add"
                   : strcmp(change->action, "delete") == 0 ? "delete"
                   : strcmp(change->action, "mode") == 0   ? "mode"
                                                           : "update";
    if (change->before != NULL) {
        item->before = change->before->stat;
    }
    if (change->after != NULL) {
        item->after = change->after->stat;
    }
    return true;
}

static otr_code record(job *j, otr_history *h, const diff *d, otr_err *err)
{
    uint64_t now_ms = otr_wall_ns() / OTR_NS_PER_MS;
    (void)snprintf(j->id, sizeof(j->id), "adopt-%.36s-%llu", j->nginx->id,
                   (unsigned long long)otr_wall_ns());
    const otr_history_entry entry = {
        .id = j->id,
        .instance = j->nginx->id,
        .config = j->nginx->config,
        .who = { .kind = OTR_HISTORY_DRIFT,
                 .uid = j->asked.uid,
                 .pid = j->asked.pid,
                 .name = j->asked.user,
                 .detail = j->asked.by },
        .began_ms = now_ms,
        .message = j->asked.message,
        .items = d->items,
        .n_items = d->n,
        .version_before = j->before,
    };
    const otr_history_end end = { .result = "applied",
                                  .text = "files that were changed by hand were adopted",
                                  .version_after = j->version };
    return otr_history_finish(h, &entry, &end, err);
}

static otr_code run_adopt(void *arg, otr_history *h, otr_err *err)
{
    job *j = arg;
    otr_code rc = read_version(j, h, err);
    if (rc != OTR_OK && rc != OTR_ENOTFOUND) {
        return rc;
    }
    bool first = rc == OTR_ENOTFOUND;
    memcpy(j->before, first ? "" : j->version, first ? 1 : sizeof(j->before));
    rc = j->paths != NULL && !first ? draft_some(j, h, err) : draft_all(j, h, err);
    diff d = { .err = err };
    if (rc == OTR_OK && !first) {
        rc = otr_history_diff(h, j->before, j->version, take_change, &d, err);
        rc = rc == OTR_OK ? d.rc : rc;
    }
    rc = rc == OTR_OK ? record(j, h, &d, err) : rc;
    for (size_t i = 0; i < d.n; i++) {
        otr_free((void *)(uintptr_t)d.items[i].path);
    }
    otr_free(d.items);
    otr_drift_files_deinit(&j->files);
    j->rc = OTR_OK;
    return rc == OTR_OK ? read_version(j, h, err) : rc;
}

static void adopted(void *arg, otr_code rc, const otr_err *err)
{
    job *j = arg;
    if (rc == OTR_OK && j->box->m != NULL) {
        set_base(j->box->m, j, true);
        /* What stands on the disk is as somebody wants it. */
        otr_problem_clear(j->box->m->services->problems, j->nginx->id, OTR_CONFIG_APPLY_PROBLEM);
    }
    j->asked.done(j->asked.arg, rc, err, j->version, j->remark);
    free_job(j);
}

static otr_code copy_paths(const char *const *from, char ***ret, otr_err *err)
{
    size_t n = 0;
    while (from[n] != NULL) {
        n++;
    }
    char **copy = otr_calloc(n + 1, sizeof(*copy));
    for (size_t i = 0; copy != NULL && i < n; i++) {
        copy[i] = otr_strdup(from[i]);
        if (copy[i] == NULL) {
            free_texts(copy);
            copy = NULL;
        }
    }
    if (copy == NULL) {
        return otr_fail_nomem(err);
    }
    *ret = copy;
    return OTR_OK;
}

otr_code otr_drift_start_adopt(otr_drift_module *m, const otr_nginx_instance *nginx,
                               const otr_drift_adopt *asked, otr_err *err)
{
    job *j = NULL;
    otr_code rc = make_job(m, nginx, &j, err);
    if (rc != OTR_OK) {
        return rc;
    }
    j->asked = *asked;
    rc = asked->paths != NULL ? copy_paths(asked->paths, &j->paths, err) : OTR_OK;
    if (rc == OTR_OK) {
        otr_config_history_job adopt = { .what = "record adopted files",
                                         .writes = true,
                                         .run = run_adopt,
                                         .done = adopted,
                                         .arg = j };
        rc = otr_config_history_submit(m->services->history, &adopt, err);
    }
    if (rc != OTR_OK) {
        free_job(j);
    }
    return rc;
}
