/* The check as a whole: places, includes, comments, limits. */
#include "nginx/check/write.h"
#include "unit/nginx/check/rules/table.h"
#include "unit/nginx/tree.h"

static otr_code into_buf(void *arg, otr_bytes bytes, otr_err *err)
{
    return otr_buf_add(arg, bytes, err);
}

static void check_deinit(otr_check *c)
{
    otr_check_deinit(c);
}

static otr_code check_text(const char *text, otr_check *ret, otr_err *err)
{
    static otr_rules_list rules;
    rules = otr_check_rules();
    otr_bytes bytes = otr_bytes_of(text);
    otr_check_spec spec;
    check_begin(&spec, &rules, &bytes);
    return otr_check_run(&spec, ret, err);
}

T(a_finding_has_the_place_of_its_word)
{
    OTR_CLEANUP(check_deinit) otr_check c = { 0 };
    otr_err err = { 0 };
    REQUIRE_OK(
        check_text(
            "http { server {\n # \xc3\xa4\n \xc3\xa4 \"\xc3\xa4\"; add_header A\n   $uri; } }", &c,
            &err),
        err);
    REQUIRE(c.report.n == 1);
    CHECK_INT(c.report.items[0].line, 4);
    CHECK_INT(c.report.items[0].column, 4);
    CHECK_INT(c.counts[OTR_CHECK_ERROR], 1);
}

T(findings_stand_in_the_order_of_the_text)
{
    OTR_CLEANUP(check_deinit) otr_check c = { 0 };
    otr_err err = { 0 };
    REQUIRE_OK(
        check_text("http { autoindex on;\n merge_slashes off;\n server {\n autoindex on; } }", &c,
                   &err),
        err);
    REQUIRE(c.report.n == 3);
    for (uint32_t i = 0; i < 3; i++) {
        CHECK_INT(c.report.items[i].line, i + (i == 2 ? 2 : 1));
    }
}

T(a_comment_covers_its_directive_alone)
{
    OTR_CLEANUP(check_deinit) otr_check c = { 0 };
    otr_err err = { 0 };
    REQUIRE_OK(
        check_text("http {\n# outrider: ignore autoindex a list\nserver { autoindex on; }\n"
                   "server { listen 81; autoindex on; } # outrider: ignore autoindex another\n"
                   "server { listen 82; autoindex on; }\n"
                   "autoindex on; # outrider: ignore merge-slashes,autoindex no\n}",
                   &c, &err),
        err);
    CHECK_INT(c.n_quiet, 3);
    CHECK_INT(c.counts[OTR_CHECK_WARNING], 2); /* the third server, and the comment about slashes */
}

T(what_includes_itself_is_an_error_and_ends)
{
    OTR_CLEANUP(tree_deinit) tree dir;
    OTR_CLEANUP(check_deinit) otr_check c = { 0 };
    otr_rules_list rules = otr_check_rules();
    otr_err err = { 0 };
    REQUIRE(tree_init(&dir));
    REQUIRE(tree_write(&dir, "nginx.conf", "http { include a.conf; }"));
    REQUIRE(tree_write(&dir, "a.conf", "server { location / { include a.conf; } }"));
    otr_check_spec spec;
    check_begin(&spec, &rules, NULL);
    spec.parse.path = tree_path(&dir, "nginx.conf");
    REQUIRE_OK(otr_check_run(&spec, &c, &err), err);
    CHECK(c.failed);
}

T(a_file_that_cannot_be_read_is_an_error_of_its_own)
{
    OTR_CLEANUP(check_deinit) otr_check c = { 0 };
    otr_rules_list rules = otr_check_rules();
    otr_err err = { 0 };
    otr_check_spec spec;
    check_begin(&spec, &rules, NULL);
    spec.parse.path = "/nowhere/nginx.conf";
    CHECK_INT(otr_check_run(&spec, &c, &err), OTR_ENOTFOUND);
    CHECK_HAS(err.msg, "/nowhere/nginx.conf");
}

T(all_of_it_is_written)
{
    OTR_CLEANUP(check_deinit) otr_check c = { 0 };
    OTR_CLEANUP(otr_buf_deinit) otr_buf out;
    otr_err err = { 0 };
    otr_buf_init(&out, 1 << 20);
    otr_check_writer to = { .put = into_buf, .arg = &out, .version = "1" };
    REQUIRE_OK(check_text("http { map $a $b { ~^(x)$ $1; } upstream u { server 10.0.0.1; keepalive "
                          "2; } server { set $t "
                          "$arg_x; location ~ ^/a(?<r>[^/]*)/ { proxy_pass http://$t; alias "
                          "\"/x\\\\/$r\"; } location /b { "
                          "proxy_pass http://u; } } }",
                          &c, &err),
               err);
    REQUIRE_OK(otr_check_write_json(&c, &to, &err), err);
    CHECK_HAS(otr_buf_text(&out), "\"rule\":\"ssrf\"");
    otr_buf_clear(&out);
    REQUIRE_OK(otr_check_write_sarif(&c, &to, &err), err);
    CHECK_HAS(otr_buf_text(&out), "\"version\":\"2.1.0\"");
    otr_buf_clear(&out);
    REQUIRE_OK(otr_check_write_rules(c.rules, &to, &err), err);
    CHECK_HAS(otr_buf_text(&out), "\"alias-traversal\"");
}

/* Includes multiply: the count of what is checked is bounded. Too slow under failing allocation. */
T_NO_OOM(files_that_multiply_end_at_a_limit)
{
    OTR_CLEANUP(tree_deinit) tree dir;
    OTR_CLEANUP(check_deinit) otr_check c = { 0 };
    otr_rules_list rules = otr_check_rules();
    otr_err err = { 0 };
    char text[8 * 16 + 1] = "", name[16], line[16];
    REQUIRE(tree_init(&dir));
    for (int i = 0; i < 8; i++) {
        text[0] = '\0';
        for (int k = 0; k < 8; k++) {
            (void)snprintf(line, sizeof(line), i < 7 ? "include %d;" : "set $a b;", i + 1);
            (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s", line);
        }
        (void)snprintf(name, sizeof(name), "%d", i);
        REQUIRE(tree_write(&dir, name, text));
    }
    REQUIRE(tree_write(&dir, "nginx.conf", "http { server { include 0; } }"));
    otr_check_spec spec;
    check_begin(&spec, &rules, NULL);
    spec.parse.path = tree_path(&dir, "nginx.conf");
    CHECK_INT(otr_check_run(&spec, &c, &err), OTR_EQUOTA);
    CHECK_HAS(err.msg, "more than 5000000 directives");
}

/* Variables that multiply: what is followed is bounded, and that it ends is said. */
T_NO_OOM(variables_that_multiply_end_at_a_limit)
{
    OTR_CLEANUP(check_deinit) otr_check c = { 0 };
    otr_err err = { 0 };
    char text[40000] = "http { server { ";
    for (int i = 0; i < 300; i++) {
        size_t n = strlen(text);
        (void)snprintf(text + n, sizeof(text) - n, "set $a $b$b$a; set $b $a$a$b; ");
    }
    size_t n = strlen(text);
    (void)snprintf(text + n, sizeof(text) - n, "location / { proxy_pass http://$a; } } }");
    REQUIRE_OK(check_text(text, &c, &err), err);
    bool said = false;
    for (size_t i = 0; i < c.report.n; i++) {
        said |= strstr(c.report.items[i].message, "further than is followed") != NULL;
    }
    CHECK(said);
}

static void check_place(const char *text, const char *place)
{
    OTR_CLEANUP(check_deinit) otr_check c = { 0 };
    otr_err err = { 0 };
    REQUIRE_OK(check_text(text, &c, &err), err);
    CHECK(!c.failed);
    CHECK_STR(c.place != NULL ? c.place : "", place);
}

/* Files of snippets/ have no block that tells where they are included. */
T_NO_OOM(a_file_of_settings_is_looked_at_where_they_may_stand)
{
    static const struct {
        const char *text, *place;
    } all[] = {
        { "proxy_set_header Host $host;\n", "http" },
        { "ssl_protocols TLSv1.3;\nssl_certificate a; ssl_certificate_key a;\n", "http" },
        { "types { text/html html; }", "http" },
        { "try_files $uri =404; set $a b; fastcgi_param A $a;", "server" },
        { "if ($arg_a) { add_header A b; }", "location" },
        { "proxy_pass http://127.0.0.1; alias /data/; root /x/;", "location" },
        { "upstream u { server 10.0.0.1:53; }\nserver { listen 53 udp; proxy_pass u; }\n",
          "stream" },
        { "listen 53 udp; proxy_pass 10.0.0.1:53; proxy_timeout 1s;", "server of stream" },
        { "worker_connections 512;", "events" },
        { "server 10.0.0.1; server 10.0.0.2;", "upstream" },
    };
    for (size_t i = 0; i < OTR_COUNT(all); i++) {
        check_place(all[i].text, all[i].place);
    }
    OTR_CLEANUP(check_deinit) otr_check part = { 0 }, whole = { 0 };
    otr_err err = { 0 };
    REQUIRE_OK(
        check_text(
            "server { listen 80; location / { include /nowhere/gone; include /nowhere/b; } }",
            &part, &err),
        err);
    CHECK(part.failed);
    CHECK_STR(part.place, "http"); /* what cannot be read is no reason to leave the rest out */
    REQUIRE_OK(check_text("events {} http {} proxy_set_header A b;", &whole, &err), err);
    CHECK(whole.failed && whole.place == NULL);
}

/* NGINX starts relative paths in the folder of nginx.conf, wherever the file stands. */
T_NO_OOM(the_includes_of_a_part_start_in_the_folder_of_nginx_conf)
{
    OTR_CLEANUP(tree_deinit) tree dir;
    OTR_CLEANUP(check_deinit) otr_check c = { 0 };
    otr_rules_list rules = otr_check_rules();
    otr_err err = { 0 };
    REQUIRE(tree_init(&dir));
    REQUIRE(tree_write(&dir, "nginx.conf", "http { include conf.d/*; }"));
    REQUIRE(tree_write(&dir, "params", "autoindex on;"));
    REQUIRE(tree_write(&dir, "conf.d/a.conf", "server { listen 80; include params; }"));
    otr_check_spec spec;
    check_begin(&spec, &rules, NULL);
    spec.parse.path = tree_path(&dir, "conf.d/a.conf");
    REQUIRE_OK(otr_check_run(&spec, &c, &err), err);
    CHECK(!c.failed && c.conf->n_files == 2);
    CHECK_INT(c.counts[OTR_CHECK_WARNING], 1);
}

/* What stands around the file, or comes from a module, is not known: a note, and no error. */
T_NO_OOM(what_is_not_seen_is_a_note)
{
    static const char *const all[] = {
        "server { listen 443 ssl; server_name a; }",
        "events {} http { server { listen 443 ssl; include gone; } }",
        "events {} stream { keyval $ssl_server_name $to zone=z; server { listen 1; "
        "proxy_pass $to; } }",
    };
    for (size_t i = 0; i < OTR_COUNT(all); i++) {
        OTR_CLEANUP(check_deinit) otr_check c = { 0 };
        otr_err err = { 0 };
        size_t n = 0;
        REQUIRE_OK(check_text(all[i], &c, &err), err);
        for (size_t k = 0; k < c.report.n; k++) {
            n += c.report.items[k].unknown;
            CHECK(c.report.items[k].unknown || c.report.items[k].level == OTR_CHECK_NOTE ||
                  strcmp(c.rules->items[c.report.items[k].rule]->id, "parse") == 0);
        }
        CHECK(n > 0);
    }
}

/* Of a part outside of any folder of NGINX: what it includes may well be there. */
T_NO_OOM(a_relative_include_of_a_part_may_be_elsewhere)
{
    OTR_CLEANUP(tree_deinit) tree dir;
    OTR_CLEANUP(check_deinit) otr_check c = { 0 };
    otr_rules_list rules = otr_check_rules();
    otr_err err = { 0 };
    otr_check_spec spec;
    otr_bytes text = otr_bytes_of("server { listen 80; include params; include ../no/p; }");
    check_begin(&spec, &rules, &text);
    REQUIRE_OK(otr_check_run(&spec, &c, &err), err);
    CHECK(!c.failed && c.report.n == 2);
    CHECK(c.report.items[0].unknown && c.report.items[1].level == OTR_CHECK_NOTE);
    otr_check_deinit(&c);
    REQUIRE(tree_init(&dir));
    REQUIRE(tree_write(&dir, "site.conf", "server { listen 80; include p; include /no/p; }"));
    check_begin(&spec, &rules, NULL);
    spec.parse.path = tree_path(&dir, "site.conf");
    REQUIRE_OK(otr_check_run(&spec, &c, &err), err);
    CHECK(c.failed && c.report.n == 2);
    CHECK(c.report.items[0].unknown != c.report.items[1].unknown);
    otr_check_deinit(&c);
    REQUIRE(tree_write(&dir, "nginx.conf", ""));
    REQUIRE_OK(otr_check_run(&spec, &c, &err), err);
    CHECK(c.failed && c.report.n == 2);
    CHECK(!c.report.items[0].unknown && !c.report.items[1].unknown);
}

/* More errors than are kept: one of those that are not may be of another kind. */
T_NO_OOM(too_many_includes_that_are_elsewhere_are_errors)
{
    OTR_CLEANUP(check_deinit) otr_check c = { 0 };
    OTR_CLEANUP(otr_buf_deinit) otr_buf text;
    otr_err err = { 0 };
    otr_buf_init(&text, 1 << 20);
    for (int i = 0; i < OTR_LIMIT_NGINX_CONFIG_ERRORS - 1; i++) {
        REQUIRE_OK(otr_buf_adds(&text, "server { listen 80; include a; }\n", &err), err);
    }
    REQUIRE_OK(check_text(otr_buf_text(&text), &c, &err), err);
    CHECK(!c.failed);
    otr_check_deinit(&c);
    REQUIRE_OK(otr_buf_adds(&text, "server { listen 80; include a; }\n", &err), err);
    REQUIRE_OK(check_text(otr_buf_text(&text), &c, &err), err);
    CHECK(c.failed);
}
