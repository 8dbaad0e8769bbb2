#include "plugin/guest/watch.h"

#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/log.h"
#include "plugin/manifest/url.h"

/* One folder that holds files of guests. */
struct otr_source_watch {
    otr_source_watch *next;
    otr_guests *all;
    otr_folder *folder; /* NULL: it is missing, `timer` looks for it */
    otr_timer *timer;   /* the time that the files must stay still */
    bool wanted;        /* during an update */
    size_t n;           /* length of the path in bytes */
    char path[];
};

/* ---- which files ---- */

/* What is to be watched for `p`, or NULL. */
static otr_guest_plugin *watched(otr_plugin *p)
{
    otr_guest_plugin *g = p->guest ? otr_guest_of(p) : NULL;
    return g != NULL && g->crew.policy->watch && !g->crew.policy->off && !p->stopped &&
                   p->state_id != OTR_PLUGIN_STOPPING && !otr_url_is(g->crew.policy->source)
               ? g
               : NULL;
}

/* Bytes of the folder in an absolute path: "/" is 1. */
static size_t folder_bytes(const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash != NULL ? (size_t)(slash - path) : 0;
    return n > 0 ? n : 1;
}

static bool holds(const otr_source_watch *w, const char *source)
{
    return folder_bytes(source) == w->n && strncmp(source, w->path, w->n) == 0;
}

/* Links are followed, as the load does: what a link is swapped for has another inode. */
static bool is_link(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

/* ---- a change ---- */

/* Loads the file when it is another one and has been still. False: nothing more is to be done. */
static bool look_again(otr_guest_plugin *g)
{
    struct stat now;
    if (stat(g->crew.policy->source, &now) != 0) {
        return false; /* removed: what runs goes on, and what comes in its place will be told */
    }
    bool still = otr_same_file(&now, &g->watch_last);
    g->watch_last = now;
    if (!still) {
        return true;
    }
    otr_file_state state = otr_guest_plugin_compare(g->p, &now);
    if (state == OTR_FILE_BUSY) {
        return true;
    }
    bool again = g->watch_again;
    g->watch_again = false;
    if (state == OTR_FILE_OFF || (state == OTR_FILE_SAME && !again)) {
        return false;
    }
    otr_log_info("file of plugin changed, loading it", "plugin", g->p->name, "source",
                 g->crew.policy->label);
    otr_guest_plugin_reload(g->p);
    return false;
}

static void open_folder(otr_source_watch *w);

static void on_still(void *arg)
{
    otr_source_watch *w = arg;
    bool again = false;
    if (w->folder == NULL) {
        open_folder(w);
        return;
    }
    for (otr_plugin *p = w->all->host->first; p != NULL; p = p->next) {
        otr_guest_plugin *g = watched(p);
        if (g != NULL && g->watch_pending && holds(w, g->crew.policy->source)) {
            g->watch_pending = look_again(g);
            again = again || g->watch_pending;
        }
    }
    if (again) {
        otr_timer_start(w->timer, OTR_WATCH_STILL_MS, 0);
    }
}

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* A signature that comes after its file makes the file good. */
static bool is_signature(const otr_source_watch *w, const otr_manifest *m, const char *name)
{
    return m->signed_needed && holds(w, m->signature) && strcmp(base_of(m->signature), name) == 0;
}

static void mark_all(otr_source_watch *w, const char *name)
{
    bool any = false;
    for (otr_plugin *p = w->all->host->first; p != NULL; p = p->next) {
        otr_guest_plugin *g = watched(p);
        if (g == NULL || !holds(w, g->crew.policy->source)) {
            continue;
        }
        bool sign = name != NULL && is_signature(w, g->crew.policy, name);
        if (name == NULL || sign || strcmp(base_of(g->crew.policy->source), name) == 0 ||
            is_link(g->crew.policy->source)) {
            g->watch_pending = any = true;
            g->watch_again = g->watch_again || sign;
        }
    }
    if (any) {
        otr_timer_start(w->timer, OTR_WATCH_STILL_MS, 0);
    }
}

static void on_change(void *arg, const char *name)
{
    otr_source_watch *w = arg;
    const char *slash = strrchr(w->path, '/');
    if (name != NULL && strcmp(name, slash + 1) == 0) {
        /* Perhaps the folder itself went, and another one has its name: that is watched anew. */
        otr_folder_free(w->folder);
        open_folder(w);
        return;
    }
    mark_all(w, name);
}

/* ---- folders ---- */

static void open_folder(otr_source_watch *w)
{
    otr_err err = { 0 };
    otr_code rc = otr_folder_new(w->all->host->spec.loop, w->path, on_change, w, &w->folder, &err);
    if (rc == OTR_OK) {
        mark_all(w, NULL); /* what happened before */
        return;
    }
    w->folder = NULL;
    if (rc == OTR_ENOTFOUND) {
        otr_timer_start(w->timer, OTR_WATCH_MISSING_MS, 0);
    } else {
        otr_log_warn("files of plugins are not watched: use `outrider plugin reload`", "path",
                     w->path, "err", err.msg);
    }
}

static void watch_free(otr_source_watch *w)
{
    otr_folder_free(w->folder);
    otr_timer_free(w->timer);
    otr_free(w);
}

void otr_source_watch_free(otr_source_watch *first)
{
    for (otr_source_watch *w = first, *next; w != NULL; w = next) {
        next = w->next;
        watch_free(w);
    }
}

static otr_code add(otr_guests *all, const char *source, otr_err *err)
{
    size_t n = folder_bytes(source);
    otr_source_watch *w = otr_zalloc(sizeof(*w) + n + 1);
    otr_code rc = w != NULL ? otr_timer_new(all->host->spec.loop, on_still, w, &w->timer, err)
                            : otr_fail_nomem(err);
    if (rc != OTR_OK) {
        otr_free(w);
        return rc;
    }
    w->all = all;
    w->n = n;
    memcpy(w->path, source, n);
    w->wanted = true;
    w->next = all->watches;
    all->watches = w;
    open_folder(w);
    return OTR_OK;
}

static otr_source_watch *find(const otr_guests *all, const char *source)
{
    otr_source_watch *w = all->watches;
    while (w != NULL && !holds(w, source)) {
        w = w->next;
    }
    return w;
}

void otr_source_watch_update(otr_guests *all)
{
    if (all->host->stopping) {
        return;
    }
    for (otr_source_watch *w = all->watches; w != NULL; w = w->next) {
        w->wanted = false;
    }
    for (otr_plugin *p = all->host->first; p != NULL; p = p->next) {
        const otr_guest_plugin *g = watched(p);
        otr_source_watch *w = g != NULL ? find(all, g->crew.policy->source) : NULL;
        otr_err err = { 0 };
        if (w != NULL) {
            w->wanted = true;
        } else if (g != NULL && add(all, g->crew.policy->source, &err) != OTR_OK) {
            otr_log_warn("file of plugin is not watched: use `outrider plugin reload`", "plugin",
                         p->name, "err", err.msg);
        }
    }
    for (otr_source_watch **slot = &all->watches; *slot != NULL;) {
        otr_source_watch *w = *slot;
        if (w->wanted) {
            slot = &w->next;
        } else {
            *slot = w->next;
            watch_free(w);
        }
    }
}
