/*
 * What an NGINX executable tells about itself: version and configure arguments.
 *
 * Both are texts in the executable, so they are read from the file: nothing foreign is run, which
 * also serves the executables of containers. An executable without them (a wrapper script) has to
 * be run with -V by the caller; the same parser reads that output.
 *
 * Thread: any; a value belongs to its owner.
 */
#ifndef OTR_NGINX_INSTANCE_BINARY_H
#define OTR_NGINX_INSTANCE_BINARY_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "nginx/instance/discovery.h"

typedef struct otr_binary { /* strings are never NULL once it is parsed */
    char *version;   /* what stands behind "nginx/": "1.22.1", "1.25.1 (nginx-plus-r30-p1)" */
    char *configure; /* configure arguments, one line */
    char *prefix, *conf_path, *error_log, *access_log; /* compiled in, or NGINX's own defaults */
    bool plus;
} otr_binary;

/* Parses the output of `nginx -V`. OTR_EINVAL when it names no version; `ret` is then untouched. */
otr_code otr_binary_parse(otr_bytes output, otr_binary *ret, otr_err *err) OTR_MUST_CHECK;
/* An executable of which nothing is known: version "", NGINX's own defaults. */
otr_code otr_binary_unknown(otr_binary *ret, otr_err *err) OTR_MUST_CHECK;
/* The same as otr_binary_parse() from the executable of a running process. Blocks for a
 * millisecond. OTR_ENOTFOUND when it does not hold the texts. */
otr_code otr_binary_read(const char *proc_root, const otr_master *m, otr_binary *ret, otr_err *err)
    OTR_MUST_CHECK;
void otr_binary_deinit(otr_binary *binary);

/* The value of `--name=value` among configure arguments, quotes resolved, into `out`; false when it
 * is not there. */
bool otr_binary_argument(const char *configure, const char *name, char *out, size_t cap);

#endif
