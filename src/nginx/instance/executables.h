/*
 * Private to discovery: the executables of this host's processes, each looked into once.
 *
 * Whether a process is an NGINX is decided by the content of its executable, never by its name or
 * title. An entry is kept while some process uses its file.
 *
 * Thread: one at a time; calls block.
 */
#ifndef OTR_NGINX_INSTANCE_EXECUTABLES_H
#define OTR_NGINX_INSTANCE_EXECUTABLES_H

#include <stdbool.h>
#include <sys/types.h>

#include "nginx/instance/binary.h"
#include "nginx/proc.h"

typedef enum otr_program {
    OTR_PROGRAM_UNKNOWN, /* cannot be read */
    OTR_PROGRAM_LATER,   /* not looked into yet: this scan has read enough */
    OTR_PROGRAM_OTHER,
    OTR_PROGRAM_NGINX,
} otr_program;

typedef struct executable {
    otr_file_key key;
    otr_program program;
    otr_binary *binary; /* of an NGINX; else NULL */
    uint64_t used;      /* the last scan that asked for it */
} executable;

typedef struct executables {
    executable *items;
    size_t n, cap;
    uint64_t scan;       /* counts */
    uint64_t bytes_left; /* that this scan may read for processes without a claim to be NGINX */
} executables;

/* How a file may be looked into. */
typedef enum otr_look {
    OTR_LOOK_NOW,    /* at once: a process of root or ours that says it is an NGINX */
    OTR_LOOK_BUDGET, /* while this scan has bytes left, and not where a user serves the file (FUSE)
                      */
} otr_look;

void otr_executables_begin(executables *list); /* of a scan */
void otr_executables_end(executables *list);   /* forgets what no process used for long */
void otr_executables_deinit(executables *list);

/* What the file at `path` is: "/proc/<pid>/exe", or one below "/proc/<pid>/root". `key` tells which
 * file is expected there. Fails only when memory is out. */
otr_code otr_executables_look(executables *list, const char *path, const otr_file_key *key,
                              otr_look how, otr_program *ret, otr_err *err) OTR_MUST_CHECK;
/* Some process still uses it. */
void otr_executables_use(executables *list, const otr_file_key *key);
/* What was read from that file; NULL: nothing is known of it. Valid until the next scan. */
const otr_binary *otr_executables_binary(const executables *list, const otr_file_key *key);

#endif
