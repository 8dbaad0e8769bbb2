/*
 * Private to src/nginx/drift: folders watched by inotify, each once, whoever needs it.
 *
 * A worker adds a folder by its descriptor, so that no path is walked twice; the loop counts who
 * holds the watch, hears the events and takes it away again.
 *
 * Thread: loop, except otr_watches_add() (any).
 */
#ifndef OTR_NGINX_DRIFT_WATCHES_H
#define OTR_NGINX_DRIFT_WATCHES_H

#include "base/base.h"
#include "base/err.h"
#include "loop/loop.h"

typedef struct otr_watches otr_watches;

typedef enum otr_watch_event {
    OTR_WATCH_NAME,     /* something about `name` */
    OTR_WATCH_GONE,     /* the folder is no longer where it was, or the watch has ended */
    OTR_WATCH_OVERFLOW, /* events were lost: any of them */
} otr_watch_event;

typedef void otr_watches_fn(void *arg, otr_watch_event event, int wd, const char *name);

otr_code otr_watches_new(otr_loop *loop, otr_watches_fn *fn, void *arg, otr_watches **ret,
                         otr_err *err) OTR_MUST_CHECK;
void otr_watches_free(otr_watches *w);

/* Watches the folder that `fd` is open on; the same folder has the same number. -errno on failure:
 * ENOSPC, EMFILE: a limit of the system. Any thread. */
int otr_watches_add(const otr_watches *w, int fd);

/* Who needs the watch `wd`; one that nobody holds goes at the next otr_watches_sweep(), which must
 * not be called while a worker adds. */
otr_code otr_watches_hold(otr_watches *w, int wd, otr_err *err) OTR_MUST_CHECK;
void otr_watches_drop(otr_watches *w, int wd);
/* Returns how many went. */
size_t otr_watches_sweep(otr_watches *w);
size_t otr_watches_count(const otr_watches *w);

#endif
