/*
 * A folder that looks like /proc, for tests of discovery and survey.
 */
#ifndef OTR_TESTS_UNIT_NGINX_FAKE_PROC_H
#define OTR_TESTS_UNIT_NGINX_FAKE_PROC_H

#include "unit/nginx/tree.h"

typedef struct fake_process {
    int pid, ppid;
    unsigned ticks;
    const char *comm, *title; /* the title may hold spaces; a NUL is added */
    const char *exe, *cwd;    /* NULL: the link cannot be read */
    char state;               /* 0: 'S' */
    const char *children;     /* "12 13 "; NULL: this kernel has no such file */
} fake_process;

static inline void fake_link(tree *t, int pid, const char *name, const char *target)
{
    char rel[64];
    snprintf(rel, sizeof(rel), "%d/%s", pid, name);
    const char *path = tree_path(t, rel);
    unlink(path);
    if (target != NULL) {
        CHECK(symlink(target, path) == 0);
    }
}

/* Adds or replaces. */
static inline void fake_add(tree *t, const fake_process *p)
{
    char rel[96], text[512];
    snprintf(text, sizeof(text),
             "%d (%s) %c %d 1 1 0 -1 4194560 100 0 0 0 0 0 0 0 20 0 1 0 %u 1000 100 0\n", p->pid,
             p->comm, p->state != 0 ? p->state : 'S', p->ppid, p->ticks);
    snprintf(rel, sizeof(rel), "%d/stat", p->pid);
    CHECK(tree_write(t, rel, text));
    snprintf(text, sizeof(text), "%s\n", p->comm);
    snprintf(rel, sizeof(rel), "%d/comm", p->pid);
    CHECK(tree_write(t, rel, text));
    snprintf(rel, sizeof(rel), "%d/cmdline", p->pid);
    CHECK(tree_bytes(t, rel, p->title, strlen(p->title) + (p->title[0] != '\0'), "wb"));
    fake_link(t, p->pid, "exe", p->exe);
    fake_link(t, p->pid, "cwd", p->cwd);
    snprintf(rel, sizeof(rel), "%d/task/%d/children", p->pid, p->pid);
    if (p->children != NULL) {
        CHECK(tree_write(t, rel, p->children));
    } else {
        unlink(tree_path(t, rel));
    }
}

static inline void fake_remove(tree *t, int pid)
{
    char rel[32];
    snprintf(rel, sizeof(rel), "%d", pid);
    nftw(tree_path(t, rel), tree_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
