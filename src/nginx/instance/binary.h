/*
 * What an executable tells about itself: whether it is an NGINX, whose, which version, and its
 * configure arguments.
 *
 * All of it are texts in the file, so they are read from there. Nothing of a discovered process is
 * ever run: whoever may write its executable would run it with the agent's rights. What the file
 * does not hold is unknown.
 *
 * Thread: any; a value belongs to its owner.
 */
#ifndef OTR_NGINX_INSTANCE_BINARY_H
#define OTR_NGINX_INSTANCE_BINARY_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"

typedef struct otr_binary { /* strings are never NULL once it is parsed */
    char *maker;     /* "nginx", "openresty", "angie", "tengine", "freenginx" …; "": unknown */
    char *version;   /* "1.22.1", "1.25.1 (nginx-plus-r30-p1)", without the maker; "": unknown */
    char *configure; /* configure arguments, one line; "": unknown */
    char *prefix, *conf_path, *error_log, *access_log; /* compiled in, or NGINX's own defaults */
    bool plus;
} otr_binary;

/* Parses texts as `nginx -V` prints them; what is not there is unknown. */
otr_code otr_binary_parse(otr_bytes texts, otr_binary *ret, otr_err *err) OTR_MUST_CHECK;
/* Is the executable behind `fd`, of `size` bytes, an NGINX, whatever it is called? Then its texts
 * are parsed into `ret`. Blocks for milliseconds. OTR_EIO when it cannot be read. */
otr_code otr_binary_read(int fd, uint64_t size, bool *ret_is_nginx, otr_binary *ret, otr_err *err)
    OTR_MUST_CHECK;
void otr_binary_deinit(otr_binary *binary);

/* The value of `--name=value` among configure arguments, quotes resolved, into `out`; false when it
 * is not there. */
bool otr_binary_argument(const char *configure, const char *name, char *out, size_t cap);

#endif
