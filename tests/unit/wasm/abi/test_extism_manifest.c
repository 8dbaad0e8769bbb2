/* Reading Extism's JSON manifest: what is taken, what is refused and how that is said. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/test.h"
#include "wasm/abi/extism_manifest.h"

#define MANIFEST(name) OTR_CLEANUP(otr_extism_manifest_freep) otr_extism_manifest *name = NULL

static otr_code parse(const char *text, otr_extism_manifest **ret, otr_err *err)
{
    return otr_extism_manifest_parse(otr_bytes_of(text), ret, err);
}

static void refuses(const char *text, const char *why)
{
    MANIFEST(m);
    otr_err err = { 0 };
    CHECK_INT(parse(text, &m, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "Extism manifest: ");
    CHECK_HAS(err.msg, why);
}

T(only_json_is_a_manifest)
{
    CHECK(otr_extism_manifest_is(otr_bytes_of(" \n\t{\"wasm\":[]}")));
    CHECK(!otr_extism_manifest_is(otr_bytes_of("(module)")));
    CHECK(!otr_extism_manifest_is(otr_bytes_of("")));
    CHECK(!otr_extism_manifest_is((otr_bytes){ (const uint8_t *)"\0asm", 4 }));
}

T(a_key_that_nobody_knows_is_named)
{
    refuses("{\"wasm\":[{\"path\":\"a\"}],\"allow_hosts\":[]}", "allow_hosts: no such key");
    refuses("{\"wasm\":[{\"paht\":\"a\"}]}", "wasm[0]: paht: no such key");
    refuses("{\"wasm\":[{\"path\":\"a\"}],\"memory\":{\"max\":1}}", "memory: max: no such key");
}

T(values_of_the_wrong_kind_are_named_with_what_was_expected)
{
    refuses("[]", "it has no list \"wasm\"");
    refuses("{}", "it has no list \"wasm\"");
    refuses("{\"wasm\":[]}", "wasm: expected a list of modules");
    refuses("{\"wasm\":[1]}", "wasm[0]: expected an object");
    refuses("{\"wasm\":[{\"path\":1}]}", "wasm[0]: path: expected a text");
    refuses("{\"wasm\":[{\"path\":\"\"}]}", "wasm[0]: path: expected the path of a file");
    refuses("{\"wasm\":[{\"data\":\"*\"}]}", "wasm[0]: data: expected a Wasm module in base64");
    refuses("{\"wasm\":[{\"path\":\"a\",\"hash\":\"12\"}]}", "hash: expected the 64 hex digits");
    refuses("{\"wasm\":[{\"path\":\"a\"}],\"memory\":1}", "memory: expected an object");
    refuses("{\"wasm\":[{\"path\":\"a\"}],\"memory\":{\"max_pages\":-1}}",
            "memory: max_pages: expected a whole number");
    refuses("{\"wasm\":[{\"path\":\"a\"}],\"memory\":{\"max_pages\":4294967296}}",
            "memory: max_pages: expected a number of pages up to 4294967295");
    refuses("{\"wasm\":[{\"path\":\"a\"}],\"memory\":{\"max_pages\":18446744073709551615}}",
            "memory: max_pages: expected a number of pages");
    refuses("{\"wasm\":[{\"path\":\"a\"}],\"timeout_ms\":1.0}", "timeout_ms: expected");
    refuses("{\"wasm\":[{\"path\":\"a\"}],\"timeout_ms\":18446744073709551616}", "too big");
    refuses("{\"wasm\":[{\"path\":\"a\"}],\"timeout_ms\":-9223372036854775809}", "too big");
    refuses("{\"wasm\":[{\"path\":\"a\"}],\"timeout_ms\":\"5\"}", "timeout_ms: expected");
    refuses("{\"wasm\":[{\"path\":\"a\"}],\"config\":{\"k\":1}}", "config: k: expected a text");
    refuses("{\"wasm\":[{\"path\":\"a\"}],\"allowed_hosts\":\"*\"}", "expected a list");
    refuses("{\"wasm\":[{\"path\":\"a\"}],\"allowed_hosts\":[1]}", "expected a text");
    refuses("{\"wasm\":[{\"path\":\"a\"}],\"allowed_paths\":{\"data\":\"/d\"}}",
            "allowed_paths: data: expected a folder's absolute path");
    refuses("{\"wasm\":[{\"path\":\"a\"}],\"allowed_paths\":{\"ro:/data\":\"\"}}",
            "allowed_paths: ro:/data: expected");
}

T(a_key_comes_once)
{
    refuses("{\"wasm\":[{\"path\":\"a\"}],\"timeout_ms\":1,\"timeout_ms\":2}",
            "the manifest: a key comes twice");
    refuses("{\"wasm\":[{\"path\":\"a\"}],\"timeout_ms\":1,\"timeout\\u005fms\":2}",
            "the manifest: a key comes twice, or is written with an escape");
    refuses("{\"wasm\":[{\"path\":\"a\"}],\"memory\":{\"max_pages\":1,\"max_pages\":2}}",
            "memory: a key comes twice");
    refuses("{\"wasm\":[{\"path\":\"a\"},{\"path\":\"b\",\"name\":\"}{\\\"\",\"path\":\"c\"}]}",
            "wasm: a key comes twice");
    refuses("{\"wasm\":[{\"path\":\"a\"}],\"config\":{},\"config\":{}}", "a key comes twice");
}

T(of_names_and_values_the_last_counts)
{
    MANIFEST(m);
    otr_err err = { 0 };
    REQUIRE_OK(
        parse("{\"config\":{\"a\":\"1\",\"b\":\"2\",\"a\":\"3\"},\"wasm\":[{\"path\":\"a\"}],"
              "\"allowed_paths\":{\"/data\":\"/d\",\"/data\":\"/e\"}}",
              &m, &err),
        err);
    CHECK_STR(otr_extism_manifest_config(m, "a"), "3");
    CHECK_STR(otr_extism_manifest_config(m, "b"), "2");
    CHECK_INT(m->n_paths, 1);
    CHECK_STR(m->paths[0].guest, "/e");
}

T(numbers_have_64_bits_without_a_sign)
{
    static const char *const most[] = { "9223372036854775807", "9223372036854775808",
                                        "10000000000000000000", "18446744073709551615" };
    for (size_t i = 0; i < OTR_COUNT(most); i++) {
        MANIFEST(m);
        otr_err err = { 0 };
        char text[400];
        (void)snprintf(text, sizeof(text),
                       "{\"wasm\":[{\"path\":\"%s\"}],\"timeout_ms\":%s,\"memory\":"
                       "{\"max_var_bytes\":%s,\"max_http_response_bytes\":%s}}",
                       most[i], most[i], most[i], most[i]);
        REQUIRE_OK(parse(text, &m, &err), err);
        CHECK_STR(m->modules[0].path, most[i]); /* what is in quotes stays */
        CHECK_INT(m->timeout_ms, UINT32_MAX);
        CHECK_INT(m->max_vars_bytes, INT64_MAX);
        CHECK_INT(m->max_http_bytes, INT64_MAX);
    }
}

T(none_is_a_number_too)
{
    MANIFEST(m);
    otr_err err = { 0 };
    REQUIRE_OK(parse("{\"wasm\":[{\"path\":\"a\"}],\"timeout_ms\":0,\"memory\":{\"max_pages\":0,"
                     "\"max_var_bytes\":0,\"max_http_response_bytes\":0}}",
                     &m, &err),
               err);
    CHECK_INT(m->timeout_ms, 1); /* said, and over as soon as somebody looks */
    CHECK_INT(m->max_memory_bytes, 0);
    CHECK_INT(m->max_vars_bytes, 0);
    CHECK_INT(m->max_http_bytes, 0);
}

T(a_module_has_one_source_and_the_linked_ones_have_names)
{
    refuses("{\"wasm\":[{\"name\":\"a\"}]}", "wasm[0]: expected one of path, data and url");
    refuses("{\"wasm\":[{\"path\":\"a\",\"url\":\"https://a\"}]}", "there are 2");
    refuses("{\"wasm\":[{\"path\":\"a\"},{\"path\":\"b\"}]}",
            "wasm[0]: a module that is linked to another needs a name");
    refuses("{\"wasm\":[{\"path\":\"a\",\"name\":\"main\"},{\"path\":\"b\",\"name\":\"main\"}]}",
            "2 modules are called \"main\"");
}

T(headers_of_a_url_are_not_supported)
{
    MANIFEST(m);
    otr_err err = { 0 };
    CHECK_INT(parse("{\"wasm\":[{\"url\":\"https://a/b\",\"headers\":{\"a\":\"b\"}}]}", &m, &err),
              OTR_EUNSUP);
    CHECK_HAS(err.msg, "wasm[0]: headers: a module is fetched by GET");
}

T(more_modules_than_can_be_linked_are_refused)
{
    MANIFEST(m);
    otr_err err = { 0 };
    CHECK_INT(parse("{\"wasm\":[{},{},{},{},{},{},{},{},{}]}", &m, &err), OTR_EQUOTA);
    CHECK_HAS(err.msg, "wasm: 9 modules; the limit is 8");
}

T(everything_of_a_manifest_is_taken)
{
    MANIFEST(m);
    otr_err err = { 0 };
    REQUIRE_OK(
        parse("{\"wasm\":[{\"name\":\"main\",\"data\":\"AGFzbQEAAAA=\",\"hash\":"
              "\"93A44BBB96C751218E4C00D479E4C14358122A389ACCA16205B1E4D0DC5F9476\"},"
              "{\"name\":\"util\",\"path\":\"util.wasm\"},{\"name\":\"far\",\"url\":\"https://x/"
              "y\"}],"
              "\"memory\":{\"max_pages\":3,\"max_http_response_bytes\":10,\"max_var_bytes\":0},"
              "\"config\":{\"a\":\"1\",\"b\":\"2\"},\"allowed_hosts\":[\"*.Example.com\"],"
              "\"allowed_paths\":{\"/data\":\"/d\",\"ro:/etc/x\":\"/x\"},\"timeout_ms\":250}",
              &m, &err),
        err);
    CHECK_INT(m->n_modules, 3);
    CHECK_INT(m->main, 0);
    CHECK_INT(m->modules[0].wasm.n, 8);
    CHECK(m->modules[0].hashed);
    CHECK_HAS(m->modules[0].hash, "93a44bbb96c751218e4c00d4");
    CHECK_STR(m->modules[1].path, "util.wasm");
    CHECK_STR(m->modules[2].url, "https://x/y");
    CHECK_INT(m->max_memory_bytes, 3 * 65536);
    CHECK_INT(m->max_http_bytes, 10);
    CHECK_INT(m->max_vars_bytes, 0);
    CHECK_INT(m->timeout_ms, 250);
    CHECK_STR(otr_extism_manifest_config(m, "b"), "2");
    CHECK(otr_extism_manifest_config(m, "c") == NULL);
    CHECK_STR(m->allowed_hosts[0], "*.example.com");
    CHECK_INT(m->n_paths, 2);
    CHECK_STR(m->paths[0].host, "/data");
    CHECK(!m->paths[0].read_only);
    CHECK_STR(m->paths[1].host, "/etc/x");
    CHECK_STR(m->paths[1].guest, "/x");
    CHECK(m->paths[1].read_only);
}

T(what_is_absent_or_null_says_nothing)
{
    static const char *const texts[] = {
        "{\"wasm\":[{\"path\":\"a\"}]}",
        "{\"wasm\":[{\"path\":\"a\",\"name\":null,\"hash\":null}],\"memory\":{\"max_pages\":null},"
        "\"config\":null,\"allowed_hosts\":null,\"allowed_paths\":null,\"timeout_ms\":null}"
    };
    for (size_t i = 0; i < OTR_COUNT(texts); i++) {
        MANIFEST(m);
        otr_err err = { 0 };
        REQUIRE_OK(parse(texts[i], &m, &err), err);
        CHECK(m->max_memory_bytes == UINT64_MAX);
        CHECK(m->max_http_bytes == UINT64_MAX);
        CHECK(m->max_vars_bytes == UINT64_MAX);
        CHECK_INT(m->timeout_ms, 0);
        CHECK(m->allowed_hosts == NULL);
        CHECK(!m->has_paths);
        CHECK(m->config[0] == NULL);
    }
}

T(the_last_module_is_the_guest_unless_one_is_called_main)
{
    MANIFEST(m);
    MANIFEST(n);
    otr_err err = { 0 };
    REQUIRE_OK(parse("{\"wasm\":[{\"path\":\"a\",\"name\":\"a\"},{\"path\":\"b\"}]}", &m, &err),
               err);
    CHECK_INT(m->main, 1);
    REQUIRE_OK(
        parse("{\"wasm\":[{\"path\":\"a\",\"name\":\"main\"},{\"path\":\"b\",\"name\":\"b\"}]}", &n,
              &err),
        err);
    CHECK_INT(n->main, 0);
}

T(hosts_are_matched_with_stars_and_question_marks)
{
    char *const list[] = { "api.example.com", "*.example.org", "h?st", NULL };
    char *const any[] = { "*", NULL };
    char *const none[] = { NULL };
    CHECK(otr_extism_host_allowed(list, "api.example.com"));
    CHECK(!otr_extism_host_allowed(list, "api.example.com.evil"));
    CHECK(!otr_extism_host_allowed(list, "example.org"));
    CHECK(otr_extism_host_allowed(list, "a.b.example.org"));
    CHECK(otr_extism_host_allowed(list, "host"));
    CHECK(!otr_extism_host_allowed(list, "hst"));
    CHECK(otr_extism_host_allowed(any, "whatever"));
    CHECK(!otr_extism_host_allowed(none, "whatever"));
}

/* ---- files ---- */

typedef struct folder {
    char path[64];
} folder;

static void folder_deinit(folder *f)
{
    static const char *const files[] = { "a.wasm" };
    char path[128];
    for (size_t i = 0; f->path[0] != '\0' && i < OTR_COUNT(files); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", f->path, files[i]);
        (void)unlink(path);
    }
    (void)rmdir(f->path);
}

#define FOLDER(name) OTR_CLEANUP(folder_deinit) folder name = { "/tmp/otr-manifest-XXXXXX" }

static bool fill(folder *f)
{
    char path[128];
    if (mkdtemp(f->path) == NULL) {
        return false;
    }
    (void)snprintf(path, sizeof(path), "%s/a.wasm", f->path);
    FILE *to = fopen(path, "wb");
    bool ok = to != NULL && fwrite("\0asm\1\0\0\0", 1, 8, to) == 8;
    return to != NULL && fclose(to) == 0 && ok;
}

static otr_code collect(const char *text, const otr_extism_source *from, otr_extism_manifest **ret,
                        otr_err *err)
{
    otr_code rc = parse(text, ret, err);
    return rc == OTR_OK ? otr_extism_manifest_collect(*ret, from, err) : rc;
}

static const char by_path[] = "{\"wasm\":[{\"path\":\"a.wasm\"}]}";
static const char pinned[] =
    "{\"wasm\":[{\"path\":\"a.wasm\",\"hash\":"
    "\"93a44bbb96c751218e4c00d479e4c14358122a389acca16205b1e4d0dc5f9476\"}]}";
static const char wrong[] =
    "{\"wasm\":[{\"path\":\"a.wasm\",\"hash\":"
    "\"03a44bbb96c751218e4c00d479e4c14358122a389acca16205b1e4d0dc5f9476\"}]}";

T(a_path_is_read_beside_the_manifest)
{
    FOLDER(f);
    MANIFEST(m);
    otr_err err = { 0 };
    REQUIRE(fill(&f));
    const otr_extism_source from = { .folder = f.path };
    REQUIRE_OK(collect(by_path, &from, &m, &err), err);
    CHECK_INT(m->modules[0].wasm.n, 8);
    otr_extism_manifest_forget(m);
    CHECK_INT(m->modules[0].wasm.n, 0);
}

T(a_hash_must_be_that_of_the_file)
{
    FOLDER(f);
    MANIFEST(m);
    MANIFEST(n);
    otr_err err = { 0 };
    REQUIRE(fill(&f));
    const otr_extism_source from = { .folder = f.path };
    CHECK_INT(collect(wrong, &from, &m, &err), OTR_EDENIED);
    CHECK_HAS(err.msg, "Extism manifest: wasm[0]: hash: the file has 93a44bbb");
    REQUIRE_OK(collect(pinned, &from, &n, &err), err);
}

T(a_trusted_manifest_pins_every_file_it_names)
{
    FOLDER(f);
    MANIFEST(m);
    MANIFEST(n);
    otr_err err = { 0 };
    REQUIRE(fill(&f));
    const otr_extism_source from = { .folder = f.path, .pinned = true };
    CHECK_INT(collect(by_path, &from, &m, &err), OTR_EDENIED);
    CHECK_HAS(err.msg, "every file it names needs its hash");
    REQUIRE_OK(collect(pinned, &from, &n, &err), err);
}

T(a_path_that_is_no_file_or_has_no_folder_is_refused)
{
    MANIFEST(m);
    MANIFEST(n);
    MANIFEST(o);
    otr_err err = { 0 };
    const otr_extism_source nowhere = { 0 }, tmp = { .folder = "/tmp" };
    CHECK_INT(collect(by_path, &nowhere, &m, &err), OTR_EDENIED);
    CHECK_HAS(err.msg, "wasm[0]: path: a manifest that was fetched has no folder");
    CHECK_INT(collect("{\"wasm\":[{\"path\":\"/dev/zero\"}]}", &tmp, &n, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "/dev/zero is not a regular file");
    CHECK_INT(collect("{\"wasm\":[{\"path\":\"no/such\"}]}", &tmp, &o, &err), OTR_ENOTFOUND);
    CHECK_HAS(err.msg, "cannot open /tmp/no/such");
}

/* ---- URLs ---- */

static otr_code fetch(void *arg, const char *url, const char *sha256, otr_buf *out, otr_err *err)
{
    (void)url;
    (void)sha256;
    return otr_buf_add(out, (otr_bytes){ (const uint8_t *)arg, 8 }, err);
}

T(a_url_needs_a_host_that_fetches_and_a_hash)
{
    static const char bare[] = "{\"wasm\":[{\"url\":\"https://x/a.wasm\"}]}";
    static const char hashed[] =
        "{\"wasm\":[{\"url\":\"https://x/a.wasm\",\"hash\":"
        "\"93a44bbb96c751218e4c00d479e4c14358122a389acca16205b1e4d0dc5f9476\"}]}";
    char good[] = "\0asm\1\0\0\0", bad[] = "\0asm\1\0\0\1";
    MANIFEST(m);
    MANIFEST(n);
    MANIFEST(o);
    MANIFEST(p);
    otr_err err = { 0 };
    const otr_extism_source nobody = { 0 };
    const otr_extism_source from = { .fetch = fetch, .arg = good };
    const otr_extism_source liar = { .fetch = fetch, .arg = bad };
    CHECK_INT(collect(hashed, &nobody, &m, &err), OTR_EUNSUP);
    CHECK_HAS(err.msg, "wasm[0]: url: modules are not fetched here");
    CHECK_INT(collect(bare, &from, &n, &err), OTR_EDENIED);
    CHECK_HAS(err.msg, "url: a module that is fetched needs its hash");
    CHECK_INT(collect(hashed, &liar, &o, &err), OTR_EDENIED);
    REQUIRE_OK(collect(hashed, &from, &p, &err), err);
}
