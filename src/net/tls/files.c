#include "net/tls/files.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"

/* TLS 1.2 with what HTTP/2 allows (RFC 9113, appendix A); those of 1.3 are OpenSSL's. */
#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"

otr_code otr_tls_fail(otr_err *err, otr_code code, const char *what)
{
    unsigned long last = ERR_peek_last_error();
    const char *why = last != 0 ? ERR_reason_error_string(last) : NULL;
    ERR_clear_error();
    return otr_fail(err, code, "%s%s%s", what, why != NULL ? ": " : "", why != NULL ? why : "");
}

static otr_code fail_file(otr_err *err, const char *path, const char *what)
{
    return otr_wrap(err, otr_tls_fail(err, OTR_EINVAL, what), "%s", path);
}

/* A key that asks for a password: nobody is there to give one. */
/* NOLINTNEXTLINE(readability-non-const-parameter): OpenSSL's type */
static int no_password(char *to, int size, int writing, void *arg)
{
    (void)to;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
}

/* The file as something that OpenSSL reads from; it lives in `text`. */
static otr_code open_file(const char *path, otr_buf *text, BIO **ret, otr_err *err)
{
    otr_code rc = otr_buf_read_file(text, path, err);
    if (rc == OTR_EQUOTA) {
        return otr_fail(err, OTR_EINVAL, "%s: it is larger than %u bytes", path,
                        OTR_LIMIT_TLS_FILE_BYTES);
    }
    if (rc == OTR_OK) {
        *ret = BIO_new_mem_buf(otr_buf_text(text), (int)text->n);
        rc = *ret != NULL ? OTR_OK : otr_fail_nomem(err);
    }
    return rc;
}

/* Whether the last certificate was not found as none follows; else it is there and is no good. */
static bool is_end(void)
{
    unsigned long last = ERR_peek_last_error();
    return ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
}

/* ---- roots ---- */

static otr_code add_roots(SSL_CTX *ctx, BIO *from, const char *path, otr_tls_role role,
                          otr_err *err)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    X509 *cert;
    size_t n = 0;
    while ((cert = PEM_read_bio_X509(from, NULL, no_password, NULL)) != NULL) {
        bool ok = X509_STORE_add_cert(store, cert) == 1 &&
                  (role == OTR_TLS_CLIENT || SSL_CTX_add_client_CA(ctx, cert) == 1);
        X509_free(cert);
        if (!ok) {
            return fail_file(err, path, "its certificates cannot be used");
        }
        n++;
    }
    bool end = is_end();
    if (n == 0 && end) {
        ERR_clear_error();
        return fail_file(err, path, "it holds no certificate in PEM form");
    }
    if (!end) {
        return fail_file(err, path, "it holds a certificate that cannot be read");
    }
    ERR_clear_error();
    return OTR_OK;
}

static otr_code load_roots(SSL_CTX *ctx, const otr_tls_spec *spec, otr_err *err)
{
    if (spec->ca[0] == '\0') {
        if (spec->role == OTR_TLS_CLIENT && SSL_CTX_set_default_verify_paths(ctx) != 1) {
            return otr_tls_fail(err, OTR_EINVAL, "the system's certificates cannot be used");
        }
        return OTR_OK;
    }
    otr_buf text;
    BIO *from = NULL;
    otr_buf_init(&text, OTR_LIMIT_TLS_FILE_BYTES);
    otr_code rc = open_file(spec->ca, &text, &from, err);
    if (rc == OTR_OK) {
        rc = add_roots(ctx, from, spec->ca, spec->role, err);
    }
    BIO_free(from);
    otr_buf_deinit(&text);
    return rc;
}

/* ---- our own certificate ---- */

static otr_code use_chain(SSL_CTX *ctx, BIO *from, const char *path, otr_err *err)
{
    X509 *cert = PEM_read_bio_X509_AUX(from, NULL, no_password, NULL);
    if (cert == NULL) {
        return fail_file(err, path, "it holds no certificate in PEM form");
    }
    int ok = SSL_CTX_use_certificate(ctx, cert);
    X509_free(cert);
    if (ok != 1) {
        return fail_file(err, path, "its certificate cannot be used");
    }
    while ((cert = PEM_read_bio_X509(from, NULL, no_password, NULL)) != NULL) {
        if (SSL_CTX_add0_chain_cert(ctx, cert) != 1) {
            X509_free(cert);
            return fail_file(err, path, "its chain cannot be used");
        }
    }
    if (!is_end()) {
        return fail_file(err, path, "its chain holds a certificate that cannot be read");
    }
    ERR_clear_error();
    return OTR_OK;
}

static otr_code use_key(SSL_CTX *ctx, BIO *from, const char *path, otr_err *err)
{
    EVP_PKEY *key = PEM_read_bio_PrivateKey(from, NULL, no_password, NULL);
    if (key == NULL) {
        return fail_file(err, path, "it holds no private key in PEM form without a password");
    }
    int ok = SSL_CTX_use_PrivateKey(ctx, key);
    EVP_PKEY_free(key);
    if (ok != 1 || SSL_CTX_check_private_key(ctx) != 1) {
        return fail_file(err, path, "the key is not that of the certificate");
    }
    return OTR_OK;
}

typedef otr_code use_fn(SSL_CTX *ctx, BIO *from, const char *path, otr_err *err);

static otr_code use_file(SSL_CTX *ctx, const char *path, use_fn *use, otr_err *err)
{
    otr_buf text;
    BIO *from = NULL;
    otr_buf_init(&text, OTR_LIMIT_TLS_FILE_BYTES);
    otr_code rc = open_file(path, &text, &from, err);
    if (rc == OTR_OK) {
        rc = use(ctx, from, path, err);
    }
    BIO_free(from);
    if (text.n > 0) {
        OPENSSL_cleanse(text.p, text.n);
    }
    otr_buf_deinit(&text);
    return rc;
}

static otr_code load_own(SSL_CTX *ctx, const otr_tls_spec *spec, otr_err *err)
{
    bool cert = spec->cert[0] != '\0', key = spec->key[0] != '\0';
    if (cert != key) {
        return otr_fail(err, OTR_EINVAL, "TLS needs both a certificate and its key: no %s is set",
                        cert ? "key" : "certificate");
    }
    if (!cert) {
        return spec->role == OTR_TLS_CLIENT
                   ? OTR_OK
                   : otr_fail(err, OTR_EINVAL, "TLS needs a certificate and its key");
    }
    otr_code rc = use_file(ctx, spec->cert, use_chain, err);
    return rc == OTR_OK ? use_file(ctx, spec->key, use_key, err) : rc;
}

/* ---- the context ---- */

static const unsigned char h2[] = { 2, 'h', '2' };

static int choose_protocol(SSL *ssl, const unsigned char **ret, unsigned char *ret_n,
                           const unsigned char *offered, unsigned n, void *arg)
{
    (void)ssl;
    (void)arg;
    unsigned char *chosen = NULL;
    if (SSL_select_next_proto(&chosen, ret_n, h2, sizeof(h2), offered, n) !=
        OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *ret = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static otr_code set_options(SSL_CTX *ctx, const otr_tls_spec *spec, otr_err *err)
{
    bool server = spec->role == OTR_TLS_SERVER;
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_num_tickets(ctx, 0);
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_default_passwd_cb(ctx, no_password);
    if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(ctx, CIPHERS) != 1) {
        return otr_tls_fail(err, OTR_EINVAL, "TLS cannot be set up");
    }
    if (spec->check == OTR_TLS_CHECK) {
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | (server ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                           NULL);
    }
    if (spec->alpn == OTR_TLS_ALPN_H2 && server) {
        SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    } else if (spec->alpn == OTR_TLS_ALPN_H2 && SSL_CTX_set_alpn_protos(ctx, h2, sizeof(h2)) != 0) {
        return otr_fail_nomem(err);
    }
    return OTR_OK;
}

otr_code otr_tls_context(const otr_tls_spec *spec, SSL_CTX **ret, otr_err *err)
{
    bool server = spec->role == OTR_TLS_SERVER;
    if (server && spec->check == OTR_TLS_CHECK && spec->ca[0] == '\0') {
        return otr_fail(err, OTR_EINVAL,
                        "TLS that asks for client certificates needs a file of roots");
    }
    ERR_clear_error();
    SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    if (ctx == NULL) {
        return otr_tls_fail(err, OTR_ENOMEM, "TLS cannot be set up");
    }
    otr_code rc = set_options(ctx, spec, err);
    if (rc == OTR_OK && spec->check == OTR_TLS_CHECK) {
        rc = load_roots(ctx, spec, err);
    }
    if (rc == OTR_OK) {
        rc = load_own(ctx, spec, err);
    }
    if (rc != OTR_OK) {
        SSL_CTX_free(ctx);
        return rc;
    }
    *ret = ctx;
    return OTR_OK;
}
