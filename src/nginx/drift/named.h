/*
 * Private to src/nginx/drift: the files that directives name, such as certificates.
 *
 * Thread: any.
 */
#ifndef OTR_NGINX_DRIFT_NAMED_H
#define OTR_NGINX_DRIFT_NAMED_H

#include "nginx/language/walk.h"

/* The file that `directive` has NGINX read when it loads its configuration, as it is written there:
 * relative to the folder of nginx.conf. NULL: none, or one that requests decide on. */
const char *otr_drift_named(const otr_directive *directive);

#endif
