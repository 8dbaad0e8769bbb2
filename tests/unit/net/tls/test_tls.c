/*
 * Two sessions that talk through two buffers, with certificates that are made here.
 */
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "net/tls/stamp.h"
#include "net/tls/tls.h"
#include "support/test.h"

enum { DAY = 86400 };

typedef struct files {
    char folder[64], ca[96], key[96], other[96], junk[96];
} files;

/* A certificate that signs itself, for localhost, and its key. */
static void make(const char *cert_path, const char *key_path, long until)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_NAME *name = X509_NAME_new();
    (void)X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost",
                                     -1, -1, 0);
    (void)X509_set_version(cert, 2);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    (void)X509_gmtime_adj(X509_getm_notBefore(cert), -2 * DAY);
    (void)X509_gmtime_adj(X509_getm_notAfter(cert), until);
    (void)X509_set_subject_name(cert, name);
    (void)X509_set_issuer_name(cert, name);
    (void)X509_set_pubkey(cert, key);
    X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:localhost");
    (void)X509_add_ext(cert, san, -1);
    (void)X509_sign(cert, key, EVP_sha256());
    FILE *f = fopen(cert_path, "w");
    if (f != NULL) {
        (void)PEM_write_X509(f, cert);
        (void)fclose(f);
    }
    f = fopen(key_path, "w");
    if (f != NULL) {
        (void)PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
        (void)fclose(f);
    }
    X509_EXTENSION_free(san);
    X509_NAME_free(name);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    if (f != NULL) {
        (void)fputs(text, f);
        (void)fclose(f);
    }
}

static void files_make(files *f)
{
    (void)snprintf(f->folder, sizeof f->folder, "/tmp/otr-tls-XXXXXX");
    if (mkdtemp(f->folder) == NULL) {
        abort();
    }
    (void)snprintf(f->ca, sizeof f->ca, "%s/cert.pem", f->folder);
    (void)snprintf(f->key, sizeof f->key, "%s/key.pem", f->folder);
    (void)snprintf(f->other, sizeof f->other, "%s/other.pem", f->folder);
    (void)snprintf(f->junk, sizeof f->junk, "%s/junk", f->folder);
    make(f->ca, f->key, DAY);
    write_text(f->junk, "junk");
}

static void files_drop(files *f)
{
    (void)unlink(f->ca);
    (void)unlink(f->key);
    (void)unlink(f->other);
    (void)unlink(f->junk);
    (void)rmdir(f->folder);
}

/* ---- a pair ---- */

typedef struct end {
    otr_tls_session *session;
    otr_buf out;   /* for the other one */
    otr_buf plain; /* what came */
} end;

static otr_code take(end *to, end *from, otr_err *err)
{
    otr_bytes cipher = otr_buf_bytes(&from->out);
    otr_code rc = OTR_OK;
    size_t n = 0;
    do {
        uint8_t plain[1000];
        rc = otr_tls_session_read(to->session, &cipher, plain, sizeof plain, &n, err);
        rc = rc == OTR_OK ? otr_buf_add(&to->plain, (otr_bytes){ plain, n }, err) : rc;
    } while (rc == OTR_OK && (n > 0 || cipher.n > 0) && !otr_tls_session_ended(to->session));
    otr_buf_clear(&from->out);
    return rc;
}

/* Bytes go back and forth until none is left, or one end has had enough. */
static otr_code talk(end *a, end *b, otr_err *err)
{
    otr_code rc = OTR_OK;
    while (rc == OTR_OK && (a->out.n > 0 || b->out.n > 0)) {
        rc = take(b, a, err);
        rc = rc == OTR_OK ? take(a, b, err) : rc;
    }
    return rc;
}

static void end_init(end *e)
{
    *e = (end){ 0 };
    otr_buf_init(&e->out, 1 << 20);
    otr_buf_init(&e->plain, 1 << 20);
}

static void end_deinit(end *e)
{
    otr_tls_session_free(e->session);
    otr_buf_deinit(&e->out);
    otr_buf_deinit(&e->plain);
}

/* A handshake between the two; both ends stay the caller's. */
static otr_code meet(const otr_tls_spec *client, const otr_tls_spec *server, const char *host,
                     end ends[2], otr_err *err)
{
    otr_tls *c = NULL, *s = NULL;
    otr_code rc = otr_tls_new(client, &c, err);
    rc = rc == OTR_OK ? otr_tls_new(server, &s, err) : rc;
    rc = rc == OTR_OK ? otr_tls_session_new(c, host, &ends[0].out, &ends[0].session, err) : rc;
    rc = rc == OTR_OK ? otr_tls_session_new(s, NULL, &ends[1].out, &ends[1].session, err) : rc;
    otr_tls_free(c); /* sessions live on */
    otr_tls_free(s);
    rc = rc == OTR_OK ? otr_tls_session_start(ends[0].session, err) : rc;
    return rc == OTR_OK ? talk(&ends[0], &ends[1], err) : rc;
}

T(two_ends_meet_talk_and_part)
{
    files f;
    end e[2];
    otr_err err = { 0 };
    otr_tls_peer peer = { 0 };
    files_make(&f);
    end_init(&e[0]);
    end_init(&e[1]);
    const otr_tls_spec client = { .role = OTR_TLS_CLIENT, .ca = f.ca, .cert = f.ca, .key = f.key };
    const otr_tls_spec server = { .role = OTR_TLS_SERVER, .ca = f.ca, .cert = f.ca, .key = f.key };
    otr_code rc = meet(&client, &server, "localhost", e, &err);
    CHECK(rc == OTR_OK);
    if (rc == OTR_OK) {
        CHECK(otr_tls_session_ready(e[0].session) && otr_tls_session_ready(e[1].session));
        otr_tls_session_peer(e[1].session, &peer);
        CHECK(peer.verified);
        CHECK_STR(peer.version, "TLSv1.3");
        CHECK_STR(peer.subject, "CN = localhost");
        CHECK_INT(strlen(peer.sha256), 64);
        static uint8_t large[100000];
        rc = otr_tls_session_write(e[0].session, (otr_bytes){ large, sizeof large }, &err);
        rc = rc == OTR_OK ? talk(&e[0], &e[1], &err) : rc;
        CHECK(rc == OTR_OK && e[1].plain.n == sizeof large);
        otr_tls_session_end(e[1].session);
        rc = take(&e[0], &e[1], &err);
        CHECK(rc == OTR_OK && otr_tls_session_ended(e[0].session));
    }
    end_deinit(&e[0]);
    end_deinit(&e[1]);
    files_drop(&f);
}

/* Handshakes of OpenSSL, whose own allocations do not fail here; the first test has one. */
T_NO_OOM(who_is_not_who_it_should_be_is_refused)
{
    files f;
    otr_err err = { 0 };
    files_make(&f);
    make(f.other, f.junk, -DAY); /* expired yesterday */
    const otr_tls_spec server = {
        .role = OTR_TLS_SERVER, .check = OTR_TLS_CHECK_NONE, .cert = f.ca, .key = f.key
    };
    const otr_tls_spec expired = {
        .role = OTR_TLS_SERVER, .check = OTR_TLS_CHECK_NONE, .cert = f.other, .key = f.junk
    };
    const struct {
        otr_tls_spec client;
        const otr_tls_spec *server;
        const char *host, *said;
    } cases[] = {
        { { .ca = f.ca }, &server, "example.org", "refused: " },
        { { .ca = f.ca }, &server, "127.0.0.1", "refused: " },
        { { .ca = f.other }, &server, "localhost", "refused: " },
        { { .ca = f.other }, &expired, "localhost", "certificate has expired" },
        { { .ca = f.ca, .server_name = "localhost" }, &server, "example.org", NULL },
        { { .ca = f.ca, .alpn = OTR_TLS_ALPN_NONE, .check = OTR_TLS_CHECK_NONE },
          &expired,
          "x",
          "does" },
        { { .check = OTR_TLS_CHECK_NONE }, &expired, "x", NULL },
    };
    for (size_t i = 0; i < OTR_COUNT(cases); i++) {
        end e[2];
        end_init(&e[0]);
        end_init(&e[1]);
        otr_code rc = meet(&cases[i].client, cases[i].server, cases[i].host, e, &err);
        bool alpn = cases[i].said != NULL && strcmp(cases[i].said, "does") == 0;
        CHECK((rc == OTR_OK) == (cases[i].said == NULL));
        if (rc != OTR_OK && cases[i].said != NULL && !alpn && otr_alloc_failed() == 0) {
            CHECK_HAS(err.msg, cases[i].said);
        }
        CHECK(rc == OTR_OK || alpn || e[0].session == NULL || !otr_tls_session_ready(e[0].session));
        end_deinit(&e[0]);
        end_deinit(&e[1]);
    }
    files_drop(&f);
}

T(changed_files_are_taken_when_they_are_good)
{
    files f;
    otr_tls *tls = NULL;
    otr_err err = { 0 };
    files_make(&f);
    const otr_tls_spec spec = { .role = OTR_TLS_CLIENT, .ca = f.ca, .cert = f.ca, .key = f.key };
    if (otr_tls_new(&spec, &tls, &err) == OTR_OK) {
        CHECK_INT(otr_tls_refresh(tls, &err), OTR_TLS_SAME);
        write_text(f.key, "not a key");
        CHECK_INT(otr_tls_refresh(tls, &err), OTR_TLS_REFUSED);
        CHECK_HAS(err.msg, f.key);
        CHECK_INT(otr_tls_refresh(tls, &err), OTR_TLS_SAME); /* told once */
        CHECK_HAS(otr_tls_problem(tls), f.key);
        make(f.ca, f.key, DAY);
        otr_tls_change change = otr_tls_refresh(tls, &err);
        CHECK(change == OTR_TLS_TAKEN || otr_alloc_failed() > 0);
        CHECK(otr_tls_problem(tls)[0] == '\0' || otr_alloc_failed() > 0);
        (void)unlink(f.ca);
        CHECK_INT(otr_tls_refresh(tls, &err), OTR_TLS_REFUSED);
    }
    otr_tls_free(tls);
    files_drop(&f);
}

/* The file with a certificate after it that is none. */
static void spoil_chain(const char *from, const char *to)
{
    otr_buf text;
    otr_err err = { 0 };
    otr_buf_init(&text, 1 << 20);
    otr_code rc = otr_buf_read_file(&text, from, &err);
    rc = rc == OTR_OK ? otr_buf_adds(&text,
                                     "-----BEGIN CERTIFICATE-----\nAAAA\n"
                                     "-----END CERTIFICATE-----\n",
                                     &err)
                      : rc;
    write_text(to, rc == OTR_OK ? otr_buf_text(&text) : "");
    otr_buf_deinit(&text);
}

T(settings_that_are_no_good_are_said)
{
    files f;
    files_make(&f);
    const struct {
        otr_tls_spec spec;
        const char *said;
    } cases[] = {
        { { .role = OTR_TLS_CLIENT, .ca = f.junk }, "holds no certificate" },
        { { .role = OTR_TLS_CLIENT, .ca = f.folder }, f.folder },
        { { .role = OTR_TLS_CLIENT, .ca = "/dev/zero" }, "/dev/zero" },
        { { .role = OTR_TLS_CLIENT, .cert = f.ca }, "no key is set" },
        { { .role = OTR_TLS_CLIENT, .cert = f.ca, .key = f.junk }, "holds no private key" },
        { { .role = OTR_TLS_SERVER }, "needs a file of roots" },
        { { .role = OTR_TLS_SERVER, .ca = f.ca }, "needs a certificate and its key" },
    };
    for (size_t i = 0; i < OTR_COUNT(cases); i++) {
        otr_tls *tls = NULL;
        otr_err err = { 0 };
        otr_code rc = otr_tls_new(&cases[i].spec, &tls, &err);
        CHECK(rc != OTR_OK && tls == NULL);
        if (otr_alloc_failed() == 0) {
            CHECK_HAS(err.msg, cases[i].said);
        }
        otr_tls_free(tls);
    }
    files_drop(&f);
}

T_NO_OOM(a_chain_is_good_to_its_end)
{
    files f;
    otr_tls *tls = NULL;
    otr_err err = { 0 };
    files_make(&f);
    spoil_chain(f.ca, f.other);
    const otr_tls_spec spec = { .role = OTR_TLS_CLIENT, .cert = f.other, .key = f.key };
    CHECK(otr_tls_new(&spec, &tls, &err) == OTR_EINVAL && tls == NULL);
    CHECK_HAS(err.msg, "other.pem");
    CHECK_HAS(err.msg, "its chain holds a certificate that cannot be read");
    otr_tls_free(tls);
    files_drop(&f);
}

T(stamps_tell_one_file_from_another)
{
    files f;
    files_make(&f);
    otr_stamp none = otr_stamp_of(""), a = otr_stamp_of(f.ca), b = otr_stamp_of(f.key);
    CHECK(!none.there && a.there && otr_stamp_same(&a, &a) && !otr_stamp_same(&a, &b));
    CHECK(!otr_stamp_same(&none, &a));
    (void)rename(f.key, f.ca);
    b = otr_stamp_of(f.ca);
    CHECK(!otr_stamp_same(&a, &b));
    files_drop(&f);
}
