/*
 * A folder that looks like /proc, for tests of discovery and survey.
 */
#ifndef OTR_TESTS_UNIT_NGINX_FAKE_PROC_H
#define OTR_TESTS_UNIT_NGINX_FAKE_PROC_H

#include "unit/nginx/tree.h"

/* The texts by which an executable is known as an NGINX, and its version. */
#define FAKE_NGINX_PROOF "\0worker_rlimit_nofile\0worker_processes\0master_process\0"

typedef struct fake_process {
    int pid, ppid;
    unsigned ticks;
    const char *comm, *title; /* the title may hold spaces; a NUL is added */
    const char *exe, *cwd;    /* NULL: the link cannot be read */
    char state;               /* 0: 'S' */
    const char *children;     /* "12 13 "; NULL: this kernel has no such file */
    unsigned uid;
    int session;      /* 0: that of process 1 */
    const char *root; /* NULL: "/"; "": the link cannot be read */
    unsigned ns;      /* 0: ours; else the inode of its network, mount and pid namespace */
    bool no_ns;       /* its namespaces cannot be read */
} fake_process;

enum { FAKE_OWN_NS = 1 };

/* In memory where that can be had: it is hundreds of thousands of small files. */
static inline bool fake_tree_init(tree *t)
{
    if (getenv("TMPDIR") == NULL && access("/dev/shm", W_OK) == 0) {
        setenv("TMPDIR", "/dev/shm", 0);
    }
    return tree_init(t);
}

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

static inline void fake_namespaces(tree *t, const char *who, unsigned ns)
{
    static const char *const kinds[] = { "net", "mnt", "pid" };
    char rel[128], target[64];
    for (size_t i = 0; i < OTR_COUNT(kinds); i++) {
        snprintf(rel, sizeof(rel), "%s/ns/%s", who, kinds[i]);
        char path[640];
        snprintf(path, sizeof(path), "%s", tree_path(t, rel));
        if (unlink(path) != 0) {
            tree_parents(path);
        }
        snprintf(target, sizeof(target), "%s:[%u]", kinds[i], ns);
        if (ns != 0) {
            CHECK(symlink(target, path) == 0);
        }
    }
}

/* What the agent sees of itself. */
static inline void fake_self(tree *t)
{
    fake_namespaces(t, "self", FAKE_OWN_NS);
}

/* Writes an executable: an NGINX when `version` is not NULL ("nginx version: nginx/1.25.3\n"). */
static inline bool fake_program(tree *t, const char *rel, const char *version)
{
    static const char proof[] = FAKE_NGINX_PROOF;
    return tree_write(t, rel, "an executable\n") &&
           (version == NULL ||
            (tree_bytes(t, rel, proof, sizeof(proof), "ab") && tree_append(t, rel, version)));
}

/* Adds or replaces. */
static inline void fake_add(tree *t, const fake_process *p)
{
    char rel[96], text[512];
    snprintf(text, sizeof(text),
             "%d (%s) %c %d 1 %d 0 -1 4194560 100 0 0 0 0 0 0 0 20 0 1 0 %u 1000 100 0\n", p->pid,
             p->comm, p->state != 0 ? p->state : 'S', p->ppid, p->session != 0 ? p->session : 1,
             p->ticks);
    snprintf(rel, sizeof(rel), "%d/stat", p->pid);
    CHECK(tree_write(t, rel, text));
    snprintf(text, sizeof(text), "%s\n", p->comm);
    snprintf(rel, sizeof(rel), "%d/comm", p->pid);
    CHECK(tree_write(t, rel, text));
    snprintf(rel, sizeof(rel), "%d/cmdline", p->pid);
    CHECK(tree_bytes(t, rel, p->title, strlen(p->title) + (p->title[0] != '\0'), "wb"));
    fake_link(t, p->pid, "exe", p->exe);
    fake_link(t, p->pid, "cwd", p->cwd);
    fake_link(t, p->pid, "root", p->root == NULL ? "/" : p->root[0] != '\0' ? p->root : NULL);
    snprintf(rel, sizeof(rel), "%d", p->pid);
    fake_namespaces(t, rel, p->no_ns ? 0 : p->ns != 0 ? p->ns : FAKE_OWN_NS);
    snprintf(text, sizeof(text),
             "Name:\t%s\nUid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\nGroups:\t \n", p->comm, p->uid,
             p->uid, p->uid, p->uid, p->uid, p->uid, p->uid, p->uid);
    snprintf(rel, sizeof(rel), "%d/status", p->pid);
    CHECK(tree_write(t, rel, text));
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
