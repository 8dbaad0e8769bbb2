/*
 * The files that were made beside a log lately: private to this folder.
 *
 * One may be what copytruncate copied to: it is held open, so that it can be read after it was
 * compressed. One may hold lines that were never seen, because the log was rotated twice between
 * two looks: that is one of a rotation's name, made since the last look, that is no copy of
 * anything known.
 *
 * Thread: one at a time; calls block.
 */
#ifndef OTR_NGINX_LOG_BESIDE_H
#define OTR_NGINX_LOG_BESIDE_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/base.h"
#include "base/limits.h"
#include "nginx/log/file.h"
#include "nginx/root.h"

typedef enum otr_log_age {
    OTR_LOG_AGE_OLDER,  /* or of no rotation's name */
    OTR_LOG_AGE_SINCE,  /* made since the look before the one that found it */
    OTR_LOG_AGE_UNKNOWN /* perhaps: the file system does not tell */
} otr_log_age;

typedef struct otr_log_held {
    otr_log_file file; /* open; its head is that before the log was looked at */
    uint64_t born_ns;  /* wall clock; 0: not told */
    otr_log_age age;
    bool written;  /* it was still written to when it was judged */
    bool extended; /* its name, "a-1.log" of "a.log", may also be that of another log */
} otr_log_held;

typedef struct otr_log_beside {
    otr_log_held held[OTR_LIMIT_NGINX_LOG_COPIES]; /* the youngest last */
    size_t n;
    struct {
        uint64_t dev, ino, born_ns;
    } done[2 * OTR_LIMIT_NGINX_LOG_COPIES]; /* were counted, or are not to be: never held again */
    size_t next_done;
    uint64_t used_ns; /* monotonic: the owner's */
    unsigned packed;  /* compressed ones of lines since the last look, by the last find */
    unsigned left;    /* of too many, of those made since the last look; the caller sets it to 0 */
} otr_log_beside;

/* The log and what is known of it. */
typedef struct otr_log_place {
    const otr_root *root;
    const char *path;
    uint64_t looked_ns;                                    /* wall clock of the look before */
    bool (*known)(const void *arg, const struct stat *st); /* is it read anyway? */
    const void *arg;
} otr_log_place;

void otr_log_beside_free(otr_log_beside *beside, otr_log_reader *reader); /* NULL is fine */

/* Holds the file at `path`, beside the log, unless it is known or there is no descriptor for it;
 * of too many the first made is left. */
void otr_log_beside_hold(otr_log_beside *beside, const otr_log_place *place, const char *path,
                         otr_log_reader *reader);
/* Holds those of a rotation's name that were written to since the last look. */
void otr_log_beside_find(otr_log_beside *beside, const otr_log_place *place,
                         otr_log_reader *reader);

/* At the begin of a look: what is in them by now. What comes later may be copied from what is only
 * written then. */
void otr_log_beside_refresh(otr_log_beside *beside);

/* The i-th, out of what is held: the caller's; it is never held again. */
otr_log_file otr_log_beside_take(otr_log_beside *beside, size_t i, otr_log_reader *reader);
void otr_log_beside_drop(otr_log_beside *beside, size_t i, otr_log_reader *reader);
/* Takes the youngest that holds what was read of `file`, and at least as much: the caller's
 * descriptor, which no longer counts as one of the reader's. -1: none does. */
int otr_log_beside_take_copy(otr_log_beside *beside, const otr_log_file *file,
                             otr_log_reader *reader) OTR_MUST_CHECK;
/* Drops every other one that begins as `file`, which was truncated. */
void otr_log_beside_drop_copies(otr_log_beside *beside, const otr_log_file *file,
                                otr_log_reader *reader);
typedef enum otr_log_rotation {
    OTR_LOG_ROTATION_NONE,
    OTR_LOG_ROTATION_PERHAPS, /* nothing of the file was read: its text may be another one's */
    OTR_LOG_ROTATION_TRUNCATED,
    OTR_LOG_ROTATION_RENAMED
} otr_log_rotation;

/* The log after a look. */
typedef struct otr_log_known {
    otr_log_rotation rotation; /* what the look noticed */
    const otr_log_file *present;
    const otr_log_file *old; /* renamed ones that are read on */
    size_t n_old;
} otr_log_known;

typedef enum otr_log_verdict {
    OTR_LOG_VERDICT_KEEP,
    OTR_LOG_VERDICT_DROP,
    OTR_LOG_VERDICT_DOUBT, /* to be said, once */
    OTR_LOG_VERDICT_MISSED /* it was the log between two looks: to be read from its start */
} otr_log_verdict;
otr_log_verdict otr_log_beside_judge(otr_log_held *held, const otr_log_known *log);

/* The open file `fd` was counted, or is not to be: it is never held again. */
void otr_log_beside_done(otr_log_beside *beside, int fd);

#endif
