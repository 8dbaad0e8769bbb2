#include "nginx/apply/generation.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "nginx/instance/discovery.h"
#include "nginx/proc.h"

enum { CHILDREN_MOST = 4096, TITLE_BYTES = 512, STATUS_BYTES = 8192, PATH_BYTES = 512 };

void otr_family_deinit(otr_family *f)
{
    otr_free(f->before.items);
    otr_free(f->after.items);
    f->before = f->after = (otr_generation){ 0 };
}

size_t otr_generation_count(const otr_generation *g, int state)
{
    size_t n = 0;
    for (size_t i = 0; i < g->n; i++) {
        n += !g->items[i].gone && (int)g->items[i].state == state;
    }
    return n;
}

const otr_worker_entry *otr_generation_by_log_pid(const otr_generation *g, pid_t log_pid)
{
    for (size_t i = 0; i < g->n; i++) {
        if (g->items[i].log_pid == log_pid) {
            return &g->items[i];
        }
    }
    return NULL;
}

/* Reads what one read() gives of /proc/<pid>/<name>, as a string. */
static bool read_proc(const char *proc_root, pid_t pid, const char *name, char *out, size_t cap)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof(path), "%s/%d/%s", proc_root, (int)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t n = read(fd, out, cap - 1);
    (void)close(fd);
    out[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* The last number of NSpid: what a process calls itself. */
static pid_t log_pid_of(const char *proc_root, pid_t pid)
{
    char text[STATUS_BYTES];
    const char *at =
        read_proc(proc_root, pid, "status", text, sizeof(text)) ? strstr(text, "\nNSpid:") : NULL;
    pid_t last = pid;
    if (at != NULL) {
        at += sizeof("\nNSpid:") - 1;
        for (char *end; *at != '\n' && *at != '\0'; at = end + strspn(end, "\t ")) {
            unsigned long value = strtoul(at, &end, 10);
            if (end == at) {
                break;
            }
            last = (pid_t)value;
        }
    }
    return last;
}

static int state_of(const char *proc_root, pid_t pid)
{
    char title[TITLE_BYTES];
    if (otr_proc_title(proc_root, pid, title, sizeof(title)) == 0) {
        return OTR_WORKER_BEGINS;
    }
    switch (otr_title_kind(title)) {
    case OTR_TITLE_WORKER:
        return strstr(title, "shutting down") != NULL ? OTR_WORKER_QUITS : OTR_WORKER_SERVES;
    case OTR_TITLE_HELPER:
        return OTR_WORKER_OTHER;
    case OTR_TITLE_MASTER:
    case OTR_TITLE_NONE:
    default:
        return OTR_WORKER_BEGINS;
    }
}

static otr_worker_entry *find(const otr_generation *g, pid_t pid, uint64_t started_ticks)
{
    for (size_t i = 0; i < g->n; i++) {
        if (g->items[i].pid == pid && g->items[i].started_ticks == started_ticks) {
            return &g->items[i];
        }
    }
    return NULL;
}

static otr_code add(otr_generation *g, const otr_worker_entry *entry, otr_err *err)
{
    if (g->n >= CHILDREN_MOST) {
        return otr_fail(err, OTR_EQUOTA, "the master has had more than %d children", CHILDREN_MOST);
    }
    otr_code rc = otr_grow(&g->items, g->n, &g->cap, sizeof(*g->items), err);
    if (rc == OTR_OK) {
        g->items[g->n++] = *entry;
    }
    return rc;
}

static bool is_alive(const char *proc_root, pid_t pid, otr_proc_stat *ret)
{
    return otr_proc_stat_read(proc_root, pid, ret) && ret->state != 'Z' && ret->state != 'X';
}

/* Adds to `to` who is in neither generation yet. */
static otr_code list_children(otr_family *f, otr_generation *to, otr_err *err)
{
    pid_t *pids = otr_calloc(CHILDREN_MOST, sizeof(*pids));
    size_t n = 0;
    if (pids == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = OTR_OK;
    if (!otr_proc_children(f->proc_root, f->master, pids, CHILDREN_MOST, &n)) {
        rc = otr_fail(err, OTR_EIO, "the children of the master process %d cannot be listed",
                      (int)f->master);
    }
    for (size_t i = 0; rc == OTR_OK && i < n; i++) {
        otr_proc_stat st;
        if (!is_alive(f->proc_root, pids[i], &st) || st.ppid != f->master ||
            find(&f->before, pids[i], st.started_ticks) != NULL ||
            find(&f->after, pids[i], st.started_ticks) != NULL) {
            continue;
        }
        otr_worker_entry entry = { .pid = pids[i],
                                   .log_pid = log_pid_of(f->proc_root, pids[i]),
                                   .started_ticks = st.started_ticks,
                                   .state = OTR_WORKER_BEGINS };
        rc = add(to, &entry, err);
    }
    otr_free(pids);
    return rc;
}

static bool refresh(otr_family *f, otr_generation *g)
{
    bool changed = false;
    for (size_t i = 0; i < g->n; i++) {
        otr_worker_entry *w = &g->items[i];
        otr_proc_stat st;
        if (w->gone) {
            continue;
        }
        bool gone = !is_alive(f->proc_root, w->pid, &st) || st.started_ticks != w->started_ticks;
        int state = gone ? (int)w->state : state_of(f->proc_root, w->pid);
        /* A process that ends has no title any more, and one that quits serves no more. */
        if (!gone && state == OTR_WORKER_BEGINS && w->state != OTR_WORKER_BEGINS) {
            state = (int)w->state;
        }
        changed |= gone || state != (int)w->state;
        w->gone = gone;
        w->state = (unsigned)state;
    }
    return changed;
}

otr_code otr_family_begin(otr_family *f, otr_err *err)
{
    otr_code rc = list_children(f, &f->before, err);
    if (rc == OTR_OK) {
        (void)refresh(f, &f->before);
    }
    return rc;
}

otr_code otr_family_look(otr_family *f, bool *ret_changed, otr_err *err)
{
    size_t had = f->after.n;
    otr_code rc = list_children(f, &f->after, err);
    if (rc == OTR_OK) {
        (void)refresh(f, &f->before);
        *ret_changed = refresh(f, &f->after) || f->after.n != had;
    }
    return rc;
}

/* ---- the master ---- */

/* Is the bit of SIGHUP set in the line that `name` begins? */
static bool pending(const char *status, const char *name)
{
    const char *at = strstr(status, name);
    uint64_t bits = at != NULL ? strtoull(at + strlen(name), &(char *){ NULL }, 16) : 0;
    return (bits >> (SIGHUP - 1) & 1) != 0;
}

int otr_master_waits(const char *proc_root, pid_t pid)
{
    char text[STATUS_BYTES];
    if (!read_proc(proc_root, pid, "status", text, sizeof(text))) {
        return -1;
    }
    if (pending(text, "\nSigPnd:\t") || pending(text, "\nShdPnd:\t")) {
        return 0;
    }
    /* After the other one: what was taken since then is being worked on. */
    if (!read_proc(proc_root, pid, "syscall", text, sizeof(text))) {
        return -1;
    }
    return text[0] >= '0' && text[0] <= '9' &&
           strtoul(text, &(char *){ NULL }, 10) == SYS_rt_sigsuspend;
}
