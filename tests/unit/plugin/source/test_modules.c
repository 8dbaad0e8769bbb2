/* Files beside a plugin's source, and the folders its own manifest asks for. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "plugin/source/modules.h"
#include "support/test.h"

typedef struct place {
    char folder[40];
    char util[80], json[80];
    otr_engine *engine;
    otr_guest_code *code;
    otr_guest_parts parts;
    otr_guest_wasi wasi;
} place;

static void place_deinit(place *p)
{
    otr_guest_wasi_deinit(&p->wasi);
    otr_guest_parts_deinit(&p->parts);
    otr_guest_code_free(p->code);
    if (p->engine != NULL) {
        p->engine->ops->close(p->engine);
    }
    (void)unlink(p->util);
    (void)rmdir(p->folder);
}

#define PLACE(name) OTR_CLEANUP(place_deinit) place name = { .folder = "/tmp/otr-parts-XXXXXX" }

static const char util[] = "(module (func (export \"f\")))";
static const char guest[] =
    "(module (import \"util\" \"f\" (func $f)) (func (export \"run\") (call $f)))";

static bool write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    bool ok = f != NULL && fputs(text, f) >= 0;
    return f != NULL && fclose(f) == 0 && ok;
}

static bool set_up(place *p)
{
    if (mkdtemp(p->folder) == NULL) {
        return false;
    }
    (void)snprintf(p->util, sizeof(p->util), "%s/util.wat", p->folder);
    (void)snprintf(p->json, sizeof(p->json), "%s/plugin.json", p->folder);
    return write_file(p->util, util);
}

static otr_code load(place *p, const otr_manifest *m, const char *text, otr_err *err)
{
    const otr_load_spec spec = { .name = "p", .wasm = otr_bytes_of(text), .abi = "extism" };
    otr_code rc = otr_engine_find("wasmtime")->open(NULL, &p->engine, err);
    const otr_source source = otr_source_of(m);
    return rc == OTR_OK ? otr_guest_parts_load(&source, p->engine, &spec, &p->parts, &p->code, err)
                        : rc;
}

T(modules_of_the_configuration_are_linked_and_watched)
{
    PLACE(p);
    otr_err err = { 0 };
    char name[] = "util";
    REQUIRE(set_up(&p));
    otr_module_file file = { .name = name, .source = p.util };
    const otr_manifest m = { .source = p.json, .modules = &file, .n_modules = 1 };
    REQUIRE_OK(load(&p, &m, guest, &err), err);
    CHECK_INT(p.parts.n, 1);
    CHECK(!otr_guest_parts_changed(&p.parts));
    REQUIRE(write_file(p.util, "(module (func (export \"f\") (nop)))"));
    CHECK(otr_guest_parts_changed(&p.parts));
    (void)unlink(p.util);
    CHECK(!otr_guest_parts_changed(&p.parts)); /* a gap while it is replaced is no change */
}

T(a_module_with_another_digest_is_refused)
{
    PLACE(p);
    otr_err err = { 0 };
    char name[] = "util", where[] = "c.yaml:3:1";
    char digest[] = "0000000000000000000000000000000000000000000000000000000000000000";
    REQUIRE(set_up(&p));
    otr_module_file file = { .name = name, .source = p.util, .sha256 = digest };
    const otr_manifest m = { .source = p.json, .where = where, .modules = &file, .n_modules = 1 };
    CHECK_INT(load(&p, &m, guest, &err), OTR_EDENIED);
    CHECK_HAS(err.msg, "module util: ");
    CHECK_HAS(err.msg, "the configuration at c.yaml:3:1 wants 0000");
}

T(files_that_a_manifest_names_are_found_beside_it_and_watched)
{
    PLACE(p);
    otr_err err = { 0 };
    REQUIRE(set_up(&p));
    const otr_manifest m = { .source = p.json };
    REQUIRE_OK(load(&p, &m, "{\"wasm\":[{\"path\":\"util.wat\"}]}", &err), err);
    CHECK_INT(p.parts.n, 1);
    CHECK(!otr_guest_parts_changed(&p.parts));
    REQUIRE(write_file(p.util, "(module)"));
    CHECK(otr_guest_parts_changed(&p.parts));
}

T(a_pinned_manifest_needs_pinned_files)
{
    PLACE(p);
    otr_err err = { 0 };
    REQUIRE(set_up(&p));
    const otr_manifest m = { .source = p.json, .signed_needed = true };
    CHECK_INT(load(&p, &m, "{\"wasm\":[{\"path\":\"util.wat\"}]}", &err), OTR_EDENIED);
    CHECK_HAS(err.msg, "wasm[0]: path: the manifest is trusted");
}

#define HEX8 "0123456789abcdef"
#define HEX  HEX8 HEX8 HEX8 HEX8

T(a_url_needs_a_hash_a_manifest_that_is_trusted_and_https)
{
    otr_err err = { 0 };
    char digest[] = HEX, where[] = "c.yaml:3:1";
    PLACE(p);
    PLACE(q);
    PLACE(r);
    REQUIRE(set_up(&p));
    const otr_manifest plain = { .source = p.json, .where = where };
    const otr_manifest pinned = { .source = p.json, .where = where, .sha256 = digest };
    CHECK_INT(load(&p, &pinned, "{\"wasm\":[{\"url\":\"https://example.org/a\"}]}", &err),
              OTR_EDENIED);
    CHECK_HAS(err.msg, "p: Extism manifest: wasm[0]: url: a module that is fetched needs its hash");
    CHECK_INT(load(&q, &plain,
                   "{\"wasm\":[{\"url\":\"https://example.org/a\",\"hash\":\"" HEX "\"}]}", &err),
              OTR_EDENIED);
    CHECK_HAS(err.msg, "url: the manifest itself is vouched for by nobody");
    CHECK_INT(load(&r, &pinned,
                   "{\"wasm\":[{\"url\":\"http://example.org/a\",\"hash\":\"" HEX "\"}]}", &err),
              OTR_EINVAL);
    CHECK_HAS(err.msg, "url: ");
}

/* No failing allocation: libcurl's would be hit, too. */
T_NO_OOM(a_module_whose_server_is_down_is_told_apart_from_one_that_is_refused)
{
    static const char json[] =
        "{\"wasm\":[{\"url\":\"https://127.0.0.1:1/a\",\"hash\":\"" HEX "\"}]}";
    otr_err err = { 0 };
    char digest[] = HEX, where[] = "c.yaml:3:1";
    PLACE(p);
    PLACE(q);
    REQUIRE(set_up(&p));
    const otr_manifest pinned = {
        .source = p.json, .where = where, .sha256 = digest, .fetch_ns = UINT64_C(5000000000)
    };
    CHECK_INT(load(&p, &pinned, json, &err), OTR_EIO);
    CHECK(p.parts.unreached);
    const otr_manifest plain = { .source = p.json, .where = where };
    CHECK_INT(load(&q, &plain, json, &err), OTR_EDENIED);
    CHECK(!q.parts.unreached);
}

T(a_revoked_module_is_refused_wherever_it_comes_from)
{
    /* that of "(module)" */
    char revoked[] = "1885772b94ca41b360d9bd07535547f4c8ef16cbe7e49d2c8e9780247e26c4de",
         where[] = "c.yaml:3:1";
    char *list[] = { revoked, NULL };
    otr_err err = { 0 };
    PLACE(p);
    REQUIRE(set_up(&p));
    const otr_manifest m = { .source = p.json, .where = where, .revoked = list };
    CHECK_INT(load(&p, &m, "{\"wasm\":[{\"data\":\"KG1vZHVsZSk=\"}]}", &err), OTR_EDENIED);
    CHECK_HAS(err.msg, "wasm[0]: ");
}

/* ---- folders ---- */

static otr_code give(place *p, const char *paths, otr_err *err)
{
    static char where[] = "c.yaml:3:1";
    static struct otr_wasi_dir dirs[] = { { "/data/", "/mine", true }, { "/etc/x", "/x", false } };
    static const otr_manifest m = {
        .source = where, .where = where, .dirs = dirs, .wasi = { .dirs = dirs, .n_dirs = 2 }
    };
    char text[300];
    (void)snprintf(text, sizeof(text), "{\"wasm\":[{\"data\":\"KG1vZHVsZSk=\"}]%s}", paths);
    otr_code rc = load(p, &m, text, err);
    return rc == OTR_OK ? otr_guest_wasi_fill(&m, p->code, &p->wasi, err) : rc;
}

T(a_manifest_that_says_nothing_gets_the_grants)
{
    PLACE(p);
    otr_err err = { 0 };
    REQUIRE_OK(give(&p, "", &err), err);
    CHECK_INT(p.wasi.wasi.n_dirs, 2);
    CHECK_STR(p.wasi.wasi.dirs[0].guest, "/mine");
}

T(allowed_paths_are_a_choice_of_the_grants)
{
    PLACE(p);
    PLACE(q);
    PLACE(r);
    otr_err err = { 0 };
    REQUIRE_OK(give(&p, ",\"allowed_paths\":{\"/data\":\"/d\"}", &err), err);
    CHECK_INT(p.wasi.wasi.n_dirs, 1);
    CHECK_STR(p.wasi.wasi.dirs[0].host, "/data/");
    CHECK_STR(p.wasi.wasi.dirs[0].guest, "/d");
    CHECK(p.wasi.wasi.dirs[0].writable);
    REQUIRE_OK(give(&q, ",\"allowed_paths\":{\"ro:/data\":\"/d\",\"/etc/x\":\"/y\"}", &err), err);
    CHECK_INT(q.wasi.wasi.n_dirs, 2);
    CHECK(!q.wasi.wasi.dirs[0].writable);
    CHECK(!q.wasi.wasi.dirs[1].writable);
    REQUIRE_OK(give(&r, ",\"allowed_paths\":{}", &err), err);
    CHECK_INT(r.wasi.wasi.n_dirs, 0);
}

T(a_folder_that_no_grant_names_is_refused)
{
    static const char *const texts[] = { ",\"allowed_paths\":{\"/\":\"/d\"}",
                                         ",\"allowed_paths\":{\"/data/below\":\"/d\"}",
                                         ",\"allowed_paths\":{\"/data/../etc\":\"/d\"}",
                                         ",\"allowed_paths\":{\"/dat\":\"/d\"}" };
    for (size_t i = 0; i < OTR_COUNT(texts); i++) {
        PLACE(p);
        otr_err err = { 0 };
        CHECK_INT(give(&p, texts[i], &err), OTR_EDENIED);
        CHECK_HAS(err.msg, "which grants.paths at c.yaml:3:1 does not");
    }
}
