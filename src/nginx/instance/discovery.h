/*
 * Discovery: the NGINX master processes of this host and their workers, from /proc alone.
 *
 * A scan lists the process ids and opens only what is new to it: a process that was looked at
 * several times and is no NGINX is looked at again but rarely (it may still exec one). A known
 * master costs a few reads. What a process calls itself is foreign input: a master is a process
 * whose executable is an NGINX by its content, or one that an NGINX was loaded into (ld.so); where
 * the executable may not be read, the title and the name have to do, and `exe_known` is false.
 *
 * A master that ended is gone, also while nobody waits for it: a zombie serves nobody.
 *
 * Thread: one at a time; a scan blocks for some microseconds a process.
 */
#ifndef OTR_NGINX_INSTANCE_DISCOVERY_H
#define OTR_NGINX_INSTANCE_DISCOVERY_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/base.h"
#include "base/err.h"
#include "nginx/instance/binary.h"
#include "nginx/proc.h"

typedef struct otr_discovery otr_discovery;

typedef struct otr_child_entry {
    pid_t pid;
    enum { OTR_CHILD_UNKNOWN, OTR_CHILD_WORKER, OTR_CHILD_HELPER } kind;
} otr_child_entry;

typedef struct otr_master { /* strings are never NULL, "" means not given */
    pid_t pid, ppid, session;
    uint64_t started_ticks;
    uid_t uid; /* see otr_proc_owner: a set-user-ID program's is the caller */
    gid_t gid;
    gid_t *groups;
    size_t n_groups;
    bool stranger;      /* `uid` is neither root's nor the agent's */
    bool untitled;      /* known by its executable alone: one process, or its title was cut */
    bool client;        /* its arguments are those of a command such as `nginx -t` */
    char *binary;       /* absolute, without " (deleted)" */
    bool exe_known;     /* false: `binary` is a guess */
    bool replaced;      /* that path is another file by now */
    otr_file_key file;  /* of the NGINX that runs; all 0: unknown */
    otr_file_key exe;   /* of /proc/<pid>/exe: the same, but for one started by ld.so */
    otr_file_key guess; /* where `binary` is a guess: the file of that name, which need not run */
    char *root;         /* "": our root folder and mounts, else "<proc>/<pid>/root" */
    bool root_known;    /* false: it could be any; `root` is then "<proc>/<pid>/root" */
    uint64_t root_dev, root_ino;     /* of that folder, when it is known */
    uint64_t net_ns, pid_ns, mnt_ns; /* inodes of its namespaces; 0: unknown */
    char *cwd;
    bool cwd_known;                                /* false: "/" is a guess */
    char *prefix_arg, *config_arg, *error_log_arg; /* of -p, -c, -e */
    char *global_arg;                              /* of -g */
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

/* What was read from the executable of a master; NULL: nothing is known of it. Valid until the next
 * scan. */
const otr_binary *otr_discovery_binary(const otr_discovery *d, const otr_master *m);
/* The same, or of the file that `binary` guesses: good for paths that may hold, and nothing else.
 */
const otr_binary *otr_discovery_guess(const otr_discovery *d, const otr_master *m);

/* The inode of the agent's own namespace "net", "pid" or "mnt"; 0: unknown. */
typedef struct otr_own_place {
    uint64_t net_ns, pid_ns, mnt_ns;
    uid_t uid; /* that files are opened with */
} otr_own_place;
const otr_own_place *otr_discovery_own(const otr_discovery *d);

/* Masters that found no room: there are OTR_LIMIT_NGINX_INSTANCES and more. */
size_t otr_discovery_missing(const otr_discovery *d);

typedef struct otr_discovery_stats {
    uint64_t scans;
    uint64_t listed; /* processes seen, over all scans */
    uint64_t looked; /* of these: opened because they were new or due */
} otr_discovery_stats;
otr_discovery_stats otr_discovery_get_stats(const otr_discovery *d);

typedef enum otr_title {
    OTR_TITLE_NONE, /* plain arguments, or a title that was cut */
    OTR_TITLE_MASTER,
    OTR_TITLE_WORKER,
    OTR_TITLE_HELPER, /* of this form, and neither of the two */
} otr_title;
otr_title otr_title_kind(const char *title);
/* Where in `title` that of a master or worker begins behind other arguments, which a loader leaves
 * in front; `title` itself when there is none. */
const char *otr_title_inside(const char *title);

/* The arguments in a master's title, or without one: fills `client`, prefix_arg, config_arg,
 * error_log_arg and global_arg of `m` and puts argv[0] into `ret_argv0`. Blanks inside arguments
 * cannot be told from those between them: a value goes on until the next word that looks like an
 * option. */
otr_code otr_master_parse_title(const char *title, otr_master *m, char **ret_argv0, otr_err *err)
    OTR_MUST_CHECK;
void otr_master_deinit(otr_master *m);

#endif
