#include "nginx/drift/followed.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"

void otr_followed_free(otr_followed *f)
{
    if (f == NULL) {
        return;
    }
    otr_timer_free(f->timer);
    otr_holding_deinit(&f->holding);
    otr_picture_deinit(&f->picture);
    otr_drift_report_deinit(&f->report);
    otr_base_unref(f->version);
    otr_base_unref(f->loaded);
    otr_base_unref(f->seen);
    otr_base_unref(f->coming);
    otr_drift_files_deinit(&f->beside);
    otr_root_free(f->root);
    otr_free(f->config);
    otr_free(f);
}

otr_code otr_followed_look(otr_followed *f, otr_drift_sight **ret, otr_err *err)
{
    otr_drift_sight *look = otr_zalloc(sizeof(*look));
    if (look == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = otr_root_copy(f->root, &look->root, err);
    look->config = rc == OTR_OK ? otr_strdup(f->config) : NULL;
    if (rc == OTR_OK && look->config == NULL) {
        rc = otr_fail_nomem(err);
    }
    if (rc != OTR_OK) {
        otr_drift_sight_deinit(look);
        otr_free(look);
        return rc;
    }
    look->take_loaded = f->load_due && f->based && !f->applying; /* its reloads are ours */
    look->since_ns = f->loaded_ns;
    look->compare = f->based && (!f->applying || f->coming != NULL);
    look->trace = f->lost || f->holding.items == NULL;
    look->version = otr_base_ref(f->version);
    look->loaded = otr_base_ref(f->loaded);
    look->before = otr_base_ref(f->loaded != NULL ? f->loaded : f->seen);
    look->coming = otr_base_ref(f->coming);
    look->was = f->picture;
    f->picture = (otr_picture){ 0 };
    f->lost = false;
    f->load_due = f->load_due && !look->take_loaded;
    *ret = look;
    return OTR_OK;
}

/* ---- reports ---- */

static const otr_drift_file *find_file(const otr_drift_report *r, const char *path)
{
    for (size_t i = 0; i < r->n; i++) {
        if (strcmp(r->files[i].path, path) == 0) {
            return &r->files[i];
        }
    }
    return NULL;
}

/* By the folders as they were watched before, or are now: one that went is in the first. */
static bool find_writer(const otr_followed *f, const otr_drift_sight *look, const otr_places *where,
                        const otr_writers *writers, otr_drift_writer *ret)
{
    for (size_t i = where->n; i > 0; i--) {
        const otr_place *p = &where->items[i - 1];
        const otr_held *then = otr_holding_find(&f->holding, p->folder);
        const otr_held *now = otr_holding_find(&look->holding, p->folder);
        if ((then != NULL && otr_writers_find(writers, &then->key, p->name, 0, ret)) ||
            (now != NULL && otr_writers_find(writers, &now->key, p->name, 0, ret))) {
            return true;
        }
    }
    return false;
}

/* What is known from before of a file that has not changed since. */
static void keep_known(otr_drift_file *file, const otr_drift_report *old, uint64_t now_ns)
{
    const otr_drift_file *was = find_file(old, file->path);
    bool same = was != NULL && was->kind == file->kind &&
                strcmp(was->new_digest, file->new_digest) == 0 && was->new_mode == file->new_mode &&
                was->uid == file->uid && was->gid == file->gid;
    file->seen_ns = same ? was->seen_ns : now_ns;
    if (same && file->writer.pid == 0) {
        file->writer = was->writer;
    }
}

static void fill_report(otr_followed *f, otr_drift_sight *look, const otr_writers *writers)
{
    otr_drift_report *r = &look->report;
    uint64_t now_ns = otr_wall_ns();
    memcpy(r->id, f->id, sizeof(r->id));
    if (look->version != NULL) {
        memcpy(r->version, look->version->version, sizeof(r->version));
    }
    r->known = look->compare;
    for (size_t i = 0; i < r->n; i++) {
        keep_known(&r->files[i], &f->report, now_ns);
        if (r->files[i].writer.pid == 0) {
            (void)find_writer(f, look, &look->where[i], writers, &r->files[i].writer);
        }
    }
    bool drift = r->n + r->more > 0;
    bool old = f->report.n + f->report.more > 0;
    r->since_ns = !drift ? 0 : old ? f->report.since_ns : now_ns;
}

static void fill_remark(const otr_followed *f, const otr_drift_sight *look, otr_code rc,
                        otr_drift_report *r)
{
    const otr_holding *h = &f->holding;
    r->remark[0] = '\0';
    if (rc != OTR_OK) {
        (void)snprintf(r->remark, sizeof(r->remark), "the files could not be looked at: %.200s",
                       look->err.msg);
    } else if (f->picture.partial) {
        (void)snprintf(r->remark, sizeof(r->remark),
                       "the configuration could not be read to its end, so files may be missing: "
                       "%.200s",
                       f->picture.error);
    } else if (h->unwatched > 0) {
        (void)snprintf(r->remark, sizeof(r->remark),
                       "%zu of its folders are not watched (%s): changes there are noticed only "
                       "by the slow look",
                       h->unwatched,
                       h->why == 0 ? "outrider.drift.watches"
                                   : "a limit of the system, such as fs.inotify.max_user_watches");
    }
}

/* ---- a look is over ---- */

static void take_files(otr_followed *f, otr_drift_sight *look, bool *ret_seen)
{
    if (look->traced) {
        otr_holding_deinit(&f->holding);
        f->holding = look->holding;
        look->holding = (otr_holding){ 0 };
    }
    f->picture = look->now;
    look->now = (otr_picture){ 0 };
    if (look->new_loaded != NULL) {
        *ret_seen = look->sure && look->version == NULL;
        otr_base_unref(f->loaded);
        f->loaded = otr_steal(&look->new_loaded);
        otr_base_unref(f->seen);
        f->seen = NULL;
    }
}

/* An apply has begun meanwhile: files of it may have been seen, and it did not know of them. */
static bool is_behind(const otr_followed *f, const otr_drift_sight *look)
{
    return f->applying && (f->coming == NULL || f->coming != look->coming);
}

void otr_followed_take(otr_followed *f, otr_drift_sight *look, otr_code rc,
                       const otr_writers *writers, bool *ret_other, bool *ret_seen)
{
    otr_drift_report fresh = { 0 };
    bool paused = false; /* an apply is under way of which not all files are known */
    *ret_seen = false;
    if (rc == OTR_OK) {
        fill_report(f, look, writers);
        for (size_t i = 0; look->where != NULL && i < look->report.n; i++) {
            otr_places_deinit(&look->where[i]);
        }
        otr_free(otr_steal(&look->where));
        bool behind = is_behind(f, look);
        f->dirty |= behind;
        bool keep = f->based && (!look->compare || behind);
        fresh = keep ? f->report : look->report;
        *(keep ? &f->report : &look->report) = (otr_drift_report){ 0 };
        take_files(f, look, ret_seen);
        paused = keep;
    } else { /* what was known stays; nothing is forgotten that was due */
        f->picture = look->was;
        look->was = (otr_picture){ 0 };
        f->load_due |= look->take_loaded;
        f->lost |= look->trace;
        fresh = f->report;
        f->report = (otr_drift_report){ 0 };
    }
    char before[sizeof(f->report.remark)];
    bool kept = rc != OTR_OK || paused;
    memcpy(before, kept ? fresh.remark : f->report.remark, sizeof(before));
    fill_remark(f, look, rc, &fresh);
    *ret_other =
        kept ? strcmp(before, fresh.remark) != 0 : !otr_drift_report_eq(&f->report, &fresh);
    otr_drift_report_deinit(&f->report);
    f->report = fresh;
}
