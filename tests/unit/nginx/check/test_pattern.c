#include "nginx/check/pattern.h"
#include "support/test.h"

static otr_pattern read(const char *text)
{
    otr_pattern p;
    otr_pattern_read(otr_bytes_of(text), OTR_PATTERN_EXACT_CASE, &p);
    return p;
}

T(a_pattern_that_is_not_known_can_be_anything)
{
    static const char *const odd[] = { "(a",      "a)",     "[a", "(a)\\1", "(?<n>a)\\k<n>",
                                       "\\Qa\\E", "(?P=n)", "\\" };
    for (size_t i = 0; i < OTR_COUNT(odd); i++) {
        otr_pattern p = read(odd[i]);
        CHECK(!p.known);
        CHECK(otr_set_has(&p.shape.chars, '\n') && p.shape.nullable);
    }
}

T(groups_tell_which_bytes_they_hold)
{
    otr_pattern p = read("^/(?<a>[^/]+)/(.*)-([a-c\\d]{2})$");
    REQUIRE(p.known && p.n_groups == 3);
    CHECK(p.groups[0].name.n == 1 && p.groups[1].name.n == 0);
    CHECK(otr_set_has(&p.groups[0].shape.chars, '\n') &&
          !otr_set_has(&p.groups[0].shape.chars, '/'));
    CHECK(!otr_set_has(&p.groups[1].shape.chars, '\n') &&
          otr_set_has(&p.groups[1].shape.chars, '/'));
    CHECK(otr_set_has(&p.groups[2].shape.chars, '7') &&
          !otr_set_has(&p.groups[2].shape.chars, 'd'));
    CHECK_INT(p.groups[2].shape.texts, 169);
    CHECK(p.shape.from_start && p.shape.to_end);
}

T(what_stands_before_a_group_is_known)
{
    otr_pattern p = read("^/img(.*)x?(b)/?(c)");
    CHECK(otr_set_has(&p.groups[0].before, 'g') && !otr_set_has(&p.groups[0].before, '/'));
    CHECK(otr_set_has(&p.groups[1].before, 'x') && otr_set_has(&p.groups[1].before, 'g'));
    CHECK(otr_set_has(&p.groups[2].before, '/') && otr_set_has(&p.groups[2].before, 'b'));
    p = read("^(.*)$");
    CHECK(otr_set_is_empty(p.groups[0].before) && p.groups[0].at_start);
    p = read("(.*)$");
    CHECK(otr_set_has(&p.groups[0].before, 'q'));
}

T(alternatives_are_counted)
{
    CHECK_INT(read("^(a|b|cc)$").groups[0].shape.texts, 3);
    CHECK_INT(read("^(a|b)?$").groups[0].shape.texts, 2);
    CHECK_INT(read("^[ab]{3}$").shape.texts, 8);
    CHECK_INT(read("^(a+)$").groups[0].shape.texts, OTR_PATTERN_MANY);
    CHECK_INT(read("(?i)^ab$").shape.texts, 4);
    CHECK_INT(read("^a{1000}$").shape.texts, 1);
    CHECK_INT(read("^\\x41\\.$").shape.head, 2);
}

T(anchors_hold_only_where_all_alternatives_have_them)
{
    CHECK(read("^a|^b").shape.from_start);
    CHECK(!read("^a|b").shape.from_start);
    CHECK(read("^(a|b)$").shape.to_end);
    CHECK(!read("^(a$|b)").shape.to_end);
    CHECK(!read("(^a)?b").shape.from_start);
    CHECK(read("\\Aa\\z").shape.from_start && read("\\Aa\\z").shape.to_end);
}

T(classes_are_read_as_pcre_does)
{
    otr_pattern p = read("[]a-]");
    CHECK(otr_set_has(&p.shape.chars, ']') && otr_set_has(&p.shape.chars, '-'));
    p = read("[^[:alnum:]_]");
    CHECK(!otr_set_has(&p.shape.chars, 'q') && otr_set_has(&p.shape.chars, '/'));
    p = read("[\\w.-]");
    CHECK(otr_set_has(&p.shape.chars, '-') && otr_set_has(&p.shape.chars, '_'));
    p = read("(?s).");
    CHECK(otr_set_has(&p.shape.chars, '\n'));
    p = read("[^\\p{L}]");
    CHECK(otr_set_has(&p.shape.chars, 'a'));
}

T(deep_and_wide_patterns_end)
{
    char deep[600] = "";
    memset(deep, '(', 200);
    memset(deep + 200, ')', 200);
    CHECK(!read(deep).known);
    char wide[300] = "";
    for (size_t i = 0; i < 40; i++) {
        memcpy(wide + i * 3, "(a)", 3);
    }
    CHECK(!read(wide).known);
    CHECK(read("(?#(a)b").known && read("(?x) a # (\n b").known && read("a(?=b)(?!c)(?<=d)").known);
}
