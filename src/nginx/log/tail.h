/*
 * One file that others append to, rotate and truncate: private to access_log.c and its tests.
 *
 * Thread: one at a time; otr_log_tail_read() blocks.
 */
#ifndef OTR_NGINX_LOG_TAIL_H
#define OTR_NGINX_LOG_TAIL_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "nginx/log/format.h"

enum { OTR_LOG_TAIL_BYTES = 131072 }; /* of the buffer that a read works with */

typedef struct otr_log_tail {
    char *root, *path;
    otr_log_format *format;
    int fd; /* -1: no file yet */
    uint64_t dev, ino;
    uint64_t offset; /* start of the first line that is not counted yet */
    bool looked;     /* the first look is done: a file that comes later is read from its start */
    bool skipping;   /* inside a line above the ceiling, or one that began before us */
    bool uncounted;  /* the line that is skipped began before us */
    otr_log_counts counts;
} otr_log_tail;

otr_code otr_log_tail_init(otr_log_tail *tail, const char *root, const char *path,
                           const char *format, otr_err *err) OTR_MUST_CHECK;
void otr_log_tail_deinit(otr_log_tail *tail);
/* Counts what is new; `buffer` has OTR_LOG_TAIL_BYTES. `stop(arg)` true ends it early. */
void otr_log_tail_read(otr_log_tail *tail, uint8_t *buffer, bool (*stop)(const void *arg),
                       const void *arg);

#endif
