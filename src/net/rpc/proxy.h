/*
 * HTTP CONNECT: what is asked of a proxy, what it answers, and who is reached without one.
 *
 * Thread: one at a time.
 */
#ifndef OTR_NET_RPC_PROXY_H
#define OTR_NET_RPC_PROXY_H

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "net/rpc/target.h"
#include "net/tls/tls.h"

typedef enum otr_rpc_proxy_auth {
    OTR_RPC_PROXY_NONE,
    OTR_RPC_PROXY_BASIC,  /* user and password */
    OTR_RPC_PROXY_BEARER, /* token */
} otr_rpc_proxy_auth;

typedef struct otr_rpc_proxy {
    bool secure; /* an https proxy */
    otr_rpc_target at;
    otr_rpc_proxy_auth auth;
    char *user, *password, *token; /* ours; "" */
    char *no_proxy;
    otr_tls *tls;        /* borrowed; of an https proxy */
    uint64_t timeout_ms; /* for its answer, its own TLS included */
} otr_rpc_proxy;

typedef struct otr_rpc_proxy_spec {
    const char *url; /* http://host[:port] or https://host[:port]; credentials in it mean basic */
    otr_rpc_proxy_auth auth;
    const char *user, *password, *token;
    const char *no_proxy; /* see otr_rpc_no_proxy() */
    otr_tls *tls;         /* borrowed; for https, without ALPN */
    uint64_t timeout_ms;  /* 0: 10 s */
} otr_rpc_proxy_spec;

/* OTR_EINVAL: the URL is none, or what the way of authentication needs is missing. */
otr_code otr_rpc_proxy_init(otr_rpc_proxy *proxy, const otr_rpc_proxy_spec *spec, otr_err *err)
    OTR_MUST_CHECK;
void otr_rpc_proxy_deinit(otr_rpc_proxy *proxy);

/* Whether the host is reached without a proxy by this list: items with commas between them, each
 * "*", a name (which stands for the names below it as well; with a leading dot for those only), an
 * address, a network ("10.0.0.0/8"), any but the first and the last with ":port". Spaces are
 * ignored. A unix socket and an address of the loopback are never reached by a proxy. */
bool otr_rpc_no_proxy(const char *list, const otr_rpc_target *target);

/* The request, with its credentials. */
otr_code otr_rpc_proxy_request(const otr_rpc_proxy *proxy, const otr_rpc_target *target,
                               otr_buf *out, otr_err *err) OTR_MUST_CHECK;

typedef struct otr_rpc_proxy_answer {
    otr_buf head; /* of the answer that comes */
    size_t taken; /* of all, interim ones included */
} otr_rpc_proxy_answer;

void otr_rpc_proxy_answer_init(otr_rpc_proxy_answer *answer);
void otr_rpc_proxy_answer_deinit(otr_rpc_proxy_answer *answer);
/* Takes from `*in`, which shrinks; `*ret_open` says whether the tunnel is open, and what is left
 * comes from its other end. OTR_EDENIED: the proxy refused, OTR_EIO: it is no answer. */
otr_code otr_rpc_proxy_answer_feed(otr_rpc_proxy_answer *answer, otr_bytes *in, bool *ret_open,
                                   otr_err *err) OTR_MUST_CHECK;

#endif
