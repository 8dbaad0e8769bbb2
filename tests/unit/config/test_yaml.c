#include <stdio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "config/yaml.h"
#include "support/test.h"

static void free_arena(otr_arena *arena)
{
    otr_arena_deinit(arena);
}

static void free_buf(otr_buf *buf)
{
    otr_buf_deinit(buf);
}

#define ARENA(name) OTR_CLEANUP(free_arena) otr_arena name = { 0 }
#define BUF(name)                       \
    OTR_CLEANUP(free_buf) otr_buf name; \
    otr_buf_init(&name, 64 << 20)

/* A tree at `root`; needs an otr_err `e`. */
#define READ(root, text)         \
    ARENA(root##_arena);         \
    const otr_node *root = NULL; \
    REQUIRE_OK(otr_yaml_parse(otr_bytes_of(text), "/etc/x.conf", &root##_arena, &root, &e), e)

static otr_code try_bytes(const void *p, size_t n, otr_err *e)
{
    ARENA(arena);
    const otr_node *root = NULL;
    otr_code rc = otr_yaml_parse((otr_bytes){ p, n }, "/etc/x.conf", &arena, &root, e);
    CHECK((rc == OTR_OK) == (root != NULL));
    return rc;
}

static void refuse(const char *text, const char *message)
{
    otr_err e = { 0 };
    CHECK(try_bytes(text, strlen(text), &e) != OTR_OK);
    CHECK_HAS(e.msg, message);
}

static void json_is(const char *text, const char *json)
{
    otr_err e = { 0 };
    READ(root, text);
    BUF(out);
    REQUIRE_OK(otr_node_json(root, &out, &e), e);
    CHECK_STR(otr_buf_text(&out), json);
}

T(every_error_names_the_place)
{
    refuse("a: [1\nb: 2\n", "/etc/x.conf:2:");
    refuse("a: b: c\n", "/etc/x.conf:1:5: not YAML: mapping values are not allowed");
    refuse("a:\n\t- b\n", "/etc/x.conf:2:1: not YAML: found character that cannot start any token");
    refuse("log:\n  level: 1\n path: 2\n", "/etc/x.conf:3:");
    refuse("a: \"open\n", "/etc/x.conf:2:1: not YAML: found unexpected end of stream");
    refuse("a: 1\nb: 2\na: 3\n", "/etc/x.conf:3:1: key \"a\" stands twice, first in line 1");
    refuse("x:\n  b: {k: 1, k: 2}\n", "/etc/x.conf:2:13: key \"k\" stands twice, first in line 2");
    refuse("a: 1\n---\nb: 2\n", "/etc/x.conf:2:1: a second document begins here");
    refuse("a: *nope\n", "/etc/x.conf:1:4: this alias has no anchor before it");
    refuse("a: &x\n  b: *x\n", "/etc/x.conf:2:6: this alias stands inside what it refers to");
    refuse("? [a]\n: b\n", "/etc/x.conf:1:3: a key must be text");
    refuse("a: !!binary aGk=\n", "/etc/x.conf:1:4: this tag is not known");
    refuse("a: !mine {}\n", "/etc/x.conf:1:4: this tag is not known");
    refuse("a: \"x\\0y\"\n", "/etc/x.conf:1:4: a NUL byte in a text is not allowed");
    refuse("a: \"\\ud800\"\n", "/etc/x.conf:1:");
    refuse("- a\n- b\n", "/etc/x.conf:1:1: expected \"key: value\" lines at the top");
    refuse("just text\n", "/etc/x.conf:1:1: expected \"key: value\" lines at the top");
    refuse("<<: 5\n", "/etc/x.conf:1:5: <<: expected a map");
}

T(bytes_that_are_not_text_are_named)
{
    otr_err e = { 0 };
    CHECK_INT(try_bytes("a: 1\nb: \0\n", 10, &e), OTR_EINVAL);
    CHECK_STR(e.msg, "/etc/x.conf:2:4: a control character is not allowed here");
    CHECK_INT(try_bytes("a: gr\xc3\xbcn\xff\n", 10, &e), OTR_EINVAL);
    CHECK_STR(e.msg, "/etc/x.conf:1:8: this byte is not UTF-8");
    CHECK_INT(try_bytes("a: 1\r\nb: \x1b\r\n", 12, &e), OTR_EINVAL);
    CHECK_STR(e.msg, "/etc/x.conf:2:4: a control character is not allowed here");
    CHECK_INT(try_bytes("\xff\xfe\x61\x00", 4, &e), OTR_EINVAL);
    CHECK_STR(e.msg, "/etc/x.conf:1:1: this byte is not UTF-8");
    CHECK_INT(try_bytes("a: \xef\xbb\xbf", 6, &e), OTR_EINVAL);
    CHECK_INT(try_bytes("a: \xc2\x80", 5, &e), OTR_EINVAL);
    static const char *const bad[] = { "a: x\x7f", "a: x\xc2\x9f", "a: x\xef\xbf\xbe",
                                       "a: x\xef\xbf\xbf" };
    for (size_t i = 0; i < OTR_COUNT(bad); i++) {
        CHECK_INT(try_bytes(bad[i], strlen(bad[i]), &e), OTR_EINVAL);
        CHECK_STR(e.msg, "/etc/x.conf:1:5: a control character is not allowed here");
    }
    CHECK_INT(try_bytes("a: x\xc2\xa0", 6, &e), OTR_OK);
}

T(deep_nesting_ends_at_the_ceiling)
{
    BUF(text);
    otr_err e = { 0 };
    REQUIRE_OK(otr_buf_adds(&text, "a: ", &e), e);
    for (int i = 0; i < 100000; i++) {
        REQUIRE_OK(otr_buf_addc(&text, '[', &e), e);
    }
    CHECK_INT(try_bytes(text.p, text.n, &e), OTR_EQUOTA);
    CHECK_HAS(e.msg, "/etc/x.conf:1:");
    CHECK_HAS(e.msg, "nested deeper than");
    otr_buf_clear(&text);
    for (int i = 0; i < 100000; i++) {
        REQUIRE_OK(otr_buf_adds(&text, "{a: ", &e), e);
    }
    CHECK_INT(try_bytes(text.p, text.n, &e), OTR_EQUOTA);
    otr_buf_clear(&text);
    for (int i = 0; i < 100000; i++) {
        REQUIRE_OK(otr_buf_adds(&text, "- ", &e), e);
    }
    CHECK_INT(try_bytes(text.p, text.n, &e), OTR_EQUOTA);
}

T(the_deepest_tree_can_be_written_as_json)
{
    BUF(text);
    otr_err e = { 0 };
    REQUIRE_OK(otr_buf_adds(&text, "a: ", &e), e);
    for (int i = 0; i < OTR_LIMIT_CONFIG_DEPTH - 2; i++) {
        REQUIRE_OK(otr_buf_addc(&text, '[', &e), e);
    }
    for (int i = 0; i < OTR_LIMIT_CONFIG_DEPTH - 2; i++) {
        REQUIRE_OK(otr_buf_addc(&text, ']', &e), e);
    }
    READ(root, otr_buf_text(&text));
    BUF(out);
    REQUIRE_OK(otr_node_json(root, &out, &e), e);
    otr_buf_clear(&text);
    REQUIRE_OK(otr_buf_adds(&text, "a: ", &e), e);
    for (int i = 0; i < OTR_LIMIT_CONFIG_DEPTH - 1; i++) {
        REQUIRE_OK(otr_buf_addc(&text, '[', &e), e);
    }
    CHECK_INT(try_bytes(text.p, text.n, &e), OTR_EQUOTA);
}

/* What has thousands of values is not run under failing allocation: the smaller ones reach the same
 * places. */
T_NO_OOM(an_alias_bomb_is_counted_at_its_full_size)
{
    BUF(text);
    otr_err e = { 0 };
    REQUIRE_OK(otr_buf_adds(&text, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n", &e), e);
    for (int i = 1; i < 12; i++) {
        REQUIRE_OK(otr_buf_addf(&text, &e, "a%d: &a%d [", i, i), e);
        for (int k = 0; k < 10; k++) {
            REQUIRE_OK(otr_buf_addf(&text, &e, "*a%d,", i - 1), e);
        }
        REQUIRE_OK(otr_buf_adds(&text, "]\n", &e), e);
    }
    CHECK_INT(try_bytes(text.p, text.n, &e), OTR_EQUOTA);
    CHECK_HAS(e.msg, "more than 100000 values");
    otr_buf_clear(&text);
    REQUIRE_OK(otr_buf_adds(&text, "a: &a [", &e), e);
    for (int i = 0; i < OTR_LIMIT_CONFIG_NODES / 2; i++) {
        REQUIRE_OK(otr_buf_adds(&text, "0,", &e), e);
    }
    REQUIRE_OK(otr_buf_adds(&text, "]\nb: *a\n", &e), e);
    CHECK_INT(try_bytes(text.p, text.n, &e), OTR_EQUOTA);
    CHECK_HAS(e.msg, "/etc/x.conf:2:4: more than 100000 values");
}

T(an_alias_chain_cannot_pass_the_depth_ceiling)
{
    BUF(text);
    otr_err e = { 0 };
    REQUIRE_OK(otr_buf_adds(&text, "a0: &a0 [x]\n", &e), e);
    for (int i = 1; i < 100; i++) {
        REQUIRE_OK(otr_buf_addf(&text, &e, "a%d: &a%d [*a%d]\n", i, i, i - 1), e);
    }
    CHECK_INT(try_bytes(text.p, text.n, &e), OTR_EINVAL);
    CHECK_HAS(e.msg, "nested too deeply");
}

T_NO_OOM(anchors_have_a_ceiling)
{
    BUF(text);
    otr_err e = { 0 };
    for (int i = 0; i <= OTR_LIMIT_CONFIG_ANCHORS; i++) {
        REQUIRE_OK(otr_buf_addf(&text, &e, "k%d: &a%d x\n", i, i), e);
    }
    CHECK_INT(try_bytes(text.p, text.n, &e), OTR_EQUOTA);
    CHECK_HAS(e.msg, "/etc/x.conf:1001:8: more than 1000 anchors");
}

T(directives_have_a_ceiling)
{
    BUF(text);
    otr_err e = { 0 };
    for (int i = 0; i < 100000; i++) {
        REQUIRE_OK(otr_buf_addf(&text, &e, "%%TAG !t%d! x\n", i), e);
    }
    CHECK_INT(try_bytes(text.p, text.n, &e), OTR_EINVAL);
    CHECK_STR(e.msg, "/etc/x.conf:17:1: too many directives");
    CHECK_INT(try_bytes("%YAML 1.1\n---\na: 1\n", 19, &e), OTR_OK);
}

T_NO_OOM(merging_large_maps_is_bounded)
{
    BUF(text);
    otr_err e = { 0 };
    REQUIRE_OK(otr_buf_adds(&text, "base: &b\n", &e), e);
    for (int i = 0; i < 10000; i++) {
        REQUIRE_OK(otr_buf_addf(&text, &e, "  k%d: 1\n", i), e);
    }
    REQUIRE_OK(otr_buf_adds(&text, "other:\n  <<: *b\n", &e), e);
    for (int i = 0; i < 10000; i++) {
        REQUIRE_OK(otr_buf_addf(&text, &e, "  m%d: 1\n", i), e);
    }
    CHECK_INT(try_bytes(text.p, text.n, &e), OTR_EINVAL);
    CHECK_HAS(e.msg, "too many keys to merge");
}

T(a_file_over_the_size_ceiling_is_refused)
{
    otr_err e = { 0 };
    OTR_CLEANUP(otr_freep) char *text = otr_zalloc(OTR_LIMIT_CONFIG_BYTES + 1);
    REQUIRE(text != NULL);
    memset(text, '#', OTR_LIMIT_CONFIG_BYTES + 1);
    CHECK_INT(try_bytes(text, OTR_LIMIT_CONFIG_BYTES + 1, &e), OTR_EQUOTA);
    CHECK_INT(try_bytes(text, OTR_LIMIT_CONFIG_BYTES, &e), OTR_OK);
}

T_NO_OOM(too_many_values_are_refused)
{
    BUF(text);
    otr_err e = { 0 };
    REQUIRE_OK(otr_buf_adds(&text, "a: [", &e), e);
    for (int i = 0; i < OTR_LIMIT_CONFIG_NODES; i++) {
        REQUIRE_OK(otr_buf_adds(&text, "0,", &e), e);
    }
    REQUIRE_OK(otr_buf_adds(&text, "]", &e), e);
    CHECK_INT(try_bytes(text.p, text.n, &e), OTR_EQUOTA);
    CHECK_HAS(e.msg, "more than 100000 values");
}

T(nothing_is_an_empty_map)
{
    otr_err e = { 0 };
    static const char *const nothing[] = { "",    "\n\n", "# only a comment\n", "---\n",
                                           "~\n", "{}",   "\xef\xbb\xbf",       "--- # x\n...\n" };
    for (size_t i = 0; i < OTR_COUNT(nothing); i++) {
        READ(root, nothing[i]);
        CHECK_INT(otr_node_kind(root), OTR_NODE_MAP);
        CHECK_INT(otr_node_size(root), 0);
        CHECK(otr_node_get(root, "a") == NULL);
        CHECK(otr_node_at(root, 0) == NULL);
        CHECK_STR(otr_node_key_at(root, 0), "");
    }
    CHECK_INT(try_bytes(NULL, 0, &e), OTR_OK);
}

T(a_tree_is_read_with_its_places)
{
    otr_err e = { 0 };
    READ(root, "\xef\xbb\xbf# hi\r\nlog:\r\n  level: debug\r\nlist:\r\n  - one\r\n  - {k: v}\r\n");
    char where[64];
    const otr_node *level = otr_node_get(otr_node_get(root, "log"), "level");
    REQUIRE(level != NULL);
    CHECK_STR(otr_node_text(level), "debug");
    CHECK_STR(otr_node_where(level, where, sizeof(where)), "/etc/x.conf:3:10");
    const otr_node *list = otr_node_get(root, "list");
    REQUIRE(list != NULL);
    CHECK_INT(otr_node_kind(list), OTR_NODE_LIST);
    CHECK_INT(otr_node_size(list), 2);
    CHECK_STR(otr_node_text(otr_node_at(list, 0)), "one");
    CHECK_STR(otr_node_text(list), "");
    const otr_node *map = otr_node_at(list, 1);
    CHECK_STR(otr_node_key_at(map, 0), "k");
    CHECK_STR(otr_node_where(map, where, sizeof(where)), "/etc/x.conf:6:5");
    CHECK_STR(otr_node_where(map, where, 8), "/etc/x.");
    CHECK(otr_node_get(list, "k") == NULL);
    CHECK(otr_node_get(NULL, "k") == NULL);
    CHECK_STR(otr_node_key_at(root, 0), "log");
}

T(aliases_share_what_they_stand_for)
{
    otr_err e = { 0 };
    READ(root, "a: &x {k: [1, 2]}\nb: *x\nc: &x 3\nd: *x\n");
    char where[64];
    const otr_node *a = otr_node_get(root, "a");
    const otr_node *b = otr_node_get(root, "b");
    REQUIRE(a != NULL && b != NULL);
    CHECK(otr_node_get(a, "k") == otr_node_get(b, "k"));
    CHECK_STR(otr_node_where(b, where, sizeof(where)), "/etc/x.conf:2:4");
    CHECK_STR(otr_node_text(otr_node_get(root, "d")), "3");
}

T(merge_keys_bring_what_is_not_there)
{
    json_is("b: &b {x: 1, y: 2}\nc: &c {y: 3, z: 4}\nd:\n  <<: *b\n  y: 9\ne:\n  <<: [*b, *c]\n"
            "f: {\"<<\": 1}\n",
            "{\"b\":{\"x\":1,\"y\":2},\"c\":{\"y\":3,\"z\":4},\"d\":{\"y\":9,\"x\":1},"
            "\"e\":{\"x\":1,\"y\":2,\"z\":4},\"f\":{\"<<\":1}}");
}

T(json_has_the_types_of_the_core_schema)
{
    json_is(
        "a: 12\nb: \"12\"\nc: 1.50\nd: true\ne: 'true'\nf: ~\ng:\nh: yes\ni: 0x1f\nj: .inf\n"
        "k: -.inf\nl: .nan\nm: .5\nn: +7\no: 18446744073709551616\np: !!str 5\nq: |\n  two\n  "
        "lines\nr: +.inf\ns: !!int \"7\"\n",
        "{\"a\":12,\"b\":\"12\",\"c\":1.5,\"d\":true,\"e\":\"true\",\"f\":null,\"g\":null,"
        "\"h\":\"yes\",\"i\":31,\"j\":null,\"k\":null,\"l\":null,\"m\":0.5,\"n\":7,"
        "\"o\":1.8446744073709552e+19,\"p\":\"5\",\"q\":\"two\\nlines\\n\",\"r\":null,\"s\":7}");
}

T(typed_reads_say_what_they_expected)
{
    otr_err e = { 0 };
    READ(root, "n: 70000\nb: maybe\nd: 5\ns: 64m\nl: [1]\nm: {levle: 1}\nok: [5, on, 1m, 2KiB]\n");
    int64_t i = 0;
    bool b = false;
    uint64_t u = 0;
    CHECK_INT(otr_node_as_int(otr_node_get(root, "n"), 0, 65535, &i, &e), OTR_EINVAL);
    CHECK_STR(e.msg, "/etc/x.conf:1:4: n: expected a whole number from 0 to 65535, got \"70000\"");
    CHECK_INT(otr_node_as_bool(otr_node_get(root, "b"), &b, &e), OTR_EINVAL);
    CHECK_STR(e.msg, "/etc/x.conf:2:4: b: expected true or false, got \"maybe\"");
    CHECK_INT(otr_node_as_duration_ns(otr_node_get(root, "d"), &u, &e), OTR_EINVAL);
    CHECK_HAS(e.msg, "/etc/x.conf:3:4: d: expected a duration");
    CHECK_INT(otr_node_as_bytes(otr_node_get(root, "s"), &u, &e), OTR_EINVAL);
    CHECK_HAS(e.msg, "/etc/x.conf:4:4: s: expected a size such as");
    CHECK_INT(otr_node_as_int(otr_node_get(root, "l"), 0, 1, &i, &e), OTR_EINVAL);
    CHECK_STR(e.msg, "/etc/x.conf:5:4: l: expected a whole number from 0 to 1, got a list");
    CHECK_INT(otr_node_as_bool(otr_node_get(root, "m"), &b, &e), OTR_EINVAL);
    CHECK_HAS(e.msg, "got a map");
    static const char *const known[] = { "level", "path", NULL };
    CHECK_INT(otr_node_only(otr_node_get(root, "m"), known, &e), OTR_EINVAL);
    CHECK_STR(e.msg, "/etc/x.conf:6:5: unknown key \"levle\", did you mean \"level\"?");
    CHECK_INT(otr_node_only(otr_node_get(root, "l"), known, &e), OTR_EINVAL);
    CHECK_STR(e.msg, "/etc/x.conf:5:4: l: expected a map, got a list");
    CHECK_INT(otr_node_only(root, known, &e), OTR_EINVAL);
    CHECK_STR(e.msg, "/etc/x.conf:1:1: unknown key \"n\"");
    const otr_node *ok = otr_node_get(root, "ok");
    REQUIRE_OK(otr_node_as_int(otr_node_at(ok, 0), 5, 5, &i, &e), e);
    REQUIRE_OK(otr_node_as_bool(otr_node_at(ok, 1), &b, &e), e);
    REQUIRE_OK(otr_node_as_duration_ns(otr_node_at(ok, 2), &u, &e), e);
    CHECK_INT(u, 60 * OTR_NS_PER_S);
    REQUIRE_OK(otr_node_as_bytes(otr_node_at(ok, 3), &u, &e), e);
    CHECK_INT(u, 2048);
    CHECK(i == 5 && b);
}

T(a_foreign_text_in_an_error_is_harmless)
{
    otr_err e = { 0 };
    const char *text = "\"a\\nb\\e\": 1\n\"a\\nb\\e\": 2\n";
    CHECK(try_bytes(text, strlen(text), &e) != OTR_OK);
    CHECK_HAS(e.msg, "key \"a?b?\" stands twice");
}

T(json_over_the_ceiling_leaves_the_buffer_as_it_was)
{
    otr_err e = { 0 };
    READ(root, "a: a text that does not fit\n");
    OTR_CLEANUP(free_buf) otr_buf out;
    otr_buf_init(&out, 8);
    REQUIRE_OK(otr_buf_adds(&out, "abc", &e), e);
    CHECK_INT(otr_node_json(root, &out, &e), OTR_EQUOTA);
    CHECK_STR(otr_buf_text(&out), "abc");
}
