#include "nginx/instance/survey.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "nginx/instance/groups.h"
#include "nginx/status/poller.h"

enum {
    REREAD_BROKEN = 12, /* runs after which a broken configuration is read again */
    LONGEST_WORKERS = 4096,
};

/* ---- life ---- */

otr_code otr_survey_new(const char *proc_root, otr_survey **ret, otr_err *err)
{
    otr_survey *s = otr_zalloc(sizeof(*s));
    if (s == NULL) {
        return otr_fail_nomem(err);
    }
    s->proc_root = otr_strdup(proc_root);
    s->status_url = otr_strdup("");
    otr_code rc = s->proc_root != NULL && s->status_url != NULL ? OTR_OK : otr_fail_nomem(err);
    if (rc == OTR_OK) {
        rc = otr_discovery_new(proc_root, &s->discovery, err);
    }
    if (rc != OTR_OK) {
        otr_survey_free(s);
        return rc;
    }
    *ret = s;
    return OTR_OK;
}

static void free_records(record *records, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        otr_nginx_instance_free(records[i].instance);
        if (!records[i].lent) {
            otr_nginx_config_free(records[i].config);
        }
    }
    otr_free(records);
}

void otr_survey_free(otr_survey *s)
{
    if (s == NULL) {
        return;
    }
    free_records(s->records, s->n);
    otr_free(s->found);
    otr_executables_deinit(&s->executables);
    otr_discovery_free(s->discovery);
    otr_free(s->status_url);
    otr_free(s->proc_root);
    otr_free(s);
}

const otr_found *otr_survey_found(const otr_survey *s, size_t *ret_n)
{
    *ret_n = s->n;
    return s->found;
}

bool otr_survey_is_early(const otr_survey *s)
{
    return s->early;
}

void otr_survey_reread(otr_survey *s)
{
    s->reread = true;
}

otr_code otr_survey_set_status_url(otr_survey *s, const char *url, otr_err *err)
{
    char *copy = otr_strdup(url);
    if (copy == NULL) {
        return otr_fail_nomem(err);
    }
    otr_free(s->status_url);
    s->status_url = copy;
    return OTR_OK;
}

/* ---- executables ---- */

bool otr_survey_ask(otr_survey *s, otr_ask *ret)
{
    for (size_t i = 0; i < s->executables.n; i++) {
        executable *e = &s->executables.items[i];
        if (e->state == EXECUTABLE_ASK ||
            (e->state == EXECUTABLE_FAILED && otr_now_ns() >= e->retry_ns)) {
            e->state = EXECUTABLE_ASKED;
            *ret = (otr_ask){ .key = e->key, .binary = e->path, .file = e->file };
            return true;
        }
    }
    return false;
}

otr_code otr_survey_answer(otr_survey *s, const otr_file_key *key, const otr_bytes *output,
                           otr_err *err)
{
    executable *e = otr_executables_find(&s->executables, key);
    return e != NULL ? otr_executables_answer(e, output, err) : OTR_OK;
}

/* ---- records ---- */

static int by_pid(const void *a, const void *b)
{
    pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;
    return x < y ? -1 : x > y;
}

static size_t list_workers(const otr_master *m, pid_t *out)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n_children && n < LONGEST_WORKERS; i++) {
        if (m->children[i].kind == OTR_CHILD_WORKER) {
            out[n++] = m->children[i].pid;
        }
    }
    qsort(out, n, sizeof(*out), by_pid);
    return n;
}

/* NGINX reads its configuration when it makes new workers, so that is when we do. */
static bool must_read(const otr_survey *s, const record *was, const group *g, const pid_t *workers,
                      size_t n)
{
    if (was->config == NULL || s->reread || was->members[0].pid != g->leader->pid ||
        strcmp(was->instance->config, g->config) != 0) {
        return true;
    }
    if (was->config->error[0] != '\0' && was->age % REREAD_BROKEN == REREAD_BROKEN - 1) {
        return true;
    }
    for (size_t i = 0; i < n; i++) {
        const otr_nginx_instance *old = was->instance;
        if (old->n_workers == 0 ||
            bsearch(&workers[i], old->workers, old->n_workers, sizeof(*workers), by_pid) == NULL) {
            return true;
        }
    }
    return false;
}

static otr_code read_config(const group *g, record *r, otr_err *err)
{
    const otr_master *m = g->leader;
    otr_nginx_config_spec spec = {
        .root = m->root,
        .config = g->config,
        .prefix = g->prefix,
        .error_log = m->error_log_arg[0] != '\0' ? m->error_log_arg : g->binary->error_log,
        .access_log = g->binary->access_log,
    };
    return otr_nginx_config_read(&spec, &r->config, err);
}

static otr_code make_instance(const otr_survey *s, const group *g, const pid_t *workers, size_t n,
                              record *r, otr_err *err)
{
    char *one[] = { s->status_url };
    bool given = s->status_url[0] != '\0';
    otr_nginx_config *c = r->config;
    char none[] = "";
    char **urls = given ? one : c->status_urls;
    size_t n_urls = given ? 1 : c->n_status_urls;
    pid_t pids[LONGEST_WORKERS];
    if (n > 0) {
        memcpy(pids, workers, n * sizeof(*pids));
    }
    otr_nginx_instance view = {
        /* borrows everything: the copy owns */
        .pid = g->leader->pid,
        .started_ticks = g->leader->started_ticks,
        .workers = pids,
        .n_workers = n,
        .binary = g->leader->binary,
        .replaced = g->leader->replaced,
        .version = g->binary->version,
        .plus = g->binary->plus,
        .config = g->config,
        .prefix = g->prefix,
        .configure = g->binary->configure,
        .error_log = c->error_log,
        .stub_status = n_urls > 0 ? urls[0] : none,
        .status_urls = urls,
        .n_status_urls = n_urls,
        .status_given = given,
        .access_logs = c->access_logs,
        .n_access_logs = c->n_access_logs,
        .root = g->leader->root,
        .config_error = c->error,
    };
    memcpy(view.id, g->id, sizeof(view.id));
    otr_code rc = otr_nginx_instance_copy(&view, &r->instance, err);
    if (rc == OTR_OK && given) {
        otr_status_url_hide(r->instance->stub_status);
    }
    return rc;
}

static otr_code make_record(const otr_survey *s, const group *g, record *r, otr_err *err)
{
    pid_t workers[LONGEST_WORKERS];
    size_t n = list_workers(g->leader, workers);
    const record *was = g->was;
    bool read = was == NULL || must_read(s, was, g, workers, n);
    *r = (record){ .age = read ? 0 : was->age + 1 };
    r->members[r->n_members++] = (member){ g->leader->pid, g->leader->started_ticks };
    for (size_t i = 0; i < g->n_others; i++) {
        r->members[r->n_members++] = (member){ g->others[i]->pid, g->others[i]->started_ticks };
    }
    if (read) {
        otr_code rc = read_config(g, r, err);
        if (rc != OTR_OK) {
            return rc;
        }
    } else {
        r->config = was->config;
        r->lent = true; /* until the run is complete it stays the old record's */
    }
    return make_instance(s, g, workers, n, r, err);
}

/* The new records take over: what they borrowed becomes theirs. */
static void commit(otr_survey *s, record *records, otr_found *found, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; records[i].lent && j < s->n; j++) {
            if (s->records[j].config == records[i].config) {
                s->records[j].lent = true;
            }
        }
        records[i].lent = false;
    }
    free_records(s->records, s->n);
    otr_free(s->found);
    s->records = records;
    s->found = found;
    s->n = n;
    s->reread = false;
}

static otr_code make_records(otr_survey *s, const group *groups, size_t n, otr_err *err)
{
    record *records = otr_calloc(n + 1, sizeof(*records));
    otr_found *found = otr_calloc(n + 1, sizeof(*found));
    otr_code rc = records != NULL && found != NULL ? OTR_OK : otr_fail_nomem(err);
    size_t made = 0;
    for (size_t i = 0; rc == OTR_OK && i < n; i++) {
        if (groups[i].skip) {
            continue;
        }
        rc = make_record(s, &groups[i], &records[made], err);
        found[made] = (otr_found){ .instance = records[made].instance,
                                   .other_pid = records[made].members[1].pid,
                                   .same_life = groups[i].was != NULL,
                                   .zombie = groups[i].leader->zombie };
        made++;
    }
    if (rc != OTR_OK) {
        free_records(records, made);
        otr_free(found);
        return rc;
    }
    commit(s, records, found, made);
    return OTR_OK;
}

otr_code otr_survey_run(otr_survey *s, otr_err *err)
{
    s->early = false;
    otr_code rc = otr_discovery_scan(s->discovery, err);
    if (rc != OTR_OK) {
        return rc;
    }
    group *groups = otr_calloc(OTR_LIMIT_NGINX_INSTANCES, sizeof(*groups));
    if (groups == NULL) {
        return otr_fail_nomem(err);
    }
    size_t n = otr_groups_make(s, groups, OTR_LIMIT_NGINX_INSTANCES);
    rc = otr_groups_prepare(s, groups, n, err);
    if (rc == OTR_OK) {
        rc = make_records(s, groups, n, err);
    }
    otr_groups_free(groups, n);
    otr_executables_sweep(&s->executables);
    return rc;
}
