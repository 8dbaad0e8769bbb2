#include <stdio.h>

#include "net/http/hosts.h"
#include "support/test.h"

static void join(void *arg, const char *address)
{
    char *all = arg;
    size_t n = strlen(all);
    snprintf(all + n, 256 - n, "%s%s", n > 0 ? " " : "", address);
}

static void check(const char *text, const char *name, const char *expected)
{
    char all[256] = "";
    otr_hosts_find(otr_bytes_of(text), name, join, all);
    CHECK_STR(all, expected);
}

T(name_that_is_not_there_has_no_address)
{
    check("", "a", "");
    check("127.0.0.1 ab a.b # a\n", "a", "");
    check("#127.0.0.1 a\n", "a", "");
    check("a b\n", "a", "");
    check("1234567890123456789012345678901234567890123456789 a\n", "a", "");
}

T(every_line_with_the_name_gives_an_address)
{
    check("127.0.0.3\tx a\r\n::1 A\n10.0.0.1 b a", "a", "127.0.0.3 ::1 10.0.0.1");
    check("  127.0.0.3  a#b\n", "a", "127.0.0.3");
}

T(localhost_is_loopback_where_nothing_else_is_said)
{
    check("", "localhost", "127.0.0.1 ::1");
    check("127.0.0.7 localhost\n", "LocalHost", "127.0.0.7");
}
