/* What differs between two entries, and which way. Comparing allocates nothing, and reading has its
 * test under failing allocation in test_manifest.c. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/agent_keys.h"
#include "plugin/manifest/changes.h"
#include "support/test.h"

static void unrefp(void *slot)
{
    otr_config_unref(otr_steal(slot));
}

/* The one entry of `yaml`; the set is the caller's. */
static otr_code read_one(const char *yaml, otr_manifest_set **ret, otr_err *err)
{
    static const otr_key *const tables[] = { otr_agent_keys, NULL };
    OTR_CLEANUP(unrefp) otr_config *cfg = NULL;
    char path[] = "/tmp/otr-changes-XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0) {
        return otr_fail(err, OTR_EIO, "no temporary file");
    }
    ssize_t done = write(fd, yaml, strlen(yaml));
    close(fd);
    otr_config_source source = { .tables = tables, .file = path };
    otr_code rc = done < 0 ? OTR_EIO : otr_config_load(&source, &cfg, err);
    rc = rc == OTR_OK ? otr_manifest_parse(cfg, ret, err) : rc;
    unlink(path);
    return rc;
}

static const char *way(unsigned bits)
{
    static const char *const ways[] = { "same", "narrower", "wider", "both" };
    return ways[bits & 3];
}

/* Appends "name=way " of each setting that differs. */
static void compare(const char *from, const char *to, char *ret, size_t size)
{
    OTR_CLEANUP(otr_manifest_set_freep) otr_manifest_set *a = NULL;
    OTR_CLEANUP(otr_manifest_set_freep) otr_manifest_set *b = NULL;
    otr_err err = { 0 };
    otr_changes c;
    size_t n = 0;
    ret[0] = '\0';
    REQUIRE_OK(read_one(from, &a, &err), err);
    REQUIRE_OK(read_one(to, &b, &err), err);
    otr_manifest_compare(a->items[0], b->items[0], &c);
    for (size_t i = 0; i < OTR_SETTINGS; i++) {
        if (c.of[i] != OTR_SAME) {
            n += (size_t)snprintf(ret + n, size - n, "%s%s=%s", n > 0 ? " " : "",
                                  otr_setting_name(i), way(c.of[i]));
        }
    }
    CHECK(otr_changes_any(&c) == (n > 0));
}

#define KEY   "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"
#define KEY2  "RWTAPRW+oy9m0VH5tA0yTZ3zDFAxY0YfYfKBGVOWkkOXnaqZGBnzzQ5o"
#define SHA_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SHA_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define ONE   "plugins:\n  load:\n    - {name: a, source: /a.wasm"

/* `back`: what the way back is. */
static void check_entry(const char *from, const char *to, const char *want, const char *back)
{
    char a[512], b[512], got[512];
    (void)snprintf(a, sizeof(a), ONE "%s}\n", from);
    (void)snprintf(b, sizeof(b), ONE "%s}\n", to);
    compare(a, b, got, sizeof(got));
    CHECK_STR(got, want);
    compare(b, a, got, sizeof(got));
    CHECK_STR(got, back);
}

T_NO_OOM(grants_tell_which_way_they_changed)
{
    check_entry("", ", grants: {publish: [a.*]}", "grants.publish=wider",
                "grants.publish=narrower");
    check_entry(", grants: {publish: [a.*]}", ", grants: {publish: [b.*]}", "grants.publish=both",
                "grants.publish=both");
    check_entry(", grants: {http: [\"https://h/\"]}", ", grants: {http: [\"https://h/v1\"]}",
                "grants.http=both", "grants.http=both");
    check_entry(", grants: {http: [\"https://h/\"]}",
                ", grants: {http: [\"https://h/\", \"https://i/\"]}", "grants.http=wider",
                "grants.http=narrower");
    check_entry("", ", grants: {instances: true}", "grants.instances=wider",
                "grants.instances=narrower");
    check_entry("", ", grants: {nginx_config: true}", "grants.nginx_config=wider",
                "grants.nginx_config=narrower");
    check_entry(", grants: {metrics: 3}", ", grants: {metrics: 2}", "grants.metrics=narrower",
                "grants.metrics=wider");
    check_entry(", grants: {kv_bytes: 1MiB}", ", grants: {kv_bytes: 1KiB}",
                "grants.kv_bytes=narrower", "grants.kv_bytes=wider");
    check_entry(", grants: {env: [A, B]}", ", grants: {env: [B]}", "grants.env=narrower",
                "grants.env=wider");
    check_entry(", grants: {secrets: {t: /s}}", ", grants: {secrets: {t: /other}}",
                "grants.secrets=both", "grants.secrets=both");
    check_entry(", grants: {secrets: {t: /s, u: /v}}", ", grants: {secrets: {u: /v}}",
                "grants.secrets=narrower", "grants.secrets=wider");
    check_entry(", grants: {paths: [{host: /d, write: true}]}", ", grants: {paths: [{host: /d}]}",
                "grants.paths=narrower", "grants.paths=wider");
    check_entry(", grants: {paths: [{host: /d}]}", ", grants: {paths: [{host: /d, guest: /x}]}",
                "grants.paths=both", "grants.paths=both");
}

T_NO_OOM(limits_tell_which_way_they_changed)
{
    check_entry(", limits: {memory: 8MiB, recycle: 1MiB}",
                ", limits: {memory: 4MiB, recycle: 1MiB}", "limits.memory=narrower",
                "limits.memory=wider");
    check_entry(", limits: {vars: 8KiB}", ", limits: {vars: 4KiB}", "limits.vars=narrower",
                "limits.vars=wider");
    check_entry(", limits: {recycle: 8MiB}", ", limits: {recycle: 4MiB}", "limits.recycle=both",
                "limits.recycle=both");
    check_entry(", limits: {zero: never}", ", limits: {zero: used}", "limits.zero=both",
                "limits.zero=both");
    check_entry(", limits: {call: 2s}", ", limits: {call: 1500ms}", "limits.call=narrower",
                "limits.call=wider");
    check_entry(", limits: {init: 9s}", ", limits: {init: 8s}", "limits.init=narrower",
                "limits.init=wider");
    check_entry(", limits: {queue: 9}", ", limits: {queue: 8}", "limits.queue=narrower",
                "limits.queue=wider");
    check_entry(", limits: {publish: 9}", ", limits: {publish: 8}", "limits.publish=narrower",
                "limits.publish=wider");
    check_entry(", instances: 3", ", instances: 2", "instances=narrower", "instances=wider");
}

T_NO_OOM(an_entry_that_is_written_otherwise_is_the_same)
{
    check_entry("", ", engine: wasmtime, limits: {call: 1s, queue: 1024}, instances: 1", "", "");
    check_entry(", limits: {call: 2s}", ", limits: {call: 2000ms}", "", "");
    check_entry(", grants: {publish: [a, b]}", ", grants: {publish: [b, a]}", "", "");
    check_entry(", grants: {env: []}, on_failure: restart, off: false", "", "", "");
    check_entry(", config: {a: 1}", ",   config:   {\"a\":  1}", "", "");
}

T_NO_OOM(code_and_config_and_life_are_told_apart)
{
    check_entry("", ", engine: wasmi", "engine=wider", "engine=wider");
    check_entry("", ", encoding: protobuf", "encoding=wider", "encoding=wider");
    check_entry("", ", config: {x: 1}", "config=wider", "config=wider");
    check_entry("", ", subscribe: [a.*], hooks: [b], on_failure: fail-closed",
                "subscribe=both hooks=both on_failure=both",
                "subscribe=both hooks=both on_failure=both");
    check_entry("", ", off: true, restart: {failures: 2}", "restart=both off=narrower",
                "restart=both off=wider");
}

T_NO_OOM(each_key_for_guests_of_other_hosts_needs_another_sandbox)
{
    check_entry("", ", operations: {process: p}", "operations=wider", "operations=wider");
    check_entry("", ", version: 1", "version=wider", "version=wider");
    check_entry("", ", input: data", "input=wider", "input=wider");
    check_entry(", input: data.a", ", input: data.b", "input=wider", "input=wider");
    check_entry("", ", publish: a.b", "publish=wider", "publish=wider");
    check_entry(", version: 1", ", version: 1, subscribe: [a]", "subscribe=both",
                "operations=wider subscribe=both");
    check_entry(", operations: {init: i, process: p}, input: message",
                ", operations: {process: p, init: i}", "", "");
}

T_NO_OOM(a_pin_is_narrower_and_a_module_that_gets_one_too)
{
    check_entry("", ", sha256: " SHA_A, "sha256=both", "sha256=wider");
    check_entry(", sha256: " SHA_A, ", sha256: " SHA_B, "sha256=both", "sha256=both");
    check_entry(", modules: [{name: m, source: /m}]",
                ", modules: [{name: m, source: /m, sha256: " SHA_A "}]", "modules=both",
                "modules=wider");
}

static void check_section(const char *from, const char *to, const char *want, const char *back)
{
    char a[768], b[768], got[512];
    (void)snprintf(a, sizeof(a), "plugins:\n  %s\n  load:\n    - {name: a, source: /a.wasm}\n",
                   from);
    (void)snprintf(b, sizeof(b), "plugins:\n  %s\n  load:\n    - {name: a, source: /a.wasm}\n", to);
    compare(a, b, got, sizeof(got));
    CHECK_STR(got, want);
    compare(b, a, got, sizeof(got));
    CHECK_STR(got, back);
}

T_NO_OOM(what_is_said_for_all_plugins_counts_for_each)
{
    check_section("trust: {keys: [" KEY "]}", "trust: {keys: [" KEY "], require: signature}",
                  "signature=narrower", "signature=wider");
    check_section("trust: {keys: [/a.pub, /b.pub]}", "trust: {keys: [/b.pub]}",
                  "plugins.trust.keys=narrower", "plugins.trust.keys=wider");
    check_section("trust: {keys: [/a.pub]}", "trust: {keys: [/a.pub], revoked: [" SHA_A "]}",
                  "plugins.trust.revoked=narrower", "plugins.trust.revoked=wider");
    check_section("watch: on", "watch: off", "plugins.watch=narrower", "plugins.watch=wider");
    check_section("store: /a", "store: /b", "plugins.store=both", "plugins.store=both");
    check_section("downloads: /a", "downloads: off", "plugins.downloads=both",
                  "plugins.downloads=both");
    check_section("download_timeout: 2s", "download_timeout: 1s",
                  "plugins.download_timeout=narrower", "plugins.download_timeout=wider");
    check_section("trust: {ca: /a.pem}", "trust: {ca: /b.pem}", "plugins.trust.ca=both",
                  "plugins.trust.ca=both");
}

T_NO_OOM(only_what_the_entry_says_itself_is_its_own)
{
    otr_changes c = { { 0 } };
    CHECK(!otr_changes_own(&c));
    for (size_t i = 0; i < OTR_SETTINGS; i++) {
        c = (otr_changes){ { 0 } };
        c.of[i] = OTR_WIDER;
        bool shared = strncmp(otr_setting_name(i), "plugins.", 8) == 0 ||
                      strcmp(otr_setting_name(i), "signature") == 0;
        CHECK(otr_changes_own(&c) == !shared);
        CHECK(otr_changes_have(&c, otr_setting_kind_of(i), OTR_WIDER));
        CHECK(!otr_changes_have(&c, otr_setting_kind_of(i), OTR_NARROWER));
    }
}
