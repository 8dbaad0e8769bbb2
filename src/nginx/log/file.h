/*
 * One file that is read on from where it was left: private to this folder.
 *
 * A file is known by device and inode. It need not stay open: what identifies it and up to where it
 * was read is kept, with the bytes before that place, by which a file that was truncated and has
 * grown again is told, and the copy that was made of it is found.
 *
 * Thread: one at a time; calls block.
 */
#ifndef OTR_NGINX_LOG_FILE_H
#define OTR_NGINX_LOG_FILE_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/base.h"
#include "base/err.h"
#include "nginx/log/format.h"
#include "nginx/root.h"

enum { OTR_LOG_BUFFER_BYTES = 131072, OTR_LOG_MARK_BYTES = 64 };

/* Times of files tick more coarsely than the clock, on some file systems by seconds. */
#define OTR_LOG_TICK_NS        (20 * OTR_NS_PER_MS)
#define OTR_LOG_COARSE_TICK_NS (2 * OTR_NS_PER_S)

/* What a pass over all logs works with. */
typedef struct otr_log_reader {
    uint8_t *buffer; /* OTR_LOG_BUFFER_BYTES */
    bool (*stop)(const void *arg);
    const void *arg;
    uint64_t now_ns;                 /* monotonic */
    uint64_t wall_ns;                /* wall clock, as coarse as that of files */
    size_t open, most;               /* descriptors that are held, and how many may be */
    bool exhausted;                  /* there was none left for us */
    struct otr_log_listing *listing; /* see listing.h; NULL at start */
} otr_log_reader;

typedef struct otr_log_file {
    int fd;                           /* -1: opened when it is needed */
    uint64_t dev, ino;                /* ino 0: there is no file */
    uid_t uid;                        /* who owned it when last looked at */
    uint64_t offset;                  /* up to where it is done with */
    uint64_t size, changed_ns;        /* when last looked at; changed_ns is the file's own time */
    uint64_t gone_ns;                 /* monotonic: since when it is not where it was; 0: it is */
    uint64_t grown_ns;                /* monotonic: when it was last seen to grow */
    uint8_t mark[OTR_LOG_MARK_BYTES]; /* the bytes before `offset` */
    size_t n_mark;
    uint8_t
        head[OTR_LOG_MARK_BYTES]; /* its first bytes: of two files with one head one is a copy */
    size_t n_head;
    bool skipping;      /* inside a line that began before us */
    otr_log_line *line; /* inside a line that is longer than the buffer */
    char *path;         /* absolute, below the log's root: where it was last seen; owned */
} otr_log_file;

/* How many descriptors all logs together may hold. */
size_t otr_log_descriptors_most(void);
/* As stat(2), below `root`; 0 or an errno. */
int otr_log_stat_path(const otr_root *root, const char *path, struct stat *ret);

void otr_log_file_init(otr_log_file *file);
void otr_log_file_deinit(otr_log_file *file, otr_log_reader *reader); /* `reader` may be NULL */

/* Is it the file that `st` is about? */
bool otr_log_file_is(const otr_log_file *file, const struct stat *st);
/* Takes over an open file from `offset` on. */
void otr_log_file_take(otr_log_file *file, int fd, const struct stat *st, uint64_t offset,
                       otr_log_reader *reader);
/* Has `st` an owner who could write to the file as well? Else it holds none of its lines. */
bool otr_log_file_is_kin(const otr_log_file *file, const struct stat *st);
/* Do both begin with the same bytes? False when nothing is known of one of them. */
bool otr_log_file_begins_as(const otr_log_file *file, const otr_log_file *other);
/* Reads the first bytes of an open file, as many as there are now. */
void otr_log_file_read_head(otr_log_file *file);
/* When the open file was made, by the wall clock; 0: it is not told. */
uint64_t otr_log_born_ns(int fd);
/* Was all of it written before `looked_ns` (wall clock), so that none of it is new? */
bool otr_log_was_written_before(const struct stat *st, uint64_t looked_ns);
/* Has nothing been written since it was read? */
bool otr_log_file_is_quiet(const otr_log_file *file, const struct stat *st);

/* Makes sure that it is open; OTR_ESTATE when another file stands at its path now. */
otr_code otr_log_file_open(otr_log_file *file, const otr_root *root, otr_log_reader *reader,
                           otr_err *err) OTR_MUST_CHECK;
/* Closes it, unless it may stay open. */
void otr_log_file_rest(otr_log_file *file, otr_log_reader *reader);
void otr_log_file_shut(otr_log_file *file, otr_log_reader *reader);

/* Does `fd` hold the text that was read of `file`, up to the same place? */
bool otr_log_file_matches(const otr_log_file *file, int fd);
/* From its start, nothing of it known. */
void otr_log_file_restart(otr_log_file *file);
typedef enum otr_log_end {
    OTR_LOG_END_REACHED,
    OTR_LOG_END_STOPPED,  /* there may be more: look again */
    OTR_LOG_END_TRUNCATED /* it is shorter than it was, or another text than the one that was read:
                           * nothing behind `offset` was counted */
} otr_log_end;
/* Counts what is new in an open file. */
otr_log_end otr_log_file_read(otr_log_file *file, otr_log_formats *formats, otr_log_counts *counts,
                              otr_log_reader *reader);

typedef enum otr_log_writers {
    OTR_LOG_WRITERS_SOME,
    OTR_LOG_WRITERS_NONE,
    OTR_LOG_WRITERS_UNKNOWN
} otr_log_writers;
/* Does anybody hold the open file for writing? */
otr_log_writers otr_log_file_writers(const otr_log_file *file);

#endif
