#include "nginx/instance/config.h"
#include "nginx/instance/config_files.h"
#include "unit/nginx/tree.h"

static const otr_root host = { .path = "" };

typedef struct rig {
    tree t;
    char path[256];
    otr_nginx_config *config;
} rig;

static void rig_deinit(rig *r)
{
    otr_nginx_config_free(r->config);
    tree_deinit(&r->t);
}

static bool rig_init(rig *r)
{
    *r = (rig){ 0 };
    if (!tree_init(&r->t) ||
        !tree_write(&r->t, "nginx.conf", "include conf.d/*.conf; include one;") ||
        !tree_write(&r->t, "conf.d/a.conf", "error_log /a;") || !tree_write(&r->t, "one", "x 1;")) {
        return false;
    }
    snprintf(r->path, sizeof(r->path), "%s/nginx.conf", r->t.dir);
    otr_nginx_config_spec spec = { .root = &host, .config = r->path, .prefix = "/" };
    otr_err err;
    return otr_nginx_config_read(&spec, &r->config, &err) == OTR_OK;
}

#define RIG(name)                     \
    OTR_CLEANUP(rig_deinit) rig name; \
    REQUIRE(rig_init(&(name)))

static bool changed(rig *r)
{
    otr_err err;
    CHECK(otr_config_files_look(&r->config->files, &host, r->path, &err) == OTR_OK);
    return r->config->files.changed;
}

T(same_text_is_no_change)
{
    RIG(r);
    CHECK(!changed(&r));
    REQUIRE(tree_write(&r.t, "one", "x 1;"));
    REQUIRE(tree_write(&r.t, "conf.d/no", "not of the pattern"));
    CHECK(!changed(&r));
    CHECK_INT(r.config->files.n, 4); /* three files and a folder */
}

T(other_text_is_a_change_until_it_is_put_back)
{
    RIG(r);
    REQUIRE(tree_write(&r.t, "one", "x 2;"));
    CHECK(changed(&r));
    REQUIRE(tree_write(&r.t, "one", "x 1;"));
    CHECK(!changed(&r));
}

T(file_that_joins_or_leaves_a_pattern_is_a_change)
{
    RIG(r);
    REQUIRE(tree_write(&r.t, "conf.d/b.conf", ""));
    CHECK(changed(&r));
    REQUIRE(unlink(tree_path(&r.t, "conf.d/b.conf")) == 0);
    CHECK(!changed(&r));
    REQUIRE(rename(tree_path(&r.t, "one"), r.path) == 0);
    CHECK(changed(&r));
}

T(broken_text_is_a_change_and_mended_again)
{
    RIG(r);
    REQUIRE(tree_write(&r.t, "conf.d/a.conf", "error_log {"));
    CHECK(changed(&r));
    CHECK(changed(&r));
    REQUIRE(tree_write(&r.t, "conf.d/a.conf", "error_log /a;"));
    CHECK(!changed(&r));
}

T(newer_is_what_was_changed_after_a_time)
{
    RIG(r);
    struct stat st;
    REQUIRE(stat(tree_path(&r.t, "one"), &st) == 0);
    uint64_t at = (uint64_t)st.st_ctim.tv_sec * 1000000000U + (uint64_t)st.st_ctim.tv_nsec;
    CHECK(otr_config_files_newer(&r.config->files, at + 1000000000U) == NULL);
    const char *path = otr_config_files_newer(&r.config->files, at - 3600000000000U);
    REQUIRE(path != NULL);
    CHECK_STR(path, r.path);
}
