/*
 * Listening sockets of the HTTP server: unix sockets that only their owner can open, and TCP.
 *
 * Thread: any.
 */
#ifndef OTR_NET_HTTP_LISTEN_H
#define OTR_NET_HTTP_LISTEN_H

#include <sys/types.h>

#include "base/err.h"
#include "net/http/server.h"

typedef struct otr_http_socket {
    int fd;        /* -1: closed */
    uint16_t port; /* TCP */
    char *path;    /* unix; NULL for TCP */
    dev_t dev;     /* of `path`: tells whether it is still ours */
    ino_t ino;
} otr_http_socket;

/* Binds and listens, non-blocking. A unix socket whose owner died is replaced; one that answers is
 * OTR_ESTATE. */
otr_code otr_http_socket_open(const otr_http_listen *listen, otr_http_socket *ret, otr_err *err)
    OTR_MUST_CHECK;
/* Closes it and takes away the path if it is still the socket that was made. */
void otr_http_socket_close(otr_http_socket *s);
/* True for "localhost", 127.0.0.0/8 and [::1], each with or without ":port". */
bool otr_http_host_is_loopback(const char *host);

#endif
