/*
 * The token that goes with each call, from a file that is read again when it changes.
 *
 * White space around it is cut. When the file cannot be used, what was read before stays, else the
 * token that was given beside it; otr_rpc_token_problem() says why.
 *
 * Thread: loop. Waits for the file system.
 */
#ifndef OTR_NET_RPC_TOKEN_H
#define OTR_NET_RPC_TOKEN_H

#include "base/base.h"
#include "base/err.h"
#include "net/tls/tls.h"

typedef struct otr_rpc_token otr_rpc_token;

typedef struct otr_rpc_token_spec {
    const char *path;   /* "" or NULL: none */
    const char *value;  /* used without a file; "" or NULL: none */
    const char *scheme; /* before it: "Bearer " say; NULL: nothing */
} otr_rpc_token_spec;

/* OTR_EINVAL: there is neither a usable file nor a value. */
otr_code otr_rpc_token_new(const otr_rpc_token_spec *spec, otr_rpc_token **ret, otr_err *err)
    OTR_MUST_CHECK;
void otr_rpc_token_free(otr_rpc_token *token);
/* The value of "authorization" now: looks at the file. Borrowed until the next call. */
const char *otr_rpc_token_text(otr_rpc_token *token);
/* Looks at the file; tells each change once. */
otr_tls_change otr_rpc_token_refresh(otr_rpc_token *token, otr_err *err);
const char *otr_rpc_token_problem(const otr_rpc_token *token); /* "": none */

#endif
