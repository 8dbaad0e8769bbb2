#include "nginx/log/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fds.h"
#include "base/limits.h"

int otr_log_stat_path(const otr_root *root, const char *path, struct stat *ret)
{
    if (root->path[0] == '\0') { /* the common case, and for quiet logs all that is done */
        return stat(path, ret) == 0 ? 0 : errno;
    }
    int fd;
    otr_err err;
    if (otr_root_open(root, path, O_PATH, &fd, &err) != OTR_OK) {
        return err.sys != 0 ? err.sys : EIO;
    }
    int sys = fstat(fd, ret) == 0 ? 0 : errno;
    close(fd);
    return sys;
}

uint64_t otr_log_born_ns(int fd)
{
    struct statx sx;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &sx) != 0 || (sx.stx_mask & STATX_BTIME) == 0) {
        return 0;
    }
    return (uint64_t)sx.stx_btime.tv_sec * OTR_NS_PER_S + (uint64_t)sx.stx_btime.tv_nsec;
}

static uint64_t changed_ns(const struct stat *st)
{
    return (uint64_t)st->st_mtim.tv_sec * OTR_NS_PER_S + (uint64_t)st->st_mtim.tv_nsec;
}

bool otr_log_was_written_before(const struct stat *st, uint64_t looked_ns)
{
    return changed_ns(st) + (st->st_mtim.tv_nsec == 0 ? OTR_LOG_COARSE_TICK_NS : OTR_LOG_TICK_NS) <
           looked_ns;
}

size_t otr_log_descriptors_most(void)
{
    struct rlimit limit;
    rlim_t have = getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
    rlim_t share =
        have > OTR_LIMIT_NGINX_LOG_RESERVE ? (have - OTR_LIMIT_NGINX_LOG_RESERVE) / 2 : 8;
    return share < OTR_LIMIT_NGINX_LOG_OPEN ? (size_t)share : OTR_LIMIT_NGINX_LOG_OPEN;
}

/* ---- one file ---- */

void otr_log_file_init(otr_log_file *file)
{
    *file = (otr_log_file){ .fd = -1 };
}

void otr_log_file_shut(otr_log_file *file, otr_log_reader *reader)
{
    if (file->fd >= 0) {
        close(file->fd);
        file->fd = -1;
        if (reader != NULL && reader->open > 0) {
            reader->open--;
        }
    }
}

void otr_log_file_rest(otr_log_file *file, otr_log_reader *reader)
{
    if (reader->open > reader->most) {
        otr_log_file_shut(file, reader);
    }
}

void otr_log_file_deinit(otr_log_file *file, otr_log_reader *reader)
{
    otr_log_file_shut(file, reader);
    otr_log_line_free(file->line);
    otr_free(file->path);
    otr_log_file_init(file);
}

bool otr_log_file_is(const otr_log_file *file, const struct stat *st)
{
    return file->ino != 0 && file->dev == st->st_dev && file->ino == st->st_ino;
}

static void remember_mark(otr_log_file *file)
{
    size_t n = file->offset < OTR_LOG_MARK_BYTES ? (size_t)file->offset : OTR_LOG_MARK_BYTES;
    file->n_mark = pread(file->fd, file->mark, n, (off_t)(file->offset - n)) == (ssize_t)n ? n : 0;
}

/* `done` was read and is done with. The mark is made of what was read: the file may be truncated by
 * now. */
static void move_mark(otr_log_file *file, otr_bytes done)
{
    size_t n = done.n < OTR_LOG_MARK_BYTES ? done.n : OTR_LOG_MARK_BYTES;
    size_t kept = file->n_mark < OTR_LOG_MARK_BYTES - n ? file->n_mark : OTR_LOG_MARK_BYTES - n;
    memmove(file->mark, file->mark + file->n_mark - kept, kept);
    memcpy(file->mark + kept, done.p + done.n - n, n);
    file->n_mark = kept + n;
    if (file->n_head == file->offset) {
        n = done.n < OTR_LOG_MARK_BYTES - file->n_head ? done.n : OTR_LOG_MARK_BYTES - file->n_head;
        memcpy(file->head + file->n_head, done.p, n);
        file->n_head += n;
    }
    file->offset += done.n;
}

void otr_log_file_read_head(otr_log_file *file)
{
    ssize_t n = pread(file->fd, file->head, sizeof(file->head), 0);
    file->n_head = n > 0 ? (size_t)n : 0;
}

bool otr_log_file_is_kin(const otr_log_file *file, const struct stat *st)
{
    return st->st_uid == 0 || st->st_uid == file->uid;
}

bool otr_log_file_begins_as(const otr_log_file *file, const otr_log_file *other)
{
    size_t n = file->n_head < other->n_head ? file->n_head : other->n_head;
    return n > 0 && memcmp(file->head, other->head, n) == 0;
}

/* Nothing of the file was read yet: does it go on in the middle of a line? */
static void begin_at(otr_log_file *file)
{
    remember_mark(file);
    if (file->offset > 0) {
        otr_log_file_read_head(file);
    }
    file->skipping = file->n_mark > 0 && file->mark[file->n_mark - 1] != '\n';
}

void otr_log_file_take(otr_log_file *file, int fd, const struct stat *st, uint64_t offset,
                       otr_log_reader *reader)
{
    otr_log_file_shut(file, reader);
    otr_log_line_free(file->line);
    file->line = NULL;
    file->fd = fd;
    reader->open += fd >= 0;
    file->dev = st->st_dev;
    file->ino = st->st_ino;
    file->uid = st->st_uid;
    file->offset = offset;
    file->size = offset;
    file->changed_ns = fd >= 0 ? changed_ns(st) : 0;
    file->grown_ns = reader->now_ns;
    file->n_mark = file->n_head = 0;
    file->skipping = false;
    if (fd >= 0) {
        begin_at(file);
    }
}

bool otr_log_file_is_quiet(const otr_log_file *file, const struct stat *st)
{
    return (uint64_t)st->st_size == file->size && changed_ns(st) == file->changed_ns;
}

otr_code otr_log_file_open(otr_log_file *file, const otr_root *root, otr_log_reader *reader,
                           otr_err *err)
{
    if (file->fd >= 0) {
        return OTR_OK;
    }
    int fd;
    struct stat st;
    if (file->path == NULL) {
        return otr_fail(err, OTR_ENOTFOUND, "is not where it was");
    }
    otr_code rc = otr_root_open_file(root, file->path, &fd, &st, err);
    if (rc != OTR_OK) {
        reader->exhausted |= err->sys == EMFILE || err->sys == ENFILE;
        return rc;
    }
    if (!otr_log_file_is(file, &st)) {
        close(fd);
        return otr_fail(err, OTR_ESTATE, "is another file now");
    }
    if (otr_fds_claim(fd, OTR_FDS_MANY) < 0) {
        reader->exhausted = true;
        return otr_fail_sys(err, EMFILE, "no descriptor is left for it");
    }
    file->fd = fd;
    reader->open++;
    if (file->offset > 0 && file->n_mark == 0) {
        begin_at(file);
    }
    return OTR_OK;
}

bool otr_log_file_matches(const otr_log_file *file, int fd)
{
    uint8_t bytes[OTR_LOG_MARK_BYTES];
    return file->n_mark > 0 &&
           pread(fd, bytes, file->n_mark, (off_t)(file->offset - file->n_mark)) ==
               (ssize_t)file->n_mark &&
           memcmp(bytes, file->mark, file->n_mark) == 0;
}

/* Of an open file: is it shorter than it was, or another text than the one that was read? */
static bool was_truncated(const otr_log_file *file)
{
    struct stat st;
    if (fstat(file->fd, &st) != 0) {
        return false;
    }
    return (uint64_t)st.st_size < file->offset ||
           (file->n_mark > 0 && !otr_log_file_matches(file, file->fd));
}

void otr_log_file_restart(otr_log_file *file)
{
    otr_log_line_free(file->line);
    file->line = NULL;
    file->offset = 0;
    file->size = file->changed_ns = 0;
    file->n_mark = file->n_head = 0;
    file->skipping = false;
}

/* ---- reading ---- */

/* What of `data` belongs to a line that is under way; `*ret` false: no memory for it. */
static size_t take_line(otr_log_file *file, otr_bytes data, otr_log_counts *counts)
{
    const uint8_t *eol = memchr(data.p, '\n', data.n);
    size_t n = eol != NULL ? (size_t)(eol - data.p) : data.n;
    if (file->line != NULL) {
        otr_log_line_feed(file->line, (otr_bytes){ data.p, n });
    }
    if (eol == NULL) {
        return n;
    }
    if (file->line != NULL) {
        otr_log_line_end(file->line, counts);
        otr_log_line_free(file->line);
        file->line = NULL;
    }
    file->skipping = false;
    return n + 1;
}

/* Counts what the buffer holds; returns how many bytes of it are done with. */
static size_t take(otr_log_file *file, otr_log_formats *formats, otr_bytes data,
                   otr_log_counts *counts)
{
    size_t done = 0;
    if (file->skipping || file->line != NULL) {
        done = take_line(file, data, counts);
    }
    done += otr_log_formats_scan(formats, (otr_bytes){ data.p + done, data.n - done }, counts);
    if (done == 0 && data.n == OTR_LOG_BUFFER_BYTES &&
        otr_log_line_new(formats, &file->line, NULL) == OTR_OK) {
        otr_log_line_feed(file->line, data);
        done = data.n;
    }
    return done;
}

otr_log_end otr_log_file_read(otr_log_file *file, otr_log_formats *formats, otr_log_counts *counts,
                              otr_log_reader *reader)
{
    struct stat st;
    if (fstat(file->fd, &st) != 0) {
        return OTR_LOG_END_STOPPED;
    }
    otr_log_end end = OTR_LOG_END_REACHED;
    for (;;) {
        ssize_t n = pread(file->fd, reader->buffer, OTR_LOG_BUFFER_BYTES, (off_t)file->offset);
        if (n < 0) {
            end = OTR_LOG_END_STOPPED;
            break;
        }
        /* After reading: it is truncated at any moment, and then these are not the next bytes. */
        if (was_truncated(file)) {
            return OTR_LOG_END_TRUNCATED;
        }
        otr_bytes data = { reader->buffer, (size_t)n };
        data.n = n > 0 ? take(file, formats, data, counts) : 0;
        move_mark(file, data);
        if (n < OTR_LOG_BUFFER_BYTES) {
            break;
        }
        if (data.n == 0 || reader->stop(reader->arg)) {
            end = OTR_LOG_END_STOPPED;
            break;
        }
    }
    if ((uint64_t)st.st_size != file->size) {
        file->grown_ns = reader->now_ns;
    }
    file->uid = st.st_uid;
    file->size = (uint64_t)st.st_size;
    file->changed_ns = end == OTR_LOG_END_STOPPED ? 0 : changed_ns(&st); /* 0: look again */
    return end;
}

otr_log_writers otr_log_file_writers(const otr_log_file *file)
{
    /* A read lease is not given while the file is open for writing. Should somebody open it in the
     * moment in which we have the lease, the signal must be one that is ignored. */
    if (fcntl(file->fd, F_SETSIG, SIGURG) != 0) {
        return OTR_LOG_WRITERS_UNKNOWN;
    }
    if (fcntl(file->fd, F_SETLEASE, F_RDLCK) != 0) {
        return errno == EAGAIN ? OTR_LOG_WRITERS_SOME : OTR_LOG_WRITERS_UNKNOWN;
    }
    (void)fcntl(file->fd, F_SETLEASE, F_UNLCK);
    return OTR_LOG_WRITERS_NONE;
}
