/*
 * A throw-away folder tree for tests of src/nginx.
 */
#ifndef OTR_TESTS_UNIT_NGINX_TREE_H
#define OTR_TESTS_UNIT_NGINX_TREE_H

#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/test.h"

typedef struct tree {
    char dir[128];
    char path[512]; /* of the last tree_path() */
} tree;

static inline int tree_remove_one(const char *path, const struct stat *st, int type,
                                  struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void tree_deinit(tree *t)
{
    if (t->dir[0] != '\0') {
        nftw(t->dir, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
}

static inline bool tree_init(tree *t)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(t->dir, sizeof(t->dir), "%s/otr-nginx-XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(t->dir) == NULL) {
        t->dir[0] = '\0';
        return false;
    }
    return true;
}

static inline const char *tree_path(tree *t, const char *name)
{
    snprintf(t->path, sizeof(t->path), "%s/%s", t->dir, name);
    return t->path;
}

/* Makes every folder above `path`. */
static inline void tree_parents(char *path)
{
    for (char *p = path + 1; (p = strchr(p, '/')) != NULL; p++) {
        *p = '\0';
        mkdir(path, 0755);
        *p = '/';
    }
}

static inline bool tree_bytes(tree *t, const char *name, const void *data, size_t n,
                              const char *mode)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", t->dir, name);
    tree_parents(path);
    FILE *f = fopen(path, mode);
    if (f == NULL) {
        return false;
    }
    bool ok = fwrite(data, 1, n, f) == n;
    return fclose(f) == 0 && ok;
}

static inline bool tree_write(tree *t, const char *name, const char *text)
{
    return tree_bytes(t, name, text, strlen(text), "wb");
}

static inline bool tree_append(tree *t, const char *name, const char *text)
{
    return tree_bytes(t, name, text, strlen(text), "ab");
}

static inline bool tree_copy(tree *t, const char *from, const char *to)
{
    char bytes[4096];
    FILE *f = fopen(tree_path(t, from), "rb");
    bool ok = f != NULL && tree_write(t, to, "");
    for (size_t n; ok && (n = fread(bytes, 1, sizeof(bytes), f)) > 0;) {
        ok = tree_bytes(t, to, bytes, n, "ab");
    }
    return f != NULL && fclose(f) == 0 && ok;
}

#endif
