/*
 * File descriptors as a budget: the limit is raised, shared by number, and has a small reserve.
 *
 * The kernel always gives the lowest free number. So the number of a new descriptor tells how many
 * are in use, and nobody has to count: a class of users may hold the numbers below its own line
 * only. What is opened in great number (access logs) has the lowest line, what must always work
 * (admin socket, configuration, /proc) none. Running out is our own lack: say so, and never take it
 * for a fault of what was to be opened.
 *
 * Thread: any for the claims; an otr_fds, the loop's.
 */
#ifndef OTR_BASE_FDS_H
#define OTR_BASE_FDS_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"

typedef enum otr_fds_share {
    OTR_FDS_MANY, /* one of very many: access logs, files and sockets of guests */
    OTR_FDS_PAGE, /* connections of the status page */
    OTR_FDS_CORE, /* all others */
} otr_fds_share;

/* Whether a descriptor of this number may be held by the share. */
bool otr_fds_within(int fd, otr_fds_share share);
/* `fd` if its number is below the line of its share; else it is closed and -1 is returned with
 * errno EMFILE, as if it could not have been opened. A negative `fd` is passed on. */
int otr_fds_claim(int fd, otr_fds_share share);
/* True for the errno of an open() that failed for our own lack. */
bool otr_fds_lack(int sys);

typedef struct otr_fds_room {
    uint64_t limit; /* descriptors that this process may hold */
    uint64_t used;  /* about: the lowest number that is free */
    uint64_t many;  /* what OTR_FDS_MANY may hold of them */
} otr_fds_room;

void otr_fds_room_read(otr_fds_room *ret);

enum { OTR_FDS_SPARES = 4 };

typedef struct otr_fds {
    uint64_t limit_before; /* the soft limit that the process was started with: for children */
    int spare[OTR_FDS_SPARES];
    uint64_t refused; /* connections that found no descriptor, so far */
} otr_fds;

/* At the start of a process: 0, 1 and 2 are made to be open, so that no socket becomes standard
 * error; the soft limit is raised to the hard one, up to OTR_LIMIT_FDS; the spares are put aside.
 */
void otr_fds_init(otr_fds *fds);
void otr_fds_deinit(otr_fds *fds);
/* Gives up one spare, so that one descriptor can be opened; false: none is left. */
bool otr_fds_lend(otr_fds *fds);
/* Puts spares aside again, as far as there are descriptors. Cheap when none is missing. */
void otr_fds_restore(otr_fds *fds);

#endif
