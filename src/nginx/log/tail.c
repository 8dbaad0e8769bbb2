#include "nginx/log/tail.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "nginx/log/listing.h"

enum {
    COPY_S = 60,    /* a file that may be a copy is held open for so long */
    TRUNCATIONS = 4 /* of one file in one look */
};

otr_code otr_log_tail_init(otr_log_tail *tail, const otr_root *root, const char *path,
                           otr_log_formats *formats, otr_err *err)
{
    *tail = (otr_log_tail){ .path = otr_strdup(path) };
    otr_log_file_init(&tail->file);
    otr_code rc = tail->path != NULL ? otr_root_copy(root, &tail->root, err) : otr_fail_nomem(err);
    if (rc != OTR_OK) {
        otr_log_tail_deinit(tail, NULL);
        return rc;
    }
    tail->formats = otr_log_formats_ref(formats);
    return OTR_OK;
}

void otr_log_tail_deinit(otr_log_tail *tail, otr_log_reader *reader)
{
    otr_log_file_deinit(&tail->file, reader);
    otr_log_beside_free(tail->beside, reader);
    for (size_t i = 0; i < tail->n_old; i++) {
        otr_log_file_deinit(&tail->old[i], reader);
    }
    otr_free(tail->old);
    otr_log_formats_unref(tail->formats);
    otr_root_free(tail->root);
    otr_free(tail->path);
    *tail = (otr_log_tail){ 0 };
    otr_log_file_init(&tail->file);
}

size_t otr_log_tail_open(const otr_log_tail *tail)
{
    size_t n = (size_t)(tail->file.fd >= 0) + (tail->beside != NULL ? tail->beside->n : 0);
    for (size_t i = 0; i < tail->n_old; i++) {
        n += tail->old[i].fd >= 0;
    }
    return n;
}

/* ---- what is said ---- */

OTR_PRINTF(3, 4) static void note(otr_log_tail *t, const otr_log_reader *reader, const char *format,
                                  ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(t->note, sizeof(t->note), format, args);
    va_end(args);
    t->noted_ns = reader->now_ns;
}

static double seconds_since_look(const otr_log_tail *t, const otr_log_reader *reader)
{
    return reader->wall_ns > t->looked_ns
               ? (double)(reader->wall_ns - t->looked_ns) / (double)OTR_NS_PER_S
               : 0;
}

static void tell(otr_log_tail *t, const otr_err *err)
{
    (void)snprintf(t->problem, sizeof(t->problem), "%.*s", (int)sizeof(t->problem) - 1, err->msg);
}

/* ---- truncation ---- */

static bool is_ours(const void *arg, const struct stat *st)
{
    const otr_log_tail *t = arg;
    bool ours = otr_log_file_is(&t->file, st);
    for (size_t i = 0; i < t->n_old; i++) {
        ours |= otr_log_file_is(&t->old[i], st);
    }
    return ours;
}

static otr_log_place place_of(const otr_log_tail *t)
{
    return (otr_log_place){
        .root = t->root, .path = t->path, .looked_ns = t->looked_ns, .known = is_ours, .arg = t
    };
}

static bool have_beside(otr_log_tail *t, const otr_log_reader *reader)
{
    if (t->beside == NULL) {
        t->beside = otr_zalloc(sizeof(*t->beside));
    }
    if (t->beside != NULL) {
        t->beside->used_ns = reader->now_ns;
    }
    return t->beside != NULL;
}

/* Those that nobody asked for in all that time. */
static void drop_oldest(otr_log_tail *t, otr_log_reader *reader)
{
    while (t->beside->n > 0 &&
           reader->now_ns - t->beside->held[0].file.grown_ns >= COPY_S * OTR_NS_PER_S) {
        otr_log_beside_drop(t->beside, 0, reader);
    }
    if (t->beside->n == 0 && reader->now_ns - t->beside->used_ns >= COPY_S * OTR_NS_PER_S) {
        otr_log_beside_free(t->beside, reader);
        t->beside = NULL;
    }
}

void otr_log_tail_hold(otr_log_tail *tail, const char *name, otr_log_reader *reader)
{
    char *path = otr_log_path_beside(tail->path, name);
    if (path != NULL && have_beside(tail, reader)) {
        otr_log_place place = place_of(tail);
        otr_log_beside_hold(tail->beside, &place, path, reader);
    }
    otr_free(path);
}

/* It was rotated, or perhaps: before the file at the path is read, what is beside it is held, so
 * that none of that is a copy of lines which are only written then. */
static void find_beside(otr_log_tail *t, otr_log_rotation rotation, otr_log_reader *reader)
{
    if (t->looked_ns != 0 && have_beside(t, reader)) {
        t->rotation = rotation > t->rotation ? rotation : t->rotation;
        otr_log_place place = place_of(t);
        otr_log_beside_find(t->beside, &place, reader);
    }
}

/* A copy that is held, if it holds what we read; else one that is found. -1: none. */
static int copy_of(otr_log_tail *t, const otr_log_file *file, otr_log_reader *reader)
{
    int fd = t->beside != NULL ? otr_log_beside_take_copy(t->beside, file, reader) : -1;
    if (fd < 0) {
        fd = otr_log_find_copy(reader, t->root, t->path, file);
        if (fd >= 0 && t->beside != NULL) {
            otr_log_beside_done(t->beside, fd);
        }
    }
    return fd;
}

/* The lines between our place and the truncation are in the copy, if one was made. */
static void read_copy(otr_log_tail *t, otr_log_file *file, otr_log_reader *reader)
{
    otr_log_file copy = *file; /* with our place and the mark of it */
    copy.path = NULL;
    copy.fd = copy_of(t, file, reader);
    if (copy.fd < 0) {
        note(t, reader, "was truncated %s: lines written in the %.1f s before that are not counted",
             file->n_mark > 0 ? "and no copy of it was found" : "before any line was read",
             seconds_since_look(t, reader));
        return;
    }
    reader->open++;
    file->line = NULL;
    if (otr_log_file_read(&copy, t->formats, &t->counts, reader) != OTR_LOG_END_REACHED) {
        note(t, reader,
             "was truncated, and its copy could not be read to its end: lines are "
             "missing");
    }
    otr_log_file_deinit(&copy, reader);
}

static void read_file(otr_log_tail *t, otr_log_file *file, otr_log_reader *reader)
{
    /* Should it be truncated each time that we are about to read, the next look goes on. */
    for (int i = 0; i < TRUNCATIONS; i++) {
        if (otr_log_file_read(file, t->formats, &t->counts, reader) != OTR_LOG_END_TRUNCATED) {
            return;
        }
        if (file == &t->file) {
            t->rotations++;
            find_beside(t, OTR_LOG_ROTATION_TRUNCATED, reader);
        }
        read_copy(t, file, reader);
        if (t->beside != NULL) {
            otr_log_beside_drop_copies(t->beside, file, reader);
        }
        otr_log_file_restart(file);
    }
}

/* ---- renamed files ---- */

static void drop_old(otr_log_tail *t, size_t i, otr_log_reader *reader)
{
    otr_log_file_deinit(&t->old[i], reader);
    t->n_old--;
    memmove(&t->old[i], &t->old[i + 1], (t->n_old - i) * sizeof(t->old[0]));
}

static bool have_old(otr_log_tail *t)
{
    if (t->old == NULL) {
        t->old = otr_calloc(OTR_LIMIT_NGINX_LOG_OLD, sizeof(*t->old));
    }
    return t->old != NULL;
}

/* After have_old(). `file` is given away. */
static void add_old(otr_log_tail *t, const otr_log_file *file, otr_log_reader *reader)
{
    if (t->n_old == OTR_LIMIT_NGINX_LOG_OLD) {
        note(t, reader, "was rotated %d times while NGINX wrote to each file: the oldest is left",
             OTR_LIMIT_NGINX_LOG_OLD);
        drop_old(t, 0, reader);
    }
    t->old[t->n_old] = *file;
    t->old[t->n_old++].grown_ns = reader->now_ns;
}

/* The file is no longer at the path: it goes to the old ones. False: cannot be done now. */
static bool retire(otr_log_tail *t, otr_log_reader *reader)
{
    if (t->file.ino == 0) {
        return true;
    }
    if (!have_old(t)) {
        return false;
    }
    bool sure = false;
    char *moved = otr_log_find_moved(reader, t->root, t->path, &t->file, &sure);
    if (moved == NULL && (reader->exhausted || (!sure && t->file.fd < 0))) {
        return false;
    }
    t->rotations++;
    otr_free(t->file.path);
    t->file.path = moved;
    if (t->file.fd < 0 && t->file.path == NULL) {
        note(t, reader,
             "was moved out of its folder while it was not open: lines written in the %.1f s "
             "before that may be missing",
             seconds_since_look(t, reader));
        otr_log_file_deinit(&t->file, reader);
        return true;
    }
    add_old(t, &t->file, reader);
    otr_log_file_init(&t->file);
    return true;
}

typedef enum place { PLACE_KNOWN, PLACE_NONE, PLACE_LATER } place;

/* Where an old file is when it is not open. */
static place find_old(otr_log_tail *t, otr_log_file *old, struct stat *st, otr_log_reader *reader)
{
    if (old->fd >= 0) {
        return fstat(old->fd, st) == 0 ? PLACE_KNOWN : PLACE_LATER;
    }
    if (old->path != NULL && otr_log_stat_path(t->root, old->path, st) == 0 &&
        otr_log_file_is(old, st)) {
        return PLACE_KNOWN;
    }
    bool sure = false;
    otr_free(old->path);
    old->path = otr_log_find_moved(reader, t->root, t->path, old, &sure);
    if (old->path == NULL) {
        return sure && !reader->exhausted ? PLACE_NONE : PLACE_LATER;
    }
    return otr_log_stat_path(t->root, old->path, st) == 0 ? PLACE_KNOWN : PLACE_LATER;
}

/* Where it is not known who writes, NGINX has reopened when the new file is the one that grows. */
static bool is_done(const otr_log_tail *t, const otr_log_file *old, const otr_log_reader *reader,
                    otr_log_writers writers)
{
    bool quiet = reader->now_ns - old->grown_ns >= OTR_LOG_GRACE_S * OTR_NS_PER_S;
    return writers == OTR_LOG_WRITERS_NONE ||
           (writers == OTR_LOG_WRITERS_UNKNOWN && quiet && t->file.size > 0);
}

/* True when it is done with. */
static bool read_old(otr_log_tail *t, otr_log_file *old, otr_log_reader *reader)
{
    struct stat st;
    otr_err err;
    place where = find_old(t, old, &st, reader);
    if (where == PLACE_NONE) {
        note(t, reader,
             "was renamed and then deleted while it was not open: its last lines may be "
             "missing");
        return true;
    }
    if (where == PLACE_LATER || otr_log_file_open(old, t->root, reader, &err) != OTR_OK) {
        return false; /* no descriptor now, or moved again this moment */
    }
    otr_log_writers writers = otr_log_file_writers(old); /* before the last read */
    if (!otr_log_file_is_quiet(old, &st) || writers == OTR_LOG_WRITERS_NONE) {
        read_file(t, old, reader);
    }
    bool done = is_done(t, old, reader, writers) && old->changed_ns != 0;
    if (!done && old->path != NULL) {
        otr_log_file_rest(old, reader);
    }
    return done;
}

static void read_olds(otr_log_tail *t, otr_log_reader *reader)
{
    for (size_t i = 0; i < t->n_old && !reader->stop(reader->arg);) {
        if (read_old(t, &t->old[i], reader)) {
            if (t->beside != NULL && t->old[i].fd >= 0) {
                otr_log_beside_done(t->beside, t->old[i].fd);
            }
            drop_old(t, i, reader);
        } else {
            i++;
        }
    }
}

/* ---- the file at the path ---- */

/* Was all of it written before our last look? Then none of it is new, whoever put it there. */
static bool is_old_text(const otr_log_tail *t, const struct stat *st, const otr_log_reader *reader)
{
    return reader->wall_ns >= t->looked_ns && otr_log_was_written_before(st, t->looked_ns);
}

/* True when it was there before our last look, under another name. */
static bool is_old_file(const otr_log_tail *t, int fd, const otr_log_reader *reader)
{
    uint64_t born_ns = otr_log_born_ns(fd);
    return born_ns != 0 && reader->wall_ns >= t->looked_ns &&
           born_ns + OTR_LOG_TICK_NS < t->looked_ns;
}

static uint64_t start_of(otr_log_tail *t, int fd, const struct stat *st,
                         const otr_log_reader *reader)
{
    uint64_t size = (uint64_t)st->st_size;
    if (t->looked_ns == 0 || is_old_text(t, st, reader)) {
        return size;
    }
    if (size > 0 && is_old_file(t, fd, reader)) {
        note(t, reader,
             "is another file now, which was there before: its first %llu bytes are not counted",
             (unsigned long long)size);
        return size;
    }
    return 0;
}

/* A file that was renamed and is back. */
static bool revive(otr_log_tail *t, const struct stat *st)
{
    for (size_t i = 0; i < t->n_old; i++) {
        if (otr_log_file_is(&t->old[i], st)) {
            t->file = t->old[i];
            t->n_old--;
            memmove(&t->old[i], &t->old[i + 1], (t->n_old - i) * sizeof(t->old[0]));
            return true;
        }
    }
    return false;
}

static bool keep_path(otr_log_tail *t)
{
    otr_free(t->file.path);
    t->file.path = otr_strdup(t->path);
    return t->file.path != NULL;
}

/* Takes the file that is at the path now. */
static void adopt(otr_log_tail *t, const struct stat *st, otr_log_reader *reader)
{
    if (revive(t, st)) {
        (void)keep_path(t);
        return;
    }
    int fd = -1;
    struct stat opened;
    otr_err err;
    if (otr_root_open_file(t->root, t->path, &fd, &opened, &err) != OTR_OK) {
        bool ours = err.sys == EMFILE || err.sys == ENFILE;
        reader->exhausted |= ours;
        if (!ours) {
            tell(t, &err);
        }
        if (t->looked_ns == 0 && S_ISREG(st->st_mode) && err.code != OTR_EINVAL) {
            /* What is written from now on is counted once it can be read. */
            otr_log_file_take(&t->file, -1, st, (uint64_t)st->st_size, reader);
            (void)keep_path(t);
        }
        return;
    }
    otr_log_file_take(&t->file, fd, &opened, start_of(t, fd, &opened, reader), reader);
    if (!keep_path(t)) {
        otr_log_file_deinit(&t->file, reader); /* no memory: the next look begins anew */
    }
}

/* What is wrong when nothing is at the path, after some time in which a rotation may do that. */
static void tell_missing(otr_log_tail *t, int sys, otr_log_reader *reader)
{
    if (t->missing_ns == 0) {
        t->missing_ns = reader->now_ns;
    }
    if (t->n_old > 0 && reader->now_ns - t->missing_ns < OTR_LOG_MISSING_S * OTR_NS_PER_S) {
        return;
    }
    otr_err err;
    (void)otr_fail_sys(&err, sys, "cannot be found");
    if (t->n_old > 0) {
        (void)otr_fail(&err, OTR_ENOTFOUND,
                       "was renamed or deleted, and NGINX still writes to the old file, which is "
                       "read as long as it is open: make NGINX reopen its logs (USR1)");
    }
    tell(t, &err);
}

static void read_new(otr_log_tail *t, const struct stat *st, otr_log_reader *reader)
{
    otr_err err;
    t->file.gone_ns = 0;
    bool quiet = otr_log_file_is_quiet(&t->file, st);
    if (!quiet && t->file.offset == 0 && t->rotation == OTR_LOG_ROTATION_NONE) {
        find_beside(t, OTR_LOG_ROTATION_PERHAPS, reader);
    }
    if (quiet) {
        t->looked_ns = reader->wall_ns;
    } else if (otr_log_file_open(&t->file, t->root, reader, &err) == OTR_OK) {
        read_file(t, &t->file, reader);
        t->looked_ns = reader->wall_ns;
    } else if (err.code != OTR_ESTATE && !reader->exhausted) {
        tell(t, &err);
    }
    otr_log_file_rest(&t->file, reader);
}

static void look(otr_log_tail *t, otr_log_reader *reader)
{
    struct stat st;
    int sys = otr_log_stat_path(t->root, t->path, &st);
    if (sys == ENOENT || sys == ENOTDIR) {
        bool was_there = t->file.ino != 0;
        if (retire(t, reader)) {
            if (was_there) {
                find_beside(t, OTR_LOG_ROTATION_RENAMED, reader);
            }
            tell_missing(t, sys, reader);
            t->looked_ns = reader->wall_ns;
        }
        return;
    }
    if (sys != 0) {
        otr_err err;
        reader->exhausted |= sys == EMFILE || sys == ENFILE;
        (void)otr_fail_sys(&err, sys, "cannot be looked at");
        if (!reader->exhausted) {
            tell(t, &err);
        }
        if (t->file.fd >= 0) { /* it may be there all the time */
            read_file(t, &t->file, reader);
        }
        return;
    }
    t->missing_ns = 0;
    if (!otr_log_file_is(&t->file, &st) && retire(t, reader)) {
        find_beside(t, OTR_LOG_ROTATION_RENAMED, reader);
        adopt(t, &st, reader);
    }
    if (otr_log_file_is(&t->file, &st)) {
        read_new(t, &st, reader);
    }
}

/* ---- what came and went between two looks ---- */

/* The file of each rotation may be compressed already; one more was never seen. */
static void tell_unread(otr_log_tail *t, const otr_log_reader *reader)
{
    if (t->beside->left > 0 || t->beside->packed > t->rotations + t->rotations_before) {
        note(t, reader,
             "was rotated more often than it was looked at: not all lines in between are "
             "counted");
    }
    t->beside->left = t->beside->packed = 0;
}

/* What the log held in between goes to the old files, which are read from their start. */
static void catch_up(otr_log_tail *t, otr_log_reader *reader)
{
    const otr_log_known known = { t->rotation, &t->file, t->old, t->n_old };
    for (size_t i = 0; i < t->beside->n;) {
        otr_log_verdict v = otr_log_beside_judge(&t->beside->held[i], &known);
        if (v == OTR_LOG_VERDICT_MISSED && have_old(t)) {
            otr_log_file file = otr_log_beside_take(t->beside, i, reader);
            add_old(t, &file, reader);
        } else if (v == OTR_LOG_VERDICT_DROP) {
            otr_log_beside_done(t->beside, t->beside->held[i].file.fd);
            otr_log_beside_drop(t->beside, i, reader);
        } else {
            i++;
        }
        if (v == OTR_LOG_VERDICT_DOUBT) {
            note(t, reader,
                 "was perhaps rotated more often than it was looked at: where no file "
                 "tells when it was made, lines may be missing");
        }
    }
    tell_unread(t, reader);
}

void otr_log_tail_read(otr_log_tail *tail, otr_log_reader *reader)
{
    tail->problem[0] = '\0';
    tail->rotation = OTR_LOG_ROTATION_NONE;
    tail->rotations_before = tail->rotations;
    tail->rotations = 0;
    if (tail->beside != NULL) {
        otr_log_beside_refresh(tail->beside);
    }
    bool exhausted = reader->exhausted;
    reader->exhausted = false;
    look(tail, reader);
    if (tail->beside != NULL) {
        catch_up(tail, reader);
    }
    read_olds(tail, reader);
    if (tail->beside != NULL) {
        drop_oldest(tail, reader);
    }
    tail->readable = tail->problem[0] == '\0' || tail->n_old > 0 || tail->file.fd >= 0;
    reader->exhausted |= exhausted;
    if (tail->noted_ns != 0 && reader->now_ns - tail->noted_ns >= OTR_LOG_NOTE_S * OTR_NS_PER_S) {
        tail->noted_ns = 0;
        tail->note[0] = '\0';
    }
}
