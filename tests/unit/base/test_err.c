#include <errno.h>
#include <stdio.h>

#include "base/json.h"
#include "support/test.h"

T(a_failure_fills_code_text_and_no_errno)
{
    otr_err e = { .sys = 7 };
    CHECK_INT(otr_fail(&e, OTR_EINVAL, "bad %s %d", "port", 7), OTR_EINVAL);
    CHECK_INT(e.code, OTR_EINVAL);
    CHECK_INT(e.sys, 0);
    CHECK_STR(e.msg, "bad port 7");
}

T(every_function_takes_no_error_object)
{
    CHECK_INT(otr_fail(NULL, OTR_EQUOTA, "x"), OTR_EQUOTA);
    CHECK_INT(otr_fail_sys(NULL, ENOENT, "x"), OTR_ENOTFOUND);
    CHECK_INT(otr_fail_nomem(NULL), OTR_ENOMEM);
    CHECK_INT(otr_wrap(NULL, OTR_EIO, "x"), OTR_EIO);
}

T(a_system_failure_says_the_reason_in_words)
{
    otr_err e;
    CHECK_INT(otr_fail_sys(&e, ENOENT, "cannot open %s", "/x"), OTR_ENOTFOUND);
    CHECK_STR(e.msg, "cannot open /x: No such file or directory");
    CHECK_INT(e.sys, ENOENT);
    CHECK_INT(otr_fail_sys(&e, EACCES, "x"), OTR_EDENIED);
    CHECK_INT(otr_fail_sys(&e, EPERM, "x"), OTR_EDENIED);
    CHECK_INT(otr_fail_sys(&e, ENOMEM, "x"), OTR_ENOMEM);
    CHECK_INT(otr_fail_sys(&e, EISDIR, "x"), OTR_EIO);
    CHECK_INT(otr_fail_sys(&e, 99999, "x"), OTR_EIO);
    CHECK_HAS(e.msg, "99999");
}

T(wrapping_puts_text_before_and_keeps_the_code)
{
    otr_err e;
    (void)otr_fail_sys(&e, ENOENT, "cannot open");
    CHECK_INT(otr_wrap(&e, OTR_EINVAL, "plugin %s", "p"), OTR_ENOTFOUND);
    CHECK_STR(e.msg, "plugin p: cannot open: No such file or directory");
    CHECK_INT(e.sys, ENOENT);
}

T(wrapping_an_empty_error_takes_the_given_code)
{
    otr_err e = { 0 };
    CHECK_INT(otr_wrap(&e, OTR_EIO, "x"), OTR_EIO);
    CHECK_INT(e.code, OTR_EIO);
}

T(an_error_text_may_be_an_argument_of_its_own_replacement)
{
    otr_err e;
    (void)otr_fail(&e, OTR_EINVAL, "inner");
    (void)otr_fail(&e, OTR_EINVAL, "outer (%s)", e.msg);
    CHECK_STR(e.msg, "outer (inner)");
    (void)otr_wrap(&e, OTR_EINVAL, "[%s]", e.msg);
    CHECK_STR(e.msg, "[outer (inner)]: outer (inner)");
}

T(a_long_text_is_cut_with_dots)
{
    otr_err e;
    char big[2000];
    memset(big, 'a', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    (void)otr_fail(&e, OTR_EINVAL, "%s", big);
    CHECK_INT(strlen(e.msg), OTR_ERR_MSG_BYTES - 1);
    CHECK_STR(e.msg + OTR_ERR_MSG_BYTES - 5, "a...");
    (void)otr_wrap(&e, OTR_EINVAL, "file");
    CHECK(strncmp(e.msg, "file: aaa", 9) == 0);
    CHECK_STR(e.msg + OTR_ERR_MSG_BYTES - 4, "...");
    (void)otr_wrap(&e, OTR_EINVAL, "%s", big);
    CHECK_STR(e.msg + OTR_ERR_MSG_BYTES - 4, "...");
}

T(a_text_is_never_cut_inside_a_character)
{
    for (size_t shift = 0; shift < 4; shift++) {
        char big[1200];
        size_t n = 0;
        for (size_t i = 0; i < shift; i++) {
            big[n++] = 'x';
        }
        while (n + 4 < sizeof(big)) {
            memcpy(big + n, "\xf0\x9f\x98\x80", 4);
            n += 4;
        }
        big[n] = '\0';
        otr_err e;
        (void)otr_fail(&e, OTR_EINVAL, "%s", big);
        CHECK(otr_utf8_ok(otr_bytes_of(e.msg)));
        CHECK_STR(e.msg + strlen(e.msg) - 3, "...");
    }
}

T(every_code_has_a_name)
{
    CHECK_STR(otr_code_name(OTR_OK), "OK");
    CHECK_STR(otr_code_name(OTR_ENOMEM), "ENOMEM");
    CHECK_STR(otr_code_name(OTR_ENOTFOUND), "ENOTFOUND");
    CHECK_STR(otr_code_name(OTR_EDENIED), "EDENIED");
    CHECK_STR(otr_code_name(OTR_EUNSUP), "EUNSUP");
    CHECK_STR(otr_code_name((otr_code)99), "unknown");
}
