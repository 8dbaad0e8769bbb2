#include <stdio.h>

#include "nginx/check/cert.h"
#include "nginx/check/der.h"
#include "support/test.h"

/* Made for these tests by openssl req; the keys open nothing. */
static const char ec_cert[] = "-----BEGIN CERTIFICATE-----\n"
                              "MIIBbTCCAROgAwIBAgIUdKUmAcVcKtGI29XYQCyt/m4P+WEwCgYIKoZIzj0EAwIw\n"
                              "DDEKMAgGA1UEAwwBYTAeFw0yNjExMzAyMTI4NTFaFw0yNjEyMzAyMTI4NTFaMAwx\n"
                              "CjAIBgNVBAMMAWEwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQkkn6rSRCmBePg\n"
                              "xktMT0Efb1w/hUwy68ZzMxhRvZsoFaHbo5TkGxoh1JDlRrVNhl5t+1lUUsNWCg9T\n"
                              "npva98Pro1MwUTAdBgNVHQ4EFgQUAt3VNf2JJCQPXdJw0367TM1qs8UwHwYDVR0j\n"
                              "BBgwFoAUAt3VNf2JJCQPXdJw0367TM1qs8UwDwYDVR0TAQH/BAUwAwEB/zAKBggq\n"
                              "hkjOPQQDAgNIADBFAiBZUGbqH5VRP43ysMwnyQ2+T3lrcb3MDSf7+hRo4n8RpgIh\n"
                              "AJHOdUxzORahvmSqxmIWTLY7hkYS3MwMhTXS44ITfWNS\n"
                              "-----END CERTIFICATE-----\n";
static const char ec_key[] = "-----BEGIN PRIVATE KEY-----\n"
                             "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgoBPSD6otWGP8ItyM\n"
                             "7o+2mcBYqGN07Z2wgNgt9oGVY6WhRANCAAQkkn6rSRCmBePgxktMT0Efb1w/hUwy\n"
                             "68ZzMxhRvZsoFaHbo5TkGxoh1JDlRrVNhl5t+1lUUsNWCg9Tnpva98Pr\n"
                             "-----END PRIVATE KEY-----\n";
static const char rsa_cert[] = "-----BEGIN CERTIFICATE-----\n"
                               "MIIB9DCCAV2gAwIBAgIUS19pK8AiCfHETcYMa4DeweVmy5kwDQYJKoZIhvcNAQEL\n"
                               "BQAwDDEKMAgGA1UEAwwBYTAeFw0yNjExMzAyMTI4NTFaFw0yOTA1MTgyMTI4NTFa\n"
                               "MAwxCjAIBgNVBAMMAWEwgZ8wDQYJKoZIhvcNAQEBBQADgY0AMIGJAoGBALawHMPt\n"
                               "DlXcN1s/W7diEVEjv47lE9dK0ahHkDR/wouDFE7vb1TWfx0Vu4FGArsZ3mstMGrj\n"
                               "24TwCgq0J+yvMO1vzhH/AZIAIy+cEaPsPDjqiC04RyazG1dExIctrDtMc2xj0sa7\n"
                               "3V67wzqJslrOqD98PPDBqvDl0q/zQ9sPAKzjAgMBAAGjUzBRMB0GA1UdDgQWBBR9\n"
                               "nSC1RVbGDT9jTJPvlAH05iuipzAfBgNVHSMEGDAWgBR9nSC1RVbGDT9jTJPvlAH0\n"
                               "5iuipzAPBgNVHRMBAf8EBTADAQH/MA0GCSqGSIb3DQEBCwUAA4GBAEU2hYNzK0vz\n"
                               "ue0KymDDjwEJWnJZ1tqhmDaS0x4nYOtMBnCC/4CRJc5r2NHK5eBaSPXkfP7dXmUq\n"
                               "DcOzVfGJZW7sv0DEq3S9+hX1ui/73C9Dpoy4RLLBgR7YyeBZrK9KOYaCVBiwgtdO\n"
                               "Tss++peKSCinTmLYiZBriF4Fc+SxKpcn\n"
                               "-----END CERTIFICATE-----\n";
static const char rsa_key[] = "-----BEGIN PRIVATE KEY-----\n"
                              "MIICeAIBADANBgkqhkiG9w0BAQEFAASCAmIwggJeAgEAAoGBALawHMPtDlXcN1s/\n"
                              "W7diEVEjv47lE9dK0ahHkDR/wouDFE7vb1TWfx0Vu4FGArsZ3mstMGrj24TwCgq0\n"
                              "J+yvMO1vzhH/AZIAIy+cEaPsPDjqiC04RyazG1dExIctrDtMc2xj0sa73V67wzqJ\n"
                              "slrOqD98PPDBqvDl0q/zQ9sPAKzjAgMBAAECgYEAjeOo4895g9w/LmK+RGcplgCS\n"
                              "5lQrndphjjbO3Meh/SN4oXo72QOjxJ49fME4m8MSyeFWKp8Av3aEBh44qA7Fi0PZ\n"
                              "SJlJWyslRu9syJdy0fzZ2XAvbWLMFSjS3LKAdBJF5+jf4LyN7TNB3cNNW3ybkq6K\n"
                              "OGwdZsvj1pYC3j9YAVkCQQDmuRisafHSPNQl+A/KN3tN2IqoMZ8Cl3GoOyX/x9Sj\n"
                              "IRSQRb/qzwuvTXVq5NMasxT6CRgB1nE5oYxOVavnzgM3AkEAyrPQdMRf78ZZlj0v\n"
                              "vtegAXxMfCdECIWWRgvjn805CU1iGPJ8b7RBMD5hpgl4oAVdO/kO/Uo04R91Zwga\n"
                              "sUxRtQJBAIK+jT7W4pQyqD3D7p63Bga9GQXq6KK9U0j0C7qAcPzoOBDxlanoHkT+\n"
                              "7fTfKsnMhayTDqmr7YmtBCc34SyAz80CQQDFK0tliW7YSNPzs+ixdgSJ7WJokbk3\n"
                              "oNmfoQj09Ca6ya7WHWi1L10JlGRfoW7YGN+r6oOOFZSCNpt4cQWl2FrRAkBwCAne\n"
                              "oh9CSJX1GH7LTyjIzXb7HQfFdrkUQrnrKTFL/OH2fO+2RTIjjg8bpGdudABjLlk2\n"
                              "1AhNTj2U7lG2WgEc\n"
                              "-----END PRIVATE KEY-----\n";
static const char rsa_old_key[] =
    "-----BEGIN RSA PRIVATE KEY-----\n"
    "MIICXgIBAAKBgQC2sBzD7Q5V3DdbP1u3YhFRI7+O5RPXStGoR5A0f8KLgxRO729U\n"
    "1n8dFbuBRgK7Gd5rLTBq49uE8AoKtCfsrzDtb84R/wGSACMvnBGj7Dw46ogtOEcm\n"
    "sxtXRMSHLaw7THNsY9LGu91eu8M6ibJazqg/fDzwwarw5dKv80PbDwCs4wIDAQAB\n"
    "AoGBAI3jqOPPeYPcPy5ivkRnKZYAkuZUK53aYY42ztzHof0jeKF6O9kDo8SePXzB\n"
    "OJvDEsnhViqfAL92hAYeOKgOxYtD2UiZSVsrJUbvbMiXctH82dlwL21izBUo0tyy\n"
    "gHQSRefo3+C8je0zQd3DTVt8m5KuijhsHWbL49aWAt4/WAFZAkEA5rkYrGnx0jzU\n"
    "JfgPyjd7TdiKqDGfApdxqDsl/8fUoyEUkEW/6s8Lr011auTTGrMU+gkYAdZxOaGM\n"
    "TlWr584DNwJBAMqz0HTEX+/GWZY9L77XoAF8THwnRAiFlkYL45/NOQlNYhjyfG+0\n"
    "QTA+YaYJeKAFXTv5Dv1KNOEfdWcIGrFMUbUCQQCCvo0+1uKUMqg9w+6etwYGvRkF\n"
    "6uiivVNI9Au6gHD86DgQ8ZWp6B5E/u303yrJzIWskw6pq+2JrQQnN+EsgM/NAkEA\n"
    "xStLZYlu2EjT87PosXYEie1iaJG5N6DZn6EI9PQmusmu1h1otS9dCZRkX6Fu2Bjf\n"
    "q+qDjhWUgjabeHEFpdha0QJAcAgJ3qIfQkiV9Rh+y08oyM12+x0HxXa5FEK56ykx\n"
    "S/zh9nzvtkUyI44PG6RnbnQAYy5ZNtQITU49lO5RtloBHA==\n"
    "-----END RSA PRIVATE KEY-----\n";
static const char ed_cert[] = "-----BEGIN CERTIFICATE-----\n"
                              "MIIBLDCB36ADAgECAhRsKTv3qilHjj86lqmDdvHPsDV8ZTAFBgMrZXAwDDEKMAgG\n"
                              "A1UEAwwBYTAeFw0yNjExMzAyMTI4NTFaFw0yOTAyMDcyMTI4NTFaMAwxCjAIBgNV\n"
                              "BAMMAWEwKjAFBgMrZXADIQAmM/r90h8XJpShOuNo/IP+E6lozM/i6Q6RhZEe+T4+\n"
                              "QqNTMFEwHQYDVR0OBBYEFKXCkI9c6jMQCQ0dI2U0/RxXQ4XhMB8GA1UdIwQYMBaA\n"
                              "FKXCkI9c6jMQCQ0dI2U0/RxXQ4XhMA8GA1UdEwEB/wQFMAMBAf8wBQYDK2VwA0EA\n"
                              "sTxn+cmuzOWM2OBNoQsealDqOI4bqOV3JhaMM9pzYOO6nK9zZ43rmD03OeOt4+FK\n"
                              "j9RpVc9iDBaNSgrNLGWoCw==\n"
                              "-----END CERTIFICATE-----\n";
static const char ed_key[] = "-----BEGIN PRIVATE KEY-----\n"
                             "MC4CAQAwBQYDK2VwBCIEIGZ1EgT8cbx6Ffzth8wfdFFa4+dL1vSs/FmYdx3RUpH/\n"
                             "-----END PRIVATE KEY-----\n";

static bool fits(const char *cert, const char *key, otr_certs *certs)
{
    otr_public_key k;
    otr_err err;
    return otr_certs_read(otr_bytes_of(cert), certs, &err) == OTR_OK &&
           otr_key_read(otr_bytes_of(key), &k, &err) == OTR_OK && k.known && certs->key.known &&
           memcmp(k.digest, certs->key.digest, sizeof(k.digest)) == 0;
}

T(a_file_without_a_certificate_or_key_is_an_error)
{
    otr_certs certs;
    otr_public_key key;
    otr_err err = { 0 };
    CHECK_INT(otr_certs_read(otr_bytes_of("hello"), &certs, &err), OTR_EINVAL);
    CHECK_INT(otr_key_read(otr_bytes_of(ec_cert), &key, &err), OTR_EINVAL);
    CHECK_INT(otr_certs_read(
                  otr_bytes_of("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"),
                  &certs, &err),
              OTR_EINVAL);
    CHECK_INT(
        otr_certs_read(otr_bytes_of("-----BEGIN CERTIFICATE-----\n%\n-----END CERTIFICATE-----\n"),
                       &certs, &err),
        OTR_EINVAL);
    CHECK_INT(otr_certs_read(otr_bytes_of("-----BEGIN CERTIFICATE-----\nMAA="), &certs, &err),
              OTR_EINVAL);
}

T(keys_fit_their_own_certificates_only)
{
    otr_certs certs = { 0 };
    CHECK(fits(ec_cert, ec_key, &certs));
    CHECK_INT(certs.n, 1);
    CHECK_INT(certs.not_after - certs.not_before, 30 * 86400);
    CHECK(fits(rsa_cert, rsa_key, &certs));
    CHECK(fits(rsa_cert, rsa_old_key, &certs));
    CHECK(fits(ed_cert, ed_key, &certs));
    CHECK(!fits(ec_cert, rsa_key, &certs));
    CHECK(!fits(ed_cert, ec_key, &certs));
}

T(an_encrypted_key_is_not_known)
{
    otr_public_key key;
    otr_err err = { 0 };
    CHECK_INT(
        otr_key_read(otr_bytes_of("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED "
                                  "PRIVATE KEY-----\n"),
                     &key, &err),
        OTR_EUNSUP);
    CHECK_HAS(err.msg, "encrypted");
    CHECK_INT(otr_key_read(
                  otr_bytes_of("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMAA=\n"
                               "-----END RSA PRIVATE KEY-----\n"),
                  &key, &err),
              OTR_EUNSUP);
}

T(the_soonest_of_a_chain_counts)
{
    char chain[4000];
    otr_certs certs = { 0 };
    otr_err err;
    (void)snprintf(chain, sizeof(chain), "%s%s%s", rsa_cert, ec_cert, ed_cert);
    REQUIRE_OK(otr_certs_read(otr_bytes_of(chain), &certs, &err), err);
    CHECK_INT(certs.n, 3);
    CHECK_INT(certs.soonest, 2);
}

static int64_t time_of(uint8_t tag, const char *text)
{
    otr_der der = { .tag = tag, .value = otr_bytes_of(text) };
    int64_t seconds;
    return otr_der_time(&der, &seconds) ? seconds : INT64_MIN;
}

T(times_are_those_of_the_calendar)
{
    CHECK_INT(time_of(OTR_DER_UTC_TIME, "700101000000Z"), 0);
    CHECK_INT(time_of(OTR_DER_UTC_TIME, "491231235959Z"), 2524607999);
    CHECK_INT(time_of(OTR_DER_UTC_TIME, "500101000000Z"), -631152000);
    CHECK_INT(time_of(OTR_DER_TIME, "20240229120000Z"), 1709208000);
    CHECK_INT(time_of(OTR_DER_TIME, "99991231235959Z"), 253402300799);
    CHECK_INT(time_of(OTR_DER_UTC_TIME, "7001010000Z"), INT64_MIN);
    CHECK_INT(time_of(OTR_DER_UTC_TIME, "701301000000Z"), INT64_MIN);
    CHECK_INT(time_of(OTR_DER_TIME, "2024022912000xZ"), INT64_MIN);
}

T(lengths_that_lie_are_refused)
{
    static const uint8_t bad[][6] = { { 0x30, 0x05, 1 },
                                      { 0x30, 0x84, 0xff, 0xff, 0xff, 0xff },
                                      { 0x30, 0x80, 0, 0 },
                                      { 0x1f, 0x01, 0 },
                                      { 0x30, 0x85, 0, 0, 0, 0 } };
    for (size_t i = 0; i < OTR_COUNT(bad); i++) {
        otr_bytes rest = { bad[i], i == 0 ? 3 : 6 };
        otr_der der;
        CHECK(!otr_der_next(&rest, &der));
    }
}
