#include "nginx/survey.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "nginx/config.h"
#include "nginx/executables.h"
#include "nginx/files.h"
#include "nginx/id.h"

enum {
    HOLDS_MOST = 5,     /* runs for which a master without workers is held back */
    REREAD_BROKEN = 12, /* runs after which a broken configuration is read again */
    LONGEST_WORKERS = 4096,
};

typedef struct record { /* one instance and the master that stands for it */
    otr_nginx_instance *instance;
    otr_nginx_config *config;
    pid_t pid, other_pid;
    uint64_t ticks, other_ticks;
    bool lent; /* its config went on into the next run's record */
    unsigned age;
} record;

typedef struct hold {
    pid_t pid;
    uint64_t ticks;
    unsigned runs;
} hold;

struct otr_survey {
    char *proc_root;
    otr_discovery *discovery;
    executables executables;
    char *status_url;
    record *records; /* of the last run */
    otr_found *found;
    size_t n;
    hold holds[OTR_LIMIT_NGINX_INSTANCES];
    size_t n_holds;
    bool early, reread;
};

typedef struct group { /* the masters of one instance: more than one while it is upgraded */
    const otr_master *leader;
    const otr_master *other; /* NULL: none */
    const record *was;       /* of the last run; NULL: new */
    char id[OTR_NGINX_ID_BYTES];
    bool skip; /* held back, or its executable has to be asked first */
    const otr_binary *binary;
    char *config, *prefix;
} group;

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

/* ---- groups ---- */

static bool runs(const otr_master *m)
{
    return !m->zombie && m->n_workers > 0;
}

/* Does `b` stand for the instance rather than `a`, which is older? The new master of an upgrade as
 * soon as it has workers; before that it may still fail. */
static bool prefer(const otr_master *a, const otr_master *b)
{
    return runs(b) || (a->zombie && !b->zombie);
}

static bool is_of(const record *r, const otr_master *m)
{
    return (r->pid == m->pid && r->ticks == m->started_ticks) ||
           (r->other_pid == m->pid && r->other_ticks == m->started_ticks);
}

static const record *record_of(const otr_survey *s, const otr_master *m)
{
    for (size_t i = 0; m != NULL && i < s->n; i++) {
        if (is_of(&s->records[i], m)) {
            return &s->records[i];
        }
    }
    return NULL;
}

/* One group a master, but a master whose parent is one joins the parent's: only an upgrade makes
 * such a pair. Masters come oldest first. */
static size_t make_groups(const otr_survey *s, group *groups, size_t most)
{
    size_t n_masters, n = 0;
    const otr_master *masters = otr_discovery_masters(s->discovery, &n_masters);
    for (size_t i = 0; i < n_masters; i++) {
        const otr_master *m = &masters[i];
        const record *was = record_of(s, m);
        group *join = NULL;
        for (size_t j = 0; j < n && join == NULL; j++) {
            bool child = groups[j].leader->pid == m->ppid ||
                         (groups[j].other != NULL && groups[j].other->pid == m->ppid);
            join = child || (was != NULL && was == groups[j].was) ? &groups[j] : NULL;
        }
        if (join == NULL) {
            if (n < most) {
                groups[n++] = (group){ .leader = m, .was = was };
            }
        } else if (prefer(join->leader, m)) {
            join->other = join->leader;
            join->leader = m;
        } else {
            join->other = m;
        }
    }
    return n;
}

static void free_groups(group *groups, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        otr_free(groups[i].config);
        otr_free(groups[i].prefix);
    }
    otr_free(groups);
}

/* ---- paths and ids ---- */

static otr_code join(const char *dir, const char *path, char **ret, otr_err *err)
{
    otr_buf text;
    otr_buf_init(&text, OTR_NGINX_PATH_BYTES);
    otr_code rc = otr_path_join(dir, path, &text, err);
    if (rc == OTR_OK) {
        /* An absolute path stays as it was written: the id is made from it. */
        *ret = otr_strdup(path[0] == '/' ? path : otr_buf_text(&text));
        rc = *ret != NULL ? OTR_OK : otr_fail_nomem(err);
    }
    otr_buf_deinit(&text);
    return rc;
}

/* As NGINX resolves them: the prefix against the working directory, -c against the prefix. */
static otr_code resolve_paths(group *g, otr_err *err)
{
    const otr_master *m = g->leader;
    const char *prefix = m->prefix_arg[0] != '\0' ? m->prefix_arg : g->binary->prefix;
    const char *config = m->config_arg[0] != '\0' ? m->config_arg : g->binary->conf_path;
    otr_code rc = join(m->cwd, prefix, &g->prefix, err);
    return rc == OTR_OK ? join(g->prefix, config, &g->config, err) : rc;
}

static bool is_taken(const group *groups, size_t n, const group *by, const char *id)
{
    for (size_t i = 0; i < n; i++) {
        if (&groups[i] != by && !groups[i].skip && !groups[i].leader->zombie &&
            strcmp(groups[i].id, id) == 0) {
            return true;
        }
    }
    return false;
}

/* The compiled-in prefix gives the id that NGINX Agent makes. Two instances may share it: one
 * configuration under two prefixes, or the same image in two containers; the younger one then
 * takes its own prefix, and at last its pid, into its id. */
static otr_code make_id(group *groups, size_t n, group *g, otr_err *err)
{
    const char *binary = g->leader->binary;
    otr_code rc = otr_nginx_instance_id(binary, g->config, g->binary->prefix, g->id, err);
    if (rc == OTR_OK && is_taken(groups, n, g, g->id)) {
        rc = otr_nginx_instance_id(binary, g->config, g->prefix, g->id, err);
    }
    if (rc == OTR_OK && is_taken(groups, n, g, g->id)) {
        char number[24];
        rc = otr_nginx_instance_id(binary, g->config,
                                   otr_u64_text(number, (uint64_t)g->leader->pid), g->id, err);
    }
    return rc;
}

/* A master that ended and is never waited for does not keep its id from the next one. */
static void yield_ids(group *groups, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        group *g = &groups[i];
        g->skip |= g->leader->zombie && is_taken(groups, n, g, g->id);
    }
}

/* A new master shows its title before it has workers: to report it then would only be to correct
 * the report at once. */
static bool hold_back(otr_survey *s, const group *g)
{
    const otr_master *m = g->leader;
    if (g->was != NULL || m->n_workers > 0 || m->zombie) {
        return false;
    }
    for (size_t i = 0; i < s->n_holds; i++) {
        if (s->holds[i].pid == m->pid && s->holds[i].ticks == m->started_ticks) {
            return ++s->holds[i].runs <= HOLDS_MOST;
        }
    }
    if (s->n_holds == OTR_COUNT(s->holds)) {
        s->n_holds = 0;
    }
    s->holds[s->n_holds++] = (hold){ .pid = m->pid, .ticks = m->started_ticks, .runs = 1 };
    return true;
}

static otr_code prepare(otr_survey *s, group *groups, size_t n, otr_err *err)
{
    otr_code rc = OTR_OK;
    /* All executables first: their list moves as it grows. */
    for (size_t i = 0; rc == OTR_OK && i < n; i++) {
        executable *e;
        rc = otr_executables_get(&s->executables, s->proc_root, groups[i].leader, &e, err);
    }
    for (size_t i = 0; rc == OTR_OK && i < n; i++) {
        group *g = &groups[i];
        const executable *e = otr_executables_find(&s->executables, &g->leader->file);
        bool early = hold_back(s, g);
        s->early |= early;
        g->binary = &e->binary;
        g->skip = early || (g->was == NULL && e->failures == 0 &&
                            (e->state == EXECUTABLE_ASK || e->state == EXECUTABLE_ASKED));
        rc = resolve_paths(g, err);
        if (g->was != NULL) {
            memcpy(g->id, g->was->instance->id, sizeof(g->id));
        }
    }
    for (size_t i = 0; rc == OTR_OK && i < n; i++) { /* after the ids that stay */
        if (groups[i].was == NULL && !groups[i].skip) {
            rc = make_id(groups, n, &groups[i], err);
        }
    }
    yield_ids(groups, n);
    return rc;
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
    if (was == NULL || was->config == NULL || s->reread || was->pid != g->leader->pid ||
        strcmp(was->instance->config, g->config) != 0) {
        return true;
    }
    if (was->config->error[0] != '\0' && was->age % REREAD_BROKEN == REREAD_BROKEN - 1) {
        return true;
    }
    for (size_t i = 0; i < n; i++) {
        const otr_nginx_instance *old = was->instance;
        if (bsearch(&workers[i], old->workers, old->n_workers, sizeof(*workers), by_pid) == NULL) {
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
        .access_logs = c->access_logs,
        .n_access_logs = c->n_access_logs,
        .root = g->leader->root,
        .config_error = c->error,
    };
    memcpy(view.id, g->id, sizeof(view.id));
    return otr_nginx_instance_copy(&view, &r->instance, err);
}

static otr_code make_record(const otr_survey *s, const group *g, record *r, otr_err *err)
{
    pid_t workers[LONGEST_WORKERS];
    size_t n = list_workers(g->leader, workers);
    const record *was = g->was;
    bool read = must_read(s, was, g, workers, n);
    *r = (record){ .pid = g->leader->pid,
                   .ticks = g->leader->started_ticks,
                   .other_pid = g->other != NULL ? g->other->pid : 0,
                   .other_ticks = g->other != NULL ? g->other->started_ticks : 0,
                   .age = was != NULL && !read ? was->age + 1 : 0 };
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
                                   .other_pid = records[made].other_pid,
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
    size_t n = make_groups(s, groups, OTR_LIMIT_NGINX_INSTANCES);
    rc = prepare(s, groups, n, err);
    if (rc == OTR_OK) {
        rc = make_records(s, groups, n, err);
    }
    free_groups(groups, n);
    otr_executables_sweep(&s->executables);
    return rc;
}
