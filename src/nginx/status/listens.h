/*
 * The arguments of `listen`. Private to src/nginx/status.
 *
 * Thread: one at a time.
 */
#ifndef OTR_NGINX_STATUS_LISTENS_H
#define OTR_NGINX_STATUS_LISTENS_H

#include "nginx/language/walk.h"
#include "nginx/status/servers.h"

/* `listen ADDRESS OPTION...` of the last server of `s`. `hosts` is the text of /etc/hosts. What no
 * client can use adds nothing. */
otr_code otr_servers_listen(otr_servers *s, const otr_directive *d, otr_bytes hosts, otr_err *err)
    OTR_MUST_CHECK;
/* The listen of a server that has none: port 80, and 8000, which it is without root. */
otr_code otr_servers_listen_default(otr_servers *s, otr_err *err) OTR_MUST_CHECK;

#endif
