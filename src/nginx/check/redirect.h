/*
 * Directives that send a client to another URL.
 *
 * Thread: one at a time.
 */
#ifndef OTR_NGINX_CHECK_REDIRECT_H
#define OTR_NGINX_CHECK_REDIRECT_H

#include "nginx/check/look.h"

/* Does the return, rewrite or error_page at `spot` do so? Then `*ret` is the URL. */
bool otr_redirect_of(otr_look *l, const otr_spot *spot, otr_bytes *ret);

#endif
