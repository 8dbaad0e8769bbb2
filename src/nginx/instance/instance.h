/*
 * One running NGINX as the agent knows it: plain data.
 *
 * Thread: any; a value belongs to its owner.
 */
#ifndef OTR_NGINX_INSTANCE_INSTANCE_H
#define OTR_NGINX_INSTANCE_INSTANCE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/base.h"
#include "base/err.h"
#include "nginx/config/access_logs.h"
#include "nginx/root.h"

#define OTR_NGINX_ID_BYTES 37 /* a UUID and a NUL */

typedef struct otr_nginx_instance {
    char id[OTR_NGINX_ID_BYTES]; /* as NGINX Agent makes it: MD5 UUID of hex sha256 of
                                    exe_conf_prefix */
    pid_t pid;                   /* master */
    uint64_t started_ticks;      /* field 22 of /proc/pid/stat: tells a reused pid */
    uid_t uid;                   /* of the master: whose title, files and rights they are */
    gid_t gid;
    bool stranger;   /* that is neither root nor the agent's own user */
    uint64_t net_ns; /* inode of its network namespace; 0: unknown */
    bool own_net;    /* known to be the agent's */
    pid_t *workers;  /* the master itself where it serves alone */
    size_t n_workers;
    char *binary;  /* absolute path of the executable, without " (deleted)" */
    bool replaced; /* the file on disk is no longer the one that runs */
    char *maker;   /* "nginx", "openresty", "angie", "tengine", "freenginx"; "" when unknown */
    char *version; /* "1.22.1"; "" when unknown */
    bool plus;
    char *config; /* absolute path of nginx.conf */
    char *prefix;
    char *configure;    /* configure arguments, as `nginx -V` prints them */
    char *error_log;    /* first one of the configuration, or the compiled-in one */
    char *stub_status;  /* "http://127.0.0.1:8080/status", "unix:/run/x.sock:/status"; "" when none.
                           A fragment carries what a client must do beyond that, joined by '&':
                           "#host=NAME" (Host to send), "#proxy_protocol" (PROXY line first) */
    char **status_urls; /* every candidate, best first; stub_status is the first */
    size_t n_status_urls;
    bool status_given; /* by the agent's configuration: asked where it says, whoever answers */
    otr_nginx_log *access_logs;
    size_t n_access_logs;
    char *root;          /* "" or "/proc/<pid>/root": other files than ours, where the
                            paths above hold; also when it is not known whose they are */
    otr_root *reach;     /* how the files above are opened; NULL: as {.path = root} */
    char *config_error;  /* "" or why the configuration could not be read (file:line) */
    bool config_changed; /* files of it are not as they were when NGINX loaded them */
    uint64_t loads;      /* how often it was seen to load a configuration; 1 at first */
    uint64_t loaded_ns;  /* wall time at which it had loaded it at the latest; 0: not known */
    char **remarks;      /* what the agent could not know or do about it, sentences for people */
    size_t n_remarks;
} otr_nginx_instance;

otr_code otr_nginx_instance_copy(const otr_nginx_instance *from, otr_nginx_instance **ret,
                                 otr_err *err) OTR_MUST_CHECK;
/* Adds a remark, unless it is there already. Past OTR_LIMIT_NGINX_REMARKS it is dropped. */
otr_code otr_nginx_instance_remark(otr_nginx_instance *instance, otr_err *err, const char *format,
                                   ...) OTR_MUST_CHECK OTR_PRINTF(3, 4);
void otr_nginx_instance_free(otr_nginx_instance *instance); /* NULL and half-built are fine */
/* Equal in everything that a listener can see. */
bool otr_nginx_instance_eq(const otr_nginx_instance *a, const otr_nginx_instance *b);

#endif
