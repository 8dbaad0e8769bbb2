/*
 * From master processes to instances: which belong together, where their files are, their ids.
 */
#include "nginx/instance/groups.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/log.h"
#include "nginx/files.h"
#include "nginx/instance/id.h"

enum { HOLDS_MOST = 5 }; /* runs for which a master without workers is held back */

static bool is_of(const record *r, const otr_master *m)
{
    for (size_t i = 0; i < r->n_members; i++) {
        const member *was = &r->members[i];
        if (was->pid == m->pid && was->ticks == m->started_ticks && was->uid == m->uid &&
            was->exe_dev == m->exe.dev && was->exe_ino == m->exe.ino) {
            return true;
        }
    }
    return false;
}

static bool differ(uint64_t a, uint64_t b)
{
    return a != 0 && b != 0 && a != b;
}

/* Only what descends from a process is in the session that it began: a master in that of an earlier
 * one is its upgrade, also when the two were never seen as parent and child. */
static bool descends(const record *r, const otr_master *m)
{
    const member *was = &r->members[0];
    return r->session != 0 && m->session == r->session && m->pid != m->session &&
           m->uid == was->uid && m->started_ticks > was->ticks &&
           !differ(m->net_ns, r->instance->net_ns) && !m->untitled;
}

static const record *record_of(const otr_survey *s, const otr_master *m)
{
    const record *ancestor = NULL;
    for (size_t i = 0; i < s->n; i++) {
        if (is_of(&s->records[i], m)) {
            return &s->records[i];
        }
        ancestor = descends(&s->records[i], m) ? &s->records[i] : ancestor;
    }
    return ancestor;
}

/* May the two be of one instance, as far as is known? */
static bool same_place(const otr_master *a, const otr_master *b)
{
    bool roots = !a->root_known || !b->root_known ||
                 (a->root_dev == b->root_dev && a->root_ino == b->root_ino);
    return a->uid == b->uid && roots && !differ(a->net_ns, b->net_ns) &&
           !differ(a->pid_ns, b->pid_ns) && !differ(a->mnt_ns, b->mnt_ns);
}

/* One argument of a master and of its upgrade: the title of either may be cut. */
static bool same_argument(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    return strncmp(a, b, n < m ? n : m) == 0;
}

/* A new master of an upgrade is the child of the old one. That was seen, or can be seen now: equal
 * arguments alone are two instances, the second of which may be anybody's. */
static bool is_related(const otr_master *a, const otr_master *b)
{
    return (a->pid == b->ppid || b->pid == a->ppid) &&
           same_argument(a->config_arg, b->config_arg) &&
           same_argument(a->prefix_arg, b->prefix_arg);
}

static bool belongs_to(const group *g, const otr_master *m, const record *was)
{
    assert(g->leader != NULL);
    if (!same_place(g->leader, m)) {
        return false;
    }
    bool related = is_related(g->leader, m) || (was != NULL && was == g->was);
    for (size_t i = 0; i < g->n_others; i++) {
        related |= is_related(g->others[i], m);
    }
    return related;
}

/* The new master of an upgrade stands for the instance as soon as it has workers; before that it
 * may still fail. */
static void add_member(group *g, const otr_master *m)
{
    const otr_master *back = m;
    if (m->n_workers > 0) {
        back = g->leader;
        g->leader = m;
    }
    if (g->n_others < OTR_COUNT(g->others)) {
        g->others[g->n_others++] = back;
    }
}

/* A master joins the group of one that it is an upgrade of; else it has one of its own. An instance
 * goes on in one group only, should its masters have parted. */
static void place(otr_survey *s, const otr_master *m, group *groups, size_t *n, size_t most)
{
    const record *was = record_of(s, m);
    group *home = NULL;
    for (size_t i = 0; i < *n; i++) {
        home = home == NULL && belongs_to(&groups[i], m, was) ? &groups[i] : home;
        was = groups[i].was == was && home != &groups[i] ? NULL : was;
    }
    if (home != NULL) {
        add_member(home, m);
        home->was = home->was != NULL ? home->was : was;
        return;
    }
    if (*n >= most) {
        s->missing++;
        return;
    }
    groups[(*n)++] = (group){ .leader = m, .was = was };
}

/* Masters come oldest first. */
size_t otr_groups_make(otr_survey *s, group *groups, size_t most)
{
    size_t n_masters, n = 0;
    const otr_master *masters = otr_discovery_masters(s->discovery, &n_masters);
    s->missing = otr_discovery_missing(s->discovery);
    s->hidden = 0;
    for (size_t i = 0; i < n_masters; i++) {
        if (!masters[i].stranger) {
            place(s, &masters[i], groups, &n, most);
        }
    }
    for (size_t i = 0; i < n_masters; i++) {
        if (!masters[i].stranger) {
            continue;
        }
        if (s->strangers == OTR_STRANGERS_SHOW) {
            place(s, &masters[i], groups, &n, most);
        } else {
            s->hidden++;
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
    if (g->leader->config_arg[0] == '\0' || !g->leader->root_known || otr_is_glob(g->config) ||
        exists(root, g->config)) {
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
    const char *prefix = m->prefix_arg[0] != '\0' ? m->prefix_arg : g->paths->prefix;
    const char *config = m->config_arg[0] != '\0' ? m->config_arg : g->paths->conf_path;
    otr_code rc = join(m->cwd, prefix, &g->prefix, err);
    if (rc == OTR_OK) {
        rc = join(g->prefix, config, &g->config, err);
    }
    return rc == OTR_OK ? complete_config(g, err) : rc;
}

static bool is_taken(const group *groups, size_t n, const group *by, const char *id)
{
    for (size_t i = 0; i < n; i++) {
        const group *g = &groups[i];
        bool has_id = !g->skip || g->was != NULL;
        if (g != by && has_id && strcmp(g->id, id) == 0) {
            return true;
        }
    }
    return false;
}

/* The compiled-in prefix gives the id that NGINX Agent makes, which is what an instance of root's
 * or of our own user has. That of another user never has it, also while nobody else does: or it
 * could pass for the instance that the host's administrator started. */
static otr_code base_id(const group *g, char out[OTR_NGINX_ID_BYTES], otr_err *err)
{
    const otr_master *m = g->leader;
    if (!m->stranger) {
        return otr_nginx_instance_id(m->binary, g->config, g->paths->prefix, out, err);
    }
    char owner[40];
    (void)snprintf(owner, sizeof(owner), "uid %u", (unsigned)m->uid);
    return otr_nginx_instance_id(m->binary, g->config, owner, out, err);
}

/* Two instances may be alike: one configuration under two prefixes, the same image in two
 * containers, one command given twice. The younger one then takes its own prefix, and at last its
 * process, into its id. */
static otr_code make_id(group *groups, size_t n, group *g, otr_err *err)
{
    const otr_master *m = g->leader;
    otr_code rc = base_id(g, g->id, err);
    if (rc == OTR_OK && !m->stranger && is_taken(groups, n, g, g->id)) {
        rc = otr_nginx_instance_id(m->binary, g->config, g->prefix, g->id, err);
    }
    for (unsigned i = 0; rc == OTR_OK && is_taken(groups, n, g, g->id); i++) {
        char process[72];
        (void)snprintf(process, sizeof(process), "pid %d %llu %u", (int)m->pid,
                       (unsigned long long)m->started_ticks, i);
        rc = otr_nginx_instance_id(m->binary, g->config, process, g->id, err);
    }
    return rc;
}

static bool is_held(const hold *h, const otr_master *m)
{
    return h->pid == m->pid && h->ticks == m->started_ticks;
}

/* A new master shows its title before it has workers: to report it then would only be to correct
 * the report at once. */
static bool hold_back(otr_survey *s, const group *g)
{
    const otr_master *m = g->leader;
    if (g->was != NULL || m->n_workers > 0 || m->untitled) {
        return false;
    }
    for (size_t i = 0; i < s->n_holds; i++) {
        if (is_held(&s->holds[i], m)) {
            return ++s->holds[i].runs <= HOLDS_MOST;
        }
    }
    if (s->n_holds == OTR_COUNT(s->holds)) {
        s->n_holds = 0;
    }
    s->holds[s->n_holds++] = (hold){ .pid = m->pid, .ticks = m->started_ticks, .runs = 1 };
    return true;
}

/* A path that is too long, say: the arguments are foreign, and hold up nobody else. */
static bool is_hopeless(otr_code rc)
{
    return rc != OTR_OK && rc != OTR_ENOMEM;
}

otr_code otr_groups_prepare(otr_survey *s, group *groups, size_t n, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < n; i++) {
        group *g = &groups[i];
        const otr_binary *binary = otr_discovery_binary(s->discovery, g->leader);
        const otr_binary *paths = otr_discovery_guess(s->discovery, g->leader);
        bool early = hold_back(s, g);
        s->early |= early && !g->leader->stranger; /* nobody keeps us busy by starting masters */
        if (binary == NULL && !g->leader->exe_known) {
            binary = otr_presumed_binary(&s->presumed, g->leader->binary);
        }
        g->binary = binary != NULL ? binary : &s->unknown;
        g->paths = paths != NULL ? paths : &s->unknown;
        g->skip = early;
        rc = resolve_paths(g, err);
        if (is_hopeless(rc)) {
            otr_log_debug("cannot tell where an NGINX has its files", "pid",
                          OTR_I64(g->leader->pid));
            g->skip = true;
            rc = OTR_OK;
        }
        if (g->was != NULL) {
            memcpy(g->id, g->was->instance->id, sizeof(g->id));
        }
    }
    for (size_t i = 0; rc == OTR_OK && i < n; i++) { /* after the ids that stay */
        if (groups[i].was == NULL && !groups[i].skip) {
            rc = make_id(groups, n, &groups[i], err);
        }
    }
    return rc;
}
