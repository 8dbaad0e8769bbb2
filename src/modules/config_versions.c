/* Files of a version or of the disk: listed, shown, compared, exported. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/tar.h"
#include "modules/config_instances.h"
#include "modules/config_question.h"
#include "modules/config_side.h"
#include "nginx/impact/diff.h"

enum { SHOWN_BYTES = 8 << 20, DIFF_BYTES = 8 << 20, DIFF_FILE_BYTES = 1 << 20, CONTEXT = 3 };

static const char secret_text[] = "private key or passwords, not shown";

static const otr_nginx_instance *nginx_of(const otr_config_question *q)
{
    return q->nginx != NULL ? otr_config_instance_of(q->nginx) : NULL;
}

static otr_code load(const otr_config_question *q, otr_history *h, const char *text,
                     otr_config_side *ret, otr_err *err)
{
    return otr_config_side_load(ret, h, q->instance, nginx_of(q), text, err);
}

static void write_entry(otr_jw *w, const otr_config_entry *e)
{
    char mode[8];
    (void)snprintf(mode, sizeof(mode), "%04o", (unsigned)(e->stat.mode & 07777));
    otr_jw_bytes(w, "path", otr_bytes_of(e->path));
    otr_jw_str(w, "digest", e->stat.digest);
    otr_jw_u64(w, "bytes", e->stat.bytes);
    otr_jw_str(w, "mode", mode);
    otr_jw_u64(w, "uid", e->stat.uid);
    otr_jw_u64(w, "gid", e->stat.gid);
    if (e->link != NULL) {
        otr_jw_bytes(w, "link", otr_bytes_of(e->link));
    }
    otr_jw_bool(w, "secret", e->secret);
    otr_jw_bool(w, "kept", e->kept);
}

/* ---- the list ---- */

/* How a file of the disk is to the version in force. */
static const char *state_of(const otr_config_entry *e, const otr_config_side *base)
{
    const otr_config_entry *was = otr_config_side_find(base, e->path);
    if (e->why != NULL) {
        return "unknown";
    }
    if (was == NULL) {
        return "new";
    }
    bool same = strcmp(was->stat.digest, e->stat.digest) == 0 && was->stat.mode == e->stat.mode &&
                was->stat.uid == e->stat.uid && was->stat.gid == e->stat.gid;
    return same ? "same" : "changed";
}

static void write_disk(otr_jw *w, const otr_config_side *disk, const otr_config_side *base)
{
    for (size_t i = 0; i < disk->n; i++) {
        otr_jw_obj(w, NULL);
        write_entry(w, &disk->items[i]);
        otr_jw_str(w, "state", base->version[0] != '\0' ? state_of(&disk->items[i], base) : "");
        otr_jw_str(w, "why", disk->items[i].why);
        otr_jw_obj_end(w);
    }
    for (size_t i = 0; i < base->n; i++) {
        if (base->items[i].link == NULL &&
            otr_config_side_find(disk, base->items[i].path) == NULL) {
            otr_jw_obj(w, NULL);
            write_entry(w, &base->items[i]);
            otr_jw_str(w, "state", "gone");
            otr_jw_obj_end(w);
        }
    }
}

static void write_list(otr_jw *w, const otr_config_question *q, const otr_config_side *side,
                       const otr_config_side *base)
{
    otr_jw_obj(w, NULL);
    otr_jw_str(w, "instance", q->instance);
    otr_jw_bytes(w, "config",
                 otr_bytes_of(q->nginx != NULL ? otr_config_instance_of(q->nginx)->config : ""));
    otr_jw_str(w, "version", side->disk ? "disk" : side->version);
    otr_jw_str(w, "current", base->version);
    otr_jw_arr(w, "files");
    if (side->disk) {
        write_disk(w, side, base);
    }
    for (size_t i = 0; !side->disk && i < side->n; i++) {
        otr_jw_obj(w, NULL);
        write_entry(w, &side->items[i]);
        otr_jw_obj_end(w);
    }
    otr_jw_arr_end(w);
    otr_jw_obj_end(w);
}

otr_code otr_config_answer_files(otr_config_question *q, otr_history *h, otr_err *err)
{
    otr_config_side side = { .n = 0 }, base = { .n = 0 };
    otr_code rc = load(q, h, q->version != NULL ? q->version : "disk", &side, err);
    if (rc == OTR_OK) {
        otr_err none = { 0 };
        rc = load(q, h, "current", &base, &none);
        rc = rc == OTR_ENOTFOUND ? OTR_OK : rc != OTR_OK ? otr_fail(err, rc, "%s", none.msg) : rc;
    }
    if (rc == OTR_OK) {
        otr_jw w;
        otr_jw_begin(&w, &q->body, err);
        write_list(&w, q, &side, &base);
        rc = otr_jw_end(&w);
    }
    otr_config_side_deinit(&side);
    otr_config_side_deinit(&base);
    return rc;
}

/* ---- one file ---- */

/* Why its text is not shown; NULL: it is. */
static const char *hidden(const otr_config_entry *e, const otr_buf *text)
{
    if (e->secret) {
        return secret_text;
    }
    if (e->link != NULL) {
        return "a symbolic link";
    }
    if (e->stat.bytes > SHOWN_BYTES) {
        return "too large to be shown";
    }
    return memchr(otr_buf_text(text), '\0', text->n) != NULL || !otr_utf8_ok(otr_buf_bytes(text))
               ? "binary, not shown"
               : NULL;
}

static otr_code show(otr_config_question *q, otr_history *h, const otr_config_side *side,
                     const otr_config_entry *e, otr_err *err)
{
    otr_jw w;
    otr_buf text;
    otr_code rc = OTR_OK;
    otr_buf_init(&text, SHOWN_BYTES);
    if (!e->secret && e->link == NULL && e->stat.bytes <= SHOWN_BYTES) {
        rc = otr_config_side_read(side, h, e, &text, err);
    }
    if (rc == OTR_OK) {
        const char *why = hidden(e, &text);
        otr_jw_begin(&w, &q->body, err);
        otr_jw_obj(&w, NULL);
        write_entry(&w, e);
        otr_jw_str(&w, "hidden", why);
        otr_jw_bytes(&w, "text", why == NULL ? otr_buf_bytes(&text) : (otr_bytes){ NULL, 0 });
        otr_jw_obj_end(&w);
        rc = otr_jw_end(&w);
    }
    otr_buf_deinit(&text);
    return rc;
}

/* By its whole path, or by what stands behind the folder of nginx.conf. */
static const otr_config_entry *find(const otr_config_question *q, const otr_config_side *side)
{
    const otr_config_entry *e = otr_config_side_find(side, q->path);
    const otr_nginx_instance *i = nginx_of(q);
    const char *slash = i != NULL ? strrchr(i->config, '/') : NULL;
    otr_buf path;
    if (e != NULL || slash == NULL || q->path[0] == '/') {
        return e;
    }
    otr_buf_init(&path, OTR_LIMIT_HISTORY_PATH_BYTES);
    if (otr_buf_addf(&path, NULL, "%.*s/%s", (int)(slash - i->config), i->config, q->path) ==
        OTR_OK) {
        e = otr_config_side_find(side, otr_buf_text(&path));
    }
    otr_buf_deinit(&path);
    return e;
}

otr_code otr_config_answer_file(otr_config_question *q, otr_history *h, otr_err *err)
{
    otr_config_side side = { .n = 0 };
    const char *version = q->version != NULL ? q->version : "disk";
    if (q->path == NULL) {
        return otr_fail(err, OTR_EINVAL, "which file? path= is missing");
    }
    otr_code rc = load(q, h, version, &side, err);
    const otr_config_entry *e = rc == OTR_OK ? find(q, &side) : NULL;
    if (rc == OTR_OK && e == NULL) {
        rc = otr_fail(err, OTR_ENOTFOUND, "%.200s is no file of this configuration (%s)", q->path,
                      version);
    } else if (rc == OTR_OK && e->why != NULL) {
        rc = otr_fail(err, OTR_EDENIED, "%s", e->why);
    }
    rc = rc == OTR_OK ? show(q, h, &side, e, err) : rc;
    otr_config_side_deinit(&side);
    return rc;
}

/* ---- two versions ---- */

typedef struct pair {
    otr_config_question *q;
    otr_history *h;
    const otr_config_side *from, *to;
    const otr_config_entry *old, *new; /* NULL: not there */
    otr_buf text;                      /* the unified diff of all */
    bool cut;
} pair;

static const char *action_of(const otr_config_entry *a, const otr_config_entry *b)
{
    if (a == NULL || b == NULL) {
        return a == NULL ? "add" : "delete";
    }
    if (a->why != NULL || b->why != NULL) {
        return "unknown";
    }
    bool links = a->link != NULL || b->link != NULL;
    bool same = links ? a->link != NULL && b->link != NULL && strcmp(a->link, b->link) == 0
                      : strcmp(a->stat.digest, b->stat.digest) == 0;
    if (!same) {
        return "update";
    }
    return a->stat.mode != b->stat.mode || a->stat.uid != b->stat.uid || a->stat.gid != b->stat.gid
               ? "mode"
               : NULL;
}

/* Why the difference is not shown as text; NULL: it is. */
static const char *no_text(const otr_config_entry *a, const otr_config_entry *b)
{
    const otr_config_entry *both[] = { a, b };
    for (size_t i = 0; i < OTR_COUNT(both); i++) {
        const otr_config_entry *e = both[i];
        if (e == NULL) {
            continue;
        }
        if (e->secret) {
            return secret_text;
        }
        if (e->why != NULL) {
            return e->why;
        }
        if (e->link != NULL || !e->kept || e->stat.bytes > DIFF_FILE_BYTES) {
            return e->link != NULL ? "a symbolic link" : "too large to be shown";
        }
    }
    return NULL;
}

static otr_code read_side(const pair *p, const otr_config_side *side, const otr_config_entry *e,
                          otr_buf *out, otr_err *err)
{
    return e != NULL ? otr_config_side_read(side, p->h, e, out, err) : OTR_OK;
}

static otr_code add_text(pair *p, const char *path, otr_err *err)
{
    otr_buf a, b;
    otr_buf_init(&a, DIFF_FILE_BYTES * 2);
    otr_buf_init(&b, DIFF_FILE_BYTES * 2);
    otr_code rc = read_side(p, p->from, p->old, &a, err);
    rc = rc == OTR_OK ? read_side(p, p->to, p->new, &b, err) : rc;
    if (rc == OTR_OK) {
        otr_diff_spec spec = {
            .old = { .name = path, .text = otr_buf_bytes(&a), .absent = p->old == NULL },
            .new = { .name = path, .text = otr_buf_bytes(&b), .absent = p->new == NULL },
            .path = path,
            .max_bytes = DIFF_FILE_BYTES,
            .context = CONTEXT
        };
        rc = otr_diff_write(&spec, &p->text, NULL, err);
        if (rc == OTR_EQUOTA) {
            p->cut = true;
            rc = OTR_OK;
        }
    }
    otr_buf_deinit(&a);
    otr_buf_deinit(&b);
    return rc;
}

static otr_code write_pair(pair *p, otr_jw *w, otr_err *err)
{
    const otr_config_entry *any = p->old != NULL ? p->old : p->new;
    if (any == NULL) {
        return OTR_OK;
    }
    const char *path = any->path;
    const char *action = action_of(p->old, p->new);
    if (action == NULL) {
        return OTR_OK;
    }
    const char *why =
        strcmp(action, "mode") == 0 ? "only mode or owner differ" : no_text(p->old, p->new);
    otr_jw_obj(w, NULL);
    otr_jw_bytes(w, "path", otr_bytes_of(path));
    otr_jw_str(w, "action", action);
    const otr_config_entry *sides[] = { p->old, p->new };
    for (size_t i = 0; i < OTR_COUNT(sides); i++) {
        if (sides[i] == NULL) {
            otr_jw_null(w, i == 0 ? "before" : "after");
            continue;
        }
        otr_jw_obj(w, i == 0 ? "before" : "after");
        write_entry(w, sides[i]);
        otr_jw_obj_end(w);
    }
    otr_jw_str(w, "hidden", why);
    otr_jw_obj_end(w);
    return why == NULL ? add_text(p, path, err) : OTR_OK;
}

/* Both are sorted: the lower path is not in the other one. */
static otr_code write_pairs(pair *p, otr_jw *w, otr_err *err)
{
    otr_code rc = OTR_OK;
    size_t i = 0, k = 0;
    while (rc == OTR_OK && (i < p->from->n || k < p->to->n)) {
        int order = i == p->from->n ? 1
                    : k == p->to->n ? -1
                                    : strcmp(p->from->items[i].path, p->to->items[k].path);
        p->old = order <= 0 ? &p->from->items[i] : NULL;
        p->new = order >= 0 ? &p->to->items[k] : NULL;
        i += order <= 0;
        k += order >= 0;
        rc = write_pair(p, w, err);
    }
    return rc;
}

static otr_code compare(pair *p, otr_err *err)
{
    otr_jw w;
    otr_jw_begin(&w, &p->q->body, err);
    otr_jw_obj(&w, NULL);
    otr_jw_str(&w, "instance", p->q->instance);
    otr_jw_str(&w, "from", p->from->disk ? "disk" : p->from->version);
    otr_jw_str(&w, "to", p->to->disk ? "disk" : p->to->version);
    otr_jw_arr(&w, "items");
    otr_code rc = write_pairs(p, &w, err);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_jw_arr_end(&w);
    otr_jw_bytes(&w, "diff", otr_buf_bytes(&p->text));
    otr_jw_bool(&w, "cut", p->cut);
    otr_jw_obj_end(&w);
    return otr_jw_end(&w);
}

otr_code otr_config_answer_diff(otr_config_question *q, otr_history *h, otr_err *err)
{
    otr_config_side from = { .n = 0 }, to = { .n = 0 };
    otr_code rc = load(q, h, q->from, &from, err);
    rc = rc == OTR_OK ? load(q, h, q->to, &to, err) : rc;
    if (rc == OTR_OK) {
        pair p = { .q = q, .h = h, .from = &from, .to = &to };
        otr_buf_init(&p.text, DIFF_BYTES);
        rc = compare(&p, err);
        otr_buf_deinit(&p.text);
    }
    otr_config_side_deinit(&from);
    otr_config_side_deinit(&to);
    return rc;
}

/* ---- an archive ---- */

typedef struct archive {
    int fd;
    otr_tarw tar;
} archive;

static otr_code write_fd(void *arg, otr_bytes bytes, otr_err *err)
{
    const archive *a = arg;
    while (bytes.n > 0) {
        ssize_t n = write(a->fd, bytes.p, bytes.n);
        if (n < 0 && errno != EINTR) {
            return otr_fail_sys(err, errno, "cannot write the archive");
        }
        n = n > 0 ? n : 0;
        bytes = (otr_bytes){ bytes.p + n, bytes.n - (size_t)n };
    }
    return OTR_OK;
}

static otr_code add_part(void *arg, otr_bytes part, otr_err *err)
{
    archive *a = arg;
    return otr_tarw_content(&a->tar, part, err);
}

/* Names are the paths without their first '/', as tar(1) makes them. */
static otr_code add_entry(archive *a, otr_history *h, const otr_config_entry *e, otr_err *err)
{
    const otr_tarw_entry member = { .name = e->path + 1,
                                    .link = e->link,
                                    .kind = e->link != NULL ? '2' : '0',
                                    .mode = e->stat.mode,
                                    .uid = e->stat.uid,
                                    .gid = e->stat.gid,
                                    .bytes = e->link != NULL ? 0 : e->stat.bytes };
    if (e->link == NULL && !e->kept) {
        return otr_fail(err, OTR_ENOTFOUND,
                        "the content of %.200s was too large to be kept: this version cannot be "
                        "exported whole",
                        e->path);
    }
    otr_code rc = otr_tarw_add(&a->tar, &member, err);
    if (rc == OTR_OK && e->link == NULL && e->stat.bytes > 0) {
        rc = otr_history_blob(h, e->stat.digest, add_part, a, err);
    }
    return rc;
}

otr_code otr_config_answer_export(otr_config_question *q, otr_history *h, otr_err *err)
{
    otr_config_side side = { .n = 0 };
    const char *version = q->version != NULL ? q->version : "current";
    if (strcmp(version, "disk") == 0) {
        return otr_fail(err, OTR_EINVAL, "a version is exported; what is on the disk is there");
    }
    archive a = { .fd = open(q->state_dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) };
    if (a.fd < 0) {
        return otr_fail_sys(err, errno, "cannot make a file in %s", q->state_dir);
    }
    a.tar = (otr_tarw){ .sink = write_fd, .arg = &a };
    otr_code rc = load(q, h, version, &side, err);
    for (size_t i = 0; rc == OTR_OK && i < side.n; i++) {
        rc = add_entry(&a, h, &side.items[i], err);
    }
    rc = rc == OTR_OK ? otr_tarw_end(&a.tar, err) : rc;
    otr_config_side_deinit(&side);
    if (rc != OTR_OK) {
        close(a.fd);
        return rc;
    }
    q->file = a.fd;
    q->file_bytes = a.tar.written;
    return OTR_OK;
}
