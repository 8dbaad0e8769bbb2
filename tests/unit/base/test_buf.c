#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "support/test.h"

static void deinit(void *buf)
{
    otr_buf_deinit(buf);
}

#define BUF(name, max)                \
    OTR_CLEANUP(deinit) otr_buf name; \
    otr_buf_init(&name, max)

/* A temporary file with `n` bytes of 'x'; removed with its folder by remove_file(). */
static bool make_file(char path[64], size_t n)
{
    (void)snprintf(path, 64, "/tmp/otr-buf-XXXXXX");
    int fd = mkstemp(path);
    bool ok = fd >= 0;
    for (size_t i = 0; ok && i < n; i++) {
        ok = write(fd, "x", 1) == 1;
    }
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

T(a_new_buffer_is_an_empty_text)
{
    BUF(b, 10);
    CHECK_STR(otr_buf_text(&b), "");
    CHECK_INT(otr_buf_bytes(&b).n, 0);
    otr_buf_deinit(NULL);
    otr_buf_clear(&b);
    otr_buf_cut(&b, 0);
    CHECK_STR(otr_buf_text(&b), "");
}

T(at_the_ceiling_nothing_is_taken)
{
    BUF(b, 4);
    otr_err e;
    REQUIRE_OK(otr_buf_adds(&b, "abc", &e), e);
    CHECK_INT(otr_buf_adds(&b, "de", &e), OTR_EQUOTA);
    CHECK_HAS(e.msg, "4 bytes");
    CHECK_STR(otr_buf_text(&b), "abc");
    CHECK_INT(otr_buf_addf(&b, &e, "%d", 12), OTR_EQUOTA);
    CHECK_STR(otr_buf_text(&b), "abc");
    REQUIRE_OK(otr_buf_addc(&b, 'd', &e), e);
    CHECK_INT(otr_buf_addc(&b, 'e', NULL), OTR_EQUOTA);
    CHECK_STR(otr_buf_text(&b), "abcd");
}

T(a_ceiling_of_zero_takes_only_nothing)
{
    BUF(b, 0);
    otr_err e;
    CHECK_INT(otr_buf_addc(&b, 'x', &e), OTR_EQUOTA);
    REQUIRE_OK(otr_buf_adds(&b, "", &e), e);
    REQUIRE_OK(otr_buf_add(&b, (otr_bytes){ NULL, 0 }, &e), e);
    REQUIRE_OK(otr_buf_adds(&b, NULL, &e), e);
    CHECK_INT(b.n, 0);
}

T(memory_stays_below_the_ceiling)
{
    BUF(b, 1000);
    otr_err e;
    for (int i = 0; i < 1000; i++) {
        REQUIRE_OK(otr_buf_addc(&b, 'x', &e), e);
    }
    CHECK(b.cap <= 1001);
    CHECK_INT(b.n, 1000);
}

T(a_size_near_the_end_of_the_address_space_is_refused)
{
    BUF(b, SIZE_MAX);
    otr_err e;
    uint8_t *at = NULL;
    REQUIRE_OK(otr_buf_adds(&b, "abc", &e), e);
    CHECK_INT(otr_buf_reserve(&b, SIZE_MAX, &at, &e), OTR_EQUOTA);
    CHECK_INT(otr_buf_reserve(&b, SIZE_MAX - 3, &at, &e), OTR_EQUOTA);
    CHECK_STR(otr_buf_text(&b), "abc");
}

T(reserved_bytes_count_when_they_are_written)
{
    BUF(b, 100);
    otr_err e;
    uint8_t *at;
    REQUIRE_OK(otr_buf_reserve(&b, 50, &at, &e), e);
    memcpy(at, "hello", 5);
    CHECK_INT(b.n, 0);
    otr_buf_grew(&b, 5);
    CHECK_STR(otr_buf_text(&b), "hello");
    otr_buf_cut(&b, 2);
    CHECK_STR(otr_buf_text(&b), "he");
}

T(formatted_text_of_any_length_fits)
{
    BUF(b, 100000);
    otr_err e;
    for (int width = 120; width < 140; width++) {
        otr_buf_clear(&b);
        REQUIRE_OK(otr_buf_addf(&b, &e, "%*d|", width, 7), e);
        CHECK_INT(b.n, width + 1);
        CHECK_STR(otr_buf_text(&b) + width - 1, "7|");
    }
    REQUIRE_OK(otr_buf_addf(&b, &e, "%5000d", 7), e);
    CHECK_INT(strlen(otr_buf_text(&b)), b.n);
}

T(bytes_with_a_nul_are_kept)
{
    BUF(b, 10);
    otr_err e;
    REQUIRE_OK(otr_buf_add(&b, (otr_bytes){ (const uint8_t *)"a\0b", 3 }, &e), e);
    CHECK_INT(b.n, 3);
    CHECK(memcmp(b.p, "a\0b", 4) == 0);
    otr_buf_deinit(&b);
    CHECK_INT(b.max_bytes, 10);
    REQUIRE_OK(otr_buf_adds(&b, "again", &e), e);
    CHECK_STR(otr_buf_text(&b), "again");
}

T(a_missing_file_is_named)
{
    BUF(b, 10);
    otr_err e;
    CHECK_INT(otr_buf_read_file(&b, "/nonexistent/f", &e), OTR_ENOTFOUND);
    CHECK_STR(e.msg, "cannot open /nonexistent/f: No such file or directory");
}

T(a_folder_is_not_a_file)
{
    BUF(b, 10);
    otr_err e;
    CHECK(otr_buf_read_file(&b, "/tmp", &e) != OTR_OK);
    CHECK_HAS(e.msg, "/tmp");
    CHECK_INT(b.n, 0);
}

T(a_file_over_the_ceiling_leaves_the_buffer_as_it_was)
{
    char path[64];
    otr_err e;
    REQUIRE(make_file(path, 20));
    BUF(b, 22);
    otr_code rc = otr_buf_adds(&b, "abc", &e);
    otr_code too_long = rc == OTR_OK ? otr_buf_read_file(&b, path, &e) : OTR_EQUOTA;
    otr_code zero = otr_buf_read_file(&b, "/dev/zero", NULL);
    unlink(path);
    REQUIRE_OK(rc, e);
    CHECK_INT(too_long, OTR_EQUOTA);
    CHECK_HAS(e.msg, path);
    CHECK_INT(zero, OTR_EINVAL); /* no device is read */
    CHECK_STR(otr_buf_text(&b), "abc");
}

T(a_file_that_just_fits_is_read)
{
    char path[64];
    otr_err e;
    REQUIRE(make_file(path, 20));
    BUF(b, 20);
    otr_code rc = otr_buf_read_file(&b, path, &e);
    unlink(path);
    REQUIRE_OK(rc, e);
    CHECK_STR(otr_buf_text(&b), "xxxxxxxxxxxxxxxxxxxx");
    REQUIRE_OK(otr_buf_read_file(&b, "/dev/null", &e), e);
    CHECK_INT(b.n, 20);
}

T(a_failing_read_leaves_the_buffer_as_it_was)
{
    BUF(b, 20);
    otr_err e;
    REQUIRE_OK(otr_buf_adds(&b, "abc", &e), e);
    CHECK_INT(otr_buf_read_fd(&b, -1, &e), OTR_EIO);
    CHECK_INT(e.sys, EBADF);
    CHECK_STR(otr_buf_text(&b), "abc");
}
