#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "config/agent_keys.h"
#include "support/test.h"

enum { MOST_ARGS = 8 };

static const otr_key small_keys[] = {
    { .path = "net.port", .type = OTR_KEY_INT, .def = "80", .help = "A port", .max = 65535 },
    { .path = "net.ratio", .type = OTR_KEY_FLOAT, .def = "0.5", .help = "A share" },
    { .path = "net.fast", .type = OTR_KEY_BOOL, .def = "false", .help = "Hurry" },
    { .path = "net.any", .type = OTR_KEY_INT, .help = "Without bounds" },
    { .path = "only.flag",
      .type = OTR_KEY_STRING,
      .help = "Not in YAML",
      .flags = OTR_KEY_NO_YAML },
    { .path = "only.yaml", .type = OTR_KEY_STRING, .help = "No flag", .flags = OTR_KEY_NO_FLAG },
    { .path = "secret", .type = OTR_KEY_STRING, .help = "Hush", .flags = OTR_KEY_SECRET },
    { .path = "tree", .type = OTR_KEY_TREE, .help = "Anything" },
    { .type = OTR_KEY_END },
};

/* A configuration from texts: what is not given stays NULL. */
typedef struct given {
    const char *yaml;
    const char *env[MOST_ARGS];
    char *argv[MOST_ARGS];
    const otr_key *keys; /* NULL: the agent's */
} given;

static otr_code load(const given *g, otr_config **ret, otr_err *e)
{
    const otr_key *const tables[] = { g->keys != NULL ? g->keys : otr_agent_keys, NULL };
    char path[] = "/tmp/otr-config-XXXXXX";
    otr_config_source source = { .tables = tables, .file = "", .env = g->env, .argv = g->argv };
    while (g->argv[source.argc] != NULL) {
        source.argc++;
    }
    if (g->yaml != NULL) {
        int fd = mkstemp(path);
        size_t n = strlen(g->yaml);
        if (fd < 0 || write(fd, g->yaml, n) != (ssize_t)n) {
            return otr_fail(e, OTR_EIO, "no temporary file");
        }
        close(fd);
        source.file = path;
    }
    otr_code rc = otr_config_load(&source, ret, e);
    if (g->yaml != NULL) {
        unlink(path);
    }
    return rc;
}

static void unref(otr_config **cfg)
{
    otr_config_unref(*cfg);
}

static void free_buf(otr_buf *buf)
{
    otr_buf_deinit(buf);
}

#define LOAD(cfg, ...)                         \
    OTR_CLEANUP(unref) otr_config *cfg = NULL; \
    otr_err cfg##_e = { 0 };                   \
    given cfg##_given = { __VA_ARGS__ };       \
    REQUIRE_OK(load(&cfg##_given, &cfg, &cfg##_e), cfg##_e)

#define BUF(name)                       \
    OTR_CLEANUP(free_buf) otr_buf name; \
    otr_buf_init(&name, 1 << 20)

/* The load fails with this message; the temporary file's name reads "FILE" in it. */
static void refuse(const given *g, const char *message)
{
    OTR_CLEANUP(unref) otr_config *cfg = NULL;
    otr_err e = { 0 };
    CHECK(load(g, &cfg, &e) != OTR_OK);
    CHECK(cfg == NULL);
    static const char prefix[] = "/tmp/otr-config-";
    if (strncmp(e.msg, prefix, strlen(prefix)) == 0) {
        size_t cut = strlen(prefix) + 6 - 4;
        memmove(e.msg, e.msg + cut, strlen(e.msg + cut) + 1);
        memcpy(e.msg, "FILE", 4);
    }
    CHECK_STR(e.msg, message);
}

static const char *warning(const otr_config *cfg, size_t i)
{
    const char *const *w = otr_config_warnings(cfg);
    size_t n = 0;
    while (w[n] != NULL) {
        n++;
    }
    return i < n ? w[i] : "none";
}

T(a_wrong_file_is_named_with_line_and_column)
{
    refuse(&(given){ .yaml = "log:\n  levle: debug\n" },
           "FILE:2:3: unknown key \"log.levle\", did you mean \"log.level\"?");
    refuse(&(given){ .yaml = "\nlabel:\n  a: b\n" },
           "FILE:2:1: unknown key \"label\", did you mean \"labels\"?");
    refuse(&(given){ .yaml = "nothing_like_it: 1\n" }, "FILE:1:1: unknown key \"nothing_like_it\"");
    refuse(&(given){ .yaml = "command:\n  server:\n    xyz: 1\n" },
           "FILE:3:5: unknown key \"command.server.xyz\"");
    refuse(&(given){ .yaml = "log.level: debug\n" },
           "FILE:1:1: unknown key \"log.level\"; a dot does not separate keys here: write \"log:\" "
           "and the rest indented below it");
    refuse(&(given){ .yaml = "log: debug\n" },
           "FILE:1:6: log: expected a map of keys, got \"debug\"");
    refuse(&(given){ .yaml = "log:\n  - level\n" },
           "FILE:2:3: log: expected a map of keys, got a list");
    refuse(&(given){ .yaml = "\"\": 1\n" }, "FILE:1:1: unknown key \"\"");
    refuse(&(given){ .yaml = "a: [\n" }, "FILE:2:1: not YAML: did not find expected node content "
                                         "while parsing a flow node");
}

T(a_wrong_value_is_named_with_its_key)
{
    refuse(&(given){ .yaml = "outrider:\n  workers: 65\n" },
           "FILE:2:12: outrider.workers: expected a whole number from 1 to 64, got \"65\"");
    refuse(&(given){ .yaml = "net: {any: x}\n", .keys = small_keys },
           "FILE:1:12: net.any: expected a whole number, got \"x\"");
    refuse(&(given){ .yaml = "client:\n  http:\n    timeout: 10\n" },
           "FILE:3:14: client.http.timeout: expected a duration such as \"5s\", \"1m30s\" or "
           "\"500ms\", got \"10\"");
    refuse(&(given){ .yaml = "net: {ratio: much}\n", .keys = small_keys },
           "FILE:1:14: net.ratio: expected a number, got \"much\"");
    refuse(&(given){ .yaml = "net: {fast: 2}\n", .keys = small_keys },
           "FILE:1:13: net.fast: expected true or false, got \"2\"");
    refuse(&(given){ .yaml = "net: {fast: {}}\n", .keys = small_keys },
           "FILE:1:13: net.fast: expected true or false, got a map");
    refuse(&(given){ .yaml = "log: {level: [a]}\n" },
           "FILE:1:14: log.level: expected a text, got a list");
    refuse(&(given){ .yaml = "features: {a: b}\n" },
           "FILE:1:11: features: expected a list of texts, got a map");
    refuse(&(given){ .yaml = "features: [a, [b]]\n" },
           "FILE:1:15: features: expected a list of texts, got a list");
    refuse(&(given){ .yaml = "features: [a, null]\n" },
           "FILE:1:15: features: expected a list of texts, got \"null\"");
    refuse(&(given){ .yaml = "labels: [a]\n" },
           "FILE:1:9: labels: expected a map of names to single values, got a list");
    refuse(&(given){ .yaml = "labels: {a: {b: c}}\n" },
           "FILE:1:13: labels.a: expected one value, got a map");
    refuse(&(given){ .yaml = "only: {flag: x}\n", .keys = small_keys },
           "FILE:1:8: unknown key \"only.flag\"");
}

T(bounds_of_whole_numbers_are_where_the_table_says)
{
    static const struct {
        const char *flag;
        long long least, most;
    } bounds[] = {
        { "command-server-port", 0, 65535 },
        { "auxiliary-command-server-port", 0, 65535 },
        { "collector-extensions-health-server-port", 0, 65535 },
        { "outrider-status-port", -1, 65535 },
        { "outrider-workers", 1, 64 },
        { "outrider-workers-max", 1, 256 },
        { "client-grpc-file-chunk-size", 1, 4294967295 },
        { "client-grpc-max-file-size", 0, 4294967295 },
        { "client-grpc-max-message-size", 0, 2147483647 },
        { "client-grpc-max-parallel-file-operations", 1, 1024 },
    };
    for (size_t i = 0; i < OTR_COUNT(bounds); i++) {
        const long long least = bounds[i].least, most = bounds[i].most;
        const long long tried[] = { least, most, least - 1, most + 1 };
        for (size_t k = 0; k < OTR_COUNT(tried); k++) {
            char arg[128];
            (void)snprintf(arg, sizeof(arg), "--%s=%lld", bounds[i].flag, tried[k]);
            OTR_CLEANUP(unref) otr_config *cfg = NULL;
            otr_err e = { 0 };
            otr_code rc = load(&(given){ .argv = { arg } }, &cfg, &e);
            CHECK_INT(rc, k < 2 ? OTR_OK : OTR_EINVAL);
        }
    }
    LOAD(free, .yaml = "net: {any: -9223372036854775808}\n", .keys = small_keys);
    CHECK_INT(otr_config_int(free, "net.any"), INT64_MIN);
}

T(one_letter_is_a_name_and_a_section)
{
    static const otr_key keys[] = {
        { .path = "a.b", .type = OTR_KEY_STRING, .help = "Short" },
        { .path = "z", .type = OTR_KEY_STRING, .help = "Last" },
        { .type = OTR_KEY_END },
    };
    LOAD(cfg, .yaml = "a: {b: x}\nz: y\n", .keys = keys);
    CHECK_STR(otr_config_str(cfg, "a.b"), "x");
    CHECK_STR(otr_config_str(cfg, "z"), "y");
    LOAD(single, .yaml = "z: only\n", .keys = keys + 1);
    CHECK_STR(otr_config_str(single, "z"), "only");
    refuse(&(given){ .yaml = "a: 1\n", .keys = keys },
           "FILE:1:4: a: expected a map of keys, got \"1\"");
}

T(a_value_that_loses_is_still_checked)
{
    refuse(&(given){ .yaml = "outrider: {workers: x}\n", .argv = { "--outrider-workers=3" } },
           "FILE:1:21: outrider.workers: expected a whole number from 1 to 64, got \"x\"");
    refuse(
        &(given){ .env = { "NGINX_AGENT_OUTRIDER_WORKERS=0" }, .argv = { "--outrider-workers=3" } },
        "environment variable NGINX_AGENT_OUTRIDER_WORKERS: expected a whole number from 1 to "
        "64, got \"0\"");
}

T(a_wrong_flag_is_named)
{
    refuse(&(given){ .argv = { "--log-levle", "x" } },
           "unknown flag --log-levle, did you mean --log-level?");
    refuse(&(given){ .argv = { "--zzz" } }, "unknown flag --zzz");
    refuse(&(given){ .argv = { "--log-level" } }, "flag --log-level needs a value");
    refuse(&(given){ .argv = { "--outrider.workers=many" } },
           "flag --outrider-workers: expected a whole number from 1 to 64, got \"many\"");
    refuse(&(given){ .argv = { "run" } }, "unexpected argument \"run\": flags begin with \"--\"");
    refuse(&(given){ .argv = { "-v" } }, "unexpected argument \"-v\": flags begin with \"--\"");
    refuse(&(given){ .argv = { "--" } }, "unexpected argument \"--\": flags begin with \"--\"");
    refuse(&(given){ .argv = { "" } }, "unexpected argument \"\": flags begin with \"--\"");
    refuse(&(given){ .argv = { "--command-tls-skip-verify", "false" } },
           "unexpected argument \"false\": flags begin with \"--\"");
    refuse(&(given){ .argv = { "--only-yaml=x" }, .keys = small_keys }, "unknown flag --only-yaml");
    refuse(&(given){ .argv = { "--tree=x" }, .keys = small_keys }, "unknown flag --tree");
    refuse(&(given){ .argv = { "--labels", "novalue" } },
           "flag --labels: expected \"name=value,name=value\", got \"novalue\"");
    refuse(&(given){ .argv = { "--log-path=\xff" } }, "flag --log-path: the value is not UTF-8");
    char big[400] = "--";
    memset(big + 2, 'a', sizeof(big) - 3);
    big[sizeof(big) - 1] = '\0';
    OTR_CLEANUP(unref) otr_config *cfg = NULL;
    otr_err e = { 0 };
    CHECK(load(&(given){ .argv = { big } }, &cfg, &e) != OTR_OK);
    CHECK_HAS(e.msg, "unknown flag --aaaa");
    for (size_t n = 126; n <= 129; n++) { /* a name of 127 bytes is the longest that is looked up */
        big[2 + n] = '\0';
        CHECK(load(&(given){ .argv = { big } }, &cfg, &e) != OTR_OK);
        CHECK_HAS(e.msg, "unknown flag --aaaa");
        big[2 + n] = 'a';
    }
}

T(a_missing_file_is_named)
{
    const otr_key *const tables[] = { otr_agent_keys, NULL };
    otr_config_source source = { .tables = tables, .file = "/nonexistent/nginx-agent.conf" };
    otr_config *cfg = NULL;
    otr_err e = { 0 };
    CHECK_INT(otr_config_load(&source, &cfg, &e), OTR_ENOTFOUND);
    CHECK_STR(e.msg, "cannot open /nonexistent/nginx-agent.conf: No such file or directory");
    CHECK(cfg == NULL);
    source.file = "/tmp";
    CHECK_INT(otr_config_load(&source, &cfg, &e), OTR_EINVAL);
    CHECK_STR(e.msg, "/tmp is not a regular file but a folder");
}

T(without_a_file_the_search_path_is_named)
{
    if (access("/etc/nginx-agent/nginx-agent.conf", F_OK) == 0) {
        otr_test_skip("this machine has an agent's configuration");
        return;
    }
    char dir[] = "/tmp/otr-find-XXXXXX";
    char *before = getcwd(NULL, 0);
    REQUIRE(before != NULL && mkdtemp(dir) != NULL && chdir(dir) == 0);
    BUF(path);
    otr_err e = { 0 };
    otr_code none = otr_config_find(&path, &e);
    FILE *f = fopen("nginx-agent.conf", "w");
    if (f != NULL) {
        fclose(f);
    }
    otr_code found = otr_config_find(&path, NULL);
    unlink("nginx-agent.conf");
    bool back = chdir(before) == 0 && rmdir(dir) == 0;
    free(before);
    CHECK(back);
    CHECK_INT(none, OTR_ENOTFOUND);
    CHECK_STR(e.msg, "no configuration file: neither /etc/nginx-agent/nginx-agent.conf nor "
                     "./nginx-agent.conf exists");
    CHECK_INT(found, OTR_OK);
    CHECK_STR(otr_buf_text(&path), "./nginx-agent.conf");
}

T(a_broken_reload_leaves_the_old_configuration_alone)
{
    LOAD(cfg, .yaml = "log:\n  level: debug\n");
    otr_config *kept = cfg;
    otr_err e = { 0 };
    given broken = { .yaml = "log:\n  level: error\n  path: [1]\n" };
    CHECK_INT(load(&broken, &cfg, &e), OTR_EINVAL);
    CHECK(cfg == kept);
    CHECK_STR(otr_config_str(cfg, "log.level"), "debug");
    CHECK_STR(otr_config_str(cfg, "log.path"), "");
}

T(defaults_are_those_of_nginx_agent)
{
    LOAD(cfg, .yaml = "");
    CHECK_STR(otr_config_str(cfg, "log.level"), "info");
    CHECK_STR(otr_config_str(cfg, "lib_dir"), "/var/lib/nginx-agent");
    CHECK_STR(otr_config_str(cfg, "command.server.type"), "grpc");
    CHECK_STR(otr_config_str(cfg, "syslog_server.port"), "1514");
    CHECK_INT(otr_config_int(cfg, "command.server.port"), 0);
    CHECK_INT(otr_config_int(cfg, "collector.extensions.health.server.port"), 13133);
    CHECK_INT(otr_config_int(cfg, "external_data_source.max_bytes"), 104857600);
    CHECK(otr_config_float(cfg, "client.backoff.multiplier") == 3);
    CHECK(otr_config_bool(cfg, "client.grpc.keepalive.permit_without_stream"));
    CHECK_INT(otr_config_duration_ns(cfg, "client.backoff.max_elapsed_time"), 60 * OTR_NS_PER_S);
    CHECK_INT(otr_config_duration_ns(cfg, "watchers.instance_watcher.monitoring_frequency"),
              5 * OTR_NS_PER_S);
    const char *const *dirs = otr_config_strings(cfg, "allowed_directories");
    CHECK_STR(dirs[0], "/etc/nginx-agent");
    CHECK_STR(dirs[1], "/etc/nginx");
    CHECK_STR(dirs[6], "/etc/app_protect");
    CHECK(dirs[7] == NULL);
    CHECK_STR(otr_config_strings(cfg, "watchers.file_watcher.exclude_files")[0],
              "^.*(\\.log|.swx|~|.swp)$");
    CHECK(otr_config_feature(cfg, "logs-nap"));
    CHECK(!otr_config_feature(cfg, "api-action"));
    CHECK(otr_config_labels(cfg, "labels")[0] == NULL);
    CHECK(otr_config_tree(cfg, "plugins") == NULL);
    CHECK_INT(otr_config_origin(cfg, "log.level"), OTR_FROM_DEFAULT);
    CHECK_STR(otr_config_str(cfg, "outrider.admin.socket"), "/run/nginx-agent/outrider.sock");
    CHECK_INT(otr_config_int(cfg, "outrider.status.port"), 9180);
    CHECK_INT(otr_config_duration_ns(cfg, "outrider.shutdown_timeout"), 800 * OTR_NS_PER_MS);
    CHECK_STR(warning(cfg, 0), "none");
}

T(every_row_is_sound)
{
    for (const otr_key *key = otr_agent_keys; key->type != OTR_KEY_END; key++) {
        char name[128];
        CHECK(key->help != NULL && key->help[0] != '\0' && key->help[strlen(key->help) - 1] != '.');
        CHECK(key == otr_agent_keys || strcmp(key[-1].path, key->path) < 0);
        /* '.' and '_' are one character in flags and variables: no two rows may differ in it. */
        for (const otr_key *other = otr_agent_keys; other != key; other++) {
            (void)snprintf(name, sizeof(name), "%s", other->path);
            for (size_t i = 0; name[i] != '\0' && key->path[i] != '\0'; i++) {
                name[i] = name[i] == '_' && key->path[i] == '.' ? '.' : name[i];
                name[i] = name[i] == '.' && key->path[i] == '_' ? '_' : name[i];
            }
            CHECK(strcmp(name, key->path) != 0);
        }
    }
}

T(a_flag_beats_a_variable_beats_the_file_beats_the_default)
{
    static const char yaml[] = "log:\n  path: /file\n";
    LOAD(file, .yaml = yaml);
    CHECK_STR(otr_config_str(file, "log.path"), "/file");
    CHECK_INT(otr_config_origin(file, "log.path"), OTR_FROM_FILE);
    LOAD(env, .yaml = yaml, .env = { "NGINX_AGENT_LOG_PATH=/env" });
    CHECK_STR(otr_config_str(env, "log.path"), "/env");
    CHECK_INT(otr_config_origin(env, "log.path"), OTR_FROM_ENV);
    LOAD(own, .yaml = yaml, .env = { "OUTRIDER_LOG_PATH=/own", "NGINX_AGENT_LOG_PATH=/env" });
    CHECK_STR(otr_config_str(own, "log.path"), "/own");
    LOAD(flag, .yaml = yaml, .env = { "OUTRIDER_LOG_PATH=/own" },
         .argv = { "--log-path", "/flag" });
    CHECK_STR(otr_config_str(flag, "log.path"), "/flag");
    CHECK_INT(otr_config_origin(flag, "log.path"), OTR_FROM_FLAG);
}

T(an_empty_variable_is_not_set)
{
    LOAD(cfg, .env = { "OUTRIDER_LOG_PATH=", "NGINX_AGENT_LOG_PATH=/env", "PATH=/bin", "=", "x",
                       "NGINX_AGENT_LOG_LEVEL=" });
    CHECK_STR(otr_config_str(cfg, "log.path"), "/env");
    CHECK_STR(otr_config_str(cfg, "log.level"), "info");
    CHECK_STR(warning(cfg, 0), "none");
}

T(an_unknown_variable_is_a_warning)
{
    LOAD(cfg, .env = { "NGINX_AGENT_LOG_LEVLE=debug", "NGINX_AGENT_SERVICE_HOST=1",
                       "OUTRIDER_ADMIN=x", "NGINX_AGENT_PLUGINS=x", "NGINX_AGENTX=1" });
    CHECK_STR(warning(cfg, 0), "unknown environment variable NGINX_AGENT_LOG_LEVLE is ignored, did "
                               "you mean NGINX_AGENT_LOG_LEVEL?");
    CHECK_STR(warning(cfg, 1), "unknown environment variable NGINX_AGENT_SERVICE_HOST is ignored");
    CHECK_STR(warning(cfg, 2), "environment variable NGINX_AGENT_PLUGINS is ignored: plugins is "
                               "read from the file only");
    CHECK_STR(warning(cfg, 3), "unknown environment variable OUTRIDER_ADMIN is ignored");
    CHECK_STR(warning(cfg, 4), "none");
}

T(our_own_section_is_named_once_in_our_prefix)
{
    LOAD(cfg, .env = { "OUTRIDER_WORKERS=7", "NGINX_AGENT_OUTRIDER_STATUS_PORT=-1",
                       "NGINX_AGENT_COLLECTOR_EXPORTERS_PROMETHEUS_SERVER_PORT=9000",
                       "NGINX_AGENT_COLLECTOR_EXPORTERS_DEBUG=true" });
    CHECK_INT(otr_config_int(cfg, "outrider.workers"), 7);
    CHECK_INT(otr_config_int(cfg, "outrider.status.port"), -1);
    CHECK_INT(otr_config_int(cfg, "collector.exporters.prometheus.server.port"), 9000);
    CHECK(otr_config_bool(cfg, "collector.exporters.debug"));
    CHECK_STR(warning(cfg, 0), "none");
}

T(flags_take_any_separator_and_either_form)
{
    LOAD(cfg, .argv = { "--command_server_host", "h", "--command.server.port=1", "--log-path=/a=b",
                        "--client-grpc.keepalive_permit-without_stream=false",
                        "--command-tls-skip-verify", "--client-http-timeout=1m30s" });
    CHECK_STR(otr_config_str(cfg, "command.server.host"), "h");
    CHECK_INT(otr_config_int(cfg, "command.server.port"), 1);
    CHECK_STR(otr_config_str(cfg, "log.path"), "/a=b");
    CHECK(!otr_config_bool(cfg, "client.grpc.keepalive.permit_without_stream"));
    CHECK(otr_config_bool(cfg, "command.tls.skip_verify"));
    CHECK_INT(otr_config_duration_ns(cfg, "client.http.timeout"), 90 * OTR_NS_PER_S);
    LOAD(more, .argv = { "--outrider-status-port", "-1", "--log-path", "", "--lib_dir=/l",
                         "--client-grpc-connection-reset-timeout=3m" });
    CHECK_INT(otr_config_int(more, "outrider.status.port"), -1);
    CHECK_STR(otr_config_str(more, "log.path"), "");
    CHECK_INT(otr_config_origin(more, "log.path"), OTR_FROM_FLAG);
    CHECK_STR(otr_config_str(more, "lib_dir"), "/l");
}

T(the_first_key_of_all_is_reached_from_everywhere)
{
    LOAD(env, .env = { "NGINX_AGENT_ALLOWED_DIRECTORIES=/env" });
    CHECK_STR(otr_config_strings(env, "allowed_directories")[1], "/env");
    LOAD(flag, .argv = { "--allowed-directories=/flag" });
    CHECK_STR(otr_config_strings(flag, "allowed_directories")[1], "/flag");
}

T(lists_are_separated_by_commas_and_white_space)
{
    LOAD(env, .env = { "NGINX_AGENT_FEATURES= a,b  c\td,, " });
    const char *const *f = otr_config_strings(env, "features");
    CHECK_STR(f[0], "a");
    CHECK_STR(f[1], "b");
    CHECK_STR(f[2], "c");
    CHECK_STR(f[3], "d");
    CHECK(f[4] == NULL);
    LOAD(flag, .yaml = "features: [x, 'y z']\n", .argv = { "--features=a,b", "--features", "c" });
    f = otr_config_strings(flag, "features");
    CHECK_STR(f[0], "a");
    CHECK_STR(f[2], "c");
    CHECK(f[3] == NULL);
    LOAD(yaml, .yaml = "features: [x, 'y z', 7]\n");
    f = otr_config_strings(yaml, "features");
    CHECK_STR(f[1], "y z");
    CHECK_STR(f[2], "7");
    LOAD(scalar, .yaml = "features: a, b\n");
    CHECK_STR(otr_config_strings(scalar, "features")[1], "b");
    LOAD(empty, .yaml = "features: []\n");
    CHECK(otr_config_strings(empty, "features")[0] == NULL);
}

T(labels_are_typed_and_bad_ones_are_left_out)
{
    LOAD(cfg, .yaml =
                  "labels:\n  env: prod\n  ' n ': 5\n  f: 1.5\n  b: true\n  z:\n  j: '{\"a\": 1}'\n"
                  "  bad: 'two words'\n");
    BUF(json);
    otr_err e = { 0 };
    REQUIRE_OK(otr_config_labels_json(cfg, "labels", &json, &e), e);
    CHECK_STR(otr_buf_text(&json),
              "{\"env\":\"prod\",\"n\":5,\"f\":1.5,\"b\":true,\"z\":null,\"j\":{\"a\": 1}}");
    const char *const *pairs = otr_config_labels(cfg, "labels");
    CHECK_STR(pairs[0], "env");
    CHECK_STR(pairs[1], "prod");
    CHECK(pairs[12] == NULL);
    CHECK_HAS(warning(cfg, 0), ":2:3: labels: ignoring label \"bad\" with the value \"two words\"");
}

T(labels_of_a_variable_replace_those_of_the_file)
{
    LOAD(cfg, .yaml = "labels: {a: x}\n", .env = { "NGINX_AGENT_LABELS=b=1, c = d=e ,b=2,=x" });
    const char *const *pairs = otr_config_labels(cfg, "labels");
    CHECK_STR(pairs[0], "b");
    CHECK_STR(pairs[1], "2");
    CHECK(pairs[2] == NULL);
    CHECK_HAS(warning(cfg, 0), "NGINX_AGENT_LABELS: labels: ignoring label \"c\"");
    CHECK_HAS(warning(cfg, 1), "ignoring label \"\"");
    LOAD(flag, .argv = { "--labels=a=1", "--labels", "b=2,a=3" });
    pairs = otr_config_labels(flag, "labels");
    CHECK_STR(pairs[0], "a");
    CHECK_STR(pairs[1], "3");
    CHECK_STR(pairs[2], "b");
    CHECK(pairs[4] == NULL);
}

T(allowed_directories_are_cleaned)
{
    LOAD(cfg, .yaml = "allowed_directories:\n  - /etc/nginx/\n  - relative\n  - /\n  - /a/../b\n"
                      "  - /x/*\n  - '/a b'\n  - //usr//share/./nginx/.\n  - /etc/nginx\n"
                      "  - /gr\xc3\xbcn\n  - /.\n  - ''\n  - /...\n  - /.hidden\n");
    const char *const *dirs = otr_config_strings(cfg, "allowed_directories");
    CHECK_STR(dirs[0], "/etc/nginx-agent");
    CHECK_STR(dirs[1], "/etc/nginx");
    CHECK_STR(dirs[2], "/usr/share/nginx");
    CHECK_STR(dirs[3], "/.hidden");
    CHECK(dirs[4] == NULL);
    CHECK_HAS(warning(cfg, 0),
              ":2:3: allowed_directories: ignoring invalid directory \"relative\"");
    CHECK_HAS(warning(cfg, 1), "directory \"/\"");
    CHECK_HAS(warning(cfg, 8), "directory \"/...\"");
    CHECK_STR(warning(cfg, 9), "none");
}

T(an_unknown_log_level_becomes_info_with_a_warning)
{
    LOAD(cfg, .yaml = "log: {level: verbose}\ncommand: {server: {type: http}}\n");
    CHECK_STR(otr_config_str(cfg, "log.level"), "info");
    CHECK_STR(otr_config_str(cfg, "command.server.type"), "grpc");
    CHECK_HAS(warning(cfg, 1), ":1:14: log.level: expected one of error|warn|info|debug, got "
                               "\"verbose\"; using \"info\"");
    LOAD(good, .argv = { "--log-level=DEBUG" });
    CHECK_STR(otr_config_str(good, "log.level"), "DEBUG");
    CHECK_STR(warning(good, 0), "none");
}

T(a_duration_below_its_floor_becomes_the_floor_with_a_warning)
{
    LOAD(cfg, .yaml = "outrider: {metrics: {interval: 0s}}\n",
         .argv = { "--watchers-instance-watcher-monitoring-frequency=1ns" });
    CHECK_INT(otr_config_duration_ns(cfg, "outrider.metrics.interval"), 200000000);
    CHECK_INT(otr_config_duration_ns(cfg, "watchers.instance_watcher.monitoring_frequency"),
              200000000);
    const char *const *warnings = otr_config_warnings(cfg);
    REQUIRE(warnings[0] != NULL && warnings[1] != NULL && warnings[2] == NULL);
    CHECK_HAS(warnings[0], "outrider.metrics.interval: ");
    CHECK_HAS(warnings[0], "using 200ms");
    LOAD(good, .yaml = "outrider: {metrics: {interval: 200ms}}\n");
    CHECK(otr_config_warnings(good)[0] == NULL);
    CHECK_INT(otr_config_duration_ns(good, "outrider.metrics.interval"), 200000000);
}

T(keys_that_wait_for_a_restart_are_those_that_differ)
{
    static const otr_key keys[] = {
        { .path = "a", .type = OTR_KEY_INT, .def = "1", .flags = OTR_KEY_RESTART },
        { .path = "b", .type = OTR_KEY_STRINGS, .def = "x,y", .flags = OTR_KEY_RESTART },
        { .path = "c", .type = OTR_KEY_STRING, .def = "t", .flags = OTR_KEY_RESTART },
        { .path = "d", .type = OTR_KEY_BOOL, .def = "false", .flags = OTR_KEY_RESTART },
        { .path = "e", .type = OTR_KEY_DURATION, .def = "1s", .flags = OTR_KEY_RESTART },
        { .path = "f", .type = OTR_KEY_INT, .def = "1" },
        { .type = OTR_KEY_END },
    };
    LOAD(before, .keys = keys, .yaml = "");
    LOAD(same, .keys = keys, .yaml = "a: 1\nb: [x, y]\ne: 1000ms\nf: 2\n");
    LOAD(other, .keys = keys, .yaml = "a: 2\nb: [x]\nc: u\nd: true\ne: 2s\nf: 2\n");
    otr_err err = { 0 };
    OTR_CLEANUP(otr_buf_deinit) otr_buf out;
    otr_buf_init(&out, 1000);
    REQUIRE_OK(otr_config_waiting(before, same, &out, &err), err);
    CHECK_INT(out.n, 0);
    REQUIRE_OK(otr_config_waiting(before, other, &out, &err), err);
    CHECK_STR(otr_buf_text(&out), "a, b, c, d, e");
}

T(a_null_is_as_if_not_given)
{
    LOAD(cfg, .yaml = "log:\n  level:\n  path: ~\ncommand:\nlabels:\nplugins:\nfeatures: null\n");
    CHECK_STR(otr_config_str(cfg, "log.level"), "info");
    CHECK_INT(otr_config_origin(cfg, "log.level"), OTR_FROM_DEFAULT);
    CHECK(otr_config_tree(cfg, "plugins") == NULL);
    CHECK(otr_config_feature(cfg, "metrics"));
}

T(trees_are_kept_and_single_values_below_them_are_read)
{
    LOAD(cfg,
         .yaml =
             "collector:\n  exporters:\n    debug: {}\n    prometheus:\n      server: {host: h, "
             "port: 9}\n    otlp:\n      mine: {server: {host: x.y}}\n  pipelines:\n    "
             "metrics: {default: {receivers: [host_metrics]}}\nplugins:\n  load:\n    - name: p\n");
    CHECK(otr_config_bool(cfg, "collector.exporters.debug"));
    CHECK_STR(otr_config_str(cfg, "collector.exporters.prometheus.server.host"), "h");
    LOAD(off, .yaml = "collector: {exporters: {debug: false}}\n");
    CHECK(!otr_config_bool(off, "collector.exporters.debug"));
    CHECK_INT(otr_config_int(cfg, "collector.exporters.prometheus.server.port"), 9);
    const otr_node *otlp = otr_node_get(otr_config_tree(cfg, "collector.exporters"), "otlp");
    REQUIRE(otlp != NULL);
    const otr_node *server = otr_node_get(otr_node_get(otlp, "mine"), "server");
    REQUIRE(server != NULL);
    CHECK_STR(otr_node_text(otr_node_get(server, "host")), "x.y");
    CHECK(otr_config_tree(cfg, "collector.pipelines") != NULL);
    CHECK(otr_config_tree(cfg, "collector.receivers") == NULL);
    const otr_node *loads = otr_node_get(otr_config_tree(cfg, "plugins"), "load");
    REQUIRE(loads != NULL);
    CHECK_INT(otr_node_size(loads), 1);
}

T(a_real_nginx_agent_file_is_read)
{
    LOAD(cfg, .yaml =
                  "#\n# /etc/nginx-agent/nginx-agent.conf\n#\n\nlog:\n  # set log level\n"
                  "  level: info\n  path: /var/log/nginx-agent/\n\nallowed_directories:\n"
                  "    - /etc/nginx\n    - /usr/local/etc/nginx\n    - /var/log/nginx\n"
                  "#\n# Command server settings to connect to a management plane server\n#\n"
                  "command:\n    server:\n        host: \"agent.connect.example\"\n"
                  "        port: 443\n    auth:\n        token: \"s3cret\"\n    tls:\n"
                  "        skip_verify: false\n\nfeatures:\n  - configuration\n  - metrics\n"
                  "client:\n  backoff:\n    initial_interval: 200ms\n    multiplier: 1.5\n"
                  "collector:\n  receivers:\n    host_metrics:\n      collection_interval: 1m0s\n"
                  "      scrapers:\n        cpu: {}\n        memory: {}\n");
    CHECK_STR(otr_config_str(cfg, "command.server.host"), "agent.connect.example");
    CHECK_INT(otr_config_int(cfg, "command.server.port"), 443);
    CHECK_STR(otr_config_str(cfg, "command.auth.token"), "s3cret");
    CHECK_INT(otr_config_duration_ns(cfg, "client.backoff.initial_interval"), 200 * OTR_NS_PER_MS);
    CHECK(otr_config_float(cfg, "client.backoff.multiplier") == 1.5);
    CHECK(!otr_config_feature(cfg, "certificates"));
    CHECK_HAS(otr_config_file(cfg), "/tmp/otr-config-");
    CHECK_STR(warning(cfg, 0), "none");
}

T(a_dump_shows_all_but_secrets)
{
    LOAD(cfg, .keys = small_keys,
         .yaml = "secret: hush\nnet: {port: 81}\ntree:\n  a: [1, x]\n  auth_token: hush\n  "
                 "api-key: hush\n  api_key: hush\n  password:\n",
         .argv = { "--net-fast", "--only-flag=y" });
    BUF(out);
    otr_err e = { 0 };
    REQUIRE_OK(otr_config_dump(cfg, &out, &e), e);
    const char *text = otr_buf_text(&out);
    CHECK(otr_json_valid(otr_buf_bytes(&out)));
    CHECK(strstr(text, "hush") == NULL);
    CHECK_HAS(text, "{\"file\":\"/tmp/otr-config-");
    CHECK_HAS(text, "\"keys\":[{\"key\":\"net.any\",\"value\":0,\"origin\":\"default\"");
    CHECK_HAS(text, "\"warnings\":[]}");
    CHECK_HAS(text, "{\"key\":\"secret\",\"value\":\"***\",\"origin\":\"file\"");
    CHECK_HAS(text, "\"tree\",\"value\":{\"a\":[1,\"x\"],\"auth_token\":\"***\",\"api-key\":\"***"
                    "\",\"api_key\":\"***\",\"password\":null}");
    CHECK_HAS(text,
              "{\"key\":\"net.fast\",\"value\":true,\"origin\":\"flag\",\"from\":\"--net-fast\"}");
    CHECK_HAS(text, "{\"key\":\"net.ratio\",\"value\":0.5,\"origin\":\"default\",\"from\":\"\"}");
    CHECK_HAS(text, ":2:13\"}");
    LOAD(agent, .env = { "NGINX_AGENT_COMMAND_AUTH_TOKEN=hush", "NGINX_AGENT_LABELS=a=1" });
    otr_buf_clear(&out);
    REQUIRE_OK(otr_config_dump(agent, &out, &e), e);
    CHECK(otr_json_valid(otr_buf_bytes(&out)));
    CHECK(strstr(otr_buf_text(&out), "hush") == NULL);
    CHECK_HAS(otr_buf_text(&out), "\"labels\",\"value\":{\"a\":1}");
    CHECK_HAS(otr_buf_text(&out), "\"client.http.timeout\",\"value\":\"10s\"");
    LOAD(shortest, .keys = small_keys, .yaml = "secret: x\n");
    otr_buf_clear(&out);
    REQUIRE_OK(otr_config_dump(shortest, &out, &e), e);
    CHECK_HAS(otr_buf_text(&out), "{\"key\":\"secret\",\"value\":\"***\"");
    LOAD(warned, .keys = small_keys, .env = { "NGINX_AGENT_TREE=x" });
    otr_buf_clear(&out);
    REQUIRE_OK(otr_config_dump(warned, &out, &e), e);
    CHECK_HAS(otr_buf_text(&out), "{\"key\":\"secret\",\"value\":\"\"");
    CHECK_HAS(otr_buf_text(&out),
              "\"warnings\":[\"environment variable NGINX_AGENT_TREE is ignored: "
              "tree is read from the file only\"]}");
}

T(help_lists_every_flag_in_order)
{
    const otr_key *const tables[] = { small_keys, otr_agent_keys, NULL };
    BUF(out);
    otr_err e = { 0 };
    REQUIRE_OK(otr_config_help(tables, &out, &e), e);
    const char *text = otr_buf_text(&out);
    CHECK_HAS(text, "  --log-level string                            Lowest level that is logged: "
                    "error, warn, info or debug (default \"info\")\n");
    CHECK_HAS(text, "  --net-fast                                    Hurry\n");
    CHECK_HAS(text, "  --net-port int                                A port (default 80)\n");
    CHECK_HAS(text, "\n  --client-http-timeout duration ");
    CHECK_HAS(text, "\n  --outrider-workers int ");
    CHECK_HAS(text, "(default 2)\n");
    CHECK_HAS(text, "  --data-plane-config-nginx-reload-backoff-randomization-factor float\n"
                    "                                                Share ");
    CHECK(strncmp(text, "  --allowed-directories a,b,... ", 32) == 0);
    CHECK(strstr(text, "connection-reset") == NULL);
    CHECK(strstr(text, "only-yaml") == NULL);
    CHECK(strstr(text, "--plugins") == NULL);
    CHECK(strstr(text, "--log-level") < strstr(text, "--net-any"));
    CHECK(strstr(text, "--net-any") < strstr(text, "--outrider-workers"));
    OTR_CLEANUP(free_buf) otr_buf tiny;
    otr_buf_init(&tiny, 400); /* the first lines fit */
    CHECK_INT(otr_config_help(tables, &tiny, &e), OTR_EQUOTA);
    CHECK_INT(tiny.n, 0);
}

T(a_snapshot_lives_as_long_as_someone_holds_it)
{
    LOAD(cfg, .yaml = "log: {path: /x}\n");
    otr_config *second = otr_config_ref(cfg);
    otr_config_unref(cfg);
    CHECK_STR(otr_config_str(second, "log.path"), "/x");
    otr_config_unref(NULL);
}
