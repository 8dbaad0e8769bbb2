#include "nginx/check/cert.h"

#include <sodium.h>

#include "base/alloc.h"
#include "nginx/check/der.h"

/* ---- PEM ---- */

typedef struct block { /* "-----BEGIN <label>-----" … "-----END" */
    otr_bytes label, body;
} block;

static const uint8_t *find(otr_bytes text, const char *what)
{
    return text.n > 0 ? memmem(text.p, text.n, what, strlen(what)) : NULL;
}

static bool next_block(otr_bytes *rest, block *ret)
{
    static const char begin[] = "-----BEGIN ", end[] = "-----END ", dashes[] = "-----";
    const uint8_t *at = find(*rest, begin);
    if (at == NULL) {
        return false;
    }
    const uint8_t *stop = rest->p + rest->n;
    at += sizeof(begin) - 1;
    otr_bytes left = { at, (size_t)(stop - at) };
    const uint8_t *close = find(left, dashes);
    if (close == NULL) {
        return false;
    }
    ret->label = (otr_bytes){ at, (size_t)(close - at) };
    close += sizeof(dashes) - 1;
    left = (otr_bytes){ close, (size_t)(stop - close) };
    const uint8_t *tail = find(left, end);
    if (tail == NULL) {
        return false;
    }
    ret->body = (otr_bytes){ close, (size_t)(tail - close) };
    *rest = (otr_bytes){ tail, (size_t)(stop - tail) };
    return true;
}

static bool is_label(const block *b, const char *text)
{
    return b->label.n == strlen(text) && memcmp(b->label.p, text, b->label.n) == 0;
}

/* The bytes of a block; the caller frees them. */
static otr_code decode(const block *b, uint8_t **ret, otr_bytes *ret_der, otr_err *err)
{
    *ret = otr_alloc(b->body.n + 1);
    if (*ret == NULL) {
        return otr_fail_nomem(err);
    }
    size_t n = 0;
    if (sodium_base642bin(*ret, b->body.n + 1, (const char *)b->body.p, b->body.n, " \t\r\n", &n,
                          NULL, sodium_base64_VARIANT_ORIGINAL) != 0) {
        otr_free(*ret);
        *ret = NULL;
        return otr_fail(err, OTR_EINVAL, "its base64 is broken");
    }
    *ret_der = (otr_bytes){ *ret, n };
    return OTR_OK;
}

/* ---- public keys ---- */

static bool is_oid(const otr_der *oid, const char *bytes, size_t n)
{
    return oid->value.n == n && memcmp(oid->value.p, bytes, n) == 0;
}
#define IS_OID(der, text) is_oid((der), (text), sizeof(text) - 1)
#define RSA               "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"
#define EC                "\x2a\x86\x48\xce\x3d\x02\x01"
#define ED25519           "\x2b\x65\x70"

static void set_key(otr_public_key *key, otr_bytes a, otr_bytes b)
{
    crypto_generichash_state state;
    (void)crypto_generichash_init(&state, NULL, 0, sizeof(key->digest));
    (void)crypto_generichash_update(&state, a.p, a.n);
    (void)crypto_generichash_update(&state, b.p, b.n);
    (void)crypto_generichash_final(&state, key->digest, sizeof(key->digest));
    key->known = true;
}

/* SEQUENCE { INTEGER modulus, INTEGER exponent … } behind a version where there is one. */
static bool set_rsa(otr_public_key *key, otr_bytes text, bool is_private)
{
    otr_der list, version, modulus, exponent;
    if (!otr_der_take(&text, OTR_DER_SEQUENCE, &list)) {
        return false;
    }
    otr_bytes rest = list.value;
    if ((is_private && !otr_der_take(&rest, OTR_DER_INTEGER, &version)) ||
        !otr_der_take(&rest, OTR_DER_INTEGER, &modulus) ||
        !otr_der_take(&rest, OTR_DER_INTEGER, &exponent)) {
        return false;
    }
    set_key(key, modulus.value, exponent.value);
    return true;
}

/* A point: its first coordinate tells it from others, and both ways to write it have that one. */
static bool set_point(otr_public_key *key, otr_bytes bits)
{
    if (bits.n < 4 || bits.p[0] != 0) {
        return false;
    }
    otr_bytes x = { bits.p + 2, bits.p[1] == 4 ? (bits.n - 2) / 2 : bits.n - 2 };
    set_key(key, otr_bytes_of("ec"), x);
    return true;
}

/* SubjectPublicKeyInfo */
static void read_public(otr_bytes text, otr_public_key *key)
{
    otr_der kind, oid, bits;
    if (!otr_der_take(&text, OTR_DER_SEQUENCE, &kind) ||
        !otr_der_take(&text, OTR_DER_BITS, &bits) || bits.value.n < 2 ||
        !otr_der_take(&kind.value, OTR_DER_OID, &oid)) {
        return;
    }
    otr_bytes plain = { bits.value.p + 1, bits.value.n - 1 };
    if (IS_OID(&oid, RSA)) {
        (void)set_rsa(key, plain, false);
    } else if (IS_OID(&oid, EC)) {
        (void)set_point(key, bits.value);
    } else if (IS_OID(&oid, ED25519)) {
        set_key(key, otr_bytes_of("ed25519"), plain);
    }
}

/* ---- certificates ---- */

static bool read_cert(otr_bytes text, int64_t *from, int64_t *to, otr_public_key *key)
{
    otr_der cert, body, skip, valid, time, public;
    if (!otr_der_take(&text, OTR_DER_SEQUENCE, &cert) ||
        !otr_der_take(&cert.value, OTR_DER_SEQUENCE, &body)) {
        return false;
    }
    otr_bytes rest = body.value;
    (void)otr_der_take(&rest, OTR_DER_TAGGED_0, &skip); /* version */
    if (!otr_der_take(&rest, OTR_DER_INTEGER, &skip) ||
        !otr_der_take(&rest, OTR_DER_SEQUENCE, &skip) ||
        !otr_der_take(&rest, OTR_DER_SEQUENCE, &skip) ||
        !otr_der_take(&rest, OTR_DER_SEQUENCE, &valid) || !otr_der_next(&valid.value, &time) ||
        !otr_der_time(&time, from) || !otr_der_next(&valid.value, &time) ||
        !otr_der_time(&time, to) || !otr_der_take(&rest, OTR_DER_SEQUENCE, &skip) ||
        !otr_der_take(&rest, OTR_DER_SEQUENCE, &public)) {
        return false;
    }
    read_public(public.value, key);
    return true;
}

static otr_code add_cert(const block *b, otr_certs *to, otr_err *err)
{
    uint8_t *bytes;
    otr_bytes der;
    int64_t from, until;
    otr_public_key key = { 0 };
    otr_code rc = decode(b, &bytes, &der, err);
    if (rc != OTR_OK) {
        return rc;
    }
    if (!read_cert(der, &from, &until, &key)) {
        rc = otr_fail(err, OTR_EINVAL, "certificate %zu in it is broken", to->n + 1);
    } else {
        to->n++;
        if (to->n == 1) {
            to->key = key;
        }
        if (to->n == 1 || until < to->not_after) {
            to->not_after = until;
            to->soonest = to->n;
        }
        to->not_before = to->n == 1 || from > to->not_before ? from : to->not_before;
    }
    otr_free(bytes);
    return rc;
}

otr_code otr_certs_read(otr_bytes pem, otr_certs *ret, otr_err *err)
{
    *ret = (otr_certs){ 0 };
    block b;
    otr_code rc = OTR_OK;
    while (rc == OTR_OK && next_block(&pem, &b)) {
        if (is_label(&b, "CERTIFICATE") || is_label(&b, "X509 CERTIFICATE") ||
            is_label(&b, "TRUSTED CERTIFICATE")) {
            rc = add_cert(&b, ret, err);
        }
    }
    return rc == OTR_OK && ret->n == 0 ? otr_fail(err, OTR_EINVAL, "there is no certificate in it")
                                       : rc;
}

/* ---- private keys ---- */

/* ECPrivateKey: its public half is optional. */
static bool read_ec(otr_bytes text, otr_public_key *key)
{
    otr_der list, skip, tagged, bits;
    if (!otr_der_take(&text, OTR_DER_SEQUENCE, &list) ||
        !otr_der_take(&list.value, OTR_DER_INTEGER, &skip) ||
        !otr_der_take(&list.value, OTR_DER_OCTETS, &skip)) {
        return false;
    }
    (void)otr_der_take(&list.value, OTR_DER_TAGGED_0, &skip);
    return otr_der_take(&list.value, OTR_DER_TAGGED_1, &tagged) &&
           otr_der_take(&tagged.value, OTR_DER_BITS, &bits) && set_point(key, bits.value);
}

static bool read_ed25519(otr_bytes text, otr_public_key *key)
{
    otr_der seed;
    uint8_t public[crypto_sign_PUBLICKEYBYTES], secret[crypto_sign_SECRETKEYBYTES];
    if (!otr_der_take(&text, OTR_DER_OCTETS, &seed) || seed.value.n != crypto_sign_SEEDBYTES) {
        return false;
    }
    (void)crypto_sign_seed_keypair(public, secret, seed.value.p);
    sodium_memzero(secret, sizeof(secret));
    set_key(key, otr_bytes_of("ed25519"), (otr_bytes){ public, sizeof(public) });
    return true;
}

/* PrivateKeyInfo (PKCS #8) */
static bool read_pkcs8(otr_bytes text, otr_public_key *key)
{
    otr_der list, skip, kind, oid, inner;
    if (!otr_der_take(&text, OTR_DER_SEQUENCE, &list) ||
        !otr_der_take(&list.value, OTR_DER_INTEGER, &skip) ||
        !otr_der_take(&list.value, OTR_DER_SEQUENCE, &kind) ||
        !otr_der_take(&list.value, OTR_DER_OCTETS, &inner) ||
        !otr_der_take(&kind.value, OTR_DER_OID, &oid)) {
        return false;
    }
    return IS_OID(&oid, RSA)       ? set_rsa(key, inner.value, true)
           : IS_OID(&oid, EC)      ? read_ec(inner.value, key)
           : IS_OID(&oid, ED25519) ? read_ed25519(inner.value, key)
                                   : false;
}

static otr_code read_private(const block *b, otr_public_key *ret, otr_err *err)
{
    uint8_t *bytes;
    otr_bytes der;
    if (is_label(b, "ENCRYPTED PRIVATE KEY") || find(b->body, "ENCRYPTED") != NULL) {
        return otr_fail(err, OTR_EUNSUP, "it is encrypted");
    }
    otr_code rc = decode(b, &bytes, &der, err);
    if (rc != OTR_OK) {
        return rc;
    }
    bool known = is_label(b, "RSA PRIVATE KEY")  ? set_rsa(ret, der, true)
                 : is_label(b, "EC PRIVATE KEY") ? read_ec(der, ret)
                                                 : read_pkcs8(der, ret);
    sodium_memzero(bytes, der.n);
    otr_free(bytes);
    return known ? OTR_OK : otr_fail(err, OTR_EUNSUP, "its public half cannot be had from it");
}

otr_code otr_key_read(otr_bytes pem, otr_public_key *ret, otr_err *err)
{
    *ret = (otr_public_key){ 0 };
    block b;
    while (next_block(&pem, &b)) {
        static const char tail[] = "PRIVATE KEY";
        size_t n = sizeof(tail) - 1;
        if (b.label.n >= n && memcmp(b.label.p + b.label.n - n, tail, n) == 0) {
            return read_private(&b, ret, err);
        }
    }
    return otr_fail(err, OTR_EINVAL, "there is no private key in it");
}
