#include "nginx/change/record.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/frame.h"
#include "base/limits.h"
#include "base/little_endian.h"

static const char header[OTR_RECORD_HEADER_BYTES + 1] = "OTRJRNL1";

enum {
    TYPE_BEGIN = 'B',
    TYPE_STAGED = 'S',
    TYPE_STATE = 'M',
    ID_DIGITS = OTR_CHANGE_ID_BYTES - 1,
    HEAD_BYTES = 1 + ID_DIGITS,
    SUM_DIGITS = 32, /* of the digest's 64 */
    INODE_BYTES = 32,
    FOLDER_BYTES = 16,
    STEP_BYTES = 8 + INODE_BYTES,
    BOOT_BYTES = 36,
};

/* ---- writing ---- */

static otr_code put_u(otr_buf *out, uint64_t v, unsigned bytes, otr_err *err)
{
    uint8_t p[8];
    otr_le_store(p, bytes, v);
    return otr_buf_add(out, (otr_bytes){ p, bytes }, err);
}

static otr_code put_inode(otr_buf *out, const otr_inode *i, otr_err *err)
{
    uint8_t p[INODE_BYTES];
    otr_le_store(p, 8, i->dev);
    otr_le_store(p + 8, 8, i->ino);
    otr_le_store(p + 16, 8, i->size);
    otr_le_store(p + 24, 8, i->mtime_ns);
    return otr_buf_add(out, (otr_bytes){ p, sizeof(p) }, err);
}

static otr_code put_head(otr_buf *out, int type, const otr_work *work, otr_err *err)
{
    otr_code rc = otr_buf_addc(out, (char)type, err);
    return rc == OTR_OK ? otr_buf_adds(out, work->id, err) : rc;
}

/* The record around `payload`. */
static otr_code put_record(const otr_buf *payload, otr_buf *out, otr_err *err)
{
    char sum[OTR_SHA256_HEX_BYTES];
    otr_bytes bytes = otr_buf_bytes(payload);
    (void)otr_blake2b_hex(bytes, sum);
    otr_code rc = otr_frame_put(bytes, out, err);
    return rc == OTR_OK ? otr_frame_put((otr_bytes){ (const uint8_t *)sum, SUM_DIGITS }, out, err)
                        : rc;
}

static otr_code put_user(otr_buf *out, const otr_root *root, otr_err *err)
{
    OTR_CLEANUP(otr_buf_deinit) otr_buf ids;
    otr_buf_init(&ids, OTR_LIMIT_CHANGE_JOURNAL_BYTES);
    otr_code rc = put_u(&ids, root->uid, 4, err);
    if (rc == OTR_OK) {
        rc = put_u(&ids, root->gid, 4, err);
    }
    for (size_t i = 0; rc == OTR_OK && i < root->n_groups; i++) {
        rc = put_u(&ids, root->groups[i], 4, err);
    }
    if (rc == OTR_OK) {
        rc = otr_frame_put(otr_bytes_of(root->path), out, err);
    }
    return rc == OTR_OK ? otr_frame_put(otr_buf_bytes(&ids), out, err) : rc;
}

/* Fixed fields, then a text, as one field. */
static otr_code put_folder(otr_buf *out, const otr_work_folder *f, otr_err *err)
{
    uint8_t p[FOLDER_BYTES];
    size_t n = strlen(f->path);
    otr_le_store(p, 4, f->allowed);
    otr_le_store(p + 4, 4, f->uid);
    otr_le_store(p + 8, 4, f->parent);
    otr_le_store(p + 12, 4, (f->make ? 1U : 0U) | (f->as_owner ? 2U : 0U));
    otr_code rc = put_u(out, FOLDER_BYTES + n, 4, err);
    if (rc == OTR_OK) {
        rc = otr_buf_add(out, (otr_bytes){ p, sizeof(p) }, err);
    }
    return rc == OTR_OK ? otr_buf_adds(out, f->path, err) : rc;
}

static otr_code put_step(otr_buf *out, const otr_step *s, otr_err *err)
{
    size_t n = strlen(s->name);
    otr_code rc = put_u(out, STEP_BYTES + n, 4, err);
    if (rc == OTR_OK) {
        rc = put_u(out, s->action, 4, err);
    }
    if (rc == OTR_OK) {
        rc = put_u(out, s->folder, 4, err);
    }
    if (rc == OTR_OK) {
        rc = put_inode(out, &s->before, err);
    }
    return rc == OTR_OK ? otr_buf_adds(out, s->name, err) : rc;
}

static otr_code put_plan(otr_buf *out, const otr_work *work, otr_err *err)
{
    otr_code rc = put_u(out, work->n_folders, 4, err);
    if (rc == OTR_OK) {
        rc = put_u(out, work->n_steps, 4, err);
    }
    for (size_t i = 0; rc == OTR_OK && i < work->n_folders; i++) {
        rc = put_folder(out, &work->folders[i], err);
    }
    for (size_t i = 0; rc == OTR_OK && i < work->n_steps; i++) {
        rc = put_step(out, &work->steps[i], err);
    }
    return rc;
}

otr_code otr_record_begin(const otr_work *work, otr_buf *out, otr_err *err)
{
    OTR_CLEANUP(otr_buf_deinit) otr_buf p;
    otr_buf_init(&p, OTR_LIMIT_CHANGE_JOURNAL_BYTES);
    otr_code rc = otr_buf_adds(out, header, err);
    if (rc == OTR_OK) {
        rc = put_head(&p, TYPE_BEGIN, work, err);
    }
    if (rc == OTR_OK) {
        rc = otr_frame_put(otr_bytes_of(work->boot), &p, err);
    }
    if (rc == OTR_OK) {
        rc = put_u(&p, work->began_s, 8, err);
    }
    if (rc == OTR_OK) {
        rc = put_user(&p, work->actors.items[0], err);
    }
    if (rc == OTR_OK) {
        rc = otr_frame_put(otr_buf_bytes(&work->note), &p, err);
    }
    if (rc == OTR_OK) {
        rc = put_plan(&p, work, err);
    }
    return rc == OTR_OK ? put_record(&p, out, err) : rc;
}

otr_code otr_record_staged(const otr_work *work, otr_buf *out, otr_err *err)
{
    OTR_CLEANUP(otr_buf_deinit) otr_buf p;
    otr_buf_init(&p, OTR_LIMIT_CHANGE_JOURNAL_BYTES);
    otr_code rc = put_head(&p, TYPE_STAGED, work, err);
    for (size_t i = 0; rc == OTR_OK && i < work->n_folders; i++) {
        rc = put_inode(&p, &work->folders[i].id, err);
    }
    for (size_t i = 0; rc == OTR_OK && i < work->n_steps; i++) {
        rc = put_inode(&p, &work->steps[i].before, err);
        if (rc == OTR_OK) {
            rc = put_inode(&p, &work->steps[i].after, err);
        }
    }
    return rc == OTR_OK ? put_record(&p, out, err) : rc;
}

otr_code otr_record_state(const otr_work *work, otr_change_state state, otr_bytes note,
                          otr_buf *out, otr_err *err)
{
    OTR_CLEANUP(otr_buf_deinit) otr_buf p;
    otr_buf_init(&p, OTR_LIMIT_CHANGE_JOURNAL_BYTES);
    otr_code rc = put_head(&p, TYPE_STATE, work, err);
    if (rc == OTR_OK) {
        rc = put_u(&p, state, 1, err);
    }
    if (rc == OTR_OK) {
        rc = otr_buf_add(&p, note, err);
    }
    return rc == OTR_OK ? put_record(&p, out, err) : rc;
}

/* ---- reading ---- */

static bool take_u(otr_bytes *from, unsigned bytes, uint64_t *ret)
{
    if (from->n < bytes) {
        return false;
    }
    *ret = otr_le_load(from->p, bytes);
    from->p += bytes;
    from->n -= bytes;
    return true;
}

static bool take_inode(otr_bytes *from, otr_inode *ret)
{
    return take_u(from, 8, &ret->dev) && take_u(from, 8, &ret->ino) &&
           take_u(from, 8, &ret->size) && take_u(from, 8, &ret->mtime_ns);
}

/* A path or name that was written by us: no NUL, not empty; NULL when it is none. */
static const char *take_text(otr_work *work, otr_bytes text, otr_err *err)
{
    if (text.n == 0 || text.n >= OTR_ROOT_PATH_BYTES || memchr(text.p, '\0', text.n) != NULL) {
        return NULL;
    }
    const char *kept = otr_arena_strndup(&work->texts, (const char *)text.p, text.n);
    if (kept == NULL) {
        (void)otr_fail_nomem(err);
    }
    return kept;
}

/* The rest of reading: false with `err->code` OTR_OK is damage, else it is an error of ours. */
static bool take_user(otr_bytes *from, const otr_root *now, otr_work *work, otr_err *err)
{
    otr_bytes path, ids;
    gid_t groups[1024];
    uint64_t uid, gid, group;
    if (!otr_frame_take(from, &path) || !otr_frame_take(from, &ids) || !take_u(&ids, 4, &uid) ||
        !take_u(&ids, 4, &gid) || path.n >= OTR_ROOT_PATH_BYTES ||
        memchr(path.n > 0 ? path.p : (const uint8_t *)"", '\0', path.n) != NULL) {
        return false;
    }
    char text[OTR_ROOT_PATH_BYTES];
    memcpy(text, path.n > 0 ? path.p : (const uint8_t *)"", path.n);
    text[path.n] = '\0';
    otr_root root = { .path = text, .uid = (uid_t)uid, .gid = (gid_t)gid, .groups = groups };
    while (root.n_groups < OTR_COUNT(groups) && take_u(&ids, 4, &group)) {
        groups[root.n_groups++] = (gid_t)group;
    }
    return otr_actors_init(&work->actors, now != NULL ? now : &root, err) == OTR_OK;
}

static bool take_folder(otr_bytes *from, otr_work *work, otr_err *err)
{
    otr_bytes field;
    uint64_t allowed, uid, parent, flags;
    if (!otr_frame_take(from, &field) || !take_u(&field, 4, &allowed) || !take_u(&field, 4, &uid) ||
        !take_u(&field, 4, &parent) || !take_u(&field, 4, &flags) || field.n == 0 ||
        field.p[0] != '/' || allowed > field.n || ((flags & 1) != 0 && parent >= work->n_folders)) {
        return false;
    }
    otr_work_folder f = { .path = take_text(work, field, err),
                          .allowed = (size_t)allowed,
                          .uid = (uid_t)uid,
                          .parent = (size_t)parent,
                          .make = (flags & 1) != 0,
                          .as_owner = (flags & 2) != 0,
                          .fd = -1 };
    if (f.path == NULL ||
        (f.as_owner && otr_actors_find(&work->actors, f.uid, &f.actor, err) != OTR_OK) ||
        otr_grow(&work->folders, work->n_folders, &work->cap_folders, sizeof(f), err) != OTR_OK) {
        return false;
    }
    work->folders[work->n_folders++] = f;
    return true;
}

/* A name in a folder. */
static const char *take_name(otr_work *work, otr_bytes text, otr_err *err)
{
    bool ok = text.n > 0 && text.n <= 255 && memchr(text.p, '/', text.n) == NULL;
    const char *name = ok ? take_text(work, text, err) : NULL;
    return name != NULL && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 ? name : NULL;
}

static bool is_action(uint64_t action)
{
    return action == OTR_PLAN_ADD || action == OTR_PLAN_UPDATE || action == OTR_PLAN_DELETE;
}

static bool take_step(otr_bytes *from, otr_work *work, otr_err *err)
{
    otr_bytes field;
    uint64_t action, folder;
    otr_step s = { 0 };
    if (!otr_frame_take(from, &field) || !take_u(&field, 4, &action) ||
        !take_u(&field, 4, &folder) || !take_inode(&field, &s.before) ||
        folder >= work->n_folders || !is_action(action)) {
        return false;
    }
    s.action = (otr_plan_action)action;
    s.folder = (size_t)folder;
    s.name = take_name(work, field, err);
    if (s.name == NULL ||
        otr_grow(&work->steps, work->n_steps, &work->cap_steps, sizeof(s), err) != OTR_OK) {
        return false;
    }
    work->steps[work->n_steps++] = s;
    return true;
}

static bool take_boot(otr_bytes *from, otr_work *work)
{
    otr_bytes boot;
    char now[sizeof(work->boot)];
    if (!otr_frame_take(from, &boot) || boot.n > BOOT_BYTES) {
        return false;
    }
    otr_work_read_boot(now);
    memcpy(work->boot, boot.n > 0 ? boot.p : (const uint8_t *)"", boot.n);
    work->same_boot = boot.n > 0 && strcmp(work->boot, now) == 0;
    return true;
}

static bool take_plan(otr_bytes *from, otr_work *work, otr_err *err)
{
    uint64_t n_folders, n_steps;
    if (!take_u(from, 4, &n_folders) || !take_u(from, 4, &n_steps) ||
        n_folders > OTR_LIMIT_CHANGE_FOLDERS || n_steps > 2 * (uint64_t)OTR_LIMIT_CHANGE_FILES) {
        return false;
    }
    bool ok = true;
    for (uint64_t i = 0; ok && i < n_folders; i++) {
        ok = take_folder(from, work, err);
    }
    for (uint64_t i = 0; ok && i < n_steps; i++) {
        ok = take_step(from, work, err);
    }
    return ok && from->n == 0;
}

static bool take_begin(otr_bytes p, const otr_root *root, otr_work *work, otr_err *err)
{
    otr_bytes note;
    memcpy(work->id, p.p + 1, ID_DIGITS);
    p.p += HEAD_BYTES;
    p.n -= HEAD_BYTES;
    return otr_change_is_id(work->id) && take_boot(&p, work) && take_u(&p, 8, &work->began_s) &&
           take_user(&p, root, work, err) && otr_frame_take(&p, &note) &&
           note.n <= OTR_LIMIT_CHANGE_NOTE_BYTES && otr_buf_add(&work->note, note, err) == OTR_OK &&
           take_plan(&p, work, err);
}

static void take_staged(otr_bytes p, otr_work *work)
{
    if (p.n != INODE_BYTES * (work->n_folders + 2 * work->n_steps)) {
        return;
    }
    for (size_t i = 0; i < work->n_folders; i++) {
        (void)take_inode(&p, &work->folders[i].id);
    }
    for (size_t i = 0; i < work->n_steps; i++) {
        (void)take_inode(&p, &work->steps[i].before);
        (void)take_inode(&p, &work->steps[i].after);
    }
    work->staged = true;
    otr_work_set_state(work, OTR_CHANGE_SWAPPING);
}

static otr_code take_state(otr_bytes p, otr_work *work, otr_err *err)
{
    if (p.n == 0 || p.p[0] <= OTR_CHANGE_SWAPPING || p.p[0] > OTR_CHANGE_UNDONE ||
        p.n - 1 > OTR_LIMIT_CHANGE_NOTE_BYTES) {
        return OTR_OK;
    }
    otr_work_set_state(work, (otr_change_state)p.p[0]);
    if (p.n == 1) {
        return OTR_OK;
    }
    otr_buf_clear(&work->mark_note);
    return otr_buf_add(&work->mark_note, (otr_bytes){ p.p + 1, p.n - 1 }, err);
}

static bool sum_is_right(otr_bytes payload, otr_bytes sum)
{
    char hex[OTR_SHA256_HEX_BYTES];
    return sum.n == SUM_DIGITS && payload.n >= HEAD_BYTES &&
           memcmp(otr_blake2b_hex(payload, hex), sum.p, SUM_DIGITS) == 0;
}

static otr_code take_next(otr_bytes p, otr_work *work, otr_err *err)
{
    if (memcmp(p.p + 1, work->id, ID_DIGITS) != 0) {
        return OTR_OK; /* of an older transaction */
    }
    const otr_bytes rest = { p.p + HEAD_BYTES, p.n - HEAD_BYTES };
    if (p.p[0] == TYPE_STAGED) {
        take_staged(rest, work);
    }
    return p.p[0] == TYPE_STATE ? take_state(rest, work, err) : OTR_OK;
}

static void trouble(otr_record_result *ret, const char *why)
{
    ret->verdict = OTR_RECORDS_TROUBLE;
    (void)snprintf(ret->why, sizeof(ret->why), "%s", why);
}

/* Nothing was done before the first record was whole on the disk: one that is torn at the file's
 * end is none. */
static otr_code read_first(otr_bytes *left, const otr_root *root, otr_work *work,
                           otr_record_result *ret, otr_err *err)
{
    otr_bytes payload, sum, at = *left;
    if (!otr_frame_take(&at, &payload) || !otr_frame_take(&at, &sum)) {
        ret->verdict = OTR_RECORDS_NONE;
        return OTR_OK;
    }
    if (!sum_is_right(payload, sum) || payload.p[0] != TYPE_BEGIN) {
        ret->verdict = OTR_RECORDS_NONE;
        if (at.n > 0) {
            trouble(ret,
                    "its first record is damaged, so what was being done is not known: look at the "
                    "files by hand and move it out of `apply` in lib_dir");
        }
        return OTR_OK;
    }
    otr_err why = { .code = OTR_OK };
    if (!take_begin(payload, root, work, &why)) {
        if (why.code != OTR_OK) {
            return otr_fail(err, why.code, "%s", why.msg);
        }
        trouble(ret, "its first record cannot be read: look at the files by hand and move it out "
                     "of `apply` in lib_dir");
        return OTR_OK;
    }
    *left = at;
    ret->verdict = OTR_RECORDS_WHOLE;
    otr_work_set_state(work, OTR_CHANGE_PREPARED);
    return OTR_OK;
}

static bool is_zero(otr_bytes b)
{
    for (size_t i = 0; i < b.n; i++) {
        if (b.p[i] != 0) {
            return false;
        }
    }
    return true;
}

otr_code otr_records_read(otr_bytes journal, const otr_root *root, otr_work *work,
                          otr_record_result *ret, otr_err *err)
{
    *ret = (otr_record_result){ 0 };
    if (journal.n < OTR_RECORD_HEADER_BYTES || is_zero(journal)) {
        return OTR_OK;
    }
    if (memcmp(journal.p, header, OTR_RECORD_HEADER_BYTES) != 0) {
        bool ours = memcmp(journal.p, header, OTR_RECORD_HEADER_BYTES - 1) == 0;
        trouble(ret, ours ? "another version of the agent wrote it: run that one again, or look at "
                            "the files by hand and move it out of `apply` in lib_dir"
                          : "it is no journal of this agent: move it out of `apply` in lib_dir");
        return OTR_OK;
    }
    otr_bytes left = { journal.p + OTR_RECORD_HEADER_BYTES, journal.n - OTR_RECORD_HEADER_BYTES };
    otr_code rc = read_first(&left, root, work, ret, err);
    if (rc != OTR_OK || ret->verdict != OTR_RECORDS_WHOLE) {
        return rc;
    }
    otr_bytes payload, sum, at = left;
    while (rc == OTR_OK && otr_frame_take(&at, &payload) && otr_frame_take(&at, &sum)) {
        if (sum_is_right(payload, sum)) {
            rc = take_next(payload, work, err);
        }
        left = at;
    }
    ret->end = (size_t)(left.p - journal.p);
    return rc;
}
