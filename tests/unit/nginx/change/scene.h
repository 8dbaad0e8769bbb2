/*
 * A configuration on disk, a change of it that does everything a change can do, and what the tree
 * looks like before and after: old and new, complete.
 */
#ifndef OTR_TESTS_UNIT_NGINX_CHANGE_SCENE_H
#define OTR_TESTS_UNIT_NGINX_CHANGE_SCENE_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#include "nginx/change/change.h"
#include "nginx/change/changes.h"
#include "nginx/change/plan.h"
#include "nginx/change/recover.h"
#include "unit/nginx/tree.h"

enum { SNAP_BYTES = 16384 };

typedef struct snap {
    char text[SNAP_BYTES];
    size_t n;
} snap;

static inline void snap_file(snap *s, const char *path)
{
    FILE *f = fopen(path, "rb");
    char content[256] = "";
    size_t n = f != NULL ? fread(content, 1, sizeof(content) - 1, f) : 0;
    content[n] = '\0';
    if (f != NULL) {
        fclose(f);
    }
    s->n += (size_t)snprintf(s->text + s->n, sizeof(s->text) - s->n, " [%.80s]", content);
}

static inline void snap_walk(snap *s, const char *dir, const char *shown)
{
    struct dirent **names = NULL;
    int n = scandir(dir, &names, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char path[1024], name[512];
        struct stat st;
        snprintf(path, sizeof(path), "%s/%.255s", dir, names[i]->d_name);
        snprintf(name, sizeof(name), "%s/%.255s", shown, names[i]->d_name);
        bool dots = strcmp(names[i]->d_name, ".") == 0 || strcmp(names[i]->d_name, "..") == 0;
        if (!dots && lstat(path, &st) == 0 && s->n < sizeof(s->text) - 1024) {
            s->n += (size_t)snprintf(s->text + s->n, sizeof(s->text) - s->n, "%s %o %u:%u", name,
                                     (unsigned)st.st_mode, st.st_uid, st.st_gid);
            if (S_ISREG(st.st_mode)) {
                snap_file(s, path);
            }
            s->n += (size_t)snprintf(s->text + s->n, sizeof(s->text) - s->n, "\n");
            if (S_ISDIR(st.st_mode)) {
                snap_walk(s, path, name);
            }
        }
        free(names[i]);
    }
    free(names);
}

/* Names, modes, owners and contents of all that lies in `dir`. */
static inline void snap_take(snap *s, const char *dir)
{
    s->n = 0;
    s->text[0] = '\0';
    snap_walk(s, dir, "");
}

typedef struct scene {
    tree t;
    char conf[160], state[160], journals[192];
    const char *allowed[2];
    otr_root root;
    otr_changes *set;
    otr_plan *plan;
    snap before;
} scene;

static inline void scene_deinit(scene *s)
{
    otr_plan_free(s->plan);
    otr_changes_free(s->set);
    tree_deinit(&s->t);
}

static inline const char *scene_path(scene *s, const char *name)
{
    snprintf(s->t.path, sizeof(s->t.path), "%.150s/%.300s", s->conf, name);
    return s->t.path;
}

static inline bool scene_mode(scene *s, const char *name, mode_t mode)
{
    return chmod(scene_path(s, name), mode) == 0;
}

/* The tree alone. */
static inline bool scene_init(scene *s)
{
    *s = (scene){ 0 };
    /* In memory, if it can be had: hundreds of transactions sync thousands of files. */
    if (access("/dev/shm", W_OK) == 0 && getenv("OTR_ON_DISK") == NULL) {
        setenv("TMPDIR", "/dev/shm", 0);
    }
    if (!tree_init(&s->t) || chmod(s->t.dir, 0755) != 0) {
        return false;
    }
    snprintf(s->conf, sizeof(s->conf), "%s/conf", s->t.dir);
    snprintf(s->state, sizeof(s->state), "%s/state", s->t.dir);
    snprintf(s->journals, sizeof(s->journals), "%s/apply", s->state);
    s->allowed[0] = s->conf;
    s->root = (otr_root){ .path = "", .uid = geteuid(), .gid = getegid(), .allowed = s->allowed };
    umask(022);
    return mkdir(s->state, 0700) == 0 && tree_write(&s->t, "conf/nginx.conf", "old main") &&
           tree_write(&s->t, "conf/keep.conf", "kept") &&
           tree_write(&s->t, "conf/mode.conf", "same") &&
           tree_write(&s->t, "conf/gone.conf", "to go") &&
           tree_write(&s->t, "conf/sites/one.conf", "old one") &&
           tree_write(&s->t, "conf/sites/two.conf", "old two") &&
           scene_mode(s, "sites/one.conf", 0640) && scene_mode(s, "nginx.conf", 0600) &&
           chdir(s->t.dir) == 0;
}

static inline otr_code scene_put(scene *s, const char *name, const char *text, int mode,
                                 otr_err *err)
{
    otr_change_attributes how = OTR_CHANGE_KEEP_ALL;
    how.mode = mode;
    return otr_changes_put(s->set, scene_path(s, name), &how, otr_bytes_of(text), err);
}

/* Every kind of change, in three folders of which one is new. */
static inline otr_code scene_fill(scene *s, otr_err *err)
{
    otr_code rc = otr_changes_new(s->state, &s->set, err);
    rc = rc == OTR_OK ? scene_put(s, "nginx.conf", "new main", OTR_CHANGE_KEEP, err) : rc;
    rc = rc == OTR_OK ? scene_put(s, "keep.conf", "kept", OTR_CHANGE_KEEP, err) : rc;
    rc = rc == OTR_OK ? scene_put(s, "mode.conf", "same", 0600, err) : rc;
    rc = rc == OTR_OK ? otr_changes_delete(s->set, scene_path(s, "gone.conf"), err) : rc;
    rc = rc == OTR_OK ? scene_put(s, "sites/one.conf", "new one", OTR_CHANGE_KEEP, err) : rc;
    rc = rc == OTR_OK ? scene_put(s, "added.conf", "added", 0604, err) : rc;
    rc = rc == OTR_OK ? scene_put(s, "new/deep/three.conf", "three", OTR_CHANGE_KEEP, err) : rc;
    return rc == OTR_OK ? otr_changes_done(s->set, err) : rc;
}

static inline otr_code scene_plan(scene *s, otr_err *err)
{
    const otr_plan_spec spec = { .root = &s->root, .changes = s->set };
    return otr_plan_make(&spec, &s->plan, err);
}

/* Tree, set and plan. */
static inline bool scene_ready(scene *s, otr_err *err)
{
    if (!scene_init(s)) {
        return false;
    }
    snap_take(&s->before, s->conf);
    return scene_fill(s, err) == OTR_OK && scene_plan(s, err) == OTR_OK;
}

static inline otr_change_spec scene_spec(const scene *s, const otr_fileops *ops)
{
    return (otr_change_spec){
        .folder = s->journals, .instance = "one", .note = otr_bytes_of("who and why"), .ops = ops
    };
}

static const char scene_after[] = "/added.conf 100604 %u:%u [added]\n"
                                  "/keep.conf 100644 %u:%u [kept]\n"
                                  "/mode.conf 100600 %u:%u [same]\n"
                                  "/new 40755 %u:%u\n"
                                  "/new/deep 40755 %u:%u\n"
                                  "/new/deep/three.conf 100644 %u:%u [three]\n"
                                  "/nginx.conf 100600 %u:%u [new main]\n"
                                  "/sites 40755 %u:%u\n"
                                  "/sites/one.conf 100640 %u:%u [new one]\n"
                                  "/sites/two.conf 100644 %u:%u [old two]\n";

/* What the tree is after the change: the text above with our user and group. */
static inline void scene_expect(char *out, size_t cap)
{
    char owner[32];
    size_t n = 0;
    snprintf(owner, sizeof(owner), "%u:%u", geteuid(), getegid());
    for (const char *p = scene_after; *p != '\0' && n + 32 < cap;) {
        if (strncmp(p, "%u:%u", 5) == 0) {
            n += (size_t)snprintf(out + n, cap - n, "%s", owner);
            p += 5;
        } else {
            out[n++] = *p++;
        }
    }
    out[n] = '\0';
}

/* "old", "new", or what it is. */
static inline const char *scene_which(const scene *s, snap *now)
{
    char after[SNAP_BYTES];
    scene_expect(after, sizeof(after));
    snap_take(now, s->conf);
    return strcmp(now->text, s->before.text) == 0 ? "old"
           : strcmp(now->text, after) == 0        ? "new"
                                                  : now->text;
}

/* As the agent does at its start: what a crash left is finished or undone. */
static inline otr_code scene_recover(const scene *s, const otr_fileops *ops, otr_err *err)
{
    otr_change *change = NULL;
    const otr_change_spec spec = scene_spec(s, ops);
    otr_code rc = otr_change_resume(&spec, NULL, &change, err);
    if (rc != OTR_OK) {
        return rc == OTR_ENOTFOUND ? OTR_OK : rc;
    }
    rc = otr_change_get_state(change) == OTR_CHANGE_PROVEN ? otr_change_finish(change, err)
                                                           : otr_change_undo(change, err);
    otr_change_free(change);
    return rc;
}

#endif
