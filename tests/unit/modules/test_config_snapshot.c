#include <sys/stat.h>

#include "modules/config_snapshot.h"
#include "unit/nginx/history/store.h"
#include "unit/nginx/tree.h"

enum { NOBODY = 65534 };

typedef struct world {
    tree t;
    store s;
    char config[256];
    otr_root root;
    otr_nginx_instance nginx;
} world;

static void world_deinit(world *w)
{
    store_close(&w->s);
    tree_deinit(&w->t);
}

/* An NGINX of somebody who is not root: the files are read with these rights. */
static bool world_init(world *w)
{
    memset(w, 0, sizeof(*w));
    uid_t uid = geteuid() == 0 ? NOBODY : geteuid();
    w->root = (otr_root){ .path = "", .uid = uid, .gid = geteuid() == 0 ? NOBODY : getegid() };
    if (!tree_init(&w->t) || chmod(w->t.dir, 0755) != 0 ||
        !tree_write(&w->t, "nginx.conf", "include a.conf;\ninclude b.conf;\n") ||
        !tree_write(&w->t, "a.conf", "# a\n") || !tree_write(&w->t, "b.conf", "# b\n")) {
        return false;
    }
    snprintf(w->config, sizeof(w->config), "%s/nginx.conf", w->t.dir);
    static char empty[] = "";
    w->nginx = (otr_nginx_instance){
        .id = "an-id", .config = w->config, .prefix = w->t.dir, .root = empty
    };
    w->nginx.reach = &w->root;
    return store_open(&w->s, NULL) == OTR_OK;
}

#define WORLD(w)                       \
    OTR_CLEANUP(world_deinit) world w; \
    REQUIRE(world_init(&(w)))

static bool has(world *w, const otr_snapshot *snap, const char *name, otr_history_file *ret)
{
    return otr_history_file_of(w->s.h, snap->version, tree_path(&w->t, name), ret, NULL) == OTR_OK;
}

T_NO_OOM(a_file_that_cannot_be_read_is_not_taken_for_gone)
{
    WORLD(w);
    otr_err err = { 0 };
    otr_history_file file;
    otr_snapshot first = { 0 }, second = { 0 }, third = { 0 };
    const otr_snapshot_spec spec = { .instance = &w.nginx };
    REQUIRE_OK(otr_config_snapshot(w.s.h, &spec, &first, &err), err);
    REQUIRE_OK(otr_history_set_version(w.s.h, "an-id", first.version, OTR_HISTORY_IN_FORCE, &err),
               err);
    CHECK_INT(first.files, 3);
    REQUIRE(tree_write(&w.t, "a.conf", "# changed\n"));
    REQUIRE(chmod(tree_path(&w.t, "b.conf"), 0) == 0);
    REQUIRE_OK(otr_config_snapshot(w.s.h, &spec, &second, &err), err);
    CHECK_HAS(second.remark, "not recorded");
    REQUIRE(has(&w, &second, "a.conf", &file));
    CHECK_INT(file.stat.bytes, 10);
    REQUIRE(has(&w, &second, "b.conf", &file));
    CHECK_INT(file.stat.bytes, 4);
    REQUIRE(unlink(tree_path(&w.t, "b.conf")) == 0);
    REQUIRE_OK(otr_config_snapshot(w.s.h, &spec, &third, &err), err);
    CHECK(!has(&w, &third, "b.conf", &file));
}
