#include "nginx/drift/watches.h"

#include <errno.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/alloc.h"

enum { EVENT_BYTES = 16384, CHAINS = 1024, ROUNDS = 16 };

typedef struct slot {
    struct slot *next;
    int wd;
    size_t refs;
} slot;

struct otr_watches {
    int inotify; /* -1: not to be had */
    int why;     /* errno of that */
    otr_watch *watch;
    slot *slots[CHAINS];
    size_t n;
    otr_watches_fn *fn;
    void *arg;
};

/* Of a file that is written to, its end counts: half of it is not looked at, and a log that lies
 * beside is of no concern. */
static const uint32_t mask = IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CLOSE_WRITE |
                             IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF | IN_ONLYDIR;

static void on_event(otr_watches *w, const struct inotify_event *e)
{
    const uint32_t gone = IN_MOVE_SELF | IN_DELETE_SELF | IN_IGNORED | IN_UNMOUNT;
    if ((e->mask & IN_Q_OVERFLOW) != 0) {
        w->fn(w->arg, OTR_WATCH_OVERFLOW, -1, "");
    } else if ((e->mask & gone) != 0) {
        w->fn(w->arg, OTR_WATCH_GONE, e->wd, "");
    } else if (e->len > 0) {
        w->fn(w->arg, OTR_WATCH_NAME, e->wd, e->name);
    }
}

static void on_readable(void *arg, int events)
{
    otr_watches *w = arg;
    _Alignas(struct inotify_event) char bytes[EVENT_BYTES];
    (void)events;
    for (int i = 0; i < ROUNDS; i++) {
        ssize_t n = read(w->inotify, bytes, sizeof(bytes));
        if (n <= 0) {
            break;
        }
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *e = (const void *)(bytes + at);
            at += (ssize_t)(sizeof(*e) + e->len);
            on_event(w, e);
        }
    }
}

otr_code otr_watches_new(otr_loop *loop, otr_watches_fn *fn, void *arg, otr_watches **ret,
                         otr_err *err)
{
    otr_watches *w = otr_zalloc(sizeof(*w));
    if (w == NULL) {
        return otr_fail_nomem(err);
    }
    w->fn = fn;
    w->arg = arg;
    w->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    w->why = w->inotify < 0 ? errno : 0;
    otr_code rc = OTR_OK;
    if (w->inotify >= 0) {
        rc = otr_watch_new(loop, w->inotify, OTR_WATCH_READ, on_readable, w, &w->watch, err);
    }
    if (rc != OTR_OK) {
        otr_watches_free(w);
        return rc;
    }
    *ret = w;
    return OTR_OK;
}

void otr_watches_free(otr_watches *w)
{
    if (w == NULL) {
        return;
    }
    otr_watch_free(w->watch);
    if (w->inotify >= 0) {
        close(w->inotify);
    }
    for (size_t i = 0; i < CHAINS; i++) {
        for (slot *s = w->slots[i]; s != NULL;) {
            slot *next = s->next;
            otr_free(s);
            s = next;
        }
    }
    otr_free(w);
}

int otr_watches_add(const otr_watches *w, int fd)
{
    char path[64];
    if (w->inotify < 0) {
        return -w->why;
    }
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int wd = inotify_add_watch(w->inotify, path, mask);
    return wd >= 0 ? wd : -errno;
}

static slot *find(const otr_watches *w, int wd)
{
    slot *s = w->slots[(unsigned)wd % CHAINS];
    while (s != NULL && s->wd != wd) {
        s = s->next;
    }
    return s;
}

otr_code otr_watches_hold(otr_watches *w, int wd, otr_err *err)
{
    slot *s = find(w, wd);
    if (s == NULL) {
        s = otr_zalloc(sizeof(*s));
        if (s == NULL) {
            return otr_fail_nomem(err);
        }
        s->wd = wd;
        s->next = w->slots[(unsigned)wd % CHAINS];
        w->slots[(unsigned)wd % CHAINS] = s;
        w->n++;
    }
    s->refs++;
    return OTR_OK;
}

void otr_watches_drop(otr_watches *w, int wd)
{
    slot *s = find(w, wd);
    if (s != NULL && s->refs > 0) {
        s->refs--;
    }
}

size_t otr_watches_sweep(otr_watches *w)
{
    size_t gone = 0;
    for (size_t i = 0; i < CHAINS; i++) {
        for (slot **at = &w->slots[i]; *at != NULL;) {
            slot *s = *at;
            if (s->refs > 0) {
                at = &s->next;
                continue;
            }
            (void)inotify_rm_watch(w->inotify, s->wd);
            *at = s->next;
            w->n--;
            gone++;
            otr_free(s);
        }
    }
    return gone;
}

size_t otr_watches_count(const otr_watches *w)
{
    return w->n;
}
