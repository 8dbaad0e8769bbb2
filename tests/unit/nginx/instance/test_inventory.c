#include "base/clock.h"
#include "nginx/instance/inventory.h"
#include "unit/nginx/real_nginx.h"

/* The events of instances whose configuration lies in one of our folders, as "+pid", "~pid",
 * "-pid".
 */
typedef struct world {
    otr_loop *loop;
    otr_pool *pool;
    otr_inventory *inventory;
    const char *only; /* configuration; NULL: any below our folders */
    pid_t pid;
    size_t workers;
    char id[OTR_NGINX_ID_BYTES], version[64], status[256], error_log[256];
    unsigned started, changed, stopped, surveys;
    uint64_t first_ns;
} world;

static void on_event(void *arg, otr_inventory_event event, const otr_nginx_instance *i)
{
    world *w = arg;
    if (w->only == NULL || strcmp(w->only, i->config) != 0) {
        return;
    }
    if (event == OTR_INSTANCE_STOPPED) {
        w->stopped++;
        return;
    }
    w->started += event == OTR_INSTANCE_STARTED;
    w->changed += event == OTR_INSTANCE_CHANGED;
    if (w->first_ns == 0) {
        w->first_ns = otr_now_ns();
    }
    w->pid = i->pid;
    w->workers = i->n_workers;
    memcpy(w->id, i->id, sizeof(w->id));
    snprintf(w->version, sizeof(w->version), "%s", i->version);
    snprintf(w->status, sizeof(w->status), "%s", i->stub_status);
    snprintf(w->error_log, sizeof(w->error_log), "%s", i->error_log);
}

static void on_survey(void *arg)
{
    ((world *)arg)->surveys++;
}

static void world_deinit(world *w)
{
    otr_inventory_free(w->inventory);
    otr_pool_free(w->pool);
    otr_loop_free(w->loop);
}

static bool world_init(world *w, const char *proc_root, const char *only)
{
    memset(w, 0, sizeof(*w));
    w->only = only;
    if (otr_loop_new(&w->loop, NULL) != OTR_OK ||
        otr_pool_new(w->loop, 1, &w->pool, NULL) != OTR_OK) {
        return false;
    }
    otr_inventory_spec spec = { .loop = w->loop,
                                .pool = w->pool,
                                .proc_root = proc_root,
                                .event = on_event,
                                .surveyed = on_survey,
                                .arg = w };
    otr_inventory_settings settings = { .rescan_ms = 20, .status_url = "" };
    return otr_inventory_new(&spec, &settings, &w->inventory, NULL) == OTR_OK;
}

/* Runs the loop until `*what` reaches `n`, 10 s at most. */
static bool reach(world *w, const unsigned *what, unsigned n)
{
    uint64_t end = otr_now_ns() + 10 * OTR_NS_PER_S;
    while (*what < n && otr_now_ns() < end) {
        otr_loop_step(w->loop, 20);
    }
    return *what >= n;
}

static bool reach_pid(world *w, pid_t pid)
{
    uint64_t end = otr_now_ns() + 10 * OTR_NS_PER_S;
    while (w->pid != pid && otr_now_ns() < end) {
        otr_loop_step(w->loop, 20);
    }
    return w->pid == pid;
}

T(folder_that_is_not_proc_leaves_nothing_found)
{
    OTR_CLEANUP(world_deinit) world w;
    REQUIRE(world_init(&w, "/nonexistent", ""));
    otr_inventory_start(w.inventory);
    for (int i = 0; i < 5; i++) {
        otr_loop_step(w.loop, 10);
    }
    CHECK_INT(w.surveys, 0);
    CHECK_INT(w.started, 0);
}

T(inventory_freed_during_a_survey_releases_everything)
{
    OTR_CLEANUP(world_deinit) world w;
    REQUIRE(world_init(&w, "/proc", ""));
    otr_inventory_start(w.inventory);
    otr_inventory_free(w.inventory);
    w.inventory = NULL;
    for (int i = 0; i < 3; i++) {
        otr_loop_step(w.loop, 5);
    }
    CHECK_INT(w.surveys, 0);
}

/* The tests below run a real NGINX: a failing allocation of ours would say nothing about it. */
#define NGINX(n)                                           \
    if (!nginx_exists()) {                                 \
        otr_test_skip("/usr/sbin/nginx is not installed"); \
        return;                                            \
    }                                                      \
    OTR_CLEANUP(nginx_deinit) real_nginx n;                \
    REQUIRE(nginx_start(&(n)))

T_NO_OOM(running_nginx_is_found_at_once)
{
    NGINX(n);
    OTR_CLEANUP(world_deinit) world w;
    REQUIRE(world_init(&w, "/proc", n.conf));
    uint64_t begin = otr_now_ns();
    otr_inventory_start(w.inventory);
    REQUIRE(reach(&w, &w.started, 1));
    printf("# found after %llu us\n", (unsigned long long)((w.first_ns - begin) / 1000));
    CHECK_INT(w.pid, nginx_pid(&n, "nginx.pid"));
    for (int i = 0; i < 500 && w.workers < 2; i++) {
        otr_loop_step(w.loop, 10); /* it may have been found between two forks */
    }
    CHECK_INT(w.workers, 2);
    CHECK(w.version[0] != '\0');
    CHECK_HAS(w.status, "/n.sock:/status");
    CHECK_HAS(w.error_log, "/error.log");
}

T_NO_OOM(nginx_that_starts_later_is_found)
{
    NGINX(n);
    nginx_end(nginx_pid(&n, "nginx.pid"), SIGTERM);
    OTR_CLEANUP(world_deinit) world w;
    REQUIRE(world_init(&w, "/proc", n.conf));
    otr_inventory_start(w.inventory);
    REQUIRE(reach(&w, &w.surveys, 2));
    CHECK_INT(w.started, 0);
    REQUIRE(nginx_run(&n, nginx_binary));
    CHECK(reach(&w, &w.started, 1));
}

T_NO_OOM(death_is_noticed_without_waiting_for_a_rescan)
{
    NGINX(n);
    OTR_CLEANUP(world_deinit) world w;
    REQUIRE(world_init(&w, "/proc", n.conf));
    otr_inventory_settings slow = { .rescan_ms = 3600000, .status_url = "" };
    REQUIRE(otr_inventory_configure(w.inventory, &slow, NULL) == OTR_OK);
    otr_inventory_start(w.inventory);
    REQUIRE(reach(&w, &w.surveys, 9)); /* the quick ones at the start are over */
    REQUIRE(w.started == 1);
    unsigned surveys = w.surveys;
    nginx_crash(nginx_pid(&n, "nginx.pid"));
    n.running = false;
    REQUIRE(reach(&w, &w.surveys, surveys + 1));
    CHECK_INT(w.stopped, 1);
    unlink(tree_path(&n.t, "n.sock"));
    REQUIRE(nginx_run(&n, nginx_binary));
    n.running = true;
    CHECK(reach(&w, &w.started, 2)); /* nor is its successor */
}

T_NO_OOM(restart_is_a_stop_and_a_start_under_the_same_id)
{
    NGINX(n);
    OTR_CLEANUP(world_deinit) world w;
    REQUIRE(world_init(&w, "/proc", n.conf));
    otr_inventory_start(w.inventory);
    REQUIRE(reach(&w, &w.started, 1));
    char id[OTR_NGINX_ID_BYTES];
    memcpy(id, w.id, sizeof(id));
    nginx_end(nginx_pid(&n, "nginx.pid"), SIGTERM);
    REQUIRE(nginx_run(&n, nginx_binary));
    REQUIRE(reach(&w, &w.started, 2));
    CHECK_INT(w.stopped, 1);
    CHECK_STR(w.id, id);
}

T_NO_OOM(reload_is_a_change_and_its_configuration_is_read)
{
    NGINX(n);
    OTR_CLEANUP(world_deinit) world w;
    REQUIRE(world_init(&w, "/proc", n.conf));
    otr_inventory_start(w.inventory);
    REQUIRE(reach(&w, &w.started, 1));
    char more[256];
    snprintf(more, sizeof(more), "server { listen unix:%s/0.sock; location = /s { stub_status; } }",
             n.t.dir);
    REQUIRE(nginx_configure(&n, more));
    unsigned before = w.changed;
    kill(nginx_pid(&n, "nginx.pid"), SIGHUP);
    REQUIRE(reach(&w, &w.changed, before + 1));
    CHECK_INT(w.stopped, 0);
    CHECK_INT(w.started, 1);
}

T_NO_OOM(upgrade_in_place_continues_the_instance)
{
    NGINX(n);
    OTR_CLEANUP(world_deinit) world w;
    REQUIRE(world_init(&w, "/proc", n.conf));
    otr_inventory_start(w.inventory);
    REQUIRE(reach(&w, &w.started, 1));
    char id[OTR_NGINX_ID_BYTES];
    memcpy(id, w.id, sizeof(id));
    pid_t old = w.pid;
    kill(old, SIGUSR2);
    REQUIRE(nginx_pid(&n, "nginx.pid.oldbin") == old);
    pid_t fresh = nginx_pid(&n, "nginx.pid");
    REQUIRE(fresh > 0 && fresh != old);
    REQUIRE(reach_pid(&w, fresh));
    kill(old, SIGWINCH);
    nginx_end(old, SIGQUIT);
    unsigned surveys = w.surveys;
    REQUIRE(reach(&w, &w.surveys, surveys + 3));
    CHECK_INT(w.pid, fresh);
    CHECK_STR(w.id, id);
    CHECK_INT(w.started, 1);
    CHECK_INT(w.stopped, 0);
}

T_NO_OOM(two_instances_are_two)
{
    NGINX(a);
    OTR_CLEANUP(nginx_deinit) real_nginx b;
    REQUIRE(nginx_start(&b));
    OTR_CLEANUP(world_deinit) world wa, wb;
    REQUIRE(world_init(&wa, "/proc", a.conf));
    REQUIRE(world_init(&wb, "/proc", b.conf));
    otr_inventory_start(wa.inventory);
    otr_inventory_start(wb.inventory);
    REQUIRE(reach(&wa, &wa.started, 1));
    REQUIRE(reach(&wb, &wb.started, 1));
    CHECK(strcmp(wa.id, wb.id) != 0);
    nginx_end(nginx_pid(&b, "nginx.pid"), SIGTERM);
    CHECK(reach(&wb, &wb.stopped, 1));
    CHECK_INT(wa.stopped, 0);
}
