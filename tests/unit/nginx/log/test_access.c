#include <fcntl.h>

#include "nginx/log/access.h"
#include "unit/nginx/tree.h"

typedef struct world {
    tree t;
    otr_loop *loop;
    otr_pool *pool;
    otr_access_logs *logs;
    unsigned done;
} world;

static void world_deinit(world *w)
{
    otr_access_logs_free(w->logs);
    otr_pool_free(w->pool);
    otr_loop_free(w->loop);
    tree_deinit(&w->t);
}

static bool world_init(world *w)
{
    memset(w, 0, sizeof(*w));
    return tree_init(&w->t) && otr_loop_new(&w->loop, NULL) == OTR_OK &&
           otr_pool_new(w->loop, 1, &w->pool, NULL) == OTR_OK &&
           otr_access_logs_new(w->loop, w->pool, &w->logs, NULL) == OTR_OK;
}

static otr_code open_log(world *w, const char *name, const char *format, otr_access_log **ret)
{
    const otr_root root = { .path = "", .uid = geteuid() };
    return otr_access_log_open(w->logs, &root, tree_path(&w->t, name),
                               &(otr_log_format){ .text = format }, 1, ret, NULL);
}

#define WORLD(w)                       \
    OTR_CLEANUP(world_deinit) world w; \
    REQUIRE(world_init(&(w)))

static void on_done(void *arg)
{
    ((world *)arg)->done++;
}

static bool read_all(world *w)
{
    unsigned before = w->done;
    otr_access_logs_read(w->logs, on_done, w);
    for (int i = 0; i < 1000 && w->done == before; i++) {
        otr_loop_step(w->loop, 10);
    }
    return w->done > before;
}

T(log_closed_during_a_read_is_released_after_it)
{
    WORLD(w);
    otr_access_log *a, *b;
    REQUIRE(open_log(&w, "a", "$status", &a) == OTR_OK);
    otr_access_logs_read(w.logs, NULL, NULL);
    REQUIRE(open_log(&w, "b", "$status", &b) == OTR_OK);
    otr_access_log_close(a);
    REQUIRE(read_all(&w));
    CHECK(tree_write(&w.t, "b", "200\n"));
    REQUIRE(read_all(&w));
    CHECK_INT(otr_access_log_take(b).lines, 1);
}

T_NO_OOM(log_that_is_closed_gives_its_descriptors_back_during_a_read) /* by the hundred */
{
    WORLD(w);
    enum { ROUNDS = 200 };
    for (int i = 0; i < ROUNDS; i++) {
        otr_access_log *a;
        CHECK(tree_write(&w.t, "a", "200\n"));
        REQUIRE(open_log(&w, "a", "$status", &a) == OTR_OK);
        otr_access_logs_read(w.logs, NULL, NULL);
        otr_access_log_close(a);
        otr_loop_step(w.loop, 1);
    }
    REQUIRE(read_all(&w));
    CHECK(open("/dev/null", O_RDONLY | O_CLOEXEC) < ROUNDS / 2);
}

T(file_beside_a_log_makes_only_that_one_be_read)
{
    WORLD(w);
    otr_access_log *a, *b;
    REQUIRE(open_log(&w, "a.log", "$status", &a) == OTR_OK);
    REQUIRE(open_log(&w, "b.log", "$status", &b) == OTR_OK);
    REQUIRE(read_all(&w));
    CHECK(tree_append(&w.t, "a.log", "200\n"));
    CHECK(tree_append(&w.t, "b.log", "200\n"));
    for (int i = 0; i < 20; i++) { /* both were made a moment ago */
        otr_loop_step(w.loop, 5);
    }
    (void)otr_access_log_take(a);
    (void)otr_access_log_take(b);
    CHECK(tree_append(&w.t, "a.log", "200\n"));
    CHECK(tree_append(&w.t, "b.log", "200\n"));
    CHECK(tree_write(&w.t, "unrelated", ""));
    CHECK(tree_write(&w.t, "a.log.1", ""));
    for (int i = 0; i < 20; i++) {
        otr_loop_step(w.loop, 5);
    }
    CHECK_INT(otr_access_log_take(a).lines, 1);
    CHECK_INT(otr_access_log_take(b).lines, 0);
    REQUIRE(read_all(&w));
    CHECK_INT(otr_access_log_take(b).lines, 1);
}

T(everything_is_released_during_a_read)
{
    WORLD(w);
    otr_access_log *a;
    REQUIRE(open_log(&w, "a", "$status", &a) == OTR_OK);
    otr_access_logs_read(w.logs, on_done, &w);
    otr_access_logs_free(w.logs);
    w.logs = NULL;
    for (int i = 0; i < 3; i++) {
        otr_loop_step(w.loop, 1);
    }
    CHECK_INT(w.done, 0);
}

T(counts_are_taken_once)
{
    WORLD(w);
    otr_access_log *a;
    REQUIRE(open_log(&w, "a", NULL, &a) == OTR_OK);
    REQUIRE(read_all(&w));
    CHECK(
        tree_write(&w.t, "a", "::1 - - [23/Nov/2026:20:00:00 +0000] \"GET\" 404 0 \"-\" \"-\"\n"));
    REQUIRE(read_all(&w));
    CHECK_INT(otr_access_log_take(a).responses[3], 1);
    CHECK_INT(otr_access_log_take(a).lines, 0);
}

/* Lets the loop look at what is noticed, until there are so many lines, or nothing is noticed as a
 * job had no memory. */
static void count_to(world *w, otr_access_log *log, unsigned want, uint64_t *lines)
{
    for (int i = 0; i < 100 && *lines < want; i++) {
        otr_loop_step(w->loop, 5);
        *lines += otr_access_log_take(log).lines;
    }
}

T(two_rotations_between_two_samples_lose_nothing)
{
    WORLD(w);
    otr_access_log *a;
    REQUIRE(open_log(&w, "a", "$status", &a) == OTR_OK);
    REQUIRE(read_all(&w));
    uint64_t lines = 0;
    for (int i = 0; i < 2; i++) {
        CHECK(tree_append(&w.t, "a", "200\n"));
        for (int j = 0; j < 20; j++) { /* the new file is noticed, with its line or before it */
            otr_loop_step(w.loop, 5);
        }
        char to[600];
        snprintf(to, sizeof(to), "%s/a.%d", w.t.dir, i);
        CHECK(tree_append(&w.t, "a", "200\n"));
        REQUIRE(rename(tree_path(&w.t, "a"), to) == 0);
        count_to(&w, a, 2U * (unsigned)i + 2, &lines);
    }
    REQUIRE(read_all(&w));
    lines += otr_access_log_take(a).lines;
    CHECK_INT(lines, 4);
}
