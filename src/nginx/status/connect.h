/*
 * A connection to one NGINX: made inside its network namespace, and known to have been taken by
 * it. Private to src/nginx/status.
 *
 * The other end of a connection is a socket of this host, whose inode the kernel tells
 * (NETLINK_SOCK_DIAG); the process that has it open is the one that answers. Two masters may
 * listen at one address (an upgrade, reuseport): then it is tried again until the right one took
 * the connection.
 *
 * Thread: a worker; calls block until their deadline.
 */
#ifndef OTR_NGINX_STATUS_CONNECT_H
#define OTR_NGINX_STATUS_CONNECT_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "net/http/client.h"
#include "nginx/status/kin.h"

typedef struct otr_connect_spec {
    otr_http_address to;
    otr_master_id master; /* pid 0: anybody may answer, from the agent's own namespace */
    uint64_t deadline_ns; /* monotonic */
} otr_connect_spec;

typedef struct otr_connection {
    int fd;      /* connected, non-blocking, the receiver's */
    bool proved; /* it was seen that the master's own process took it */
} otr_connection;

/* OTR_EDENIED: the namespace cannot be entered or told; OTR_ESTATE: somebody else answers there.
 */
otr_code otr_status_connect(const otr_connect_spec *spec, otr_connection *ret, otr_err *err)
    OTR_MUST_CHECK;

#endif
