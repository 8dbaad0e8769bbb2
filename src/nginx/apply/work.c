/* What blocks: jobs of a transaction on its strand. */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/limits.h"
#include "nginx/apply/generation.h"
#include "nginx/apply/tx.h"
#include "nginx/change/plan.h"
#include "nginx/proc.h"

enum { REMARK_BYTES = 512, REMARKED_MOST = 8, CHILDREN_MOST = 4096 };

static otr_code root_of(const otr_nginx_instance *instance, const char *const *allowed,
                        otr_root **ret, otr_err *err)
{
    otr_root root = { .path = instance->root, .uid = instance->uid, .gid = instance->gid };
    if (instance->reach != NULL) {
        root = *instance->reach;
    }
    if (allowed != NULL) {
        root.allowed = allowed;
    }
    return otr_root_copy(&root, ret, err);
}

/* ---- plan ---- */

static otr_code read_launch(otr_apply *tx, otr_err *err)
{
    otr_launch *launch = otr_zalloc(sizeof(*launch));
    if (launch == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = otr_launch_read(tx->a->proc_root, tx->instance->pid, tx->instance->started_ticks,
                                  launch, err);
    if (rc != OTR_OK) {
        otr_free(launch);
        return rc;
    }
    if (tx->launch != NULL) {
        otr_launch_deinit(tx->launch);
        otr_free(tx->launch);
    }
    tx->launch = launch;
    return OTR_OK;
}

otr_code otr_tx_job_launch(otr_apply *tx, otr_err *err)
{
    otr_root *root = NULL;
    otr_code rc = root_of(tx->instance, NULL, &root, err);
    if (rc == OTR_OK) {
        otr_root_free(tx->root);
        tx->root = root;
        rc = read_launch(tx, err);
    }
    return rc;
}

static otr_code collect_logs(otr_apply *tx, otr_err *err)
{
    otr_error_logs_spec spec = { .root = tx->root,
                                 .config = tx->instance->config,
                                 .prefix = tx->instance->prefix,
                                 .global = tx->launch != NULL ? tx->launch->global_arg : "",
                                 .otherwise = tx->instance->error_log };
    otr_paths_deinit(&tx->logs.read);
    return otr_error_logs_collect(&spec, &tx->logs, err);
}

static otr_code make_plan(otr_apply *tx, otr_err *err)
{
    otr_root *root = NULL;
    otr_code rc = root_of(tx->instance, tx->allowed, &root, err);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_plan_spec spec = { .root = root,
                           .changes = tx->set,
                           .managed = (const char *const *)tx->logs.read.items,
                           .managed_how = OTR_PLAN_PLACED };
    rc = otr_plan_make(&spec, &tx->plan, err);
    otr_root_free(root);
    return rc;
}

static otr_code add_folder(void *arg, uint64_t dev, uint64_t ino, otr_err *err)
{
    return otr_claims_add_folder(arg, dev, ino, err);
}

static otr_code make_claims(otr_apply *tx, otr_err *err)
{
    otr_claims_deinit(&tx->claims);
    otr_code rc = otr_claims_of_plan(&tx->claims, tx->plan, err);
    rc = rc == OTR_OK ? otr_seal_folders(tx->logs.seal, add_folder, &tx->claims, err) : rc;
    otr_claims_end(&tx->claims);
    return rc;
}

static void weigh(otr_apply *tx)
{
    otr_err err = { 0 };
    const otr_apply_host *host = &tx->a->spec.host;
    otr_apply_view view = { .id = tx->result->id,
                            .instance = tx->instance,
                            .root = tx->root,
                            .set = tx->set,
                            .plan = tx->plan,
                            .request = &tx->request };
    if (host->weigh != NULL && !otr_plan_is_empty(tx->plan) &&
        host->weigh(host->arg, &view, &tx->weighed, &tx->impact, &tx->diff, &err) != OTR_OK) {
        (void)snprintf(tx->weigh_remark, sizeof(tx->weigh_remark),
                       "what the change means could not be told: %.400s", err.msg);
    }
}

otr_code otr_tx_job_plan(otr_apply *tx, otr_err *err)
{
    otr_code rc = root_of(tx->instance, NULL, &tx->root, err);
    rc = rc == OTR_OK ? read_launch(tx, err) : rc;
    if (rc != OTR_OK && rc != OTR_ENOMEM && tx->request.dry_run) {
        (void)snprintf(tx->launch_remark, sizeof(tx->launch_remark), "%.400s", err->msg);
        rc = OTR_OK;
    }
    rc = rc == OTR_OK ? collect_logs(tx, err) : rc;
    rc = rc == OTR_OK ? make_plan(tx, err) : rc;
    rc = rc == OTR_OK ? make_claims(tx, err) : rc;
    if (rc == OTR_OK) {
        weigh(tx);
    }
    return rc;
}

/* ---- files of the result ---- */

static void take_side(const otr_plan_side *from, otr_apply_stat *to)
{
    if (from->exists) {
        (void)snprintf(to->sha256, sizeof(to->sha256), "%s", from->digest);
        to->bytes = from->size;
        to->mode = from->mode;
        to->uid = from->uid;
        to->gid = from->gid;
    }
}

static otr_apply_action action_of(otr_plan_action action)
{
    switch (action) {
    case OTR_PLAN_ADD:
        return OTR_APPLY_ADD;
    case OTR_PLAN_DELETE:
        return OTR_APPLY_DELETE;
    case OTR_PLAN_ATTRIBUTES:
        return OTR_APPLY_MODE;
    case OTR_PLAN_UPDATE:
    case OTR_PLAN_UNCHANGED:
    default:
        return OTR_APPLY_UPDATE;
    }
}

static void remark_item(otr_apply *tx, const otr_plan_item *item)
{
    for (unsigned bit = 1; bit != 0 && bit <= item->remarks; bit <<= 1) {
        if ((item->remarks & bit) != 0) {
            char text[REMARK_BYTES];
            (void)snprintf(text, sizeof(text), "%.300s: %s", item->path,
                           otr_plan_remark_text((otr_plan_remark)bit));
            otr_tx_remark(tx, text);
        }
    }
}

static otr_code add_file(otr_apply_result *r, const otr_plan_item *item, otr_err *err)
{
    otr_apply_file *f = &r->files[r->n_files];
    *f = (otr_apply_file){ .path = otr_strdup(item->path), .action = action_of(item->action) };
    if (f->path == NULL) {
        return otr_fail_nomem(err);
    }
    take_side(&item->before, &f->before);
    take_side(&item->after, &f->after);
    r->n_files++;
    return OTR_OK;
}

otr_code otr_tx_take_files(otr_apply *tx, otr_err *err)
{
    otr_apply_result *r = tx->result;
    size_t n = otr_plan_count(tx->plan), changed = 0;
    size_t most = n < OTR_LIMIT_APPLY_FILES_SHOWN ? n : OTR_LIMIT_APPLY_FILES_SHOWN;
    otr_tx_remark(tx, tx->launch_remark);
    r->files = otr_calloc(most + 1, sizeof(*r->files));
    otr_code rc = r->files != NULL ? OTR_OK : otr_fail_nomem(err);
    for (size_t i = 0; rc == OTR_OK && i < n; i++) {
        const otr_plan_item *item = otr_plan_at(tx->plan, i);
        if (item->action == OTR_PLAN_UNCHANGED) {
            continue;
        }
        changed++;
        if (r->n_files < most) {
            rc = add_file(r, item, err);
        }
        if (changed <= REMARKED_MOST) {
            remark_item(tx, item);
        }
    }
    r->more_files = changed - r->n_files;
    return rc;
}

/* ---- the transaction of files ---- */

/* What the next start has to know of it, should this be interrupted. */
static otr_code write_note(const otr_apply *tx, otr_buf *out, otr_err *err)
{
    otr_jw w;
    otr_jw_begin(&w, out, err);
    otr_jw_obj(&w, NULL);
    otr_jw_str(&w, "id", tx->result->id);
    otr_jw_u64(&w, "who", tx->result->who.kind);
    otr_jw_i64(&w, "uid", tx->result->who.uid != (uid_t)-1 ? (int64_t)tx->result->who.uid : -1);
    otr_jw_bytes(&w, "name", otr_bytes_of(tx->result->who.name));
    otr_jw_bytes(&w, "message", otr_bytes_of(tx->result->message));
    otr_jw_u64(&w, "began_ns", tx->result->begun_ns);
    otr_jw_bytes(&w, "root", otr_bytes_of(tx->root->path));
    otr_jw_obj_end(&w);
    return otr_jw_end(&w);
}

otr_code otr_tx_job_stage(otr_apply *tx, otr_err *err)
{
    otr_buf note;
    otr_buf_init(&note, OTR_LIMIT_CHANGE_NOTE_BYTES);
    otr_code rc = write_note(tx, &note, err);
    if (rc == OTR_OK) {
        otr_change_spec spec = { .folder = tx->a->folder,
                                 .instance = tx->lane->id,
                                 .note = otr_buf_bytes(&note) };
        rc = otr_change_begin(&spec, tx->plan, &tx->change, err);
    }
    otr_buf_deinit(&note);
    return rc == OTR_OK ? otr_change_stage(tx->change, err) : rc;
}

uint64_t otr_tx_ticks(void)
{
    struct timespec up;
    long hz = sysconf(_SC_CLK_TCK);
    return hz > 0 && clock_gettime(CLOCK_BOOTTIME, &up) == 0
               ? (uint64_t)up.tv_sec * (uint64_t)hz +
                     (uint64_t)up.tv_nsec * (uint64_t)hz / 1000000000U
               : 0;
}

otr_code otr_tx_job_swap(otr_apply *tx, otr_err *err)
{
    tx->moved_ticks = otr_tx_ticks();
    otr_code rc = otr_change_swap(tx->change, err);
    return rc == OTR_OK ? collect_logs(tx, err) : rc;
}

otr_code otr_tx_job_seal(otr_apply *tx, otr_err *err)
{
    return tx->root != NULL ? collect_logs(tx, err) : otr_fail_nomem(err);
}

otr_code otr_tx_job_mark(otr_apply *tx, otr_err *err)
{
    static const otr_bytes none = { 0 };
    return otr_change_mark(tx->change, OTR_CHANGE_RELOADING, none, err);
}

otr_code otr_tx_job_commit(otr_apply *tx, otr_err *err)
{
    static const otr_bytes none = { 0 };
    otr_err why = { 0 };
    if (otr_change_check(tx->change, &why) != OTR_OK) {
        (void)snprintf(tx->touched, sizeof(tx->touched), "%s", why.msg);
    }
    return otr_change_mark(tx->change, OTR_CHANGE_PROVEN, none, err);
}

/* Did somebody else start, stop or reload it while the new files stood there? */
static bool may_have_read(const otr_apply *tx)
{
    pid_t pids[CHILDREN_MOST];
    size_t n = 0;
    const otr_nginx_instance *i = tx->instance;
    otr_proc_stat st;
    if (!otr_proc_stat_read(tx->a->proc_root, i->pid, &st) ||
        st.started_ticks != i->started_ticks || otr_master_waits(tx->a->proc_root, i->pid) == 0 ||
        !otr_proc_children(tx->a->proc_root, i->pid, pids, CHILDREN_MOST, &n)) {
        return true;
    }
    for (size_t k = 0; k < n; k++) {
        if (otr_proc_stat_read(tx->a->proc_root, pids[k], &st) &&
            st.started_ticks >= tx->moved_ticks) {
            return true;
        }
    }
    return false;
}

otr_code otr_tx_job_undo(otr_apply *tx, otr_err *err)
{
    otr_code rc = otr_change_put_back(tx->change, err);
    if (rc == OTR_OK && tx->moved_ticks != 0 && !tx->reload_back) {
        tx->reload_back = may_have_read(tx);
    }
    return rc;
}

/* ---- after a crash ---- */

static void read_note(otr_apply *tx, otr_bytes note)
{
    OTR_CLEANUP(otr_json_freep) otr_json *root = NULL;
    otr_apply_result *r = tx->result;
    if (otr_json_parse(note, &root, NULL) != OTR_OK) {
        return;
    }
    const char *id = otr_json_str(otr_json_get(root, "id"), "");
    int64_t kind = otr_json_int(otr_json_get(root, "who"), OTR_APPLY_BY_AGENT);
    if (otr_apply_id_ok(id)) {
        memcpy(r->id, id, OTR_APPLY_ID_BYTES);
        (void)!otr_apply_result_say(&r->of, NULL, id);
    }
    r->who.kind =
        kind >= 0 && kind <= OTR_APPLY_BY_AGENT ? (otr_apply_asker)kind : OTR_APPLY_BY_AGENT;
    r->who.uid = (uid_t)otr_json_int(otr_json_get(root, "uid"), -1);
    (void)snprintf(r->who.name, sizeof(r->who.name), "%s",
                   otr_json_str(otr_json_get(root, "name"), ""));
    (void)!otr_apply_result_say(&r->message, NULL, otr_json_str(otr_json_get(root, "message"), ""));
    int64_t began = otr_json_int(otr_json_get(root, "began_ns"), 0);
    r->begun_ns = began > 0 ? (uint64_t)began : r->begun_ns;
    (void)snprintf(tx->root_path, sizeof(tx->root_path), "%s",
                   otr_json_str(otr_json_get(root, "root"), ""));
}

otr_code otr_tx_job_resume(otr_apply *tx, otr_err *err)
{
    otr_root *root = NULL;
    otr_change_spec spec = { .folder = tx->a->folder, .instance = tx->lane->id };
    otr_code rc = OTR_OK;
    if (tx->instance != NULL) {
        rc = root_of(tx->instance, tx->allowed, &root, err);
    }
    rc = rc == OTR_OK ? otr_change_resume(&spec, root, &tx->change, err) : rc;
    otr_root_free(root);
    if (rc == OTR_OK) {
        read_note(tx, otr_change_note(tx->change));
        tx->moved_wall_s = otr_change_get_state(tx->change) >= OTR_CHANGE_SWAPPING
                               ? otr_change_began_s(tx->change)
                               : 0;
        tx->reload_back = otr_change_reached(tx->change, OTR_CHANGE_RELOADING);
    }
    return rc;
}
