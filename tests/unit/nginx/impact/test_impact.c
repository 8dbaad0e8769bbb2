#include "base/json.h"
#include "nginx/impact/impact.h"
#include "unit/nginx/tree.h"

static const otr_root here = { .path = "" };

static void deinit(otr_buf *b)
{
    otr_buf_deinit(b);
}

#define BUF(name)                     \
    OTR_CLEANUP(deinit) otr_buf name; \
    otr_buf_init(&(name), 64 << 20)

typedef struct fixture {
    tree dir;
    otr_overlay *overlay;
    otr_impact *impact;
    otr_err err;
} fixture;

static void fixture_deinit(fixture *f)
{
    otr_impact_free(f->impact);
    otr_overlay_free(f->overlay);
    tree_deinit(&f->dir);
}

static bool fixture_init(fixture *f)
{
    memset(f, 0, sizeof(*f));
    return tree_init(&f->dir) && otr_overlay_new(&here, &f->overlay, &f->err) == OTR_OK;
}

static bool change(fixture *f, const char *name, const char *text)
{
    const char *path = tree_path(&f->dir, name);
    return (text != NULL ? otr_overlay_put(f->overlay, path, otr_bytes_of(text), &f->err)
                         : otr_overlay_remove(f->overlay, path, &f->err)) == OTR_OK;
}

static bool make(fixture *f)
{
    otr_impact_spec spec = { .root = &here,
                             .config = tree_path(&f->dir, "nginx.conf"),
                             .overlay = f->overlay,
                             .with_config = true };
    return otr_impact_new(&spec, &f->impact, &f->err) == OTR_OK;
}

/* `text` with the folder taken out wherever it stands. */
static bool shorten(const fixture *f, const otr_buf *text, otr_buf *out, otr_err *err)
{
    size_t n = strlen(f->dir.dir);
    const char *at = otr_buf_text(text);
    for (const char *next; (next = strstr(at, f->dir.dir)) != NULL; at = next + n + 1) {
        if (otr_buf_add(out, (otr_bytes){ (const uint8_t *)at, (size_t)(next - at) }, err) !=
            OTR_OK) {
            return false;
        }
    }
    return otr_buf_adds(out, at, err) == OTR_OK;
}

/* The lines for people, but for the first one, without the folder. */
static void check_text(fixture *f, const char *expected)
{
    BUF(text);
    BUF(shown);
    REQUIRE_OK(otr_impact_write_text(f->impact, 20, &text, &f->err), f->err);
    REQUIRE(shorten(f, &text, &shown, &f->err));
    CHECK_STR(strchr(otr_buf_text(&shown), '\n') + 1, expected);
}

#define FIXTURE(f)                         \
    OTR_CLEANUP(fixture_deinit) fixture f; \
    REQUIRE(fixture_init(&f))

/* One file before and after, and what that comes to. */
static void check_main(const char *old, const char *new, const char *expected)
{
    FIXTURE(f);
    REQUIRE(tree_write(&f.dir, "nginx.conf", old) && change(&f, "nginx.conf", new));
    REQUIRE_OK(make(&f) ? OTR_OK : f.err.code != OTR_OK ? f.err.code : OTR_ENOMEM, f.err);
    check_text(&f, expected);
}

T(comments_and_white_space_have_no_effect)
{
    check_main("events {}\nhttp { server { listen 80; # a\n } }",
               "# b\nevents {\n}\nhttp {\n  server {\n listen  \"80\";\n } }\n",
               "no effect on NGINX\n");
}

T(directives_of_other_names_may_change_places)
{
    check_main("http { server { listen 80; root /a; index a b; } }",
               "http { server { root /a; index a b; listen 80; } }", "no effect on NGINX\n");
}

T(directives_that_run_in_their_order_may_not)
{
    check_main("http { server { listen 80; set $a 1; if ($b) { return 1; } } }",
               "http { server { listen 80; if ($b) { return 1; } set $a 1; } }",
               "servers: 0 added, 0 removed, 1 changed, 0 touched\n"
               "  ~ (no name) (80)  nginx.conf:1  if\n");
}

T(the_main_and_events_level_touch_everything)
{
    check_main("worker_processes 1; events {}", "worker_processes 2;\nevents {}",
               "touches everything: worker_processes (nginx.conf:1)\n");
    check_main("events { worker_connections 1; }", "events { worker_connections 2; }",
               "touches everything: events (nginx.conf:1)\n");
    check_main("events {}", "events {}\nhttp {}", "touches everything: http (nginx.conf:2)\n");
}

T(servers_are_told_apart_by_names_and_addresses)
{
    check_main(
        "http { server { listen 80; server_name a; } server { listen 80; server_name b; } }",
        "http { server { listen 80; server_name b; }\nserver { listen 80; server_name c; } }",
        "servers: 1 added, 1 removed, 0 changed, 0 touched\n"
        "  + c (80)  nginx.conf:2\n"
        "  - a (80)  nginx.conf:1\n");
}

T(a_server_that_gets_another_name_or_address_has_changed)
{
    check_main("http { server { listen 80; server_name a b; } }",
               "http { server { listen 443 ssl; server_name a b c; } }",
               "servers: 0 added, 0 removed, 1 changed, 0 touched\n"
               "  ~ a b c (443)  nginx.conf:1  listen, server_name\n");
}

T(a_changed_location_changes_its_server)
{
    check_main("http { server { listen 80; location / { root /a; } location ~ \\.php$ { } } }",
               "http { server { listen 80;\nlocation / { root /b; }\nlocation = /x { }\n} }",
               "servers: 0 added, 0 removed, 1 changed, 0 touched\n"
               "  ~ (no name) (80)  nginx.conf:1  location\n"
               "locations: 1 added, 1 removed, 1 changed, 0 touched\n"
               "  ~ / of 80  nginx.conf:2  root\n"
               "  + = /x of 80  nginx.conf:3\n"
               "  - ~ \\.php$ of 80  nginx.conf:1\n");
}

T(what_a_block_inherits_touches_it_unless_it_sets_it_itself)
{
    check_main("http { gzip off;\nserver { listen 1; }\nserver { listen 2; gzip on; }\n"
               "server { listen 3; location /a { gzip on; }\nlocation /b { } } }",
               "http { gzip on;\nserver { listen 1; }\nserver { listen 2; gzip on; }\n"
               "server { listen 3; location /a { gzip on; }\nlocation /b { } } }",
               "servers: 0 added, 0 removed, 0 changed, 2 touched\n"
               "  * (no name) (1)  nginx.conf:2  inherits gzip\n"
               "  * (no name) (3)  nginx.conf:4  inherits gzip\n"
               "locations: 0 added, 0 removed, 0 changed, 1 touched\n"
               "  * /b of 3  nginx.conf:5  inherits gzip\n");
}

T(locations_inherit_what_changed_in_their_server)
{
    check_main("http { server { listen 1; gzip off; location /a { } location /b { gzip on; } } }",
               "http { server { listen 2; gzip on; location /a { } location /b { gzip on; } } }",
               "servers: 0 added, 0 removed, 1 changed, 0 touched\n"
               "  ~ (no name) (2)  nginx.conf:1  gzip, listen\n"
               "locations: 0 added, 0 removed, 0 changed, 1 touched\n"
               "  * /a of 2  nginx.conf:1  inherits gzip\n");
}

T(a_changed_upstream_touches_who_passes_to_it)
{
    check_main("http { upstream up { server a; } upstream other { server b; }\n"
               "server { listen 1; location / { proxy_pass http://up/x; } }\n"
               "server { listen 2; proxy_pass http://other; root up; }\n"
               "server { listen 3; set $b up; location / { proxy_pass http://$b; } } }",
               "http { upstream up { server c; } upstream other { server b; }\n"
               "server { listen 1; location / { proxy_pass http://up/x; } }\n"
               "server { listen 2; proxy_pass http://other; root up; }\n"
               "server { listen 3; set $b up; location / { proxy_pass http://$b; } } }",
               "servers: 0 added, 0 removed, 0 changed, 1 touched\n"
               "  * (no name) (3)  nginx.conf:4  uses upstream up\n"
               "locations: 0 added, 0 removed, 0 changed, 2 touched\n"
               "  * / of 1  nginx.conf:2  uses upstream up\n"
               "  * / of 3  nginx.conf:4  inherits set\n"
               "upstreams: 0 added, 0 removed, 1 changed, 0 touched\n"
               "  ~ up  nginx.conf:1\n");
}

T(maps_zones_and_formats_touch_who_names_them_also_through_each_other)
{
    check_main("http { upstream up { server a; } map $x $to { default up; }\n"
               "limit_req_zone $b zone=z:1m rate=1r/s; log_format f '$to $x';\n"
               "server { listen 1; limit_req zone=z burst=2; }\n"
               "server { listen 2; access_log /l f; }\n"
               "server { listen 3; proxy_pass http://${to}; }\n"
               "server { listen 4; access_log /l fx; set $tox 1; } }",
               "http { upstream up { server b; } map $x $to { default up; }\n"
               "limit_req_zone $b zone=z:1m rate=2r/s; log_format f '$to $x';\n"
               "server { listen 1; limit_req zone=z burst=2; }\n"
               "server { listen 2; access_log /l f; }\n"
               "server { listen 3; proxy_pass http://${to}; }\n"
               "server { listen 4; access_log /l fx; set $tox 1; } }",
               "servers: 0 added, 0 removed, 0 changed, 3 touched\n"
               "  * (no name) (1)  nginx.conf:3  uses z\n"
               "  * (no name) (2)  nginx.conf:4  uses f\n"
               "  * (no name) (3)  nginx.conf:5  uses variable to\n"
               "upstreams: 0 added, 0 removed, 1 changed, 0 touched\n"
               "  ~ up  nginx.conf:1\n"
               "others: 0 added, 0 removed, 1 changed, 2 touched\n"
               "  ~ limit_req_zone z  nginx.conf:2\n"
               "  * map variable to  nginx.conf:1  uses upstream up\n"
               "  * log_format f  nginx.conf:2  uses variable to\n");
}

T(stream_servers_are_told_of_as_well)
{
    check_main("stream { upstream u { server a:1; } server { listen 1; proxy_pass u; } }",
               "stream { upstream u { server a:2; } server { listen 1; proxy_pass u; } }",
               "servers: 0 added, 0 removed, 0 changed, 1 touched\n"
               "  * (no name) (1)  nginx.conf:1  uses upstream u\n"
               "upstreams: 0 added, 0 removed, 1 changed, 0 touched\n"
               "  ~ u  nginx.conf:1\n");
}

T(the_order_of_servers_and_of_regular_expressions_counts)
{
    check_main(
        "http { server { listen 80; server_name a; }\nserver { listen 80; server_name b; } }",
        "http { server { listen 80; server_name b; }\nserver { listen 80; server_name a; } }",
        "servers: 0 added, 0 removed, 0 changed, 1 touched\n"
        "  * a (80)  nginx.conf:2  order of servers\n");
    check_main("http { server { listen 80; location ~ a { } location ~ b { } location /c { } } }",
               "http { server { listen 80; location /c { } location ~ b { } location ~ a { } } }",
               "servers: 0 added, 0 removed, 1 changed, 0 touched\n"
               "  ~ (no name) (80)  nginx.conf:1  location\n"
               "locations: 0 added, 0 removed, 0 changed, 1 touched\n"
               "  * ~ a of 80  nginx.conf:1  order of locations\n");
}

/* ---- several files ---- */

static bool write_sites(fixture *f)
{
    return tree_write(&f->dir, "nginx.conf", "events {}\nhttp {\n include sites/*.conf;\n}\n") &&
           tree_write(&f->dir, "sites/a.conf",
                      "server { listen 80; server_name a; include snip.conf; }\n") &&
           tree_write(&f->dir, "sites/b.conf",
                      "server { listen 80; server_name b; ssl_certificate x.pem; }\n") &&
           tree_write(&f->dir, "snip.conf", "root /a;\n") && tree_write(&f->dir, "x.pem", "old\n");
}

T(files_that_come_and_go_bring_and_take_their_servers)
{
    FIXTURE(f);
    REQUIRE(write_sites(&f) && change(&f, "sites/a.conf", NULL) &&
            change(&f, "sites/c.conf", "server { listen 81; }\n") && make(&f));
    check_text(&f, "servers: 1 added, 1 removed, 0 changed, 0 touched\n"
                   "  + (no name) (81)  sites/c.conf:1\n"
                   "  - a (80)  sites/a.conf:1\n");
    CHECK_INT(otr_impact_get(f.impact)->files_added, 1);
    CHECK_INT(otr_impact_get(f.impact)->files_removed, 1);
    CHECK_INT(otr_impact_get(f.impact)->files_unused, 0);
}

T(a_changed_snippet_touches_who_includes_it)
{
    FIXTURE(f);
    REQUIRE(write_sites(&f) && change(&f, "snip.conf", "root /b;\n") && make(&f));
    check_text(&f, "servers: 0 added, 0 removed, 0 changed, 1 touched\n"
                   "  * a (80)  sites/a.conf:1  includes snip.conf: root\n");
}

T(a_file_that_is_no_configuration_touches_who_names_it)
{
    FIXTURE(f);
    REQUIRE(write_sites(&f) && change(&f, "x.pem", "new\n") && change(&f, "y.pem", "") && make(&f));
    check_text(&f, "servers: 0 added, 0 removed, 0 changed, 1 touched\n"
                   "  * b (80)  sites/b.conf:1  uses file x.pem\n");
    CHECK_INT(otr_impact_get(f.impact)->files_unused, 2);
}

T(what_another_file_inherits_is_found_there)
{
    FIXTURE(f);
    REQUIRE(write_sites(&f) &&
            change(&f, "nginx.conf", "events {}\nhttp {\n gzip on;\n include sites/*.conf;\n}\n") &&
            make(&f));
    check_text(&f, "servers: 0 added, 0 removed, 0 changed, 2 touched\n"
                   "  * a (80)  sites/a.conf:1  inherits gzip\n"
                   "  * b (80)  sites/b.conf:1  inherits gzip\n");
}

T(an_include_of_a_file_that_was_there_brings_it_in)
{
    FIXTURE(f);
    REQUIRE(write_sites(&f) && tree_write(&f.dir, "more.conf", "server { listen 9; }\n") &&
            change(&f, "nginx.conf",
                   "events {}\nhttp {\n include more.conf;\n include sites/*.conf;\n}\n") &&
            make(&f));
    check_text(&f, "servers: 1 added, 0 removed, 0 changed, 0 touched\n"
                   "  + (no name) (9)  more.conf:1\n");
}

T(includes_in_another_order_change_the_order_of_servers)
{
    FIXTURE(f);
    REQUIRE(write_sites(&f) &&
            change(&f, "nginx.conf",
                   "events {}\nhttp {\n include sites/b.conf; include sites/a.conf;\n}\n") &&
            make(&f));
    check_text(&f, "servers: 0 added, 0 removed, 0 changed, 1 touched\n"
                   "  * a (80)  sites/a.conf:1  order of servers\n");
}

T(what_cannot_be_read_is_unknown_and_told)
{
    FIXTURE(f);
    REQUIRE(write_sites(&f) &&
            change(&f, "sites/a.conf", "server { listen 80; server_name a; include gone.conf; }") &&
            make(&f));
    CHECK_INT(otr_impact_get(f.impact)->reach, OTR_IMPACT_UNKNOWN);
    CHECK_INT(otr_impact_get(f.impact)->errors, 1);
    check_text(&f, "touches more than is known: not all of the configuration can be read\n"
                   "servers: 0 added, 0 removed, 1 changed, 0 touched\n"
                   "  ~ a (80)  sites/a.conf:1  root\n"
                   "error: sites/a.conf:1: cannot open gone.conf: No such file or directory\n"
                   "unread: sites/a.conf:1: cannot open gone.conf: No such file or directory\n");
}

T(a_broken_file_that_may_inherit_is_unknown_and_told)
{
    FIXTURE(f);
    REQUIRE(write_sites(&f) && tree_write(&f.dir, "sites/c.conf", "server {\n") &&
            change(&f, "nginx.conf", "http { gzip on; include sites/c.conf; }") && make(&f));
    CHECK_INT(otr_impact_get(f.impact)->reach, OTR_IMPACT_EVERYTHING); /* no events any more */
    otr_impact_free(otr_steal(&f.impact));
    REQUIRE(change(&f, "nginx.conf", "events {}\nhttp {\n gzip on;\n include sites/*.conf;\n}\n") &&
            make(&f));
    CHECK_INT(otr_impact_get(f.impact)->reach, OTR_IMPACT_UNKNOWN);
    CHECK_INT(otr_impact_get(f.impact)->errors, 0);
    check_text(&f, "touches more than is known: not all of the configuration can be read\n"
                   "servers: 0 added, 0 removed, 0 changed, 2 touched\n"
                   "  * a (80)  sites/a.conf:1  inherits gzip\n"
                   "  * b (80)  sites/b.conf:1  inherits gzip\n"
                   "unread: sites/c.conf:2: unexpected end of file, expecting \"}\"\n");
}

T(new_errors_are_told_and_old_ones_are_not)
{
    FIXTURE(f);
    REQUIRE(write_sites(&f) &&
            change(&f, "sites/a.conf", "server {\n listen 80;\n worker_processes 1;\n}\n") &&
            make(&f));
    BUF(json);
    BUF(shown);
    REQUIRE_OK(otr_impact_write_json(f.impact, &json, &f.err), f.err);
    REQUIRE(shorten(&f, &json, &shown, &f.err));
    CHECK_HAS(
        otr_buf_text(&shown),
        "\"errors\":[{\"file\":\"sites/a.conf\",\"line\":3,\"error\":\"\\\"worker_processes\\\" "
        "directive is not allowed here\"}],\"errors_more\":0");
}

T(the_json_has_every_member)
{
    FIXTURE(f);
    REQUIRE(write_sites(&f) &&
            change(&f, "sites/a.conf", "server { listen 80; server_name a; }\n") && make(&f));
    BUF(json);
    BUF(shown);
    REQUIRE_OK(otr_impact_write_json(f.impact, &json, &f.err), f.err);
    CHECK(otr_json_valid(otr_buf_bytes(&json)));
    REQUIRE(shorten(&f, &json, &shown, &f.err));
    CHECK_STR(
        otr_buf_text(&shown),
        "{\"reach\":\"some\",\"everything\":null,\"lines_added\":1,\"lines_removed\":1,\"files\":[{"
        "\"path\":\"sites/a.conf\",\"action\":\"update\",\"used\":true,\"lines_added\":1,"
        "\"lines_removed\":1,\"hidden\":null}],\"servers\":{\"added\":0,\"removed\":0,\"changed\":"
        "1,"
        "\"touched\":0,\"items\":[{\"change\":\"changed\",\"block\":\"http\",\"name\":\"a\","
        "\"listen\":\"80\",\"why\":\"root\",\"file\":\"sites/a.conf\",\"line\":"
        "1}],\"more\":0},\"locations\":{\"added\":0,\"removed\":0,\"changed\":0,\"touched\":0,"
        "\"items\":[],\"more\":0},\"upstreams\":{\"added\":0,\"removed\":0,\"changed\":0,"
        "\"touched\":0,\"items\":[],\"more\":0},\"others\":{\"added\":0,\"removed\":0,\"changed\":"
        "0,"
        "\"touched\":0,\"items\":[],\"more\":0},\"errors\":[],\"errors_more\":0,\"unread\":[],"
        "\"lines\":[\"files: 0 added, 1 changed, 0 removed; lines: +1 -1\",\"servers: 0 added, 0 "
        "removed, 1 changed, 0 touched\",\"  ~ a (80)  sites/a.conf:1  root\"]}");
}

T(the_diff_of_all_files_is_cut_where_asked_for)
{
    FIXTURE(f);
    REQUIRE(write_sites(&f) && change(&f, "x.pem", "new\n") && change(&f, "snip.conf", NULL) &&
            make(&f));
    BUF(diff);
    BUF(shown);
    bool cut = true;
    REQUIRE_OK(otr_impact_write_diff(f.impact, 0, &diff, &cut, &f.err), f.err);
    REQUIRE(shorten(&f, &diff, &shown, &f.err));
    CHECK_STR(otr_buf_text(&shown), "--- ax.pem\n+++ bx.pem\n@@ -1 +1 @@\n-old\n+new\n"
                                    "--- asnip.conf\n+++ /dev/null\n@@ -1 +0,0 @@\n-root /a;\n");
    CHECK(!cut);
    otr_buf_clear(&diff);
    REQUIRE_OK(otr_impact_write_diff(f.impact, 150, &diff, &cut, &f.err), f.err);
    CHECK(cut && strstr(otr_buf_text(&diff), "+new\n") != NULL &&
          strstr(otr_buf_text(&diff), "root") == NULL);
}

T_NO_OOM(long_lists_are_cut_and_counted)
{
    FIXTURE(f);
    BUF(old);
    BUF(json);
    REQUIRE_OK(otr_buf_adds(&old, "http {\n", &f.err), f.err);
    for (int i = 0; i < 1000; i++) {
        REQUIRE_OK(otr_buf_addf(&old, &f.err, "server { listen %d; location / { } }\n", i), f.err);
    }
    REQUIRE_OK(otr_buf_adds(&old, "}\n", &f.err), f.err);
    REQUIRE(tree_write(&f.dir, "nginx.conf", otr_buf_text(&old)));
    old.p[6] = ' ';
    memcpy(old.p + 5, "{", 1);
    BUF(new);
    REQUIRE_OK(otr_buf_addf(&new, &f.err, "http { gzip on;%s", otr_buf_text(&old) + 6), f.err);
    REQUIRE(change(&f, "nginx.conf", otr_buf_text(&new)) && make(&f));
    CHECK_INT(otr_impact_get(f.impact)->servers.touched, 1000);
    CHECK_INT(otr_impact_get(f.impact)->locations.touched, 1000);
    REQUIRE_OK(otr_impact_write_json(f.impact, &json, &f.err), f.err);
    CHECK_HAS(otr_buf_text(&json), "\"more\":800}");
}

T(the_main_file_is_named_absolutely)
{
    FIXTURE(f);
    otr_impact_spec spec = { .root = &here, .config = "nginx.conf", .overlay = f.overlay };
    CHECK_INT(otr_impact_new(&spec, &f.impact, &f.err), OTR_EINVAL);
}

T(files_that_include_each_other_end)
{
    FIXTURE(f);
    REQUIRE(tree_write(&f.dir, "nginx.conf", "include a.conf; include a.conf; gzip on;") &&
            tree_write(&f.dir, "a.conf", "include nginx.conf; include a.conf;") &&
            change(&f, "a.conf", "include nginx.conf; include a.conf; user x;") && make(&f));
    CHECK_INT(otr_impact_get(f.impact)->reach, OTR_IMPACT_EVERYTHING);
    otr_impact_free(otr_steal(&f.impact));
    REQUIRE(change(&f, "a.conf", "include nginx.conf; include a.conf; # x") && make(&f));
    CHECK_INT(otr_impact_get(f.impact)->reach, OTR_IMPACT_UNKNOWN);
}

T(a_file_that_includes_itself_in_a_block_of_its_own_ends)
{
    FIXTURE(f);
    REQUIRE(tree_write(&f.dir, "nginx.conf", "http { gzip on; include b.conf; }") &&
            tree_write(&f.dir, "b.conf", "server { listen 81; location / { include b.conf; } }") &&
            change(&f, "b.conf", "server { listen 81; location / { include b.conf; } } # x") &&
            make(&f));
    CHECK_INT(otr_impact_get(f.impact)->reach, OTR_IMPACT_UNKNOWN);
}

T_NO_OOM(files_that_are_included_without_end_in_sight_are_refused) /* for the time that takes */
{
    FIXTURE(f);
    for (int i = 0; i < 30; i++) {
        char name[32], text[128];
        (void)snprintf(name, sizeof(name), "%d.conf", i);
        (void)snprintf(text, sizeof(text), "include %d.conf; include %d.conf; a;", i + 1, i + 1);
        REQUIRE(tree_write(&f.dir, name, text));
    }
    REQUIRE(tree_write(&f.dir, "30.conf", "b;") &&
            tree_write(&f.dir, "nginx.conf", "include 0.conf;") && change(&f, "30.conf", "c;"));
    otr_impact_spec spec = { .root = &here,
                             .config = tree_path(&f.dir, "nginx.conf"),
                             .overlay = f.overlay };
    CHECK_INT(otr_impact_new(&spec, &f.impact, &f.err), OTR_EQUOTA);
    CHECK_HAS(f.err.msg, "files include each other");
}
