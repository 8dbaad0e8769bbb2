#include <fcntl.h>

#include "base/limits.h"
#include "nginx/log/tail.h"
#include "unit/nginx/tree.h"

typedef struct follow {
    tree t;
    otr_log_tail tail;
    uint8_t *buffer;
} follow;

static void follow_deinit(follow *f)
{
    otr_log_tail_deinit(&f->tail);
    otr_free(f->buffer);
    tree_deinit(&f->t);
}

static bool never(const void *arg)
{
    (void)arg;
    return false;
}

static bool follow_init(follow *f)
{
    memset(f, 0, sizeof(*f));
    f->tail.fd = -1;
    f->buffer = otr_alloc(OTR_LOG_TAIL_BYTES);
    return f->buffer != NULL && tree_init(&f->t) &&
           otr_log_tail_init(&f->tail, "", tree_path(&f->t, "a.log"), "$status $uri", NULL) ==
               OTR_OK;
}

#define FOLLOW(f)                        \
    OTR_CLEANUP(follow_deinit) follow f; \
    REQUIRE(follow_init(&(f)))

/* Reads and checks what is new: lines and of them 2xx. */
static void check(follow *f, unsigned lines, unsigned ok)
{
    otr_log_tail_read(&f->tail, f->buffer, never, NULL);
    CHECK_INT(f->tail.counts.lines, lines);
    CHECK_INT(f->tail.counts.responses[1], ok);
    f->tail.counts = (otr_log_counts){ 0 };
}

T(file_that_is_missing_is_read_from_its_start_when_it_comes)
{
    FOLLOW(f);
    check(&f, 0, 0);
    CHECK(tree_append(&f.t, "a.log", "200 /\n404 /\n"));
    check(&f, 2, 1);
}

T(existing_content_is_not_counted)
{
    FOLLOW(f);
    CHECK(tree_append(&f.t, "a.log", "200 /\n200 /\n"));
    check(&f, 0, 0);
    CHECK(tree_append(&f.t, "a.log", "200 /\n"));
    check(&f, 1, 1);
    check(&f, 0, 0);
}

T(line_that_began_before_us_is_not_counted)
{
    FOLLOW(f);
    CHECK(tree_append(&f.t, "a.log", "200 /\n200 /half"));
    check(&f, 0, 0);
    CHECK(tree_append(&f.t, "a.log", " line"));
    check(&f, 0, 0);
    CHECK(tree_append(&f.t, "a.log", "\n200 /\n"));
    check(&f, 1, 1);
}

T(half_written_line_is_counted_once_when_it_is_complete)
{
    FOLLOW(f);
    check(&f, 0, 0);
    CHECK(tree_append(&f.t, "a.log", "20"));
    check(&f, 0, 0);
    CHECK(tree_append(&f.t, "a.log", "0 /x"));
    check(&f, 0, 0);
    CHECK(tree_append(&f.t, "a.log", "\n50"));
    check(&f, 1, 1);
    CHECK(tree_append(&f.t, "a.log", "3 /\n"));
    check(&f, 1, 0);
}

T(renamed_file_is_read_to_its_end_before_the_new_one)
{
    FOLLOW(f);
    check(&f, 0, 0);
    CHECK(tree_append(&f.t, "a.log", "200 /\n"));
    check(&f, 1, 1);
    CHECK(tree_append(&f.t, "a.log", "200 /late\n"));
    char to[512];
    snprintf(to, sizeof(to), "%s/a.log.1", f.t.dir);
    REQUIRE(rename(tree_path(&f.t, "a.log"), to) == 0);
    CHECK(tree_append(&f.t, "a.log.1", "200 /later\n"));
    CHECK(tree_append(&f.t, "a.log", "200 /new\n404 /\n"));
    check(&f, 4, 3);
}

T(renamed_file_is_followed_until_the_new_one_appears)
{
    FOLLOW(f);
    check(&f, 0, 0);
    CHECK(tree_append(&f.t, "a.log", "200 /\n"));
    check(&f, 1, 1);
    char to[512];
    snprintf(to, sizeof(to), "%s/a.log.1", f.t.dir);
    REQUIRE(rename(tree_path(&f.t, "a.log"), to) == 0);
    check(&f, 0, 0);
    CHECK(tree_append(&f.t, "a.log.1", "200 /\n")); /* NGINX has not reopened yet */
    check(&f, 1, 1);
    CHECK(tree_append(&f.t, "a.log", "200 /\n"));
    check(&f, 1, 1);
}

T(truncated_file_is_read_from_its_start)
{
    FOLLOW(f);
    check(&f, 0, 0);
    CHECK(tree_append(&f.t, "a.log", "200 /aaaa\n200 /bbbb\n"));
    check(&f, 2, 2);
    CHECK(tree_write(&f.t, "a.log", "200 /\n"));
    check(&f, 1, 1);
    /* Truncated and grown beyond our place: no line ends there. */
    CHECK(tree_write(&f.t, "a.log", "200 /a/longer/line\n404 /\n"));
    check(&f, 2, 1);
}

T(deleted_and_recreated_file_is_another_one)
{
    FOLLOW(f);
    check(&f, 0, 0);
    CHECK(tree_append(&f.t, "a.log", "200 /\n"));
    check(&f, 1, 1);
    unlink(tree_path(&f.t, "a.log"));
    check(&f, 0, 0);
    CHECK(tree_append(&f.t, "a.log", "200 /\n"));
    check(&f, 1, 1);
}

T(line_above_the_ceiling_is_one_unparsed_line)
{
    FOLLOW(f);
    check(&f, 0, 0);
    size_t n = 3 * (size_t)OTR_LIMIT_NGINX_LOG_LINE;
    OTR_CLEANUP(otr_freep) char *line = otr_alloc(n);
    REQUIRE(line != NULL);
    memset(line, 'x', n);
    for (int i = 0; i < 3; i++) {
        CHECK(tree_bytes(&f.t, "a.log", line, n, "ab"));
        check(&f, 0, 0);
    }
    CHECK(tree_append(&f.t, "a.log", "\n200 /\n"));
    otr_log_tail_read(&f.tail, f.buffer, never, NULL);
    CHECK_INT(f.tail.counts.lines, 2);
    CHECK_INT(f.tail.counts.unparsed, 1);
    CHECK_INT(f.tail.counts.responses[1], 1);
}

T(much_content_is_read_in_pieces_without_loss)
{
    FOLLOW(f);
    check(&f, 0, 0);
    enum { LINES = 50000 };
    OTR_CLEANUP(otr_freep) char *text = otr_alloc(LINES * 16U);
    REQUIRE(text != NULL);
    size_t n = 0;
    for (int i = 0; i < LINES; i++) {
        n += (size_t)snprintf(text + n, 16, "%d /%d\n", i % 2 == 0 ? 200 : 500, i);
    }
    CHECK(tree_bytes(&f.t, "a.log", text, n, "wb"));
    check(&f, LINES, LINES / 2);
}

T(folder_in_the_place_of_a_log_is_ignored)
{
    FOLLOW(f);
    CHECK(mkdir(tree_path(&f.t, "a.log"), 0755) == 0);
    check(&f, 0, 0);
}
