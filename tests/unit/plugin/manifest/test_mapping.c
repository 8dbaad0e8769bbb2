#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/agent_keys.h"
#include "plugin/manifest/manifest.h"
#include "support/test.h"

static const otr_key *const tables[] = { otr_agent_keys, NULL };

static void unrefp(void *slot)
{
    otr_config_unref(otr_steal(slot));
}

/* Parses a configuration with one entry that has these keys. */
static otr_code parse(const char *keys, otr_manifest_set **ret, otr_err *err)
{
    char path[] = "/tmp/otr-mapping-XXXXXX", yaml[1024];
    OTR_CLEANUP(unrefp) otr_config *cfg = NULL;
    int fd = mkstemp(path);
    int n =
        snprintf(yaml, sizeof(yaml), "plugins:\n  load:\n    - {name: odd, source: x, %s}\n", keys);
    if (fd < 0 || n < 0 || (size_t)n >= sizeof(yaml)) {
        return otr_fail(err, OTR_EIO, "no temporary file");
    }
    ssize_t done = write(fd, yaml, (size_t)n);
    close(fd);
    otr_config_source source = { .tables = tables, .file = path };
    otr_code rc = done < 0 ? OTR_EIO : otr_config_load(&source, &cfg, err);
    rc = rc == OTR_OK ? otr_manifest_parse(cfg, ret, err) : rc;
    unlink(path);
    return rc;
}

#define PARSE(keys)                                                   \
    OTR_CLEANUP(otr_manifest_set_freep) otr_manifest_set *set = NULL; \
    otr_err err = { 0 };                                              \
    otr_code rc = parse(keys, &set, &err)
#define READ(keys)       \
    PARSE(keys);         \
    REQUIRE_OK(rc, err); \
    const otr_plugin_mapping *m = &set->items[0]->mapping

/* The error has the place, the plugin, the key and what is wrong. */
static void refused(const char *keys, const char *key, const char *part)
{
    PARSE(keys);
    CHECK(rc != OTR_OK);
    CHECK_HAS(err.msg, "/tmp/otr-mapping-");
    CHECK_HAS(err.msg, ":3:");
    CHECK_HAS(err.msg, "plugin \"odd\"");
    CHECK_HAS(err.msg, key);
    CHECK_HAS(err.msg, part);
}

T_NO_OOM(operations_that_cannot_be_are_refused)
{
    refused("operations: x", "operations:", "expected a map");
    refused("operations: [process]", "operations:", "expected a map");
    refused("operations: {handle: x}", "\"handle\"", "info, subscriptions, process");
    refused("operations: {echo: x}", "\"echo\"", "there are");
    refused("operations: {process: ''}", "operations: process", "1 to 128 bytes");
    refused("operations: {process: [x]}", "operations: process", "the guest's own name");
    refused("operations: {process: {a: b}}", "operations: process", "the guest's own name");
}

T(a_name_may_have_128_bytes_and_no_more)
{
    char name[130], keys[200];
    memset(name, 'x', sizeof(name));
    name[129] = '\0';
    (void)snprintf(keys, sizeof(keys), "operations: {process: %s}", name);
    refused(keys, "operations: process", "1 to 128 bytes");
    (void)snprintf(keys, sizeof(keys), "operations: {process: %s}", name + 1);
    READ(keys);
    CHECK_STR(otr_mapping_name(m, "process"), name + 1);
}

T_NO_OOM(a_version_is_a_text_of_64_bytes_at_most)
{
    refused("version: ''", "version:", "expected a text");
    refused("version: [1]", "version:", "expected a text");
    refused("version: 0123456789012345678901234567890123456789012345678901234567890123x",
            "version:", "too long");
    refused("version: 1, operations: {info: about}", "version:", "leave one out");
    READ("version: 0123456789012345678901234567890123456789012345678901234567890123");
    CHECK_INT(strlen(m->version), 64);
}

T_NO_OOM(an_input_is_a_word_or_a_path)
{
    refused("input: ''", "input:", "expected a text");
    refused("input: [data]", "input:", "expected a text");
    refused("input: .a", "input:", "is no path");
    refused("input: a..b", "input:", "is no path");
    refused("input: data.", "input:", "is no path");
    refused("input: 'a\\b'", "input:", "is no path");
}

T_NO_OOM(a_topic_to_publish_under_has_no_stars)
{
    refused("publish: 'test.*'", "publish:", "joined by dots");
    refused("publish: Test", "publish:", "joined by dots");
    refused("publish: [a.b]", "publish:", "expected a text");
    refused("publish: ''", "publish:", "expected a text");
}

T(an_entry_without_the_keys_has_no_mapping)
{
    READ("subscribe: [a.b]");
    CHECK(!m->any && m->names == NULL && m->version == NULL && m->publish == NULL);
    CHECK(m->input == OTR_INPUT_MESSAGE && m->input_text == NULL && m->path == NULL);
    CHECK_STR(otr_mapping_name(m, "process"), "process");
}

T(an_entry_with_the_keys_has_them)
{
    READ("operations: {process: count_vowels, init: setup}, version: 1.10, subscribe: [a.b],"
         " input: data.a.0, publish: text.out");
    CHECK(m->any && m->topics_given && m->input == OTR_INPUT_FIELD);
    CHECK_STR(otr_mapping_name(m, "process"), "count_vowels");
    CHECK_STR(otr_mapping_name(m, "init"), "setup");
    CHECK_STR(otr_mapping_name(m, "close"), "close");
    CHECK(otr_mapping_find(m, "close") == NULL);
    CHECK_STR(m->version, "1.10");
    CHECK_STR(m->path[2], "0");
    CHECK_STR(m->publish, "text.out");
    OTR_CLEANUP(otr_buf_deinit) otr_buf text;
    otr_buf_init(&text, 256);
    REQUIRE_OK(otr_mapping_text(m, &text, &err), err);
    CHECK_STR(otr_buf_text(&text), "process → count_vowels, init → setup");
}

static void
    requires(const char *keys, const char *names)
{
    const char *list[OTR_MAPPING_OPERATIONS + 1];
    char text[256] = "";
    READ(keys);
    otr_mapping_required(m, list);
    for (size_t i = 0; list[i] != NULL; i++) {
        size_t n = strlen(text);
        (void)snprintf(text + n, sizeof(text) - n, "%s%s", n > 0 ? " " : "", list[i]);
    }
    CHECK_STR(text, names);
}

T_NO_OOM(a_guest_must_have_what_the_entry_does_not_say)
{
    requires("abi: extism", "info subscriptions process");
    requires("subscribe: [a]", "info process");
    requires("hooks: [a]", "info process");
    requires("version: 1", "subscriptions process");
    requires("version: 1, subscribe: []", "process");
    requires("version: 1, subscribe: [], operations: {process: p, close: c}", "p c");
    requires("subscribe: [a], operations: {subscriptions: s, info: i}", "i s process");
}

static bool equal(const char *a, const char *b)
{
    OTR_CLEANUP(otr_manifest_set_freep) otr_manifest_set *x = NULL;
    OTR_CLEANUP(otr_manifest_set_freep) otr_manifest_set *y = NULL;
    otr_err err = { 0 };
    bool both = parse(a, &x, &err) == OTR_OK && parse(b, &y, &err) == OTR_OK;
    return both && otr_mapping_equal(&x->items[0]->mapping, &y->items[0]->mapping) &&
           otr_mapping_equal(&y->items[0]->mapping, &x->items[0]->mapping);
}

T_NO_OOM(mappings_are_equal_when_they_mean_the_same)
{
    CHECK(equal("abi: extism", "abi: extism"));
    CHECK(equal("operations: {process: a, init: b}", "operations: {init: b, process: a}"));
    CHECK(equal("operations: {}", "input: message"));
    CHECK(!equal("operations: {process: a}", "operations: {process: b}"));
    CHECK(!equal("operations: {process: a}", "operations: {init: a}"));
    CHECK(!equal("operations: {process: a}", "abi: extism"));
    CHECK(!equal("version: 1", "version: 2"));
    CHECK(!equal("version: 1", "abi: extism"));
    CHECK(!equal("input: data", "input: message"));
    CHECK(!equal("input: data.a", "input: data.b"));
    CHECK(!equal("publish: a", "publish: b"));
    CHECK(!equal("publish: a", "abi: extism"));
    CHECK(!equal("subscribe: [a]", "abi: extism"));
}
