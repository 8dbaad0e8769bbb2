#include <netinet/in.h>
#include <pthread.h>

#include "nginx/status/poller.h"
#include "unit/nginx/real_nginx.h"

typedef struct world {
    otr_loop *loop;
    otr_pool *pool;
    otr_stub_poller *poller;
    unsigned done;
    bool ok, free_inside;
    size_t n;
    otr_stub_answer answer;
    otr_stub_status status;
    char error[OTR_ERR_MSG_BYTES];
} world;

static void world_deinit(world *w)
{
    otr_stub_poller_free(w->poller);
    otr_pool_free(w->pool);
    otr_loop_free(w->loop);
}

/* `pid`: with a pool, of a process that must answer; 0: anybody, on the loop. */
static bool world_init(world *w, const char *const *urls, size_t n, pid_t pid)
{
    memset(w, 0, sizeof(*w));
    if (otr_loop_new(&w->loop, NULL) != OTR_OK ||
        (pid != 0 && otr_pool_new(w->loop, 2, &w->pool, NULL) != OTR_OK)) {
        return false;
    }
    otr_proc_stat stat = { 0 };
    if (pid != 0 && !otr_proc_stat_read("/proc", pid, &stat)) {
        return false;
    }
    otr_stub_spec spec = { .loop = w->loop,
                           .pool = w->pool,
                           .urls = urls,
                           .n = n,
                           .pid = pid,
                           .started_ticks = stat.started_ticks };
    return otr_stub_poller_new(&spec, &w->poller, NULL) == OTR_OK;
}

static void on_status(void *arg, const otr_stub_answer *answers, size_t n, const otr_err *err)
{
    world *w = arg;
    w->done++;
    w->n = n;
    w->ok = n > 0;
    if (n > 0) {
        w->answer = answers[0];
        w->status = answers[0].status;
    } else {
        snprintf(w->error, sizeof(w->error), "%s", err->msg);
    }
    if (w->free_inside) {
        otr_stub_poller_free(w->poller);
        w->poller = NULL;
    }
}

static void ask(world *w)
{
    otr_err err = { 0 };
    unsigned before = w->done;
    REQUIRE_OK(otr_stub_poller_ask(w->poller, 1000, on_status, w, &err), err);
    CHECK_INT(w->done, before);
    for (int i = 0; i < 500 && w->done == before; i++) {
        otr_loop_step(w->loop, 10);
    }
    CHECK_INT(w->done, before + 1);
}

T(poller_without_candidates_says_so)
{
    OTR_CLEANUP(world_deinit) world w;
    REQUIRE(world_init(&w, NULL, 0, 0));
    otr_err err;
    CHECK_INT(otr_stub_poller_ask(w.poller, 1, on_status, &w, &err), OTR_ENOTFOUND);
    CHECK_STR(otr_stub_poller_url(w.poller), "");
}

T(failure_tells_of_every_candidate)
{
    static const char *const urls[] = { "unix:/nonexistent/a.sock:/s", "https://127.0.0.1/s",
                                        "what:" };
    OTR_CLEANUP(world_deinit) world w;
    REQUIRE(world_init(&w, urls, OTR_COUNT(urls), 0));
    ask(&w);
    CHECK(!w.ok);
    CHECK_HAS(w.error,
              "unix:/nonexistent/a.sock:/s: unix:/nonexistent/a.sock: cannot connect: No "
              "such file or directory; https://127.0.0.1/s: https needs a worker; what:: ");
    w.free_inside = true;
    ask(&w);
}

/* Real processes: a failing allocation of ours would say nothing about them. */
T_NO_OOM(first_candidate_that_answers_is_kept)
{
    if (!nginx_exists()) {
        otr_test_skip("/usr/sbin/nginx is not installed");
        return;
    }
    OTR_CLEANUP(nginx_deinit) real_nginx n;
    REQUIRE(nginx_start(&n));
    char wrong[256], right[256];
    snprintf(wrong, sizeof(wrong), "unix:%s/n.sock:/ok", n.t.dir);
    snprintf(right, sizeof(right), "unix:%s/n.sock:/status", n.t.dir);
    const char *const urls[] = { "unix:/nonexistent:/s", wrong, right };
    OTR_CLEANUP(world_deinit) world w;
    REQUIRE(world_init(&w, urls, OTR_COUNT(urls), 0));
    ask(&w);
    REQUIRE(w.ok);
    CHECK_STR(otr_stub_poller_url(w.poller), right);
    uint64_t requests = w.status.requests, accepted = w.status.accepted;
    ask(&w);
    CHECK_INT(w.status.requests, requests + 1);
    CHECK_INT(w.status.accepted, accepted); /* the same connection */
}

/* A thread of this process takes connections: for its own pid they are proved, for another not. */
typedef struct page {
    int listening;
    pthread_t thread;
    struct sockaddr_in at;
    char url[64];
} page;

static void *serve(void *arg)
{
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 97\r\nConnection: close\r\n\r\n"
                               "Active connections: 1 \nserver accepts handled requests\n"
                               " 1 1 1 \nReading: 0 Writing: 1 Waiting: 0 \n";
    const page *p = arg;
    for (int fd = accept(p->listening, NULL, NULL); fd >= 0;
         fd = accept(p->listening, NULL, NULL)) {
        char request[1024];
        if (recv(fd, request, sizeof(request), 0) > 0) {
            (void)send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL);
        }
        close(fd);
    }
    return NULL;
}

static void page_deinit(page *p)
{
    (void)shutdown(p->listening, SHUT_RDWR);
    (void)pthread_join(p->thread, NULL);
    close(p->listening);
}

static bool page_init(page *p)
{
    p->at =
        (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(p->at);
    p->listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(p->listening, (struct sockaddr *)&p->at, size) != 0 || listen(p->listening, 8) != 0 ||
        getsockname(p->listening, (struct sockaddr *)&p->at, &size) != 0 ||
        pthread_create(&p->thread, NULL, serve, p) != 0) {
        return false;
    }
    snprintf(p->url, sizeof(p->url), "http://127.0.0.1:%u/s", ntohs(p->at.sin_port));
    return true;
}

T_NO_OOM(answer_of_the_process_itself_is_proved)
{
    OTR_CLEANUP(page_deinit) page p;
    REQUIRE(page_init(&p));
    const char *const urls[] = { p.url };
    OTR_CLEANUP(world_deinit) world w;
    REQUIRE(world_init(&w, urls, 1, getpid()));
    ask(&w);
    REQUIRE(w.n == 1);
    CHECK_INT(w.answer.master_pid, getpid());
    CHECK_INT(w.status.requests, 1);
}

/* It even has the listening socket: who accepted is what counts. */
T_NO_OOM(answer_of_another_process_is_refused)
{
    OTR_CLEANUP(page_deinit) page p;
    REQUIRE(page_init(&p));
    pid_t other = fork();
    if (other == 0) {
        pause();
        _exit(0);
    }
    const char *const urls[] = { p.url };
    OTR_CLEANUP(world_deinit) world w;
    REQUIRE(world_init(&w, urls, 1, other));
    ask(&w);
    CHECK(!w.ok);
    CHECK_HAS(w.error, "another process answers there, not this NGINX");
    (void)kill(other, SIGKILL);
    (void)waitpid(other, NULL, 0);
}
