#include "base/buf.h"
#include "nginx/language/lexer.h"
#include "support/test.h"

/* All tokens of `text` as "word|;|{|", each word resolved; the error text instead if there is one.
 */
static void tokens(const char *text, otr_buf *out)
{
    otr_lexer lexer;
    otr_lexer_init(&lexer, otr_bytes_of(text), "f");
    otr_err err = { 0 };
    otr_token t;
    do {
        otr_code rc = otr_lexer_next(&lexer, &t, &err);
        if (rc == OTR_OK) {
            rc = otr_token_text(&t, out, &err);
        }
        if (rc == OTR_OK && t.kind != OTR_TOKEN_END) {
            rc = otr_buf_addc(out, '|', &err);
        }
        if (rc != OTR_OK) {
            otr_buf_clear(out);
            (void)!otr_buf_adds(out, err.msg, NULL);
            return;
        }
    } while (t.kind != OTR_TOKEN_END);
}

static void check(const char *text, const char *expected)
{
    OTR_CLEANUP(otr_buf_deinit) otr_buf out;
    otr_buf_init(&out, 4096);
    tokens(text, &out);
    CHECK_STR(otr_buf_text(&out), expected);
}

T(quote_that_is_never_closed_names_the_line_where_it_opens)
{
    check("a;\n\nb \"c\n\n", "f:3: unexpected end of file: the text quoted here is not closed");
    check("a '\\'", "f:1: unexpected end of file: the text quoted here is not closed");
    check("a '\\", "f:1: unexpected end of file: the text quoted here is not closed");
}

T(text_glued_to_a_closing_quote_is_an_error)
{
    check("a;\nb \"c\"d;", "f:2: quoted text is not followed by white space, \";\" or \"{\"");
    check("if (\"a\") {", "if|(\"a\")|{|");
    check("b \"c\")d;", "b|c|)d|;|");
}

T(nul_byte_is_an_error)
{
    otr_lexer lexer;
    static const uint8_t text[] = { 'a', '\n', 'b', 0, 'c', ';' };
    otr_lexer_init(&lexer, (otr_bytes){ text, sizeof(text) }, "f");
    otr_token t;
    otr_err err = { 0 };
    REQUIRE_OK(otr_lexer_next(&lexer, &t, &err), err);
    CHECK_INT(otr_lexer_next(&lexer, &t, &err), OTR_EINVAL);
    CHECK_STR(err.msg, "f:2: unexpected NUL byte");
}

T(words_end_at_blanks_semicolons_and_opening_braces)
{
    check("a b\tc;d{e}f}", "a|b|c|;|d|{|e}f}|");
    check("a{b;}c", "a|{|b|;|}|c|");
}

T(comments_begin_only_where_a_word_could)
{
    check("# a; {\nb c#d e; # f\n#", "b|c#d|e|;|");
}

T(quotes_keep_blanks_and_hold_the_other_quote)
{
    check("a \"b 'c' ;{}#\" 'd \"e\"';", "a|b 'c' ;{}#|d \"e\"|;|");
    check("a \"\";", "a||;|");
    check("a b\"c\"d;", "a|b\"c\"d|;|");
}

T(backslash_is_resolved_as_nginx_does)
{
    check("a \"\\\"\\'\\\\\\t\\n\\d\";", "a|\"'\\\t\n\\d|;|");
    check("a \\;b \\{c;", "a|\\;b|\\{c|;|");
    check("a b\\ c;", "a|b\\ c|;|");
}

T(braces_of_a_variable_do_not_open_a_block)
{
    check("a ${b}c;d $e{f", "a|${b}c|;|d|$e|{|f|");
}

T(token_knows_its_bytes_and_its_line)
{
    otr_lexer lexer;
    otr_lexer_init(&lexer, otr_bytes_of("ab\n 'c\nd' e"), "f");
    otr_token t;
    otr_err err;
    REQUIRE_OK(otr_lexer_next(&lexer, &t, &err), err);
    CHECK_INT(t.start, 0);
    CHECK_INT(t.end, 2);
    REQUIRE_OK(otr_lexer_next(&lexer, &t, &err), err);
    CHECK(t.quoted);
    CHECK_INT(t.start, 4);
    CHECK_INT(t.end, 9);
    CHECK_INT(t.line, 2);
    REQUIRE_OK(otr_lexer_next(&lexer, &t, &err), err);
    CHECK_INT(t.line, 3);
}

static void lua(const char *text, const char *body, const char *next)
{
    otr_lexer lexer;
    otr_lexer_init(&lexer, otr_bytes_of(text), "f");
    otr_token t;
    otr_err err = { 0 };
    OTR_CLEANUP(otr_buf_deinit) otr_buf out;
    otr_buf_init(&out, 4096);
    if (otr_lexer_lua(&lexer, &t, &err) != OTR_OK) {
        CHECK_STR(err.msg, body);
        return;
    }
    REQUIRE_OK(otr_token_text(&t, &out, &err), err);
    CHECK_STR(otr_buf_text(&out), body);
    otr_buf_clear(&out);
    REQUIRE_OK(otr_lexer_next(&lexer, &t, &err), err);
    REQUIRE_OK(otr_token_text(&t, &out, &err), err);
    CHECK_STR(otr_buf_text(&out), next);
}

T(lua_block_without_end_names_the_line_where_it_opens)
{
    lua("x = '}'\n", "f:1: Lua block is not closed, expecting \"}\"", "");
    lua("x = [==[ }\n]=]", "f:1: Lua block is not closed, expecting \"}\"", "");
    lua("\"\\", "f:1: Lua block is not closed, expecting \"}\"", "");
    lua("--[[", "f:1: Lua block is not closed, expecting \"}\"", "");
}

T(lua_block_ends_at_its_own_brace)
{
    lua(" a = { b = {} } } next", " a = { b = {} } ", "next");
    lua(" s = '}' t = \"\\\"}\" } next", " s = '}' t = \"\\\"}\" ", "next");
    lua("-- }\nx() } next", "-- }\nx() ", "next");
    lua("--[[ } ]] x } next", "--[[ } ]] x ", "next");
    lua("--[[ }\n } ]] x } next", "--[[ }\n } ]] x ", "next");
    lua("--[=[ }\n ]] } ]=] x } next", "--[=[ }\n ]] } ]=] x ", "next");
    lua("x = [==[ } ]] ]=] ]==] } next", "x = [==[ } ]] ]=] ]==] ", "next");
    lua("x = a[b[1]] } next", "x = a[b[1]] ", "next");
}

T(lua_directives_are_known_by_their_ending)
{
    CHECK(otr_lexer_is_lua(otr_bytes_of("content_by_lua_block")));
    CHECK(!otr_lexer_is_lua(otr_bytes_of("content_by_lua_file")));
    CHECK(!otr_lexer_is_lua(otr_bytes_of("_by_lua_block")));
}

T(words_that_come_together_are_those_that_come_one_by_one)
{
    static const char text[] =
        "server_name  a.example\t$x-$y.example\n   b\\ c d${e f}g \"q r\" 's' h#i # c\n"
        "        j;k {l}m } n$";
    otr_lexer one, many;
    otr_err err = { 0 };
    otr_token token = { 0 }, run[3];
    otr_lexer_init(&one, otr_bytes_of(text), "f");
    otr_lexer_init(&many, otr_bytes_of(text), "f");
    while (token.kind != OTR_TOKEN_END) {
        size_t n = otr_lexer_words(&many, run, OTR_COUNT(run));
        if (n == 0) {
            n = 1;
            REQUIRE_OK(otr_lexer_next(&many, &run[0], &err), err);
        }
        for (size_t i = 0; i < n; i++) {
            REQUIRE_OK(otr_lexer_next(&one, &token, &err), err);
            CHECK_INT(token.kind, run[i].kind);
            CHECK(token.raw.p == run[i].raw.p && token.raw.n == run[i].raw.n);
            CHECK(token.start == run[i].start && token.end == run[i].end);
            CHECK_INT(token.line, run[i].line);
            CHECK(token.quoted == run[i].quoted && token.escaped == run[i].escaped);
        }
    }
}
