/*
 * Locations that no client can ask for.
 *
 * Thread: one at a time.
 */
#ifndef OTR_NGINX_CHECK_INTERNAL_H
#define OTR_NGINX_CHECK_INTERNAL_H

#include "nginx/check/look.h"

/* Is the location at `scope` `internal`, and no rewrite, try_files or error_page of its server
 * leads to it with what a client sent? */
bool otr_is_internal(otr_look *l, const otr_scope *scope);

#endif
