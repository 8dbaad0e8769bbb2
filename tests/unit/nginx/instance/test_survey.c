#include "base/clock.h"
#include "nginx/instance/binary.h"
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
    otr_clock_fake(0);
}

static bool host_init(host *h, const char *exe_text)
{
    memset(h, 0, sizeof(*h));
    if (!tree_init(&h->t)) {
        return false;
    }
    snprintf(h->exe, sizeof(h->exe), "%s/bin/nginx", h->t.dir);
    snprintf(h->conf, sizeof(h->conf), "%s/etc/nginx.conf", h->t.dir);
    bool ok = tree_write(&h->t, "bin/nginx", exe_text) &&
              tree_write(&h->t, "etc/nginx.conf",
                         "error_log /var/e.log; http { access_log off; server { listen 81; "
                         "location = /s { stub_status; } } }");
    return ok && otr_survey_new(h->t.dir, &h->survey, NULL) == OTR_OK;
}

#define HOST(h, text)                \
    OTR_CLEANUP(host_deinit) host h; \
    REQUIRE(host_init(&(h), text))

static const char texts[] = "ELF....nginx version: nginx/1.25.3\n\0"; /* and a tail, see below */
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
                       .ticks = 500,
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

T(executable_without_texts_is_asked_once_and_waited_for)
{
    HOST(h, "#!/bin/sh\nexec /usr/sbin/nginx\n");
    otr_clock_fake(OTR_NS_PER_S);
    add_master(&h, 10, 1, 1, with_conf(&h), "11 ");
    add_worker(&h, 11, 10);
    const otr_found *f;
    CHECK_INT(run(&h, &f), 0);
    otr_ask ask, again;
    REQUIRE(otr_survey_ask(h.survey, &ask));
    CHECK_STR(ask.file, h.exe);
    CHECK(!otr_survey_ask(h.survey, &again));
    otr_file_key key = ask.key;
    CHECK_INT(run(&h, &f), 0);
    otr_bytes output = otr_bytes_of(program);
    REQUIRE(otr_survey_answer(h.survey, &key, &output, NULL) == OTR_OK);
    REQUIRE(run(&h, &f) == 1);
    CHECK_STR(f->instance->version, "1.25.3");
    CHECK(!otr_survey_ask(h.survey, &again));
}

T(executable_that_does_not_answer_leaves_the_version_unknown)
{
    HOST(h, "#!/bin/sh\nsleep 99\n");
    otr_clock_fake(OTR_NS_PER_S);
    add_master(&h, 10, 1, 1, with_conf(&h), "11 ");
    add_worker(&h, 11, 10);
    const otr_found *f;
    CHECK_INT(run(&h, &f), 0);
    otr_ask ask;
    REQUIRE(otr_survey_ask(h.survey, &ask));
    otr_file_key key = ask.key;
    REQUIRE(otr_survey_answer(h.survey, &key, NULL, NULL) == OTR_OK);
    REQUIRE(run(&h, &f) == 1);
    CHECK_STR(f->instance->version, "");
    CHECK_STR(f->instance->prefix, "/usr/local/nginx");
    CHECK(!otr_survey_ask(h.survey, &ask)); /* the pause */
    otr_clock_fake(7 * OTR_NS_PER_S);
    REQUIRE(otr_survey_ask(h.survey, &ask));
    /* Its instance stays while it is asked again. */
    REQUIRE(run(&h, &f) == 1);
    REQUIRE(otr_survey_answer(h.survey, &key, NULL, NULL) == OTR_OK);
    otr_clock_fake(16 * OTR_NS_PER_S);
    CHECK(!otr_survey_ask(h.survey, &ask)); /* a longer one */
    otr_clock_fake(18 * OTR_NS_PER_S);
    CHECK(otr_survey_ask(h.survey, &ask));
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

T(zombie_does_not_keep_its_id_from_the_next_master)
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
    REQUIRE(run(&h, &f) == 1);
    CHECK(f->zombie);
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

T(configuration_is_read_again_when_workers_are_new)
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
    add_master(&h, 10, 1, 1, with_conf(&h), "11 13 ");
    add_worker(&h, 13, 10);
    REQUIRE(run(&h, &f) == 1);
    CHECK_STR(f->instance->error_log, "/var/new.log");
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

T(version_output_without_a_version_is_refused)
{
    otr_binary b = { 0 };
    otr_err err;
    CHECK_INT(otr_binary_parse(otr_bytes_of("usage: nginx"), &b, &err), OTR_EINVAL);
    CHECK_INT(otr_binary_parse((otr_bytes){ 0 }, &b, &err), OTR_EINVAL);
    CHECK_INT(otr_binary_parse(otr_bytes_of("nginx version: nginx"), &b, &err), OTR_EINVAL);
    CHECK_INT(otr_binary_parse((otr_bytes){ (const uint8_t *)texts, sizeof(texts) }, &b, &err),
              OTR_OK);
    otr_binary_deinit(&b);
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
