#include "net/tls/tls.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "net/tls/files.h"
#include "net/tls/stamp.h"

enum { FILES = 3, BIO_KIND = BIO_TYPE_SOURCE_SINK | 100 };

struct otr_tls {
    otr_tls_spec spec; /* its texts are ours */
    SSL_CTX *ctx;
    otr_stamp read[FILES]; /* of the files when they were last read, good or not */
    otr_tls_change untold;
    char problem[OTR_ERR_MSG_BYTES];
};

struct otr_tls_session {
    SSL *ssl;
    BIO_METHOD *method;
    otr_bytes in; /* what the peer sent and OpenSSL has not taken; empty between calls */
    otr_buf *out;
    otr_tls_role role;
    otr_tls_alpn alpn;
    bool ready, ended, failed;
    char host[OTR_TLS_NAME_BYTES];
};

/* ---- what was configured ---- */

static otr_code copy(const char *from, const char **ret, otr_err *err)
{
    *ret = otr_strdup(from != NULL ? from : "");
    return *ret != NULL ? OTR_OK : otr_fail_nomem(err);
}

static void take_stamps(const otr_tls *tls, otr_stamp to[FILES])
{
    to[0] = otr_stamp_of(tls->spec.ca);
    to[1] = otr_stamp_of(tls->spec.cert);
    to[2] = otr_stamp_of(tls->spec.key);
}

otr_code otr_tls_new(const otr_tls_spec *spec, otr_tls **ret, otr_err *err)
{
    otr_tls *tls = otr_zalloc(sizeof(*tls));
    if (tls == NULL) {
        return otr_fail_nomem(err);
    }
    tls->spec.role = spec->role;
    tls->spec.check = spec->check;
    tls->spec.alpn = spec->alpn;
    otr_code rc = copy(spec->ca, &tls->spec.ca, err);
    rc = rc == OTR_OK ? copy(spec->cert, &tls->spec.cert, err) : rc;
    rc = rc == OTR_OK ? copy(spec->key, &tls->spec.key, err) : rc;
    rc = rc == OTR_OK ? copy(spec->server_name, &tls->spec.server_name, err) : rc;
    if (rc == OTR_OK) {
        take_stamps(tls, tls->read);
        rc = otr_tls_context(&tls->spec, &tls->ctx, err);
    }
    if (rc != OTR_OK) {
        otr_tls_free(tls);
        return rc;
    }
    *ret = tls;
    return OTR_OK;
}

void otr_tls_free(otr_tls *tls)
{
    if (tls != NULL) {
        SSL_CTX_free(tls->ctx);
        otr_freep(&tls->spec.ca);
        otr_freep(&tls->spec.cert);
        otr_freep(&tls->spec.key);
        otr_freep(&tls->spec.server_name);
        otr_free(tls);
    }
}

static void look_at_files(otr_tls *tls)
{
    otr_stamp now[FILES];
    bool same = true;
    take_stamps(tls, now);
    for (size_t i = 0; i < FILES; i++) {
        same = same && otr_stamp_same(&now[i], &tls->read[i]);
    }
    if (same) {
        return;
    }
    otr_err why = { 0 };
    SSL_CTX *ctx = NULL;
    otr_code rc = otr_tls_context(&tls->spec, &ctx, &why);
    memcpy(tls->read, now, sizeof(now));
    if (rc != OTR_OK) {
        (void)snprintf(tls->problem, sizeof(tls->problem), "%s", why.msg);
        tls->untold = OTR_TLS_REFUSED;
        return;
    }
    SSL_CTX_free(tls->ctx);
    tls->ctx = ctx;
    tls->problem[0] = '\0';
    tls->untold = OTR_TLS_TAKEN;
}

otr_tls_change otr_tls_refresh(otr_tls *tls, otr_err *err)
{
    look_at_files(tls);
    otr_tls_change change = tls->untold;
    tls->untold = OTR_TLS_SAME;
    if (change == OTR_TLS_REFUSED) {
        (void)otr_fail(err, OTR_EINVAL, "%s", tls->problem);
    }
    return change;
}

const char *otr_tls_problem(const otr_tls *tls)
{
    return tls->problem;
}

const char *otr_tls_server_name(const otr_tls *tls)
{
    return tls->spec.server_name;
}

/* ---- the transport that OpenSSL sees: two buffers ---- */

static int bio_write(BIO *bio, const char *data, int n)
{
    otr_tls_session *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (n <= 0 ||
        otr_buf_add(s->out, (otr_bytes){ (const uint8_t *)data, (size_t)n }, NULL) != OTR_OK) {
        return -1;
    }
    return n;
}

static int bio_read(BIO *bio, char *to, int cap)
{
    otr_tls_session *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (s->in.n == 0 || cap <= 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t n = s->in.n < (size_t)cap ? s->in.n : (size_t)cap;
    memcpy(to, s->in.p, n);
    s->in.p += n;
    s->in.n -= n;
    return (int)n;
}

static long bio_ctrl(BIO *bio, int what, long number, void *p)
{
    (void)bio;
    (void)number;
    (void)p;
    return what == BIO_CTRL_FLUSH ? 1 : 0;
}

static otr_code attach(otr_tls_session *s, otr_err *err)
{
    s->method = BIO_meth_new(BIO_KIND, "buffers");
    if (s->method == NULL || BIO_meth_set_write(s->method, bio_write) != 1 ||
        BIO_meth_set_read(s->method, bio_read) != 1 ||
        BIO_meth_set_ctrl(s->method, bio_ctrl) != 1) {
        return otr_fail_nomem(err);
    }
    BIO *bio = BIO_new(s->method);
    if (bio == NULL) {
        return otr_fail_nomem(err);
    }
    BIO_set_data(bio, s);
    BIO_set_init(bio, 1);
    SSL_set_bio(s->ssl, bio, bio); /* owns it */
    return OTR_OK;
}

/* ---- sessions ---- */

static bool is_address(const char *host)
{
    struct in6_addr any;
    return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

static otr_code name_peer(otr_tls_session *s, otr_tls_check check, otr_err *err)
{
    bool address = is_address(s->host);
    bool ok = true;
    if (check == OTR_TLS_CHECK) {
        SSL_set_hostflags(s->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        ok = address ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(s->ssl), s->host) == 1
                     : SSL_set1_host(s->ssl, s->host) == 1;
    }
    if (ok && !address && s->host[0] != '\0') {
        ok = SSL_set_tlsext_host_name(s->ssl, s->host) == 1;
    }
    return ok ? OTR_OK : otr_tls_fail(err, OTR_EINVAL, "the name of the server cannot be used");
}

otr_code otr_tls_session_new(otr_tls *tls, const char *host, otr_buf *out, otr_tls_session **ret,
                             otr_err *err)
{
    const char *name = tls->spec.server_name[0] != '\0' ? tls->spec.server_name : host;
    bool client = tls->spec.role == OTR_TLS_CLIENT;
    if (client && tls->spec.check == OTR_TLS_CHECK && (name == NULL || name[0] == '\0')) {
        return otr_fail(err, OTR_EINVAL, "TLS needs the name of the server to check it");
    }
    if (name != NULL && strlen(name) >= OTR_TLS_NAME_BYTES) {
        return otr_fail(err, OTR_EINVAL, "the name of the server is too long");
    }
    otr_tls_session *s = otr_zalloc(sizeof(*s));
    if (s == NULL) {
        return otr_fail_nomem(err);
    }
    look_at_files(tls);
    s->out = out;
    s->role = tls->spec.role;
    s->alpn = tls->spec.alpn;
    (void)snprintf(s->host, sizeof(s->host), "%s", name != NULL ? name : "");
    ERR_clear_error();
    s->ssl = SSL_new(tls->ctx);
    otr_code rc = s->ssl != NULL ? attach(s, err) : otr_fail_nomem(err);
    if (rc == OTR_OK && client) {
        SSL_set_connect_state(s->ssl);
        rc = name_peer(s, tls->spec.check, err);
    } else if (rc == OTR_OK) {
        SSL_set_accept_state(s->ssl);
    }
    if (rc != OTR_OK) {
        otr_tls_session_free(s);
        return rc;
    }
    *ret = s;
    return OTR_OK;
}

void otr_tls_session_free(otr_tls_session *session)
{
    if (session != NULL) {
        SSL_free(session->ssl);
        BIO_meth_free(session->method);
        otr_free(session);
    }
}

static otr_code fail(otr_tls_session *s, otr_err *err)
{
    long verdict = SSL_get_verify_result(s->ssl);
    bool checked = (SSL_get_verify_mode(s->ssl) & SSL_VERIFY_PEER) != 0;
    s->failed = true;
    if (!s->ready && checked && verdict != X509_V_OK) {
        ERR_clear_error();
        return otr_fail(err, OTR_EIO, "TLS: the certificate of %s%s is refused: %s",
                        s->role == OTR_TLS_CLIENT ? "" : "the client",
                        s->role == OTR_TLS_CLIENT ? s->host : "",
                        X509_verify_cert_error_string(verdict));
    }
    return otr_tls_fail(err, OTR_EIO, s->ready ? "TLS" : "TLS handshake");
}

/* After each call into OpenSSL: the handshake may have come to its end in it. */
static otr_code look_at_handshake(otr_tls_session *s, otr_err *err)
{
    if (s->ready || SSL_is_init_finished(s->ssl) != 1) {
        return OTR_OK;
    }
    const unsigned char *chosen = NULL;
    unsigned n = 0;
    SSL_get0_alpn_selected(s->ssl, &chosen, &n);
    if (s->alpn == OTR_TLS_ALPN_H2 && (n != 2 || memcmp(chosen, "h2", 2) != 0)) {
        s->failed = true;
        return otr_fail(err, OTR_EIO, "TLS: the peer does not offer HTTP/2 (ALPN h2)");
    }
    s->ready = true;
    return OTR_OK;
}

otr_code otr_tls_session_start(otr_tls_session *session, otr_err *err)
{
    ERR_clear_error();
    int rc = SSL_do_handshake(session->ssl);
    if (rc == 1 || SSL_get_error(session->ssl, rc) == SSL_ERROR_WANT_READ) {
        return look_at_handshake(session, err);
    }
    return fail(session, err);
}

otr_code otr_tls_session_read(otr_tls_session *session, otr_bytes *cipher, uint8_t *to, size_t cap,
                              size_t *ret_n, otr_err *err)
{
    *ret_n = 0;
    if (session->failed) {
        return otr_fail(err, OTR_EIO, "TLS has failed before");
    }
    ERR_clear_error();
    session->in = *cipher;
    int rc = SSL_read_ex(session->ssl, to, cap, ret_n);
    *cipher = session->in;
    session->in = (otr_bytes){ NULL, 0 };
    if (rc == 1) {
        return look_at_handshake(session, err);
    }
    *ret_n = 0;
    switch (SSL_get_error(session->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return look_at_handshake(session, err);
    case SSL_ERROR_ZERO_RETURN:
        session->ended = true;
        *cipher = (otr_bytes){ NULL, 0 };
        return OTR_OK;
    default:
        return fail(session, err);
    }
}

otr_code otr_tls_session_write(otr_tls_session *session, otr_bytes plain, otr_err *err)
{
    size_t n = 0;
    if (!session->ready || session->failed) {
        return otr_fail(err, OTR_ESTATE, "TLS is not ready");
    }
    if (plain.n == 0) {
        return OTR_OK;
    }
    ERR_clear_error();
    return SSL_write_ex(session->ssl, plain.p, plain.n, &n) == 1 && n == plain.n
               ? OTR_OK
               : fail(session, err);
}

bool otr_tls_session_ready(const otr_tls_session *session)
{
    return session->ready;
}

bool otr_tls_session_ended(const otr_tls_session *session)
{
    return session->ended;
}

void otr_tls_session_end(otr_tls_session *session)
{
    if (session->ready && !session->failed) {
        ERR_clear_error();
        (void)SSL_shutdown(session->ssl);
        ERR_clear_error();
    }
}

static void describe(X509 *cert, otr_tls_peer *ret)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    BIO *text = BIO_new(BIO_s_mem());
    if (text != NULL && X509_NAME_print_ex(text, X509_get_subject_name(cert), 0,
                                           XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB) >= 0) {
        int got = BIO_read(text, ret->subject, sizeof(ret->subject) - 1);
        ret->subject[got > 0 ? got : 0] = '\0';
    }
    BIO_free(text);
    if (X509_digest(cert, EVP_sha256(), digest, &n) == 1) {
        for (unsigned i = 0; i < n && 2 * i + 2 < sizeof(ret->sha256); i++) {
            (void)snprintf(ret->sha256 + (size_t)2 * i, 3, "%02x", digest[i]);
        }
    }
}

void otr_tls_session_peer(const otr_tls_session *session, otr_tls_peer *ret)
{
    *ret = (otr_tls_peer){ 0 };
    (void)snprintf(ret->version, sizeof(ret->version), "%s", SSL_get_version(session->ssl));
    X509 *cert = SSL_get1_peer_certificate(session->ssl);
    if (cert != NULL) {
        describe(cert, ret);
        ret->verified = (SSL_get_verify_mode(session->ssl) & SSL_VERIFY_PEER) != 0 &&
                        SSL_get_verify_result(session->ssl) == X509_V_OK;
        X509_free(cert);
    }
    ERR_clear_error();
}
