/*
 * Discovery: the NGINX master processes of this host and their workers, from /proc alone.
 *
 * A scan lists the process ids and opens only what is new to it: a process that was looked at
 * several times and is no NGINX is looked at again but rarely (it may still exec one). A known
 * master costs a read of its stat and its children. A master is a process whose title says so and
 * whose executable fits: helpers that merely call themselves "nginx:" are not taken.
 *
 * Thread: one at a time; a scan blocks for some microseconds a process.
 */
#ifndef OTR_NGINX_INSTANCE_DISCOVERY_H
#define OTR_NGINX_INSTANCE_DISCOVERY_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/base.h"
#include "base/err.h"

typedef struct otr_discovery otr_discovery;

typedef struct otr_file_key { /* one executable, whatever it is called; all 0: unknown */
    uint64_t dev, ino, mtime_ns, size;
} otr_file_key;

typedef struct otr_child_entry {
    pid_t pid;
    enum { OTR_CHILD_UNKNOWN, OTR_CHILD_WORKER, OTR_CHILD_HELPER } kind;
} otr_child_entry;

typedef struct otr_master { /* strings are never NULL, "" means not given */
    pid_t pid, ppid;
    uint64_t started_ticks;
    bool zombie;       /* ended and not yet waited for */
    char *binary;      /* absolute, without " (deleted)" */
    bool replaced;     /* that path is another file by now */
    otr_file_key file; /* of the executable that runs */
    char *root;        /* as in files.h */
    char *cwd;
    char *prefix_arg, *config_arg, *error_log_arg; /* of -p, -c, -e */
    otr_child_entry *children;
    size_t n_children, cap_children;
    size_t n_workers; /* children that are workers */
} otr_master;

otr_code otr_discovery_new(const char *proc_root, otr_discovery **ret, otr_err *err) OTR_MUST_CHECK;
void otr_discovery_free(otr_discovery *d);

/* Brings the list up to date. After an error it is still valid, but may lack a process. */
otr_code otr_discovery_scan(otr_discovery *d, otr_err *err) OTR_MUST_CHECK;

/* The masters of the last scan, oldest first; valid until the next one. */
const otr_master *otr_discovery_masters(const otr_discovery *d, size_t *ret_n);

typedef struct otr_discovery_stats {
    uint64_t scans;
    uint64_t listed; /* processes seen, over all scans */
    uint64_t looked; /* of these: opened because they were new or due */
} otr_discovery_stats;
otr_discovery_stats otr_discovery_get_stats(const otr_discovery *d);

/* The arguments in a master's title: fills prefix_arg, config_arg, error_log_arg of `m` and
 * appends argv[0] to `ret_argv0`. Blanks inside arguments cannot be told from those between them:
 * a value goes on until the next word that looks like an option. */
otr_code otr_master_parse_title(const char *title, otr_master *m, char **ret_argv0, otr_err *err)
    OTR_MUST_CHECK;
void otr_master_deinit(otr_master *m);

#endif
