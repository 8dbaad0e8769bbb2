#include "nginx/drift/look.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "nginx/drift/search.h"

/* ---- what is watched ---- */

void otr_holding_deinit(otr_holding *h)
{
    otr_places_deinit(&h->places);
    otr_free(h->items);
    *h = (otr_holding){ 0 };
}

const otr_held *otr_holding_find(const otr_holding *h, const char *folder)
{
    for (size_t i = 0; i < h->n; i++) {
        if (strcmp(h->places.items[h->items[i].first].folder, folder) == 0) {
            return &h->items[i];
        }
    }
    return NULL;
}

bool otr_holding_counts(const otr_holding *h, const otr_held *held, const char *name)
{
    size_t from = held->first;
    size_t end = held->first + held->n;
    size_t to = end;
    while (to > from && h->places.items[to - 1].pattern) {
        to--;
        if (fnmatch(h->places.items[to].name, name, FNM_PERIOD) == 0) {
            return true;
        }
    }
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        int order = strcmp(h->places.items[mid].name, name);
        if (order == 0) {
            return true;
        }
        if (order < 0) {
            from = mid + 1;
        } else {
            to = mid;
        }
    }
    return false;
}

/* A limit of the system or of ours; a folder that is not there or may not be read is none. */
static void note_unwatched(otr_holding *h, int sys)
{
    if (sys == ENOSPC || sys == EMFILE || sys == ENFILE || sys == ENOMEM || sys == 0) {
        h->unwatched++;
        h->why = sys;
    }
}

static void watch_folder(const otr_drift_sight *look, otr_holding *h, size_t first, size_t n)
{
    otr_err why = { 0 };
    int fd;
    if (h->n >= look->room) {
        note_unwatched(h, 0);
        return;
    }
    otr_code rc =
        otr_root_open(look->root, h->places.items[first].folder, O_RDONLY | O_DIRECTORY, &fd, &why);
    if (rc != OTR_OK) {
        if (why.sys != 0) {
            note_unwatched(h, why.sys);
        }
        return;
    }
    otr_held held = { .first = first, .n = n, .wd = otr_watches_add(look->watches, fd) };
    if (held.wd >= 0) {
        otr_writers_mark(look->writers, fd, &held.key);
        h->items[h->n++] = held;
    } else {
        note_unwatched(h, -held.wd);
    }
    close(fd);
}

static otr_code watch_all(otr_drift_sight *look)
{
    otr_holding *h = &look->holding;
    otr_code rc = otr_places_of(look->root, &look->now, &h->places, &look->err);
    size_t folders = 0;
    const otr_place *p = h->places.items;
    for (size_t i = 0; rc == OTR_OK && i < h->places.n; i++) {
        folders += i == 0 || strcmp(p[i - 1].folder, p[i].folder) != 0;
    }
    h->items = rc == OTR_OK ? otr_calloc(folders + 1, sizeof(*h->items)) : NULL;
    if (rc != OTR_OK || h->items == NULL) {
        return rc != OTR_OK ? rc : otr_fail_nomem(&look->err);
    }
    for (size_t i = 0; i < h->places.n;) {
        size_t n = 1;
        while (i + n < h->places.n && strcmp(p[i].folder, p[i + n].folder) == 0) {
            n++;
        }
        watch_folder(look, h, i, n);
        i += n;
    }
    look->traced = true;
    return OTR_OK;
}

/* ---- who did it ---- */

static otr_code trace_files(otr_drift_sight *look)
{
    otr_drift_report *r = &look->report;
    otr_code rc = OTR_OK;
    look->where = otr_calloc(r->n + 1, sizeof(*look->where));
    if (look->where == NULL) {
        return otr_fail_nomem(&look->err);
    }
    for (size_t i = 0; rc == OTR_OK && i < r->n; i++) {
        rc = otr_places_trace(look->root, r->files[i].path, &look->where[i], &look->err);
    }
    return rc;
}

/* Where the kernel does not tell: who has the files open by now. */
static otr_code search_writers(otr_drift_sight *look)
{
    otr_drift_report *r = &look->report;
    otr_drift_writer *found = otr_calloc(r->n + 1, sizeof(*found));
    otr_paths paths = { 0 };
    otr_code rc = found != NULL ? OTR_OK : otr_fail_nomem(&look->err);
    for (size_t i = 0; rc == OTR_OK && i < r->n; i++) {
        char path[2 * OTR_NGINX_PATH_BYTES] = "";
        const otr_places *where = &look->where[i];
        if (where->n > 0) {
            const otr_place *last = &where->items[where->n - 1];
            (void)snprintf(path, sizeof(path), "%s/%s",
                           strcmp(last->folder, "/") != 0 ? last->folder : "", last->name);
        }
        rc = otr_paths_add(&paths, path, r->n, &look->err);
    }
    if (rc == OTR_OK) {
        otr_drift_search(look->proc_root, (const char *const *)paths.items, paths.n, found);
    }
    for (size_t i = 0; rc == OTR_OK && i < r->n; i++) {
        if (found[i].pid > 0) {
            r->files[i].writer = found[i];
        }
    }
    otr_paths_deinit(&paths);
    otr_free(found);
    return rc;
}

/* ---- a look ---- */

static otr_code compare(otr_drift_sight *look)
{
    const otr_base *loaded = look->new_loaded != NULL ? look->new_loaded : look->loaded;
    otr_compare with = {
        .version = look->version != NULL ? &look->version->files : NULL,
        .loaded = loaded != NULL ? &loaded->files : NULL,
        .coming = look->coming != NULL ? &look->coming->files : NULL,
        .excluded = look->excluded,
    };
    otr_code rc = otr_drift_compare(&with, &look->now, &look->report, &look->err);
    if (rc == OTR_OK && look->report.n > 0) {
        rc = trace_files(look);
    }
    if (rc == OTR_OK && look->report.n > 0 && look->now.fresh && look->root->path[0] == '\0' &&
        !otr_writers_told(look->writers)) {
        rc = search_writers(look);
    }
    return rc;
}

static otr_code take_loaded(otr_drift_sight *look)
{
    otr_drift_files files = { 0 };
    otr_code rc = otr_drift_loaded(&look->now, look->since_ns,
                                   look->before != NULL ? &look->before->files : NULL, &files,
                                   &look->sure, &look->err);
    if (rc == OTR_OK) {
        rc = otr_base_new(&files, "", &look->new_loaded, &look->err);
        otr_drift_files_deinit(&files);
    }
    return rc;
}

otr_code otr_drift_sight_run(otr_drift_sight *look)
{
    const otr_base *also = look->version != NULL  ? look->version
                           : look->before != NULL ? look->before
                                                  : look->loaded;
    otr_code rc = otr_picture_take(look->root, look->config, look->was.n > 0 ? &look->was : NULL,
                                   also != NULL ? &also->files : NULL, &look->now, &look->err);
    if (rc == OTR_OK && (look->trace || look->now.fresh)) {
        rc = watch_all(look);
    }
    if (rc == OTR_OK && look->take_loaded) {
        rc = take_loaded(look);
    }
    return rc == OTR_OK && look->compare ? compare(look) : rc;
}

void otr_drift_sight_leave_out(otr_drift_sight *look, const otr_excludes *excluded)
{
    otr_drift_report *r = &look->report;
    size_t kept = 0;
    for (size_t i = 0; i < r->n; i++) {
        if (otr_excludes_match(excluded, r->files[i].path)) {
            otr_free(r->files[i].path);
            if (look->where != NULL) {
                otr_places_deinit(&look->where[i]);
            }
            continue;
        }
        r->files[kept] = r->files[i];
        if (look->where != NULL) {
            look->where[kept] = look->where[i];
        }
        kept++;
    }
    r->n = kept;
}

void otr_drift_sight_deinit(otr_drift_sight *look)
{
    for (size_t i = 0; look->where != NULL && i < look->report.n; i++) {
        otr_places_deinit(&look->where[i]);
    }
    otr_free(look->where);
    otr_drift_report_deinit(&look->report);
    otr_holding_deinit(&look->holding);
    otr_base_unref(look->new_loaded);
    otr_base_unref(look->version);
    otr_base_unref(look->loaded);
    otr_base_unref(look->before);
    otr_base_unref(look->coming);
    otr_excludes_unref(look->excluded);
    otr_picture_deinit(&look->was);
    otr_picture_deinit(&look->now);
    otr_root_free(look->root);
    otr_free(look->config);
}
