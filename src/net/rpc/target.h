/*
 * Where a channel leads and where a server listens: "host:port", "[::1]:port" or "unix:/path".
 *
 * Thread: any.
 */
#ifndef OTR_NET_RPC_TARGET_H
#define OTR_NET_RPC_TARGET_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/base.h"
#include "base/err.h"

enum { OTR_RPC_HOST_BYTES = 256, OTR_RPC_PATH_BYTES = 108, OTR_RPC_AUTHORITY_BYTES = 272 };

typedef struct otr_rpc_target {
    bool local;                    /* a unix socket */
    char host[OTR_RPC_HOST_BYTES]; /* without the brackets of an IPv6 address; "" when local */
    uint16_t port;                 /* 0 when local */
    char path[OTR_RPC_PATH_BYTES]; /* "" when not local */
} otr_rpc_target;

/* `default_port` 0: the text must name one. "unix:path", "unix:///path". */
otr_code otr_rpc_target_parse(const char *text, uint16_t default_port, otr_rpc_target *ret,
                              otr_err *err) OTR_MUST_CHECK;
/* "host:port" with brackets where they belong; "localhost" of a unix socket. */
const char *otr_rpc_target_authority(const otr_rpc_target *target,
                                     char out[OTR_RPC_AUTHORITY_BYTES]);
/* A unix socket, "localhost" or an address of the loopback. */
bool otr_rpc_target_is_loopback(const otr_rpc_target *target);

typedef struct otr_rpc_address {
    struct sockaddr_storage at;
    socklen_t size;
} otr_rpc_address;

/* An address as text ("1.2.3.4", "::1", "[::1]") with a port; false: it is none. */
bool otr_rpc_address_parse(otr_bytes text, uint16_t port, otr_rpc_address *ret);
otr_code otr_rpc_address_of_path(const char *path, otr_rpc_address *ret, otr_err *err)
    OTR_MUST_CHECK;
/* "1.2.3.4:80", "[::1]:80", "unix:/path"; cut. Returns `out`. */
const char *otr_rpc_address_text(const otr_rpc_address *address, char *out, size_t cap);

#endif
