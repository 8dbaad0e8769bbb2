/* What the history keeps of a transaction: the files before it, and how it ended. */
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/texts.h"
#include "modules/config.h"
#include "modules/config_history.h"
#include "modules/config_snapshot.h"
#include "nginx/change/plan.h"

struct config_record {
    otr_config_apply *c; /* NULL: the module is gone */
    otr_apply *tx;       /* NULL: it does not wait any more */
    char id[OTR_APPLY_ID_BYTES];
    config_record *next;
    otr_nginx_instance *instance; /* NULL: not known */
    otr_apply_result *result;     /* a copy */
    char **paths;
    char **beside;          /* that have drifted and are not a part of it */
    otr_apply_result *into; /* that of the transaction; valid while `tx` is */
    bool begun;             /* in the history */
    bool working;           /* a job has it */
    /* of the job */
    char before[OTR_HISTORY_ID_BYTES], after[OTR_HISTORY_ID_BYTES];
    char remark[256];
    uint64_t number;
};

static void unlink_record(config_record *r)
{
    for (config_record **at = &r->c->records; *at != NULL; at = &(*at)->next) {
        if (*at == r) {
            *at = r->next;
            return;
        }
    }
}

static void free_record(config_record *r)
{
    if (r->c != NULL) {
        unlink_record(r);
    }
    otr_nginx_instance_free(r->instance);
    otr_apply_result_free(r->result);
    otr_texts_free(r->paths);
    otr_texts_free(r->beside);
    otr_free(r);
}

static config_record *find(otr_config_apply *c, const char *id)
{
    for (config_record *r = c->records; r != NULL; r = r->next) {
        if (strcmp(r->id, id) == 0) {
            return r;
        }
    }
    return NULL;
}

static otr_code set_paths(config_record *r, const otr_apply_result *result, otr_err *err)
{
    r->paths = otr_calloc(result->n_files + 1, sizeof(char *));
    if (r->paths == NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t i = 0; i < result->n_files; i++) {
        r->paths[i] = otr_strdup(result->files[i].path);
        if (r->paths[i] == NULL) {
            return otr_fail_nomem(err);
        }
    }
    return OTR_OK;
}

/* All of them: a result names the first ones only. */
static otr_code set_paths_of_plan(config_record *r, const otr_plan *plan, otr_err *err)
{
    size_t n = 0, all = otr_plan_count(plan);
    r->paths = otr_calloc(all + 1, sizeof(char *));
    if (r->paths == NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t i = 0; i < all; i++) {
        const otr_plan_item *item = otr_plan_at(plan, i);
        if (item->action == OTR_PLAN_UNCHANGED) {
            continue;
        }
        r->paths[n] = otr_strdup(item->path);
        if (r->paths[n++] == NULL) {
            return otr_fail_nomem(err);
        }
    }
    return OTR_OK;
}

static otr_code new_record(otr_config_apply *c, const char *id, config_record **ret, otr_err *err)
{
    config_record *r = otr_zalloc(sizeof(*r));
    if (r == NULL) {
        return otr_fail_nomem(err);
    }
    r->c = c;
    (void)snprintf(r->id, sizeof(r->id), "%s", id);
    r->next = c->records;
    c->records = r;
    *ret = r;
    return OTR_OK;
}

void otr_config_records_let(otr_config_apply *c, const otr_apply *tx)
{
    for (config_record *r = c->records; r != NULL; r = r->next) {
        if (r->tx == tx) {
            r->tx = NULL;
            r->into = NULL;
        }
    }
}

void otr_config_records_end(otr_config_apply *c)
{
    for (config_record *r = c->records, *next; r != NULL; r = next) {
        next = r->next;
        r->tx = NULL;
        if (r->working) {
            r->c = NULL;
        } else {
            free_record(r);
        }
    }
    c->records = NULL;
}

/* ---- in the terms of the history ---- */

static otr_history_kind kind_of(const otr_apply_result *r)
{
    switch (r->who.kind) {
    case OTR_APPLY_BY_PLANE:
        return OTR_HISTORY_PLANE;
    case OTR_APPLY_BY_PLUGIN:
        return OTR_HISTORY_PLUGIN;
    case OTR_APPLY_BY_AGENT:
        return OTR_HISTORY_AGENT;
    case OTR_APPLY_BY_USER:
    default:
        return r->why == OTR_APPLY_WHY_REVERT ? OTR_HISTORY_DRIFT : OTR_HISTORY_LOCAL;
    }
}

static void stat_of(const otr_apply_stat *from, otr_history_stat *to)
{
    *to = (otr_history_stat){
        .bytes = from->bytes, .mode = from->mode, .uid = from->uid, .gid = from->gid
    };
    (void)snprintf(to->digest, sizeof(to->digest), "%s", from->sha256);
}

typedef struct record_entry {
    otr_history_entry entry;
    otr_history_item *items;
} record_entry;

static otr_code make_entry(const config_record *r, record_entry *ret, otr_err *err)
{
    const otr_apply_result *res = r->result;
    ret->items = otr_calloc(res->n_files + 1, sizeof(*ret->items));
    if (ret->items == NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t i = 0; i < res->n_files; i++) {
        const otr_apply_file *f = &res->files[i];
        ret->items[i] =
            (otr_history_item){ .path = f->path, .action = otr_apply_action_name(f->action) };
        stat_of(&f->before, &ret->items[i].before);
        stat_of(&f->after, &ret->items[i].after);
    }
    ret->entry = (otr_history_entry){
        .id = r->id,
        .instance = res->instance,
        .config = r->instance != NULL ? r->instance->config : "",
        .who = { .kind = kind_of(res),
                 .uid = res->who.uid != (uid_t)-1 ? (int64_t)res->who.uid : -1,
                 .pid = res->who.pid > 0 ? res->who.pid : -1,
                 .name = res->who.name },
        .began_ms = res->begun_ns / OTR_NS_PER_MS,
        .message = res->message,
        .rollback_of = res->why != OTR_APPLY_WHY_RECOVERY ? res->of : "",
        .items = ret->items,
        .n_items = res->n_files,
        .version_before = r->before,
    };
    return OTR_OK;
}

static bool take_number(void *arg, const otr_history_row *row)
{
    *(uint64_t *)arg = row->number;
    return false;
}

/* ---- before ---- */

static otr_code run_before(void *arg, otr_history *h, otr_err *err)
{
    config_record *r = arg;
    record_entry e;
    otr_snapshot snap = { 0 };
    otr_snapshot_spec spec = { .instance = r->instance,
                               .paths = (const char *const *)r->paths,
                               .beside = r->beside };
    otr_code rc = otr_config_snapshot(h, &spec, &snap, err);
    if (rc != OTR_OK) {
        return rc;
    }
    (void)snprintf(r->before, sizeof(r->before), "%s", snap.version);
    (void)snprintf(r->remark, sizeof(r->remark), "%s", snap.remark);
    rc = make_entry(r, &e, err);
    if (rc == OTR_OK) {
        rc = otr_history_begin(h, &e.entry, err);
        otr_free(e.items);
    }
    return rc;
}

static void on_before(void *arg, otr_code rc, const otr_err *err)
{
    config_record *r = arg;
    otr_apply *tx = r->tx;
    char text[OTR_ERR_MSG_BYTES + 64];
    r->working = false;
    if (r->c == NULL) {
        free_record(r);
        return;
    }
    r->begun = rc == OTR_OK;
    if (tx == NULL) {
        return;
    }
    r->tx = NULL;
    if (rc != OTR_OK) {
        (void)snprintf(text, sizeof(text), "the history did not keep the files from before: %s",
                       err->msg);
        otr_apply_proceed(tx, text);
    } else {
        otr_apply_proceed(tx, r->remark);
    }
}

static otr_code begin(otr_config_apply *c, otr_apply *tx, const otr_apply_view *view, otr_err *err)
{
    config_record *r = NULL;
    otr_code rc = new_record(c, view->id, &r, err);
    rc = rc == OTR_OK ? otr_nginx_instance_copy(view->instance, &r->instance, err) : rc;
    rc = rc == OTR_OK ? otr_apply_result_copy(view->result, &r->result, err) : rc;
    rc = rc == OTR_OK ? set_paths_of_plan(r, view->plan, err) : rc;
    rc = rc == OTR_OK ? otr_config_beside(c->services, r->instance->id, r->paths, &r->beside, err)
                      : rc;
    if (rc == OTR_OK) {
        otr_config_history_job job = { .what = "keep the files before a change",
                                       .writes = true,
                                       .run = run_before,
                                       .done = on_before,
                                       .arg = r };
        rc = otr_config_history_submit(c->services->history, &job, err);
    }
    if (rc != OTR_OK) {
        if (r != NULL) {
            free_record(r);
        }
        return rc;
    }
    r->working = true;
    r->tx = tx;
    return OTR_OK;
}

void otr_config_before(void *config, otr_apply *tx, const otr_apply_view *view)
{
    otr_config_apply *c = config;
    otr_err err = { 0 };
    if (begin(c, tx, view, &err) != OTR_OK) {
        char text[OTR_ERR_MSG_BYTES + 64];
        (void)snprintf(text, sizeof(text), "the history did not keep the files from before: %s",
                       err.msg);
        otr_apply_proceed(tx, text);
    }
}

/* ---- after ---- */

static bool is_changed(const otr_apply_result *r)
{
    return r->outcome == OTR_APPLY_APPLIED || r->outcome == OTR_APPLY_ROLLBACK_FAILED;
}

/* Is it known that NGINX serves what is on disk now? */
static bool is_good(const otr_apply_result *r)
{
    return r->outcome == OTR_APPLY_APPLIED;
}

static size_t make_steps(const otr_apply_result *r, otr_history_step out[OTR_APPLY_STEPS])
{
    size_t n = 0;
    for (size_t i = 0; i < OTR_APPLY_STEPS; i++) {
        if (r->step_ns[i] > 0) {
            out[n++] = (otr_history_step){ .name = otr_apply_step_name((otr_apply_step)i),
                                           .ns = r->step_ns[i] };
        }
    }
    return n;
}

static otr_code snapshot_after(config_record *r, otr_history *h, otr_err *err)
{
    otr_snapshot snap = { 0 };
    otr_snapshot_spec spec = { .instance = r->instance,
                               .paths = (const char *const *)r->paths,
                               .beside = r->beside };
    if (!is_changed(r->result) || r->instance == NULL) {
        (void)snprintf(r->after, sizeof(r->after), "%s", r->before);
        return OTR_OK;
    }
    otr_code rc = otr_config_snapshot(h, &spec, &snap, err);
    if (rc == OTR_OK) {
        (void)snprintf(r->after, sizeof(r->after), "%s", snap.version);
        (void)snprintf(r->remark, sizeof(r->remark), "%s", snap.remark);
    }
    return rc;
}

/* What could not be rolled back was kept as the version in force: the one before it is, by now. */
static bool take_old(void *arg, const otr_history_row *row)
{
    config_record *r = arg;
    if (strcmp(row->end.result, "rollback-failed") == 0) {
        (void)snprintf(r->after, sizeof(r->after), "%s", row->entry.version_before);
    }
    return false;
}

static otr_code run_after(void *arg, otr_history *h, otr_err *err)
{
    config_record *r = arg;
    record_entry e = { 0 };
    otr_history_step steps[OTR_APPLY_STEPS];
    const otr_apply_result *res = r->result;
    otr_err lack = { 0 };
    if (snapshot_after(r, h, &lack) != OTR_OK) { /* how it ended is worth more than its files */
        r->after[0] = '\0';
        (void)snprintf(r->remark, sizeof(r->remark), "no version is kept of the files now: %.200s",
                       lack.msg);
    }
    otr_code rc = OTR_OK;
    otr_history_end end = { .result = otr_apply_outcome_name(res->outcome),
                            .text = res->reason,
                            .took_ns = res->ns,
                            .steps = steps,
                            .n_steps = make_steps(res, steps),
                            .verdicts_json = res->verdicts,
                            .impact_json = res->impact,
                            .version_after = r->after,
                            .good = is_good(res) };
    if (res->why == OTR_APPLY_WHY_RECOVERY && res->of[0] != '\0') {
        if (res->outcome == OTR_APPLY_ROLLED_BACK) {
            (void)!otr_history_get(h, res->of, take_old, r, NULL);
        }
        rc = otr_history_finish_id(h, res->of, &end, err);
        if (rc != OTR_ENOTFOUND) {
            return rc == OTR_ESTATE ? OTR_OK : rc; /* recorded before the agent ended */
        }
        rc = OTR_OK; /* its beginning was not recorded */
    }
    rc = rc == OTR_OK ? make_entry(r, &e, err) : rc;
    rc = rc == OTR_OK ? otr_history_finish(h, &e.entry, &end, err) : rc;
    otr_free(e.items);
    if (rc == OTR_OK) {
        (void)!otr_history_get(h, r->id, take_number, &r->number, NULL);
    }
    return rc;
}

static void fill(const config_record *r, otr_code rc, const otr_err *err, otr_apply_result *to)
{
    if (rc != OTR_OK) {
        (void)!otr_apply_result_say(&to->history, NULL, err->msg);
        return;
    }
    to->number = r->number;
    (void)!otr_apply_result_say(&to->version_before, NULL, r->before);
    (void)!otr_apply_result_say(&to->version_after, NULL, r->after);
    if (r->remark[0] != '\0') {
        (void)!otr_apply_result_remark(to, r->remark, NULL);
    }
}

static void on_after(void *arg, otr_code rc, const otr_err *err)
{
    config_record *r = arg;
    otr_apply *tx = r->tx;
    r->working = false;
    if (r->c != NULL && tx != NULL) {
        fill(r, rc, err, r->into);
    }
    bool told = r->c != NULL && tx != NULL;
    free_record(r);
    if (told) {
        otr_apply_told(tx);
    }
}

static otr_code end(otr_config_apply *c, otr_apply *tx, otr_apply_result *result, otr_err *err)
{
    config_record *r = find(c, result->id);
    otr_code rc = r == NULL ? new_record(c, result->id, &r, err) : OTR_OK;
    if (rc != OTR_OK) {
        return rc;
    }
    if (r->working) {
        return otr_fail(err, OTR_ESTATE, "the history still works on its beginning");
    }
    otr_msg *msg = NULL;
    if (r->instance == NULL &&
        otr_config_instances_find(&c->instances, result->instance, &msg, NULL) == OTR_OK) {
        rc = otr_nginx_instance_copy(otr_config_instance_of(msg), &r->instance, err);
    }
    otr_apply_result_free(otr_steal(&r->result));
    rc = rc == OTR_OK ? otr_apply_result_copy(result, &r->result, err) : rc;
    rc = rc == OTR_OK && r->paths == NULL ? set_paths(r, result, err) : rc;
    if (rc == OTR_OK) {
        otr_config_history_job job = {
            .what = "record a change", .writes = true, .run = run_after, .done = on_after, .arg = r
        };
        rc = otr_config_history_submit(c->services->history, &job, err);
    }
    if (rc != OTR_OK) {
        free_record(r);
        return rc;
    }
    r->working = true;
    r->tx = tx;
    r->into = result;
    return OTR_OK;
}

void otr_config_after(void *config, otr_apply *tx, otr_apply_result *result)
{
    otr_config_apply *c = config;
    otr_err err = { 0 };
    if (result->outcome == OTR_APPLY_PLANNED) {
        otr_apply_told(tx);
        return;
    }
    if (end(c, tx, result, &err) != OTR_OK) {
        (void)!otr_apply_result_say(&result->history, NULL, err.msg);
        otr_apply_told(tx);
    }
}
