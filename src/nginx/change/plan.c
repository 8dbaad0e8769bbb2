#include "nginx/change/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "nginx/change/entry.h"

const char *otr_plan_action_name(otr_plan_action action)
{
    static const char *const names[] = { "unchanged", "add", "update", "attributes", "delete" };
    return names[action];
}

const char *otr_plan_remark_text(otr_plan_remark bit)
{
    switch (bit) {
    case OTR_PLAN_HARD_LINKS:
        return "it has other names (hard links), which keep the old content";
    case OTR_PLAN_SYMLINK:
        return "its path leads over a symbolic link";
    case OTR_PLAN_IMMUTABLE:
        return "it or its folder is immutable or append-only (chattr): it cannot be replaced";
    case OTR_PLAN_MOUNT:
        return "something is mounted over it: it cannot be replaced";
    case OTR_PLAN_ACL:
        return "its access list is copied";
    case OTR_PLAN_XATTRS:
        return "its extended attributes are copied";
    case OTR_PLAN_FOLDERS:
        return "folders are made for it";
    case OTR_PLAN_SET_ID:
        return "its set-user-ID and set-group-ID bits are dropped";
    case OTR_PLAN_ABSENT:
        return "it is not there, so there is nothing to delete";
    case OTR_PLAN_AS_OWNER:
        return "it is changed with the rights of its folder's owner";
    }
    return "";
}

/* ---- one file of the set ---- */

static otr_code find(otr_plan *plan, const char *path, otr_root_last last, otr_place *place,
                     otr_err *err)
{
    otr_code rc = otr_place_find(&plan->actors, path, last, place, err);
    if (rc == OTR_OK && place->exists && S_ISDIR(place->st.st_mode)) {
        return otr_fail(err, OTR_EINVAL, "%s is a folder: a change names the files in it", path);
    }
    if (rc == OTR_OK && place->exists && !S_ISREG(place->st.st_mode) &&
        !S_ISLNK(place->st.st_mode)) {
        return otr_fail(err, OTR_EINVAL,
                        "%s is no regular file (a FIFO, a socket or a device): it is left alone",
                        path);
    }
    return rc;
}

/* Who may own what is written with another user's rights: that user. */
static otr_code check_owner(const otr_plan *plan, const otr_plan_entry *e, otr_err *err)
{
    uid_t uid = plan->actors.items[e->actor]->uid;
    uid = e->actor == 0 && uid == 0 ? geteuid() : uid;
    if (uid == 0 || e->item.after.uid == uid) {
        return OTR_OK;
    }
    return otr_fail(err, OTR_EDENIED,
                    "%s is to be of user %lu, but can be written with the rights of user %lu only: "
                    "give file and folder to one of them (chown)",
                    e->item.path, (unsigned long)e->item.after.uid, (unsigned long)uid);
}

static void want_attributes(otr_plan_entry *e)
{
    const otr_change_attributes *how = &e->item.file->attributes;
    const otr_plan_side *before = &e->item.before;
    otr_plan_side *after = &e->item.after;
    bool there = before->exists;
    after->mode = how->mode != OTR_CHANGE_KEEP ? (mode_t)how->mode : there ? before->mode : 0644;
    after->uid = how->uid != OTR_CHANGE_KEEP ? (uid_t)how->uid
                 : there                     ? before->uid
                                             : e->folder_uid;
    after->gid = how->gid != OTR_CHANGE_KEEP ? (gid_t)how->gid
                 : there                     ? before->gid
                                             : e->folder_gid;
}

static otr_plan_action compare(const otr_plan_item *item)
{
    const otr_plan_side *b = &item->before, *a = &item->after;
    if (!b->exists) {
        return OTR_PLAN_ADD;
    }
    if (strcmp(b->digest, a->digest) != 0) {
        return OTR_PLAN_UPDATE;
    }
    return b->mode != a->mode || b->uid != a->uid || b->gid != a->gid ? OTR_PLAN_ATTRIBUTES
                                                                      : OTR_PLAN_UNCHANGED;
}

/* Is a folder on the way to the file still to be made? */
static bool needs_folders(const otr_plan_entry *e)
{
    return !e->item.before.exists && strchr(e->item.real + e->there + 1, '/') != NULL;
}

static otr_code plan_put(otr_plan *plan, const otr_change_file *file, otr_place *place,
                         otr_err *err)
{
    otr_plan_entry *e;
    otr_code rc = find(plan, file->path, OTR_ROOT_FOLLOW, place, err);
    if (rc == OTR_OK) {
        rc = otr_plan_add(plan, file->path, place, &e, err);
    }
    if (rc != OTR_OK) {
        return rc;
    }
    e->item.file = file;
    e->item.after.exists = true;
    e->item.after.size = file->size;
    memcpy(e->item.after.digest, file->digest, sizeof(file->digest));
    rc = otr_plan_look(plan, e, err);
    if (rc != OTR_OK) {
        return rc;
    }
    want_attributes(e);
    e->item.action = compare(&e->item);
    e->item.remarks |= needs_folders(e) ? OTR_PLAN_FOLDERS : 0U;
    if (e->item.action == OTR_PLAN_UNCHANGED) {
        return OTR_OK;
    }
    rc = check_owner(plan, e, err);
    return rc == OTR_OK ? otr_plan_remark_on(plan, e, err) : rc;
}

static otr_code plan_delete(otr_plan *plan, const otr_change_file *file, otr_place *place,
                            otr_err *err)
{
    otr_plan_entry *e;
    otr_code rc = find(plan, file->path, OTR_ROOT_STAY, place, err);
    if (rc == OTR_OK) {
        rc = otr_plan_add(plan, file->path, place, &e, err);
    }
    if (rc != OTR_OK) {
        return rc;
    }
    e->item.file = file;
    if (!place->exists) {
        e->item.remarks |= OTR_PLAN_ABSENT;
        return OTR_OK;
    }
    e->item.action = OTR_PLAN_DELETE;
    rc = otr_plan_look(plan, e, err);
    return rc == OTR_OK ? otr_plan_remark_on(plan, e, err) : rc;
}

static otr_code read_link(const otr_plan *plan, const otr_plan_entry *e, char *to, size_t cap,
                          otr_err *err)
{
    int fd;
    otr_code rc =
        otr_root_open(plan->actors.items[e->actor], e->item.real, O_PATH | O_NOFOLLOW, &fd, err);
    if (rc != OTR_OK) {
        return rc;
    }
    ssize_t n = readlinkat(fd, "", to, cap - 1);
    int sys = errno;
    (void)close(fd);
    if (n < 0) {
        return otr_fail_sys(err, sys, "cannot read the link %s", e->item.path);
    }
    to[n] = '\0';
    return OTR_OK;
}

/* Links are not ours to make: the same one has to be there. */
static otr_code plan_link(otr_plan *plan, const otr_change_file *file, otr_place *place,
                          otr_err *err)
{
    char target[OTR_LIMIT_CHANGE_PATH_BYTES + 1] = "";
    otr_plan_entry *e;
    otr_code rc = otr_place_find(&plan->actors, file->path, OTR_ROOT_STAY, place, err);
    if (rc == OTR_OK) {
        rc = otr_plan_add(plan, file->path, place, &e, err);
    }
    if (rc == OTR_OK && e->link) {
        rc = read_link(plan, e, target, sizeof(target), err);
    }
    if (rc == OTR_OK && strcmp(target, file->link) != 0) {
        rc = otr_fail(err, OTR_EINVAL,
                      "%s is a symbolic link to %s in this change and not on the disk: make it "
                      "there by hand, or put a file in its place",
                      file->path, file->link);
    }
    if (rc == OTR_OK) {
        e->item.file = file;
        e->item.after = e->item.before;
    }
    return rc;
}

static otr_code plan_file(otr_plan *plan, const otr_change_file *file, otr_place *place,
                          otr_err *err)
{
    switch (file->kind) {
    case OTR_CHANGE_DELETE:
        return plan_delete(plan, file, place, err);
    case OTR_CHANGE_LINK:
        return plan_link(plan, file, place, err);
    case OTR_CHANGE_PUT:
        break;
    }
    return plan_put(plan, file, place, err);
}

/* ---- the rest of the configuration ---- */

static otr_code plan_managed(otr_plan *plan, const otr_plan_spec *spec, const char *path,
                             otr_place *place, otr_err *err)
{
    otr_plan_entry *e;
    otr_err why;
    size_t n = plan->n;
    if (otr_changes_find(plan->changes, path) != NULL) {
        return OTR_OK;
    }
    otr_code rc = otr_place_find(&plan->actors, path, OTR_ROOT_FOLLOW, place, &why);
    if (rc == OTR_ENOMEM) {
        return otr_fail_nomem(err);
    }
    if (rc != OTR_OK || !place->exists || !S_ISREG(place->st.st_mode)) {
        return OTR_OK;
    }
    rc = otr_plan_add(plan, path, place, &e, err);
    if (rc == OTR_OK && spec->managed_how == OTR_PLAN_PLACED) {
        e->item.after = e->item.before;
        return OTR_OK;
    }
    if (rc == OTR_OK && (rc = otr_plan_look(plan, e, &why)) == OTR_OK) {
        e->item.after = e->item.before;
        return OTR_OK;
    }
    plan->n = n;
    return rc == OTR_ENOMEM ? otr_fail_nomem(err) : OTR_OK;
}

/* ---- all of it ---- */

static int by_path(const void *a, const void *b)
{
    return strcmp(((const otr_plan_entry *)a)->item.path, ((const otr_plan_entry *)b)->item.path);
}

static int by_real(const void *a, const void *b)
{
    const otr_plan_item *const *x = a, *const *y = b;
    int order = strcmp((*x)->real, (*y)->real);
    /* What the set says before what follows from it. */
    return order != 0 ? order : ((*y)->file != NULL) - ((*x)->file != NULL);
}

static bool says_the_same(const otr_plan_side *a, const otr_plan_side *b)
{
    return a->exists == b->exists && strcmp(a->digest, b->digest) == 0 && a->mode == b->mode &&
           a->uid == b->uid && a->gid == b->gid;
}

/* Two paths may lead to one file, over a link: they have to say the same of it, and the second has
 * nothing to do then. What only a sync deletes or only the whole needs gives way. */
static otr_code unite(otr_plan_item *first, otr_plan_item *second, otr_err *err)
{
    bool link = ((otr_plan_entry *)first)->link || ((otr_plan_entry *)second)->link;
    if (second->file != NULL && !link && !says_the_same(&first->after, &second->after)) {
        return otr_fail(err, OTR_EINVAL, "%s and %s lead to the same file, %s, and differ",
                        first->path, second->path, first->real);
    }
    if (!link) {
        second->after = first->after;
    }
    second->action = OTR_PLAN_UNCHANGED;
    return OTR_OK;
}

static otr_code unite_all(otr_plan *plan, otr_err *err)
{
    if (plan->n < 2) {
        return OTR_OK;
    }
    OTR_CLEANUP(otr_freep) otr_plan_item **items = otr_calloc(plan->n, sizeof(*items));
    if (items == NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t i = 0; i < plan->n; i++) {
        items[i] = &plan->entries[i].item;
    }
    qsort(items, plan->n, sizeof(*items), by_real);
    otr_code rc = OTR_OK;
    for (size_t i = 1, first = 0; rc == OTR_OK && i < plan->n; i++) {
        if (strcmp(items[first]->real, items[i]->real) == 0) {
            rc = unite(items[first], items[i], err);
        } else {
            first = i;
        }
    }
    return rc;
}

static otr_code fill(otr_plan *plan, const otr_plan_spec *spec, otr_err *err)
{
    OTR_CLEANUP(otr_freep) otr_place *place = otr_zalloc(sizeof(*place));
    if (place == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < otr_changes_count(spec->changes); i++) {
        rc = plan_file(plan, otr_changes_at(spec->changes, i), place, err);
    }
    if (rc == OTR_OK) {
        rc = otr_plan_sync(plan, err);
    }
    for (size_t i = 0; rc == OTR_OK && spec->managed != NULL && spec->managed[i] != NULL; i++) {
        rc = plan_managed(plan, spec, spec->managed[i], place, err);
    }
    if (rc == OTR_OK) {
        rc = unite_all(plan, err);
    }
    if (rc == OTR_OK && plan->n > 1) {
        qsort(plan->entries, plan->n, sizeof(*plan->entries), by_path);
    }
    for (size_t i = 0; i < plan->n; i++) {
        plan->count_of[plan->entries[i].item.action]++;
    }
    return rc;
}

otr_code otr_plan_make(const otr_plan_spec *spec, otr_plan **ret, otr_err *err)
{
    if (spec->root->allowed == NULL) {
        return otr_fail(err, OTR_EDENIED,
                        "nothing may be changed as long as allowed_directories says nothing: name "
                        "the folders there");
    }
    otr_plan *plan = otr_zalloc(sizeof(*plan));
    if (plan == NULL) {
        return otr_fail_nomem(err);
    }
    plan->changes = spec->changes;
    otr_code rc = otr_actors_init(&plan->actors, spec->root, err);
    if (rc == OTR_OK) {
        rc = fill(plan, spec, err);
    }
    if (rc != OTR_OK) {
        otr_plan_free(plan);
        return rc;
    }
    *ret = plan;
    return OTR_OK;
}

void otr_plan_free(otr_plan *plan)
{
    if (plan != NULL) {
        otr_actors_deinit(&plan->actors);
        otr_arena_deinit(&plan->texts);
        otr_free(plan->entries);
        otr_free(plan);
    }
}

/* ---- reading a plan ---- */

size_t otr_plan_count(const otr_plan *plan)
{
    return plan->n;
}

const otr_plan_item *otr_plan_at(const otr_plan *plan, size_t i)
{
    return &plan->entries[i].item;
}

const otr_plan_item *otr_plan_find(const otr_plan *plan, const char *path)
{
    const otr_plan_entry key = { .item.path = path };
    const otr_plan_entry *e =
        plan->n > 0 ? bsearch(&key, plan->entries, plan->n, sizeof(key), by_path) : NULL;
    return e != NULL ? &e->item : NULL;
}

size_t otr_plan_count_of(const otr_plan *plan, otr_plan_action action)
{
    return plan->count_of[action];
}

bool otr_plan_is_empty(const otr_plan *plan)
{
    return plan->count_of[OTR_PLAN_UNCHANGED] == plan->n;
}
