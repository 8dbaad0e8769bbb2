/*
 * Private to src/nginx/drift: who changes files.
 *
 * Where the kernel lets us (root, fanotify with names), it names the process of each change in a
 * folder that is watched. A process may have ended before it could be asked for its name. Elsewhere
 * the processes that have a file open are looked for, once for each burst; one that wrote it and
 * closed it stays unknown.
 *
 * Thread: loop, except otr_writers_mark() and otr_writers_ask() (any).
 */
#ifndef OTR_NGINX_DRIFT_WRITERS_H
#define OTR_NGINX_DRIFT_WRITERS_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "loop/loop.h"
#include "nginx/drift/state.h"

enum { OTR_HANDLE_BYTES = 128 };

typedef struct otr_folder_key { /* as fanotify names a folder; n == 0: not known */
    int fsid[2];
    int type;
    unsigned n;
    uint8_t bytes[OTR_HANDLE_BYTES];
} otr_folder_key;

typedef struct otr_writers otr_writers;

otr_code otr_writers_new(otr_loop *loop, const char *proc_root, otr_writers **ret, otr_err *err)
    OTR_MUST_CHECK;
void otr_writers_free(otr_writers *w);
/* Does the kernel name processes? */
bool otr_writers_told(const otr_writers *w);

/* Asks to be told of changes in the folder that `fd` is open on. Any thread. */
void otr_writers_mark(const otr_writers *w, int fd, otr_folder_key *ret);
/* Reads what the kernel has told so far. */
void otr_writers_catch_up(otr_writers *w);
/* Who changed `name` in the folder last, after wall time `since_ns`; false: not known. */
bool otr_writers_find(const otr_writers *w, const otr_folder_key *key, const char *name,
                      uint64_t since_ns, otr_drift_writer *ret);

/* No folder is told of any more: marks of those that nobody needs cannot be taken away singly. */
void otr_writers_unmark_all(const otr_writers *w);

/* What the kernel says of a process, for people. Any thread. */
void otr_writers_ask(const char *proc_root, pid_t pid, otr_drift_writer *ret);

#endif
