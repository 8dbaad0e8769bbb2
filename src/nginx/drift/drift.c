#include "nginx/drift/drift.h"

#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "nginx/drift/followed.h"

enum {
    JOBS_MOST = 2 * OTR_LIMIT_NGINX_INSTANCES,
    MARKS_LEFT = 1024,
    SELDOM = 12, /* slow looks of which one is enough where the kernel tells of changes */
};

struct otr_drift {
    otr_drift_spec spec;
    char *proc_root;
    otr_strand *strand;
    otr_watches *watches;
    otr_writers *writers;
    otr_timer *rescan;
    unsigned rounds; /* of it */
    otr_excludes *excluded;
    otr_followed *all;
    size_t looking;   /* looks that were given to the strand */
    size_t unwatched; /* watches that went since marks were cleared */
    bool closing;
    otr_drift_stats stats;
};

static void look_now(otr_followed *f);

/* ---- life ---- */

static void release(otr_drift *d)
{
    otr_timer_free(d->rescan);
    otr_excludes_unref(d->excluded);
    otr_watches_free(d->watches);
    otr_writers_free(d->writers);
    otr_free(d->proc_root);
    otr_free(d);
}

static void drop_watches(const otr_drift *d, const otr_holding *h)
{
    for (size_t i = 0; i < h->n; i++) {
        otr_watches_drop(d->watches, h->items[i].wd);
    }
}

static otr_followed *find(const otr_drift *d, const char *id)
{
    otr_followed *f = d != NULL ? d->all : NULL;
    while (f != NULL && strcmp(f->id, id) != 0) {
        f = f->next;
    }
    return f;
}

/* ---- when to look ---- */

static void arm(otr_followed *f)
{
    uint64_t now = otr_now_ns();
    const otr_drift_settings *set = &f->drift->spec.settings;
    if (!f->dirty) {
        f->dirty = true;
        f->first_ns = now;
    }
    uint64_t waited = (now - f->first_ns) / OTR_NS_PER_MS;
    uint64_t left = waited < OTR_LIMIT_DRIFT_BURST_MS ? OTR_LIMIT_DRIFT_BURST_MS - waited : 0;
    otr_timer_start(f->timer, set->quiet_ms < left ? set->quiet_ms : left, 0);
}

static void on_quiet(void *arg)
{
    otr_followed *f = arg;
    if (f->look == NULL) {
        f->drift->stats.bursts++;
        look_now(f);
    }
}

static void on_rescan(void *arg)
{
    otr_drift *d = arg;
    bool all = ++d->rounds % SELDOM == 0;
    for (otr_followed *f = d->all; f != NULL; f = f->next) {
        bool told = f->holding.n > 0 && f->holding.unwatched == 0;
        if (!f->dirty && f->look == NULL && (all || !told)) {
            look_now(f);
        }
    }
}

static void look_soon(otr_followed *f)
{
    f->dirty = true;
    f->first_ns = otr_now_ns();
    otr_timer_start(f->timer, 0, 0);
}

static void on_event(void *arg, otr_watch_event event, int wd, const char *name)
{
    otr_drift *d = arg;
    d->stats.events++;
    for (otr_followed *f = d->all; f != NULL; f = f->next) {
        bool counts = event == OTR_WATCH_OVERFLOW || (f->look != NULL && f->look->trace);
        for (size_t i = 0; !counts && i < f->holding.n; i++) {
            const otr_held *held = &f->holding.items[i];
            if (held->wd != wd) {
                continue;
            }
            f->lost |= event == OTR_WATCH_GONE;
            counts = event == OTR_WATCH_GONE || otr_holding_counts(&f->holding, held, name);
        }
        if (counts) {
            arm(f);
        }
    }
}

/* ---- looks ---- */

static otr_code run(otr_strand *strand, void *arg)
{
    const otr_followed *f = arg;
    (void)strand;
    return otr_drift_sight_run(f->look);
}

/* The new watches are held before the old ones are dropped. */
static void hold_watches(const otr_drift *d, otr_holding *h)
{
    size_t kept = 0;
    for (size_t i = 0; i < h->n; i++) {
        if (otr_watches_hold(d->watches, h->items[i].wd, NULL) == OTR_OK) {
            h->items[kept++] = h->items[i];
        }
    }
    h->n = kept;
}

/* While nobody adds any. What the kernel was told to mark stays marked: it is cleared at times. */
static void sweep(otr_drift *d)
{
    if (d->looking > 0) {
        return;
    }
    d->unwatched += otr_watches_sweep(d->watches);
    if (d->unwatched < MARKS_LEFT) {
        return;
    }
    d->unwatched = 0;
    otr_writers_unmark_all(d->writers);
    for (otr_followed *f = d->all; f != NULL; f = f->next) {
        f->lost = true;
        arm(f);
    }
}

static void looked(void *arg, otr_code rc)
{
    otr_followed *f = arg;
    otr_drift *d = f->drift;
    otr_drift_sight *look = otr_steal(&f->look);
    bool other = false;
    bool seen = false;
    d->looking--;
    d->stats.looks++;
    d->stats.reads += look->now.reads;
    hold_watches(d, &look->holding);
    bool taken = !f->left && rc == OTR_OK && look->traced;
    drop_watches(d, taken ? &f->holding : &look->holding);
    if (!f->left) {
        otr_writers_catch_up(d->writers);
        otr_drift_sight_leave_out(look, d->excluded);
        otr_followed_take(f, look, rc, d->writers, &other, &seen);
    }
    otr_drift_sight_deinit(look);
    otr_free(look);
    if (f->left) {
        otr_followed_free(f);
    } else if (f->dirty) {
        arm(f);
    }
    if (d->closing) {
        if (d->looking == 0) {
            release(d);
        }
        return;
    }
    sweep(d);
    if (seen && d->spec.seen != NULL) {
        d->spec.seen(d->spec.arg, f->id, &f->loaded->files);
    }
    if (other) {
        d->spec.changed(d->spec.arg, &f->report);
    }
}

static void look_now(otr_followed *f)
{
    otr_drift *d = f->drift;
    otr_err err = { 0 };
    otr_drift_sight *look;
    otr_code rc = otr_followed_look(f, &look, &err);
    if (rc != OTR_OK) {
        otr_log_warn("no memory to look at the files of a configuration", "instance", f->id);
        return; /* the slow look tries again */
    }
    size_t others = otr_watches_count(d->watches);
    others = others > f->holding.n ? others - f->holding.n : 0;
    look->room = d->spec.settings.watches > others ? d->spec.settings.watches - others : 0;
    look->watches = d->watches;
    look->writers = d->writers;
    look->proc_root = d->proc_root;
    look->excluded = otr_excludes_ref(d->excluded);
    f->look = look;
    f->dirty = false;
    rc = otr_worker_submit(d->strand, run, looked, f, &err);
    if (rc == OTR_OK) {
        d->looking++;
        return;
    }
    bool other;
    bool seen;
    f->look = NULL;
    look->err = err;
    otr_followed_take(f, look, rc, d->writers, &other, &seen);
    otr_drift_sight_deinit(look);
    otr_free(look);
}

/* ---- interface ---- */

otr_code otr_drift_new(const otr_drift_spec *spec, otr_drift **ret, otr_err *err)
{
    otr_drift *d = otr_zalloc(sizeof(*d));
    if (d == NULL) {
        return otr_fail_nomem(err);
    }
    d->spec = *spec;
    d->proc_root = otr_strdup(spec->proc_root);
    otr_code rc = d->proc_root != NULL ? OTR_OK : otr_fail_nomem(err);
    rc = rc == OTR_OK ? otr_watches_new(spec->loop, on_event, d, &d->watches, err) : rc;
    rc = rc == OTR_OK ? otr_writers_new(spec->loop, d->proc_root, &d->writers, err) : rc;
    rc = rc == OTR_OK ? otr_timer_new(spec->loop, on_rescan, d, &d->rescan, err) : rc;
    rc = rc == OTR_OK ? otr_excludes_make(spec->settings.excluded, &d->excluded, err) : rc;
    rc = rc == OTR_OK ? otr_strand_new(spec->pool, JOBS_MOST, &d->strand, err) : rc;
    if (rc != OTR_OK) {
        release(d);
        return rc;
    }
    otr_timer_start(d->rescan, spec->settings.rescan_ms, spec->settings.rescan_ms);
    *ret = d;
    return OTR_OK;
}

static void forget(otr_followed *f)
{
    drop_watches(f->drift, &f->holding);
    f->holding.n = 0;
    otr_timer_stop(f->timer);
    if (f->look != NULL) {
        f->left = true; /* its look is under way */
    } else {
        otr_followed_free(f);
    }
}

void otr_drift_free(otr_drift *drift)
{
    if (drift == NULL) {
        return;
    }
    drift->closing = true;
    otr_timer_stop(drift->rescan);
    while (drift->all != NULL) {
        otr_followed *f = drift->all;
        drift->all = f->next;
        forget(f);
    }
    bool idle = drift->looking == 0;
    otr_strand_free(otr_steal(&drift->strand));
    if (idle) {
        release(drift);
    }
}

otr_code otr_drift_configure(otr_drift *drift, const otr_drift_settings *settings, otr_err *err)
{
    otr_excludes *fresh = NULL;
    otr_code rc = drift != NULL ? otr_excludes_make(settings->excluded, &fresh, err) : OTR_OK;
    if (rc != OTR_OK || drift == NULL) {
        return rc;
    }
    bool other = drift->spec.settings.watches != settings->watches;
    drift->spec.settings = *settings;
    otr_excludes_unref(drift->excluded);
    drift->excluded = fresh;
    otr_timer_start(drift->rescan, settings->rescan_ms, settings->rescan_ms);
    for (otr_followed *f = drift->all; f != NULL; f = f->next) {
        f->lost |= other;
        arm(f);
    }
    return OTR_OK;
}

/* A new place; true when there is something to look at. */
static otr_code take_place(otr_followed *f, const otr_drift_place *place, bool *ret_look,
                           otr_err *err)
{
    bool moved = f->root == NULL || !otr_root_eq(f->root, place->root) ||
                 strcmp(f->config, place->config) != 0;
    *ret_look = moved || f->loads != place->loads;
    if (moved) {
        otr_root *root;
        otr_code rc = otr_root_copy(place->root, &root, err);
        if (rc != OTR_OK) {
            return rc;
        }
        char *config = otr_strdup(place->config);
        if (config == NULL) {
            otr_root_free(root);
            return otr_fail_nomem(err);
        }
        otr_root_free(f->root);
        otr_free(f->config);
        f->root = root;
        f->config = config;
        f->lost = true;
    }
    f->load_due |= f->loads != place->loads;
    f->loads = place->loads;
    f->loaded_ns = place->loaded_ns;
    return OTR_OK;
}

otr_code otr_drift_follow(otr_drift *drift, const otr_drift_place *place, otr_err *err)
{
    if (drift == NULL) {
        return OTR_OK;
    }
    otr_followed *f = find(drift, place->id);
    bool look;
    if (f != NULL) {
        otr_code rc = take_place(f, place, &look, err);
        if (rc == OTR_OK && look) {
            look_soon(f);
        }
        return rc;
    }
    f = otr_zalloc(sizeof(*f));
    if (f == NULL) {
        return otr_fail_nomem(err);
    }
    f->drift = drift;
    f->load_due = true;
    size_t n = strlen(place->id);
    memcpy(f->id, place->id, n < sizeof(f->id) ? n : sizeof(f->id) - 1);
    memcpy(f->report.id, f->id, sizeof(f->id));
    otr_code rc = take_place(f, place, &look, err);
    rc = rc == OTR_OK ? otr_timer_new(drift->spec.loop, on_quiet, f, &f->timer, err) : rc;
    if (rc != OTR_OK) {
        otr_followed_free(f);
        return rc;
    }
    f->next = drift->all;
    drift->all = f;
    look_soon(f);
    return OTR_OK;
}

void otr_drift_leave(otr_drift *drift, const char *id)
{
    for (otr_followed **at = drift != NULL ? &drift->all : NULL; at != NULL && *at != NULL;
         at = &(*at)->next) {
        otr_followed *f = *at;
        if (strcmp(f->id, id) == 0) {
            *at = f->next;
            forget(f);
            sweep(drift);
            return;
        }
    }
}

static otr_code make_base(const char *version, const otr_drift_files *files, otr_base **ret,
                          otr_err *err)
{
    otr_drift_files copy;
    otr_code rc = otr_drift_files_copy(files, &copy, err);
    if (rc == OTR_OK) {
        otr_drift_files_sort(&copy);
        rc = otr_base_new(&copy, version, ret, err);
        otr_drift_files_deinit(&copy);
    }
    return rc;
}

static void replace(otr_base **slot, otr_base *with)
{
    otr_base_unref(*slot);
    *slot = with;
}

/* By this name or another one. */
static bool is_part(const otr_followed *f, const otr_drift_files *to, const otr_drift_file *file)
{
    bool part = otr_drift_files_find(to, file->path) != NULL;
    for (size_t i = 0; !part && i < f->report.n; i++) {
        const otr_drift_file *other = &f->report.files[i];
        part = otr_drift_file_is_alias(file, other) && otr_drift_files_find(to, other->path);
    }
    return part;
}

/* What has drifted beside an apply, as it should be. */
static otr_code note_beside(otr_followed *f, const otr_drift_files *to, otr_err *err)
{
    const otr_base *base = f->version != NULL ? f->version : f->loaded;
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && base != NULL && i < f->report.n; i++) {
        char *path = f->report.files[i].path;
        const otr_drift_entry *e = otr_drift_files_find(&base->files, path);
        const otr_drift_entry none = { .path = path, .mode = OTR_DRIFT_NO_MODE, .absent = true };
        if (!is_part(f, to, &f->report.files[i])) {
            rc = otr_drift_files_put(&f->beside, e != NULL ? e : &none, err);
        }
    }
    return rc;
}

/* A later apply wrote over it: it stands there as that one has it. */
static bool is_taken(const otr_followed *f, const otr_base *base, const char *path)
{
    const otr_drift_entry *want =
        f->coming != NULL ? otr_drift_files_find(&f->coming->files, path) : NULL;
    const otr_drift_entry *now = otr_drift_files_find(&base->files, path);
    if (want == NULL || want->digest[0] == '\0') {
        return want != NULL && now == NULL;
    }
    return now != NULL && strcmp(want->digest, now->digest) == 0;
}

/* An apply writes down all files as they are: what had drifted beside it is drift as before, and
 * not adopted by the way. */
static otr_code carry_over(otr_followed *f, otr_base *base, otr_err *err)
{
    otr_code rc =
        f->version != NULL && f->coming != NULL ? note_beside(f, &f->coming->files, err) : OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < f->beside.n; i++) {
        const otr_drift_entry *e = &f->beside.items[i];
        if (!is_taken(f, base, e->path)) {
            rc = otr_drift_files_put(&base->files, e, err);
        }
    }
    return rc;
}

otr_code otr_drift_set_base(otr_drift *drift, const char *id, const char *version,
                            const otr_drift_files *files, otr_err *err)
{
    otr_followed *f = find(drift, id);
    otr_base *base;
    otr_code rc = f != NULL ? make_base(version, files, &base, err) : OTR_OK;
    if (f != NULL && rc == OTR_OK && f->applying) {
        rc = carry_over(f, base, err);
        if (rc != OTR_OK) {
            otr_base_unref(base);
        }
    }
    if (f != NULL && rc == OTR_OK) {
        replace(&f->version, base);
        f->based = true;
        look_soon(f);
    }
    return rc;
}

otr_code otr_drift_set_seen(otr_drift *drift, const char *id, const otr_drift_files *files,
                            otr_err *err)
{
    otr_followed *f = find(drift, id);
    otr_base *base = NULL;
    otr_code rc = f != NULL && files != NULL ? make_base("", files, &base, err) : OTR_OK;
    if (f != NULL && rc == OTR_OK) {
        replace(&f->version, NULL);
        replace(&f->seen, base);
        f->based = true;
        look_soon(f);
    }
    return rc;
}

/* The one before is over, but its version is not known yet: its files count as well. */
static otr_code add_earlier(const otr_followed *f, otr_base *base, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < f->coming->files.n; i++) {
        const otr_drift_entry *e = &f->coming->files.items[i];
        if (otr_drift_files_find(&base->files, e->path) == NULL) {
            rc = otr_drift_files_put(&base->files, e, err);
        }
    }
    return rc;
}

otr_code otr_drift_begin(otr_drift *drift, const char *id, const otr_drift_files *to, otr_err *err)
{
    otr_followed *f = find(drift, id);
    otr_base *base = NULL;
    otr_code rc = f != NULL && to != NULL ? make_base("", to, &base, err) : OTR_OK;
    if (f != NULL && base != NULL && !f->applying) {
        rc = note_beside(f, &base->files, err);
    } else if (f != NULL && base != NULL && f->coming != NULL) {
        rc = add_earlier(f, base, err);
    } else if (f != NULL && base != NULL) { /* which files the earlier one had is not known */
        otr_base_unref(otr_steal(&base));
    }
    if (f != NULL && rc == OTR_OK) {
        replace(&f->coming, base);
        f->applying = true;
        f->begun++;
    } else {
        otr_base_unref(base);
    }
    return rc;
}

bool otr_drift_applying(const otr_drift *drift, const char *id)
{
    const otr_followed *f = find(drift, id);
    return f != NULL && f->applying;
}

uint64_t otr_drift_begun(const otr_drift *drift, const char *id)
{
    const otr_followed *f = find(drift, id);
    return f != NULL ? f->begun : 0;
}

void otr_drift_end(otr_drift *drift, const char *id)
{
    otr_followed *f = find(drift, id);
    if (f != NULL && f->applying) {
        f->applying = false;
        otr_drift_files_deinit(&f->beside);
        replace(&f->coming, NULL);
        look_soon(f);
    }
}

const otr_drift_report *otr_drift_get(const otr_drift *drift, const char *id)
{
    const otr_followed *f = find(drift, id);
    return f != NULL ? &f->report : NULL;
}

otr_drift_stats otr_drift_get_stats(const otr_drift *drift)
{
    otr_drift_stats stats = drift->stats;
    stats.watches = otr_watches_count(drift->watches);
    for (const otr_followed *f = drift->all; f != NULL; f = f->next) {
        stats.unwatched += f->holding.unwatched;
    }
    return stats;
}
