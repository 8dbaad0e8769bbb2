/* kill -9 at any moment of a writer: what a set had answered for is there, and nothing is half. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plugin/services/kv_store.h"
#include "support/test.h"

enum { KILLS = 100, VALUE_BYTES = 3000, QUOTA = 100000, MOST_US = 8000 };

typedef struct store {
    char folder[32], path[48];
} store;

static void remove_store(store *s)
{
    static const char *const ends[] = { "", "-wal", "-shm" };
    for (size_t i = 0; i < OTR_COUNT(ends); i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "%s%s", s->path, ends[i]);
        (void)unlink(path);
    }
    (void)rmdir(s->folder);
}

/* The value of round n: its number, then a byte that depends on it, to the end. */
static void make_value(uint32_t n, uint8_t value[VALUE_BYTES])
{
    memset(value, (int)(n % 251), VALUE_BYTES);
    memcpy(value, &n, sizeof n);
}

/* Sets one value after the other, telling each number when the set has answered. Never returns. */
static void write_for_ever(const char *path, uint32_t from, int tell)
{
    otr_kv *kv = NULL;
    otr_err err = { 0 };
    uint8_t value[VALUE_BYTES];
    if (otr_kv_open(path, "p", QUOTA, &kv, &err) != OTR_OK) {
        _exit(1);
    }
    for (uint32_t n = from;; n++) {
        make_value(n, value);
        if (otr_kv_set(kv, n % 2 == 0 ? "even" : "odd", (otr_bytes){ value, sizeof value }, &err) !=
                OTR_OK ||
            write(tell, &n, sizeof n) != (ssize_t)sizeof n) {
            _exit(1);
        }
    }
}

/* The last number that was told before the end. */
static uint32_t read_told(int from, uint32_t before)
{
    uint32_t n = before;
    while (read(from, &n, sizeof n) == (ssize_t)sizeof n) {
        before = n;
    }
    return before;
}

/* Number in the value under `key`, 0 when there is none; false: it is not whole. */
static bool number_of(otr_kv *kv, const char *key, uint32_t *ret)
{
    uint8_t want[VALUE_BYTES];
    otr_err err = { 0 };
    OTR_CLEANUP(otr_buf_deinit) otr_buf out;
    otr_buf_init(&out, QUOTA);
    otr_code rc = otr_kv_get(kv, key, &out, &err);
    *ret = 0;
    if (rc == OTR_ENOTFOUND) {
        return true;
    }
    if (rc != OTR_OK || out.n != VALUE_BYTES) {
        return false;
    }
    memcpy(ret, out.p, sizeof *ret);
    make_value(*ret, want);
    return memcmp(want, out.p, VALUE_BYTES) == 0;
}

static void check_store(const store *s, uint32_t told, uint32_t *ret_last)
{
    otr_kv *kv = NULL;
    otr_err err = { 0 };
    uint32_t even = 0, odd = 0;
    REQUIRE_OK(otr_kv_open(s->path, "p", QUOTA, &kv, &err), err);
    CHECK(number_of(kv, "even", &even));
    CHECK(number_of(kv, "odd", &odd));
    otr_kv_close(kv);
    *ret_last = even > odd ? even : odd;
    CHECK(*ret_last == told || *ret_last == told + 1); /* the next may have been committed */
    CHECK(even > odd ? even - odd == 1 : odd - even == 1 || odd == even);
}

/* Not under failing allocation: the writer is another process. */
T_NO_OOM(a_value_that_was_set_survives_a_hundred_kills)
{
    OTR_CLEANUP(remove_store) store s = { .folder = "/tmp/otr-kill-XXXXXX" };
    uint64_t dice = 0x9e3779b97f4a7c15U;
    uint32_t last = 0, written = 0;
    REQUIRE(mkdtemp(s.folder) != NULL);
    (void)snprintf(s.path, sizeof s.path, "%s/kv.db", s.folder);
    for (int i = 0; i < KILLS; i++) {
        int ends[2];
        REQUIRE(pipe(ends) == 0);
        pid_t child = fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            (void)close(ends[0]);
            write_for_ever(s.path, last + 1, ends[1]);
        }
        (void)close(ends[1]);
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        (void)usleep((useconds_t)(dice % MOST_US));
        (void)kill(child, SIGKILL);
        uint32_t told = read_told(ends[0], last);
        (void)close(ends[0]);
        (void)waitpid(child, NULL, 0);
        written += told - last;
        check_store(&s, told, &last);
    }
    CHECK(written > 0);
}
