/*
 * From master processes to instances: which belong together, where their files are, their ids.
 */
#include "nginx/instance/groups.h"

#include <assert.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/log.h"
#include "nginx/files.h"
#include "nginx/instance/id.h"

enum { HOLDS_MOST = 5 }; /* runs for which a master without workers is held back */

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
    for (size_t i = 0; i < r->n_members; i++) {
        if (r->members[i].pid == m->pid && r->members[i].ticks == m->started_ticks) {
            return true;
        }
    }
    return false;
}

static const record *record_of(const otr_survey *s, const otr_master *m)
{
    for (size_t i = 0; i < s->n; i++) {
        if (is_of(&s->records[i], m)) {
            return &s->records[i];
        }
    }
    return NULL;
}

/* Started alike on this host: a newcomer beside a known one shares pid file and ports, so it is an
 * upgrade. The old master may have gone, and left the new one to init, before a scan saw them as
 * parent and child.
 */
static bool same_start(const otr_master *a, const otr_master *b)
{
    return !a->zombie && !b->zombie && a->root[0] == '\0' && b->root[0] == '\0' &&
           strcmp(a->binary, b->binary) == 0 && strcmp(a->cwd, b->cwd) == 0 &&
           strcmp(a->prefix_arg, b->prefix_arg) == 0 && strcmp(a->config_arg, b->config_arg) == 0;
}

static bool belongs_to(const group *g, const otr_master *m, const record *was)
{
    assert(g->leader != NULL);
    bool related =
        g->leader->pid == m->ppid || (was != NULL && was == g->was) || same_start(g->leader, m);
    for (size_t i = 0; i < g->n_others; i++) {
        related |= g->others[i]->pid == m->ppid;
    }
    return related;
}

static void add_member(group *g, const otr_master *m)
{
    const otr_master *back = m;
    if (prefer(g->leader, m)) {
        back = g->leader;
        g->leader = m;
    }
    if (g->n_others < OTR_COUNT(g->others)) {
        g->others[g->n_others++] = back;
    }
}

/* One group a master, but a master whose parent is one joins the parent's: only an upgrade makes
 * such a pair. Masters come oldest first. */
size_t otr_groups_make(const otr_survey *s, group *groups, size_t most)
{
    size_t n_masters, n = 0;
    const otr_master *masters = otr_discovery_masters(s->discovery, &n_masters);
    for (size_t i = 0; i < n_masters; i++) {
        const otr_master *m = &masters[i];
        const record *was = record_of(s, m);
        group *join = NULL;
        for (size_t j = 0; j < n && join == NULL; j++) {
            join = belongs_to(&groups[j], m, was) ? &groups[j] : NULL;
        }
        if (join != NULL) {
            add_member(join, m);
        } else if (n < most) {
            groups[n++] = (group){ .leader = m, .was = was };
        }
    }
    return n;
}

void otr_groups_free(group *groups, size_t n)
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

static bool exists(const char *root, const char *path)
{
    int fd;
    if (otr_root_open(&(otr_root){ .path = root }, path, O_PATH, &fd, NULL) != OTR_OK) {
        return false;
    }
    close(fd);
    return true;
}

/* The only one of the paths, or the only one that ends in ".conf"; NULL: neither. */
static char **the_one(const otr_paths *paths)
{
    char **one = NULL;
    for (size_t i = 0; i < paths->n; i++) {
        size_t n = strlen(paths->items[i]);
        if (paths->n == 1 || (n > 5 && strcmp(paths->items[i] + n - 5, ".conf") == 0)) {
            if (one != NULL) {
                return NULL;
            }
            one = &paths->items[i];
        }
    }
    return one;
}

/* NGINX writes its title over its arguments and environment: with little environment the title is
 * cut, and -c with it. Where only one file begins with what is left, it is that one. */
static otr_code complete_config(group *g, otr_err *err)
{
    const char *root = g->leader->root;
    if (g->leader->config_arg[0] == '\0' || otr_is_glob(g->config) || exists(root, g->config)) {
        return OTR_OK;
    }
    otr_buf pattern;
    otr_buf_init(&pattern, OTR_NGINX_PATH_BYTES);
    otr_paths paths = { 0 };
    otr_code rc = otr_buf_addf(&pattern, err, "%s*", g->config);
    if (rc == OTR_OK) {
        otr_glob glob = { .pattern = otr_buf_text(&pattern), .max = OTR_LIMIT_NGINX_CONFIG_FILES };
        rc = otr_root_glob(&(otr_root){ .path = root }, &glob, &paths, err);
    }
    char **one = rc == OTR_OK ? the_one(&paths) : NULL;
    if (one != NULL) {
        otr_free(g->config);
        g->config = otr_steal(one);
    }
    otr_paths_deinit(&paths);
    otr_buf_deinit(&pattern);
    return rc == OTR_ENOMEM ? rc : OTR_OK;
}

/* As NGINX resolves them: the prefix against the working directory, -c against the prefix. */
static otr_code resolve_paths(group *g, otr_err *err)
{
    const otr_master *m = g->leader;
    const char *prefix = m->prefix_arg[0] != '\0' ? m->prefix_arg : g->binary->prefix;
    const char *config = m->config_arg[0] != '\0' ? m->config_arg : g->binary->conf_path;
    otr_code rc = join(m->cwd, prefix, &g->prefix, err);
    if (rc == OTR_OK) {
        rc = join(g->prefix, config, &g->config, err);
    }
    return rc == OTR_OK ? complete_config(g, err) : rc;
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

otr_code otr_groups_prepare(otr_survey *s, group *groups, size_t n, otr_err *err)
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
