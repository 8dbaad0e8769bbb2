#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { OOM_MOST = 4000, TEST_SECONDS = 120 };

static otr_test *first, **last = &first;
static bool under_oom;
static unsigned failures;
static const char *skipped;

void otr_test_add(otr_test *test)
{
    *last = test;
    last = &test->next;
}

static bool tolerated(void)
{
    return under_oom && otr_alloc_failed() > 0;
}

bool otr_test_check(bool ok, const char *file, int line, const char *what)
{
    if (!ok && !tolerated()) {
        printf("# %s:%d: failed: %s\n", file, line, what);
        failures++;
    }
    return ok;
}

bool otr_test_check_str(const char *a, const char *b, const char *file, int line, const char *what)
{
    bool ok = a != NULL && b != NULL && strcmp(a, b) == 0;
    if (!ok && !tolerated()) {
        printf("# %s:%d: %s is \"%s\", expected \"%s\"\n", file, line, what,
               a != NULL ? a : "(null)", b != NULL ? b : "(null)");
        failures++;
    }
    return ok;
}

bool otr_test_check_int(long long a, long long b, const char *file, int line, const char *what)
{
    if (a != b && !tolerated()) {
        printf("# %s:%d: %s is %lld, expected %lld\n", file, line, what, a, b);
        failures++;
    }
    return a == b;
}

void otr_test_skip(const char *why)
{
    skipped = why;
}

static void run_once(const otr_test *t)
{
    long before = otr_alloc_live();
    alarm(TEST_SECONDS); /* a hang is a failure, not a silence */
    t->fn();
    alarm(0);
    long leaked = otr_alloc_live() - before;
    if (leaked != 0) {
        printf("# %s: %ld blocks leaked\n", t->name, leaked);
        failures++;
    }
}

static void run_oom(const otr_test *t)
{
    for (long n = 0; n < OOM_MOST; n++) {
        otr_alloc_fail_after(n);
        run_once(t);
        bool reached = otr_alloc_failed() > 0;
        if (failures > 0) {
            printf("# %s: with allocation %ld failing\n", t->name, n);
        }
        otr_alloc_fail_after(-1);
        if (!reached || failures > 0) {
            return;
        }
    }
}

/* Usage: test_x [--oom] [NAME]: all tests, or the one called NAME. */
int main(int argc, char **argv)
{
    const char *only = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--oom") == 0) {
            under_oom = true;
        } else {
            only = argv[i];
        }
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    unsigned n = 0, bad = 0;
    for (const otr_test *t = first; t != NULL; t = t->next) {
        if ((only != NULL && strcmp(only, t->name) != 0) || (under_oom && !t->oom)) {
            continue;
        }
        failures = 0;
        skipped = NULL;
        if (under_oom) {
            run_oom(t);
        } else {
            run_once(t);
        }
        bad += failures > 0;
        printf("%sok %u - %s%s%s\n", failures > 0 ? "not " : "", ++n, t->name,
               skipped != NULL ? " # SKIP " : "", skipped != NULL ? skipped : "");
    }
    printf("1..%u\n", n);
    if (n == 0 && !under_oom) {
        printf("# no test ran\n");
        return 1;
    }
    return bad > 0 ? 1 : 0;
}
