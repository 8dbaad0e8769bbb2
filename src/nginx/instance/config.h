/*
 * What the agent needs to know from an NGINX configuration: logs and status locations.
 *
 * A configuration that is broken or cannot be read is not a failure: what was understood before
 * the error is kept, and `error` says "<file>:<line>: what". An included file that cannot be read
 * is named in a remark and walked past; nothing is assumed about what it says.
 *
 * Thread: any; calls block.
 */
#ifndef OTR_NGINX_INSTANCE_CONFIG_H
#define OTR_NGINX_INSTANCE_CONFIG_H

#include "base/base.h"
#include "base/err.h"
#include "nginx/instance/config_files.h"
#include "nginx/instance/instance.h"
#include "nginx/instance/remarks.h"
#include "nginx/language/walk.h"

typedef struct otr_nginx_config {
    char *pid_file;             /* of the directive `pid`; NULL: not given */
    char *error_log;            /* first one that is a file; "" when there is none */
    otr_nginx_log *access_logs; /* every distinct file, in order of appearance */
    size_t n_access_logs;
    char **status_urls; /* where stub_status may be asked, best first: see instance.h */
    size_t n_status_urls;
    char *error;         /* "" or the first error */
    otr_remarks remarks; /* what is not known, or not counted, and why */
    otr_config_files files;
    bool unseen; /* an include could not be read */
    bool unsure; /* for the caller: whether NGINX has loaded what was read is not known */
    otr_walk_stats stats;
} otr_nginx_config;

typedef struct otr_nginx_config_spec {
    const otr_root *root;
    const char *config;     /* absolute path of nginx.conf */
    const char *prefix;     /* absolute; logs are relative to it */
    const char *error_log;  /* compiled in or given by -e; may be relative or "stderr" */
    const char *access_log; /* compiled in, used where the configuration names none */
    /* Extended regular expressions, ended by NULL: logs in whose paths one is found are not read,
     * so they stand for no requests. NULL: none. */
    const char *const *exclude;
} otr_nginx_config_spec;

/* Fails only when memory is out. */
otr_code otr_nginx_config_read(const otr_nginx_config_spec *spec, otr_nginx_config **ret,
                               otr_err *err) OTR_MUST_CHECK;
/* The same from one text without its includes: spec->config only names it. */
otr_code otr_nginx_config_text(const otr_nginx_config_spec *spec, otr_bytes text,
                               otr_nginx_config **ret, otr_err *err) OTR_MUST_CHECK;
void otr_nginx_config_free(otr_nginx_config *config); /* NULL is fine */

#endif
