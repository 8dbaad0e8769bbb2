#include <stdio.h>

#include "base/clock.h"
#include "net/rpc/metadata.h"
#include "net/rpc/status.h"
#include "net/rpc/text.h"
#include "support/test.h"

T(a_timeout_is_written_with_eight_digits_and_rounded_up)
{
    char out[OTR_RPC_TIMEOUT_BYTES];
    CHECK_STR(otr_rpc_timeout_text(0, out), "0n");
    CHECK_STR(otr_rpc_timeout_text(1, out), "1n");
    CHECK_STR(otr_rpc_timeout_text(99999999, out), "99999999n");
    CHECK_STR(otr_rpc_timeout_text(100000000, out), "100000u");
    CHECK_STR(otr_rpc_timeout_text(100000001, out), "100001u");
    CHECK_STR(otr_rpc_timeout_text(10 * OTR_NS_PER_S, out), "10000000u");
    CHECK_STR(otr_rpc_timeout_text(100 * OTR_NS_PER_S, out), "100000m");
    CHECK_STR(otr_rpc_timeout_text(UINT64_C(99999999) * OTR_NS_PER_S, out), "99999999S");
    CHECK_STR(otr_rpc_timeout_text(UINT64_C(99999999) * OTR_NS_PER_S + 1, out), "1666667M");
    CHECK_STR(otr_rpc_timeout_text(UINT64_MAX, out), "5124096H");
}

T(a_timeout_is_read_or_refused)
{
    static const struct {
        const char *text;
        bool ok;
        uint64_t ns;
    } cases[] = {
        { "1n", true, 1 },
        { "10u", true, 10000 },
        { "99999999m", true, UINT64_C(99999999) * OTR_NS_PER_MS },
        { "1S", true, OTR_NS_PER_S },
        { "2M", true, 120 * OTR_NS_PER_S },
        { "1H", true, 3600 * OTR_NS_PER_S },
        { "99999999H", true, UINT64_MAX },
        { "0S", true, 0 },
        { "", false, 0 },
        { "S", false, 0 },
        { "1", false, 0 },
        { "1s", false, 0 },
        { "-1S", false, 0 },
        { "+1S", false, 0 },
        { "1 S", false, 0 },
        { "1.5S", false, 0 },
        { "123456789S", false, 0 },
        { "1SS", false, 0 },
    };
    for (size_t i = 0; i < OTR_COUNT(cases); i++) {
        uint64_t ns = 7;
        CHECK(otr_rpc_timeout_parse(otr_bytes_of(cases[i].text), &ns) == cases[i].ok);
        CHECK_INT(ns, cases[i].ok ? cases[i].ns : 7);
    }
}

T(what_is_written_is_read_back_not_shorter)
{
    for (uint64_t ns = 1; ns < UINT64_MAX / 3; ns *= 3) {
        char out[OTR_RPC_TIMEOUT_BYTES];
        uint64_t back = 0;
        CHECK(otr_rpc_timeout_parse(otr_bytes_of(otr_rpc_timeout_text(ns, out)), &back));
        CHECK(back >= ns && back - ns <= ns / 1000);
    }
}

static void percent(const char *plain, const char *coded)
{
    otr_buf out;
    otr_err err = { 0 };
    otr_buf_init(&out, 1000);
    otr_code rc = otr_rpc_percent_add(otr_bytes_of(plain), &out, &err);
    CHECK(rc == OTR_OK && strcmp(otr_buf_text(&out), coded) == 0);
    otr_buf_deinit(&out);
    rc = otr_rpc_percent_read(otr_bytes_of(coded), &out, &err);
    CHECK(rc == OTR_OK && strcmp(otr_buf_text(&out), plain) == 0);
    otr_buf_deinit(&out);
}

T(a_message_is_percent_encoded_and_decoded)
{
    percent("", "");
    percent("plain text ~!", "plain text ~!");
    percent("100%", "100%25");
    percent("\xc3\xa9\n\x7f", "%C3%A9%0A%7F");
}

T(percent_signs_that_lead_nowhere_stay)
{
    otr_buf out;
    otr_err err = { 0 };
    otr_buf_init(&out, 1000);
    REQUIRE_OK(otr_rpc_percent_read(otr_bytes_of("a%zz%4%c3%A9%"), &out, &err), err);
    CHECK_STR(otr_buf_text(&out), "a%zz%4\xc3\xa9%");
    otr_buf_deinit(&out);
}

T(what_is_too_long_is_refused_whole)
{
    otr_buf out;
    otr_buf_init(&out, 4);
    CHECK(otr_rpc_percent_add(otr_bytes_of("ab\n"), &out, NULL) != OTR_OK);
    CHECK_INT(out.n, 0);
    otr_buf_deinit(&out);
}

static void binary(const char *text, otr_code want, const char *bytes)
{
    otr_buf out;
    otr_err err = { 0 };
    otr_buf_init(&out, 100);
    otr_code rc = otr_rpc_binary_read(otr_bytes_of(text), &out, &err);
    CHECK_INT(rc, want);
    if (rc == OTR_OK) {
        CHECK_STR(otr_buf_text(&out), bytes);
    }
    otr_buf_deinit(&out);
}

T(binary_values_are_base64_with_padding_or_without)
{
    binary("", OTR_OK, "");
    binary("YQ", OTR_OK, "a");
    binary("YQ==", OTR_OK, "a");
    binary("YWI=", OTR_OK, "ab");
    binary("YWI", OTR_OK, "ab");
    binary("YWJj", OTR_OK, "abc");
    binary("+/+/", OTR_OK, "\xfb\xff\xbf");
    binary("Y", OTR_EINVAL, "");
    binary("YQ=", OTR_EINVAL, "");
    binary("Y===", OTR_EINVAL, "");
    binary("====", OTR_EINVAL, "");
    binary("YW-j", OTR_EINVAL, "");
    binary("YQ==YQ==", OTR_EINVAL, "");
    otr_buf out;
    otr_err err = { 0 };
    otr_buf_init(&out, 100);
    REQUIRE_OK(otr_rpc_binary_add(otr_bytes_of("ab"), &out, &err), err);
    CHECK_STR(otr_buf_text(&out), "YWI");
    otr_buf_deinit(&out);
}

T(statuses_come_from_text_http_and_resets)
{
    CHECK_INT(otr_rpc_status_of_text(otr_bytes_of("0")), OTR_RPC_OK);
    CHECK_INT(otr_rpc_status_of_text(otr_bytes_of("16")), OTR_RPC_UNAUTHENTICATED);
    static const char *const wrong[] = { "", "17", "-1", "x", "016", "1 ", "99999999999" };
    for (size_t i = 0; i < OTR_COUNT(wrong); i++) {
        CHECK_INT(otr_rpc_status_of_text(otr_bytes_of(wrong[i])), OTR_RPC_UNKNOWN);
    }
    CHECK_INT(otr_rpc_status_of_http(404), OTR_RPC_UNIMPLEMENTED);
    CHECK_INT(otr_rpc_status_of_http(504), OTR_RPC_UNAVAILABLE);
    CHECK_INT(otr_rpc_status_of_http(500), OTR_RPC_UNKNOWN);
    CHECK_INT(otr_rpc_status_of_reset(7), OTR_RPC_UNAVAILABLE);
    CHECK_INT(otr_rpc_status_of_reset(8), OTR_RPC_CANCELLED);
    CHECK_INT(otr_rpc_status_of_reset(3), OTR_RPC_INTERNAL);
    CHECK_INT(otr_rpc_status_of_reset(1000), OTR_RPC_UNKNOWN);
    CHECK_STR(otr_rpc_status_name(OTR_RPC_UNAVAILABLE), "UNAVAILABLE");
    CHECK_STR(otr_rpc_reset_name(14), "an unknown error");
}

T(metadata_is_checked_kept_in_order_and_bounded)
{
    otr_rpc_metadata md;
    otr_err err = { 0 };
    otr_rpc_metadata_init(&md, 200);
    static const char *const names[] = {
        "", "Upper", "a b", "te", "grpc-x", ":path", "host", "\xc3"
    };
    for (size_t i = 0; i < OTR_COUNT(names); i++) {
        CHECK_INT(otr_rpc_metadata_adds(&md, names[i], "v", &err), OTR_EINVAL);
    }
    CHECK_INT(otr_rpc_metadata_adds(&md, "a", "line\nbreak", &err), OTR_EINVAL);
    otr_code rc = otr_rpc_metadata_adds(&md, "a", "1", &err);
    rc = rc == OTR_OK ? otr_rpc_metadata_adds(&md, "a", "2", &err) : rc;
    rc = rc == OTR_OK
             ? otr_rpc_metadata_add(&md, "b-bin", (otr_bytes){ (const uint8_t *)"\0", 1 }, &err)
             : rc;
    if (rc == OTR_OK) {
        CHECK_STR(otr_rpc_metadata_text(&md, "a"), "1");
        CHECK_STR(otr_rpc_metadata_text(&md, "none"), "");
        CHECK_INT(otr_rpc_metadata_find(&md, "b-bin")->value.n, 1);
        CHECK_INT(md.bytes, 34 + 34 + 38);
        char large[100];
        memset(large, 'x', sizeof large - 1);
        large[sizeof large - 1] = '\0';
        CHECK_INT(otr_rpc_metadata_adds(&md, "large", large, &err), OTR_EQUOTA);
        CHECK_INT(md.n, 3);
    }
    otr_rpc_metadata_deinit(&md);
}

T(binary_metadata_of_a_peer_may_be_a_list)
{
    otr_rpc_metadata md;
    otr_err err = { 0 };
    otr_rpc_metadata_init(&md, 1000);
    otr_code rc = otr_rpc_metadata_take(&md, otr_bytes_of("x-bin"), otr_bytes_of("YQ==,Yg,"), &err);
    if (rc == OTR_OK) {
        CHECK_INT(md.n, 3);
        CHECK_STR((const char *)md.items[1].value.p, "b");
        CHECK_INT(md.items[2].value.n, 0);
    }
    CHECK(otr_rpc_metadata_take(&md, otr_bytes_of("x-bin"), otr_bytes_of("YQ, Yg"), &err) !=
          OTR_OK);
    otr_rpc_metadata_deinit(&md);
}
