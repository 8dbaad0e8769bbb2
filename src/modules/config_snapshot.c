#include "modules/config_snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/texts.h"
#include "nginx/config/config.h"
#include "nginx/files.h"

/* How its files are opened; `own` has room for one that is not given. */
static const otr_root *root_of(const otr_nginx_instance *i, otr_root *own)
{
    *own = (otr_root){ .path = i->root != NULL ? i->root : "" };
    return i->reach != NULL ? i->reach : own;
}

static otr_code add_config(const otr_nginx_instance *i, const otr_root *root, otr_paths *to,
                           otr_err *err)
{
    otr_nginx_config_spec spec = {
        .root = root, .config = i->config, .prefix = i->prefix, .error_log = "", .access_log = ""
    };
    otr_nginx_config *config = NULL;
    otr_code rc = otr_nginx_config_read(&spec, &config, err);
    for (size_t k = 0; rc == OTR_OK && k < config->files.n; k++) {
        if (!config->files.items[k].folder) {
            rc = otr_paths_add(to, config->files.items[k].path, OTR_LIMIT_HISTORY_FILES, err);
        }
    }
    otr_nginx_config_free(config);
    return rc;
}

otr_code otr_config_paths(const otr_nginx_instance *instance, char ***ret, otr_err *err)
{
    otr_paths paths = { .n = 0 };
    otr_root own;
    otr_code rc = add_config(instance, root_of(instance, &own), &paths, err);
    otr_paths_unique(&paths);
    if (rc == OTR_OK) {
        char **list = otr_calloc(paths.n + 1, sizeof(*list));
        rc = list != NULL ? OTR_OK : otr_fail_nomem(err);
        for (size_t i = 0; rc == OTR_OK && i < paths.n; i++) {
            list[i] = paths.items[i];
        }
        if (rc == OTR_OK) {
            otr_free(paths.items);
            *ret = list;
            return OTR_OK;
        }
    }
    otr_paths_deinit(&paths);
    return rc;
}

/* ---- recording ---- */

typedef struct adder {
    otr_paths *to;
    otr_err *err;
    otr_code rc;
} adder;

static bool add_managed(void *arg, const otr_history_file *file)
{
    adder *a = arg;
    a->rc = file->link == NULL ? otr_paths_add(a->to, file->path, OTR_LIMIT_HISTORY_FILES, a->err)
                               : OTR_OK;
    return a->rc == OTR_OK;
}

static otr_code collect(otr_history *h, const otr_snapshot_spec *spec, const otr_root *root,
                        otr_paths *to, otr_err *err)
{
    char version[OTR_HISTORY_ID_BYTES];
    adder a = { .to = to, .err = err };
    otr_code rc = add_config(spec->instance, root, to, err);
    for (size_t i = 0; rc == OTR_OK && spec->paths != NULL && spec->paths[i] != NULL; i++) {
        rc = otr_paths_add(to, spec->paths[i], OTR_LIMIT_HISTORY_FILES, err);
    }
    if (rc != OTR_OK) {
        return rc;
    }
    rc = otr_history_version_at(h, spec->instance->id, OTR_HISTORY_IN_FORCE, version, err);
    if (rc == OTR_ENOTFOUND) {
        return OTR_OK;
    }
    rc = rc == OTR_OK ? otr_history_files(h, version, add_managed, &a, err) : rc;
    return rc == OTR_OK ? a.rc : rc;
}

static void say_left_out(otr_snapshot *ret, const otr_err *why)
{
    if (ret->remark[0] == '\0') {
        (void)snprintf(ret->remark, sizeof(ret->remark), "not recorded: %.230s", why->msg);
    }
}

/* As in the version in force; not at all, where that has none. */
static otr_code keep_file(otr_history_draft *draft, const char *version, const char *path,
                          otr_snapshot *ret, otr_err *err)
{
    otr_err why = { 0 };
    if (version[0] == '\0') {
        return OTR_OK;
    }
    otr_code rc = otr_history_draft_keep(draft, version, path, &why);
    if (rc != OTR_OK && rc != OTR_ENOTFOUND && err != NULL) {
        *err = why;
    }
    ret->files += rc == OTR_OK;
    return rc == OTR_ENOTFOUND ? OTR_OK : rc;
}

/* What is gone is no failure: the version is what is there. What is there and cannot be read is not
 * gone: to go back to a version deletes what is not in it. */
static otr_code add_file(otr_history_draft *draft, const otr_root *root, const char *version,
                         const char *path, otr_snapshot *ret, otr_err *err)
{
    struct stat st;
    otr_err why = { 0 };
    int fd = -1;
    otr_code rc = otr_root_open_file(root, path, &fd, &st, &why);
    if (rc != OTR_OK) {
        if (rc != OTR_ENOTFOUND) {
            say_left_out(ret, &why);
        }
        bool gone = rc == OTR_ENOTFOUND || why.sys == 0 || why.sys == ENOENT || why.sys == ENOTDIR;
        return rc == OTR_ENOMEM ? otr_fail_nomem(err)
               : gone           ? OTR_OK
                                : keep_file(draft, version, path, ret, err);
    }
    const otr_history_file file = {
        .path = path, .stat = { .mode = st.st_mode & 07777, .uid = st.st_uid, .gid = st.st_gid }
    };
    rc = otr_history_draft_add(draft, &file, fd, NULL, err);
    close(fd);
    ret->files += rc == OTR_OK;
    return rc;
}

otr_code otr_config_snapshot(otr_history *h, const otr_snapshot_spec *spec, otr_snapshot *ret,
                             otr_err *err)
{
    otr_paths paths = { .n = 0 };
    otr_root own;
    const otr_root *root = root_of(spec->instance, &own);
    otr_history_draft *draft = NULL;
    otr_snapshot made = { .files = 0 };
    char version[OTR_HISTORY_ID_BYTES] = "";
    otr_code rc = collect(h, spec, root, &paths, err);
    otr_paths_unique(&paths);
    if (rc == OTR_OK && otr_history_version_at(h, spec->instance->id, OTR_HISTORY_IN_FORCE, version,
                                               NULL) != OTR_OK) {
        version[0] = '\0';
    }
    rc = rc == OTR_OK ? otr_history_draft_new(h, &draft, err) : rc;
    for (size_t i = 0; rc == OTR_OK && i < paths.n; i++) {
        rc = version[0] != '\0' && otr_texts_have(spec->beside, paths.items[i])
                 ? keep_file(draft, version, paths.items[i], &made, err)
                 : add_file(draft, root, version, paths.items[i], &made, err);
    }
    if (rc == OTR_OK && made.files == 0) {
        rc = otr_fail(err, OTR_ENOTFOUND, "no file of %s could be read: %s", spec->instance->config,
                      made.remark);
    }
    rc = rc == OTR_OK ? otr_history_draft_commit(draft, spec->instance->id, made.version, err) : rc;
    otr_history_draft_free(draft);
    otr_paths_deinit(&paths);
    if (rc == OTR_OK) {
        *ret = made;
    }
    return rc;
}
