#include "base/limits.h"
#include "nginx/instance/discovery.h"
#include "unit/nginx/instance/fake_proc.h"

static void discovery_freep(otr_discovery **slot)
{
    otr_discovery_free(*slot);
}

/* Executables of this host: an NGINX, another program. */
static char nginx_exe[192], other_exe[192];

static bool host_init(tree *t)
{
    if (!fake_tree_init(t)) {
        return false;
    }
    fake_self(t);
    snprintf(nginx_exe, sizeof(nginx_exe), "%s/bin/nginx", t->dir);
    snprintf(other_exe, sizeof(other_exe), "%s/bin/other", t->dir);
    return fake_program(t, "bin/nginx", "nginx version: nginx/1.25.3\n") &&
           fake_program(t, "bin/other", NULL);
}

#define FAKE(t, d)                                        \
    OTR_CLEANUP(tree_deinit) tree t;                      \
    REQUIRE(host_init(&(t)));                             \
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
                           .exe = nginx_exe,
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
                           .exe = nginx_exe,
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
    helper.exe = other_exe;
    fake_add(&t, &helper);
    helper = master(11, 1, "");
    helper.title = "nginx: helper process";
    fake_add(&t, &helper);
    helper = master(12, 1, "");
    helper.comm = "vi";
    helper.exe = other_exe;
    helper.title = "vi nginx: master process";
    fake_add(&t, &helper);
    helper = master(13, 1, "");
    helper.comm = "python3"; /* whose executable may not be read, and which is named otherwise */
    helper.exe = NULL;
    fake_add(&t, &helper);
    const otr_master *m;
    CHECK_INT(scan(d, &m), 0);
}

T(nginx_is_known_by_its_executable_whatever_it_is_called)
{
    FAKE(t, d);
    char odd[192];
    snprintf(odd, sizeof(odd), "%s/bin/my-very-own-web-server", t.dir);
    REQUIRE(fake_program(&t, "bin/my-very-own-web-server", "Angie version: Angie/1.7.0\n"));
    fake_process p = master(10, 1, "");
    p.comm = "my-very-own-web";
    p.exe = odd;
    p.title = "angie: master process v1.7.0 #1 [angie -c /a.conf]";
    fake_add(&t, &p);
    p = master(11, 2, "");
    p.comm = "web"; /* by a link of that name */
    p.title = "httpd: master process web -c /b.conf";
    fake_add(&t, &p);
    const otr_master *m;
    REQUIRE(scan(d, &m) == 2);
    CHECK_STR(m[0].binary, odd);
    CHECK_STR(m[0].config_arg, "/a.conf");
    CHECK_STR(m[1].config_arg, "/b.conf");
    const otr_binary *b = otr_discovery_binary(d, &m[0]);
    REQUIRE(b != NULL);
    CHECK_STR(b->maker, "angie");
    CHECK_STR(b->version, "1.7.0");
}

T(process_without_a_master_is_found_and_its_commands_are_not)
{
    FAKE(t, d);
    fake_process p = master(10, 1, "");
    p.title = "/usr/sbin/nginx -c /s.conf -g daemon off; master_process off;";
    fake_add(&t, &p);
    p = master(11, 2, "");
    p.title = "/usr/sbin/nginx -t -c /s.conf";
    fake_add(&t, &p);
    p = master(12, 3, "");
    p.title = "/usr/sbin/nginx -s reload";
    fake_add(&t, &p);
    p = master(13, 4, "");
    p.ppid = 10; /* just forked */
    p.title = "/usr/sbin/nginx -c /s.conf";
    fake_add(&t, &p);
    const otr_master *m;
    REQUIRE(scan(d, &m) == 1);
    CHECK_INT(m->pid, 10);
    CHECK(m->untitled);
    CHECK_STR(m->config_arg, "/s.conf");
    p = master(10, 1, ""); /* it only took its time for its title */
    fake_add(&t, &p);
    REQUIRE(scan(d, &m) == 1);
    CHECK(!m->untitled);
}

T(master_of_a_cut_title_has_its_workers)
{
    FAKE(t, d);
    fake_process p = master(10, 1, "11 ");
    p.title = "nginx: ma";
    fake_add(&t, &p);
    p = worker(11, 10);
    p.title = "nginx: wo";
    fake_add(&t, &p);
    const otr_master *m;
    REQUIRE(scan(d, &m) == 1);
    CHECK_INT(m->pid, 10);
    CHECK_INT(m->n_workers, 1);
}

T(executable_that_may_not_be_read_is_unknown)
{
    FAKE(t, d);
    fake_process p = master(10, 1, "");
    p.exe = NULL;
    p.root = "";
    p.no_ns = true;
    p.cwd = NULL;
    fake_add(&t, &p);
    const otr_master *m;
    REQUIRE(scan(d, &m) == 1);
    CHECK(!m->exe_known && !m->root_known && !m->cwd_known);
    CHECK_INT(m->net_ns, 0);
    CHECK(m->root[0] != '\0'); /* not ours */
    CHECK(otr_discovery_binary(d, m) == NULL);
}

T(owner_root_and_namespaces_are_told)
{
    FAKE(t, d);
    fake_process p = master(10, 1, "");
    fake_add(&t, &p);
    p = master(11, 2, "");
    p.uid = 65534;
    p.ns = 7;
    fake_add(&t, &p);
    p = master(12, 3, "");
    p.root = t.dir;
    fake_add(&t, &p);
    const otr_master *m;
    REQUIRE(scan(d, &m) == 3);
    CHECK(!m[0].stranger);
    CHECK_INT(m[0].net_ns, otr_discovery_own(d)->net_ns);
    CHECK_STR(m[0].root, "");
    CHECK(m[1].stranger);
    CHECK_INT(m[1].uid, 65534);
    CHECK_INT(m[1].net_ns, 7);
    CHECK_HAS(m[1].root, "/11/root"); /* other mounts */
    CHECK_HAS(m[2].root, "/12/root");
}

T(program_that_runs_for_another_user_counts_as_that_users)
{
    FAKE(t, d);
    fake_process p = master(10, 1, "");
    fake_add(&t, &p);
    CHECK(
        tree_write(&t, "10/status", "Uid:\t1000\t0\t0\t0\nGid:\t1000\t0\t0\t0\nGroups:\t4 27 \n"));
    const otr_master *m;
    REQUIRE(scan(d, &m) == 1);
    CHECK_INT(m->uid, geteuid() == 1000 ? 0 : 1000);
    CHECK_INT(m->n_groups, 2);
    CHECK_INT(m->groups[1], 27);
}

T(executable_that_a_user_serves_is_not_read)
{
    FAKE(t, d);
    fake_process p = master(10, 1, "");
    p.uid = 65534;
    fake_add(&t, &p);
    char line[256], path[64], mounts[4096] = "";
    FILE *exe = fopen(nginx_exe, "r");
    REQUIRE(exe != NULL);
    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fileno(exe));
    FILE *info = fopen(path, "r");
    while (info != NULL && fgets(line, sizeof(line), info) != NULL) {
        unsigned id;
        if (sscanf(line, "mnt_id: %u", &id) == 1) {
            snprintf(mounts, sizeof(mounts), "%u 1 0:1 / /home rw - fuse.slow slow rw\n", id);
        }
    }
    fclose(exe);
    REQUIRE(info != NULL);
    fclose(info);
    CHECK(tree_write(&t, "10/mountinfo", mounts));
    const otr_master *m;
    REQUIRE(scan(d, &m) == 1); /* by its names, and nothing is known of it */
    CHECK(!m->exe_known);
    CHECK(otr_discovery_binary(d, m) == NULL);
}

T(master_that_execs_or_changes_its_user_is_looked_at_anew)
{
    FAKE(t, d);
    fake_process p = master(10, 1, "");
    fake_add(&t, &p);
    const otr_master *m;
    REQUIRE(scan(d, &m) == 1);
    p.uid = 65534;
    fake_add(&t, &p);
    REQUIRE(scan(d, &m) == 1);
    CHECK_INT(m->uid, 65534);
    p.exe = other_exe;
    fake_add(&t, &p);
    CHECK_INT(scan(d, &m), 0);
}

T_NO_OOM(strangers_leave_room_for_others)
{
    FAKE(t, d);
    enum { MANY = OTR_LIMIT_NGINX_STRANGERS + 5 };
    for (int i = 0; i < MANY; i++) {
        fake_process p = master(100 + i, 1 + (unsigned)i, "");
        p.uid = 65534;
        fake_add(&t, &p);
    }
    fake_process p = master(10, 999, "");
    fake_add(&t, &p);
    const otr_master *m;
    CHECK_INT(scan(d, &m), OTR_LIMIT_NGINX_STRANGERS + 1);
    CHECK_INT(otr_discovery_missing(d), 5);
    fake_remove(&t, 100);
    CHECK_INT(scan(d, &m), OTR_LIMIT_NGINX_STRANGERS + 1);
    CHECK_INT(otr_discovery_missing(d), 4);
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
    CHECK_STR(m->binary, nginx_exe);
    CHECK_INT(m->n_workers, 2);
    CHECK(!m->replaced && !m->untitled);
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

T(deleted_executable_is_marked_and_its_path_cleaned)
{
    FAKE(t, d);
    fake_process p = master(10, 1, "");
    fake_add(&t, &p);
    const otr_master *m;
    REQUIRE(scan(d, &m) == 1);
    CHECK(!m->replaced);
    char deleted[224]; /* a package upgrade: the kernel still has the file, this folder a link */
    snprintf(deleted, sizeof(deleted), "%s (deleted)", nginx_exe);
    CHECK(link(nginx_exe, deleted) == 0);
    fake_link(&t, 10, "exe", deleted);
    REQUIRE(scan(d, &m) == 1);
    CHECK(m->replaced);
    CHECK_STR(m->binary, nginx_exe);
}

T(master_that_ended_is_gone_though_nobody_waits_for_it)
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
    for (int i = 0; i < 20; i++) {
        CHECK_INT(scan(d, &m), 0);
    }
    p = master(12, 1, ""); /* one that is about to end still shows its title */
    p.state = 'Z';
    fake_add(&t, &p);
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
    p.exe = other_exe;
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
    check_title("angie: master process v1.4.0 #12 [/usr/sbin/angie -c /a.conf]", "/usr/sbin/angie",
                "", "/a.conf", "");
    check_title("/opt/web -p /srv/a -c n.conf", "/opt/web", "/srv/a", "n.conf", "");
    check_title("nginx: master process", "", "", "", "");
    check_title("", "", "", "", "");
}

T(titles_are_told_apart)
{
    CHECK_INT(otr_title_kind("nginx: master process nginx"), OTR_TITLE_MASTER);
    CHECK_INT(otr_title_kind("nginx: master process"), OTR_TITLE_MASTER);
    CHECK_INT(otr_title_kind("angie: worker process #2"), OTR_TITLE_WORKER);
    CHECK_INT(otr_title_kind("nginx: worker process is shutting down"), OTR_TITLE_WORKER);
    CHECK_INT(otr_title_kind("nginx: cache manager process"), OTR_TITLE_HELPER);
    CHECK_INT(otr_title_kind("nginx: privileged agent process"), OTR_TITLE_HELPER);
    CHECK_INT(otr_title_kind("nginx: master proc"), OTR_TITLE_NONE);
    CHECK_INT(otr_title_kind("nginx: master processes"), OTR_TITLE_HELPER);
    CHECK_INT(otr_title_kind("vi nginx: master process"), OTR_TITLE_NONE);
    CHECK_INT(otr_title_kind(": master process"), OTR_TITLE_NONE);
    CHECK_INT(otr_title_kind(""), OTR_TITLE_NONE);
    CHECK_STR(otr_title_inside("/lib64/ld.so nginx: master process nginx"),
              "nginx: master process nginx");
    CHECK_STR(otr_title_inside("sh -c x"), "sh -c x");
}
