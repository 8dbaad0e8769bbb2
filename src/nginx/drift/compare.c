#include "nginx/drift/compare.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "nginx/drift/users.h"

/* ---- bases ---- */

otr_code otr_base_new(otr_drift_files *files, const char *version, otr_base **ret, otr_err *err)
{
    otr_base *b = otr_zalloc(sizeof(*b));
    if (b == NULL) {
        return otr_fail_nomem(err);
    }
    size_t n = strlen(version);
    memcpy(b->version, version, n < sizeof(b->version) ? n : sizeof(b->version) - 1);
    b->files = *files;
    *files = (otr_drift_files){ 0 };
    b->refs = 1;
    *ret = b;
    return OTR_OK;
}

otr_base *otr_base_ref(otr_base *base)
{
    if (base != NULL) {
        base->refs++;
    }
    return base;
}

void otr_base_unref(otr_base *base)
{
    if (base != NULL && --base->refs == 0) {
        otr_drift_files_deinit(&base->files);
        otr_free(base);
    }
}

/* ---- comparison ---- */

typedef struct verdict {
    bool drifted;
    otr_drift_kind kind;
} verdict;

static bool other_attributes(const otr_drift_entry *e, const otr_shot *s)
{
    return e->mode != OTR_DRIFT_NO_MODE &&
           (e->mode != s->mode || (e->uid != (uid_t)-1 && e->uid != s->uid) ||
            (e->gid != (gid_t)-1 && e->gid != s->gid));
}

static verdict judge(const otr_drift_entry *e, const otr_shot *s)
{
    bool known = e->digest[0] != '\0';
    switch (s->state) {
    case OTR_SHOT_ABSENT:
        return (verdict){ !e->absent, OTR_DRIFT_REMOVED };
    case OTR_SHOT_CLOSED:
        return (verdict){ known, OTR_DRIFT_UNREADABLE };
    case OTR_SHOT_READ:
    default:
        break;
    }
    if (e->absent) {
        return (verdict){ true, OTR_DRIFT_ADDED };
    }
    if (e->unsure || (known && strcmp(e->digest, s->digest) != 0)) {
        return (verdict){ true, OTR_DRIFT_CHANGED };
    }
    return (verdict){ known && other_attributes(e, s), OTR_DRIFT_ATTRIBUTES };
}

/* Is it as the apply that is under way will leave it? */
static bool is_coming(const otr_drift_files *coming, const otr_shot *s)
{
    const otr_drift_entry *e = coming != NULL ? otr_drift_files_find(coming, s->path) : NULL;
    if (e == NULL) {
        return false;
    }
    return e->digest[0] == '\0' ? s->state == OTR_SHOT_ABSENT
                                : s->state == OTR_SHOT_READ && strcmp(e->digest, s->digest) == 0;
}

/* The same, of a file that the apply knows by another name: a link leads there. */
static bool comes_by_another_name(const otr_drift_files *coming, const otr_picture *picture,
                                  const otr_shot *s)
{
    for (size_t i = 0; coming != NULL && s->state == OTR_SHOT_READ && i < coming->n; i++) {
        const otr_shot *other = otr_picture_find(picture, coming->items[i].path);
        if (other != NULL && other->ino == s->ino && other->dev == s->dev &&
            is_coming(coming, other)) {
            return true;
        }
    }
    return false;
}

static otr_code list(otr_drift_report *r, const otr_drift_entry *e, const otr_shot *s,
                     otr_drift_kind kind, otr_err *err)
{
    if (r->n >= OTR_LIMIT_DRIFT_LISTED) {
        r->more++;
        return OTR_OK;
    }
    otr_code rc = otr_grow(&r->files, r->n, &r->cap, sizeof(*r->files), err);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_drift_file *f = &r->files[r->n];
    *f = (otr_drift_file){ .kind = kind,
                           .named = s->role == OTR_SHOT_NAMED || (e != NULL && e->named),
                           .old_mode = e != NULL ? e->mode : OTR_DRIFT_NO_MODE,
                           .new_mode = OTR_DRIFT_NO_MODE,
                           .uid = (uid_t)-1,
                           .gid = (gid_t)-1,
                           .writer = { .uid = (uid_t)-1, .login = (uid_t)-1 } };
    f->path = otr_strdup(s->path);
    if (f->path == NULL) {
        return otr_fail_nomem(err);
    }
    if (e != NULL) {
        memcpy(f->old_digest, e->digest, sizeof(f->old_digest));
    }
    if (s->state == OTR_SHOT_READ) {
        memcpy(f->new_digest, s->digest, sizeof(f->new_digest));
        f->new_mode = s->mode;
        f->mtime_ns = s->mtime_ns;
        f->dev = s->dev;
        f->ino = s->ino;
        f->uid = s->uid;
        f->gid = s->gid;
        otr_drift_user(s->uid, f->owner);
    }
    r->n++;
    return OTR_OK;
}

/* What a file is compared with: the version, or what NGINX has loaded for what is not in it. */
static const otr_drift_entry *entry_of(const otr_compare *with, const otr_shot *s)
{
    const otr_drift_files *first = with->version != NULL ? with->version : with->loaded;
    const otr_drift_entry *e = first != NULL ? otr_drift_files_find(first, s->path) : NULL;
    if (e == NULL && with->loaded != NULL && s->role != OTR_SHOT_TEXT) {
        e = otr_drift_files_find(with->loaded, s->path);
        e = e != NULL && e->named ? e : NULL;
    }
    return e;
}

otr_code otr_drift_compare(const otr_compare *with, const otr_picture *picture,
                           otr_drift_report *ret, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < picture->n; i++) {
        const otr_shot *s = &picture->shots[i];
        const otr_drift_entry *e = entry_of(with, s);
        verdict v = { s->role == OTR_SHOT_TEXT && s->state == OTR_SHOT_READ, OTR_DRIFT_ADDED };
        v = e != NULL ? judge(e, s) : v;
        if (v.drifted && !is_coming(with->coming, s) &&
            !otr_excludes_match(with->excluded, s->path) &&
            !comes_by_another_name(with->coming, picture, s)) {
            rc = list(ret, e, s, v.kind, err);
        }
    }
    return rc;
}

/* ---- what NGINX has loaded ---- */

static otr_code add_shot(const otr_shot *s, otr_drift_files *ret, otr_drift_entry **e, otr_err *err)
{
    otr_code rc = otr_drift_files_add(ret, s->path, s->digest, e, err);
    if (rc == OTR_OK) {
        (*e)->named = s->role == OTR_SHOT_NAMED;
        (*e)->absent = s->state == OTR_SHOT_ABSENT;
        if (s->state == OTR_SHOT_READ) {
            (*e)->mode = s->mode;
            (*e)->uid = s->uid;
            (*e)->gid = s->gid;
        }
    }
    return rc;
}

static otr_code add_before(const otr_drift_entry *was, otr_drift_files *ret, otr_err *err)
{
    otr_drift_entry *e;
    otr_code rc = otr_drift_files_add(ret, was->path, was->digest, &e, err);
    if (rc == OTR_OK) {
        e->mode = was->mode;
        e->uid = was->uid;
        e->gid = was->gid;
        e->named = was->named;
        e->absent = was->absent;
        e->unsure = was->unsure;
    }
    return rc;
}

/* One file that may have been changed after NGINX loaded it. */
static otr_code add_newer(const otr_shot *s, uint64_t since_ns, const otr_drift_files *before,
                          otr_drift_files *ret, bool *sure, otr_err *err)
{
    otr_drift_entry *e;
    const otr_drift_entry *was = before != NULL ? otr_drift_files_find(before, s->path) : NULL;
    if (was != NULL) {
        *sure &= strcmp(was->digest, s->digest) == 0;
        return add_before(was, ret, err);
    }
    if (before != NULL && s->role == OTR_SHOT_TEXT) {
        *sure = false;
        return OTR_OK; /* NGINX does not know it: it was added */
    }
    otr_code rc = add_shot(s, ret, &e, err);
    if (rc == OTR_OK && s->mtime_ns > since_ns) { /* else only its name or mode is newer */
        e->unsure = true;
        e->digest[0] = '\0';
        e->mode = OTR_DRIFT_NO_MODE;
        *sure = false;
    }
    return rc;
}

/* It was there, and went after NGINX had loaded it? */
static bool has_vanished(const otr_shot *s, uint64_t since_ns, const otr_drift_entry *was)
{
    return was != NULL && !was->absent && s->state == OTR_SHOT_ABSENT && since_ns > 0 &&
           s->ctime_ns > since_ns;
}

static otr_code add_one(const otr_shot *s, uint64_t since_ns, const otr_drift_files *before,
                        otr_drift_files *ret, bool *sure, otr_err *err)
{
    otr_drift_entry *e;
    const otr_drift_entry *was = before != NULL ? otr_drift_files_find(before, s->path) : NULL;
    if (has_vanished(s, since_ns, was)) {
        *sure = false;
        return add_before(was, ret, err);
    }
    if (s->role == OTR_SHOT_ALSO) {
        return OTR_OK;
    }
    return since_ns > 0 && s->state == OTR_SHOT_READ && s->ctime_ns > since_ns
               ? add_newer(s, since_ns, before, ret, sure, err)
               : add_shot(s, ret, &e, err);
}

otr_code otr_drift_loaded(const otr_picture *picture, uint64_t since_ns,
                          const otr_drift_files *before, otr_drift_files *ret, bool *ret_sure,
                          otr_err *err)
{
    otr_drift_files files = { 0 };
    otr_code rc = OTR_OK;
    *ret_sure = !picture->partial;
    for (size_t i = 0; rc == OTR_OK && i < picture->n; i++) {
        rc = add_one(&picture->shots[i], since_ns, before, &files, ret_sure, err);
    }
    if (rc != OTR_OK) {
        otr_drift_files_deinit(&files);
        return rc;
    }
    otr_drift_files_sort(&files);
    *ret = files;
    return OTR_OK;
}
