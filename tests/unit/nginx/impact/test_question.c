#include "base/json.h"
#include "base/limits.h"
#include "nginx/impact/question.h"
#include "unit/nginx/tree.h"

static const otr_root here = { .path = "" };

typedef struct fixture {
    tree dir;
    otr_overlay *overlay;
    otr_impact *impact;
    otr_buf out;
    otr_err err;
} fixture;

static void fixture_deinit(fixture *f)
{
    otr_impact_drop(f->impact);
    otr_overlay_free(f->overlay);
    otr_buf_deinit(&f->out);
    tree_deinit(&f->dir);
}

/* nginx.conf includes sites/a.conf, which changes, and x.key is replaced. */
static otr_code setup(fixture *f)
{
    otr_impact_spec spec = { .root = &here, .with_config = true };
    otr_buf_init(&f->out, OTR_LIMIT_BUS_PAYLOAD_BYTES);
    if (!tree_init(&f->dir) || !tree_write(&f->dir, "nginx.conf", "http { include sites/*; }\n") ||
        !tree_write(&f->dir, "sites/a.conf", "server { listen 80; }\n") ||
        !tree_write(&f->dir, "x.key", "old")) {
        return OTR_EIO;
    }
    otr_code rc = otr_overlay_new(&here, &f->overlay, &f->err);
    rc = rc == OTR_OK ? otr_overlay_put(f->overlay, tree_path(&f->dir, "sites/a.conf"),
                                        otr_bytes_of("server { listen 81; }\n"), &f->err)
                      : rc;
    rc = rc == OTR_OK ? otr_overlay_put(f->overlay, tree_path(&f->dir, "x.key"),
                                        otr_bytes_of("new"), &f->err)
                      : rc;
    spec.config = tree_path(&f->dir, "nginx.conf");
    spec.overlay = f->overlay;
    return rc == OTR_OK ? otr_impact_new(&spec, &f->impact, &f->err) : rc;
}

#define SETUP                                      \
    OTR_CLEANUP(fixture_deinit) fixture f = { 0 }; \
    REQUIRE_OK(setup(&f), f.err)

static otr_code get(fixture *f, const char *name, const char *version, const char *form)
{
    char in[600];
    (void)snprintf(in, sizeof(in), "{\"path\":\"%s\",\"version\":\"%s\",\"form\":\"%s\"}",
                   tree_path(&f->dir, name), version, form);
    otr_buf_clear(&f->out);
    return otr_impact_answer(f->impact, otr_bytes_of(in), &f->out, &f->err);
}

T(the_payload_tells_who_asks_what_changes_and_what_it_comes_to)
{
    SETUP;
    otr_impact_question q = { .instance = "i",
                              .transaction = "t",
                              .action = "apply",
                              .by_kind = "user",
                              .by_name = "root",
                              .message = "m",
                              .dry_run = true };
    REQUIRE_OK(otr_impact_ask(f.impact, &q, &f.out, &f.err), f.err);
    OTR_CLEANUP(otr_json_freep) otr_json *root = NULL;
    REQUIRE_OK(otr_json_parse(otr_buf_bytes(&f.out), &root, &f.err), f.err);
    CHECK_STR(otr_json_str(otr_json_get(root, "instance"), ""), "i");
    CHECK_STR(otr_json_str(otr_json_get(otr_json_get(root, "by"), "name"), ""), "root");
    CHECK(otr_json_bool(otr_json_get(root, "dry_run"), false));
    const char *diff = otr_json_str(otr_json_get(root, "diff"), "");
    CHECK_HAS(diff, "-server { listen 80; }\n+server { listen 81; }\n");
    CHECK_HAS(diff, "it holds a secret");
    CHECK(!otr_json_bool(otr_json_get(root, "diff_truncated"), true));
    CHECK(!otr_json_bool(otr_json_get(root, "config_truncated"), true));
    CHECK_INT(otr_json_size(otr_json_get(root, "plan")), 2);
    CHECK_INT(otr_json_size(otr_json_get(root, "config_files")), 2);
    const otr_json *config = otr_json_get(otr_json_get(root, "config"), "config");
    CHECK_INT(otr_json_size(config), 2);
    const otr_json *site = otr_json_at(otr_json_get(otr_json_at(config, 1), "parsed"), 0);
    const otr_json *listen = otr_json_at(otr_json_get(site, "block"), 0);
    CHECK_STR(otr_json_str(otr_json_at(otr_json_get(listen, "args"), 0), ""), "81");
    const otr_json *impact = otr_json_get(root, "impact");
    CHECK_STR(otr_json_str(otr_json_get(impact, "reach"), ""), "some");
}

T(a_plan_of_the_askers_own_is_passed_on)
{
    SETUP;
    otr_impact_question q = { .action = "apply", .plan = otr_bytes_of("[{\"x\":1}]") };
    REQUIRE_OK(otr_impact_ask(f.impact, &q, &f.out, &f.err), f.err);
    CHECK_HAS(otr_buf_text(&f.out), "\"plan\":[{\"x\":1}]");
}

T(a_configuration_that_is_too_large_is_left_out_and_its_files_are_named)
{
    SETUP;
    otr_impact_question q = { .action = "apply" };
    REQUIRE_OK(otr_impact_ask(f.impact, &q, &f.out, &f.err), f.err);
    size_t whole = f.out.n;
    otr_buf_deinit(&f.out);
    otr_buf_init(&f.out, whole - 1);
    REQUIRE_OK(otr_impact_ask(f.impact, &q, &f.out, &f.err), f.err);
    CHECK_HAS(otr_buf_text(&f.out), "\"config_truncated\":true,\"config\":null}");
    CHECK_HAS(otr_buf_text(&f.out), "sites/a.conf\"]");
}

T(files_are_given_old_and_new_as_text_and_parsed)
{
    SETUP;
    REQUIRE_OK(get(&f, "sites/a.conf", "new", "text"), f.err);
    CHECK_STR(otr_buf_text(&f.out), "server { listen 81; }\n");
    REQUIRE_OK(get(&f, "sites/a.conf", "old", "text"), f.err);
    CHECK_STR(otr_buf_text(&f.out), "server { listen 80; }\n");
    REQUIRE_OK(get(&f, "sites/a.conf", "old", "parsed"), f.err);
    CHECK_HAS(otr_buf_text(&f.out), "\"directive\":\"listen\",\"line\":1,\"args\":[\"80\"]");
    CHECK_HAS(otr_buf_text(&f.out), "\"status\":\"ok\"");
    otr_buf_clear(&f.out);
    REQUIRE_OK(
        otr_impact_answer(f.impact, otr_bytes_of(tree_path(&f.dir, "nginx.conf")), &f.out, &f.err),
        f.err);
    CHECK_STR(otr_buf_text(&f.out), "http { include sites/*; }\n");
}

T(what_is_no_file_of_it_or_a_secret_is_refused)
{
    SETUP;
    CHECK_INT(get(&f, "x.key", "new", "text"), OTR_EDENIED);
    CHECK_INT(get(&f, "other", "new", "text"), OTR_ENOTFOUND);
    CHECK_HAS(f.err.msg, "the new configuration has no file");
    CHECK_INT(otr_impact_answer(f.impact, otr_bytes_of("/etc/passwd"), &f.out, &f.err),
              OTR_ENOTFOUND);
    CHECK_INT(get(&f, "nginx.conf", "newest", "text"), OTR_EINVAL);
    CHECK_INT(get(&f, "nginx.conf", "new", "xml"), OTR_EINVAL);
    CHECK_INT(otr_impact_answer(f.impact, otr_bytes_of("[]"), &f.out, &f.err), OTR_EINVAL);
    CHECK_INT(otr_impact_answer(f.impact, otr_bytes_of("nginx.conf"), &f.out, &f.err), OTR_EINVAL);
    CHECK_INT(
        otr_impact_answer(f.impact, (otr_bytes){ (const uint8_t *)"/a\0b", 4 }, &f.out, &f.err),
        OTR_EINVAL);
}

T(an_answer_that_does_not_fit_leaves_nothing)
{
    SETUP;
    otr_buf_deinit(&f.out);
    otr_buf_init(&f.out, 10);
    CHECK_INT(get(&f, "nginx.conf", "new", "text"), OTR_EQUOTA);
    CHECK_INT(f.out.n, 0);
    CHECK_INT(get(&f, "nginx.conf", "new", "parsed"), OTR_EQUOTA);
    CHECK_INT(f.out.n, 0);
}
