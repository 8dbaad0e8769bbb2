#include "nginx/instance/discovery.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "nginx/files.h"
#include "nginx/instance/proc.h"

enum {
    MASTERS_MOST = 2 * OTR_LIMIT_NGINX_INSTANCES, /* while upgraded an instance has two */
    CHILDREN_MOST = 4096,
    TITLE_BYTES = 16384,

    /* How often a process that is no NGINX is looked at: each of the first scans, since a shell may
     * become one by exec, then one scan in so many, also for a pid that was used again. */
    LOOKS_AT_FIRST = 6,
    LOOK_EVERY = 12,
};

typedef struct entry { /* a process that is no master */
    pid_t pid;
    pid_t worker_of; /* parent, when its title is a worker's; else 0 */
    unsigned seen;   /* scans */
} entry;

struct otr_discovery {
    char *proc_root;
    otr_master *masters;
    size_t n_masters, cap_masters;
    entry *entries, *old; /* ascending by pid */
    size_t n_entries, cap_entries, n_old, cap_old;
    bool no_children_file; /* this kernel does not tell: parents are read from each worker */
    otr_discovery_stats stats;
    char title[TITLE_BYTES];
};

otr_code otr_discovery_new(const char *proc_root, otr_discovery **ret, otr_err *err)
{
    otr_discovery *d = otr_zalloc(sizeof(*d));
    if (d == NULL) {
        return otr_fail_nomem(err);
    }
    d->proc_root = otr_strdup(proc_root);
    if (d->proc_root == NULL) {
        otr_discovery_free(d);
        return otr_fail_nomem(err);
    }
    *ret = d;
    return OTR_OK;
}

void otr_discovery_free(otr_discovery *d)
{
    if (d == NULL) {
        return;
    }
    for (size_t i = 0; i < d->n_masters; i++) {
        otr_master_deinit(&d->masters[i]);
    }
    otr_free(d->masters);
    otr_free(d->entries);
    otr_free(d->old);
    otr_free(d->proc_root);
    otr_free(d);
}

const otr_master *otr_discovery_masters(const otr_discovery *d, size_t *ret_n)
{
    *ret_n = d->n_masters;
    return d->masters;
}

otr_discovery_stats otr_discovery_get_stats(const otr_discovery *d)
{
    return d->stats;
}

/* ---- one new process ---- */

static bool strip_deleted(char *path)
{
    static const char tail[] = " (deleted)";
    size_t n = strlen(path), k = sizeof(tail) - 1;
    if (n <= k || strcmp(path + n - k, tail) != 0) {
        return false;
    }
    path[n - k] = '\0';
    return true;
}

/* The kernel keeps the first 15 bytes of the executable's name as the command name; a process that
 * only calls itself NGINX has another one, or another executable. */
static bool fits(const char *comm, const char *exe)
{
    enum { COMM_MOST = 15 };
    bool usual = strcmp(comm, "nginx") == 0 || strcmp(comm, "nginx-debug") == 0;
    if (exe == NULL) {
        return usual; /* we may not read the link */
    }
    const char *slash = strrchr(exe, '/');
    const char *name = slash != NULL ? slash + 1 : exe;
    if (usual && strncmp(name, "nginx", 5) == 0) {
        return true;
    }
    size_t n = strlen(name);
    n = n < COMM_MOST ? n : COMM_MOST;
    return strlen(comm) == n && strncmp(comm, name, n) == 0;
}

/* Where the executable is when the kernel does not tell. */
static const char *guess_binary(const char *argv0)
{
    static const char *const places[] = { "/usr/sbin/nginx", "/usr/local/sbin/nginx",
                                          "/usr/bin/nginx", "/usr/local/nginx/sbin/nginx",
                                          "/usr/local/openresty/nginx/sbin/nginx" };
    if (argv0[0] == '/') {
        return argv0;
    }
    for (size_t i = 0; i < OTR_COUNT(places); i++) {
        struct stat st;
        if (stat(places[i], &st) == 0) {
            return places[i];
        }
    }
    return places[0];
}

static void read_key(const otr_discovery *d, otr_master *m)
{
    char path[OTR_NGINX_PATH_BYTES];
    struct stat st;
    (void)snprintf(path, sizeof(path), "%s/%d/exe", d->proc_root, (int)m->pid);
    if (stat(path, &st) != 0 && (m->root[0] != '\0' || stat(m->binary, &st) != 0)) {
        return;
    }
    m->file = (otr_file_key){
        .dev = st.st_dev,
        .ino = st.st_ino,
        .mtime_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000U + (uint64_t)st.st_mtim.tv_nsec,
        .size = (uint64_t)st.st_size,
    };
}

/* Another root directory than ours: a container or a chroot. */
static bool has_own_root(const otr_discovery *d, pid_t pid, char *out, size_t cap)
{
    struct stat its, ours;
    (void)snprintf(out, cap, "%s/%d/root", d->proc_root, (int)pid);
    return stat(out, &its) == 0 && stat("/", &ours) == 0 &&
           (its.st_dev != ours.st_dev || its.st_ino != ours.st_ino);
}

static otr_code describe(const otr_discovery *d, const char *exe, otr_master *m, otr_err *err)
{
    char *argv0 = NULL;
    otr_code rc = otr_master_parse_title(d->title, m, &argv0, err);
    if (rc == OTR_OK) {
        char path[OTR_NGINX_PATH_BYTES];
        m->binary = otr_strdup(exe != NULL ? exe : guess_binary(argv0));
        m->root = otr_strdup(has_own_root(d, m->pid, path, sizeof(path)) ? path : "");
        bool known = otr_proc_link(d->proc_root, m->pid, "cwd", path, sizeof(path));
        m->cwd = otr_strdup(known ? path : "/");
        if (m->binary == NULL || m->root == NULL || m->cwd == NULL) {
            rc = otr_fail_nomem(err);
        } else {
            read_key(d, m);
        }
    }
    otr_free(argv0);
    return rc;
}

static otr_code add_master(otr_discovery *d, const otr_master *m, otr_err *err)
{
    if (d->n_masters == d->cap_masters) {
        size_t cap = d->cap_masters > 0 ? 2 * d->cap_masters : 4;
        otr_master *masters = otr_realloc(d->masters, cap * sizeof(*masters));
        if (masters == NULL) {
            return otr_fail_nomem(err);
        }
        d->masters = masters;
        d->cap_masters = cap;
    }
    size_t at = d->n_masters++;
    for (; at > 0 && d->masters[at - 1].started_ticks > m->started_ticks; at--) {
        d->masters[at] = d->masters[at - 1];
    }
    d->masters[at] = *m;
    return OTR_OK;
}

/* Looks at a process: a master joins the list (`*ret_master`), a worker is noted in `e`. */
static otr_code look(otr_discovery *d, entry *e, bool *ret_master, otr_err *err)
{
    *ret_master = false;
    d->stats.looked++;
    e->worker_of = 0;
    if (otr_proc_title(d->proc_root, e->pid, d->title, sizeof(d->title)) == 0 ||
        strncmp(d->title, "nginx: ", 7) != 0) {
        return OTR_OK;
    }
    otr_proc_stat st;
    if (!otr_proc_stat_read(d->proc_root, e->pid, &st)) {
        return OTR_OK;
    }
    if (strncmp(d->title, "nginx: worker", 13) == 0) {
        e->worker_of = st.ppid;
        return OTR_OK;
    }
    char comm[OTR_PROC_COMM_BYTES], exe[OTR_NGINX_PATH_BYTES];
    otr_proc_comm(d->proc_root, e->pid, comm);
    bool known = otr_proc_link(d->proc_root, e->pid, "exe", exe, sizeof(exe));
    bool replaced = known && strip_deleted(exe);
    if (strncmp(d->title, "nginx: master process", 21) != 0 || !fits(comm, known ? exe : NULL) ||
        d->n_masters >= MASTERS_MOST) {
        return OTR_OK;
    }
    otr_master m = {
        .pid = e->pid, .ppid = st.ppid, .started_ticks = st.started_ticks, .replaced = replaced
    };
    otr_code rc = describe(d, known ? exe : NULL, &m, err);
    if (rc == OTR_OK) {
        rc = add_master(d, &m, err);
    }
    if (rc != OTR_OK) {
        otr_master_deinit(&m);
    }
    *ret_master = rc == OTR_OK;
    return rc;
}

/* ---- the list of processes ---- */

static otr_code add_entry(otr_discovery *d, pid_t pid, otr_err *err)
{
    if (d->n_entries == d->cap_entries) {
        size_t cap = d->cap_entries > 0 ? 2 * d->cap_entries : 256;
        entry *entries = otr_realloc(d->entries, cap * sizeof(*entries));
        if (entries == NULL) {
            return otr_fail_nomem(err);
        }
        d->entries = entries;
        d->cap_entries = cap;
    }
    d->entries[d->n_entries++] = (entry){ .pid = pid };
    return OTR_OK;
}

static int by_pid(const void *a, const void *b)
{
    pid_t x = ((const entry *)a)->pid, y = ((const entry *)b)->pid;
    return x < y ? -1 : x > y;
}

static otr_code list_processes(otr_discovery *d, otr_err *err)
{
    DIR *dir = opendir(d->proc_root);
    if (dir == NULL) {
        return otr_fail_sys(err, errno, "cannot list %s", d->proc_root);
    }
    otr_code rc = OTR_OK;
    bool sorted = true;
    for (const struct dirent *e; rc == OTR_OK && (e = readdir(dir)) != NULL;) {
        pid_t pid = otr_proc_pid(e->d_name);
        if (pid > 0) {
            sorted = sorted && (d->n_entries == 0 || d->entries[d->n_entries - 1].pid < pid);
            rc = add_entry(d, pid, err);
        }
    }
    closedir(dir);
    if (!sorted) { /* the kernel lists in ascending order, other file systems do not */
        qsort(d->entries, d->n_entries, sizeof(*d->entries), by_pid);
    }
    d->stats.listed += d->n_entries;
    return rc;
}

static bool is_master(const otr_discovery *d, pid_t pid)
{
    for (size_t i = 0; i < d->n_masters; i++) {
        if (d->masters[i].pid == pid) {
            return true;
        }
    }
    return false;
}

/* Takes over what the last scan knew and looks at what is new or due. */
static otr_code look_at_entries(otr_discovery *d, otr_err *err)
{
    otr_code rc = OTR_OK;
    size_t j = 0, kept = 0;
    for (size_t i = 0; i < d->n_entries; i++) {
        entry e = d->entries[i];
        while (j < d->n_old && d->old[j].pid < e.pid) {
            j++;
        }
        if (j < d->n_old && d->old[j].pid == e.pid) {
            e = d->old[j];
        }
        if (is_master(d, e.pid)) {
            continue;
        }
        bool due = e.seen < LOOKS_AT_FIRST || (e.seen + (unsigned)e.pid) % LOOK_EVERY == 0;
        bool found = false;
        if (rc == OTR_OK && due) {
            rc = look(d, &e, &found, err);
        }
        if (!found) {
            e.seen++;
            d->entries[kept++] = e;
        }
    }
    d->n_entries = kept;
    return rc;
}

/* ---- known masters ---- */

static unsigned kind_of(otr_discovery *d, pid_t pid)
{
    if (otr_proc_title(d->proc_root, pid, d->title, sizeof(d->title)) == 0) {
        return OTR_CHILD_UNKNOWN;
    }
    if (strncmp(d->title, "nginx: worker", 13) == 0) {
        return OTR_CHILD_WORKER;
    }
    /* Until it has its title a child may still become a worker; a master never does. */
    return strncmp(d->title, "nginx: cache", 12) == 0 ? OTR_CHILD_HELPER : OTR_CHILD_UNKNOWN;
}

static otr_code set_children(otr_discovery *d, otr_master *m, const pid_t *pids, size_t n,
                             otr_err *err)
{
    if (n > m->cap_children) {
        otr_child_entry *children = otr_realloc(m->children, n * sizeof(*children));
        if (children == NULL) {
            return otr_fail_nomem(err);
        }
        m->children = children;
        m->cap_children = n;
    }
    /* Both lists are in the order of birth, so what stays keeps its relative place. */
    size_t old_n = m->n_children, old = 0;
    otr_child_entry *c = m->children;
    m->n_workers = 0;
    for (size_t i = 0; i < n; i++) {
        otr_child_entry e = { .pid = pids[i] };
        size_t at = old;
        while (at < old_n && c[at].pid != pids[i]) {
            at++;
        }
        if (at < old_n && at >= i) {
            e = c[at];
            old = at + 1;
        }
        if (e.kind == OTR_CHILD_UNKNOWN) {
            e.kind = kind_of(d, e.pid);
        }
        m->n_workers += e.kind == OTR_CHILD_WORKER;
        c[i] = e;
        old = old > i + 1 ? old : i + 1;
    }
    m->n_children = n;
    return OTR_OK;
}

static otr_code read_children(otr_discovery *d, otr_master *m, otr_err *err)
{
    pid_t pids[CHILDREN_MOST];
    size_t n = 0;
    if (m->zombie) {
        m->n_children = m->n_workers = 0;
        return OTR_OK;
    }
    if (!d->no_children_file && otr_proc_children(d->proc_root, m->pid, pids, CHILDREN_MOST, &n)) {
        return set_children(d, m, pids, n, err);
    }
    d->no_children_file = true;
    for (size_t i = 0; i < d->n_entries && n < CHILDREN_MOST; i++) {
        if (d->entries[i].worker_of == m->pid) {
            pids[n++] = d->entries[i].pid;
        }
    }
    return set_children(d, m, pids, n, err);
}

/* A process that a master has just forked bears its title until it has one of its own. */
static bool is_still_master(otr_discovery *d, const otr_master *m)
{
    return m->zombie || m->n_workers > 0 ||
           (otr_proc_title(d->proc_root, m->pid, d->title, sizeof(d->title)) > 0 &&
            strncmp(d->title, "nginx: worker", 13) != 0 &&
            strncmp(d->title, "nginx: cache", 12) != 0);
}

/* False when the process is gone or was no master. */
static bool refresh(otr_discovery *d, otr_master *m)
{
    otr_proc_stat st;
    if (!otr_proc_stat_read(d->proc_root, m->pid, &st) || st.started_ticks != m->started_ticks) {
        return false;
    }
    m->ppid = st.ppid;
    m->zombie = st.state == 'Z' || st.state == 'X';
    char exe[OTR_NGINX_PATH_BYTES];
    if (!m->zombie && otr_proc_link(d->proc_root, m->pid, "exe", exe, sizeof(exe))) {
        m->replaced = strip_deleted(exe);
    }
    return is_still_master(d, m);
}

static void drop_the_gone(otr_discovery *d)
{
    size_t kept = 0;
    for (size_t i = 0; i < d->n_masters; i++) {
        if (refresh(d, &d->masters[i])) {
            d->masters[kept++] = d->masters[i];
        } else {
            otr_master_deinit(&d->masters[i]);
        }
    }
    d->n_masters = kept;
}

otr_code otr_discovery_scan(otr_discovery *d, otr_err *err)
{
    d->stats.scans++;
    drop_the_gone(d);
    entry *entries = d->old;
    size_t cap = d->cap_old;
    d->old = d->entries;
    d->n_old = d->n_entries;
    d->cap_old = d->cap_entries;
    d->entries = entries;
    d->cap_entries = cap;
    d->n_entries = 0;
    otr_code rc = list_processes(d, err);
    if (rc == OTR_OK) {
        rc = look_at_entries(d, err);
    }
    for (size_t i = 0; rc == OTR_OK && i < d->n_masters; i++) {
        rc = read_children(d, &d->masters[i], err);
    }
    return rc;
}
