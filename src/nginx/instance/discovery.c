#include "nginx/instance/discovery.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "nginx/instance/scan.h"

enum {
    MASTERS_MOST = 2 * OTR_LIMIT_NGINX_INSTANCES, /* while upgraded an instance has two */

    /* How often a process that is no NGINX is looked at: each of the first scans, since a shell may
     * become one by exec, then one scan in so many, also for a pid that was used again. */
    LOOKS_AT_FIRST = 6,
    LOOK_EVERY = 12,
};

/* ---- life ---- */

static void read_own(otr_discovery *d)
{
    d->own = (otr_own_place){ .net_ns = otr_proc_ns(d->proc_root, 0, "net"),
                              .pid_ns = otr_proc_ns(d->proc_root, 0, "pid"),
                              .mnt_ns = otr_proc_ns(d->proc_root, 0, "mnt"),
                              .uid = geteuid() };
    (void)otr_file_key_read("/", &d->own_root);
}

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
    read_own(d);
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
    otr_executables_deinit(&d->executables);
    otr_free(d->masters);
    otr_free(d->processes);
    otr_free(d->old);
    otr_free(d->proc_root);
    otr_free(d);
}

const otr_master *otr_discovery_masters(const otr_discovery *d, size_t *ret_n)
{
    *ret_n = d->n_masters;
    return d->masters;
}

const otr_binary *otr_discovery_binary(const otr_discovery *d, const otr_master *m)
{
    return otr_executables_binary(&d->executables, &m->file);
}

const otr_binary *otr_discovery_guess(const otr_discovery *d, const otr_master *m)
{
    return otr_executables_binary(&d->executables, m->exe_known ? &m->file : &m->guess);
}

const otr_own_place *otr_discovery_own(const otr_discovery *d)
{
    return &d->own;
}

size_t otr_discovery_missing(const otr_discovery *d)
{
    return d->missing;
}

otr_discovery_stats otr_discovery_get_stats(const otr_discovery *d)
{
    return d->stats;
}

/* ---- the masters ---- */

/* Users may start as many as they like: they leave room for those of root. */
static bool has_room(const otr_discovery *d, bool stranger)
{
    return d->n_masters < MASTERS_MOST && (!stranger || d->n_strangers < OTR_LIMIT_NGINX_STRANGERS);
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
    d->n_strangers += m->stranger;
    return OTR_OK;
}

/* ---- the list of processes ---- */

static otr_code add_process(otr_discovery *d, pid_t pid, otr_err *err)
{
    if (d->n_processes == d->cap_processes) {
        size_t cap = d->cap_processes > 0 ? 2 * d->cap_processes : 256;
        scan_process *processes = otr_realloc(d->processes, cap * sizeof(*processes));
        if (processes == NULL) {
            return otr_fail_nomem(err);
        }
        d->processes = processes;
        d->cap_processes = cap;
    }
    d->processes[d->n_processes++] = (scan_process){ .pid = pid };
    return OTR_OK;
}

static int by_pid(const void *a, const void *b)
{
    pid_t x = ((const scan_process *)a)->pid, y = ((const scan_process *)b)->pid;
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
            sorted = sorted && (d->n_processes == 0 || d->processes[d->n_processes - 1].pid < pid);
            rc = add_process(d, pid, err);
        }
    }
    closedir(dir);
    if (!sorted) { /* the kernel lists in ascending order, other file systems do not */
        qsort(d->processes, d->n_processes, sizeof(*d->processes), by_pid);
    }
    d->stats.listed += d->n_processes;
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

/* Looks at one that is new or due; a master leaves the list of the others. */
static otr_code look(otr_discovery *d, scan_process *process, bool *ret_master, otr_err *err)
{
    otr_master m;
    otr_code rc = otr_scan_look(d, process, &m, ret_master, err);
    process->refused = rc == OTR_OK && *ret_master && !has_room(d, m.stranger);
    process->stranger = process->refused && m.stranger;
    if (rc != OTR_OK || !*ret_master) {
        return rc;
    }
    rc = process->refused ? OTR_OK : add_master(d, &m, err);
    if (rc != OTR_OK || process->refused) {
        otr_master_deinit(&m);
        *ret_master = false;
    }
    return rc;
}

/* Takes over what the last scan knew and looks at what is new or due. */
static otr_code look_at_processes(otr_discovery *d, otr_err *err)
{
    otr_code rc = OTR_OK;
    size_t j = 0, kept = 0;
    d->missing = 0;
    for (size_t i = 0; i < d->n_processes; i++) {
        scan_process p = d->processes[i];
        while (j < d->n_old && d->old[j].pid < p.pid) {
            j++;
        }
        if (j < d->n_old && d->old[j].pid == p.pid) {
            p = d->old[j];
        }
        if (is_master(d, p.pid)) {
            continue;
        }
        bool due = p.again || (p.refused && has_room(d, p.stranger)) || p.seen < LOOKS_AT_FIRST ||
                   (p.seen + (unsigned)p.pid) % LOOK_EVERY == 0;
        bool found = false;
        if (rc == OTR_OK && due) {
            rc = look(d, &p, &found, err);
        }
        if (!found) {
            p.seen++;
            d->missing += p.refused;
            d->processes[kept++] = p;
        }
    }
    d->n_processes = kept;
    return rc;
}

static void drop_the_gone(otr_discovery *d)
{
    size_t kept = 0;
    d->n_strangers = 0;
    for (size_t i = 0; i < d->n_masters; i++) {
        if (otr_scan_refresh(d, &d->masters[i])) {
            d->n_strangers += d->masters[i].stranger;
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
    otr_executables_begin(&d->executables);
    drop_the_gone(d);
    scan_process *processes = d->old;
    size_t cap = d->cap_old;
    d->old = d->processes;
    d->n_old = d->n_processes;
    d->cap_old = d->cap_processes;
    d->processes = processes;
    d->cap_processes = cap;
    d->n_processes = 0;
    otr_code rc = list_processes(d, err);
    if (rc == OTR_OK) {
        rc = look_at_processes(d, err);
    }
    for (size_t i = 0; rc == OTR_OK && i < d->n_masters; i++) {
        rc = otr_scan_children(d, &d->masters[i], err);
    }
    otr_executables_end(&d->executables);
    return rc;
}
