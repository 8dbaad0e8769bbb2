/*
 * One output of the log: a bounded ring of lines and a thread that writes them.
 *
 * Who logs never waits for who reads: a full pipe, a paused terminal, a hung disk hold up this
 * thread alone. Non-blocking writes would not do: O_NONBLOCK belongs to the open file that others
 * share with us, and the word of poll() is void when others write there, too. A line that finds no
 * room, or that the system refuses, is counted, and the output says so once it takes lines again.
 * Before the thread is started, lines are written at once by who logs them.
 *
 * Thread: any.
 */
#ifndef OTR_BASE_LOG_WRITER_H
#define OTR_BASE_LOG_WRITER_H

#include <pthread.h>
#include <stdbool.h>

#include "base/base.h"
#include "base/limits.h"

typedef struct otr_log_writer {
    pthread_mutex_t lock;
    pthread_cond_t work; /* there are lines, another file, or the end */
    pthread_cond_t rest; /* the thread has nothing to write */
    pthread_t thread;
    bool running;
    bool ending;
    bool writing;      /* outside of the lock */
    bool told_vain;    /* the note about lost lines could not be written: wait for more lines */
    bool inside;       /* the last byte written ended no line */
    bool torn;         /* the rest of a line is lost: a line feed is owed */
    bool changed;      /* `next_fd` is to be used from now on */
    int fd, next_fd;   /* -1: none, lines are dropped without a word */
    int sys;           /* errno of the last refusal, 0 since a success */
    uint64_t since_ns; /* when the write under way began */
    uint64_t lost;     /* lines, since the start */
    uint64_t told;     /* of them, noted in the output */
    size_t head, n;    /* of `ring` */
    char *ring;        /* OTR_LIMIT_LOG_BYTES, static: a thread left behind may be in it */
} otr_log_writer;

#define OTR_LOG_WRITER(file, bytes)      \
    { .lock = PTHREAD_MUTEX_INITIALIZER, \
      .work = PTHREAD_COND_INITIALIZER,  \
      .rest = PTHREAD_COND_INITIALIZER,  \
      .fd = (file),                      \
      .next_fd = -1,                     \
      .ring = (bytes) }

/* From now on a thread writes. Without one (it could not be made) all stays as it was. */
void otr_log_writer_start(otr_log_writer *w);
/* Gives the thread `patience_ms` for what waits, then leaves it behind. */
void otr_log_writer_stop(otr_log_writer *w, unsigned patience_ms);
/* Owns `fd`, and closes the one before, if that is above standard error. */
void otr_log_writer_use(otr_log_writer *w, int fd);
bool otr_log_writer_has_file(otr_log_writer *w);
void otr_log_writer_put(otr_log_writer *w, const char *line, size_t n);

typedef struct otr_log_health {
    uint64_t lost;     /* lines, since the start */
    uint64_t stuck_ns; /* how long the write under way has been waiting; 0: none is */
    int sys;           /* why the last line was refused; 0: it was not */
} otr_log_health;

void otr_log_writer_health(otr_log_writer *w, otr_log_health *ret);

#endif
