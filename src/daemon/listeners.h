/*
 * Where the agent is served: the admin socket and the status page, from the start through reloads.
 *
 * A page that cannot be bound is a problem that status shows, and is tried again until it works:
 * a page less is no reason to leave NGINX without its agent. The admin socket is bound or the
 * configuration is refused. At a reload the new one is bound before the old one goes, and the old
 * one lives on for a moment, as it may owe the answer to the request that made the reload.
 *
 * Thread: loop.
 */
#ifndef OTR_DAEMON_LISTENERS_H
#define OTR_DAEMON_LISTENERS_H

#include "base/fds.h"
#include "config/config.h"
#include "loop/loop.h"
#include "modules/services.h"
#include "net/http/server.h"

enum { OTR_LISTENERS_OLD = 4 };

typedef struct otr_listeners {
    otr_loop *loop;
    otr_services *services;
    otr_fds *fds;
    otr_http_server *admin, *status;
    char *socket;               /* that `admin` is for; "": none */
    char *host;                 /* that the page is wanted at */
    int64_t port;               /* -1: no page is wanted */
    otr_http_server *new_admin; /* bound, and not in force yet */
    char *new_socket;
    otr_http_server *old[OTR_LISTENERS_OLD]; /* retired */
    otr_timer *retry, *farewell;
} otr_listeners;

/* Binds both; the loop, services and descriptors outlive it. */
otr_code otr_listeners_init(otr_listeners *l, otr_loop *loop, otr_services *services, otr_fds *fds,
                            otr_err *err) OTR_MUST_CHECK;
otr_code otr_listeners_start(otr_listeners *l, const otr_config *cfg, otr_err *err) OTR_MUST_CHECK;
void otr_listeners_deinit(otr_listeners *l); /* not from inside a handler */

/* Binds the admin socket of a new configuration, if that is another one. On error nothing changed.
 * Then either otr_listeners_take() or otr_listeners_drop(). */
otr_code otr_listeners_prepare(otr_listeners *l, const otr_config *fresh, otr_err *err)
    OTR_MUST_CHECK;
void otr_listeners_take(otr_listeners *l, const otr_config *fresh);
void otr_listeners_drop(otr_listeners *l);

/* "http://127.0.0.1:9180/", or "off". Returns `out`. */
const char *otr_listeners_url(const otr_listeners *l, char *out, size_t cap);

#endif
