#include "nginx/instance/survey.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "nginx/instance/groups.h"
#include "nginx/instance/reading.h"
#include "nginx/instance/rights.h"
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
    if (rc == OTR_OK) {
        rc = otr_binary_parse((otr_bytes){ 0 }, &s->unknown, err);
    }
    if (rc != OTR_OK) {
        otr_survey_free(s);
        return rc;
    }
    *ret = s;
    return OTR_OK;
}

static void free_list(char **folders)
{
    for (char **f = folders; f != NULL && *f != NULL; f++) {
        otr_free(*f);
    }
    otr_free(folders);
}

static void free_records(record *records, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        otr_nginx_instance_free(records[i].instance);
        otr_loaded_deinit(&records[i].loaded);
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
    otr_binary_deinit(&s->unknown);
    otr_presumed_deinit(&s->presumed);
    otr_discovery_free(s->discovery);
    free_list(s->allowed);
    free_list(s->excluded);
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

otr_survey_lack otr_survey_get_lack(const otr_survey *s)
{
    return (otr_survey_lack){ .missing = s->missing, .hidden = s->hidden };
}

void otr_survey_set_strangers(otr_survey *s, otr_strangers strangers)
{
    s->strangers = strangers;
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

static bool same_list(char *const *a, const char *const *b)
{
    if (a == NULL || b == NULL) {
        return a == NULL && b == NULL;
    }
    while (*a != NULL && *b != NULL && strcmp(*a, *b) == 0) {
        a++;
        b++;
    }
    return *a == NULL && *b == NULL;
}

/* A list of settings, copied; another one than before makes every configuration be read anew. */
static otr_code set_list(otr_survey *s, char ***slot, const char *const *from, otr_err *err)
{
    if (same_list(*slot, from)) {
        return OTR_OK;
    }
    size_t n = 0;
    while (from != NULL && from[n] != NULL) {
        n++;
    }
    char **copy = from != NULL ? otr_calloc(n + 1, sizeof(*copy)) : NULL;
    if (copy == NULL && from != NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t i = 0; i < n; i++) {
        copy[i] = otr_strdup(from[i]);
        if (copy[i] == NULL) {
            free_list(copy);
            return otr_fail_nomem(err);
        }
    }
    free_list(*slot);
    *slot = copy;
    s->reread = true;
    return OTR_OK;
}

otr_code otr_survey_set_allowed(otr_survey *s, const char *const *folders, otr_err *err)
{
    return set_list(s, &s->allowed, folders, err);
}

otr_code otr_survey_set_excluded(otr_survey *s, const char *const *patterns, otr_err *err)
{
    return set_list(s, &s->excluded, patterns, err);
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

/* Beside what NGINX has loaded anew: what was not known at the last reading may be known now. */
static bool must_read(const otr_survey *s, const record *was, const group *g)
{
    if (was->config == NULL || s->reread || was->members[0].pid != g->leader->pid ||
        strcmp(was->instance->config, g->config) != 0) {
        return true;
    }
    bool partial = was->config->error[0] != '\0' || was->config->unseen;
    if (partial && was->age % REREAD_BROKEN == REREAD_BROKEN - 1) {
        return true;
    }
    return false;
}

/* The process itself serves where there is but one. */
static bool is_single(const otr_master *m)
{
    return m->untitled && m->n_workers == 0;
}

/* What the kernel did not tell. */
static otr_code say_closed(const otr_survey *s, const otr_master *m, const record *r, otr_err *err)
{
    char why[OTR_RIGHTS_BYTES];
    if (m->root_known && m->exe_known && m->cwd_known && m->net_ns != 0) {
        return OTR_OK;
    }
    otr_rights_missing(s->proc_root, m->pid, m->uid, why);
    return otr_nginx_instance_remark(
        r->instance, err, "What the kernel tells of process %d is not open to the agent: %s.%s%s",
        (int)m->pid, why,
        m->exe_known ? ""
        : r->ours    ? " The path of its executable is a guess, its version is unknown."
                     : " The paths of its executable and configuration are guesses, its version is "
                       "unknown.",
        m->root_known || r->ours ? "" : " Which files it sees is unknown: none are read.");
}

/* What could not be known about it, or is not done for it. */
static otr_code add_remarks(const otr_survey *s, const group *g, const record *r, otr_err *err)
{
    otr_nginx_instance *i = r->instance;
    const otr_master *m = g->leader;
    otr_code rc = say_closed(s, m, r, err);
    if (rc == OTR_OK && i->config_changed && !r->config->unsure) {
        rc = otr_nginx_instance_remark(i, err,
                                       "Its configuration files are not as NGINX loaded them: "
                                       "shown is what it loaded, until it loads them again");
    }
    if (rc == OTR_OK && m->exe_known && i->version[0] == '\0') {
        rc = otr_nginx_instance_remark(i, err, "The executable %s does not hold its version",
                                       m->binary);
    }
    if (rc == OTR_OK && is_single(m)) {
        rc = otr_nginx_instance_remark(
            i, err,
            "It runs as one process (master_process off): a reload of its configuration is not "
            "noticed");
    }
    if (rc == OTR_OK && m->stranger) {
        rc = otr_nginx_instance_remark(
            i, err,
            "It was started by user %u, who is neither root nor the agent's user: its files are "
            "read with that user's rights only, its Unix sockets are not asked "
            "(outrider.nginx.strangers)",
            (unsigned)m->uid);
    }
    return rc;
}

static bool is_unix(const char *url)
{
    return strncmp(url, "unix:", 5) == 0;
}

/* The URLs that are asked: a stranger's may name a socket that only we may connect to. */
static size_t list_urls(const otr_survey *s, const group *g, const otr_nginx_config *c, char **out)
{
    size_t n = 0;
    if (s->status_url[0] != '\0') {
        out[n++] = s->status_url;
        return n;
    }
    for (size_t i = 0; i < c->n_status_urls; i++) {
        if (!g->leader->stranger || !is_unix(c->status_urls[i])) {
            out[n++] = c->status_urls[i];
        }
    }
    return n;
}

/* The instance from what it borrows, with the URLs put in. */
static otr_code copy_view(const otr_survey *s, const group *g, const otr_nginx_instance *borrowed,
                          record *r, otr_err *err)
{
    const otr_nginx_config *c = r->config;
    otr_nginx_instance view = *borrowed;
    char none[] = "";
    char **urls = otr_calloc(c->n_status_urls + 1, sizeof(*urls));
    if (urls == NULL) {
        return otr_fail_nomem(err);
    }
    view.status_urls = urls;
    view.n_status_urls = list_urls(s, g, c, urls);
    view.stub_status = view.n_status_urls > 0 ? urls[0] : none;
    view.status_given = s->status_url[0] != '\0';
    otr_code rc = otr_nginx_instance_copy(&view, &r->instance, err);
    otr_free(urls);
    if (rc == OTR_OK && view.status_given) {
        otr_status_url_hide(r->instance->stub_status);
    }
    return rc == OTR_OK ? add_remarks(s, g, r, err) : rc;
}

static otr_code make_instance(const otr_survey *s, const group *g, pid_t *workers, size_t n,
                              record *r, otr_err *err)
{
    const otr_nginx_config *c = r->config;
    const otr_master *m = g->leader;
    otr_root reach = otr_reading_root(s, m, r);
    char none[] = "";
    uint64_t own_net = otr_discovery_own(s->discovery)->net_ns;
    otr_nginx_instance view = {
        /* borrows everything: the copy owns */
        .pid = m->pid,
        .started_ticks = m->started_ticks,
        .uid = m->uid,
        .gid = m->gid,
        .stranger = m->stranger,
        .net_ns = m->net_ns,
        .own_net = m->net_ns != 0 && m->net_ns == own_net,
        .workers = workers,
        .n_workers = n,
        .binary = m->binary,
        .replaced = m->replaced,
        .maker = g->binary->maker,
        .version = g->binary->version,
        .plus = g->binary->plus,
        .config = g->config,
        .prefix = g->prefix,
        .configure = g->binary->configure,
        .error_log = c->error_log,
        .access_logs = c->access_logs,
        .n_access_logs = c->n_access_logs,
        .root = r->ours ? none : m->root,
        .config_error = c->error,
        .config_changed = c->files.changed || c->unsure,
        .loads = r->loads,
        .loaded_ns = r->loaded_ns,
        .reach = &reach,
        .remarks = c->remarks.items,
        .n_remarks = c->remarks.n,
    };
    memcpy(view.id, g->id, sizeof(view.id));
    return copy_view(s, g, &view, r, err);
}

static member member_of(const otr_master *m)
{
    return (member){ .pid = m->pid,
                     .ticks = m->started_ticks,
                     .uid = m->uid,
                     .exe_dev = m->exe.dev,
                     .exe_ino = m->exe.ino };
}

/* When NGINX had the configuration, as far as its workers tell. */
static void note_load(record *r, const record *was, otr_load load, const otr_workers *now)
{
    r->loads = was != NULL ? was->loads : 0;
    r->loaded_ns = was != NULL ? was->loaded_ns : 0;
    if (load == OTR_LOAD_NEW) {
        r->loads++;
        r->loaded_ns = otr_loaded_since(now, was != NULL ? &was->loaded : NULL);
    }
}

static otr_code make_record(otr_survey *s, const group *g, record *r, otr_err *err)
{
    pid_t workers[LONGEST_WORKERS];
    size_t n = list_workers(g->leader, workers);
    if (is_single(g->leader)) {
        workers[n++] = g->leader->pid;
    }
    const record *was = g->was;
    otr_workers now = {
        .proc_root = s->proc_root, .master = g->leader->pid, .pids = workers, .n = n
    };
    otr_load load = was == NULL ? OTR_LOAD_NEW : otr_loaded_compare(&was->loaded, &now);
    bool read = load == OTR_LOAD_NEW || must_read(s, was, g);
    *r = (record){ .age = read ? 0 : was->age + 1 };
    note_load(r, was, load, &now);
    r->members[r->n_members++] = member_of(g->leader);
    r->session = was != NULL && g->leader->session == was->session ? was->session : 0;
    r->session = g->leader->session == g->leader->pid ? g->leader->pid : r->session;
    for (size_t i = 0; i < g->n_others; i++) {
        const otr_master *m = g->others[i];
        r->members[r->n_members++] = member_of(m);
        r->session = m->session == m->pid && r->session == 0 ? m->pid : r->session;
    }
    otr_code rc =
        read ? otr_reading_read(s, g, &now, r, err) : otr_reading_keep(s, g, &now, load, r, err);
    return rc == OTR_OK ? make_instance(s, g, workers, n, r, err) : rc;
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
                                   .same_life = groups[i].was != NULL };
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
    return rc;
}
