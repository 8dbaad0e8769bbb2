/*
 * Private to survey.c: where an NGINX whose executable is closed to us would have its files.
 *
 * An agent without rights may not look at the executable that runs; the one that its arguments, or
 * the usual places, name tells which paths are compiled in. That is a guess: its version is not
 * taken over, and whether the files are those of the process is proven elsewhere (reading.c).
 *
 * Thread: one at a time; calls block.
 */
#ifndef OTR_NGINX_INSTANCE_PRESUMED_H
#define OTR_NGINX_INSTANCE_PRESUMED_H

#include "base/base.h"
#include "base/err.h"
#include "nginx/instance/binary.h"

enum { OTR_PRESUMED = 8 };

typedef struct otr_presumed { /* those that were looked at; zeroed at start */
    struct {
        char *path;
        otr_binary binary; /* empty: it is no NGINX */
    } items[OTR_PRESUMED];
    size_t n;
} otr_presumed;

/* Paths of the executable at `path`; NULL: it is none, there is no room for more, or memory is out.
 * Valid as long as `presumed`. */
const otr_binary *otr_presumed_binary(otr_presumed *presumed, const char *path);
void otr_presumed_deinit(otr_presumed *presumed);

#endif
