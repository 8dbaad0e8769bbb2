/*
 * The children of a master, and which of them are workers.
 */
#include "base/alloc.h"
#include "nginx/instance/scan.h"

enum { CHILDREN_MOST = 4096 };

static unsigned kind_of(otr_discovery *d, const otr_master *m, pid_t pid)
{
    if (otr_proc_title(d->proc_root, pid, d->title, sizeof(d->title)) == 0) {
        return OTR_CHILD_UNKNOWN;
    }
    otr_file_key exe;
    bool loaded = !m->untitled && !otr_file_key_eq(&m->file, &m->exe) && m->exe_known;
    switch (otr_title_kind(loaded ? otr_title_inside(d->title) : d->title)) {
    case OTR_TITLE_WORKER:
        return OTR_CHILD_WORKER;
    case OTR_TITLE_HELPER:
        return OTR_CHILD_HELPER;
    case OTR_TITLE_NONE:
        /* Where the master's title was cut, those of its workers are. */
        return (m->untitled || loaded) && otr_proc_exe_key(d->proc_root, pid, &exe) &&
                       otr_file_key_eq(&exe, &m->exe)
                   ? OTR_CHILD_WORKER
                   : OTR_CHILD_UNKNOWN;
    case OTR_TITLE_MASTER:
    default:
        /* Until it has its title a child may still become a worker; a master never does. */
        return OTR_CHILD_UNKNOWN;
    }
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
            e.kind = kind_of(d, m, e.pid);
        }
        m->n_workers += e.kind == OTR_CHILD_WORKER;
        c[i] = e;
        old = old > i + 1 ? old : i + 1;
    }
    m->n_children = n;
    return OTR_OK;
}

otr_code otr_scan_children(otr_discovery *d, otr_master *m, otr_err *err)
{
    pid_t pids[CHILDREN_MOST];
    size_t n = 0;
    if (!d->no_children_file && otr_proc_children(d->proc_root, m->pid, pids, CHILDREN_MOST, &n)) {
        return set_children(d, m, pids, n, err);
    }
    d->no_children_file = true;
    for (size_t i = 0; i < d->n_processes && n < CHILDREN_MOST; i++) {
        if (d->processes[i].worker_of == m->pid) {
            pids[n++] = d->processes[i].pid;
        }
    }
    return set_children(d, m, pids, n, err);
}
