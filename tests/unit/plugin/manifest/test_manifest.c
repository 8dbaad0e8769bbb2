#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/limits.h"
#include "config/agent_keys.h"
#include "plugin/manifest/manifest.h"
#include "support/test.h"

static const otr_key *const tables[] = { otr_agent_keys, NULL };

static void unrefp(void *slot)
{
    otr_config_unref(otr_steal(slot));
}

/* Parses a whole configuration file with this content. */
static otr_code parse(const char *yaml, otr_config **ret_cfg, otr_manifest_set **ret, otr_err *err)
{
    char path[] = "/tmp/otr-manifest-XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0) {
        return otr_fail(err, OTR_EIO, "no temporary file");
    }
    ssize_t done = write(fd, yaml, strlen(yaml));
    close(fd);
    otr_config_source source = { .tables = tables, .file = path };
    otr_code rc = done < 0 ? OTR_EIO : otr_config_load(&source, ret_cfg, err);
    rc = rc == OTR_OK ? otr_manifest_parse(*ret_cfg, ret, err) : rc;
    unlink(path);
    return rc;
}

#define PARSE(yaml)                                                   \
    OTR_CLEANUP(unrefp) otr_config *cfg = NULL;                       \
    OTR_CLEANUP(otr_manifest_set_freep) otr_manifest_set *set = NULL; \
    otr_err err = { 0 };                                              \
    otr_code rc = parse(yaml, &cfg, &set, &err)

static void refused(const char *yaml, const char *part)
{
    PARSE(yaml);
    CHECK(rc != OTR_OK);
    CHECK_HAS(err.msg, part);
    CHECK_HAS(err.msg, "/tmp/otr-manifest-");
}

T(wrong_entries_are_refused_with_place_and_key)
{
    refused("plugins: [a]\n", "expected a map");
    refused("plugins: {load: x}\n", "expected a list");
    refused("plugins: {laod: []}\n", "load");
    refused("plugins:\n  load:\n    - {name: a}\n", ":3:");
    refused("plugins:\n  load:\n    - {name: A, source: x}\n", "name");
    refused("plugins:\n  load:\n    - {name: a, source: x, engine: v8}\n", "wasmtime");
    refused("plugins:\n  load:\n    - {name: a, source: x, abi: corba}\n", "corba");
    refused("plugins:\n  load:\n    - {name: a, source: x, abi: corba}\n", "extism, wapc, wit");
    refused("plugins:\n  load:\n    - {name: a, source: x, sha256: abc}\n", "64");
    refused("plugins:\n  load:\n    - {name: a, source: x, on_failure: explode}\n",
            "restart, disable");
    refused("plugins:\n  load:\n    - {name: a, source: x, encoding: xml}\n", "json, protobuf");
    refused("plugins:\n  load:\n    - {name: a, source: x, limits: {call: 0s}}\n", "longer than 0");
    refused("plugins:\n  load:\n    - {name: a, source: x, limits: {queue: 0}}\n", "queue");
    refused("plugins:\n  load:\n    - {name: a, source: x, limits: {publish: 0}}\n", "publish");
    refused("plugins:\n  load:\n    - {name: a, source: x, grants: {publish: ['B']}}\n", "publish");
    refused("plugins:\n  load:\n    - {name: a, source: x}\n    - {name: a, source: y}\n", "taken");
}

#define KEY "RWTJRYxHTB77iu5N7cLmzML0QFrXwBei04chTGGwI7hr7c3WOP5PLTcm"
#define ONE "  load:\n    - {name: a, source: /x/a.wasm"

T(trust_that_cannot_be_met_is_refused_with_place)
{
    refused("plugins:\n  trust: [a]\n", "plugins.trust: expected a map");
    refused("plugins:\n  trust: {require: magic}\n", "none, digest, signature");
    refused("plugins:\n  trust: {key: [a.pub]}\n", "keys");
    refused("plugins:\n  trust: {keys: a.pub}\n", "expected a list");
    refused("plugins:\n  trust:\n    keys:\n    - RWTJ\n", ":4:7: plugins.trust.keys");
    refused("plugins:\n  trust: {require: signature}\n", "`keys`");
    refused("plugins:\n  trust: {require: signature, keys: []}\n", "`keys`");
    refused("plugins:\n  trust: {require: digest}\n" ONE "}\n", "`sha256` or `signature`");
    refused("plugins:\n" ONE ", signature: a.sig}\n", "no key to check it");
}

#define SHA   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define FETCH "plugins:\n  load:\n    - {name: a, source: \"https://h/p.wasm\""

T(a_remote_source_needs_https_and_somebody_who_vouches)
{
    refused("plugins:\n  load:\n    - {name: a, source: \"http://h/p\"}\n", "use https://");
    refused("plugins:\n  load:\n    - {name: a, source: \"ftp://h/p\"}\n", ":3:");
    refused("plugins:\n  load:\n    - {name: a, source: \"https://u:p@h/p\"}\n", "password");
    refused(FETCH "}\n", "needs `sha256`");
    refused(FETCH "}\n", ":3:");
    refused("plugins: {downloads: [a]}\n", "downloads");
    refused("plugins: {download_timeout: 0s}\n", "longer than 0");
    refused("plugins: {watch: maybe}\n", "watch");
    refused("plugins:\n  trust:\n    revoked: [xyz]\n", "plugins.trust.revoked");
    refused("plugins:\n  trust:\n    revoked: [12345678901234567]\n", "up to 16");
}

T(a_remote_source_is_signed_or_pinned)
{
    PARSE("lib_dir: /lib/x\nplugins:\n  trust: {keys: [" KEY "], ca: /ca.pem}\n"
          "  load:\n    - {name: a, source: \"https://h/p.wasm?token=x\"}\n"
          "    - {name: b, source: \"https://h/q\", sha256: " SHA "}\n");
    REQUIRE_OK(rc, err);
    const otr_manifest *a = set->items[0], *b = set->items[1];
    CHECK_STR(a->source, "https://h/p.wasm?token=x");
    CHECK_STR(a->label, "https://h/p.wasm");
    CHECK_STR(a->signature, "https://h/p.wasm.minisig?token=x");
    CHECK_STR(a->ca, "/ca.pem");
    CHECK_STR(a->downloads, "/lib/x/plugins");
    CHECK(a->signed_needed && !b->signed_needed && a->watch);
}

T(trust_is_read_and_a_signature_stands_beside_its_source)
{
    PARSE("plugins:\n  directory: /lib/p\n"
          "  trust: {require: signature, keys: [" KEY ", keys/b.pub]}\n" ONE "}\n"
          "    - {name: b, source: b.wasm, signature: sigs/b}\n");
    REQUIRE_OK(rc, err);
    const otr_manifest *m = set->items[0];
    CHECK(m->signed_needed);
    CHECK_STR(m->signature, "/x/a.wasm.minisig");
    CHECK_STR(m->trust_keys[0], KEY);
    CHECK_STR(m->trust_keys[1], "/lib/p/keys/b.pub");
    CHECK_STR(set->items[1]->signature, "/lib/p/sigs/b");
}

T(a_signature_of_its_own_is_demanded_without_a_rule_for_all)
{
    PARSE("plugins:\n  trust: {keys: [" KEY "]}\n" ONE ", signature: /s}\n"
          "    - {name: b, source: /b.wasm}\n");
    REQUIRE_OK(rc, err);
    CHECK(set->items[0]->signed_needed);
    CHECK(!set->items[1]->signed_needed);
}

static void http_refused(const char *list, const char *part)
{
    char yaml[512];
    (void)snprintf(yaml, sizeof(yaml), "plugins:\n" ONE ",\n       grants: {http: %s}}\n", list);
    refused(yaml, part);
}

T(grants_for_http_are_checked)
{
    http_refused("x", "grants.http: expected a list");
    http_refused("[x]", "expected a URL");
    http_refused("['ftp://h/']", "expected a URL");
    http_refused("['https://h:0/']", "expected a URL");
    http_refused("['https://h:65536/']", "expected a URL");
    http_refused("['https://']", "expected a host name");
    http_refused("['https://a.*.b/']", "expected a host name");
    http_refused("['https://*ab.c/']", "expected a host name");
    http_refused("['https://*./']", "expected a host name");
    http_refused("['https://u@h/']", "expected a host name");
    http_refused("['https://h/../x']", "the path climbs");
    http_refused("['https://h/x?q=1']", "expected a path");
    http_refused("[{methods: [GET]}]", "`hosts`");
    http_refused("[{hosts: [h], methods: [get]}]", "capitals");
    http_refused("[{hosts: [h], ports: [70000]}]", "70000");
    http_refused("[{hosts: [h], schemes: [ws]}]", "http or https");
    http_refused("[{hosts: [h], pathes: [/]}]", "paths");
    http_refused("[{hosts: [h], paths: [a]}]", "expected a path");
    http_refused("[[h]]", "expected a map");
}

T(grants_for_http_are_read_in_both_forms)
{
    PARSE("plugins:\n  load:\n    - name: a\n      source: /a\n      grants:\n        http:\n"
          "        - https://API.example.com:8443/v1/*\n"
          "        - http://[::1]\n"
          "        - {methods: [GET, POST], hosts: ['*.example.org'], ports: [80, 81], paths: [/a],"
          " schemes: [http]}\n"
          "        - {hosts: [h]}\n");
    REQUIRE_OK(rc, err);
    const otr_http_grants *all = &set->items[0]->http;
    REQUIRE(all->n == 4);
    CHECK_STR(all->items[0].hosts[0], "api.example.com");
    CHECK_STR(all->items[0].paths[0], "/v1/*");
    CHECK_INT(all->items[0].ports[0], 8443);
    CHECK(all->items[0].https && !all->items[0].http && all->items[0].methods == NULL);
    CHECK_STR(all->items[1].hosts[0], "[::1]");
    CHECK(all->items[1].http && all->items[1].n_ports == 0 && all->items[1].paths == NULL);
    CHECK_STR(all->items[2].methods[1], "POST");
    CHECK_INT(all->items[2].ports[1], 81);
    CHECK(all->items[2].http && !all->items[2].https);
    CHECK(all->items[3].https && !all->items[3].http);
}

static void grant_refused(const char *grants, const char *part)
{
    char yaml[512];
    (void)snprintf(yaml, sizeof(yaml), "plugins:\n" ONE ",\n       grants: {%s}}\n", grants);
    refused(yaml, part);
}

T(grants_for_environment_folders_and_secrets_are_checked)
{
    grant_refused("env: HOME", "grants.env: expected a list");
    grant_refused("env: ['A=B']", "name of a variable");
    grant_refused("paths: /tmp", "grants.paths: expected a list");
    grant_refused("paths: [/tmp]", "grants.paths: expected a map");
    grant_refused("paths: [{guest: /x}]", "absolute");
    grant_refused("paths: [{host: tmp}]", "absolute");
    grant_refused("paths: [{host: /tmp, guest: ''}]", "empty");
    grant_refused("paths: [{host: /tmp, write: perhaps}]", "write");
    grant_refused("paths: [{host: /tmp, writ: true}]", "write");
    grant_refused("metrics: 0", "metrics");
    grant_refused("metrics: 1001", "metrics");
    grant_refused("secrets: [a]", "grants.secrets: expected a map");
    grant_refused("secrets: {a: b}", "absolute");
}

T(grants_for_environment_folders_and_secrets_are_read)
{
    PARSE("plugins:\n  load:\n    - name: a\n      source: /a\n      grants:\n"
          "        env: [PATH, OTR_TEST_NOT_SET]\n"
          "        paths: [{host: /var/log}, {host: /tmp, guest: /t, write: true}]\n"
          "        secrets: {token: /run/token}\n");
    REQUIRE_OK(rc, err);
    const otr_manifest *m = set->items[0];
    CHECK_STR(m->env_names[1], "OTR_TEST_NOT_SET");
    REQUIRE(m->wasi.env != NULL && m->wasi.env[0] != NULL);
    CHECK_HAS(m->wasi.env[0], "PATH=");
    CHECK(m->wasi.env[1] == NULL);
    REQUIRE(m->wasi.n_dirs == 2);
    CHECK_STR(m->wasi.dirs[0].guest, "/var/log");
    CHECK(!m->wasi.dirs[0].writable && m->wasi.dirs[1].writable);
    CHECK_STR(m->secrets[0], "token");
    CHECK_STR(m->secrets[1], "/run/token");
}

T(an_absent_section_is_an_empty_set)
{
    PARSE("log: {level: info}\n");
    REQUIRE_OK(rc, err);
    CHECK_INT(set->n, 0);
}

T(an_entry_has_defaults_and_denies_everything)
{
    PARSE("plugins:\n  load:\n    - {name: a, source: /x/a.wasm}\n");
    REQUIRE_OK(rc, err);
    REQUIRE(set->n == 1);
    const otr_manifest *m = set->items[0];
    CHECK_STR(m->name, "a");
    CHECK_STR(m->source, "/x/a.wasm");
    CHECK_STR(m->engine, "wasmtime");
    CHECK(m->abi == NULL && m->sha256 == NULL && m->subscribe == NULL);
    CHECK(m->publish[0] == NULL);
    CHECK_STR(m->config_json, "{}");
    CHECK_INT(m->on_failure, OTR_ON_FAILURE_RESTART);
    CHECK_INT(m->encoding, OTR_ENCODING_JSON);
    CHECK_INT(m->memory_bytes, 64 << 20);
    CHECK_INT(m->recycle_bytes, 48 << 20);
    CHECK_INT(m->vars_bytes, 1 << 20);
    CHECK_INT(m->call_ns, 1000000000);
    CHECK_INT(m->init_ns, 5000000000);
    CHECK_INT(m->queue, 1024);
    CHECK_INT(m->publish_per_s, 5000);
    CHECK_INT(m->fetch_ns, 30000000000);
    CHECK(m->config_pairs[0] == NULL);
    CHECK_INT(set->compile_ns, 120000000000);
    CHECK_STR(set->cache_dir, "/var/lib/nginx-agent/wasm-cache");
    CHECK_STR(m->downloads, "/var/lib/nginx-agent/plugins");
    CHECK_STR(m->store, "/var/lib/nginx-agent/plugins.db");
}

T(the_section_places_and_bounds_what_its_plugins_use)
{
    PARSE("plugins:\n  cache: /c\n  downloads: off\n  store: /s.db\n  download_timeout: 7s\n"
          "  compile_limit: 9s\n  load:\n    - {name: a, source: /x/a.wasm}\n");
    REQUIRE_OK(rc, err);
    REQUIRE(set->n == 1);
    CHECK_STR(set->cache_dir, "/c");
    CHECK(set->downloads == NULL && set->items[0]->downloads == NULL);
    CHECK_STR(set->items[0]->store, "/s.db");
    CHECK_INT(set->items[0]->fetch_ns, 7000000000);
    CHECK_INT(set->compile_ns, 9000000000);
}

/* Thousands of allocations, which other tests have, too. */
T_NO_OOM(plugins_have_a_ceiling)
{
    for (size_t n = OTR_LIMIT_PLUGINS; n <= OTR_LIMIT_PLUGINS + 1; n++) {
        OTR_CLEANUP(otr_buf_deinit) otr_buf yaml;
        otr_err e = { 0 };
        otr_buf_init(&yaml, 65536);
        REQUIRE_OK(otr_buf_adds(&yaml, "plugins:\n  load:\n", &e), e);
        for (size_t i = 0; i < n; i++) {
            REQUIRE_OK(otr_buf_addf(&yaml, &e, "    - {name: a%zu, source: /a}\n", i), e);
        }
        PARSE(otr_buf_text(&yaml));
        CHECK_INT(rc, n > OTR_LIMIT_PLUGINS ? OTR_EQUOTA : OTR_OK);
    }
}

T(an_entry_is_read_whole)
{
    PARSE("plugins:\n"
          "  directory: /lib/p\n"
          "  cache: off\n"
          "  load:\n"
          "    - name: rate-watch\n"
          "      source: file:rate.wasm\n"
          "      config: {threshold: 10, deep: {a: [1, two]}}\n"
          "      subscribe: [nginx.*]\n"
          "      grants: {publish: [alert.*, b]}\n"
          "      limits: {memory: 4MiB, call: 50ms, init: 2s, queue: 9}\n"
          "      on_failure: disable\n"
          "      encoding: protobuf\n");
    REQUIRE_OK(rc, err);
    const otr_manifest *m = set->items[0];
    CHECK(set->cache_dir == NULL);
    CHECK_STR(m->source, "/lib/p/rate.wasm");
    CHECK_STR(m->config_json, "{\"threshold\":10,\"deep\":{\"a\":[1,\"two\"]}}");
    CHECK_STR(m->config_pairs[0], "threshold");
    CHECK_STR(m->config_pairs[1], "10");
    CHECK_STR(m->config_pairs[3], "{\"a\":[1,\"two\"]}");
    CHECK(m->config_pairs[4] == NULL);
    CHECK_STR(m->subscribe[0], "nginx.*");
    CHECK_STR(m->publish[1], "b");
    CHECK_INT(m->memory_bytes, 4 << 20);
    CHECK_INT(m->call_ns, 50000000);
    CHECK_INT(m->queue, 9);
    CHECK_INT(m->on_failure, OTR_ON_FAILURE_DISABLE);
    CHECK_INT(m->encoding, OTR_ENCODING_PROTOBUF);
}

T(an_entry_may_be_off)
{
    PARSE(
        "plugins:\n  load:\n    - {name: a, source: /x, off: true}\n    - {name: b, source: /x}\n");
    REQUIRE_OK(rc, err);
    CHECK(set->items[0]->off && !set->items[1]->off);
    CHECK_STR(set->items[0]->identity, ""); /* every key is compared by itself */
    refused("plugins:\n  load:\n    - {name: a, source: /x, off: perhaps}\n", "off");
}

T(one_that_others_follow_keeps_them_alive_until_it_goes)
{
    PARSE("plugins:\n  load:\n    - {name: a, source: /x}\n    - {name: b, source: /x}\n");
    REQUIRE_OK(rc, err);
    otr_manifest *first = otr_manifest_ref(set->items[0]);
    first->newer = otr_manifest_ref(set->items[1]);
    otr_manifest_set_free(otr_steal(&set));
    CHECK_STR(first->newer->name, "b");
    otr_manifest_free(first); /* both: the sanitizer and the harness would tell */
}

#define LOAD(entries) "plugins:\n  load:\n" entries

T(how_a_plugin_lives_has_defaults)
{
    PARSE(LOAD("    - {name: a, source: a.wasm}\n"));
    REQUIRE_OK(rc, err);
    const otr_manifest *m = set->items[0];
    CHECK_INT(m->instances, 1);
    CHECK_INT(m->on_failure, OTR_ON_FAILURE_RESTART);
    CHECK_INT(m->restart.backoff_ns, 100000000);
    CHECK_INT(m->restart.backoff_max_ns, 30000000000);
    CHECK_INT(m->restart.failures, 5);
    CHECK_INT(m->restart.window_ns, 60000000000);
    CHECK(m->hooks == NULL && m->after == NULL);
}

T(how_a_plugin_lives_is_read)
{
    PARSE(LOAD("    - {name: b, source: b.wasm}\n"
               "    - name: a\n"
               "      source: a.wasm\n"
               "      instances: 4\n"
               "      on_failure: fail-closed\n"
               "      restart: {backoff: 1s, backoff_max: 2s, failures: 9, window: 5m}\n"
               "      hooks: [nginx.config.validate]\n"
               "      after: [b]\n"));
    REQUIRE_OK(rc, err);
    const otr_manifest *m = set->items[1];
    CHECK_INT(m->instances, 4);
    CHECK_INT(m->on_failure, OTR_ON_FAILURE_CLOSED);
    CHECK_INT(m->restart.backoff_ns, 1000000000);
    CHECK_INT(m->restart.backoff_max_ns, 2000000000);
    CHECK_INT(m->restart.failures, 9);
    CHECK_INT(m->restart.window_ns, 300000000000);
    CHECK_STR(m->hooks[0], "nginx.config.validate");
    CHECK_STR(m->after[0], "b");
}

T(a_mistake_in_how_a_plugin_lives_names_its_line)
{
    static const char *const bad[][2] = {
        { "      instances: 0\n", ":5:" },
        { "      instances: 65\n", ":5:" },
        { "      on_failure: explode\n", "fail-closed" },
        { "      restart: {failures: 0}\n", ":5:" },
        { "      restart: {backoff: 0s}\n", "longer than 0" },
        { "      restart: {backoff: 2s, backoff_max: 1s}\n", "backoff_max" },
        { "      restart: {pause: 2s}\n", "pause" },
        { "      hooks: [\"A B\"]\n", "hooks" },
        { "      after: b\n", "after" },
        { "      after: [c]\n", "no plugin \"c\"" },
        { "      after: [a]\n", "after itself" },
    };
    for (size_t i = 0; i < OTR_COUNT(bad); i++) {
        char yaml[512];
        (void)snprintf(yaml, sizeof(yaml), LOAD("    - name: a\n      source: a.wasm\n%s"),
                       bad[i][0]);
        PARSE(yaml);
        CHECK(rc != OTR_OK);
        CHECK_HAS(err.msg, bad[i][1]);
    }
}

T(plugins_that_wait_for_each_other_are_refused_with_their_names)
{
    PARSE(LOAD("    - {name: a, source: a.wasm, after: [b]}\n"
               "    - {name: b, source: b.wasm, after: [c]}\n"
               "    - {name: c, source: c.wasm, after: [b]}\n"
               "    - {name: d, source: d.wasm}\n"));
    REQUIRE(rc == OTR_EINVAL);
    CHECK_HAS(err.msg, ":3:");
    CHECK_HAS(err.msg, "\"a\"");
    CHECK_HAS(err.msg, "\"b\"");
}

T(an_entry_may_come_after_one_that_is_listed_later)
{
    PARSE(LOAD("    - {name: a, source: a.wasm, after: [b, c]}\n"
               "    - {name: b, source: b.wasm, after: [c]}\n"
               "    - {name: c, source: c.wasm}\n"));
    REQUIRE_OK(rc, err);
}

#define TWO  "  load:\n    - name: a\n      source: /x/a.wasm\n"
#define HEX8 "0123456789abcdef"
#define HEX  HEX8 HEX8 HEX8 HEX8

T(linked_modules_are_read_with_their_files)
{
    PARSE("plugins:\n  directory: /d\n" TWO "      modules:\n        - {name: u, source: u.wasm}\n"
          "        - {name: v, source: 'file:/v.wasm', sha256: " HEX "}\n");
    REQUIRE_OK(rc, err);
    const otr_manifest *m = set->items[0];
    CHECK_INT(m->n_modules, 2);
    CHECK_STR(m->modules[0].name, "u");
    CHECK_STR(m->modules[0].source, "/d/u.wasm");
    CHECK(m->modules[0].sha256 == NULL);
    CHECK_STR(m->modules[1].source, "/v.wasm");
    CHECK_STR(m->modules[1].sha256, HEX);
}

T(mistakes_in_linked_modules_name_their_line)
{
    refused("plugins:\n" TWO "      modules: x\n", "modules: expected a list");
    refused("plugins:\n" TWO "      modules:\n        - {name: u}\n", ":6:11: modules: each needs");
    refused("plugins:\n" TWO "      modules:\n        - {name: u, sauce: x}\n", "sauce");
    refused("plugins:\n" TWO "      modules:\n        - {name: u, source: x, sha256: 1}\n", "64");
    refused("plugins:\n" TWO "      modules:\n        - {name: u, source: 'https://a/b'}\n",
            "a source by https needs `sha256`");
    refused("plugins:\n" TWO "      modules:\n"
            "        - {name: u, source: 'http://a/b', sha256: " HEX "}\n",
            ":6:29: modules: plain http");
    refused("plugins:\n" TWO "      modules: [{}, {}, {}, {}, {}, {}, {}, {}]\n", "more than 7");
}

T(every_file_of_a_trusted_plugin_is_pinned)
{
    refused("plugins:\n" TWO "      sha256: " HEX "\n"
            "      modules:\n        - {name: u, source: x}\n",
            "`sha256` is missing");
    refused("plugins:\n  trust: {require: digest}\n" TWO "      sha256: " HEX "\n"
            "      modules:\n        - {name: u, source: x}\n",
            "`sha256` is missing");
}

T(zeroing_is_a_limit_of_its_own)
{
    PARSE("plugins:\n  load:\n    - {name: a, source: x}\n"
          "    - {name: b, source: x, limits: {zero: used}}\n"
          "    - {name: c, source: x, limits: {zero: never}}\n");
    REQUIRE_OK(rc, err);
    CHECK_INT(set->items[0]->zeroing, OTR_ZERO_USED);
    CHECK_INT(set->items[1]->zeroing, OTR_ZERO_USED);
    CHECK_INT(set->items[2]->zeroing, OTR_ZERO_NEVER);
    refused("plugins:\n  load:\n    - {name: a, source: x, limits: {zero: maybe}}\n",
            "used, never");
}
