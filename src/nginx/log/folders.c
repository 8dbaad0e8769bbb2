#include "nginx/log/folders.h"

#include <errno.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "nginx/files.h"

enum { EVENT_BYTES = 16384, CHAINS = 1024, ROUNDS = 16 };

struct otr_log_folder {
    otr_log_folder *next;    /* in its chain */
    otr_log_folder *next_wd; /* in that of its watch */
    char *key;               /* the folder, with its root in front */
    int wd;                  /* -1: not watched */
    bool lost;               /* was watched, and then replaced: try again */
    unsigned refs;
};

struct otr_log_folders {
    otr_log_folder *chains[CHAINS];
    otr_log_folder *by_wd[CHAINS];
    int inotify; /* -1: not to be had */
    otr_watch *watch;
    unsigned lost; /* how many folders are */
    otr_log_folder_fn *fn;
    void *arg;
};

static const uint32_t mask =
    IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_MOVE_SELF | IN_DELETE_SELF | IN_ONLYDIR;

static size_t chain_of(const char *text)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (const char *p = text; *p != '\0'; p++) {
        hash = (hash ^ (uint8_t)*p) * UINT64_C(1099511628211);
    }
    return (size_t)(hash % CHAINS);
}

/* ---- watches ---- */

static void unlink_wd(otr_log_folders *f, otr_log_folder *folder)
{
    otr_log_folder **at = &f->by_wd[(unsigned)folder->wd % CHAINS];
    while (*at != folder) {
        at = &(*at)->next_wd;
    }
    *at = folder->next_wd;
}

static void watch(otr_log_folders *f, otr_log_folder *folder)
{
    folder->wd = f->inotify >= 0 ? inotify_add_watch(f->inotify, folder->key, mask) : -1;
    bool lost = folder->wd < 0 && f->inotify >= 0 && (errno == ENOENT || errno == ENOTDIR);
    f->lost += (unsigned)lost - (unsigned)folder->lost;
    folder->lost = lost;
    if (folder->wd >= 0) {
        otr_log_folder **chain = &f->by_wd[(unsigned)folder->wd % CHAINS];
        folder->next_wd = *chain;
        *chain = folder;
    }
}

/* The kernel's watch goes with the last folder that has it: two names may lead to one. */
static void unwatch(otr_log_folders *f, otr_log_folder *folder)
{
    if (folder->wd < 0) {
        return;
    }
    unlink_wd(f, folder);
    bool shared = false;
    for (const otr_log_folder *o = f->by_wd[(unsigned)folder->wd % CHAINS]; o != NULL;
         o = o->next_wd) {
        shared |= o->wd == folder->wd;
    }
    if (!shared) {
        (void)inotify_rm_watch(f->inotify, folder->wd);
    }
    folder->wd = -1;
}

/* The folder is no longer where it was. */
static void lose(otr_log_folders *f, otr_log_folder *folder)
{
    unwatch(f, folder);
    f->lost += !folder->lost;
    folder->lost = true;
}

void otr_log_folders_renew(otr_log_folders *folders)
{
    for (size_t i = 0; folders->lost > 0 && i < CHAINS; i++) {
        for (otr_log_folder *o = folders->chains[i]; o != NULL; o = o->next) {
            if (o->lost) {
                watch(folders, o);
            }
        }
    }
}

/* ---- events ---- */

static void on_event(otr_log_folders *f, const struct inotify_event *e)
{
    if ((e->mask & IN_Q_OVERFLOW) != 0) {
        f->fn(f->arg, NULL, NULL);
        return;
    }
    otr_log_folder *next;
    for (otr_log_folder *o = f->by_wd[(unsigned)e->wd % CHAINS]; o != NULL; o = next) {
        next = o->next_wd;
        if (o->wd != e->wd) {
            continue;
        }
        if ((e->mask & (IN_MOVE_SELF | IN_DELETE_SELF | IN_IGNORED)) != 0) {
            lose(f, o);
            f->fn(f->arg, NULL, NULL);
        } else if (e->len > 0) {
            f->fn(f->arg, o, e->name);
        }
    }
}

static void on_readable(void *arg, int events)
{
    (void)events;
    otr_log_folders *f = arg;
    _Alignas(struct inotify_event) char bytes[EVENT_BYTES];
    for (int i = 0; i < ROUNDS; i++) {
        ssize_t n = read(f->inotify, bytes, sizeof(bytes));
        if (n <= 0) {
            break;
        }
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *e = (const void *)(bytes + at);
            at += (ssize_t)(sizeof(*e) + e->len);
            on_event(f, e);
        }
    }
    f->fn(f->arg, NULL, "");
}

/* ---- life ---- */

otr_code otr_log_folders_new(otr_loop *loop, otr_log_folder_fn *fn, void *arg,
                             otr_log_folders **ret, otr_err *err)
{
    otr_log_folders *f = otr_zalloc(sizeof(*f));
    if (f == NULL) {
        return otr_fail_nomem(err);
    }
    f->fn = fn;
    f->arg = arg;
    f->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (f->inotify >= 0 && otr_watch_new(loop, f->inotify, OTR_WATCH_READ, on_readable, f,
                                         &f->watch, NULL) != OTR_OK) {
        close(f->inotify);
        f->inotify = -1;
    }
    if (f->inotify < 0) {
        otr_log_debug("no inotify: log rotation is found at the next sample");
    }
    *ret = f;
    return OTR_OK;
}

void otr_log_folders_free(otr_log_folders *folders)
{
    if (folders != NULL) {
        otr_watch_free(folders->watch);
        if (folders->inotify >= 0) {
            close(folders->inotify);
        }
        otr_free(folders);
    }
}

otr_log_folder *otr_log_folders_join(otr_log_folders *folders, const char *root, const char *path)
{
    char key[2 * OTR_NGINX_PATH_BYTES];
    const char *slash = strrchr(path, '/');
    (void)snprintf(key, sizeof(key), "%s%.*s", root,
                   slash != NULL && slash > path ? (int)(slash - path) : 1, path);
    otr_log_folder **chain = &folders->chains[chain_of(key)];
    for (otr_log_folder *o = *chain; o != NULL; o = o->next) {
        if (strcmp(o->key, key) == 0) {
            o->refs++;
            return o;
        }
    }
    otr_log_folder *made = otr_zalloc(sizeof(*made));
    if (made == NULL || (made->key = otr_strdup(key)) == NULL) {
        otr_free(made);
        return NULL;
    }
    made->refs = 1;
    made->next = *chain;
    *chain = made;
    watch(folders, made);
    return made;
}

void otr_log_folders_leave(otr_log_folders *folders, otr_log_folder *folder)
{
    if (folder == NULL || --folder->refs > 0) {
        return;
    }
    unwatch(folders, folder);
    folders->lost -= folder->lost;
    otr_log_folder **at = &folders->chains[chain_of(folder->key)];
    while (*at != folder) {
        at = &(*at)->next;
    }
    *at = folder->next;
    otr_free(folder->key);
    otr_free(folder);
}
