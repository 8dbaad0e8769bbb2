#include "nginx/status/stub_status.h"
#include "unit/nginx/real_nginx.h"

static void refuse(const char *text)
{
    otr_stub_status s;
    otr_err err = { 0 };
    CHECK_INT(otr_stub_status_parse(otr_bytes_of(text), &s, &err), OTR_EINVAL);
    CHECK_STR(err.msg, "the answer is not the text of stub_status");
}

T(anything_else_is_refused)
{
    refuse("");
    refuse("<html>Active connections: 1</html>");
    refuse("Active connections: ");
    refuse("Active connections: 1\nserver accepts handled requests\n 1 1\nReading: 0");
    refuse("Active connections: -1 \nserver accepts handled requests\n 1 1 1 \n"
           "Reading: 0 Writing: 1 Waiting: 0 \n");
    refuse("Active connections: 99999999999999999999 \nserver accepts handled requests\n 1 1 1 \n"
           "Reading: 0 Writing: 1 Waiting: 0 \n");
    refuse("Active connections: 1 \nserver accepts handled requests\n 1 1 1 \n"
           "Reading: 0 Writing: 1 Waiting: ");
}

T(status_text_is_read)
{
    otr_stub_status s;
    otr_err err;
    REQUIRE_OK(
        otr_stub_status_parse(
            otr_bytes_of("Active connections: 291 \nserver accepts handled requests\n "
                         "16630948 16630946 31070465 \nReading: 6 Writing: 179 Waiting: 106 \n"),
            &s, &err),
        err);
    CHECK_INT(s.active, 291);
    CHECK_INT(s.accepted, 16630948);
    CHECK_INT(s.handled, 16630946);
    CHECK_INT(s.requests, 31070465);
    CHECK_INT(s.reading, 6);
    CHECK_INT(s.writing, 179);
    CHECK_INT(s.waiting, 106);
}

typedef struct world {
    otr_loop *loop;
    otr_stub_poller *poller;
    unsigned done;
    bool ok, free_inside;
    otr_stub_status status;
    char error[OTR_ERR_MSG_BYTES];
} world;

static void world_deinit(world *w)
{
    otr_stub_poller_free(w->poller);
    otr_loop_free(w->loop);
}

static bool world_init(world *w, const char *const *urls, size_t n)
{
    memset(w, 0, sizeof(*w));
    return otr_loop_new(&w->loop, NULL) == OTR_OK &&
           otr_stub_poller_new(w->loop, urls, n, &w->poller, NULL) == OTR_OK;
}

static void on_status(void *arg, const otr_stub_status *status, const otr_err *err)
{
    world *w = arg;
    w->done++;
    w->ok = status != NULL;
    if (status != NULL) {
        w->status = *status;
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
    REQUIRE(world_init(&w, NULL, 0));
    otr_err err;
    CHECK_INT(otr_stub_poller_ask(w.poller, 1, on_status, &w, &err), OTR_ENOTFOUND);
    CHECK_STR(otr_stub_poller_url(w.poller), "");
}

T(failure_of_all_candidates_tells_of_the_best_one)
{
    static const char *const urls[] = { "unix:/nonexistent/a.sock:/s", "https://127.0.0.1/s",
                                        "what:" };
    OTR_CLEANUP(world_deinit) world w;
    REQUIRE(world_init(&w, urls, OTR_COUNT(urls)));
    ask(&w);
    CHECK(!w.ok);
    CHECK_HAS(w.error, "/nonexistent/a.sock: cannot connect: No such file");
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
    REQUIRE(world_init(&w, urls, OTR_COUNT(urls)));
    ask(&w);
    REQUIRE(w.ok);
    CHECK_STR(otr_stub_poller_url(w.poller), right);
    uint64_t requests = w.status.requests, accepted = w.status.accepted;
    ask(&w);
    CHECK_INT(w.status.requests, requests + 1);
    CHECK_INT(w.status.accepted, accepted); /* the same connection */
}
