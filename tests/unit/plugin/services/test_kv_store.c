#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "plugin/services/kv_store.h"
#include "support/test.h"

typedef struct store {
    char folder[32], path[48];
    otr_kv *kv;
} store;

static otr_code open_store(store *s, const char *plugin, uint64_t quota, otr_err *err)
{
    if (s->folder[0] == '\0') {
        (void)snprintf(s->folder, sizeof(s->folder), "/tmp/otr-kv-XXXXXX");
        if (mkdtemp(s->folder) == NULL) {
            return otr_fail(err, OTR_EIO, "no folder");
        }
        (void)snprintf(s->path, sizeof(s->path), "%s/kv.db", s->folder);
    }
    return otr_kv_open(s->path, plugin, quota, &s->kv, err);
}

static void close_store(store *s)
{
    static const char *const ends[] = { "", "-wal", "-shm" };
    otr_kv_close(s->kv);
    for (size_t i = 0; i < OTR_COUNT(ends); i++) {
        char path[64];
        (void)snprintf(path, sizeof(path), "%s%s", s->path, ends[i]);
        unlink(path);
    }
    rmdir(s->folder);
}

#define STORE(quota)                          \
    OTR_CLEANUP(close_store) store s = { 0 }; \
    otr_err err = { 0 };                      \
    REQUIRE_OK(open_store(&s, "p", (quota), &err), err)

static bool value_is(store *s, const char *key, const char *want)
{
    otr_buf out;
    otr_buf_init(&out, 1000);
    otr_err err = { 0 };
    bool same =
        otr_kv_get(s->kv, key, &out, &err) == OTR_OK && strcmp(otr_buf_text(&out), want) == 0;
    otr_buf_deinit(&out);
    return same;
}

T(a_folder_that_is_not_there_is_named)
{
    otr_kv *kv = NULL;
    otr_err err = { 0 };
    REQUIRE(otr_kv_open("/nowhere/kv.db", "p", 10, &kv, &err) == OTR_ENOTFOUND);
    CHECK_HAS(err.msg, "/nowhere/kv.db");
}

T(a_file_that_is_no_database_is_refused_and_kept)
{
    char path[] = "/tmp/otr-kv-XXXXXX";
    int fd = mkstemp(path);
    REQUIRE(fd >= 0);
    bool wrote =
        write(fd, "this is not a database, it is a text that is long enough to be looked at", 70) ==
        70;
    close(fd);
    otr_kv *kv = NULL;
    otr_err err = { 0 };
    otr_code rc = otr_kv_open(path, "p", 10, &kv, &err);
    struct stat st;
    bool kept = stat(path, &st) == 0 && st.st_size == 70;
    unlink(path);
    REQUIRE(wrote && rc != OTR_OK);
    CHECK(kept);
}

T(a_missing_key_is_not_found)
{
    STORE(100);
    otr_buf out;
    otr_buf_init(&out, 10);
    CHECK(otr_kv_get(s.kv, "x", &out, &err) == OTR_ENOTFOUND);
    bool found = true;
    REQUIRE_OK(otr_kv_delete(s.kv, "x", &found, &err), err);
    CHECK(!found);
}

enum { ROW = OTR_LIMIT_KV_ROW_BYTES };

static uint64_t used(otr_kv *kv)
{
    uint64_t n = UINT64_MAX;
    otr_err err = { 0 };
    CHECK(otr_kv_used(kv, &n, &err) == OTR_OK || err.code == OTR_ENOMEM);
    return n;
}

T(the_quota_counts_keys_values_and_rows_and_keeps_the_old_value)
{
    STORE(ROW + 20);
    REQUIRE_OK(otr_kv_set(s.kv, "key", otr_bytes_of("0123456789"), &err), err);
    CHECK_INT(used(s.kv), ROW + 13);
    CHECK(otr_kv_set(s.kv, "key", otr_bytes_of("012345678901234567"), &err) == OTR_EQUOTA);
    CHECK(otr_kv_set(s.kv, "2", otr_bytes_of(""), &err) == OTR_EQUOTA);
    CHECK(value_is(&s, "key", "0123456789"));
    REQUIRE_OK(otr_kv_set(s.kv, "key", otr_bytes_of("01234567890123456"), &err), err);
    CHECK_INT(used(s.kv), ROW + 20);
    REQUIRE_OK(otr_kv_set(s.kv, "key", otr_bytes_of(""), &err), err);
    CHECK_INT(used(s.kv), ROW + 3);
    CHECK(value_is(&s, "key", ""));
}

T(empty_values_cannot_be_had_for_nothing)
{
    STORE(10 * (ROW + 1));
    unsigned set = 0;
    for (char key[] = "a"; key[0] <= 'z'; key[0]++) {
        otr_code rc = otr_kv_set(s.kv, key, otr_bytes_of(""), &err);
        REQUIRE(rc == OTR_OK || rc == OTR_EQUOTA);
        set += rc == OTR_OK;
    }
    CHECK_INT(set, 10);
    CHECK_INT(used(s.kv), 10 * (ROW + 1));
}

T(all_who_have_it_open_share_one_quota)
{
    STORE(2 * (ROW + 2));
    store other = s;
    bool found = false;
    REQUIRE_OK(open_store(&other, "p", 2 * (ROW + 2), &err), err);
    otr_code first = otr_kv_set(s.kv, "a", otr_bytes_of("1"), &err);
    first = first == OTR_OK ? otr_kv_set(other.kv, "b", otr_bytes_of("2"), &err) : first;
    otr_code third = otr_kv_set(s.kv, "c", otr_bytes_of("3"), NULL);
    otr_code fourth = otr_kv_set(other.kv, "d", otr_bytes_of("4"), NULL);
    otr_code gone = otr_kv_delete(other.kv, "a", &found, &err);
    gone = gone == OTR_OK ? otr_kv_delete(s.kv, "b", &found, &err) : gone;
    uint64_t left = used(s.kv), seen = used(other.kv);
    otr_code again = otr_kv_set(other.kv, "e", otr_bytes_of("5"), &err);
    otr_kv_close(other.kv);
    REQUIRE_OK(first, err);
    CHECK(third == OTR_EQUOTA || third == OTR_ENOMEM);
    CHECK(fourth == OTR_EQUOTA || fourth == OTR_ENOMEM);
    REQUIRE_OK(gone, err);
    CHECK_INT(left, 0);
    CHECK_INT(seen, 0);
    REQUIRE_OK(again, err);
}

typedef struct worker {
    pthread_t thread;
    const store *s;
    char tag;
    unsigned refused;
} worker;

static void *fill(void *arg)
{
    worker *w = arg;
    otr_kv *kv = NULL;
    if (otr_kv_open(w->s->path, "p", 20 * (ROW + 12), &kv, NULL) != OTR_OK) {
        return NULL;
    }
    for (int i = 0; i < 60; i++) {
        char key[8];
        bool found = false;
        (void)snprintf(key, sizeof(key), "%c%d", w->tag, 10 + i % 30);
        otr_code rc = i % 7 == 6 ? otr_kv_delete(kv, key, &found, NULL)
                                 : otr_kv_set(kv, key, otr_bytes_of("123456789"), NULL);
        w->refused += rc == OTR_EQUOTA;
    }
    otr_kv_close(kv);
    return w;
}

T_NO_OOM(workers_of_one_plugin_never_pass_its_quota_together)
{
    STORE(20 * (ROW + 12));
    worker workers[4] = { 0 };
    for (size_t i = 0; i < OTR_COUNT(workers); i++) {
        workers[i] = (worker){ .s = &s, .tag = (char)('a' + i) };
        REQUIRE(pthread_create(&workers[i].thread, NULL, fill, &workers[i]) == 0);
    }
    for (size_t i = 0; i < OTR_COUNT(workers); i++) {
        void *done = NULL;
        pthread_join(workers[i].thread, &done);
        CHECK(done != NULL && workers[i].refused > 0);
    }
    CHECK(used(s.kv) <= 20 * (ROW + 12));
    CHECK(used(s.kv) > 10 * (ROW + 12));
}

static otr_code run_sql(const store *s, const char *text)
{
    sqlite3 *db = NULL;
    bool ok = sqlite3_open_v2(s->path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
              sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK;
    sqlite3_close(db);
    return ok ? OTR_OK : OTR_EIO;
}

/* As an agent before the count was kept, or a person, has it. */
T_NO_OOM(what_others_wrote_is_counted)
{
    STORE(1000);
    REQUIRE_OK(otr_kv_set(s.kv, "a", otr_bytes_of("1"), &err), err);
    REQUIRE(run_sql(&s, "INSERT INTO kv VALUES ('p', 'bb', '22'), ('q', 'c', '3');"
                        "UPDATE kv SET value = '12345' WHERE key = 'a'") == OTR_OK);
    CHECK_INT(used(s.kv), 2 * ROW + 10);
    otr_kv_close(otr_steal(&s.kv));
    REQUIRE(run_sql(&s, "DROP TABLE kv_use; DROP TRIGGER kv_use_insert;"
                        "DROP TRIGGER kv_use_update; DROP TRIGGER kv_use_delete;"
                        "INSERT INTO kv VALUES ('p', 'd', '4')") == OTR_OK);
    REQUIRE_OK(open_store(&s, "p", 1000, &err), err);
    CHECK_INT(used(s.kv), 3 * ROW + 12);
    REQUIRE(run_sql(&s, "UPDATE kv_use SET bytes = -5, rows = -1") == OTR_OK); /* no underflow */
    CHECK_INT(used(s.kv), 0);
}

/* Another process: locks of one's own are no obstacle. True: it could have the file for itself. */
static bool another_process_is_alone(const store *s)
{
    int status = 1;
    pid_t child = fork();
    if (child == 0) {
        int fd = open(s->path, O_RDWR | O_CLOEXEC);
        /* SQLite's shared lock, which who wants the file alone asks for. */
        struct flock lock = {
            .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0x40000002, .l_len = 510
        };
        _exit(fd >= 0 && fcntl(fd, F_SETLK, &lock) == 0 ? 0 : 1);
    }
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

T_NO_OOM(another_instance_that_opens_it_takes_nobodys_locks_away)
{
    STORE(1000);
    REQUIRE_OK(otr_kv_set(s.kv, "a", otr_bytes_of("1"), &err), err);
    CHECK(!another_process_is_alone(&s));
    store other = s;
    REQUIRE_OK(open_store(&other, "q", 1000, &err), err);
    CHECK(!another_process_is_alone(&s));
    otr_kv_close(other.kv);
    CHECK(!another_process_is_alone(&s));
    CHECK(value_is(&s, "a", "1"));
}

T(a_link_or_a_folder_is_no_store)
{
    STORE(1000);
    otr_kv *kv = NULL;
    char path[64];
    (void)snprintf(path, sizeof(path), "%s/link", s.folder);
    REQUIRE(symlink(s.path, path) == 0);
    otr_code rc = otr_kv_open(path, "p", 10, &kv, &err);
    unlink(path);
    REQUIRE(rc == OTR_EINVAL);
    CHECK_HAS(err.msg, "link is not a regular file");
    CHECK_INT(otr_kv_open(s.folder, "p", 10, &kv, &err), OTR_EINVAL);
}

T(a_quota_that_became_smaller_lets_values_shrink_and_go)
{
    STORE(1000);
    bool found = false;
    REQUIRE_OK(otr_kv_set(s.kv, "a", otr_bytes_of("0123456789"), &err), err);
    REQUIRE_OK(otr_kv_set(s.kv, "b", otr_bytes_of("0123456789"), &err), err);
    otr_kv_on(s.kv, &(otr_kv_terms){ .quota_bytes = ROW });
    CHECK(otr_kv_set(s.kv, "a", otr_bytes_of("01234567890"), &err) == OTR_EQUOTA);
    CHECK(otr_kv_set(s.kv, "c", otr_bytes_of(""), &err) == OTR_EQUOTA);
    REQUIRE_OK(otr_kv_set(s.kv, "a", otr_bytes_of("9876543210"), &err), err);
    CHECK(value_is(&s, "a", "9876543210"));
    REQUIRE_OK(otr_kv_set(s.kv, "a", otr_bytes_of("1"), &err), err);
    REQUIRE_OK(otr_kv_delete(s.kv, "b", &found, &err), err);
    CHECK(found);
    CHECK_INT(used(s.kv), ROW + 2);
}

T_NO_OOM(a_wait_for_another_writer_ends_with_the_call)
{
    STORE(1000);
    sqlite3 *db = NULL;
    atomic_bool ended = false;
    REQUIRE(sqlite3_open_v2(s.path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK);
    REQUIRE(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK);
    uint64_t begin = otr_now_ns();
    otr_kv_terms terms = { 1000, begin + 50 * OTR_NS_PER_MS, &ended };
    otr_kv_on(s.kv, &terms);
    CHECK_INT(otr_kv_set(s.kv, "a", otr_bytes_of("1"), &err), OTR_ETIMEOUT);
    uint64_t took = otr_now_ns() - begin;
    CHECK(took >= 50 * OTR_NS_PER_MS && took < OTR_NS_PER_S);
    terms.until_ns = otr_now_ns() + 3600 * OTR_NS_PER_S;
    ended = true;
    otr_kv_on(s.kv, &terms);
    CHECK_INT(otr_kv_set(s.kv, "a", otr_bytes_of("1"), &err), OTR_ETIMEOUT);
    ended = false;
    sqlite3_close(db);
    REQUIRE_OK(otr_kv_set(s.kv, "a", otr_bytes_of("1"), &err), err);
}

T(a_key_has_1_to_512_bytes)
{
    STORE(10000);
    char key[OTR_LIMIT_KV_KEY_BYTES + 2];
    memset(key, 'k', sizeof(key) - 1);
    key[sizeof(key) - 1] = '\0';
    CHECK(otr_kv_set(s.kv, key, otr_bytes_of("v"), &err) == OTR_EQUOTA);
    CHECK(otr_kv_set(s.kv, "", otr_bytes_of("v"), &err) == OTR_EINVAL);
    key[OTR_LIMIT_KV_KEY_BYTES] = '\0';
    REQUIRE_OK(otr_kv_set(s.kv, key, otr_bytes_of("v"), &err), err);
    CHECK(value_is(&s, key, "v"));
}

T(values_survive_a_reopen_and_the_file_is_private)
{
    STORE(100);
    REQUIRE_OK(otr_kv_set(s.kv, "a", otr_bytes_of("1"), &err), err);
    otr_kv_close(s.kv);
    s.kv = NULL;
    REQUIRE_OK(open_store(&s, "p", 100, &err), err);
    CHECK(value_is(&s, "a", "1"));
    CHECK_INT(used(s.kv), ROW + 2);
    struct stat st;
    REQUIRE(stat(s.path, &st) == 0);
    CHECK_INT(st.st_mode & 0777, 0600);
}

T(plugins_do_not_see_each_other)
{
    STORE(100);
    REQUIRE_OK(otr_kv_set(s.kv, "a", otr_bytes_of("1"), &err), err);
    store other = s;
    otr_code rc = open_store(&other, "q", 100, &err);
    bool hidden = rc == OTR_OK && !value_is(&other, "a", "1") && used(other.kv) == 0;
    otr_kv_close(other.kv == s.kv ? NULL : other.kv);
    REQUIRE_OK(rc, err);
    CHECK(hidden);
}

static bool join(void *arg, const char *key)
{
    strncat(arg, key, 20);
    return strcmp(key, "b2") != 0;
}

T(a_list_is_in_order_and_by_prefix)
{
    STORE(1000);
    static const char *const keys[] = { "b3", "a", "b1", "c", "b2" };
    for (size_t i = 0; i < OTR_COUNT(keys); i++) {
        REQUIRE_OK(otr_kv_set(s.kv, keys[i], otr_bytes_of("v"), &err), err);
    }
    char seen[64] = "";
    REQUIRE_OK(otr_kv_list(s.kv, "b", "", join, seen, &err), err);
    CHECK_STR(seen, "b1b2");
}

T(a_list_goes_on_after_a_key_that_need_not_be_there)
{
    static const struct {
        const char *prefix, *after, *seen;
    } all[] = {
        { "b", "b1", "b3b4" }, { "b", "b2", "b3b4" }, { "b", "b4", "" },   { "b", "a", "b1b3b4" },
        { "b", "bz", "" },     { "b", "c", "" },      { "", "b3", "b4c" }, { "", "zz", "" },
        { "b3", "b3", "" },    { "b3", "b", "b3" },
    };
    static const char *const keys[] = { "b3", "a", "b1", "c", "b4" };
    STORE(1000);
    for (size_t i = 0; i < OTR_COUNT(keys); i++) {
        REQUIRE_OK(otr_kv_set(s.kv, keys[i], otr_bytes_of("v"), &err), err);
    }
    for (size_t i = 0; i < OTR_COUNT(all); i++) {
        char seen[64] = "";
        REQUIRE_OK(otr_kv_list(s.kv, all[i].prefix, all[i].after, join, seen, &err), err);
        CHECK_STR(seen, all[i].seen);
    }
}
