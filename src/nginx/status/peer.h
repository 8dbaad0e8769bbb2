/*
 * The inode of the socket at the other end of a connection. Private to src/nginx/status.
 *
 * Thread: any.
 */
#ifndef OTR_NGINX_STATUS_PEER_H
#define OTR_NGINX_STATUS_PEER_H

#include "base/base.h"

/* A socket to ask; it belongs to the network namespace of the calling thread. -1: not to be had. */
int otr_peer_diag(void);
/* The inode of what `fd`, connected over TCP or a unix socket, is connected to; 0: not known, or
 * nobody has accepted it yet. */
uint64_t otr_peer_inode(int diag, int fd);

#endif
