#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "nginx/history/internal.h"
#include "unit/nginx/history/store.h"

static const text_file two[] = {
    { "/etc/nginx/nginx.conf", "events {}\n", 0644 },
    { "/etc/nginx/site.key", "-----BEGIN PRIVATE KEY-----\nx\n", 0600 },
};
static const text_file changed[] = {
    { "/etc/nginx/a.conf", "# new\n", 0644 },
    { "/etc/nginx/nginx.conf", "events {}\nhttp {}\n", 0640 },
    { "/etc/nginx/site.key", "-----BEGIN PRIVATE KEY-----\nx\n", 0600 },
};

static otr_history_entry entry(const char *id)
{
    static const otr_history_item items[] = {
        { .path = "/etc/nginx/nginx.conf",
          .action = "update",
          .after = { .bytes = 3, .mode = 0644 } },
        { .path = "/etc/nginx/b.conf", .action = "delete" },
    };
    return (otr_history_entry){
        .id = id,
        .instance = "one",
        .config = "/etc/nginx/nginx.conf",
        .who = { .kind = OTR_HISTORY_LOCAL, .uid = 7, .pid = -1, .name = "ann" },
        .began_ms = 1000,
        .message = "a reason",
        .items = items,
        .n_items = OTR_COUNT(items),
    };
}

static const otr_history_step steps[] = { { "stage", 1500000 }, { "test", 20000000 } };

static otr_history_end applied(const char *version)
{
    return (otr_history_end){ .result = "applied",
                              .text = "proven",
                              .took_ns = 5,
                              .steps = steps,
                              .n_steps = OTR_COUNT(steps),
                              .verdicts_json = "[{\"plugin\":\"house\"}]",
                              .impact_json = "{\"servers\":1}",
                              .version_after = version,
                              .good = true };
}

/* ---- opening ---- */

T(a_folder_that_is_not_there_is_named)
{
    otr_history *h = NULL;
    otr_err err = { 0 };
    REQUIRE(otr_history_open("/nowhere/history.db", OTR_HISTORY_WRITES, &h, &err) == OTR_ENOTFOUND);
    CHECK_HAS(err.msg, "/nowhere/history.db");
}

T(a_folder_in_its_place_is_refused)
{
    char path[] = "/tmp/otr-history-XXXXXX";
    otr_history *h = NULL;
    otr_err err = { 0 };
    REQUIRE(mkdtemp(path) != NULL);
    CHECK_INT(otr_history_open(path, OTR_HISTORY_WRITES, &h, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "not a regular file");
    (void)rmdir(path);
}

T_NO_OOM(a_link_in_its_place_is_refused) /* nothing is allocated before the look */
{
    OTR_CLEANUP(store_close) store s = { .h = NULL };
    otr_err err = { 0 };
    REQUIRE_OK(store_open(&s, &err), err);
    otr_history_close(s.h);
    s.h = NULL;
    char other[80];
    (void)snprintf(other, sizeof(other), "%s/other", s.folder);
    REQUIRE(rename(s.path, other) == 0 && symlink(other, s.path) == 0);
    CHECK_INT(store_open(&s, &err), OTR_EINVAL);
}

static bool is_aside(const store *s, const char *end, const char *want)
{
    char path[120], text[200] = "";
    (void)snprintf(path, sizeof(path), "%s.%s", s->path, end);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    close(fd);
    return n > 0 && (want == NULL || strstr(text, want) != NULL);
}

static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    close(fd);
    return ok;
}

T(what_is_no_database_is_put_aside_and_said)
{
    STORE;
    otr_history_close(s.h);
    s.h = NULL;
    REQUIRE(write_text(s.path, "this is a text and no database, and long enough to be looked at"));
    REQUIRE_OK(store_open(&s, &err), err);
    REQUIRE(otr_history_remark(s.h) != NULL);
    CHECK_HAS(otr_history_remark(s.h), "history.db.damaged");
    CHECK(is_aside(&s, "damaged", "this is a text"));
    char id[OTR_HISTORY_ID_BYTES];
    CHECK_INT(store_version(&s, "one", two, OTR_COUNT(two), id, &err), OTR_OK);
}

static bool run_sql(const store *s, const char *text)
{
    sqlite3 *db = NULL;
    bool ok = sqlite3_open(s->path, &db) == SQLITE_OK &&
              sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK;
    sqlite3_close(db);
    return ok;
}

T(one_of_a_newer_agent_is_put_aside_and_said)
{
    STORE;
    otr_history_close(s.h);
    s.h = NULL;
    REQUIRE(run_sql(&s, "PRAGMA user_version = 99"));
    REQUIRE_OK(store_open(&s, &err), err);
    REQUIRE(otr_history_remark(s.h) != NULL);
    CHECK_HAS(otr_history_remark(s.h), "newer agent");
    CHECK_HAS(otr_history_remark(s.h), "history.db.newer-99");
    CHECK(is_aside(&s, "newer-99", NULL));
    REQUIRE_OK(store_again(&s, &err), err);
    CHECK(otr_history_remark(s.h) == NULL);
}

T(a_table_that_is_missing_is_damage)
{
    STORE;
    otr_history_close(s.h);
    s.h = NULL;
    REQUIRE(run_sql(&s, "DROP TABLE part"));
    REQUIRE_OK(store_open(&s, &err), err);
    REQUIRE(otr_history_remark(s.h) != NULL);
    CHECK(is_aside(&s, "damaged", NULL));
}

/* Every page of it in turn: a crash or an endless loop is the only failure. */
T_NO_OOM(any_damaged_page_ends_in_an_error_or_a_new_history)
{
    STORE;
    char id[OTR_HISTORY_ID_BYTES];
    otr_history_entry e = entry("t1");
    REQUIRE_OK(store_version(&s, "one", changed, OTR_COUNT(changed), id, &err), err);
    otr_history_end end = applied(id);
    REQUIRE_OK(otr_history_finish(s.h, &e, &end, &err), err);
    otr_history_close(s.h);
    s.h = NULL;
    struct stat st;
    REQUIRE(stat(s.path, &st) == 0);
    OTR_CLEANUP(otr_buf_deinit) otr_buf whole;
    otr_buf_init(&whole, 1 << 20);
    REQUIRE_OK(otr_buf_read_file(&whole, s.path, &err), err);
    for (off_t at = 0; at < st.st_size; at += 512) {
        int fd = open(s.path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        REQUIRE(fd >= 0 && write(fd, whole.p, whole.n) == (ssize_t)whole.n);
        REQUIRE(pwrite(fd, "\xff\x00\xaa\x55\xff\x7f\x80\x01", 8, at) == 8);
        close(fd);
        otr_code rc = store_open(&s, &err);
        if (rc == OTR_OK && store_version(&s, "one", two, OTR_COUNT(two), id, &err) == OTR_OK) {
            rc = otr_history_find_version(s.h, "one", "t1", id, &err);
        }
        otr_history_close(s.h);
        s.h = NULL;
    }
}

T_NO_OOM(damage_that_shows_later_puts_it_aside_when_it_is_closed) /* SQLite's own memory */
{
    STORE;
    char id[OTR_HISTORY_ID_BYTES];
    REQUIRE_OK(store_version(&s, "one", two, OTR_COUNT(two), id, &err), err);
    REQUIRE_OK(store_again(&s, &err), err);
    struct stat st;
    REQUIRE(stat(s.path, &st) == 0);
    int fd = open(s.path, O_WRONLY | O_CLOEXEC);
    REQUIRE(fd >= 0);
    for (off_t at = 4096; at < st.st_size; at += 4096) {
        REQUIRE(pwrite(fd, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, at) == 8);
    }
    close(fd);
    sqlite3_exec(s.h->db, "PRAGMA shrink_memory", NULL, NULL, NULL);
    otr_buf out;
    otr_buf_init(&out, 100);
    CHECK(otr_history_blob_read(s.h, id, &out, &err) != OTR_OK);
    otr_buf_deinit(&out);
    CHECK(otr_history_is_damaged(s.h));
    REQUIRE_OK(store_again(&s, &err), err);
    CHECK(is_aside(&s, "damaged", NULL));
}

T(only_the_owner_can_read_it)
{
    STORE;
    char id[OTR_HISTORY_ID_BYTES], wal[80];
    struct stat st;
    REQUIRE_OK(store_version(&s, "one", two, OTR_COUNT(two), id, &err), err);
    (void)snprintf(wal, sizeof(wal), "%s-wal", s.path);
    REQUIRE(stat(s.path, &st) == 0);
    CHECK_INT(st.st_mode & 07777, 0600);
    REQUIRE(stat(wal, &st) == 0);
    CHECK_INT(st.st_mode & 07777, 0600);
}

static void close_history(otr_history **h)
{
    otr_history_close(*h);
}

T(a_reader_beside_the_writer_sees_what_is_committed)
{
    STORE;
    OTR_CLEANUP(close_history) otr_history *reader = NULL;
    char id[OTR_HISTORY_ID_BYTES];
    otr_history_file file;
    REQUIRE_OK(otr_history_open(s.path, OTR_HISTORY_READS, &reader, &err), err);
    REQUIRE_OK(store_version(&s, "one", two, OTR_COUNT(two), id, &err), err);
    REQUIRE_OK(otr_history_file_of(reader, id, two[0].path, &file, &err), err);
    otr_history_draft *d = NULL;
    REQUIRE_OK(otr_history_draft_new(s.h, &d, &err), err);
    otr_history_file fresh = { .path = "/fresh" };
    otr_code rc = otr_history_draft_add_bytes(d, &fresh, otr_bytes_of("x"), NULL, &err);
    otr_code seen = otr_history_file_of(reader, id, two[1].path, &file, &err);
    otr_history_draft_free(d);
    CHECK_INT(rc, OTR_OK);
    CHECK_INT(seen, OTR_OK); /* a writer holds up no reader */
}

T(a_reader_leaves_a_damaged_one_where_it_is)
{
    STORE;
    otr_history *reader = NULL;
    otr_history_close(s.h);
    s.h = NULL;
    REQUIRE(write_text(s.path, "this is a text and no database, and long enough to be looked at"));
    CHECK(otr_history_open(s.path, OTR_HISTORY_READS, &reader, &err) != OTR_OK);
    CHECK(!is_aside(&s, "damaged", NULL));
}

/* ---- versions ---- */

T(the_same_files_are_the_same_version)
{
    STORE;
    char a[OTR_HISTORY_ID_BYTES], b[OTR_HISTORY_ID_BYTES], c[OTR_HISTORY_ID_BYTES];
    const text_file turned[] = { two[1], two[0] };
    REQUIRE_OK(store_version(&s, "one", two, OTR_COUNT(two), a, &err), err);
    REQUIRE_OK(store_version(&s, "one", turned, OTR_COUNT(turned), b, &err), err);
    REQUIRE_OK(store_version(&s, "two", two, OTR_COUNT(two), c, &err), err);
    CHECK_STR(a, b);
    CHECK(strcmp(a, c) != 0);
    CHECK(store_text_is(&s, c, "/etc/nginx/nginx.conf", "events {}\n"));
}

T(a_mode_makes_another_version)
{
    STORE;
    text_file file = { "/a", "x", 0644 };
    char a[OTR_HISTORY_ID_BYTES], b[OTR_HISTORY_ID_BYTES];
    REQUIRE_OK(store_version(&s, "one", &file, 1, a, &err), err);
    file.mode = 0640;
    REQUIRE_OK(store_version(&s, "one", &file, 1, b, &err), err);
    CHECK(strcmp(a, b) != 0);
}

T(a_path_twice_or_one_that_is_not_absolute_is_refused)
{
    STORE;
    const text_file twice[] = { two[0], two[0] };
    const text_file relative = { "a", "x", 0644 };
    char id[OTR_HISTORY_ID_BYTES];
    CHECK_INT(store_version(&s, "one", twice, 2, id, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "/etc/nginx/nginx.conf is twice");
    CHECK_INT(store_version(&s, "one", &relative, 1, id, &err), OTR_EINVAL);
    CHECK_INT(store_version(&s, "", two, 1, id, &err), OTR_EINVAL);
    REQUIRE_OK(store_version(&s, "one", two, 1, id, &err), err);
}

T(contents_are_kept_once_and_come_back_after_a_restart)
{
    STORE;
    char a[OTR_HISTORY_ID_BYTES], b[OTR_HISTORY_ID_BYTES];
    REQUIRE_OK(store_version(&s, "one", two, OTR_COUNT(two), a, &err), err);
    REQUIRE_OK(store_version(&s, "one", changed, OTR_COUNT(changed), b, &err), err);
    REQUIRE_OK(store_again(&s, &err), err);
    CHECK(store_text_is(&s, a, "/etc/nginx/nginx.conf", "events {}\n"));
    CHECK(store_text_is(&s, b, "/etc/nginx/nginx.conf", "events {}\nhttp {}\n"));
    sqlite3_stmt *st = NULL;
    REQUIRE(sqlite3_prepare_v2(s.h->db, "SELECT count(*) FROM blob", -1, &st, NULL) == SQLITE_OK);
    CHECK(sqlite3_step(st) == SQLITE_ROW);
    CHECK_INT(sqlite3_column_int(st, 0), 4);
    sqlite3_finalize(st);
}

T_NO_OOM(large_files_come_back_whole_at_and_around_the_size_of_a_part) /* megabytes, many times */
{
    STORE;
    enum { PART = OTR_HISTORY_PART_BYTES };
    static const size_t sizes[] = {
        0, 1, 63, 64, PART - 1, PART, PART + 1, 3 * PART, 3 * PART + 7
    };
    otr_history_draft *d = NULL;
    uint8_t *all = otr_alloc(4 * PART);
    REQUIRE(all != NULL);
    randombytes_buf(all, PART + PART / 2); /* the rest packs well */
    memset(all + PART + PART / 2, 'x', 4 * PART - PART - PART / 2);
    REQUIRE_OK(otr_history_draft_new(s.h, &d, &err), err);
    char folder[100], id[OTR_HISTORY_ID_BYTES];
    otr_history_stat stats[OTR_COUNT(sizes)];
    for (size_t i = 0; i < OTR_COUNT(sizes); i++) {
        char path[32];
        (void)snprintf(path, sizeof(path), "/f%zu", i);
        (void)snprintf(folder, sizeof(folder), "%s/x", s.folder);
        int fd = open(folder, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        REQUIRE(fd >= 0 && write(fd, all, sizes[i]) == (ssize_t)sizes[i]);
        otr_history_file file = { .path = path };
        otr_code rc = otr_history_draft_add(d, &file, fd, &stats[i], &err);
        close(fd);
        REQUIRE_OK(rc, err);
    }
    REQUIRE_OK(otr_history_draft_commit(d, "one", id, &err), err);
    otr_history_draft_free(d);
    for (size_t i = 0; i < OTR_COUNT(sizes); i++) {
        otr_buf out;
        otr_buf_init(&out, 4 * PART);
        CHECK_INT(otr_history_blob_read(s.h, stats[i].digest, &out, &err), OTR_OK);
        CHECK_INT(out.n, sizes[i]);
        CHECK(out.n == 0 || memcmp(out.p, all, out.n) == 0);
        otr_buf_deinit(&out);
    }
    otr_free(all);
}

T(a_content_above_the_limit_is_known_by_its_digest)
{
    STORE;
    char path[100], id[OTR_HISTORY_ID_BYTES];
    otr_history_draft *d = NULL;
    otr_history_file file = { .path = "/big" };
    otr_history_stat st = { .bytes = 0 };
    (void)snprintf(path, sizeof(path), "%s/big", s.folder);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    REQUIRE(fd >= 0 && ftruncate(fd, (off_t)OTR_LIMIT_HISTORY_FILE_BYTES + 1) == 0);
    otr_code rc = otr_history_draft_new(s.h, &d, &err);
    rc = rc == OTR_OK ? otr_history_draft_add(d, &file, fd, &st, &err) : rc;
    rc = rc == OTR_OK ? otr_history_draft_commit(d, "one", id, &err) : rc;
    close(fd);
    otr_history_draft_free(d);
    REQUIRE_OK(rc, err);
    CHECK_INT(st.bytes, (uint64_t)OTR_LIMIT_HISTORY_FILE_BYTES + 1);
    otr_history_file back;
    REQUIRE_OK(otr_history_file_of(s.h, id, "/big", &back, &err), err);
    CHECK(!back.kept);
    CHECK_STR(back.stat.digest, st.digest);
    otr_buf out;
    otr_buf_init(&out, 100);
    CHECK_INT(otr_history_blob_read(s.h, st.digest, &out, &err), OTR_ENOTFOUND);
    otr_buf_deinit(&out);
}

T(a_content_that_was_changed_on_disk_is_not_handed_out_as_whole)
{
    STORE;
    char id[OTR_HISTORY_ID_BYTES];
    REQUIRE_OK(store_version(&s, "one", two, 1, id, &err), err);
    REQUIRE(sqlite3_exec(s.h->db, "UPDATE part SET packed = 0, data = x'41424344'", NULL, NULL,
                         NULL) == SQLITE_OK);
    otr_history_file file;
    REQUIRE_OK(otr_history_file_of(s.h, id, two[0].path, &file, &err), err);
    otr_buf out;
    otr_buf_init(&out, 100);
    CHECK_INT(otr_history_blob_read(s.h, file.stat.digest, &out, &err), OTR_EIO);
    CHECK_INT(out.n, 0);
    otr_buf_deinit(&out);
    CHECK_HAS(err.msg, "is damaged");
}

T(links_and_owners_are_recorded)
{
    STORE;
    char id[OTR_HISTORY_ID_BYTES];
    otr_history_draft *d = NULL;
    otr_history_file link = { .path = "/sites/a",
                              .link = "../all/a",
                              .stat = { .uid = 3, .gid = 4 } };
    otr_history_file file = { .path = "/all/a", .stat = { .mode = 04755, .uid = 5, .gid = 6 } };
    otr_code rc = otr_history_draft_new(s.h, &d, &err);
    rc = rc == OTR_OK ? otr_history_draft_add(d, &link, -1, NULL, &err) : rc;
    rc = rc == OTR_OK ? otr_history_draft_add_bytes(d, &file, otr_bytes_of("x"), NULL, &err) : rc;
    rc = rc == OTR_OK ? otr_history_draft_commit(d, "one", id, &err) : rc;
    otr_history_draft_free(d);
    REQUIRE_OK(rc, err);
    otr_history_file back;
    REQUIRE_OK(otr_history_file_of(s.h, id, "/sites/a", &back, &err), err);
    REQUIRE(back.link != NULL);
    CHECK_STR(back.link, "../all/a");
    CHECK_INT(back.stat.uid, 3);
    REQUIRE_OK(otr_history_file_of(s.h, id, "/all/a", &back, &err), err);
    CHECK(back.link == NULL && back.kept);
    CHECK_INT(back.stat.mode, 04755);
    CHECK_INT(back.stat.gid, 6);
}

T(what_did_not_change_need_not_be_read_again)
{
    STORE;
    char a[OTR_HISTORY_ID_BYTES], b[OTR_HISTORY_ID_BYTES];
    otr_history_draft *d = NULL;
    REQUIRE_OK(store_version(&s, "one", two, OTR_COUNT(two), a, &err), err);
    otr_code rc = otr_history_draft_new(s.h, &d, &err);
    rc = rc == OTR_OK ? otr_history_draft_keep(d, a, two[0].path, &err) : rc;
    rc = rc == OTR_OK ? otr_history_draft_keep(d, a, two[1].path, &err) : rc;
    rc = rc == OTR_OK ? otr_history_draft_commit(d, "one", b, &err) : rc;
    otr_history_draft_free(d);
    REQUIRE_OK(rc, err);
    CHECK_STR(a, b);
}

T(a_draft_that_is_not_committed_leaves_nothing)
{
    STORE;
    otr_history_draft *d = NULL, *other = NULL;
    otr_history_file file = { .path = "/a" };
    REQUIRE_OK(otr_history_draft_new(s.h, &d, &err), err);
    otr_code rc = otr_history_draft_add_bytes(d, &file, otr_bytes_of("x"), NULL, &err);
    otr_code second = otr_history_draft_new(s.h, &other, &err);
    otr_history_draft_free(d);
    CHECK_INT(rc, OTR_OK);
    CHECK_INT(second, OTR_ESTATE);
    sqlite3_stmt *st = NULL;
    REQUIRE(sqlite3_prepare_v2(s.h->db, "SELECT count(*) FROM blob", -1, &st, NULL) == SQLITE_OK);
    CHECK(sqlite3_step(st) == SQLITE_ROW);
    CHECK_INT(sqlite3_column_int(st, 0), 0);
    sqlite3_finalize(st);
}

T(what_is_recorded_beside_a_draft_does_not_wait_for_it)
{
    STORE;
    char id[OTR_HISTORY_ID_BYTES];
    otr_history_draft *d = NULL;
    otr_history_entry e = entry("t1");
    otr_history_file file = { .path = "/a" };
    REQUIRE_OK(otr_history_draft_new(s.h, &d, &err), err);
    otr_code rc = otr_history_draft_add_bytes(d, &file, otr_bytes_of("x"), NULL, &err);
    rc = rc == OTR_OK ? otr_history_begin(s.h, &e, &err) : rc;
    CHECK(rc != OTR_OK || sqlite3_get_autocommit(s.h->db) != 0);
    rc = rc == OTR_OK ? otr_history_draft_commit(d, "one", id, &err) : rc;
    otr_history_draft_free(d);
    REQUIRE_OK(rc, err);
    CHECK(store_text_is(&s, id, "/a", "x"));
}

typedef struct seen {
    char text[600];
    size_t n;
} seen;

static bool note_change(void *arg, const otr_history_change *c)
{
    seen *all = arg;
    all->n += (size_t)snprintf(all->text + all->n, sizeof(all->text) - all->n, "%s %s;", c->action,
                               c->after != NULL ? c->after->path : c->before->path);
    return true;
}

T(versions_differ_by_their_paths)
{
    STORE;
    char a[OTR_HISTORY_ID_BYTES], b[OTR_HISTORY_ID_BYTES];
    REQUIRE_OK(store_version(&s, "one", two, OTR_COUNT(two), a, &err), err);
    REQUIRE_OK(store_version(&s, "one", changed, OTR_COUNT(changed), b, &err), err);
    seen there = { "", 0 }, back = { "", 0 }, none = { "", 0 };
    REQUIRE_OK(otr_history_diff(s.h, a, b, note_change, &there, &err), err);
    CHECK_STR(there.text, "add /etc/nginx/a.conf;update /etc/nginx/nginx.conf;");
    REQUIRE_OK(otr_history_diff(s.h, b, a, note_change, &back, &err), err);
    CHECK_STR(back.text, "delete /etc/nginx/a.conf;update /etc/nginx/nginx.conf;");
    REQUIRE_OK(otr_history_diff(s.h, b, b, note_change, &none, &err), err);
    CHECK_STR(none.text, "");
    memset(a, 'a', sizeof(a) - 1);
    CHECK_INT(otr_history_diff(s.h, a, b, note_change, &none, &err), OTR_ENOTFOUND);
}

/* ---- secrets ---- */

T(keys_are_secret_by_name_mode_or_content)
{
    const otr_bytes none = { NULL, 0 };
    const char rsa[] = "# my key\n-----BEGIN RSA PRIVATE KEY-----\nMII",
               cert[] = "-----BEGIN CERTIFICATE-----\nPRIVATE KEY";
    CHECK(otr_history_is_secret("/x/site.key", 0644, none));
    CHECK(otr_history_is_secret("/x/SITE.KEY", 0644, none));
    CHECK(otr_history_is_secret("/x/token", 0600, none));
    CHECK(otr_history_is_secret("/x/.htpasswd", 0644, none));
    CHECK(otr_history_is_secret("/x/all.pem", 0644, otr_bytes_of(rsa)));
    CHECK(!otr_history_is_secret("/x/all.pem", 0644, otr_bytes_of(cert)));
    CHECK(!otr_history_is_secret("/x/site.conf", 0600, none));
    CHECK(otr_history_is_secret("/x/site.conf", 0600, otr_bytes_of(rsa)));
    CHECK(!otr_history_is_secret("/key/site.conf", 0640, none));
}

T_NO_OOM(a_key_is_seen_where_two_parts_meet) /* megabytes */
{
    STORE;
    static const char key[] = "-----BEGIN PRIVATE KEY-----\n";
    char *text = otr_alloc(OTR_HISTORY_PART_BYTES + 100);
    REQUIRE(text != NULL);
    for (int shift = 0; shift <= 28; shift += 4) {
        memset(text, 'x', OTR_HISTORY_PART_BYTES + 99);
        text[OTR_HISTORY_PART_BYTES + 99] = '\0';
        memcpy(text + OTR_HISTORY_PART_BYTES - shift, key, sizeof(key) - 1);
        const text_file file = { "/x.pem", text, 0644 };
        char id[OTR_HISTORY_ID_BYTES];
        otr_history_file back;
        CHECK_INT(store_version(&s, "one", &file, 1, id, &err), OTR_OK);
        CHECK_INT(otr_history_file_of(s.h, id, "/x.pem", &back, &err), OTR_OK);
        CHECK(back.secret);
    }
    otr_free(text);
}

T(a_secret_stays_one_when_its_content_is_known_already)
{
    STORE;
    char id[OTR_HISTORY_ID_BYTES];
    otr_history_file file;
    const text_file pem = { "/x/all.pem", two[1].text, 0644 };
    REQUIRE_OK(store_version(&s, "one", two, OTR_COUNT(two), id, &err), err);
    REQUIRE_OK(store_version(&s, "one", &pem, 1, id, &err), err);
    REQUIRE_OK(otr_history_file_of(s.h, id, "/x/all.pem", &file, &err), err);
    CHECK(file.secret);
}

/* ---- transactions ---- */

static bool note_row(void *arg, const otr_history_row *row)
{
    seen *all = arg;
    all->n += (size_t)snprintf(all->text + all->n, sizeof(all->text) - all->n, "%s=%s;",
                               row->entry.id, row->end.result);
    return true;
}

static bool check_row(void *arg, const otr_history_row *row)
{
    const char *version = arg;
    CHECK_INT(row->number, 1);
    CHECK_STR(row->entry.id, "t1");
    CHECK_STR(row->entry.instance, "one");
    CHECK_STR(row->entry.config, "/etc/nginx/nginx.conf");
    CHECK_STR(row->entry.who.name, "ann");
    CHECK_INT(row->entry.who.uid, 7);
    CHECK_INT(row->entry.who.pid, -1);
    CHECK_STR(row->entry.message, "a reason");
    CHECK_INT(row->entry.began_ms, 1000);
    CHECK_INT(row->n_items, 2);
    CHECK_STR(row->end.result, "applied");
    CHECK_STR(row->end.verdicts_json, "[{\"plugin\":\"house\"}]");
    CHECK_STR(row->steps_json, "[{\"name\":\"stage\",\"ms\":1.5},{\"name\":\"test\",\"ms\":20}]");
    CHECK_STR(row->end.version_after, version);
    CHECK(row->end.good);
    if (row->entry.n_items == 2) {
        CHECK_STR(row->entry.items[1].path, "/etc/nginx/b.conf");
        CHECK_STR(row->entry.items[1].action, "delete");
        CHECK_STR(row->entry.items[1].after.digest, "");
    }
    return true;
}

T(what_could_not_be_rolled_back_may_come_to_another_end)
{
    STORE;
    char id[OTR_HISTORY_ID_BYTES], force[OTR_HISTORY_ID_BYTES];
    otr_history_entry e = entry("t1");
    REQUIRE_OK(store_version(&s, "one", two, OTR_COUNT(two), id, &err), err);
    const char *const results[] = { "rollback-failed", "unknown", "rolled-back" };
    for (size_t i = 0; i < OTR_COUNT(results); i++) {
        otr_history_end end = applied(i == 2 ? id : "");
        end.result = results[i];
        REQUIRE_OK(i == 0 ? otr_history_finish(s.h, &e, &end, &err)
                          : otr_history_finish_id(s.h, "t1", &end, &err),
                   err);
    }
    otr_history_end end = applied(id);
    CHECK_INT(otr_history_finish_id(s.h, "t1", &end, &err), OTR_ESTATE);
    REQUIRE_OK(otr_history_version_at(s.h, "one", OTR_HISTORY_IN_FORCE, force, &err), err);
    CHECK_STR(force, id);
}

T(a_transaction_is_under_way_and_then_ended_once)
{
    STORE;
    char id[OTR_HISTORY_ID_BYTES];
    otr_history_entry e = entry("t1");
    REQUIRE_OK(store_version(&s, "one", two, OTR_COUNT(two), id, &err), err);
    REQUIRE_OK(otr_history_begin(s.h, &e, &err), err);
    CHECK_INT(otr_history_begin(s.h, &e, &err), OTR_ESTATE);
    seen open = { "", 0 };
    const otr_history_query under_way = { .unfinished = true };
    REQUIRE_OK(otr_history_list(s.h, &under_way, note_row, &open, &err), err);
    CHECK_STR(open.text, "t1=;");
    otr_history_end end = applied(id);
    REQUIRE_OK(otr_history_finish(s.h, &e, &end, &err), err);
    CHECK_INT(otr_history_finish(s.h, &e, &end, &err), OTR_ESTATE);
    CHECK_INT(otr_history_finish_id(s.h, "t1", &end, &err), OTR_ESTATE);
    CHECK_INT(otr_history_finish_id(s.h, "t2", &end, &err), OTR_ENOTFOUND);
    REQUIRE_OK(store_again(&s, &err), err);
    REQUIRE_OK(otr_history_get(s.h, "t1", check_row, id, &err), err);
    REQUIRE_OK(otr_history_get(s.h, "#1", check_row, id, &err), err);
    REQUIRE_OK(otr_history_get(s.h, "1", check_row, id, &err), err);
    CHECK_INT(otr_history_get(s.h, "2", check_row, id, &err), OTR_ENOTFOUND);
    CHECK_INT(otr_history_get(s.h, "", check_row, id, &err), OTR_ENOTFOUND);
}

T(an_end_without_a_beginning_is_recorded_whole)
{
    STORE;
    char id[OTR_HISTORY_ID_BYTES];
    otr_history_entry e = entry("t1");
    REQUIRE_OK(store_version(&s, "one", two, OTR_COUNT(two), id, &err), err);
    otr_history_end end = applied(id);
    REQUIRE_OK(otr_history_finish(s.h, &e, &end, &err), err);
    REQUIRE_OK(otr_history_get(s.h, "1", check_row, id, &err), err);
}

T(json_that_is_none_is_left_out)
{
    STORE;
    otr_history_entry e = entry("t1");
    otr_history_end end = { .result = "failed", .verdicts_json = "[", .impact_json = "{}" };
    REQUIRE_OK(otr_history_finish(s.h, &e, &end, &err), err);
    REQUIRE(sqlite3_exec(s.h->db, "UPDATE txn SET impact = '{'", NULL, NULL, NULL) == SQLITE_OK);
    sqlite3_stmt *st = NULL;
    REQUIRE(sqlite3_prepare_v2(s.h->db, "SELECT verdicts IS NULL FROM txn", -1, &st, NULL) ==
            SQLITE_OK);
    CHECK(sqlite3_step(st) == SQLITE_ROW && sqlite3_column_int(st, 0) == 1);
    sqlite3_finalize(st);
    seen all = { "", 0 };
    const otr_history_query every = { .limit = 0 };
    REQUIRE_OK(otr_history_list(s.h, &every, note_row, &all, &err), err);
    CHECK_STR(all.text, "t1=failed;");
}

T(a_long_text_is_cut_at_a_character)
{
    STORE;
    otr_history_entry e = entry("t1");
    char *text = otr_alloc(OTR_LIMIT_HISTORY_TEXT_BYTES + 10);
    REQUIRE(text != NULL);
    memset(text, 'x', OTR_LIMIT_HISTORY_TEXT_BYTES + 9);
    memcpy(text + OTR_LIMIT_HISTORY_TEXT_BYTES - 1, "\xc3\xa9", 3);
    e.message = text;
    otr_code rc = otr_history_begin(s.h, &e, &err);
    otr_free(text);
    REQUIRE_OK(rc, err);
    sqlite3_stmt *st = NULL;
    REQUIRE(sqlite3_prepare_v2(s.h->db, "SELECT length(CAST(message AS BLOB)) FROM txn", -1, &st,
                               NULL) == SQLITE_OK);
    CHECK(sqlite3_step(st) == SQLITE_ROW);
    CHECK_INT(sqlite3_column_int(st, 0), OTR_LIMIT_HISTORY_TEXT_BYTES - 1);
    sqlite3_finalize(st);
}

static otr_code record(store *s, const char *id, const char *instance, const char *result,
                       const char *before, const char *after, otr_err *err)
{
    otr_history_entry e = { .id = id,
                            .instance = instance,
                            .version_before = before,
                            .who = { .kind = OTR_HISTORY_PLANE, .uid = -1, .pid = -1 } };
    otr_history_end end = { .result = result,
                            .version_after = after,
                            .good = strcmp(result, "applied") == 0 };
    return otr_history_finish(s->h, &e, &end, err);
}

T(lists_are_by_instance_and_in_pages)
{
    STORE;
    REQUIRE_OK(record(&s, "a", "one", "applied", "", "", &err), err);
    REQUIRE_OK(record(&s, "b", "two", "denied", "", "", &err), err);
    REQUIRE_OK(record(&s, "c", "one", "invalid", "", "", &err), err);
    REQUIRE_OK(record(&s, "d", "one", "failed", "", "", &err), err);
    seen all = { "", 0 }, page = { "", 0 }, rest = { "", 0 };
    const otr_history_query q1 = { .instance = "one" }, q2 = { .limit = 2 },
                            q3 = { .before = 3, .limit = 2 };
    REQUIRE_OK(otr_history_list(s.h, &q1, note_row, &all, &err), err);
    CHECK_STR(all.text, "d=failed;c=invalid;a=applied;");
    REQUIRE_OK(otr_history_list(s.h, &q2, note_row, &page, &err), err);
    CHECK_STR(page.text, "d=failed;c=invalid;");
    REQUIRE_OK(otr_history_list(s.h, &q3, note_row, &rest, &err), err);
    CHECK_STR(rest.text, "b=denied;a=applied;");
}

T(people_name_versions_in_several_ways)
{
    STORE;
    char a[OTR_HISTORY_ID_BYTES], b[OTR_HISTORY_ID_BYTES], got[OTR_HISTORY_ID_BYTES], begin[16];
    CHECK_INT(otr_history_find_version(s.h, "one", "", got, &err), OTR_ENOTFOUND);
    REQUIRE_OK(store_version(&s, "one", two, OTR_COUNT(two), a, &err), err);
    REQUIRE_OK(store_version(&s, "one", changed, OTR_COUNT(changed), b, &err), err);
    REQUIRE_OK(otr_history_set_version(s.h, "one", a, OTR_HISTORY_GOOD, &err), err);
    REQUIRE_OK(record(&s, "t1", "one", "applied", a, b, &err), err);
    REQUIRE_OK(record(&s, "t2", "one", "denied", "", "", &err), err);
    struct {
        const char *text, *want;
    } cases[] = { { "", b },   { "current", b }, { "good", b }, { "previous", a }, { "1", b },
                  { "#1", b }, { "t1", b },      { begin, a },  { a, a } };
    (void)snprintf(begin, sizeof(begin), "%.8s", a);
    for (size_t i = 0; i < OTR_COUNT(cases); i++) {
        got[0] = '\0';
        CHECK_INT(otr_history_find_version(s.h, "one", cases[i].text, got, &err), OTR_OK);
        CHECK_STR(got, cases[i].want);
    }
    CHECK_INT(otr_history_find_version(s.h, "one", "2", got, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "left no version");
    CHECK_INT(otr_history_find_version(s.h, "two", "1", got, &err), OTR_EINVAL);
    CHECK_INT(otr_history_find_version(s.h, "two", begin, got, &err), OTR_ENOTFOUND);
    CHECK_INT(otr_history_find_version(s.h, "one", "zzzzzzzz", got, &err), OTR_ENOTFOUND);
    CHECK_INT(otr_history_find_version(s.h, "one", "abcde", got, &err), OTR_ENOTFOUND);
}

T(a_rollback_of_a_rollback_goes_forth_again)
{
    STORE;
    char a[OTR_HISTORY_ID_BYTES], b[OTR_HISTORY_ID_BYTES], got[OTR_HISTORY_ID_BYTES];
    REQUIRE_OK(store_version(&s, "one", two, OTR_COUNT(two), a, &err), err);
    REQUIRE_OK(store_version(&s, "one", changed, OTR_COUNT(changed), b, &err), err);
    REQUIRE_OK(record(&s, "t1", "one", "applied", a, b, &err), err);
    REQUIRE_OK(otr_history_find_version(s.h, "one", "previous", got, &err), err);
    CHECK_STR(got, a);
    REQUIRE_OK(record(&s, "t2", "one", "applied", b, a, &err), err);
    REQUIRE_OK(otr_history_find_version(s.h, "one", "previous", got, &err), err);
    CHECK_STR(got, b);
}

/* ---- retention ---- */

static int64_t count(store *s, const char *table)
{
    char text[80];
    sqlite3_stmt *st = NULL;
    (void)snprintf(text, sizeof(text), "SELECT count(*) FROM %s", table);
    int64_t n = -1;
    if (sqlite3_prepare_v2(s->h->db, text, -1, &st, NULL) == SQLITE_OK &&
        sqlite3_step(st) == SQLITE_ROW) {
        n = sqlite3_column_int64(st, 0);
    }
    sqlite3_finalize(st);
    return n;
}

/* `n` applied changes of one file each; ids of the versions are of no interest. */
static otr_code many(store *s, int n, const char *padding, otr_err *err)
{
    char before[OTR_HISTORY_ID_BYTES] = "", after[OTR_HISTORY_ID_BYTES];
    otr_code rc = OTR_OK;
    for (int i = 1; rc == OTR_OK && i <= n; i++) {
        char id[16], text[64];
        (void)snprintf(id, sizeof(id), "t%d", i);
        (void)snprintf(text, sizeof(text), "# %d %s\n", i, padding);
        const text_file file = { "/etc/nginx/nginx.conf", text, 0644 };
        rc = store_version(s, "one", &file, 1, after, err);
        otr_history_entry e = {
            .id = id, .instance = "one", .began_ms = (uint64_t)i * 1000, .version_before = before
        };
        otr_history_end end = { .result = "applied", .version_after = after, .good = true };
        rc = rc == OTR_OK ? otr_history_finish(s->h, &e, &end, err) : rc;
        memcpy(before, after, sizeof(before));
    }
    return rc;
}

T(the_oldest_go_by_number_and_what_only_they_had)
{
    STORE;
    uint64_t gone = 0;
    const otr_history_bounds bounds = { .transactions = 2 }, none = { .age_ms = 0 };
    REQUIRE_OK(many(&s, 5, "", &err), err);
    REQUIRE_OK(otr_history_prune(s.h, &none, 1000000, &gone, &err), err);
    CHECK_INT(gone, 0);
    CHECK_INT(count(&s, "version"), 5);
    REQUIRE_OK(otr_history_prune(s.h, &bounds, 1000000, &gone, &err), err);
    CHECK_INT(gone, 3);
    CHECK_INT(count(&s, "version"), 3); /* after 5, after 4, and before 4 */
    CHECK_INT(count(&s, "blob"), 3);
    CHECK_INT(count(&s, "part"), 3);
    CHECK_INT(count(&s, "file"), 3);
}

T(age_takes_all_transactions_but_not_what_is_in_force)
{
    STORE;
    uint64_t gone = 0;
    char id[OTR_HISTORY_ID_BYTES];
    const otr_history_bounds bounds = { .age_ms = 2000 };
    otr_history_entry open = entry("open");
    REQUIRE_OK(many(&s, 4, "", &err), err);
    REQUIRE_OK(otr_history_begin(s.h, &open, &err), err);
    REQUIRE_OK(otr_history_prune(s.h, &bounds, 5000, &gone, &err), err);
    CHECK_INT(gone, 2); /* 1000, 2000; 3000 is not older than 2 s */
    REQUIRE_OK(otr_history_prune(s.h, &bounds, 50000, &gone, &err), err);
    CHECK_INT(gone, 2);
    CHECK_INT(count(&s, "txn"), 1);
    CHECK_INT(count(&s, "version"), 2);
    REQUIRE_OK(otr_history_version_at(s.h, "one", OTR_HISTORY_IN_FORCE, id, &err), err);
    CHECK(store_text_is(&s, id, "/etc/nginx/nginx.conf", "# 4 \n"));
    REQUIRE_OK(otr_history_version_at(s.h, "one", OTR_HISTORY_BEFORE, id, &err), err);
    CHECK(store_text_is(&s, id, "/etc/nginx/nginx.conf", "# 3 \n"));
}

T_NO_OOM(size_takes_the_oldest_and_gives_the_space_back) /* megabytes */
{
    STORE;
    enum { BYTES = 600000 };
    char *text = otr_alloc(BYTES + 1), before[OTR_HISTORY_ID_BYTES] = "";
    REQUIRE(text != NULL);
    for (int i = 0; i < 12; i++) {
        char id[16], after[OTR_HISTORY_ID_BYTES];
        randombytes_buf(text, BYTES);
        for (int j = 0; j < BYTES; j++) {
            text[j] = (char)(text[j] == '\0' ? 'x' : text[j]);
        }
        text[BYTES] = '\0';
        const text_file file = { "/a.conf", text, 0644 };
        (void)snprintf(id, sizeof(id), "t%d", i);
        REQUIRE_OK(store_version(&s, "one", &file, 1, after, &err), err);
        REQUIRE_OK(record(&s, id, "one", "applied", before, after, &err), err);
        memcpy(before, after, sizeof(before));
    }
    otr_free(text);
    uint64_t gone = 0, full = otr_history_bytes(s.h);
    const otr_history_bounds bounds = { .bytes = 3000000 }, least = { .bytes = 1 };
    REQUIRE_OK(otr_history_prune(s.h, &bounds, 1, &gone, &err), err);
    CHECK(gone >= 7 && gone <= 10);
    CHECK(full > 6000000);
    CHECK(otr_history_bytes(s.h) < 3100000);
    REQUIRE_OK(otr_history_prune(s.h, &least, 1, &gone, &err), err);
    CHECK_INT(count(&s, "txn"), 0);
    CHECK_INT(count(&s, "version"), 2);
}

/* ---- a full disk ---- */

T_NO_OOM(a_full_disk_is_an_error_and_what_was_there_stays) /* a limit of the whole process */
{
    STORE;
    char id[OTR_HISTORY_ID_BYTES], other[OTR_HISTORY_ID_BYTES];
    REQUIRE_OK(store_version(&s, "one", two, OTR_COUNT(two), id, &err), err);
    struct rlimit old, small = { .rlim_cur = 0 };
    REQUIRE(getrlimit(RLIMIT_FSIZE, &old) == 0);
    small.rlim_max = old.rlim_max;
    small.rlim_cur = 150000;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    int failed = 0;
    REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
    for (int i = 0; i < 400; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "t%d", i);
        failed += record(&s, name, "one", "applied", id, id, &err) != OTR_OK;
        failed += store_version(&s, "one", changed, OTR_COUNT(changed), other, &err) != OTR_OK;
    }
    bool restored = setrlimit(RLIMIT_FSIZE, &old) == 0;
    (void)signal(SIGXFSZ, handler);
    REQUIRE(restored);
    CHECK(failed > 0);
    CHECK_HAS(err.msg, "history.db");
    CHECK(!otr_history_is_damaged(s.h));
    CHECK(store_text_is(&s, id, "/etc/nginx/nginx.conf", "events {}\n"));
    REQUIRE_OK(store_version(&s, "one", changed, OTR_COUNT(changed), other, &err), err);
    REQUIRE_OK(store_again(&s, &err), err);
    CHECK(otr_history_remark(s.h) == NULL);
    CHECK(store_text_is(&s, other, "/etc/nginx/nginx.conf", "events {}\nhttp {}\n"));
}
