#include "base/buf.h"
#include "nginx/language/walk.h"
#include "unit/nginx/tree.h"

typedef struct trace {
    otr_buf out;
    unsigned open;
} trace;

static void trace_deinit(trace *t)
{
    otr_buf_deinit(&t->out);
}

/* "name(arg,arg)" for a directive, "name(arg){" and "}" for a block. */
static otr_code enter(void *arg, const otr_directive *d, otr_err *err)
{
    trace *t = arg;
    otr_code rc = otr_buf_addf(&t->out, err, "%s(", d->name);
    for (size_t i = 0; rc == OTR_OK && i < d->n_args; i++) {
        rc = otr_buf_addf(&t->out, err, "%s%s", i > 0 ? "," : "", d->args[i]);
    }
    t->open += d->block;
    return rc == OTR_OK ? otr_buf_adds(&t->out, d->block ? "){" : ")", err) : rc;
}

static void leave(void *arg)
{
    trace *t = arg;
    t->open--;
    (void)!otr_buf_addc(&t->out, '}', NULL);
}

static otr_code walk(trace *t, const char *file, otr_err *err)
{
    otr_buf_init(&t->out, 65536);
    otr_visitor v = { .enter = enter, .leave = leave, .arg = t };
    return otr_nginx_walk(&(otr_root){ .path = "" }, file, &v, NULL, err);
}

static void check_error(const char *text, const char *expected)
{
    OTR_CLEANUP(trace_deinit) trace t = { 0 };
    otr_buf_init(&t.out, 65536);
    otr_visitor v = { .enter = enter, .leave = leave, .arg = &t };
    otr_err err = { 0 };
    CHECK_INT(otr_nginx_walk_text(otr_bytes_of(text), "nginx.conf", &v, &err), OTR_EINVAL);
    CHECK_STR(err.msg, expected);
    CHECK_INT(t.open, 0);
}

T(every_syntax_error_names_its_file_and_line)
{
    check_error("a;\n}\n", "nginx.conf:2: unexpected \"}\"");
    check_error("a {\n b c }\n", "nginx.conf:2: unexpected \"}\"");
    check_error("a {\n b c\n }\n", "nginx.conf:3: unexpected \"}\"");
    check_error("a {\n b;\n", "nginx.conf:3: unexpected end of file, expecting \"}\"");
    check_error("a\n", "nginx.conf:2: unexpected end of file, expecting \";\" or \"}\"");
    check_error(";", "nginx.conf:1: unexpected \";\"");
    check_error("a;\n{ b; }", "nginx.conf:2: unexpected \"{\"");
    check_error("content_by_lua_block {\n if x then {",
                "nginx.conf:1: Lua block is not closed, expecting \"}\"");
}

T(blocks_deeper_than_the_limit_are_refused)
{
    char text[200] = { 0 };
    for (int i = 0; i < 65; i++) {
        memcpy(text + 2 * i, "a{", 2);
    }
    OTR_CLEANUP(trace_deinit) trace t = { 0 };
    otr_buf_init(&t.out, 65536);
    otr_visitor v = { .enter = enter, .leave = leave, .arg = &t };
    otr_err err = { 0 };
    CHECK_INT(otr_nginx_walk_text(otr_bytes_of(text), "f", &v, &err), OTR_EQUOTA);
    CHECK_STR(err.msg, "f:1: blocks are more than 64 deep");
    CHECK_INT(t.open, 0);
}

T(missing_include_is_named_with_the_line_that_includes_it)
{
    OTR_CLEANUP(tree_deinit) tree dir;
    REQUIRE(tree_init(&dir));
    REQUIRE(tree_write(&dir, "nginx.conf", "a;\ninclude gone.conf;\n"));
    OTR_CLEANUP(trace_deinit) trace t = { 0 };
    otr_err err = { 0 };
    CHECK_INT(walk(&t, tree_path(&dir, "nginx.conf"), &err), OTR_ENOTFOUND);
    CHECK_HAS(err.msg, "nginx.conf:2: cannot open ");
    CHECK_HAS(err.msg, "gone.conf: No such file");
}

T(include_of_itself_is_an_error_and_ends)
{
    OTR_CLEANUP(tree_deinit) tree dir;
    REQUIRE(tree_init(&dir));
    REQUIRE(tree_write(&dir, "nginx.conf", "include a.conf;"));
    REQUIRE(tree_write(&dir, "a.conf", "\ninclude ./nginx.conf;"));
    OTR_CLEANUP(trace_deinit) trace t = { 0 };
    otr_err err = { 0 };
    CHECK_INT(walk(&t, tree_path(&dir, "nginx.conf"), &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "a.conf:2: ");
    CHECK_HAS(err.msg, "includes itself");
}

T(cycle_through_symbolic_links_ends_at_the_depth_limit)
{
    OTR_CLEANUP(tree_deinit) tree dir;
    REQUIRE(tree_init(&dir));
    REQUIRE(tree_write(&dir, "nginx.conf", "include a/x.conf;"));
    REQUIRE(tree_write(&dir, "a/x.conf", "include a/a*/x.conf;"));
    REQUIRE(symlink(".", tree_path(&dir, "a/a")) == 0);
    OTR_CLEANUP(trace_deinit) trace t = { 0 };
    otr_err err = { 0 };
    CHECK(walk(&t, tree_path(&dir, "nginx.conf"), &err) != OTR_OK);
}

T(error_in_an_included_file_names_that_file)
{
    OTR_CLEANUP(tree_deinit) tree dir;
    REQUIRE(tree_init(&dir));
    REQUIRE(tree_write(&dir, "nginx.conf", "http {\n include conf.d/*.conf;\n}\n"));
    REQUIRE(tree_write(&dir, "conf.d/bad.conf", "server {\n"));
    OTR_CLEANUP(trace_deinit) trace t = { 0 };
    otr_err err = { 0 };
    CHECK_INT(walk(&t, tree_path(&dir, "nginx.conf"), &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "/conf.d/bad.conf:2: unexpected end of file, expecting \"}\"");
    CHECK_INT(t.open, 0);
}

T(folder_and_fifo_in_the_place_of_a_file_are_refused)
{
    OTR_CLEANUP(tree_deinit) tree dir;
    REQUIRE(tree_init(&dir));
    REQUIRE(tree_write(&dir, "nginx.conf", "include pipe;"));
    REQUIRE(mkfifo(tree_path(&dir, "pipe"), 0600) == 0);
    OTR_CLEANUP(trace_deinit) trace t = { 0 };
    otr_err err = { 0 };
    CHECK_INT(walk(&t, tree_path(&dir, "nginx.conf"), &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "pipe is a FIFO, not a regular file");
}

T(includes_are_followed_in_place_and_sorted)
{
    OTR_CLEANUP(tree_deinit) tree dir;
    REQUIRE(tree_init(&dir));
    REQUIRE(tree_write(&dir, "nginx.conf", "a; http { include conf.d/*.conf; include none/*; }"));
    REQUIRE(tree_write(&dir, "conf.d/b.conf", "two;"));
    REQUIRE(tree_write(&dir, "conf.d/a.conf", "one { x; }"));
    REQUIRE(tree_write(&dir, "conf.d/.hidden.conf", "never;"));
    REQUIRE(tree_write(&dir, "conf.d/c.conf~", "never;"));
    OTR_CLEANUP(trace_deinit) trace t = { 0 };
    otr_err err = { 0 };
    REQUIRE_OK(walk(&t, tree_path(&dir, "nginx.conf"), &err), err);
    CHECK_STR(otr_buf_text(&t.out), "a()http(){include(conf.d/*.conf)one(){x()}two()"
                                    "include(none/*)}");
}

T(lua_body_is_the_last_argument)
{
    OTR_CLEANUP(trace_deinit) trace t = { 0 };
    otr_buf_init(&t.out, 65536);
    otr_visitor v = { .enter = enter, .leave = leave, .arg = &t };
    otr_err err = { 0 };
    REQUIRE_OK(
        otr_nginx_walk_text(otr_bytes_of("location / { set_by_lua_block $x { return '}' } y z; }"),
                            "f", &v, &err),
        err);
    CHECK_STR(otr_buf_text(&t.out), "location(/){set_by_lua_block($x, return '}' )y(z)}");
}
