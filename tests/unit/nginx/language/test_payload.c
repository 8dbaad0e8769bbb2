#include "nginx/language/build.h"
#include "nginx/language/payload.h"
#include "unit/nginx/tree.h"

static otr_code into_buf(void *arg, otr_bytes bytes, otr_err *err)
{
    return otr_buf_add(arg, bytes, err);
}

static const otr_root here = { .path = "" };

static otr_code json_of(const otr_parse *spec, const otr_json_style *style, otr_buf *out,
                        otr_err *err)
{
    otr_sink sink = { .put = into_buf, .arg = out };
    bool failed;
    otr_buf_init(out, 1 << 20);
    return otr_conf_stream_json(spec, style, &sink, &failed, err);
}

static otr_parse text_spec(const otr_bytes *text)
{
    return (otr_parse){ .root = &here, .path = "f", .folder = "/nowhere", .text = text };
}

/* The member `parsed` of the one file. */
static void check_parsed(const char *text, const char *expected)
{
    OTR_CLEANUP(otr_buf_deinit) otr_buf out = { 0 };
    otr_err err = { 0 };
    otr_bytes bytes = otr_bytes_of(text);
    otr_parse spec = text_spec(&bytes);
    spec.comments = true;
    REQUIRE_OK(json_of(&spec, &(otr_json_style){ 0 }, &out, &err), err);
    const char *parsed = strstr(otr_buf_text(&out), "\"parsed\":");
    REQUIRE(parsed != NULL);
    size_t n = strlen(expected);
    CHECK(strncmp(parsed + 9, expected, n) == 0 && parsed[9 + n] == '}');
}

/* The first error, as "<line>: <what>". */
static void check_error(const otr_parse *spec, const char *expected)
{
    OTR_CLEANUP(otr_conf_freep) otr_conf *conf = NULL;
    otr_err err = { 0 };
    REQUIRE_OK(otr_conf_parse(spec, &conf, &err), err);
    REQUIRE(conf->n_errors > 0);
    char text[300];
    (void)snprintf(text, sizeof(text), "%u: %s", conf->errors[0].line, conf->errors[0].text);
    CHECK_STR(text, expected);
}

static void check_text_error(const char *text, const char *expected)
{
    otr_bytes bytes = otr_bytes_of(text);
    otr_parse spec = text_spec(&bytes);
    check_error(&spec, expected);
}

T(a_broken_text_is_noted_with_its_line_and_left_empty)
{
    check_text_error("events {", "1: unexpected end of file, expecting \"}\"");
    check_text_error("events {}\n}", "2: unexpected \"}\"");
    check_text_error("a \"b\"c;", "1: quoted text is not followed by white space, \";\" or \"{\"");
    check_parsed("events {", "[]");
}

T(a_wrong_directive_is_noted_and_left_out)
{
    check_text_error("http {\n listen 80;\n}", "2: \"listen\" directive is not allowed here");
    check_text_error("http { server {\n listen 80 }\n}",
                     "2: directive \"listen\" is not terminated by \";\"");
    check_text_error("x {\n a b }\n", "2: unexpected \"}\"");
    check_parsed("user a b c; http { server { listen; location / {} } }",
                 "[{\"directive\":\"http\",\"line\":1,\"args\":[],\"block\":[{\"directive\":"
                 "\"server\",\"line\":1,"
                 "\"args\":[],\"block\":[{\"directive\":\"location\",\"line\":1,\"args\":[\"/"
                 "\"],\"block\":[]}]}]}]");
}

T(a_block_that_is_left_out_takes_its_inside_with_it)
{
    check_parsed("events { server { listen 80; } } user a;",
                 "[{\"directive\":\"events\",\"line\":1,\"args\":[],\"block\":[]},"
                 "{\"directive\":\"user\",\"line\":1,\"args\":[\"a\"]}]");
}

T(files_that_cannot_be_read_are_noted_where_they_are_named)
{
    otr_bytes text = otr_bytes_of("events {}\ninclude gone.conf;");
    otr_parse spec = text_spec(&text);
    check_error(&spec, "2: [Errno 2] No such file or directory: 'gone.conf'");
    spec = (otr_parse){ .root = &here, .path = "/nowhere/nginx.conf" };
    check_error(&spec, "0: [Errno 2] No such file or directory: '/nowhere/nginx.conf'");
}

T(an_unknown_directive_is_an_error_only_where_asked_for)
{
    otr_bytes text = otr_bytes_of("http { map $a $b { unheard of; } unheard of; }");
    otr_parse spec = text_spec(&text);
    spec.strict = true;
    check_error(&spec, "1: unknown directive \"unheard\"");
    check_parsed("unheard of;", "[{\"directive\":\"unheard\",\"line\":1,\"args\":[\"of\"]}]");
}

T(files_that_include_each_other_end)
{
    OTR_CLEANUP(tree_deinit) tree dir;
    REQUIRE(tree_init(&dir));
    REQUIRE(tree_write(&dir, "nginx.conf", "include a.conf;"));
    REQUIRE(tree_write(&dir, "a.conf", "include nginx.conf; include a.conf;"));
    OTR_CLEANUP(otr_buf_deinit) otr_buf out = { 0 };
    otr_err err = { 0 };
    otr_parse spec = { .root = &here, .path = tree_path(&dir, "nginx.conf") };
    CHECK_INT(json_of(&spec, &(otr_json_style){ .combine = true }, &out, &err), OTR_EQUOTA);
    CHECK_HAS(err.msg, "included more than 32 deep");
    otr_buf_deinit(&out);
    REQUIRE_OK(json_of(&spec, &(otr_json_style){ 0 }, &out, &err), err);
    CHECK_HAS(otr_buf_text(&out), "\"includes\":[0]");
    CHECK_HAS(otr_buf_text(&out), "\"includes\":[1]");
}

T(arguments_are_shown_as_they_stand_but_for_quotes)
{
    check_parsed("a 'b c' \"d\\\"e\" f\\n '\\'' \"\" g\\ h;",
                 "[{\"directive\":\"a\",\"line\":1,\"args\":[\"b "
                 "c\",\"d\\\"e\",\"f\\\\n\",\"'\",\"\",\"g\\\\ h\"]}]");
}

T(an_if_loses_its_parentheses)
{
    check_parsed("x { if ($a = b) {} if ( $c ) {} }",
                 "[{\"directive\":\"x\",\"line\":1,\"args\":[],\"block\":["
                 "{\"directive\":\"if\",\"line\":1,\"args\":[\"$a\",\"=\",\"b\"],\"block\":[]},"
                 "{\"directive\":\"if\",\"line\":1,\"args\":[\"$c\"],\"block\":[]}]}]");
}

T(comments_between_words_come_behind_the_directive_and_its_block)
{
    check_parsed("a #1\n b; c #2\n { d; }#3",
                 "[{\"directive\":\"a\",\"line\":1,\"args\":[\"b\"]},"
                 "{\"directive\":\"#\",\"line\":1,\"args\":[],\"comment\":\"1\"},"
                 "{\"directive\":\"c\",\"line\":2,\"args\":[],\"block\":[{\"directive\":\"d\","
                 "\"line\":3,\"args\":[]}]},"
                 "{\"directive\":\"#\",\"line\":2,\"args\":[],\"comment\":\"2\"},"
                 "{\"directive\":\"#\",\"line\":3,\"args\":[],\"comment\":\"3\"}]");
}

T(a_lua_block_is_the_last_argument)
{
    check_parsed("x { set_by_lua_block $a { return \"}\" } }",
                 "[{\"directive\":\"x\",\"line\":1,\"args\":[],\"block\":["
                 "{\"directive\":\"set_by_lua_block\",\"line\":1,\"args\":[\"$a\",\" return "
                 "\\\"}\\\" \"]}]}]");
}

T(ignored_directives_go_with_their_blocks)
{
    static const char *const ignore[] = { "server", "user", NULL };
    OTR_CLEANUP(otr_conf_freep) otr_conf *conf = NULL;
    otr_err err = { 0 };
    otr_bytes text = otr_bytes_of("user a; http { server { listen 1; } include x; }");
    otr_parse spec = text_spec(&text);
    spec.ignore = ignore;
    spec.single = true;
    REQUIRE_OK(otr_conf_parse(&spec, &conf, &err), err);
    CHECK_INT(conf->n_nodes, 2);
    CHECK_INT(conf->n_errors, 0);
}

T(nodes_know_where_they_stand_in_the_text)
{
    OTR_CLEANUP(otr_conf_freep) otr_conf *conf = NULL;
    otr_err err = { 0 };
    otr_bytes text = otr_bytes_of("  a b;\nhttp { c; } #d");
    otr_parse spec = text_spec(&text);
    spec.comments = true;
    REQUIRE_OK(otr_conf_parse(&spec, &conf, &err), err);
    const otr_node *a = conf->files[0].first, *http = a->next, *d = http->next;
    CHECK_INT(a->start, 2);
    CHECK_INT(a->end, 6);
    CHECK_INT(http->start, 7);
    CHECK_INT(http->end, 18);
    CHECK_INT(http->block->start, 14);
    CHECK_INT(d->start, 19);
    CHECK_INT(d->end, 21);
    CHECK_INT(d->line, 2);
}

static void check_built(const char *text, const char *expected, const char *mini)
{
    OTR_CLEANUP(otr_conf_freep) otr_conf *conf = NULL;
    OTR_CLEANUP(otr_buf_deinit) otr_buf out;
    otr_err err = { 0 };
    otr_bytes bytes = otr_bytes_of(text);
    otr_parse spec = text_spec(&bytes);
    spec.comments = spec.single = spec.any_place = spec.any_args = true;
    otr_buf_init(&out, 65536);
    REQUIRE_OK(otr_conf_parse(&spec, &conf, &err), err);
    REQUIRE_OK(otr_conf_write_text(conf->files[0].first, &(otr_layout){ .indent = 2 }, &out, &err),
               err);
    CHECK_STR(otr_buf_text(&out), expected);
    otr_buf_clear(&out);
    REQUIRE_OK(otr_conf_write_mini(conf->files[0].first, &out, &err), err);
    CHECK_STR(otr_buf_text(&out), mini);
}

T(text_is_laid_out_anew_and_means_the_same)
{
    check_built("a  b ;c{d 'e f' \"#g\";} #h", "a b;\nc {\n  d 'e f' '#g';\n} #h",
                "a b;c{d 'e f' '#g';}");
    check_built("a #1\n b;", "a b; #1", "a b;");
    check_built("if ($a ~ '^\\.') { b ${c}d '${e}'; }", "if ($a ~ ^\\.) {\n  b '${c}d' '${e}';\n}",
                "if ($a ~ ^\\.){b '${c}d' '${e}';}");
    check_built("if (\"a b\" = c) {} if ( 'a b' ) {} if a {}",
                "if ( '\"a' 'b\"' = c) {\n}\nif ( 'a b') {\n}\nif a {\n}",
                "if ( '\"a' 'b\"' = c){}if ( 'a b'){}if a{}");
    check_built("content_by_lua_block { x = '}' }", "content_by_lua_block { x = '}' }",
                "content_by_lua_block { x = '}' }");
    check_built("a \"it's\" 'say \"x\"' \"b'\\\"\";", "a \"it's\" 'say \"x\"' 'b\\'\"';",
                "a \"it's\" 'say \"x\"' 'b\\'\"';");
}

static void check_loaded(const char *json, const char *expected)
{
    OTR_CLEANUP(otr_conf_freep) otr_conf *conf = NULL;
    OTR_CLEANUP(otr_buf_deinit) otr_buf out;
    otr_buf_init(&out, 65536);
    otr_err err = { 0 };
    otr_code rc = otr_conf_load(otr_bytes_of(json), &conf, &err);
    if (rc == OTR_OK) {
        rc = otr_conf_write_text(conf->files[0].first, &(otr_layout){ .indent = 4 }, &out, &err);
    }
    CHECK_STR(rc == OTR_OK ? otr_buf_text(&out) : err.msg, expected);
}

#define FILE_OF(parsed) "{\"config\":[{\"file\":\"f\",\"parsed\":[" parsed "]}]}"

T(json_that_is_no_configuration_is_refused_by_name)
{
    check_loaded("{}", "there is no array \"config\"");
    check_loaded("{\"config\":[{\"file\":\"f\"}]}",
                 "config[0] has no \"file\" or no array \"parsed\"");
    check_loaded(FILE_OF("{\"line\":7,\"args\":[]}"),
                 "f: the directive at line 7: \"directive\" is no string");
    check_loaded(FILE_OF("{\"directive\":\"a\",\"args\":[1]}"),
                 "f: the directive at line 0: \"args\" is no array of strings");
    check_loaded(FILE_OF("{\"directive\":\"a\",\"args\":[],\"block\":3}"),
                 "f: the directive at line 0: \"block\" is no array");
    check_loaded(FILE_OF("{\"directive\":\"a\",\"line\":3,\"args\":[\"b\\\\\"]}"),
                 "line 3: an argument ends with a backslash");
    check_loaded(FILE_OF("{\"directive\":\"#\",\"args\":[],\"comment\":\"x\\ny\"}"),
                 "a comment holds a line feed");
}

T(json_becomes_text)
{
    check_loaded(FILE_OF("{\"directive\":\"if\",\"line\":1,\"args\":[\"$a\"],\"block\":[{"
                         "\"directive\":\"b\",\"line\":2,"
                         "\"args\":[\"\",\"c;d\"]}]}"),
                 "if ($a) {\n    b '' 'c;d';\n}");
}

T(tokens_are_listed_with_their_lines)
{
    OTR_CLEANUP(otr_buf_deinit) otr_buf out;
    otr_buf_init(&out, 65536);
    otr_err err = { 0 };
    otr_sink sink = { .put = into_buf, .arg = &out };
    otr_lex_style style = { .file = "f", .lines = true };
    REQUIRE_OK(otr_conf_write_tokens(otr_bytes_of("a #1\n 'b' {\n}"), &style, &sink, &err), err);
    CHECK_STR(otr_buf_text(&out), "[[\"a\",1],[\"#1\",1],[\"b\",2],[\"{\",2],[\"}\",3]]\n");
    CHECK_INT(otr_conf_write_tokens(otr_bytes_of("a {"), &style, &sink, &err), OTR_EINVAL);
    CHECK_STR(err.msg, "f:1: unexpected end of file, expecting \"}\"");
}
