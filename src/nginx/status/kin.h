/*
 * Which processes belong to an NGINX: its master, the masters it is being exchanged with, and the
 * workers of each. Private to src/nginx/status.
 *
 * Thread: any; calls block for as long as /proc takes.
 */
#ifndef OTR_NGINX_STATUS_KIN_H
#define OTR_NGINX_STATUS_KIN_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/base.h"

typedef struct otr_master_id { /* names one process */
    pid_t pid;                 /* 0: none */
    uint64_t started_ticks;    /* since boot */
} otr_master_id;

enum { OTR_KIN_MASTERS = 4 };

/* Is it still that process? */
bool otr_kin_lives(const otr_master_id *master);
/* `master` and those that an upgrade runs beside it and that have workers: its child, its parent.
 * None when it is gone. */
size_t otr_kin_masters(const otr_master_id *master, otr_master_id out[OTR_KIN_MASTERS]);

typedef enum otr_holds {
    OTR_HOLDS,
    OTR_HOLDS_NOT,
    OTR_HOLDS_UNKNOWN, /* not all descriptors could be seen */
} otr_holds;

/* Does the master or a child of it have the socket with this inode open? */
otr_holds otr_kin_holds(const otr_master_id *master, uint64_t inode);

#endif
