/*
 * TLS: sessions over any transport, and certificates that are read again when they change.
 *
 * An otr_tls is what an owner configured: files, whom to trust, which protocol to offer. Its files
 * are read when it is made, and looked at again for each new session: a change is taken when all
 * of it is good, else what was read before stays in use and otr_tls_problem() says why. A session
 * is one connection's: it turns bytes of the peer into plain ones and plain ones into bytes for the
 * peer, and does no I/O. TLS 1.2 is the least, nothing is renegotiated, no session is resumed.
 *
 * Thread: loop. Reading the files waits for the file system.
 */
#ifndef OTR_NET_TLS_TLS_H
#define OTR_NET_TLS_TLS_H

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

typedef struct otr_tls otr_tls;
typedef struct otr_tls_session otr_tls_session;

typedef enum otr_tls_role { OTR_TLS_CLIENT, OTR_TLS_SERVER } otr_tls_role;

typedef enum otr_tls_check {
    OTR_TLS_CHECK, /* client: chain and name of the server; server: each client has a certificate */
    OTR_TLS_CHECK_NONE, /* skip_verify; server: clients are not asked */
} otr_tls_check;

typedef enum otr_tls_alpn { OTR_TLS_ALPN_H2, OTR_TLS_ALPN_NONE } otr_tls_alpn;

/* Texts are copied; NULL is "". */
typedef struct otr_tls_spec {
    otr_tls_role role;
    otr_tls_check check;
    otr_tls_alpn alpn;
    const char *ca;   /* a file of roots; "": the system's. A server that checks needs one. */
    const char *cert; /* a file: the certificate, then its chain; "": none */
    const char *key;  /* both or none of the two; a server needs them */
    const char *server_name; /* for SNI and the check, in place of the host; client */
} otr_tls_spec;

/* OTR_EINVAL: the files are no good, `err` names the one and says what is wrong with it. */
otr_code otr_tls_new(const otr_tls_spec *spec, otr_tls **ret, otr_err *err) OTR_MUST_CHECK;
/* Sessions made from it live on. */
void otr_tls_free(otr_tls *tls);

typedef enum otr_tls_change {
    OTR_TLS_SAME,
    OTR_TLS_TAKEN,   /* new sessions use what the files hold now */
    OTR_TLS_REFUSED, /* they changed and are no good: `err` says why. Told once for each change. */
} otr_tls_change;
/* Looks at the files. */
otr_tls_change otr_tls_refresh(otr_tls *tls, otr_err *err);
/* Why the files as they are now are not in use; "": they are. */
const char *otr_tls_problem(const otr_tls *tls);
const char *otr_tls_server_name(const otr_tls *tls); /* "" when none is set */

/* `host`: whom a client means to reach, unless the spec has a server_name; copied. What is for the
 * peer is appended to `out`, which the session borrows, from the first call on. */
otr_code otr_tls_session_new(otr_tls *tls, const char *host, otr_buf *out, otr_tls_session **ret,
                             otr_err *err) OTR_MUST_CHECK;
void otr_tls_session_free(otr_tls_session *session);
/* A client begins. */
otr_code otr_tls_session_start(otr_tls_session *session, otr_err *err) OTR_MUST_CHECK;
/* Takes from `*cipher`, which shrinks, and puts `*ret_n` plain bytes to `to`. Call it until both
 * are empty. OTR_EIO: the connection is to be closed (after `out` is sent: it may hold an alert).
 */
otr_code otr_tls_session_read(otr_tls_session *session, otr_bytes *cipher, uint8_t *to, size_t cap,
                              size_t *ret_n, otr_err *err) OTR_MUST_CHECK;
/* Only when ready. */
otr_code otr_tls_session_write(otr_tls_session *session, otr_bytes plain, otr_err *err)
    OTR_MUST_CHECK;
/* The handshake is done, and the peer is who it should be. */
bool otr_tls_session_ready(const otr_tls_session *session);
/* The peer said that it sends no more. */
bool otr_tls_session_ended(const otr_tls_session *session);
/* Tells the peer that no more follows. */
void otr_tls_session_end(otr_tls_session *session);

enum { OTR_TLS_NAME_BYTES = 256 };
typedef struct otr_tls_peer {
    char version[16]; /* "TLSv1.3" */
    char
        subject[OTR_TLS_NAME_BYTES]; /* "CN = x, O = y" of its certificate; "": it has shown none */
    char sha256[65];                 /* hex of its certificate; "" */
    bool verified;                   /* by the roots */
} otr_tls_peer;
void otr_tls_session_peer(const otr_tls_session *session, otr_tls_peer *ret);

#endif
