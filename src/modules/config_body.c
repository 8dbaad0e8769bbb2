/* What is to be changed: from a tar and a list of names, or from a version of the history. */
#include <pwd.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/texts.h"
#include "modules/config.h"
#include "nginx/change/sources.h"
#include "nginx/files.h"
#include "nginx/history/history.h"

enum { PASSWD_BYTES = 16384 };

static otr_code add_deletes(const config_body *body, otr_changes *set, otr_err *err)
{
    otr_buf path;
    otr_code rc = OTR_OK;
    otr_buf_init(&path, OTR_NGINX_PATH_BYTES);
    for (size_t i = 0; rc == OTR_OK && body->deletes != NULL && body->deletes[i] != NULL; i++) {
        otr_buf_clear(&path);
        rc = otr_path_join(body->base, body->deletes[i], &path, err);
        rc = rc == OTR_OK ? otr_changes_delete(set, otr_buf_text(&path), err) : rc;
    }
    otr_buf_deinit(&path);
    return rc;
}

static otr_code check_limits(const config_body *body, const otr_changes *set, otr_err *err)
{
    if (otr_changes_count(set) > body->most_files) {
        return otr_fail(err, OTR_EQUOTA, "%zu files, at most %llu (outrider.config.max_files)",
                        otr_changes_count(set), (unsigned long long)body->most_files);
    }
    if (otr_changes_bytes(set) > body->most_bytes) {
        return otr_fail(err, OTR_EQUOTA, "%llu bytes, at most %llu (outrider.config.max_bytes)",
                        (unsigned long long)otr_changes_bytes(set),
                        (unsigned long long)body->most_bytes);
    }
    return OTR_OK;
}

otr_code otr_config_body_read(const config_body *body, struct otr_changes **ret, otr_err *err)
{
    otr_changes *set = NULL;
    otr_change_source source = { .prefix = body->base,
                                 .attributes = (otr_change_source_attributes)body->attributes };
    otr_code rc = otr_changes_new(body->state_dir, &set, err);
    if (rc == OTR_OK && body->fd >= 0) {
        rc = otr_changes_add_tar(set, &source, body->fd, err);
    }
    rc = rc == OTR_OK ? add_deletes(body, set, err) : rc;
    if (rc == OTR_OK && body->mode == CONFIG_SYNC) {
        rc = otr_changes_sync(set, body->base, err);
    }
    rc = rc == OTR_OK ? otr_changes_done(set, err) : rc;
    rc = rc == OTR_OK ? check_limits(body, set, err) : rc;
    if (rc != OTR_OK) {
        otr_changes_free(set);
        return rc;
    }
    *ret = set;
    return OTR_OK;
}

void otr_config_user_name(uid_t uid, char *out, size_t cap)
{
    struct passwd entry, *found = NULL;
    char *text = otr_alloc(PASSWD_BYTES);
    out[0] = '\0';
    if (text != NULL && getpwuid_r(uid, &entry, text, PASSWD_BYTES, &found) == 0 && found != NULL) {
        (void)snprintf(out, cap, "%s", entry.pw_name);
    }
    otr_free(text);
}

/* ---- a version ---- */

typedef struct back { /* from what is in force to another version */
    otr_history *h;
    const config_version *what;
    otr_changes *set;
    otr_err *err;
    otr_code rc;
} back;

/* Blobs come in parts, straight into the set. */
static otr_code write_part(void *arg, otr_bytes part, otr_err *err)
{
    return otr_changes_write(arg, part, err);
}

static otr_code put_file(back *b, const otr_history_file *file)
{
    otr_change_attributes how = { .mode = (int)(file->stat.mode & 0777),
                                  .uid = file->stat.uid,
                                  .gid = file->stat.gid };
    if (file->link != NULL) {
        return otr_changes_link(b->set, file->path, file->link, b->err);
    }
    if (!file->kept) {
        return otr_fail(b->err, OTR_ENOTFOUND, "%s: its content is not in the history any more",
                        file->path);
    }
    otr_code rc = otr_changes_begin(b->set, file->path, &how, OTR_CHANGE_SIZE_UNKNOWN, b->err);
    rc = rc == OTR_OK ? otr_history_blob(b->h, file->stat.digest, write_part, b->set, b->err) : rc;
    return rc == OTR_OK ? otr_changes_end(b->set, b->err) : rc;
}

static bool is_allowed(const back *b, const char *path)
{
    for (const char *const *a = b->what->allowed; *a != NULL; a++) {
        size_t n = strlen(*a);
        if (strncmp(path, *a, n) == 0 && (path[n] == '/' || (n > 0 && (*a)[n - 1] == '/'))) {
            return true;
        }
    }
    return false;
}

static bool is_asked(const back *b, const char *path)
{
    return b->what->only == NULL || otr_texts_have(b->what->only, path);
}

/* Outside of what may be changed only what differs is named, and refused by the plan. */
static bool on_change(void *arg, const otr_history_change *change)
{
    back *b = arg;
    if (!is_asked(b, change->after != NULL ? change->after->path : change->before->path)) {
        return true;
    }
    if (change->after == NULL) {
        b->rc = otr_changes_delete(b->set, change->before->path, b->err);
    } else if (!is_allowed(b, change->after->path)) {
        b->rc = put_file(b, change->after);
    }
    return b->rc == OTR_OK;
}

static bool on_file(void *arg, const otr_history_file *file)
{
    back *b = arg;
    bool named = b->what->only != NULL; /* and refused by the plan, where it is not allowed */
    if (is_asked(b, file->path) && (named || is_allowed(b, file->path))) {
        b->rc = put_file(b, file);
    }
    return b->rc == OTR_OK;
}

/* All files of the version that may be changed, as what was changed by hand meanwhile is put right,
 * too; what is in force and not in it is deleted. */
static otr_code fill(back *b, const char *instance, const char *version)
{
    char now[OTR_HISTORY_ID_BYTES];
    otr_code rc = otr_history_files(b->h, version, on_file, b, b->err);
    rc = rc == OTR_OK ? b->rc : rc;
    if (rc == OTR_OK &&
        otr_history_version_at(b->h, instance, OTR_HISTORY_IN_FORCE, now, NULL) == OTR_OK) {
        rc = otr_history_diff(b->h, now, version, on_change, b, b->err);
        rc = rc == OTR_OK ? b->rc : rc;
    }
    for (char *const *a = b->what->added; rc == OTR_OK && a != NULL && *a != NULL; a++) {
        rc = otr_changes_delete(b->set, *a, b->err);
    }
    return rc;
}

otr_code otr_config_version_changes(struct otr_history *h, const config_version *what,
                                    struct otr_changes **ret_set, char *ret_version, otr_err *err)
{
    back b = { .h = h, .what = what, .err = err };
    otr_code rc = otr_history_find_version(h, what->instance, what->to, ret_version, err);
    rc = rc == OTR_OK ? otr_changes_new(what->state_dir, &b.set, err) : rc;
    rc = rc == OTR_OK ? fill(&b, what->instance, ret_version) : rc;
    rc = rc == OTR_OK ? otr_changes_done(b.set, err) : rc;
    if (rc != OTR_OK) {
        otr_changes_free(b.set);
        return rc;
    }
    *ret_set = b.set;
    return OTR_OK;
}
