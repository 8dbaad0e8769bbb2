#include <fcntl.h>
#include <sys/resource.h>
#include <time.h>

#include "base/clock.h"
#include "base/limits.h"
#include "nginx/log/listing.h"
#include "nginx/log/tail.h"
#include "unit/nginx/tree.h"

typedef struct follow {
    tree t;
    otr_log_formats *formats;
    otr_log_tail tail;
    otr_log_reader reader;
    int writer; /* as NGINX holds its log; -1: none */
} follow;

static void follow_deinit(follow *f)
{
    otr_log_tail_deinit(&f->tail, &f->reader);
    CHECK_INT(f->reader.open, 0);
    otr_log_formats_unref(f->formats);
    otr_free(f->reader.buffer);
    if (f->writer >= 0) {
        close(f->writer);
    }
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
    f->writer = f->tail.file.fd = -1;
    f->reader = (otr_log_reader){
        .buffer = otr_alloc(OTR_LOG_BUFFER_BYTES), .stop = never, .most = 16, .now_ns = OTR_NS_PER_S
    };
    const otr_log_format format = { .text = "$status $request_uri" };
    const otr_root root = { .path = "", .uid = geteuid() };
    return f->reader.buffer != NULL && tree_init(&f->t) &&
           otr_log_formats_new(&format, 1, &f->formats, NULL) == OTR_OK &&
           otr_log_tail_init(&f->tail, &root, tree_path(&f->t, "a.log"), f->formats, NULL) ==
               OTR_OK;
}

#define FOLLOW(f)                        \
    OTR_CLEANUP(follow_deinit) follow f; \
    REQUIRE(follow_init(&(f)))

static void read_now(follow *f)
{
    f->reader.now_ns += OTR_NS_PER_S;
    f->reader.wall_ns = otr_wall_ns();
    otr_log_tail_read(&f->tail, &f->reader);
    otr_log_listing_free(f->reader.listing);
    f->reader.listing = NULL;
}

/* Reads and checks what is new: lines and of them 2xx. */
static void check(follow *f, unsigned lines, unsigned ok)
{
    read_now(f);
    CHECK_INT(f->tail.counts.lines, lines);
    CHECK_INT(f->tail.counts.responses[1], ok);
    f->tail.counts = (otr_log_counts){ 0 };
}

/* The log is opened as NGINX does it; what it had open before is closed. */
static void reopen(follow *f)
{
    int fd = open(tree_path(&f->t, "a.log"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (f->writer >= 0) {
        close(f->writer);
    }
    f->writer = fd;
}

static void log_line(const follow *f, const char *line)
{
    CHECK(write(f->writer, line, strlen(line)) == (ssize_t)strlen(line));
}

static bool move(follow *f, const char *from, const char *to)
{
    char target[512];
    snprintf(target, sizeof(target), "%s/%s", f->t.dir, to);
    return rename(tree_path(&f->t, from), target) == 0;
}

/* ---- one file ---- */

T(file_that_is_missing_is_read_from_its_start_when_it_comes)
{
    FOLLOW(f);
    check(&f, 0, 0);
    CHECK_HAS(f.tail.problem, "cannot be found");
    CHECK(!f.tail.readable);
    CHECK(tree_append(&f.t, "a.log", "200 /\n404 /\n"));
    check(&f, 2, 1);
    CHECK_STR(f.tail.problem, "");
    CHECK(f.tail.readable);
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

T(line_of_a_megabyte_is_counted)
{
    FOLLOW(f);
    check(&f, 0, 0);
    OTR_CLEANUP(otr_freep) char *text = otr_alloc(OTR_MIB);
    REQUIRE(text != NULL);
    memset(text, 'x', OTR_MIB);
    CHECK(tree_append(&f.t, "a.log", "200 /short\n503 /"));
    for (int i = 0; i < 3; i++) {
        CHECK(tree_bytes(&f.t, "a.log", text, OTR_MIB, "ab"));
        check(&f, i == 0, i == 0);
    }
    CHECK(tree_append(&f.t, "a.log", "\n200 /\n"));
    read_now(&f);
    CHECK_INT(f.tail.counts.lines, 2);
    CHECK_INT(f.tail.counts.responses[1], 1);
    CHECK_INT(f.tail.counts.responses[4], 1);
    CHECK_INT(f.tail.counts.unparsed, 0);
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

/* ---- renamed ---- */

T(renamed_file_is_read_to_its_end_before_the_new_one)
{
    FOLLOW(f);
    check(&f, 0, 0);
    CHECK(tree_append(&f.t, "a.log", "200 /\n"));
    check(&f, 1, 1);
    CHECK(tree_append(&f.t, "a.log", "200 /late\n"));
    REQUIRE(move(&f, "a.log", "a.log.1"));
    CHECK(tree_append(&f.t, "a.log.1", "200 /later\n"));
    CHECK(tree_append(&f.t, "a.log", "200 /new\n404 /\n"));
    check(&f, 4, 3);
}

T(renamed_file_is_followed_until_nobody_writes_to_it)
{
    FOLLOW(f);
    reopen(&f);
    check(&f, 0, 0);
    log_line(&f, "200 /\n");
    check(&f, 1, 1);
    REQUIRE(move(&f, "a.log", "a.log.1"));
    CHECK(tree_write(&f.t, "a.log", "")); /* logrotate's create */
    for (int i = 0; i < 100; i++) {       /* NGINX has not reopened yet */
        log_line(&f, "200 /\n");
        check(&f, 1, 1);
    }
    log_line(&f, "200 /last\n");
    reopen(&f);
    log_line(&f, "404 /first\n");
    check(&f, 2, 1);
    CHECK_INT(f.tail.n_old, 0);
}

T(renamed_file_is_followed_while_nothing_takes_its_place)
{
    FOLLOW(f);
    reopen(&f);
    check(&f, 0, 0);
    REQUIRE(move(&f, "a.log", "a.log.1"));
    for (int i = 0; i < 10; i++) {
        log_line(&f, "200 /\n");
        check(&f, 1, 1);
    }
    CHECK_HAS(f.tail.problem, "still writes to the old file");
    CHECK(f.tail.readable);
    reopen(&f);
    log_line(&f, "200 /\n");
    check(&f, 1, 1);
    CHECK_STR(f.tail.problem, "");
}

T(several_rotations_before_nginx_reopens_lose_nothing)
{
    FOLLOW(f);
    reopen(&f);
    check(&f, 0, 0);
    int first = dup(f.writer);
    REQUIRE(move(&f, "a.log", "a.log.1"));
    reopen(&f);
    check(&f, 0, 0);
    REQUIRE(move(&f, "a.log.1", "a.log.2") && move(&f, "a.log", "a.log.1"));
    log_line(&f, "200 /b\n");
    CHECK(write(first, "404 /a\n", 7) == 7); /* by a worker that is still shutting down */
    reopen(&f);
    log_line(&f, "500 /c\n");
    check(&f, 3, 1);
    CHECK(write(first, "200 /a\n", 7) == 7);
    check(&f, 1, 1);
    close(first);
    check(&f, 0, 0);
    CHECK_INT(f.tail.n_old, 0);
}

T(deleted_file_is_read_as_long_as_it_is_written)
{
    FOLLOW(f);
    reopen(&f);
    check(&f, 0, 0);
    unlink(tree_path(&f.t, "a.log"));
    log_line(&f, "200 /\n");
    check(&f, 1, 1);
    log_line(&f, "200 /\n");
    check(&f, 1, 1);
    reopen(&f);
    log_line(&f, "200 /\n");
    check(&f, 1, 1);
}

T(file_that_is_renamed_back_goes_on_where_it_was)
{
    FOLLOW(f);
    reopen(&f);
    check(&f, 0, 0);
    log_line(&f, "200 /\n");
    check(&f, 1, 1);
    REQUIRE(move(&f, "a.log", "b"));
    check(&f, 0, 0);
    REQUIRE(move(&f, "b", "a.log"));
    log_line(&f, "404 /\n");
    check(&f, 1, 0);
    CHECK_INT(f.tail.n_old, 0);
}

T(file_that_is_not_open_is_found_when_it_is_renamed)
{
    FOLLOW(f);
    f.reader.most = 0; /* none stays open */
    reopen(&f);
    check(&f, 0, 0);
    CHECK_INT(f.reader.open, 0);
    log_line(&f, "200 /a\n");
    REQUIRE(move(&f, "a.log", "a.log.1"));
    reopen(&f);
    log_line(&f, "404 /b\n");
    check(&f, 2, 1);
    CHECK_INT(f.reader.open, 0);
}

T(file_that_is_not_open_and_leaves_its_folder_is_missed)
{
    FOLLOW(f);
    f.reader.most = 0;
    reopen(&f);
    check(&f, 0, 0);
    CHECK(mkdir(tree_path(&f.t, "old"), 0755) == 0);
    REQUIRE(move(&f, "a.log", "old/a.log"));
    reopen(&f);
    log_line(&f, "200 /b\n");
    check(&f, 1, 1);
    CHECK_HAS(f.tail.note, "may be missing");
}

T(folder_that_was_listed_before_a_move_does_not_make_the_file_lost)
{
    FOLLOW(f);
    f.reader.most = 0;
    reopen(&f);
    check(&f, 0, 0);
    bool sure = false;
    char *found = otr_log_find_moved(&f.reader, f.tail.root, f.tail.path, &f.tail.file, &sure);
    CHECK(sure && found != NULL);
    otr_free(found);
    log_line(&f, "200 /a\n");
    REQUIRE(move(&f, "a.log", "a.log.1"));
    reopen(&f);
    otr_log_tail_read(&f.tail, &f.reader); /* perhaps by the listing that there is */
    check(&f, 1, 1);
    CHECK_STR(f.tail.note, "");
    unlink(tree_path(&f.t, "a.log.1"));
    unlink(tree_path(&f.t, "a.log"));
    f.tail.file.gone_ns = UINT64_MAX; /* no listing is younger */
    f.tail.note[0] = '\0';
    check(&f, 0, 0);
    CHECK(f.tail.file.ino != 0); /* not given up */
    f.tail.file.gone_ns = 0;
    check(&f, 0, 0);
    CHECK(f.tail.file.ino == 0);
    CHECK_HAS(f.tail.note, "may be missing");
}

T(older_file_that_takes_the_place_is_not_counted_as_new)
{
    FOLLOW(f);
    CHECK(tree_write(&f.t, "b", "200 /old\n200 /old\n"));
    reopen(&f);
    struct timespec nap = { .tv_nsec = 60000000 };
    nanosleep(&nap, NULL);
    check(&f, 0, 0);
    REQUIRE(move(&f, "b", "a.log")); /* a link that leads elsewhere now does the same */
    check(&f, 0, 0);
    CHECK(tree_append(&f.t, "a.log", "200 /new\n"));
    check(&f, 1, 1);
}

/* ---- truncated ---- */

T(truncated_file_is_read_from_its_start)
{
    FOLLOW(f);
    check(&f, 0, 0);
    CHECK(tree_append(&f.t, "a.log", "200 /aaaa\n200 /bbbb\n"));
    check(&f, 2, 2);
    CHECK(tree_write(&f.t, "a.log", "200 /\n"));
    check(&f, 1, 1);
    CHECK_HAS(f.tail.note, "was truncated and no copy of it was found");
    /* Truncated and grown beyond our place, with a line that ends where we were. */
    CHECK(tree_write(&f.t, "a.log", "404 /\n404 /\n"));
    check(&f, 2, 0);
}

T(rest_of_a_truncated_file_is_read_from_its_copy)
{
    FOLLOW(f);
    CHECK(tree_write(&f.t, "a.log.2", "200 /cccc\n200 /dddd\n200 /eeee\n404 /\n404 /\n"));
    struct timespec nap = { .tv_nsec = 30000000 };
    nanosleep(&nap, NULL);
    check(&f, 0, 0);
    CHECK(tree_append(&f.t, "a.log", "200 /aaaa\n200 /bbbb\n"));
    check(&f, 2, 2);
    for (int i = 3; i >= 0; i--) { /* of several that hold what was read the youngest is it */
        char name[32];
        snprintf(name, sizeof(name), "a.log.1%d", i);
        CHECK(tree_write(&f.t, name,
                         i == 0 ? "200 /aaaa\n200 /bbbb\n404 /cccc\n"
                                : "200 /aaaa\n200 /bbbb\n200 /old\n200 /old\n"));
        nanosleep(&nap, NULL);
    }
    CHECK(tree_write(&f.t, "a.log", "200 /\n"));
    check(&f, 2, 1);
    CHECK_STR(f.tail.note, "");
}

T(copy_that_is_held_is_read_after_it_was_compressed)
{
    FOLLOW(f);
    check(&f, 0, 0);
    CHECK(tree_append(&f.t, "a.log", "200 /aaaa\n"));
    check(&f, 1, 1);
    CHECK(tree_write(&f.t, "a.log.1", ""));
    otr_log_tail_hold(&f.tail, "a.log.1", &f.reader);
    CHECK(tree_write(&f.t, "a.log.1", "200 /aaaa\n404 /bbbb\n"));
    unlink(tree_path(&f.t, "a.log.1"));
    CHECK(tree_write(&f.t, "a.log", "200 /\n"));
    check(&f, 2, 1);
    CHECK_STR(f.tail.note, "");
}

/* As logrotate's copytruncate, when the first buffer of a look is read; `again` lines follow. */
typedef struct rotation {
    follow *f;
    const char *again;
    unsigned n_again;
    bool done;
} rotation;

static bool copytruncate(const void *arg)
{
    rotation *r = *(rotation *const *)arg;
    if (!r->done) {
        r->done = true;
        CHECK(tree_copy(&r->f->t, "a.log", "a.log.1"));
        CHECK(tree_write(&r->f->t, "a.log", ""));
        for (unsigned i = 0; i < r->n_again; i++) {
            CHECK(tree_append(&r->f->t, "a.log", r->again));
        }
    }
    return false;
}

static void check_truncation_in_a_read(const char *again, unsigned n_again)
{
    FOLLOW(f);
    check(&f, 0, 0);
    rotation r = { .f = &f, .again = again, .n_again = n_again }, *at = &r;
    f.reader.stop = copytruncate;
    f.reader.arg = &at;
    enum { LINES = 20000, LINE = 10 }; /* more than a buffer */
    static char text[LINES * LINE + 1];
    for (unsigned i = 0; i < LINES; i++) {
        snprintf(text + (size_t)i * LINE, LINE + 1, "200 /%04x\n", i);
    }
    CHECK(tree_append(&f.t, "a.log", text));
    check(&f, LINES + n_again, LINES);
    CHECK(r.done);
    CHECK_STR(f.tail.note, "");
    check(&f, 0, 0);
}

T(truncation_in_the_middle_of_a_read_loses_nothing)
{
    check_truncation_in_a_read("", 0);
    check_truncation_in_a_read("404 /\n", 3);
}

T(truncation_and_growth_beyond_our_place_in_the_middle_of_a_read_lose_nothing)
{
    check_truncation_in_a_read("404 /abcdef\n", 20000); /* beyond our place */
}

T(truncation_to_nothing_at_our_place_is_none)
{
    FOLLOW(f);
    check(&f, 0, 0);
    CHECK(tree_write(&f.t, "a.log", ""));
    check(&f, 0, 0);
    CHECK(tree_write(&f.t, "a.log", "200 /\n"));
    check(&f, 1, 1);
    CHECK_STR(f.tail.note, "");
}

T(copy_is_held_beside_the_younger_files_of_its_rotation)
{
    FOLLOW(f);
    check(&f, 0, 0);
    CHECK(tree_append(&f.t, "a.log", "200 /aaaa\n"));
    check(&f, 1, 1);
    CHECK(tree_write(&f.t, "a.log.1", "200 /aaaa\n404 /bbbb\n"));
    CHECK(tree_write(&f.t, "a.log.1.gz", "?"));
    CHECK(tree_write(&f.t, "a.log.status", "?"));
    otr_log_tail_hold(&f.tail, "a.log.1", &f.reader);
    otr_log_tail_hold(&f.tail, "a.log.1", &f.reader); /* again is no more */
    otr_log_tail_hold(&f.tail, "a.log.1.gz", &f.reader);
    otr_log_tail_hold(&f.tail, "a.log.status", &f.reader);
    CHECK_INT(f.tail.beside->n, 3);
    unlink(tree_path(&f.t, "a.log.1"));
    CHECK(tree_write(&f.t, "a.log", "200 /\n"));
    check(&f, 2, 1);
    CHECK_STR(f.tail.note, "");
    f.reader.now_ns += 60 * OTR_NS_PER_S;
    check(&f, 0, 0);
    CHECK(f.tail.beside == NULL);
}

/* ---- more than once between two looks ---- */

/* What logrotate does with the files of before. */
static void make_room(follow *f)
{
    move(f, "a.log.3", "a.log.4");
    move(f, "a.log.2", "a.log.3");
    move(f, "a.log.1", "a.log.2");
}

static void rotate_by_copy(follow *f)
{
    make_room(f);
    CHECK(tree_copy(&f->t, "a.log", "a.log.1"));
    CHECK(tree_write(&f->t, "a.log", ""));
}

static void rotate_by_name(follow *f)
{
    make_room(f);
    REQUIRE(move(f, "a.log", "a.log.1"));
    reopen(f);
}

T(several_truncations_between_two_looks_lose_nothing)
{
    FOLLOW(f);
    check(&f, 0, 0);
    CHECK(tree_append(&f.t, "a.log", "200 /first\n"));
    check(&f, 1, 1);
    CHECK(tree_append(&f.t, "a.log", "200 /rest\n"));
    rotate_by_copy(&f);
    CHECK(tree_append(&f.t, "a.log", "404 /second\n404 /\n"));
    rotate_by_copy(&f);
    CHECK(tree_append(&f.t, "a.log", "200 /third\n"));
    rotate_by_copy(&f);
    CHECK(tree_append(&f.t, "a.log", "200 /fourth\n"));
    check(&f, 5, 3);
    CHECK_STR(f.tail.note, "");
    check(&f, 0, 0);
    rotate_by_copy(&f); /* what was counted is not counted again */
    CHECK(tree_append(&f.t, "a.log", "200 /fifth\n"));
    check(&f, 1, 1);
    CHECK_STR(f.tail.note, "");
}

T(truncation_before_a_line_was_read_loses_nothing)
{
    FOLLOW(f);
    check(&f, 0, 0);
    CHECK(tree_write(&f.t, "a.log", ""));
    check(&f, 0, 0);
    CHECK(tree_append(&f.t, "a.log", "200 /first\n"));
    rotate_by_copy(&f);
    check(&f, 1, 1);
    CHECK(tree_append(&f.t, "a.log", "404 /second\n"));
    rotate_by_copy(&f);
    CHECK(tree_append(&f.t, "a.log", "404 /third\n"));
    check(&f, 2, 0);
    CHECK_STR(f.tail.note, "");
}

T(copy_that_is_not_truncated_yet_is_not_counted)
{
    FOLLOW(f);
    check(&f, 0, 0);
    CHECK(tree_append(&f.t, "a.log", "200 /first\n"));
    check(&f, 1, 1);
    rotate_by_copy(&f);
    CHECK(tree_append(&f.t, "a.log", "200 /second\n"));
    CHECK(tree_copy(&f.t, "a.log", "a.log.0")); /* of the next rotation */
    check(&f, 1, 1);
    CHECK(tree_append(&f.t, "a.log", "200 /more\n"));
    CHECK(tree_copy(&f.t, "a.log", "a.log.0"));
    CHECK(tree_write(&f.t, "a.log", "200 /third\n"));
    check(&f, 2, 2);
    check(&f, 0, 0);
    CHECK_STR(f.tail.note, "");
}

T(copy_that_is_shorter_than_what_was_read_is_not_counted_again)
{
    FOLLOW(f);
    check(&f, 0, 0);
    CHECK(tree_append(&f.t, "a.log", "200 /first\n"));
    CHECK(tree_copy(&f.t, "a.log", "a.log.1"));
    CHECK(tree_append(&f.t, "a.log", "200 /between copy and truncation\n"));
    check(&f, 2, 2);
    CHECK(tree_write(&f.t, "a.log", "200 /second\n"));
    check(&f, 1, 1);
    CHECK(tree_append(&f.t, "a.log", "200 /more\n"));
    rotate_by_copy(&f);
    check(&f, 1, 1);
}

T(several_renames_between_two_looks_lose_nothing)
{
    FOLLOW(f);
    reopen(&f);
    check(&f, 0, 0);
    log_line(&f, "200 /first\n");
    rotate_by_name(&f);
    log_line(&f, "404 /second\n");
    rotate_by_name(&f);
    log_line(&f, "200 /third\n");
    rotate_by_name(&f);
    log_line(&f, "200 /fourth\n");
    check(&f, 4, 3);
    CHECK_INT(f.tail.n_old, 0);
    rotate_by_name(&f);
    log_line(&f, "200 /fifth\n");
    check(&f, 1, 1);
    CHECK_STR(f.tail.note, "");
}

T(renamed_file_of_the_same_lines_is_no_copy)
{
    FOLLOW(f);
    reopen(&f);
    check(&f, 0, 0);
    const struct timespec nap = { .tv_nsec = 30000000 }; /* births tick coarsely */
    for (int i = 0; i < 3; i++) {
        log_line(&f, "200 /\n");
        nanosleep(&nap, NULL);
        rotate_by_name(&f);
    }
    log_line(&f, "200 /\n200 /\n");
    check(&f, 5, 5);
    CHECK_STR(f.tail.note, "");
}

T(file_that_came_and_went_is_followed_while_it_is_written_to)
{
    FOLLOW(f);
    reopen(&f);
    check(&f, 0, 0);
    rotate_by_name(&f);
    make_room(&f);
    REQUIRE(move(&f, "a.log", "a.log.1")); /* still NGINX's, and empty */
    CHECK(tree_write(&f.t, "a.log", ""));
    check(&f, 0, 0);
    log_line(&f, "200 /late\n");
    check(&f, 1, 1);
    reopen(&f);
    log_line(&f, "404 /\n");
    check(&f, 1, 0);
    check(&f, 0, 0);
    CHECK_INT(f.tail.n_old, 0);
}

T(rotations_whose_files_are_compressed_are_said)
{
    FOLLOW(f);
    check(&f, 0, 0);
    CHECK(tree_append(&f.t, "a.log", "200 /first\n"));
    check(&f, 1, 1);
    CHECK(tree_write(&f.t, "a.log", ""));
    check(&f, 0, 0);
    CHECK_HAS(f.tail.note, "no copy");
    f.tail.note[0] = '\0';
    CHECK(tree_write(&f.t, "a.log.1.gz", "?")); /* of that one, or of one that nobody saw */
    CHECK(tree_append(&f.t, "a.log", "200 /second\n"));
    check(&f, 1, 1);
    CHECK_STR(f.tail.note, "");
    CHECK(tree_write(&f.t, "a.log.2.gz", "?"));
    CHECK(tree_write(&f.t, "a.log.1.gz", "?"));
    CHECK(tree_write(&f.t, "a.log", "200 /3rd\n"));
    check(&f, 1, 1);
    CHECK_HAS(f.tail.note, "more often than it was looked at");
}

T(other_files_of_such_names_are_not_counted)
{
    FOLLOW(f);
    check(&f, 0, 0);
    CHECK(tree_append(&f.t, "a.log", "200 /first\n"));
    check(&f, 1, 1);
    static const char *const names[] = { "a.log.txt", "a.log2", "a.log.1.part", "a1.log",
                                         "a-x.log" };
    for (size_t i = 0; i < OTR_COUNT(names); i++) {
        CHECK(tree_write(&f.t, names[i], "200 /other\n"));
    }
    CHECK(tree_write(&f.t, "a.log.7", "\x1f\x8b\x08 200 /\n"));
    CHECK(tree_write(&f.t, "a.log.8", "200 /older\n"));
    const struct timespec older[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
    CHECK(utimensat(AT_FDCWD, tree_path(&f.t, "a.log.8"), older, 0) == 0);
    rotate_by_copy(&f);
    CHECK(tree_append(&f.t, "a.log", "200 /2nd\n"));
    check(&f, 1, 1);
    CHECK(tree_write(&f.t, "a.log.9", "200 /no rotation\n"));
    otr_log_tail_hold(&f.tail, "a.log.9", &f.reader);
    check(&f, 0, 0);
    rotate_by_copy(&f);
    check(&f, 0, 0);
    CHECK_STR(f.tail.note, "");
}

T(rotations_before_the_extension_are_told_from_other_logs)
{
    FOLLOW(f);
    reopen(&f);
    check(&f, 0, 0);
    log_line(&f, "200 /first\n");
    REQUIRE(move(&f, "a.log", "a-1.log"));
    reopen(&f);
    log_line(&f, "404 /second\n");
    REQUIRE(move(&f, "a.log", "a-2.log"));
    reopen(&f);
    int other = open(tree_path(&f.t, "a-80.log"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    CHECK(write(other, "200 /other\n", 11) == 11);
    log_line(&f, "200 /third\n");
    check(&f, 3, 2);
    check(&f, 0, 0);
    CHECK_STR(f.tail.note, "");
    f.reader.now_ns += 60 * OTR_NS_PER_S;
    check(&f, 0, 0);
    close(other);
    check(&f, 0, 0);
}

T(rotation_before_the_extension_is_read_once_nginx_has_left_it)
{
    FOLLOW(f);
    reopen(&f);
    check(&f, 0, 0);
    REQUIRE(move(&f, "a.log", "a-1.log"));
    reopen(&f);
    log_line(&f, "200 /second\n");
    REQUIRE(move(&f, "a.log", "a-2.log"));
    CHECK(tree_write(&f.t, "a.log", ""));
    check(&f, 0, 0); /* whose file it is cannot be told yet */
    log_line(&f, "404 /second\n");
    reopen(&f);
    check(&f, 2, 1);
    check(&f, 0, 0);
}

T(files_of_other_users_are_never_taken_for_the_log)
{
    FOLLOW(f);
    if (geteuid() != 0) {
        otr_test_skip("only root gives files away");
        return;
    }
    check(&f, 0, 0);
    CHECK(tree_append(&f.t, "a.log", "200 /first\n"));
    check(&f, 1, 1);
    CHECK(tree_write(&f.t, "a.log.1", "200 /first\n200 /forged\n"));
    CHECK(chown(tree_path(&f.t, "a.log.1"), 65534, 65534) == 0);
    CHECK(tree_write(&f.t, "a.log.2", "200 /forged\n"));
    CHECK(chown(tree_path(&f.t, "a.log.2"), 65534, 65534) == 0);
    CHECK(tree_write(&f.t, "a.log", "200 /2nd\n"));
    check(&f, 1, 1);
    CHECK_HAS(f.tail.note, "no copy");
    /* The log is that user's now, as NGINX gives it to the one of its workers. */
    CHECK(chown(tree_path(&f.t, "a.log"), 65534, 65534) == 0);
    CHECK(tree_append(&f.t, "a.log", "200 /more\n"));
    check(&f, 1, 1);
    CHECK(tree_copy(&f.t, "a.log", "a.log.3"));
    CHECK(tree_append(&f.t, "a.log.3", "200 /rest\n"));
    CHECK(chown(tree_path(&f.t, "a.log.3"), 65534, 65534) == 0);
    CHECK(tree_write(&f.t, "a.log", ""));
    check(&f, 1, 1);
}

/* ---- not readable ---- */

T(folder_in_the_place_of_a_log_is_a_reason)
{
    FOLLOW(f);
    CHECK(mkdir(tree_path(&f.t, "a.log"), 0755) == 0);
    check(&f, 0, 0);
    CHECK_HAS(f.tail.problem, "is a folder");
    CHECK(!f.tail.readable);
}

T(pipe_in_the_place_of_a_log_is_a_reason_and_does_not_block)
{
    FOLLOW(f);
    CHECK(mkfifo(tree_path(&f.t, "a.log"), 0644) == 0);
    check(&f, 0, 0);
    CHECK_HAS(f.tail.problem, "FIFO");
    CHECK(!f.tail.readable);
}

T(log_that_becomes_readable_is_counted_from_our_first_look)
{
    FOLLOW(f);
    if (geteuid() == 0) {
        otr_test_skip("root reads everything");
        return;
    }
    CHECK(tree_append(&f.t, "a.log", "200 /\n"));
    CHECK(chmod(tree_path(&f.t, "a.log"), 0) == 0);
    check(&f, 0, 0);
    CHECK_HAS(f.tail.problem, "denied");
    CHECK(chmod(tree_path(&f.t, "a.log"), 0644) == 0);
    CHECK(tree_append(&f.t, "a.log", "200 /\n"));
    check(&f, 1, 1);
}

T_NO_OOM(lack_of_descriptors_loses_nothing) /* it takes all of the process's */
{
    FOLLOW(f);
    reopen(&f);
    check(&f, 0, 0);
    otr_log_file_shut(&f.tail.file, &f.reader);
    log_line(&f, "200 /\n");
    struct rlimit was, none;
    REQUIRE(getrlimit(RLIMIT_NOFILE, &was) == 0);
    none = was;
    none.rlim_cur = 0;
    REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
    read_now(&f);
    REQUIRE(move(&f, "a.log", "a.log.1"));
    read_now(&f);
    REQUIRE(setrlimit(RLIMIT_NOFILE, &was) == 0);
    CHECK(f.reader.exhausted);
    CHECK_STR(f.tail.problem, "");
    CHECK_INT(f.tail.counts.lines, 0);
    reopen(&f);
    log_line(&f, "200 /\n");
    f.reader.exhausted = false;
    check(&f, 2, 2);
}
