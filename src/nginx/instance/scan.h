/*
 * Private to discovery: what a scan carries from one process to the next.
 *
 * Thread: one at a time.
 */
#ifndef OTR_NGINX_INSTANCE_SCAN_H
#define OTR_NGINX_INSTANCE_SCAN_H

#include "nginx/instance/discovery.h"
#include "nginx/instance/executables.h"

enum { OTR_SCAN_TITLE_BYTES = 16384 };

typedef struct scan_process { /* one that is no master */
    pid_t pid;
    pid_t worker_of; /* parent, when its title is a worker's; else 0 */
    unsigned seen;   /* scans */
    bool again;      /* not decided: to be looked at in the next scan too */
    bool refused;    /* a master for which there was no room */
    bool stranger;   /* of those: as in otr_master */
} scan_process;

struct otr_discovery {
    char *proc_root;
    otr_own_place own;
    otr_file_key own_root;
    executables executables;
    otr_master *masters;
    size_t n_masters, cap_masters, n_strangers;
    scan_process *processes, *old; /* ascending by pid */
    size_t n_processes, cap_processes, n_old, cap_old;
    size_t missing;
    bool no_children_file; /* this kernel does not tell: parents are read from each worker */
    otr_discovery_stats stats;
    char title[OTR_SCAN_TITLE_BYTES];
};

/* Looks at a process that is new or due. It is a master when `*ret_found`, which the caller then
 * owns in `ret`; what is to be remembered of another one goes into `process`. */
otr_code otr_scan_look(otr_discovery *d, scan_process *process, otr_master *ret, bool *ret_found,
                       otr_err *err) OTR_MUST_CHECK;
/* Is a master of the last scan still the same one? Brings up to date what may have changed. */
bool otr_scan_refresh(otr_discovery *d, otr_master *m);
/* Lists its children. */
otr_code otr_scan_children(otr_discovery *d, otr_master *m, otr_err *err) OTR_MUST_CHECK;
/* Finds the NGINX that a process has mapped as code without having been executed as such. False:
 * there is none that may be seen. `path` is that of the file in the process's root. */
otr_code otr_scan_mapped(otr_discovery *d, pid_t pid, char *path, size_t cap, otr_file_key *ret,
                         bool *ret_found, otr_err *err) OTR_MUST_CHECK;

#endif
