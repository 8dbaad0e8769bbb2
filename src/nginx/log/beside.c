#include "nginx/log/beside.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "nginx/log/listing.h"

void otr_log_beside_free(otr_log_beside *beside, otr_log_reader *reader)
{
    while (beside != NULL && beside->n > 0) {
        otr_log_beside_drop(beside, beside->n - 1, reader);
    }
    otr_free(beside);
}

/* ---- what was counted ---- */

static void remember(otr_log_beside *b, uint64_t dev, uint64_t ino, uint64_t born_ns)
{
    b->done[b->next_done].dev = dev;
    b->done[b->next_done].ino = ino;
    b->done[b->next_done].born_ns = born_ns;
    b->next_done = (b->next_done + 1) % OTR_COUNT(b->done);
}

void otr_log_beside_done(otr_log_beside *beside, int fd)
{
    struct stat st;
    if (fstat(fd, &st) == 0) {
        remember(beside, st.st_dev, st.st_ino, otr_log_born_ns(fd));
    }
}

static bool is_done(const otr_log_beside *b, const struct stat *st, uint64_t born_ns)
{
    for (size_t i = 0; i < OTR_COUNT(b->done); i++) {
        if (b->done[i].ino == st->st_ino && b->done[i].dev == st->st_dev &&
            b->done[i].born_ns == born_ns) {
            return true;
        }
    }
    return false;
}

/* ---- names ---- */

/* Of ".1", "-2026-11-30" and the like; 0: it is none. */
static size_t mark_length(const char *text)
{
    if (text[0] == '\0' || strchr(".-_", text[0]) == NULL || text[1] < '0' || text[1] > '9') {
        return 0;
    }
    return 1 + strspn(text + 1, "0123456789-_:T");
}

static bool begins(const char *text, const char *with, size_t n)
{
    return strncmp(text, with, n) == 0 && strlen(with) >= n;
}

/* "a.log.1" and "a-20261130.log" of "a.log": the length of it, 0: it is no rotation's name. */
static size_t rotated_length(const char *name, const char *log)
{
    size_t n = strlen(log), mark;
    if (begins(name, log, n) && (mark = mark_length(name + n)) > 0) {
        return n + mark;
    }
    n = otr_log_stem_length(log);
    const char *extension = log + n;
    if (*extension == '\0' || !begins(name, log, n) || (mark = mark_length(name + n)) == 0 ||
        !begins(name + n + mark, extension, strlen(extension))) {
        return 0;
    }
    return n + mark + strlen(extension);
}

static bool is_packed(const char *rest)
{
    return strcmp(rest, ".gz") == 0 || strcmp(rest, ".bz2") == 0 || strcmp(rest, ".xz") == 0 ||
           strcmp(rest, ".zst") == 0;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static bool is_rotated(const char *path, const char *log)
{
    const char *name = base_name(path);
    size_t n = rotated_length(name, base_name(log));
    return n > 0 && name[n] == '\0';
}

/* ---- holding ---- */

/* What was made in the tick before the look is not older: should it have been counted, it is done.
 */
static otr_log_age age_of(const otr_log_place *place, const char *path, const struct stat *st,
                          uint64_t born_ns, const otr_log_reader *reader)
{
    if (place->looked_ns == 0 || reader->wall_ns < place->looked_ns ||
        !is_rotated(path, place->path) || otr_log_was_written_before(st, place->looked_ns)) {
        return OTR_LOG_AGE_OLDER;
    }
    if (born_ns == 0) {
        return OTR_LOG_AGE_UNKNOWN;
    }
    return born_ns + OTR_LOG_TICK_NS >= place->looked_ns ? OTR_LOG_AGE_SINCE : OTR_LOG_AGE_OLDER;
}

void otr_log_beside_drop(otr_log_beside *beside, size_t i, otr_log_reader *reader)
{
    otr_log_file_deinit(&beside->held[i].file, reader);
    beside->n--;
    memmove(&beside->held[i], &beside->held[i + 1], (beside->n - i) * sizeof(beside->held[0]));
}

otr_log_file otr_log_beside_take(otr_log_beside *beside, size_t i, otr_log_reader *reader)
{
    otr_log_file file = beside->held[i].file;
    remember(beside, file.dev, file.ino, beside->held[i].born_ns);
    otr_log_file_init(&beside->held[i].file);
    otr_log_beside_drop(beside, i, reader);
    return file;
}

static bool is_held(const otr_log_beside *b, const struct stat *st)
{
    bool held = false;
    for (size_t i = 0; i < b->n; i++) {
        held |= otr_log_file_is(&b->held[i].file, st);
    }
    return held;
}

/* Of too many the one that was made first is left. */
static void leave_one(otr_log_beside *b, otr_log_reader *reader)
{
    size_t first = 0;
    for (size_t i = 1; i < b->n; i++) {
        first = b->held[i].born_ns < b->held[first].born_ns ? i : first;
    }
    b->left += b->held[first].age != OTR_LOG_AGE_OLDER;
    otr_log_beside_drop(b, first, reader);
}

void otr_log_beside_hold(otr_log_beside *beside, const otr_log_place *place, const char *path,
                         otr_log_reader *reader)
{
    struct stat st;
    otr_err err;
    int fd;
    if (otr_log_stat_path(place->root, path, &st) != 0 || place->known(place->arg, &st) ||
        is_held(beside, &st) || reader->open >= reader->most ||
        otr_root_open_file(place->root, path, &fd, &st, &err) != OTR_OK) {
        return;
    }
    otr_log_held held = { .born_ns = otr_log_born_ns(fd) };
    otr_log_file_init(&held.file);
    otr_log_file_take(&held.file, fd, &st, 0, reader);
    held.file.path = otr_strdup(path);
    if (held.file.path == NULL || place->known(place->arg, &st) || is_held(beside, &st) ||
        is_done(beside, &st, held.born_ns)) {
        otr_log_file_deinit(&held.file, reader);
        return;
    }
    otr_log_file_read_head(&held.file);
    held.extended =
        !begins(base_name(path), base_name(place->path), strlen(base_name(place->path)));
    held.age = age_of(place, path, &st, held.born_ns, reader);
    if (beside->n == OTR_COUNT(beside->held)) {
        leave_one(beside, reader);
    }
    beside->held[beside->n++] = held;
}

void otr_log_beside_refresh(otr_log_beside *beside)
{
    for (size_t i = 0; i < beside->n; i++) {
        if (beside->held[i].file.n_head < OTR_LOG_MARK_BYTES) {
            otr_log_file_read_head(&beside->held[i].file);
        }
    }
}

/* ---- copies of a truncated file ---- */

int otr_log_beside_take_copy(otr_log_beside *beside, const otr_log_file *file,
                             otr_log_reader *reader)
{
    uint64_t newest = 0;
    size_t found = beside->n;
    for (size_t i = 0; i < beside->n; i++) {
        struct stat st;
        int fd = beside->held[i].file.fd;
        if (!otr_log_file_matches(file, fd) || fstat(fd, &st) != 0 ||
            (uint64_t)st.st_size < file->offset || !otr_log_file_is_kin(file, &st)) {
            continue;
        }
        uint64_t changed =
            (uint64_t)st.st_ctim.tv_sec * OTR_NS_PER_S + (uint64_t)st.st_ctim.tv_nsec;
        if (changed >= newest) {
            newest = changed;
            found = i;
        }
    }
    if (found == beside->n) {
        return -1;
    }
    otr_log_file taken = otr_log_beside_take(beside, found, reader);
    otr_free(taken.path);
    reader->open--;
    return taken.fd;
}

void otr_log_beside_drop_copies(otr_log_beside *beside, const otr_log_file *file,
                                otr_log_reader *reader)
{
    for (size_t i = beside->n; i-- > 0;) {
        if (otr_log_file_begins_as(&beside->held[i].file, file)) {
            otr_log_beside_done(beside, beside->held[i].file.fd);
            otr_log_beside_drop(beside, i, reader);
        }
    }
}

/* ---- finding ---- */

typedef struct search {
    otr_log_beside *beside;
    const otr_log_place *place;
    otr_log_reader *reader;
} search;

static void consider(void *arg, const char *name)
{
    const search *s = arg;
    struct stat st;
    size_t n = rotated_length(name, base_name(s->place->path));
    if (n == 0 || (name[n] != '\0' && !is_packed(name + n))) {
        return;
    }
    char *path = otr_log_path_beside(s->place->path, name);
    if (path != NULL && otr_log_stat_path(s->place->root, path, &st) == 0 && S_ISREG(st.st_mode) &&
        !otr_log_was_written_before(&st, s->place->looked_ns)) {
        if (name[n] == '\0') {
            otr_log_beside_hold(s->beside, s->place, path, s->reader);
        } else {
            s->beside->packed++; /* it has the time of the file that was compressed */
        }
    }
    otr_free(path);
}

void otr_log_beside_find(otr_log_beside *beside, const otr_log_place *place, otr_log_reader *reader)
{
    search s = { beside, place, reader };
    beside->packed = 0;
    otr_log_each_named_after(reader, place->root, place->path, consider, &s);
}

/* ---- judging ---- */

/* What an NGINX log holds is text. */
static bool is_text(const otr_log_file *file)
{
    for (size_t i = 0; i < file->n_head; i++) {
        if (file->head[i] < ' ' && strchr("\t\n\r", file->head[i]) == NULL) {
            return false;
        }
    }
    return true;
}

/* Of what was written before the file at the path was made it is no copy. */
static bool is_copy_of_present(const otr_log_held *held, const otr_log_file *present)
{
    uint64_t born_ns = present->fd >= 0 ? otr_log_born_ns(present->fd) : 0;
    return (held->born_ns == 0 || born_ns == 0 || held->born_ns >= born_ns) &&
           otr_log_file_begins_as(&held->file, present);
}

/* One whose name may be another log's is none once nobody writes to it: NGINX keeps logs open. It
 * may also be that NGINX has not reopened its logs yet. */
static otr_log_verdict judge_extended(otr_log_held *held)
{
    held->written = otr_log_file_writers(&held->file) != OTR_LOG_WRITERS_NONE;
    return held->written ? OTR_LOG_VERDICT_KEEP : OTR_LOG_VERDICT_MISSED;
}

/* Without a rotation: what is no copy of the log was not the log. */
static otr_log_verdict judge_quietly(otr_log_held *held, const otr_log_known *log)
{
    if (held->written) {
        return judge_extended(held);
    }
    if (held->file.n_head > 0 && !otr_log_file_begins_as(&held->file, log->present)) {
        held->age = OTR_LOG_AGE_OLDER;
    }
    return OTR_LOG_VERDICT_KEEP;
}

/* A new file that NGINX may write to, or a copy that is begun. */
static otr_log_verdict judge_empty(otr_log_held *held, const otr_log_known *log)
{
    if (log->rotation != OTR_LOG_ROTATION_RENAMED) {
        return OTR_LOG_VERDICT_KEEP;
    }
    return held->extended ? judge_extended(held) : OTR_LOG_VERDICT_MISSED;
}

otr_log_verdict otr_log_beside_judge(otr_log_held *held, const otr_log_known *log)
{
    struct stat st;
    const otr_log_file *file = &held->file;
    if (held->age == OTR_LOG_AGE_OLDER || fstat(file->fd, &st) != 0) {
        return OTR_LOG_VERDICT_KEEP;
    }
    if (log->rotation == OTR_LOG_ROTATION_NONE) {
        return judge_quietly(held, log);
    }
    bool read = otr_log_file_is(log->present, &st), copied = false;
    bool kin = log->present->ino != 0 && otr_log_file_is_kin(log->present, &st);
    for (size_t i = 0; i < log->n_old; i++) {
        kin |= otr_log_file_is_kin(&log->old[i], &st);
        read |= otr_log_file_is(&log->old[i], &st);
        copied |= otr_log_file_begins_as(file, &log->old[i]);
    }
    if (read || !kin || (file->n_head > 0 && !is_text(file))) {
        return OTR_LOG_VERDICT_DROP;
    }
    if (file->n_head == 0) {
        return judge_empty(held, log);
    }
    if (is_copy_of_present(held, log->present)) {
        return OTR_LOG_VERDICT_KEEP; /* for a truncation to come */
    }
    if (copied) {
        return OTR_LOG_VERDICT_DROP;
    }
    if (held->age == OTR_LOG_AGE_UNKNOWN) {
        held->age = OTR_LOG_AGE_OLDER;
        return OTR_LOG_VERDICT_DOUBT;
    }
    return held->extended ? judge_extended(held) : OTR_LOG_VERDICT_MISSED;
}
