#include "nginx/drift/state.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/limits.h"

/* ---- files ---- */

otr_code otr_drift_files_add(otr_drift_files *files, const char *path, const char *digest,
                             otr_drift_entry **ret, otr_err *err)
{
    if (files->n >= OTR_LIMIT_DRIFT_FILES) {
        return otr_fail(err, OTR_EQUOTA, "more than %d files", OTR_LIMIT_DRIFT_FILES);
    }
    otr_code grew = otr_grow(&files->items, files->n, &files->cap, sizeof(*files->items), err);
    if (grew != OTR_OK) {
        return grew;
    }
    otr_drift_entry *e = &files->items[files->n];
    *e = (otr_drift_entry){
        .mode = OTR_DRIFT_NO_MODE, .uid = (uid_t)-1, .gid = (gid_t)-1, .order = (unsigned)files->n
    };
    e->path = otr_strdup(path);
    if (e->path == NULL) {
        return otr_fail_nomem(err);
    }
    if (digest != NULL && strlen(digest) < sizeof(e->digest)) {
        memcpy(e->digest, digest, strlen(digest) + 1);
    }
    files->n++;
    if (ret != NULL) {
        *ret = e;
    }
    return OTR_OK;
}

static int by_path(const void *a, const void *b)
{
    const otr_drift_entry *x = a;
    const otr_drift_entry *y = b;
    int order = strcmp(x->path, y->path);
    return order != 0 ? order : (x->order > y->order) - (x->order < y->order);
}

void otr_drift_files_sort(otr_drift_files *files)
{
    size_t kept = 0;
    if (files->n > 0) {
        qsort(files->items, files->n, sizeof(*files->items), by_path);
    }
    for (size_t i = 0; i < files->n; i++) {
        if (i + 1 < files->n && strcmp(files->items[i].path, files->items[i + 1].path) == 0) {
            otr_free(files->items[i].path);
        } else {
            files->items[kept++] = files->items[i];
        }
    }
    files->n = kept;
}

const otr_drift_entry *otr_drift_files_find(const otr_drift_files *files, const char *path)
{
    size_t from = 0;
    size_t to = files->n;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        int order = strcmp(files->items[mid].path, path);
        if (order == 0) {
            return &files->items[mid];
        }
        if (order < 0) {
            from = mid + 1;
        } else {
            to = mid;
        }
    }
    return NULL;
}

otr_code otr_drift_files_put(otr_drift_files *files, const otr_drift_entry *entry, otr_err *err)
{
    const otr_drift_entry *found = otr_drift_files_find(files, entry->path);
    otr_drift_entry *e = found != NULL ? &files->items[found - files->items] : NULL;
    otr_code rc = e != NULL ? OTR_OK : otr_drift_files_add(files, entry->path, "", &e, err);
    if (rc == OTR_OK) {
        char *path = e->path;
        unsigned order = e->order;
        *e = *entry;
        e->path = path;
        e->order = order;
        otr_drift_files_sort(files);
    }
    return rc;
}

void otr_drift_files_deinit(otr_drift_files *files)
{
    for (size_t i = 0; i < files->n; i++) {
        otr_free(files->items[i].path);
    }
    otr_free(files->items);
    *files = (otr_drift_files){ 0 };
}

otr_code otr_drift_files_copy(const otr_drift_files *from, otr_drift_files *ret, otr_err *err)
{
    otr_drift_files copy = { 0 };
    copy.items = otr_calloc(from->n > 0 ? from->n : 1, sizeof(*copy.items));
    if (copy.items == NULL) {
        return otr_fail_nomem(err);
    }
    copy.cap = from->n > 0 ? from->n : 1;
    for (; copy.n < from->n; copy.n++) {
        copy.items[copy.n] = from->items[copy.n];
        copy.items[copy.n].path = otr_strdup(from->items[copy.n].path);
        if (copy.items[copy.n].path == NULL) {
            otr_drift_files_deinit(&copy);
            return otr_fail_nomem(err);
        }
    }
    *ret = copy;
    return OTR_OK;
}

/* ---- reports ---- */

const char *otr_drift_kind_name(otr_drift_kind kind)
{
    switch (kind) {
    case OTR_DRIFT_CHANGED:
        return "changed";
    case OTR_DRIFT_ADDED:
        return "added";
    case OTR_DRIFT_REMOVED:
        return "removed";
    case OTR_DRIFT_ATTRIBUTES:
        return "attributes";
    case OTR_DRIFT_UNREADABLE:
    default:
        return "unreadable";
    }
}

otr_code otr_drift_report_copy(const otr_drift_report *from, otr_drift_report **ret, otr_err *err)
{
    otr_drift_report *copy = otr_alloc(sizeof(*copy));
    if (copy == NULL) {
        return otr_fail_nomem(err);
    }
    *copy = *from;
    copy->n = 0;
    copy->cap = from->n;
    copy->files = from->n > 0 ? otr_calloc(from->n, sizeof(*copy->files)) : NULL;
    bool ok = from->n == 0 || copy->files != NULL;
    for (; ok && copy->n < from->n; copy->n++) {
        copy->files[copy->n] = from->files[copy->n];
        copy->files[copy->n].path = otr_strdup(from->files[copy->n].path);
        if (copy->files[copy->n].path == NULL) {
            ok = false;
            break;
        }
    }
    if (!ok) {
        otr_drift_report_free(copy);
        return otr_fail_nomem(err);
    }
    *ret = copy;
    return OTR_OK;
}

void otr_drift_report_deinit(otr_drift_report *report)
{
    for (size_t i = 0; i < report->n; i++) {
        otr_free(report->files[i].path);
    }
    otr_free(report->files);
    report->files = NULL;
    report->n = 0;
    report->cap = 0;
}

void otr_drift_report_free(otr_drift_report *report)
{
    if (report != NULL) {
        otr_drift_report_deinit(report);
        otr_free(report);
    }
}

bool otr_drift_file_is_alias(const otr_drift_file *a, const otr_drift_file *b)
{
    return a->ino != 0 && a->ino == b->ino && a->dev == b->dev;
}

static bool file_eq(const otr_drift_file *a, const otr_drift_file *b)
{
    return a->kind == b->kind && a->named == b->named && strcmp(a->path, b->path) == 0 &&
           strcmp(a->old_digest, b->old_digest) == 0 && strcmp(a->new_digest, b->new_digest) == 0 &&
           a->old_mode == b->old_mode && a->new_mode == b->new_mode && a->uid == b->uid &&
           a->gid == b->gid && a->writer.pid == b->writer.pid;
}

bool otr_drift_report_eq(const otr_drift_report *a, const otr_drift_report *b)
{
    bool same = a->n == b->n && a->more == b->more && a->known == b->known &&
                strcmp(a->id, b->id) == 0 && strcmp(a->version, b->version) == 0 &&
                strcmp(a->remark, b->remark) == 0;
    for (size_t i = 0; same && i < a->n; i++) {
        same = file_eq(&a->files[i], &b->files[i]);
    }
    return same;
}
