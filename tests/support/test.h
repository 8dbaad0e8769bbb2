/*
 * A small TAP harness.
 *
 *     T(unsubscribe_inside_delivery_is_safe)
 *     {
 *         OTR_CLEANUP(otr_freep) char *s = otr_strdup("x");
 *         REQUIRE(s != NULL);
 *         CHECK_STR(s, "x");
 *     }
 *
 * Each test also runs under failing allocation (`--oom`): again and again with the n-th allocation
 * made to fail, for every n the test reaches. There a failed CHECK or REQUIRE is expected after the
 * injected failure; a crash, a leak of otr_alloc blocks or a hang is not. So a test owns what it
 * makes through OTR_CLEANUP, and uses REQUIRE (which returns) before it touches a result.
 * T_NO_OOM is for tests whose threads or foreign libraries make that meaningless: say why.
 */
#ifndef OTR_TESTS_SUPPORT_TEST_H
#define OTR_TESTS_SUPPORT_TEST_H

#include <stdbool.h>
#include <string.h>

#include "base/alloc.h"
#include "base/base.h"
#include "base/err.h"

typedef struct otr_test {
    const char *name;
    void (*fn)(void);
    bool oom;
    struct otr_test *next;
} otr_test;

void otr_test_add(otr_test *test);
/* Both report and return `ok`. */
bool otr_test_check(bool ok, const char *file, int line, const char *what);
bool otr_test_check_str(const char *a, const char *b, const char *file, int line, const char *what);
bool otr_test_check_int(long long a, long long b, const char *file, int line, const char *what);
/* Skips the running test with a reason; return after it. */
void otr_test_skip(const char *why);

#define T_WITH_(test_name, with_oom)                                              \
    static void test_name(void);                                                  \
    static otr_test test_name##_test = { #test_name, test_name, with_oom, NULL }; \
    __attribute__((constructor)) static void test_name##_add(void)                \
    {                                                                             \
        otr_test_add(&test_name##_test);                                          \
    }                                                                             \
    static void test_name(void)

#define T(test_name)        T_WITH_(test_name, true)
#define T_NO_OOM(test_name) T_WITH_(test_name, false)

#define CHECK(cond)     ((void)otr_test_check((cond), __FILE__, __LINE__, #cond))
#define CHECK_STR(a, b) ((void)otr_test_check_str((a), (b), __FILE__, __LINE__, #a))
#define CHECK_INT(a, b) \
    ((void)otr_test_check_int((long long)(a), (long long)(b), __FILE__, __LINE__, #a))
#define CHECK_HAS(a, b) ((void)otr_test_check(strstr((a), (b)) != NULL, __FILE__, __LINE__, (a)))
#define REQUIRE(cond)                                             \
    do {                                                          \
        if (!otr_test_check((cond), __FILE__, __LINE__, #cond)) { \
            return;                                               \
        }                                                         \
    } while (0)
/* An otr_code that must be OTR_OK; prints `e.msg` (an otr_err) when it is not. */
#define REQUIRE_OK(rc, e)                                               \
    do {                                                                \
        if (!otr_test_check((rc) == OTR_OK, __FILE__, __LINE__, #rc)) { \
            (void)otr_test_check(false, __FILE__, __LINE__, (e).msg);   \
            return;                                                     \
        }                                                               \
    } while (0)

#endif
