#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

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

T(the_quota_counts_keys_and_values_and_keeps_the_old_value)
{
    STORE(20);
    REQUIRE_OK(otr_kv_set(s.kv, "key", otr_bytes_of("0123456789"), &err), err);
    CHECK_INT(otr_kv_used_bytes(s.kv), 13);
    CHECK(otr_kv_set(s.kv, "key", otr_bytes_of("0123456789012345678"), &err) == OTR_EQUOTA);
    CHECK(otr_kv_set(s.kv, "k2", otr_bytes_of("012345"), &err) == OTR_EQUOTA);
    CHECK(value_is(&s, "key", "0123456789"));
    REQUIRE_OK(otr_kv_set(s.kv, "key", otr_bytes_of(""), &err), err);
    CHECK_INT(otr_kv_used_bytes(s.kv), 3);
    CHECK(value_is(&s, "key", ""));
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
    CHECK_INT(otr_kv_used_bytes(s.kv), 2);
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
    bool hidden = rc == OTR_OK && !value_is(&other, "a", "1") && otr_kv_used_bytes(other.kv) == 0;
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
    STORE(100);
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
    STORE(100);
    for (size_t i = 0; i < OTR_COUNT(keys); i++) {
        REQUIRE_OK(otr_kv_set(s.kv, keys[i], otr_bytes_of("v"), &err), err);
    }
    for (size_t i = 0; i < OTR_COUNT(all); i++) {
        char seen[64] = "";
        REQUIRE_OK(otr_kv_list(s.kv, all[i].prefix, all[i].after, join, seen, &err), err);
        CHECK_STR(seen, all[i].seen);
    }
}
