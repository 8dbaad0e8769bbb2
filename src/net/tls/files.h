/*
 * What TLS reads from files: the context of OpenSSL that they make, and whether they changed.
 *
 * Thread: loop.
 */
#ifndef OTR_NET_TLS_FILES_H
#define OTR_NET_TLS_FILES_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "net/tls/tls.h"

/* A new context as `spec` says. OTR_EINVAL names the file. */
otr_code otr_tls_context(const otr_tls_spec *spec, SSL_CTX **ret, otr_err *err) OTR_MUST_CHECK;
/* Appends what OpenSSL's queue of errors says, and empties it. Returns `code`. */
otr_code otr_tls_fail(otr_err *err, otr_code code, const char *what);

#endif
