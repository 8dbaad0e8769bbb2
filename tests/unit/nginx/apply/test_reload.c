/* `nginx -t` and reloads of a real NGINX. */
#include "base/alloc.h"
#include "loop/worker.h"
#include "nginx/apply/launch.h"
#include "nginx/apply/reload.h"
#include "nginx/apply/trial.h"
#include "unit/nginx/real_nginx.h"

typedef struct bench {
    real_nginx n;
    otr_loop *loop;
    otr_pool *pool;
    otr_strand *strand;
    pid_t pid;
    uint64_t ticks;
    otr_launch launch;
    bool launched;
    unsigned calls;
    otr_trial_verdict trial;
    otr_reload_verdict reload;
    size_t n_new;
    bool sent;
    char reason[1024], remark[1024], finding[1024], file[512];
    unsigned line;
} bench;

static void bench_deinit(void *slot)
{
    bench *b = slot;
    if (b->launched) {
        otr_launch_deinit(&b->launch);
    }
    otr_strand_free(b->strand);
    otr_pool_free(b->pool);
    otr_loop_free(b->loop);
    nginx_deinit(&b->n);
}

static bool read_launch(bench *b)
{
    otr_err e = { 0 };
    b->launched = otr_launch_read("/proc", b->pid, b->ticks, &b->launch, &e) == OTR_OK;
    return b->launched;
}

static bool workers_serve(pid_t pid)
{
    pid_t pids[8];
    size_t n = 0, ready = 0;
    char title[128];
    (void)otr_proc_children("/proc", pid, pids, OTR_COUNT(pids), &n);
    for (size_t i = 0; i < n; i++) {
        ready += otr_proc_title("/proc", pids[i], title, sizeof(title)) > 0 &&
                 strstr(title, "worker process") != NULL;
    }
    return ready == 2;
}

static bool bench_init(bench *b)
{
    otr_err e = { 0 };
    otr_proc_stat st;
    memset(b, 0, sizeof(*b));
    if (!nginx_start(&b->n) || otr_loop_new(&b->loop, &e) != OTR_OK ||
        otr_pool_new(b->loop, 1, &b->pool, &e) != OTR_OK ||
        otr_strand_new(b->pool, 4, &b->strand, &e) != OTR_OK) {
        return false;
    }
    b->pid = nginx_pid(&b->n, "nginx.pid");
    for (int i = 0; i < 2000 && !workers_serve(b->pid); i++) {
        nginx_nap();
    }
    bool ok = otr_proc_stat_read("/proc", b->pid, &st);
    b->ticks = st.started_ticks;
    return ok && read_launch(b);
}

#define BENCH(b)                       \
    OTR_CLEANUP(bench_deinit) bench b; \
    if (!nginx_exists()) {             \
        memset(&b, 0, sizeof(b));      \
        return;                        \
    }                                  \
    REQUIRE(bench_init(&b))

static void keep(bench *b, const otr_findings *findings, const char *reason)
{
    b->calls++;
    snprintf(b->reason, sizeof(b->reason), "%s", reason);
    if (findings->n > 0) {
        snprintf(b->finding, sizeof(b->finding), "[%s] %s", findings->items[0].level,
                 findings->items[0].text);
        snprintf(b->file, sizeof(b->file), "%s", findings->items[0].file);
        b->line = findings->items[0].line;
    }
    otr_loop_stop(b->loop);
}

static void on_trial(void *arg, const otr_trial_result *result)
{
    bench *b = arg;
    b->trial = result->verdict;
    keep(b, result->findings, result->reason);
}

static bool try_it_for(bench *b, uint64_t timeout_ms)
{
    otr_err e = { 0 };
    otr_trial *trial = NULL;
    otr_trial_spec spec = {
        .launch = &b->launch, .timeout_ms = timeout_ms, .done = on_trial, .arg = b
    };
    b->calls = 0;
    if (otr_trial_start(b->loop, &spec, &trial, &e) != OTR_OK) {
        return false;
    }
    otr_loop_run(b->loop);
    otr_trial_free(trial);
    return b->calls == 1;
}

static bool try_it(bench *b)
{
    return try_it_for(b, 20000);
}

static void on_reload(void *arg, const otr_reload_result *result)
{
    bench *b = arg;
    b->reload = result->verdict;
    b->n_new = result->n_new;
    b->sent = result->sent;
    if (result->remarks != NULL && result->remarks[0] != NULL) {
        snprintf(b->remark, sizeof(b->remark), "%s", result->remarks[0]);
    }
    keep(b, result->findings, result->reason);
}

static bool reload_with(bench *b, const char *const *unwatched, const char *log)
{
    otr_err e = { 0 };
    otr_root root = { .path = "" };
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", b->n.t.dir, log);
    otr_reload *reload = NULL;
    otr_reload_spec spec = { .proc_root = "/proc",
                             .pid = b->pid,
                             .started_ticks = b->ticks,
                             .log_pid = b->launch.log_pid,
                             .root = &root,
                             .error_logs = (const char *const[]){ path, NULL },
                             .unwatched = unwatched,
                             .settle_ms = 50,
                             .most_ms = 20000,
                             .done = on_reload,
                             .arg = b };
    b->calls = 0;
    if (otr_reload_start(b->loop, b->strand, &spec, &reload, &e) != OTR_OK) {
        return false;
    }
    otr_loop_run(b->loop);
    otr_reload_free(reload);
    return b->calls == 1;
}

static bool reload(bench *b)
{
    return reload_with(b, NULL, "error.log");
}

T_NO_OOM(the_options_of_a_running_master_are_its_own)
{
    BENCH(b);
    CHECK_STR(b.launch.config_arg, "nginx.conf");
    CHECK_INT(strncmp(b.launch.prefix_arg, b.n.t.dir, strlen(b.n.t.dir)), 0);
    CHECK_STR(b.launch.binary, nginx_binary);
    CHECK_INT(b.launch.log_pid, b.pid);
    CHECK_INT(b.launch.place.root_fd, -1);
    CHECK_INT(b.launch.lacking, 0);
    otr_launch other;
    otr_err e = { 0 };
    CHECK_INT(otr_launch_read("/proc", b.pid, b.ticks + 1, &other, &e), OTR_ESTATE);
    CHECK_INT(otr_launch_read("/proc", getpid(), 0, &other, &e), OTR_ESTATE);
}

T_NO_OOM(a_configuration_is_tested_as_that_nginx_reads_it)
{
    BENCH(b);
    REQUIRE(try_it(&b));
    CHECK_INT(b.trial, OTR_TRIAL_VALID);
    CHECK_STR(b.reason, "");
    REQUIRE(tree_write(&b.n.t, "nginx.conf", "events {}\n\nno_such_thing on;\n"));
    REQUIRE(try_it(&b));
    CHECK_INT(b.trial, OTR_TRIAL_INVALID);
    CHECK_HAS(b.reason, "[emerg] unknown directive \"no_such_thing\" in ");
    CHECK_HAS(b.file, "/nginx.conf");
    CHECK_INT(b.line, 3);
}

T_NO_OOM(a_test_that_does_not_end_is_no_verdict)
{
    BENCH(b);
    char fifo[512];
    snprintf(fifo, sizeof(fifo), "%s/fifo", b.n.t.dir);
    REQUIRE(mkfifo(fifo, 0600) == 0);
    REQUIRE(tree_write(&b.n.t, "nginx.conf", "events {} include fifo;\n"));
    REQUIRE(try_it_for(&b, 50));
    CHECK_INT(b.trial, OTR_TRIAL_UNKNOWN);
    CHECK_HAS(b.reason, "did not end within 50 ms");
}

T_NO_OOM(a_lack_of_descriptors_is_none_of_the_configuration)
{
    BENCH(b);
    b.launch.place.files = 5;
    REQUIRE(nginx_configure(&b.n, "server { listen unix:m.sock; access_log a1; error_log a2; }"));
    REQUIRE(try_it(&b));
    CHECK_INT(b.trial, OTR_TRIAL_UNKNOWN);
    CHECK_HAS(b.reason, "lack of this machine");
}

T_NO_OOM(a_reload_is_proven_by_the_new_generation)
{
    BENCH(b);
    REQUIRE(reload(&b));
    CHECK_STR(b.reason, "");
    CHECK_INT(b.reload, OTR_RELOAD_PROVEN);
    CHECK_INT(b.n_new, 2);
    CHECK(b.sent);
    REQUIRE(reload(&b));
    CHECK_INT(b.reload, OTR_RELOAD_PROVEN);
}

T_NO_OOM(a_reload_that_nginx_refuses_is_told_with_its_words)
{
    BENCH(b);
    REQUIRE(tree_write(&b.n.t, "nginx.conf", "events {}\nhttp { broken }\n"));
    REQUIRE(reload(&b));
    CHECK_INT(b.reload, OTR_RELOAD_REFUSED);
    CHECK_HAS(b.reason, "[emerg] unexpected \"}\"");
    CHECK_HAS(b.finding, "[emerg] unexpected");
    CHECK_INT(b.line, 2);
}

T_NO_OOM(without_a_log_the_old_workers_tell_that_it_was_refused)
{
    BENCH(b);
    REQUIRE(tree_write(&b.n.t, "nginx.conf", "broken\n"));
    REQUIRE(reload_with(&b, (const char *const[]){ "stderr", NULL }, "no.log"));
    CHECK_INT(b.reload, OTR_RELOAD_REFUSED);
    CHECK_HAS(b.reason, "went on with its old workers");
    CHECK_HAS(b.remark, "logs to stderr could not be watched");
}

typedef struct late { /* a log that appears while a reload is watched */
    bench *b;
    const char *line;
} late;

static void write_late(void *arg)
{
    const late *l = arg;
    (void)!tree_write(&l->b->n.t, "later.log", l->line);
}

static bool reload_with_line(bench *b, const char *line)
{
    otr_err e = { 0 };
    otr_timer *timer = NULL;
    late l = { b, line };
    (void)unlink(tree_path(&b->n.t, "later.log"));
    if (otr_timer_new(b->loop, write_late, &l, &timer, &e) != OTR_OK) {
        return false;
    }
    otr_timer_start(timer, 10, 0);
    bool ok = reload_with(b, NULL, "later.log");
    otr_timer_free(timer);
    return ok;
}

T_NO_OOM(a_line_counts_by_who_wrote_it_and_what_it_is_about)
{
    BENCH(b);
    char line[512];
    snprintf(line, sizeof(line),
             "2026/01/02 03:04:05 [crit] %d#1: *3 of a connection\n"
             "2026/01/02 03:04:05 [error] %d#1: not grave\n"
             "2026/01/02 03:04:05 [emerg] 1#1: of another NGINX\n",
             (int)b.pid, (int)b.pid);
    REQUIRE(reload_with_line(&b, line));
    CHECK_INT(b.reload, OTR_RELOAD_PROVEN);
    snprintf(line, sizeof(line), "2026/01/02 03:04:05 [crit] %d#1: of the master\n", (int)b.pid);
    REQUIRE(reload_with_line(&b, line));
    CHECK_INT(b.reload, OTR_RELOAD_REFUSED);
    CHECK_STR(b.reason, "[crit] of the master");
}

T_NO_OOM(a_master_that_is_gone_gets_no_signal)
{
    BENCH(b);
    nginx_end(b.pid, SIGTERM);
    b.n.running = false;
    REQUIRE(reload(&b));
    CHECK_INT(b.reload, OTR_RELOAD_GONE);
    CHECK(!b.sent);
    CHECK_HAS(b.reason, "is gone");
}

T_NO_OOM(a_worker_that_cannot_start_is_a_refusal)
{
    if (geteuid() != 0) {
        return; /* only root takes another user on */
    }
    BENCH(b);
    char folder[512], text[2048];
    snprintf(folder, sizeof(folder), "%s/locked", b.n.t.dir);
    REQUIRE(mkdir(folder, 0700) == 0);
    snprintf(text, sizeof(text),
             "user nobody; worker_processes 2; pid nginx.pid; error_log error.log;\n"
             "working_directory %s; events {}\n",
             folder);
    REQUIRE(tree_write(&b.n.t, "nginx.conf", text));
    REQUIRE(reload(&b));
    CHECK(b.reload == OTR_RELOAD_REFUSED);
    CHECK(b.reason[0] != '\0');
}
