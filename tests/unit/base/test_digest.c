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
