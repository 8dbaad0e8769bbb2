#include "plugin/manifest/minisign.h"
#include "support/test.h"
#include "unit/plugin/manifest/signed_texts.h"

static otr_code verify(const char *key_text, const char *sig_text, otr_bytes data, otr_err *err)
{
    otr_minisign_key key;
    otr_minisign_sig sig;
    otr_code rc = otr_minisign_read_key(otr_bytes_of(key_text), &key, err);
    rc = rc == OTR_OK ? otr_minisign_read_sig(otr_bytes_of(sig_text), &sig, err) : rc;
    return rc == OTR_OK ? otr_minisign_verify(&key, &sig, data, err) : rc;
}

static void refused(const char *key, const char *sig, otr_bytes data, const char *part)
{
    otr_err err = { 0 };
    CHECK(verify(key, sig, data, &err) != OTR_OK);
    CHECK_HAS(err.msg, part);
}

T(what_is_no_key_is_refused)
{
    refused("", FILE_ED, plugin, "not a minisign public key");
    refused("RWTJ", FILE_ED, plugin, "not a minisign public key");
    refused(KEY_A KEY_A, FILE_ED, plugin, "not a minisign public key");
    refused(KEY_A "\nmore", FILE_ED, plugin, "not a minisign public key");
    refused("QUJJRYxHTB77iu5N7cLmzML0QFrXwBei04chTGGwI7hr7c3WOP5PLTcm", FILE_ED, plugin,
            "unknown kind");
}

T(what_is_no_signature_is_refused_with_its_line)
{
    refused(KEY_A, "", plugin, "line 1");
    refused(KEY_A, SIG_ED HEAD, plugin, "line 1");
    refused(KEY_A, HEAD, plugin, "line 2");
    refused(KEY_A, HEAD "AAAA\n", plugin, "line 2");
    refused(KEY_A, HEAD "QUJ" SIG_ED, plugin, "line 2");
    refused(KEY_A, HEAD SIG_ED, plugin, "line 3");
    refused(KEY_A, HEAD SIG_ED "comment: legacy\n" GLOBAL_ED, plugin, "line 3");
    refused(KEY_A, HEAD SIG_ED "trusted comment: legacy\n", plugin, "line 4");
    refused(KEY_A, HEAD SIG_ED "trusted comment: legacy\n" SIG_ED, plugin, "line 4");
    refused(KEY_A, FILE_ED "x", plugin, "line 4");
}

T(changed_bytes_are_refused_for_both_kinds)
{
    static const uint8_t other[] = "\0asm test plugin bytez";
    otr_bytes data = { other, sizeof(other) - 1 };
    refused(KEY_A, FILE_ED, data, "not the one that was signed");
    refused(KEY_A, FILE_PREHASHED, data, "not the one that was signed");
    refused(KEY_A, FILE_PREHASHED, (otr_bytes){ NULL, 0 }, "not the one that was signed");
}

T(a_changed_trusted_comment_is_refused)
{
    refused(KEY_A, HEAD SIG_ED "trusted comment: legacz\n" GLOBAL_ED, plugin, "trusted comment");
    refused(KEY_A, HEAD SIG_ED "trusted comment: \n" GLOBAL_ED, plugin, "trusted comment");
    refused(KEY_A, HEAD SIG_ED "trusted comment: legacy\n" GLOBAL_PREHASHED, plugin,
            "trusted comment");
}

T(a_signature_by_another_key_is_refused)
{
    refused(KEY_B, FILE_ED, plugin, "another key");
}

T(a_key_with_the_id_of_another_is_no_help)
{
    otr_minisign_key a, b;
    otr_minisign_sig sig;
    otr_err err = { 0 };
    REQUIRE_OK(otr_minisign_read_key(otr_bytes_of(KEY_A), &a, &err), err);
    REQUIRE_OK(otr_minisign_read_key(otr_bytes_of(KEY_B), &b, &err), err);
    REQUIRE_OK(otr_minisign_read_sig(otr_bytes_of(FILE_PREHASHED), &sig, &err), err);
    memcpy(b.id, a.id, sizeof(b.id));
    CHECK_INT(otr_minisign_verify(&b, &sig, plugin, &err), OTR_EDENIED);
}

T(signatures_of_both_kinds_are_accepted)
{
    otr_err err = { 0 };
    REQUIRE_OK(verify(KEY_A, FILE_ED, plugin, &err), err);
    REQUIRE_OK(verify(KEY_A, FILE_PREHASHED, plugin, &err), err);
}

T(a_key_file_with_windows_line_breaks_is_a_key)
{
    otr_err err = { 0 };
    REQUIRE_OK(verify("untrusted comment: mine\r\n" KEY_A "\r\n", FILE_ED, plugin, &err), err);
}
