#include "base/limits.h"
#include "nginx/apply/lines.h"
#include "support/test.h"

static bool parse(const char *text, otr_line *ret)
{
    return otr_line_parse(otr_bytes_of(text), ret);
}

static bool same(otr_bytes a, const char *b)
{
    return a.n == strlen(b) && memcmp(a.p, b, a.n) == 0;
}

T(a_line_of_a_terminal_has_level_text_and_place)
{
    otr_line l;
    REQUIRE(parse("nginx: [emerg] unknown directive \"x\" in /etc/nginx/a b.conf:12", &l));
    CHECK_INT(l.level, OTR_LEVEL_EMERG);
    CHECK_INT(l.pid, 0);
    CHECK(same(l.text, "unknown directive \"x\""));
    CHECK(same(l.file, "/etc/nginx/a b.conf"));
    CHECK_INT(l.number, 12);
    REQUIRE(parse("angie: [warn] conflicting server name \"a\" on 0.0.0.0:80, ignored", &l));
    CHECK_INT(l.level, OTR_LEVEL_WARN);
    CHECK_INT(l.file.n, 0);
    CHECK_INT(l.number, 0);
}

T(a_line_of_a_log_has_its_process_and_what_it_is_about)
{
    otr_line l;
    REQUIRE(parse("2026/01/02 03:04:05 [crit] 17#18: *3 connect() failed", &l));
    CHECK_INT(l.level, OTR_LEVEL_CRIT);
    CHECK_INT(l.pid, 17);
    CHECK(l.connection);
    CHECK(same(l.text, "connect() failed"));
    REQUIRE(parse("2026/01/02 03:04:05 [alert] 9#9: worker process 4 exited on signal 9", &l));
    CHECK(!l.connection);
    REQUIRE(parse("2026/01/02 03:04:05 [notice] 9#9: * no connection", &l));
    CHECK(!l.connection);
    CHECK(same(l.text, "* no connection"));
}

T(what_is_no_line_of_nginx_is_none)
{
    otr_line l;
    static const char *const others[] = {
        "",
        "nginx",
        "nginx: ",
        "nginx: [emerg]",
        "nginx: [fatal] x",
        "nginx: the configuration file /etc/nginx/nginx.conf syntax is ok",
        "2026/01/02 03:04:05 [crit] x#1: y",
        "2026/01/02 03:04:05 [crit] 1234567890#1: y",
        "2026/01/02 03:04:0",
        "127.0.0.1 - - [02/Jan/2026:03:04:05 +0000] \"GET / HTTP/1.1\" 200 0",
        "a name with blanks: [emerg] x",
    };
    for (size_t i = 0; i < OTR_COUNT(others); i++) {
        CHECK(!parse(others[i], &l));
    }
}

T(a_place_is_cut_off_only_where_there_is_one)
{
    otr_line l;
    REQUIRE(parse("nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)", &l));
    CHECK_INT(l.file.n, 0);
    REQUIRE(parse("nginx: [emerg] x in :12", &l));
    CHECK(same(l.text, "x in :12"));
    REQUIRE(parse("nginx: [emerg] in /a:1", &l));
    CHECK_INT(l.number, 0);
    REQUIRE(parse("nginx: [emerg] a in b in /c:1234567890123", &l));
    CHECK_INT(l.number, 0);
    REQUIRE(parse("nginx: [emerg] a in b in /c:123", &l));
    CHECK(same(l.text, "a in b"));
    CHECK_INT(l.number, 123);
}

T(lines_are_taken_one_by_one)
{
    otr_bytes rest = otr_bytes_of("a\r\n\nb"), one;
    REQUIRE(otr_line_next(&rest, &one));
    CHECK(same(one, "a"));
    REQUIRE(otr_line_next(&rest, &one));
    CHECK_INT(one.n, 0);
    REQUIRE(otr_line_next(&rest, &one));
    CHECK(same(one, "b"));
    CHECK(!otr_line_next(&rest, &one));
}

static void free_findings(void *slot)
{
    otr_findings_deinit(slot);
}

T(findings_are_escaped_copies_and_are_counted_past_their_limit)
{
    OTR_CLEANUP(free_findings) otr_findings f = { 0 };
    otr_err e = { 0 };
    otr_line l;
    REQUIRE(parse("nginx: [emerg] a\x1b[31m in /x\xff:1", &l));
    for (size_t i = 0; i < OTR_LIMIT_APPLY_FINDINGS + 2; i++) {
        REQUIRE_OK(otr_findings_add_line(&f, &l, &e), e);
    }
    CHECK_INT(f.n, OTR_LIMIT_APPLY_FINDINGS);
    CHECK_INT(f.missing, 2);
    CHECK_STR(f.items[0].text, "a\\x1b[31m");
    CHECK_STR(f.items[0].file, "/x\\xff");
    CHECK_STR(f.items[0].level, "emerg");
}
