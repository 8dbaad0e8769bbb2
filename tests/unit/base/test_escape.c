#include "base/escape.h"
#include "base/json.h"
#include "support/test.h"

static const char *escaped(const char *text)
{
    static char out[256];
    return otr_escape_text(otr_bytes_of(text), out, sizeof(out));
}

T(what_drives_a_terminal_is_written_as_c_writes_it)
{
    CHECK_STR(escaped("\x1b[2J\a\b\x7f"), "\\x1b[2J\\x07\\x08\\x7f");
    CHECK_STR(escaped("a\nb\rc\td"), "a\\nb\\rc\\td");
    CHECK_STR(escaped("\xc2\x9b"
                      "31m"),
              "\\u009b31m");
    CHECK_STR(escaped("\x9b"
                      "31m"),
              "\\x9b31m");
    CHECK_STR(escaped("\xe2\x80\xae"
                      "txt.exe\xe2\x81\xa6\xef\xbb\xbf"),
              "\\u202etxt.exe\\u2066\\ufeff");
    CHECK_STR(escaped("\xf3\xa0\x80\x81\xe2\x80\xa8"), "\\U000e0001\\u2028");
}

T(what_is_no_text_is_written_byte_by_byte)
{
    CHECK_STR(escaped("a\xff\xc3(\xed\xa0\x80\xf0\x9f"), "a\\xff\\xc3(\\xed\\xa0\\x80\\xf0\\x9f");
    char out[16];
    const uint8_t nul[] = { 'a', 0, 'b' };
    CHECK_STR(otr_escape_text((otr_bytes){ nul, 3 }, out, sizeof(out)), "a\\x00b");
}

T(all_other_text_stays_and_twice_is_as_once)
{
    static const char plain[] = "gr\xc3\xb6\xc3\x9f"
                                "e \xf0\x9f\xa6\x80 C:\\new \"quoted\" 100%";
    CHECK_STR(escaped(plain), plain);
    char once[64];
    (void)otr_escape_text(otr_bytes_of("\x1b\n\xff"), once, sizeof(once));
    CHECK_STR(escaped(once), once);
    CHECK_STR(escaped(""), "");
}

T(a_text_is_cut_between_characters_and_escapes)
{
    char out[9];
    CHECK_STR(otr_escape_text(otr_bytes_of("12345678"), out, sizeof(out)), "12345678");
    CHECK_STR(otr_escape_text(otr_bytes_of("123456789"), out, sizeof(out)), "12345...");
    CHECK_STR(otr_escape_text(otr_bytes_of("123\x1b\x1b"), out, sizeof(out)), "123...");
    CHECK_STR(otr_escape_text(otr_bytes_of("1234\xf0\x9f\xa6\x80\xf0\x9f\xa6\x80"), out, 9),
              "1234...");
    CHECK_STR(otr_escape_text(otr_bytes_of("\x1b"), out, 4), "...");
}

T(every_error_text_is_harmless)
{
    otr_err err = { 0 };
    (void)otr_fail(&err, OTR_EINVAL, "export %s", "ok\nmissing (0)\x1b[2J");
    CHECK_STR(err.msg, "export ok\\nmissing (0)\\x1b[2J");
    (void)otr_wrap(&err, OTR_EINVAL, "plugin \xe2\x80\xae%s", "\x9b");
    CHECK_STR(err.msg, "plugin \\u202e\\x9b: export ok\\nmissing (0)\\x1b[2J");
    (void)otr_fail_sys(&err, 2, "cannot open %s", "a\rb");
    CHECK_STR(err.msg, "cannot open a\\rb: No such file or directory");
    (void)otr_fail(&err, OTR_EINVAL, "%.2s|", "a\xc3\xa9"); /* cut inside a character */
    CHECK_STR(err.msg, "a\\xc3|");
}

T(an_error_text_of_escapes_still_fits)
{
    char text[OTR_ERR_MSG_BYTES];
    otr_err err = { 0 };
    memset(text, 0x1b, sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    (void)otr_fail(&err, OTR_EINVAL, "%s", text);
    size_t n = strlen(err.msg);
    CHECK(n < OTR_ERR_MSG_BYTES && n > OTR_ERR_MSG_BYTES - 8);
    CHECK_STR(err.msg + n - 7, "\\x1b...");
}

T(json_never_has_them_raw_and_means_the_same)
{
    static const char text[] = "\x1b\x7f\xc2\x9b\xe2\x80\xae\xf3\xa0\x80\x81 \xf0\x9f\xa6\x80\n";
    otr_buf out;
    otr_jw w;
    otr_err err = { 0 };
    otr_buf_init(&out, 512);
    otr_jw_begin(&w, &out, &err);
    otr_jw_str(&w, NULL, text);
    REQUIRE_OK(otr_jw_end(&w), err);
    CHECK_STR(otr_buf_text(&out),
              "\"\\u001b\\u007f\\u009b\\u202e\\udb40\\udc01 \xf0\x9f\xa6\x80\\n\"");
    otr_json *back = NULL;
    otr_buf list;
    otr_buf_init(&list, 512);
    otr_code rc = otr_buf_addf(&list, &err, "[%s]", otr_buf_text(&out));
    rc = rc == OTR_OK ? otr_json_parse(otr_buf_bytes(&list), &back, &err) : rc;
    if (rc == OTR_OK) {
        CHECK_STR(otr_json_str(otr_json_at(back, 0), ""), text);
    }
    otr_json_free(back);
    otr_buf_deinit(&list);
    otr_buf_deinit(&out);
    REQUIRE_OK(rc, err);
}

T(a_line_is_one_line_whatever_is_put_into_it)
{
    otr_buf out;
    otr_err err = { 0 };
    otr_buf_init(&out, 64);
    otr_code rc = otr_buf_add_line(&out, &err, "import %s.%s", "a\nb", "\x1b");
    rc = rc == OTR_OK ? otr_buf_add_line(&out, &err, "second") : rc;
    if (rc == OTR_OK) {
        CHECK_STR(otr_buf_text(&out), "import a\\nb.\\x1b\nsecond\n");
        CHECK_INT(otr_buf_add_line(&out, &err, "%064d", 1), OTR_EQUOTA);
        CHECK_STR(otr_buf_text(&out), "import a\\nb.\\x1b\nsecond\n");
    }
    otr_buf_deinit(&out);
    REQUIRE_OK(rc, err);
}
