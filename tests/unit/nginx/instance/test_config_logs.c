#include "nginx/instance/config.h"
#include "unit/nginx/tree.h"

static const otr_root host_root = { .path = "" };

static void config_freep(otr_nginx_config **slot)
{
    otr_nginx_config_free(*slot);
}

static otr_nginx_config *read_text(const char *text)
{
    otr_nginx_config_spec spec = { .root = &host_root,
                                   .config = "nginx.conf",
                                   .prefix = "/p",
                                   .error_log = "e.log",
                                   .access_log = "default.log" };
    otr_nginx_config *config = NULL;
    otr_err err;
    CHECK(otr_nginx_config_text(&spec, otr_bytes_of(text), &config, &err) == OTR_OK);
    return config;
}

#define CONFIG(name, text)                                              \
    OTR_CLEANUP(config_freep) otr_nginx_config *name = read_text(text); \
    REQUIRE((name) != NULL)

static const char formats[] = "log_format m '$request $status'; log_format s '$status';"
                              "log_format n '$request'; log_format t '$status';";

/* "/a.log=+combined /b.log=+$status,-$request$status?" with blanks of formats taken out: '+'
 * counts,
 * '-' is spare, '?' is a log of some requests only. */
static void shape(const otr_nginx_config *c, char *out, size_t cap)
{
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < c->n_access_logs; i++) {
        const otr_nginx_log *log = &c->access_logs[i];
        n += (size_t)snprintf(out + n, cap - n, "%s%s=", i > 0 ? " " : "", log->path);
        for (size_t j = 0; j < log->n_formats; j++) {
            const otr_nginx_log_format *f = &log->formats[j];
            n += (size_t)snprintf(out + n, cap - n, "%s%s", j > 0 ? "," : "", f->spare ? "-" : "+");
            for (const char *p = f->text != NULL ? f->text : "combined"; *p != '\0'; p++) {
                n += *p != ' ' ? (size_t)snprintf(out + n, cap - n, "%c", *p) : 0;
            }
            if (f->repeats > 1) {
                n += (size_t)snprintf(out + n, cap - n, "*%u", f->repeats);
            }
        }
        n += (size_t)snprintf(out + n, cap - n, "%s", log->conditional ? "?" : "");
    }
}

/* `remark` "": there is none; else a part of the only one. */
static void check(const char *servers, const char *expected, const char *remark)
{
    char text[2048], got[1024];
    snprintf(text, sizeof(text), "http { %s %s }", formats, servers);
    CONFIG(c, text);
    CHECK_STR(c->error, "");
    shape(c, got, sizeof(got));
    CHECK_STR(got, expected);
    CHECK_INT(c->remarks.n, remark[0] != '\0');
    if (remark[0] != '\0' && c->remarks.n > 0) {
        CHECK_HAS(c->remarks.items[0], remark);
    }
}

T(of_several_logs_of_a_level_one_counts)
{
    check("server { access_log /a m; }", "/a=+$request$status", "");
    check("server { access_log /a m; access_log /b; }", "/a=+$request$status /b=-combined", "");
    check("server { access_log /a n; access_log /b s; }", "/a=-$request /b=+$status", "");
    check("server { access_log /a m buffer=32k; access_log /b; }",
          "/a=-$request$status /b=+combined", "");
    check("server { access_log /a m; access_log /a s; }", "/a=+$request$status,-$status", "");
    check("server { access_log /a s; access_log /a s; }", "/a=+$status*2", "");
    check("server { access_log /a s; access_log /a t; }", "/a=+$status*2", "");
}

T(level_with_a_log_of_its_own_has_none_of_the_outer_ones)
{
    check("access_log /h; server { access_log /a; location / { access_log /b; } } server { }",
          "/h=+combined /a=+combined /b=+combined", "");
    check("server { access_log /a; } access_log /h;", "/a=+combined /h=-combined", "");
    check("access_log /h; server { location / { access_log off; } }", "/h=+combined", "");
    check("access_log /h; server { access_log off; access_log /a; }", "/h=-combined /a=-combined",
          "");
    check("access_log /h; server { location / { if ($x) { access_log /i; } } }",
          "/h=+combined /i=+combined", "");
}

T(no_request_counts_twice)
{
    /* A log of its own and the one of all: the one of all is where every request is. */
    check("access_log /all; server { access_log /all; access_log /a; } server { access_log /all; "
          "access_log /b; } server { }",
          "/all=+combined /a=-combined /b=-combined", "");
    check("server { access_log /a; access_log /all; } server { access_log /all; }",
          "/a=-combined /all=+combined", "");
    check("server { access_log /a m; } server { access_log /b s; } "
          "server { access_log /a t; access_log /b s; }",
          "/a=+$request$status,-$status /b=+$status", "");
    /* Both are forced, the third server has both: the later one gives way, and that is said. */
    check("server { access_log /a; } server { access_log /b; } "
          "server { access_log /a; access_log /b; }",
          "/a=+combined /b=-combined",
          "nginx.conf:1: responses are not counted: /b holds requests that other logs count");
    check("server { access_log /a s; } server { access_log /a s; access_log /a s; }", "/a=-$status",
          "how many lines of /a a request makes");
}

T(one_file_may_have_lines_of_several_formats)
{
    check("server { access_log /a m; } server { access_log /a s; }", "/a=+$request$status,+$status",
          "");
    check("server { access_log /a s; } server { access_log /a n; access_log /b m; }",
          "/a=+$status,-$request /b=+$request$status", "");
}

T(log_with_a_condition_does_not_stand_for_all)
{
    check("server { access_log /all m; access_log /bad m if=$bad; }",
          "/all=+$request$status /bad=-$request$status", "");
    check("server { access_log /bad m if=$bad; access_log /all m; }",
          "/bad=-$request$status /all=+$request$status", "");
    check("server { access_log /bad m if=$bad; }", "/bad=+$request$status?",
          "not all responses are counted: /bad has those for which if=$bad holds");
    check("server { access_log /x m if=$x; access_log /y m if=$y; }",
          "/x=+$request$status? /y=-$request$status", "/x has those for which if=$x holds");
    check("server { access_log /a m if=$x; access_log /a m if=$y; }", "/a=-$request$status*2",
          "how many lines of /a");
    check("server { access_log /all; access_log /bad combined if=$b; } "
          "server { access_log /bad combined if=$b; }",
          "/all=+combined /bad=-combined", "/bad holds requests that other logs count");
}

T(what_cannot_be_followed_is_named_where_nothing_else_counts)
{
    check("server { access_log /a; access_log syslog:server=x; }", "/a=+combined", "");
    check("server { access_log syslog:server=x m; }", "",
          "they are logged to syslog:server=x only, which cannot be followed");
    check("server { access_log /v/$host.log; }", "", "/v/$host.log (a name with variables) only");
    check("server { access_log /a.gz combined gzip; }", "", "/a.gz (compressed) only");
    check("server { access_log /dev/stdout; }", "", "to /dev/stdout only");
    check("server { access_log /dev/null; }", "", "");
    check("server { access_log /a n; }", "/a=-$request", "the log_format of /a has no $status");
    check("server { access_log /a nobody; }", "/a=-", "log_format of /a is not in what could be");
}

T(excluded_logs_stand_for_nothing)
{
    static const char *const patterns[] = { "[", "^/all$", "never", NULL };
    otr_nginx_config_spec spec = {
        .root = &host_root, .config = "nginx.conf", .prefix = "/p", .exclude = patterns
    };
    const char *text = "http { server { access_log /all; access_log /a; } "
                       "server { access_log /all; } server { access_log /all; access_log /b; } }";
    OTR_CLEANUP(config_freep) otr_nginx_config *c = NULL;
    otr_err err;
    REQUIRE_OK(otr_nginx_config_text(&spec, otr_bytes_of(text), &c, &err), err);
    char got[256];
    shape(c, got, sizeof(got));
    CHECK_STR(got, "/all=-combined /a=+combined /b=+combined");
    CHECK_INT(c->remarks.n, 0);
}

T(variables_that_only_begin_like_the_status_are_none)
{
    CONFIG(c, "http { log_format x '$status_text $upstream_status'; log_format y '${status}x'; "
              "server { access_log /x x; access_log /y y; } }");
    REQUIRE(c->n_access_logs == 2);
    CHECK(c->access_logs[0].formats[0].spare);
    CHECK(!c->access_logs[1].formats[0].spare);
}

T(many_remarks_end_in_a_number)
{
    char text[2048] = "http {";
    for (int i = 0; i < 12; i++) {
        size_t n = strlen(text);
        snprintf(text + n, sizeof(text) - n, "\nserver { access_log syslog:server=%d; }", i);
    }
    strncat(text, "}", 2);
    CONFIG(c, text);
    REQUIRE(c->remarks.n == 9);
    CHECK_HAS(c->remarks.items[8], "4 more levels");
}

/* ---- files ---- */

static otr_nginx_config *read_files(tree *dir)
{
    static char path[512];
    snprintf(path, sizeof(path), "%s/nginx.conf", dir->dir);
    otr_nginx_config_spec spec = { .root = &host_root,
                                   .config = path,
                                   .prefix = dir->dir,
                                   .error_log = "error.log",
                                   .access_log = "default.log" };
    otr_nginx_config *config = NULL;
    otr_err err;
    CHECK(otr_nginx_config_read(&spec, &config, &err) == OTR_OK);
    return config;
}

#define FILES(name)                                                      \
    OTR_CLEANUP(config_freep) otr_nginx_config *name = read_files(&dir); \
    REQUIRE((name) != NULL)

static bool has_remark(const otr_nginx_config *c, const char *part)
{
    for (size_t i = 0; i < c->remarks.n; i++) {
        if (strstr(c->remarks.items[i], part) != NULL) {
            return true;
        }
    }
    return false;
}

T(include_that_cannot_be_read_is_named_and_walked_past)
{
    OTR_CLEANUP(tree_deinit) tree dir;
    REQUIRE(tree_init(&dir));
    REQUIRE(tree_write(&dir, "nginx.conf",
                       "http {\n include pipe;\n include conf.d/*.conf;\n"
                       " server {\n  include none;\n access_log /a; } }"));
    REQUIRE(mkfifo(tree_path(&dir, "pipe"), 0600) == 0);
    REQUIRE(tree_write(&dir, "conf.d/b.conf", "server { access_log /b; }"));
    REQUIRE(mkdir(tree_path(&dir, "conf.d/a.conf"), 0700) == 0);
    FILES(c);
    CHECK_STR(c->error, "");
    CHECK(c->unseen);
    char got[512];
    shape(c, got, sizeof(got));
    CHECK_STR(got, "/b=+combined /a=+combined");
    CHECK_INT(c->remarks.n, 3);
    CHECK(has_remark(c, "nginx.conf:2: "));
    CHECK(has_remark(c, "/pipe is a FIFO, not a regular file: what it says is not known"));
    CHECK(has_remark(c, "/conf.d/a.conf is a folder"));
    CHECK(has_remark(c, "nginx.conf:5: cannot open"));
}

T(default_log_is_followed_only_when_nothing_else_can_be_meant)
{
    OTR_CLEANUP(tree_deinit) tree dir;
    REQUIRE(tree_init(&dir));
    REQUIRE(tree_write(&dir, "nginx.conf", "http { server { } }"));
    {
        FILES(c);
        CHECK_INT(c->n_access_logs, 1);
    }
    static const char *const blind[] = { "http { include none; server { } }",
                                         "http { server { include none; } }", "http { server { " };
    for (size_t i = 0; i < OTR_COUNT(blind); i++) {
        REQUIRE(tree_write(&dir, "nginx.conf", blind[i]));
        FILES(c);
        CHECK_INT(c->n_access_logs, 0);
        CHECK(has_remark(c, "whether NGINX writes its default access log") || i == 2);
    }
    REQUIRE(tree_write(&dir, "nginx.conf",
                       "include none; http { server { include none; } "
                       "server { location / { include none; } } }"));
    FILES(c);
    CHECK_INT(c->n_access_logs, 1); /* the second server has no other */
    CHECK_STR(c->error_log, "");    /* which may be in what was not seen */
}

T(log_that_is_no_regular_file_does_not_stand_for_requests)
{
    OTR_CLEANUP(tree_deinit) tree dir;
    REQUIRE(tree_init(&dir));
    REQUIRE(tree_write(&dir, "nginx.conf",
                       "http { server { access_log fifo; access_log out; access_log real; } "
                       "server { access_log null; } }"));
    REQUIRE(mkfifo(tree_path(&dir, "fifo"), 0600) == 0);
    REQUIRE(symlink("/dev/stdout", tree_path(&dir, "out")) == 0);
    REQUIRE(symlink("/dev/null", tree_path(&dir, "null")) == 0);
    FILES(c);
    REQUIRE(c->n_access_logs == 4);
    CHECK(c->access_logs[0].formats[0].spare && c->access_logs[1].formats[0].spare);
    CHECK(!c->access_logs[2].formats[0].spare && c->access_logs[2].refused == NULL);
    REQUIRE(c->access_logs[0].refused != NULL && c->access_logs[1].refused != NULL);
    CHECK_HAS(c->access_logs[0].refused, "/fifo is a FIFO");
    CHECK_HAS(c->access_logs[1].refused, "leads to a stream of the process that opens it");
    CHECK_INT(c->remarks.n, 1);
    CHECK(has_remark(c, "/null is a device, not a regular file"));
}

/* ---- any configuration ---- */

enum { LOGS = 4, SERVERS = 5 };

typedef struct made { /* what a random configuration says */
    bool has[SERVERS][LOGS], conditional[SERVERS][LOGS];
} made;

static void write_random(made *m, unsigned *seed, char *text, size_t cap)
{
    *m = (made){ 0 };
    size_t n = (size_t)snprintf(text, cap, "http {");
    for (int s = 0; s < SERVERS; s++) {
        n += (size_t)snprintf(text + n, cap - n, " server { access_log syslog:server=x;");
        for (int l = 0; l < LOGS; l++) {
            *seed = *seed * 1103515245U + 12345U;
            m->has[s][l] = (*seed >> 16) % 3 == 0;
            m->conditional[s][l] = m->has[s][l] && (*seed >> 20) % 3 == 0;
            if (m->has[s][l]) {
                n += (size_t)snprintf(text + n, cap - n, " access_log /%d combined%s;", l,
                                      m->conditional[s][l] ? " if=$x" : "");
            }
        }
        n += (size_t)snprintf(text + n, cap - n, " }");
    }
    snprintf(text + n, cap - n, " }");
}

/* 0: spare or not there. */
static bool counts(const otr_nginx_config *c, int log)
{
    char path[8];
    snprintf(path, sizeof(path), "/%d", log);
    for (size_t i = 0; i < c->n_access_logs; i++) {
        if (strcmp(c->access_logs[i].path, path) == 0) {
            return !c->access_logs[i].formats[0].spare;
        }
    }
    return false;
}

T(any_server_has_one_log_that_counts_or_a_remark)
{
    unsigned seed = 7;
    for (int round = 0; round < 300; round++) {
        made m;
        char text[2048];
        write_random(&m, &seed, text, sizeof(text));
        CONFIG(c, text);
        size_t lacking = 0;
        for (int s = 0; s < SERVERS; s++) {
            int whole = 0, part = 0;
            for (int l = 0; l < LOGS; l++) {
                whole += m.has[s][l] && !m.conditional[s][l] && counts(c, l);
                part += m.conditional[s][l] && counts(c, l);
            }
            CHECK(whole + part <= 1);
            lacking += whole == 0;
        }
        CHECK(c->remarks.n <= lacking);
        CHECK((lacking > 0) == (c->remarks.n > 0));
    }
}
