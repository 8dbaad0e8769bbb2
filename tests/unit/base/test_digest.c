#include "base/digest.h"
#include "support/test.h"

/* The vectors of FIPS 180-4's examples. */
T(known_texts_have_known_digests)
{
    char out[OTR_SHA256_HEX_BYTES];
    CHECK_STR(otr_sha256_hex((otr_bytes){ NULL, 0 }, out),
              "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK_STR(otr_sha256_hex(otr_bytes_of("abc"), out),
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK_STR(otr_sha256_hex(
                  otr_bytes_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), out),
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

T(a_million_letters_have_a_known_digest)
{
    OTR_CLEANUP(otr_freep) char *text = otr_alloc(1000000);
    REQUIRE(text != NULL);
    memset(text, 'a', 1000000);
    char out[OTR_SHA256_HEX_BYTES];
    CHECK_STR(otr_sha256_hex((otr_bytes){ (const uint8_t *)text, 1000000 }, out),
              "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* Each length from none to beyond four blocks, in one piece and in pieces; the digest of all those
 * digests is Python's. */
T(pieces_have_the_digest_of_the_whole)
{
    uint8_t data[300];
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(i * 7 + 3);
    }
    otr_sha256 all;
    otr_sha256_init(&all);
    char whole[OTR_SHA256_HEX_BYTES], out[OTR_SHA256_HEX_BYTES];
    for (size_t n = 0; n <= sizeof(data); n++) {
        (void)otr_sha256_hex((otr_bytes){ data, n }, whole);
        otr_sha256_add(&all, otr_bytes_of(whole));
        for (size_t piece = 1; piece < 130; piece += piece < 60 ? 13 : 1) {
            otr_sha256 sum;
            otr_sha256_init(&sum);
            for (size_t at = 0; at < n; at += piece) {
                otr_sha256_add(&sum, (otr_bytes){ data + at, n - at < piece ? n - at : piece });
            }
            REQUIRE(strcmp(otr_sha256_end(&sum, out), whole) == 0);
        }
    }
    CHECK_STR(otr_sha256_end(&all, out),
              "9ab015b3431ba48c0f99e81c5bb7d903f6bfea343d7d7b190120d07cc51e653b");
}

/* `printf abc | openssl dgst -sha256 -binary | base64` */
T(a_digest_in_base64_ends_in_its_padding)
{
    char out[OTR_SHA256_BASE64_BYTES];
    CHECK_STR(otr_sha256_base64((otr_bytes){ NULL, 0 }, out),
              "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    CHECK_STR(otr_sha256_base64(otr_bytes_of("abc"), out),
              "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
}

/* RFC 7693's algorithm with a digest of 32 bytes, as `b2sum -l 256` prints it. */
T(blake2b_of_known_texts)
{
    char hex[OTR_SHA256_HEX_BYTES];
    CHECK_STR(otr_blake2b_hex((otr_bytes){ NULL, 0 }, hex),
              "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
    CHECK_STR(otr_blake2b_hex(otr_bytes_of("abc"), hex),
              "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
}

/* Vectors of RFC 4648, and one that makes a single '='. */
T(base64_has_its_padding)
{
    static const char *const known[][2] = { { "", "" },
                                            { "f", "Zg==" },
                                            { "ab", "YWI=" },
                                            { "foo", "Zm9v" },
                                            { "foob", "Zm9vYg==" },
                                            { "fooba", "Zm9vYmE=" },
                                            { "foobar", "Zm9vYmFy" } };
    for (size_t i = 0; i < OTR_COUNT(known); i++) {
        otr_err err = { 0 };
        OTR_CLEANUP(otr_buf_deinit) otr_buf out;
        otr_buf_init(&out, 64);
        REQUIRE_OK(otr_base64_add(otr_bytes_of(known[i][0]), &out, &err), err);
        CHECK_STR(otr_buf_text(&out), known[i][1]);
    }
}
