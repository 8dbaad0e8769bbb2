#include "base/limits.h"
#include "nginx/instance/binary.h"
#include "nginx/instance/id.h"
#include "nginx/instance/survey.h"
#include "unit/nginx/instance/fake_proc.h"

/* A host with its own /proc and one executable that is no program but holds the texts. */
typedef struct host {
    tree t;
    char exe[192], conf[192];
    otr_survey *survey;
} host;

static void host_deinit(host *h)
{
    otr_survey_free(h->survey);
    tree_deinit(&h->t);
}

static bool host_init(host *h, const char *exe_text)
{
    memset(h, 0, sizeof(*h));
    if (!fake_tree_init(&h->t)) {
        return false;
    }
    snprintf(h->exe, sizeof(h->exe), "%s/bin/nginx", h->t.dir);
    snprintf(h->conf, sizeof(h->conf), "%s/etc/nginx.conf", h->t.dir);
    fake_self(&h->t);
    bool ok = fake_program(&h->t, "bin/nginx", exe_text) &&
              tree_write(&h->t, "etc/nginx.conf",
                         "error_log /var/e.log; http { access_log off; server { listen 81; "
                         "location = /s { stub_status; } } }");
    return ok && otr_survey_new(h->t.dir, &h->survey, NULL) == OTR_OK;
}

#define HOST(h, text)                \
    OTR_CLEANUP(host_deinit) host h; \
    REQUIRE(host_init(&(h), text))

static const char program[] =
    "#!/bin/false ................................................................\n"
    "nginx version: nginx/1.25.3\n"
    "configure arguments: --with-cc-opt='-g -O2' --prefix=/usr/share/nginx "
    "--conf-path=etc/nginx.conf --error-log-path=stderr --http-log-path=/var/log/a.log\n"
    "................................................................................\n";

static void add_master(host *h, int pid, int ppid, unsigned ticks, const char *args,
                       const char *children)
{
    char title[512];
    snprintf(title, sizeof(title), "nginx: master process nginx %s", args);
    fake_process p = { .pid = pid,
                       .ppid = ppid,
                       .ticks = ticks,
                       .comm = "nginx",
                       .title = title,
                       .exe = h->exe,
                       .cwd = h->t.dir,
                       .children = children };
    fake_add(&h->t, &p);
}

static void add_worker(host *h, int pid, int ppid)
{
    fake_process p = { .pid = pid,
                       .ppid = ppid,
                       .ticks = 4000000000U,
                       .comm = "nginx",
                       .title = "nginx: worker process",
                       .exe = h->exe,
                       .cwd = "/",
                       .children = "" };
    fake_add(&h->t, &p);
}

/* "-c <conf>" */
static const char *with_conf(host *h)
{
    static char args[256];
    snprintf(args, sizeof(args), "-c %s", h->conf);
    return args;
}

static size_t run(host *h, const otr_found **ret)
{
    otr_err err = { 0 };
    size_t n = 0;
    if (!otr_test_check(otr_survey_run(h->survey, &err) == OTR_OK, __FILE__, __LINE__, err.msg)) {
        return 999;
    }
    *ret = otr_survey_found(h->survey, &n);
    return n;
}

T(broken_configuration_is_told_and_the_instance_stays)
{
    HOST(h, program);
    CHECK(tree_write(&h.t, "etc/nginx.conf", "http {\n server {\n"));
    add_master(&h, 10, 1, 1, with_conf(&h), "11 ");
    add_worker(&h, 11, 10);
    const otr_found *f;
    REQUIRE(run(&h, &f) == 1);
    CHECK_HAS(f->instance->config_error, "/etc/nginx.conf:3: unexpected end of file");
    CHECK_STR(f->instance->stub_status, "");
}

T(executable_without_its_version_leaves_it_unknown_and_says_so)
{
    HOST(h, "");
    add_master(&h, 10, 1, 1, with_conf(&h), "11 ");
    add_worker(&h, 11, 10);
    const otr_found *f;
    REQUIRE(run(&h, &f) == 1);
    CHECK_STR(f->instance->version, "");
    CHECK_STR(f->instance->maker, "");
    CHECK_STR(f->instance->prefix, "/usr/local/nginx");
    REQUIRE(f->instance->n_remarks == 1);
    CHECK_HAS(f->instance->remarks[0], "does not hold its version");
}

/* The instance of `pid`; NULL: none. */
static const otr_nginx_instance *of_pid(const otr_found *f, size_t n, int pid)
{
    for (size_t i = 0; i < n; i++) {
        if (f[i].instance->pid == pid) {
            return f[i].instance;
        }
    }
    return NULL;
}

static fake_process like_root(host *h, int pid, unsigned ticks, const char *title,
                              const char *children)
{
    return (fake_process){ .pid = pid,
                           .ppid = 1,
                           .ticks = ticks,
                           .comm = "nginx",
                           .title = title,
                           .exe = h->exe,
                           .cwd = h->t.dir,
                           .children = children };
}

T(instance_of_another_user_is_another_one_with_an_id_of_its_own)
{
    HOST(h, program);
    char title[512];
    snprintf(title, sizeof(title), "nginx: master process nginx %s", with_conf(&h));
    fake_process other = like_root(&h, 10, 1, title, "11 ");
    other.uid = 65534;
    fake_add(&h.t, &other); /* first, and alone */
    add_worker(&h, 11, 10);
    const otr_found *f;
    REQUIRE(run(&h, &f) == 1);
    CHECK(f->instance->stranger);
    CHECK_INT(f->instance->uid, 65534);
    char strange[OTR_NGINX_ID_BYTES], id[OTR_NGINX_ID_BYTES];
    memcpy(strange, f->instance->id, sizeof(strange));
    add_master(&h, 20, 1, 2, with_conf(&h), "21 ");
    add_worker(&h, 21, 20);
    REQUIRE(run(&h, &f) == 2);
    REQUIRE(of_pid(f, 2, 20) != NULL && of_pid(f, 2, 10) != NULL);
    CHECK_STR(of_pid(f, 2, 10)->id, strange);
    REQUIRE(otr_nginx_instance_id(h.exe, h.conf, "/usr/share/nginx", id, NULL) == OTR_OK);
    CHECK_STR(of_pid(f, 2, 20)->id, id); /* NGINX Agent's */
    CHECK(strcmp(strange, id) != 0);
    otr_survey_set_strangers(h.survey, OTR_STRANGERS_IGNORE);
    REQUIRE(run(&h, &f) == 1);
    CHECK_INT(f->instance->pid, 20);
    CHECK_INT(otr_survey_get_lack(h.survey).hidden, 1);
}

T(child_of_another_user_is_no_upgrade)
{
    HOST(h, program);
    char title[512];
    snprintf(title, sizeof(title), "nginx: master process nginx %s", with_conf(&h));
    add_master(&h, 10, 1, 1, with_conf(&h), "11 20 ");
    add_worker(&h, 11, 10);
    fake_process other = like_root(&h, 20, 2, title, "21 ");
    other.uid = 65534;
    other.ppid = 10;
    fake_add(&h.t, &other);
    add_worker(&h, 21, 20);
    const otr_found *f;
    REQUIRE(run(&h, &f) == 2);
    CHECK_INT(f[0].instance->pid, 10);
}

T(upgrade_whose_old_master_went_unseen_goes_on_by_its_session)
{
    HOST(h, program);
    char title[512];
    snprintf(title, sizeof(title), "nginx: master process nginx %s", with_conf(&h));
    fake_process p = like_root(&h, 10, 1, title, "11 ");
    p.session = 10;
    fake_add(&h.t, &p);
    add_worker(&h, 11, 10);
    const otr_found *f;
    REQUIRE(run(&h, &f) == 1);
    char id[OTR_NGINX_ID_BYTES];
    memcpy(id, f->instance->id, sizeof(id));
    p = like_root(&h, 20, 2, title, "21 ");
    p.session = 10; /* left to init meanwhile */
    fake_add(&h.t, &p);
    add_worker(&h, 21, 20);
    REQUIRE(run(&h, &f) == 1); /* the old one may still be there */
    CHECK_INT(f->instance->pid, 20);
    fake_remove(&h.t, 10);
    REQUIRE(run(&h, &f) == 1);
    CHECK(f->same_life);
    CHECK_STR(f->instance->id, id);
    p = like_root(&h, 30, 3, title, "31 ");
    p.session = 10; /* and the next one, just as quick */
    fake_remove(&h.t, 20);
    fake_add(&h.t, &p);
    add_worker(&h, 31, 30);
    REQUIRE(run(&h, &f) == 1);
    CHECK(f->same_life);
    CHECK_STR(f->instance->id, id);
    fake_remove(&h.t, 30);
    p = like_root(&h, 40, 4, title, "41 "); /* a session of its own: a restart */
    p.session = 40;
    fake_add(&h.t, &p);
    add_worker(&h, 41, 40);
    REQUIRE(run(&h, &f) == 1);
    CHECK(!f->same_life);
}

T(one_command_given_twice_is_two_instances)
{
    HOST(h, program);
    add_master(&h, 10, 1, 1, with_conf(&h), "11 ");
    add_worker(&h, 11, 10);
    const otr_found *f;
    REQUIRE(run(&h, &f) == 1);
    char id[OTR_NGINX_ID_BYTES], second[OTR_NGINX_ID_BYTES];
    memcpy(id, f->instance->id, sizeof(id));
    add_master(&h, 20, 1, 2, with_conf(&h), "21 ");
    add_worker(&h, 21, 20);
    REQUIRE(run(&h, &f) == 2);
    CHECK_STR(of_pid(f, 2, 10)->id, id);
    CHECK(strcmp(of_pid(f, 2, 20)->id, id) != 0);
    memcpy(second, of_pid(f, 2, 20)->id, sizeof(second));
    fake_remove(&h.t, 10); /* the other goes on under its own */
    REQUIRE(run(&h, &f) == 1);
    CHECK_STR(f->instance->id, second);
}

T(other_namespaces_and_roots_are_other_instances)
{
    HOST(h, program);
    char title[512];
    snprintf(title, sizeof(title), "nginx: master process nginx %s", with_conf(&h));
    fake_process p = like_root(&h, 10, 1, title, "11 ");
    fake_add(&h.t, &p);
    add_worker(&h, 11, 10);
    p = like_root(&h, 20, 2, title, "21 ");
    p.ns = 77;
    p.ppid = 10; /* as an upgrade would be */
    fake_add(&h.t, &p);
    add_worker(&h, 21, 20);
    const otr_found *f;
    REQUIRE(run(&h, &f) == 2);
    CHECK(of_pid(f, 2, 10)->own_net);
    CHECK(!of_pid(f, 2, 20)->own_net);
    CHECK_INT(of_pid(f, 2, 20)->net_ns, 77);
    CHECK(strcmp(f[0].instance->id, f[1].instance->id) != 0);
}

T(files_of_an_unknown_root_are_not_read)
{
    HOST(h, program);
    char title[512];
    snprintf(title, sizeof(title), "nginx: master process nginx %s", with_conf(&h));
    fake_process p = like_root(&h, 10, 1, title, "11 ");
    p.root = "";
    p.exe = NULL;
    p.no_ns = true;
    fake_add(&h.t, &p);
    add_worker(&h, 11, 10);
    p.pid = 20; /* the same again: nobody knows whether it is in the same place */
    p.ticks = 2;
    p.children = "21 ";
    fake_add(&h.t, &p);
    add_worker(&h, 21, 20);
    const otr_found *f;
    REQUIRE(run(&h, &f) == 2);
    CHECK_STR(f->instance->stub_status, "");
    CHECK_INT(f->instance->n_access_logs, 0);
    CHECK_HAS(f->instance->config_error, "is not known");
    CHECK(!f->instance->own_net);
    REQUIRE(f->instance->n_remarks == 1);
    CHECK_HAS(f->instance->remarks[0], "not open to the agent");
}

T(process_without_a_master_is_an_instance_and_its_own_worker)
{
    HOST(h, program);
    char title[512];
    snprintf(title, sizeof(title), "%s %s", h.exe, with_conf(&h));
    fake_process p = like_root(&h, 10, 1, title, "");
    fake_add(&h.t, &p);
    const otr_found *f;
    REQUIRE(run(&h, &f) == 1);
    REQUIRE(f->instance->n_workers == 1);
    CHECK_INT(f->instance->workers[0], 10);
    CHECK_STR(f->instance->config, h.conf);
    REQUIRE(f->instance->n_remarks == 2); /* and that it is older than its files */
    CHECK_HAS(f->instance->remarks[1], "master_process off");
}

T(hopeless_arguments_of_one_hold_up_nobody_else)
{
    HOST(h, program);
    char title[9000];
    memset(title, 'a', sizeof(title));
    memcpy(title, "nginx: master process nginx -c /", 32);
    title[sizeof(title) - 1] = '\0';
    fake_process p = like_root(&h, 10, 1, title, "11 ");
    fake_add(&h.t, &p);
    add_worker(&h, 11, 10);
    add_master(&h, 20, 1, 2, with_conf(&h), "21 ");
    add_worker(&h, 21, 20);
    const otr_found *f;
    REQUIRE(run(&h, &f) == 1);
    CHECK_INT(f->instance->pid, 20);
}

T(process_that_becomes_another_nginx_is_another_life)
{
    HOST(h, program);
    char other[192];
    snprintf(other, sizeof(other), "%s/bin/angie", h.t.dir);
    REQUIRE(fake_program(&h.t, "bin/angie", "Angie version: Angie/1.7.0\n"));
    add_master(&h, 10, 1, 1, with_conf(&h), "11 ");
    add_worker(&h, 11, 10);
    const otr_found *f;
    REQUIRE(run(&h, &f) == 1);
    char title[512];
    snprintf(title, sizeof(title), "angie: master process angie %s", with_conf(&h));
    fake_process p = like_root(&h, 10, 1, title, "11 ");
    p.exe = other;
    fake_add(&h.t, &p);
    REQUIRE(run(&h, &f) == 1);
    CHECK(!f->same_life);
    CHECK_STR(f->instance->maker, "angie");
}

T_NO_OOM(more_instances_than_there_is_room_for_are_counted)
{
    HOST(h, program);
    enum { MANY = OTR_LIMIT_NGINX_INSTANCES + 3 };
    for (int i = 0; i < MANY; i++) {
        char children[16];
        snprintf(children, sizeof(children), "%d ", 10001 + i);
        add_master(&h, 1000 + i, 1, 1 + (unsigned)i, with_conf(&h), children);
        add_worker(&h, 10001 + i, 1000 + i);
    }
    const otr_found *f;
    CHECK_INT(run(&h, &f), OTR_LIMIT_NGINX_INSTANCES);
    CHECK_INT(otr_survey_get_lack(h.survey).missing, 3);
}

T(instance_is_put_together_from_all_sources)
{
    HOST(h, program);
    add_master(&h, 10, 1, 42, with_conf(&h), "12 11 ");
    add_worker(&h, 11, 10);
    add_worker(&h, 12, 10);
    const otr_found *f;
    REQUIRE(run(&h, &f) == 1);
    const otr_nginx_instance *i = f->instance;
    CHECK_INT(i->pid, 10);
    CHECK_INT(i->started_ticks, 42);
    REQUIRE(i->n_workers == 2);
    CHECK_INT(i->workers[0], 11);
    CHECK_STR(i->version, "1.25.3");
    CHECK_STR(i->prefix, "/usr/share/nginx");
    CHECK_STR(i->config, h.conf);
    CHECK_STR(i->binary, h.exe);
    CHECK_STR(i->error_log, "/var/e.log");
    CHECK_STR(i->stub_status, "http://127.0.0.1:81/s");
    CHECK_STR(i->config_error, "");
    CHECK_HAS(i->configure, "--with-cc-opt='-g -O2'");
    CHECK_INT(strlen(i->id), 36);
    CHECK(!f->same_life);
    REQUIRE(run(&h, &f) == 1);
    CHECK(f->same_life);
}

T(relative_paths_resolve_as_nginx_does)
{
    HOST(h, program);
    char expected[256];
    add_master(&h, 10, 1, 1, "-p . -c etc/nginx.conf", "11 ");
    add_worker(&h, 11, 10);
    const otr_found *f;
    REQUIRE(run(&h, &f) == 1);
    CHECK_STR(f->instance->prefix, h.t.dir); /* against the working directory */
    CHECK_STR(f->instance->config, h.conf);  /* against the prefix */
    CHECK_STR(f->instance->config_error, "");
    fake_remove(&h.t, 10);
    add_master(&h, 20, 1, 2, "", "21 ");
    add_worker(&h, 21, 20);
    REQUIRE(run(&h, &f) == 1);
    snprintf(expected, sizeof(expected), "/usr/share/nginx/etc/nginx.conf");
    CHECK_STR(f->instance->config, expected);
}

T(configuration_whose_name_the_title_cuts_is_found_when_it_is_the_only_one)
{
    HOST(h, program);
    CHECK(tree_write(&h.t, "etc/other.conf", ""));
    CHECK(tree_write(&h.t, "etc/nginx.pid", "10"));
    char args[256];
    snprintf(args, sizeof(args), "-c %s/etc/ngi", h.t.dir);
    add_master(&h, 10, 1, 1, args, "11 ");
    add_worker(&h, 11, 10);
    const otr_found *f;
    REQUIRE(run(&h, &f) == 1);
    CHECK_STR(f->instance->config, h.conf);
    snprintf(args, sizeof(args), "-c %s/etc/", h.t.dir); /* both would do */
    fake_remove(&h.t, 10);
    add_master(&h, 20, 1, 2, args, "21 ");
    add_worker(&h, 21, 20);
    REQUIRE(run(&h, &f) == 1);
    CHECK(strcmp(f->instance->config, h.conf) != 0);
    CHECK(f->instance->config_error[0] != '\0');
}

T(two_instances_have_two_ids)
{
    HOST(h, program);
    char args[512];
    add_master(&h, 10, 1, 1, with_conf(&h), "11 ");
    add_worker(&h, 11, 10);
    /* The same configuration under another prefix. */
    snprintf(args, sizeof(args), "-p /srv -c %s", h.conf);
    add_master(&h, 20, 1, 2, args, "21 ");
    add_worker(&h, 21, 20);
    /* The same again, in other words: started alike it would be an upgrade. */
    snprintf(args, sizeof(args), "-p /srv/ -c %s", h.conf);
    add_master(&h, 30, 1, 3, args, "31 ");
    add_worker(&h, 31, 30);
    const otr_found *f;
    REQUIRE(run(&h, &f) == 3);
    CHECK(strcmp(f[0].instance->id, f[1].instance->id) != 0);
    CHECK(strcmp(f[1].instance->id, f[2].instance->id) != 0);
    char second[OTR_NGINX_ID_BYTES];
    memcpy(second, f[1].instance->id, sizeof(second));
    fake_remove(&h.t, 10); /* the first goes: the second keeps its id */
    REQUIRE(run(&h, &f) == 2);
    CHECK_STR(f[0].instance->id, second);
}

T(upgrade_in_place_is_one_instance_with_the_right_master)
{
    HOST(h, program);
    const otr_found *f;
    add_master(&h, 10, 1, 1, with_conf(&h), "11 ");
    add_worker(&h, 11, 10);
    REQUIRE(run(&h, &f) == 1);
    char id[OTR_NGINX_ID_BYTES];
    memcpy(id, f->instance->id, sizeof(id));
    /* USR2: the new master is a child of the old one; it has no workers yet. */
    add_master(&h, 10, 1, 1, with_conf(&h), "11 20 ");
    add_master(&h, 20, 10, 5, with_conf(&h), "");
    REQUIRE(run(&h, &f) == 1);
    CHECK_INT(f->instance->pid, 10);
    CHECK_INT(f->instance->n_workers, 1);
    /* It has workers: it leads. */
    add_master(&h, 20, 10, 5, with_conf(&h), "21 ");
    add_worker(&h, 21, 20);
    REQUIRE(run(&h, &f) == 1);
    CHECK_INT(f->instance->pid, 20);
    CHECK_INT(f->other_pid, 10);
    CHECK(f->same_life);
    CHECK_STR(f->instance->id, id);
    /* QUIT of the old one: the instance goes on. */
    fake_remove(&h.t, 10);
    fake_remove(&h.t, 11);
    add_master(&h, 20, 1, 5, with_conf(&h), "21 ");
    REQUIRE(run(&h, &f) == 1);
    CHECK_INT(f->instance->pid, 20);
    CHECK(f->same_life);
    CHECK_STR(f->instance->id, id);
}

T(worker_that_bears_the_title_of_a_master_for_an_instant_changes_nothing)
{
    HOST(h, program);
    const otr_found *f;
    add_master(&h, 10, 1, 1, with_conf(&h), "11 20 ");
    add_worker(&h, 11, 10);
    add_master(&h, 20, 10, 5, with_conf(&h), "21 22 ");
    add_worker(&h, 21, 20);
    add_master(&h, 22, 20, 6, with_conf(&h), ""); /* just forked */
    REQUIRE(run(&h, &f) == 1);
    CHECK_INT(f->instance->pid, 20);
    char id[OTR_NGINX_ID_BYTES];
    memcpy(id, f->instance->id, sizeof(id));
    add_worker(&h, 22, 20);
    fake_process dead = {
        .pid = 10, .ppid = 1, .ticks = 1, .comm = "nginx", .title = "", .state = 'Z', .children = ""
    };
    fake_add(&h.t, &dead);
    add_master(&h, 20, 1, 5, with_conf(&h), "21 22 ");
    REQUIRE(run(&h, &f) == 1);
    CHECK_INT(f->instance->pid, 20);
    CHECK_INT(f->instance->n_workers, 2);
    CHECK_STR(f->instance->id, id);
}

T(upgrade_that_is_taken_back_returns_to_the_old_master)
{
    HOST(h, program);
    const otr_found *f;
    add_master(&h, 10, 1, 1, with_conf(&h), "11 20 ");
    add_worker(&h, 11, 10);
    add_master(&h, 20, 10, 5, with_conf(&h), "21 ");
    add_worker(&h, 21, 20);
    REQUIRE(run(&h, &f) == 1); /* first seen in the middle of an upgrade */
    CHECK_INT(f->instance->pid, 20);
    fake_remove(&h.t, 20);
    fake_remove(&h.t, 21);
    add_master(&h, 10, 1, 1, with_conf(&h), "11 ");
    REQUIRE(run(&h, &f) == 1);
    CHECK_INT(f->instance->pid, 10);
    CHECK(f->same_life);
}

T(restart_is_another_life_under_the_same_id)
{
    HOST(h, program);
    const otr_found *f;
    add_master(&h, 10, 1, 1, with_conf(&h), "11 ");
    add_worker(&h, 11, 10);
    REQUIRE(run(&h, &f) == 1);
    char id[OTR_NGINX_ID_BYTES];
    memcpy(id, f->instance->id, sizeof(id));
    fake_remove(&h.t, 10);
    add_master(&h, 20, 1, 9, with_conf(&h), "21 ");
    add_worker(&h, 21, 20);
    REQUIRE(run(&h, &f) == 1);
    CHECK_STR(f->instance->id, id);
    CHECK(!f->same_life);
}

T(master_that_ended_has_no_place_and_no_id)
{
    HOST(h, program);
    const otr_found *f;
    add_master(&h, 10, 1, 1, with_conf(&h), "11 ");
    add_worker(&h, 11, 10);
    REQUIRE(run(&h, &f) == 1);
    char id[OTR_NGINX_ID_BYTES];
    memcpy(id, f->instance->id, sizeof(id));
    fake_process dead = {
        .pid = 10, .ppid = 1, .ticks = 1, .comm = "nginx", .title = "", .state = 'Z', .children = ""
    };
    fake_add(&h.t, &dead);
    CHECK_INT(run(&h, &f), 0);
    add_master(&h, 20, 1, 9, with_conf(&h), "21 ");
    add_worker(&h, 21, 20);
    REQUIRE(run(&h, &f) == 1);
    CHECK_INT(f->instance->pid, 20);
    CHECK_STR(f->instance->id, id);
}

T(new_master_without_workers_is_held_back_a_little)
{
    HOST(h, program);
    const otr_found *f;
    add_master(&h, 10, 1, 1, with_conf(&h), "");
    CHECK_INT(run(&h, &f), 0);
    CHECK(otr_survey_is_early(h.survey));
    for (int i = 0; i < 4; i++) {
        CHECK_INT(run(&h, &f), 0);
    }
    CHECK_INT(run(&h, &f), 1); /* it stays so: that is worth a report */
    CHECK(!otr_survey_is_early(h.survey));
}

T(configuration_is_read_again_with_a_new_generation_of_workers_only)
{
    HOST(h, program);
    const otr_found *f;
    add_master(&h, 10, 1, 1, with_conf(&h), "11 12 ");
    add_worker(&h, 11, 10);
    add_worker(&h, 12, 10);
    REQUIRE(run(&h, &f) == 1);
    CHECK(tree_write(&h.t, "etc/nginx.conf", "error_log /var/new.log;"));
    fake_remove(&h.t, 12);
    add_master(&h, 10, 1, 1, with_conf(&h), "11 ");
    REQUIRE(run(&h, &f) == 1);
    CHECK_STR(f->instance->error_log, "/var/e.log"); /* NGINX runs with the old one */
    CHECK(f->instance->config_changed);
    REQUIRE(f->instance->n_remarks == 1);
    CHECK_HAS(f->instance->remarks[0], "are not as NGINX loaded them");
    add_master(&h, 10, 1, 1, with_conf(&h), "11 13 ");
    add_worker(&h, 13, 10);
    REQUIRE(run(&h, &f) == 1);
    CHECK_STR(f->instance->error_log, "/var/e.log"); /* 13 was made for 12, which crashed */
    add_worker(&h, 14, 10);
    add_worker(&h, 15, 10);
    add_master(&h, 10, 1, 1, with_conf(&h), "11 13 14 15 ");
    REQUIRE(run(&h, &f) == 1);
    CHECK_STR(f->instance->error_log, "/var/e.log");
    CHECK(otr_survey_is_early(h.survey)); /* the new generation is here, the old one yet to go */
    add_master(&h, 10, 1, 1, with_conf(&h), "14 15 ");
    REQUIRE(run(&h, &f) == 1);
    CHECK_STR(f->instance->error_log, "/var/new.log");
    CHECK(!otr_survey_is_early(h.survey));
    CHECK(tree_write(&h.t, "etc/nginx.conf", "error_log /var/third.log;"));
    otr_survey_reread(h.survey);
    REQUIRE(run(&h, &f) == 1);
    CHECK_STR(f->instance->error_log, "/var/third.log");
}

T(given_status_url_takes_the_place_of_the_found_one)
{
    HOST(h, program);
    const otr_found *f;
    add_master(&h, 10, 1, 1, with_conf(&h), "11 ");
    add_worker(&h, 11, 10);
    REQUIRE(otr_survey_set_status_url(h.survey, "http://127.0.0.1:9/x", NULL) == OTR_OK);
    REQUIRE(run(&h, &f) == 1);
    CHECK_STR(f->instance->stub_status, "http://127.0.0.1:9/x");
    CHECK_INT(f->instance->n_status_urls, 1);
}

static void check_version(const char *text, const char *maker, const char *version)
{
    otr_binary b = { 0 };
    otr_err err;
    if (!otr_test_check(otr_binary_parse(otr_bytes_of(text), &b, &err) == OTR_OK, __FILE__,
                        __LINE__, text)) {
        return;
    }
    CHECK_STR(b.maker, maker);
    CHECK_STR(b.version, version);
    otr_binary_deinit(&b);
}

T(maker_and_version_are_told_apart)
{
    check_version("nginx version: nginx/1.22.1\n", "nginx", "1.22.1");
    check_version("nginx version: openresty/1.25.3.1\n", "openresty", "1.25.3.1");
    check_version("nginx version: freenginx/1.27.0\n", "freenginx", "1.27.0");
    check_version("Angie version: Angie/1.7.0\n", "angie", "1.7.0");
    check_version("Tengine version: Tengine/3.1.0\nnginx version: nginx/1.24.0\n", "tengine",
                  "3.1.0");
    check_version("nginx version: Microsoft-IIS/8.5\n", "nginx", "8.5"); /* hides itself */
    check_version("usage: nginx", "", "");
    check_version("", "", "");
    check_version("nginx version: nginx\n", "", "");
    check_version("nginx version: nginx/x\n", "", "");
    check_version("bad nginx version: nginx/1.2.3\n", "", "");
    check_version("protocol version: %ui\n\nnginx version: nginx/1.2.3\n", "nginx", "1.2.3");
    check_version("nginx version: nginx/1.2.3", "", ""); /* cut */
}

T(configure_arguments_keep_their_quotes_apart)
{
    char v[64];
    const char *args = "--a='x --prefix=/no' --prefix=\"/my dir\" --flag --e= --last=/z";
    CHECK(otr_binary_argument(args, "prefix", v, sizeof(v)));
    CHECK_STR(v, "/my dir");
    CHECK(otr_binary_argument(args, "last", v, sizeof(v)));
    CHECK_STR(v, "/z");
    CHECK(otr_binary_argument(args, "e", v, sizeof(v)));
    CHECK_STR(v, "");
    CHECK(!otr_binary_argument(args, "flag", v, sizeof(v)));
    CHECK(!otr_binary_argument(args, "pre", v, sizeof(v)));
    CHECK(otr_binary_argument("--x='unclosed", "x", v, sizeof(v)));
    otr_binary b;
    otr_err err;
    REQUIRE_OK(
        otr_binary_parse(otr_bytes_of("nginx version: nginx/1.25.1 (nginx-plus-r30)\n"), &b, &err),
        err);
    CHECK(b.plus);
    CHECK_STR(b.version, "1.25.1 (nginx-plus-r30)");
    CHECK_STR(b.conf_path, "conf/nginx.conf");
    otr_binary_deinit(&b);
}
