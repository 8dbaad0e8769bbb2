#include "modules/config_side.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/digest.h"
#include "base/limits.h"
#include "base/texts.h"
#include "modules/config_snapshot.h"
#include "nginx/files.h"

void otr_config_side_deinit(otr_config_side *side)
{
    for (size_t i = 0; i < side->n; i++) {
        otr_free(side->items[i].path);
        otr_free(side->items[i].link);
        otr_free(side->items[i].why);
    }
    otr_free(side->items);
    *side = (otr_config_side){ .n = 0 };
}

static otr_code add(otr_config_side *side, const otr_config_entry *from, otr_err *err)
{
    otr_code rc = otr_grow(&side->items, side->n, &side->cap, sizeof(*side->items), err);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_config_entry *e = &side->items[side->n++]; /* freed with it, complete or not */
    *e = *from;
    e->path = otr_strdup(from->path);
    e->link = from->link != NULL ? otr_strdup(from->link) : NULL;
    e->why = from->why != NULL ? otr_strdup(from->why) : NULL;
    return e->path != NULL && (from->link == NULL || e->link != NULL) &&
                   (from->why == NULL || e->why != NULL)
               ? OTR_OK
               : otr_fail_nomem(err);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const otr_config_entry *)a)->path, ((const otr_config_entry *)b)->path);
}

const otr_config_entry *otr_config_side_find(const otr_config_side *side, const char *path)
{
    const otr_config_entry key = { .path = (char *)(uintptr_t)path }; /* only compared */
    return side->n > 0 ? bsearch(&key, side->items, side->n, sizeof(key), by_path) : NULL;
}

/* ---- a version ---- */

typedef struct adder {
    otr_config_side *to;
    otr_err *err;
    otr_code rc;
} adder;

static bool add_file(void *arg, const otr_history_file *file)
{
    adder *a = arg;
    const otr_config_entry e = { .path = (char *)(uintptr_t)file->path, /* copied */
                                 .link = (char *)(uintptr_t)file->link,
                                 .stat = file->stat,
                                 .secret = file->secret,
                                 .kept = file->kept };
    a->rc = add(a->to, &e, a->err);
    return a->rc == OTR_OK;
}

static otr_code load_version(otr_config_side *side, otr_history *h, otr_err *err)
{
    adder a = { .to = side, .err = err };
    otr_code rc = otr_history_files(h, side->version, add_file, &a, err);
    return rc == OTR_OK ? a.rc : rc;
}

/* ---- the disk ---- */

static otr_code read_disk(const otr_config_side *side, const char *path, otr_buf *out,
                          struct stat *st, otr_err *err)
{
    const otr_nginx_instance *i = side->nginx;
    const otr_root own = { .path = i->root != NULL ? i->root : "" };
    return otr_root_read(i->reach != NULL ? i->reach : &own, path, out, st, err);
}

/* What is not there is no entry; what cannot be read is one that says so. */
static otr_code add_disk(otr_config_side *side, const char *path, otr_err *err)
{
    otr_err why = { 0 };
    struct stat st = { .st_size = 0 };
    otr_buf text;
    otr_buf_init(&text, OTR_LIMIT_HISTORY_FILE_BYTES);
    otr_config_entry e = { .path = (char *)(uintptr_t)path, .kept = true };
    otr_code rc = read_disk(side, path, &text, &st, &why);
    if (rc == OTR_ENOTFOUND) {
        otr_buf_deinit(&text);
        return OTR_OK;
    }
    if (rc == OTR_OK) {
        (void)otr_sha256_hex(otr_buf_bytes(&text), e.stat.digest);
        e.stat.bytes = text.n;
        e.stat.mode = st.st_mode & 07777;
        e.stat.uid = st.st_uid;
        e.stat.gid = st.st_gid;
        e.secret = otr_history_is_secret(path, e.stat.mode, otr_buf_bytes(&text));
    } else {
        e.kept = false;
        e.why = why.msg;
    }
    otr_buf_deinit(&text);
    return rc == OTR_ENOMEM ? otr_fail_nomem(err) : add(side, &e, err);
}

static otr_code load_disk(otr_config_side *side, const otr_config_side *managed, otr_err *err)
{
    char **paths = NULL;
    otr_code rc = otr_config_paths(side->nginx, &paths, err);
    for (size_t i = 0; rc == OTR_OK && paths[i] != NULL; i++) {
        rc = add_disk(side, paths[i], err);
    }
    size_t n = side->n; /* these are sorted; what follows is looked up in them alone */
    for (size_t i = 0; rc == OTR_OK && i < managed->n; i++) {
        const otr_config_side sorted = { .items = side->items, .n = n };
        if (managed->items[i].link == NULL &&
            otr_config_side_find(&sorted, managed->items[i].path) == NULL) {
            rc = add_disk(side, managed->items[i].path, err);
        }
    }
    otr_texts_free(paths);
    if (side->n > 0) {
        qsort(side->items, side->n, sizeof(*side->items), by_path);
    }
    return rc;
}

otr_code otr_config_side_load(otr_config_side *side, otr_history *h, const char *instance,
                              const otr_nginx_instance *nginx, const char *text, otr_err *err)
{
    otr_config_side managed = { .n = 0 };
    *side = (otr_config_side){ .disk = strcmp(text, "disk") == 0, .nginx = nginx };
    if (!side->disk) {
        otr_code found = otr_history_find_version(h, instance, text, side->version, err);
        return found == OTR_OK ? load_version(side, h, err) : found;
    }
    if (nginx == NULL) {
        return otr_fail(err, OTR_ESTATE,
                        "NGINX %.8s does not run: what stands on the disk for it is not known",
                        instance);
    }
    otr_code rc = otr_history_version_at(h, instance, OTR_HISTORY_IN_FORCE, managed.version, err);
    rc = rc == OTR_ENOTFOUND ? OTR_OK : rc == OTR_OK ? load_version(&managed, h, err) : rc;
    rc = rc == OTR_OK ? load_disk(side, &managed, err) : rc;
    otr_config_side_deinit(&managed);
    return rc;
}

/* What was judged is what is handed out: another file may stand there by now, or a mode that
 * says more. */
static otr_code read_judged(const otr_config_side *side, const otr_config_entry *entry,
                            otr_buf *out, otr_err *err)
{
    struct stat st = { .st_size = 0 };
    char digest[OTR_HISTORY_ID_BYTES];
    size_t before = out->n;
    otr_code rc = read_disk(side, entry->path, out, &st, err);
    if (rc != OTR_OK) {
        return rc;
    }
    const otr_bytes text = { otr_buf_bytes(out).p + before, out->n - before };
    bool same = strcmp(otr_sha256_hex(text, digest), entry->stat.digest) == 0;
    bool secret = otr_history_is_secret(entry->path, st.st_mode & 07777, text);
    if (same && secret == entry->secret) {
        return OTR_OK;
    }
    otr_buf_cut(out, before);
    return otr_fail(err, OTR_ESTATE, "%s is being changed: ask again", entry->path);
}

otr_code otr_config_side_read(const otr_config_side *side, otr_history *h,
                              const otr_config_entry *entry, otr_buf *out, otr_err *err)
{
    return side->disk ? read_judged(side, entry, out, err)
                      : otr_history_blob_read(h, entry->stat.digest, out, err);
}
