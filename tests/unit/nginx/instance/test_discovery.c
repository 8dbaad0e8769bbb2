#include "nginx/instance/discovery.h"
#include "unit/nginx/instance/fake_proc.h"

static void discovery_freep(otr_discovery **slot)
{
    otr_discovery_free(*slot);
}

#define FAKE(t, d)                                        \
    OTR_CLEANUP(tree_deinit) tree t;                      \
    REQUIRE(tree_init(&(t)));                             \
    OTR_CLEANUP(discovery_freep) otr_discovery *d = NULL; \
    REQUIRE(otr_discovery_new((t).dir, &(d), NULL) == OTR_OK)

/* Scans and returns how many masters there are; -1 after an error. */
static int scan(otr_discovery *d, const otr_master **ret)
{
    otr_err err;
    if (!otr_test_check(otr_discovery_scan(d, &err) == OTR_OK, __FILE__, __LINE__, "scan")) {
        return -1;
    }
    size_t n;
    *ret = otr_discovery_masters(d, &n);
    return (int)n;
}

static fake_process master(int pid, unsigned ticks, const char *children)
{
    return (fake_process){ .pid = pid,
                           .ppid = 1,
                           .ticks = ticks,
                           .comm = "nginx",
                           .title = "nginx: master process /usr/sbin/nginx -g daemon on;",
                           .exe = "/usr/sbin/nginx",
                           .cwd = "/",
                           .children = children };
}

static fake_process worker(int pid, int ppid)
{
    return (fake_process){ .pid = pid,
                           .ppid = ppid,
                           .ticks = 200,
                           .comm = "nginx",
                           .title = "nginx: worker process",
                           .exe = "/usr/sbin/nginx",
                           .cwd = "/",
                           .children = "" };
}

T(folder_that_is_not_there_is_an_error)
{
    OTR_CLEANUP(discovery_freep) otr_discovery *d = NULL;
    REQUIRE(otr_discovery_new("/nonexistent/proc", &d, NULL) == OTR_OK);
    otr_err err;
    CHECK_INT(otr_discovery_scan(d, &err), OTR_ENOTFOUND);
    CHECK_HAS(err.msg, "/nonexistent/proc");
}

T(processes_that_only_call_themselves_nginx_are_not_taken)
{
    FAKE(t, d);
    fake_process helper = master(10, 1, "");
    helper.exe = "/opt/monitor/lib/watchdog"; /* another executable under the name */
    fake_add(&t, &helper);
    helper = master(11, 1, "");
    helper.comm = "nginx:"; /* named itself so */
    fake_add(&t, &helper);
    helper = master(12, 1, "");
    helper.title = "nginx: helper process";
    fake_add(&t, &helper);
    helper = master(13, 1, "");
    helper.comm = "vi";
    helper.exe = "/usr/bin/vi";
    helper.title = "vi nginx: master process";
    fake_add(&t, &helper);
    helper = master(14, 1, "");
    helper.title = "nginx: master process /usr/sbin/nginx";
    helper.comm = "python3";
    helper.exe = "/usr/bin/python3.11";
    fake_add(&t, &helper);
    const otr_master *m;
    CHECK_INT(scan(d, &m), 0);
}

T(process_that_vanishes_while_it_is_looked_at_is_no_error)
{
    FAKE(t, d);
    fake_process p = master(10, 1, "");
    fake_add(&t, &p);
    unlink(tree_path(&t, "10/stat"));
    CHECK(tree_write(&t, "11/comm", "x"));
    CHECK(tree_write(&t, "self/comm", "x"));
    const otr_master *m;
    CHECK_INT(scan(d, &m), 0);
}

T(malformed_stat_is_no_process)
{
    FAKE(t, d);
    fake_process p = master(10, 1, "");
    fake_add(&t, &p);
    static const char *const stats[] = { "",
                                         "10",
                                         "10 (nginx",
                                         "10 (nginx)",
                                         "10 (nginx) S",
                                         "10 (nginx) S x y z",
                                         "10 (nginx) S 1 2 3" };
    for (size_t i = 0; i < OTR_COUNT(stats); i++) {
        CHECK(tree_write(&t, "10/stat", stats[i]));
        const otr_master *m;
        CHECK_INT(scan(d, &m), 0);
    }
}

T(master_and_its_workers_are_found)
{
    FAKE(t, d);
    fake_process p[] = { master(10, 100, "11 12 13 "), worker(11, 10), worker(12, 10),
                         worker(13, 10) };
    p[3].title = "nginx: cache manager process";
    for (size_t i = 0; i < OTR_COUNT(p); i++) {
        fake_add(&t, &p[i]);
    }
    const otr_master *m;
    REQUIRE(scan(d, &m) == 1);
    CHECK_INT(m->pid, 10);
    CHECK_INT(m->started_ticks, 100);
    CHECK_STR(m->binary, "/usr/sbin/nginx");
    CHECK_INT(m->n_workers, 2);
    CHECK(!m->zombie && !m->replaced);
    CHECK_STR(m->config_arg, "");
}

T(workers_are_found_by_their_parent_where_children_are_not_told)
{
    FAKE(t, d);
    fake_process p[] = { master(10, 100, NULL), worker(11, 10), worker(12, 10), worker(13, 1) };
    for (size_t i = 0; i < OTR_COUNT(p); i++) {
        fake_add(&t, &p[i]);
    }
    const otr_master *m;
    REQUIRE(scan(d, &m) == 1);
    CHECK_INT(m->n_workers, 2);
    fake_remove(&t, 12);
    REQUIRE(scan(d, &m) == 1);
    CHECK_INT(m->n_workers, 1);
}

T(debug_and_renamed_executables_are_nginx_too)
{
    FAKE(t, d);
    fake_process p = master(10, 1, "");
    p.comm = "nginx-debug";
    p.exe = "/usr/sbin/nginx-debug";
    fake_add(&t, &p);
    p = master(11, 2, "");
    p.comm = "my-very-own-ngi"; /* cut to 15 bytes by the kernel */
    p.exe = "/opt/my-very-own-nginx";
    fake_add(&t, &p);
    p = master(12, 3, "");
    p.exe = NULL; /* not ours to read */
    fake_add(&t, &p);
    const otr_master *m;
    REQUIRE(scan(d, &m) == 3);
    CHECK_STR(m[1].binary, "/opt/my-very-own-nginx");
    CHECK_STR(m[2].binary, "/usr/sbin/nginx");
}

T(deleted_executable_is_marked_and_its_path_cleaned)
{
    FAKE(t, d);
    fake_process p = master(10, 1, "");
    fake_add(&t, &p);
    const otr_master *m;
    REQUIRE(scan(d, &m) == 1);
    CHECK(!m->replaced);
    fake_link(&t, 10, "exe", "/usr/sbin/nginx (deleted)"); /* a package upgrade */
    REQUIRE(scan(d, &m) == 1);
    CHECK(m->replaced);
    CHECK_STR(m->binary, "/usr/sbin/nginx");
}

T(zombie_is_kept_without_workers_until_it_is_reaped)
{
    FAKE(t, d);
    fake_process p = master(10, 1, "11 "), w = worker(11, 10);
    fake_add(&t, &p);
    fake_add(&t, &w);
    const otr_master *m;
    REQUIRE(scan(d, &m) == 1);
    p.state = 'Z';
    p.title = "";
    p.exe = NULL;
    fake_add(&t, &p);
    REQUIRE(scan(d, &m) == 1);
    CHECK(m->zombie);
    CHECK_INT(m->n_workers, 0);
    fake_remove(&t, 10);
    CHECK_INT(scan(d, &m), 0);
}

T(pid_that_was_used_again_is_another_master)
{
    FAKE(t, d);
    fake_process p = master(10, 1, "");
    fake_add(&t, &p);
    const otr_master *m;
    REQUIRE(scan(d, &m) == 1);
    p.ticks = 77;
    p.title = "nginx: master process nginx -c /b.conf";
    fake_add(&t, &p);
    REQUIRE(scan(d, &m) == 1);
    CHECK_INT(m->started_ticks, 77);
    CHECK_STR(m->config_arg, "/b.conf");
}

T(shell_that_becomes_nginx_by_exec_is_found)
{
    FAKE(t, d);
    fake_process p = master(10, 1, "");
    p.comm = "sh";
    p.title = "sh entrypoint.sh";
    p.exe = "/bin/sh";
    fake_add(&t, &p);
    const otr_master *m;
    for (int i = 0; i < 20; i++) { /* long enough to be looked at only now and then */
        CHECK_INT(scan(d, &m), 0);
    }
    p = master(10, 1, "");
    fake_add(&t, &p);
    int scans = 1;
    while (scan(d, &m) == 0 && scans < 100) {
        scans++;
    }
    CHECK(scans <= 12);
}

T(steady_state_opens_hardly_any_process)
{
    FAKE(t, d);
    for (int pid = 100; pid < 160; pid++) {
        fake_process p = { .pid = pid, .ppid = 1, .comm = "x", .title = "x", .exe = "/bin/x" };
        fake_add(&t, &p);
    }
    const otr_master *m;
    for (int i = 0; i < 24; i++) {
        CHECK_INT(scan(d, &m), 0);
    }
    uint64_t before = otr_discovery_get_stats(d).looked;
    for (int i = 0; i < 12; i++) {
        CHECK_INT(scan(d, &m), 0);
    }
    CHECK_INT(otr_discovery_get_stats(d).looked - before, 60); /* each once in twelve scans */
}

static void check_title(const char *title, const char *argv0, const char *p, const char *c,
                        const char *e)
{
    otr_master m = { 0 };
    char *name = NULL;
    otr_err err;
    if (otr_test_check(otr_master_parse_title(title, &m, &name, &err) == OTR_OK, __FILE__, __LINE__,
                       title)) {
        CHECK_STR(name, argv0);
        CHECK_STR(m.prefix_arg, p);
        CHECK_STR(m.config_arg, c);
        CHECK_STR(m.error_log_arg, e);
    }
    otr_free(name);
    otr_master_deinit(&m);
}

T(options_are_read_from_the_title)
{
    check_title("nginx: master process nginx", "nginx", "", "", "");
    check_title("nginx: master process /usr/sbin/nginx -c /etc/nginx/nginx.conf", "/usr/sbin/nginx",
                "", "/etc/nginx/nginx.conf", "");
    check_title("nginx: master process nginx -p /srv/a -c conf/n.conf -e stderr", "nginx", "/srv/a",
                "conf/n.conf", "stderr");
    check_title("nginx: master process nginx -g daemon off; -c /x.conf", "nginx", "", "/x.conf",
                "");
    check_title("nginx: master process nginx -c /x.conf -g daemon off; pid /run/n-c.pid;", "nginx",
                "", "/x.conf", "");
    check_title("nginx: master process nginx -c/x.conf -p/srv/", "nginx", "/srv/", "/x.conf", "");
    check_title("nginx: master process nginx -qc /x.conf", "nginx", "", "/x.conf", "");
    check_title("nginx: master process nginx -c /srv/my site/nginx.conf -q", "nginx", "",
                "/srv/my site/nginx.conf", "");
    check_title("nginx: master process nginx -c", "nginx", "", "", "");
    check_title("nginx: master process", "", "", "", "");
    check_title("", "", "", "", "");
}
