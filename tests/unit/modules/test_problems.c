#include <stdio.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "modules/problems.h"
#include "support/test.h"

static void free_problems(otr_problems **p)
{
    otr_problems_free(*p);
}

static size_t count(const otr_problems *p)
{
    size_t n;
    (void)otr_problems_list(p, &n);
    return n;
}

T(a_problem_is_listed_once_with_its_latest_text)
{
    OTR_CLEANUP(free_problems) otr_problems *p = NULL;
    otr_err e = { 0 };
    REQUIRE_OK(otr_problems_new(&p, &e), e);
    otr_problem_set(p, "", "status page", "port %d is taken", 9180);
    otr_problem_set(p, "", "status page", "port %d is taken", 9181);
    size_t n;
    const otr_problem *list = otr_problems_list(p, &n);
    if (otr_problems_missing(p) == 0) {
        CHECK_INT(n, 1);
        CHECK_STR(list[0].name, "status page");
    }
}

T(an_end_takes_it_out_and_a_second_end_is_fine)
{
    OTR_CLEANUP(free_problems) otr_problems *p = NULL;
    otr_err e = { 0 };
    REQUIRE_OK(otr_problems_new(&p, &e), e);
    otr_problem_set(p, "a", "one", "x");
    otr_problem_set(p, "a", "two", "y");
    otr_problem_clear(p, "a", "one");
    otr_problem_clear(p, "a", "one");
    size_t n;
    const otr_problem *list = otr_problems_list(p, &n);
    if (otr_problems_missing(p) == 0) {
        CHECK_INT(n, 1);
        CHECK_STR(list[0].name, "two");
        CHECK_STR(list[0].text, "y");
    }
}

T(who_is_gone_has_no_problems)
{
    OTR_CLEANUP(free_problems) otr_problems *p = NULL;
    otr_err e = { 0 };
    REQUIRE_OK(otr_problems_new(&p, &e), e);
    otr_problem_set(p, "a", "one", "x");
    otr_problem_set(p, "b", "one", "x");
    otr_problem_set(p, "a", "two", "x");
    otr_problems_forget(p, "a");
    if (otr_problems_missing(p) == 0) {
        CHECK_INT(count(p), 1);
    }
}

T(what_finds_no_room_is_counted)
{
    OTR_CLEANUP(free_problems) otr_problems *p = NULL;
    otr_err e = { 0 };
    REQUIRE_OK(otr_problems_new(&p, &e), e);
    char name[32];
    for (int i = 0; i < OTR_LIMIT_PROBLEMS + 2; i++) {
        (void)snprintf(name, sizeof(name), "n%d", i);
        otr_problem_set(p, "", name, "x");
    }
    if (otr_alloc_failed() == 0) {
        CHECK_INT(count(p), OTR_LIMIT_PROBLEMS);
        CHECK_INT(otr_problems_missing(p), 2);
    }
}

T(what_found_no_room_is_missing_once_and_until_it_is_over)
{
    OTR_CLEANUP(free_problems) otr_problems *p = NULL;
    otr_err e = { 0 };
    REQUIRE_OK(otr_problems_new(&p, &e), e);
    char name[32];
    for (int i = 0; i < OTR_LIMIT_PROBLEMS; i++) {
        (void)snprintf(name, sizeof(name), "n%d", i);
        otr_problem_set(p, "", name, "x");
    }
    otr_problem_set(p, "a", "one", "x");
    otr_problem_set(p, "a", "one", "y");
    otr_problem_set(p, "b", "one", "x");
    otr_problem_set(p, "b", "two", "x");
    if (otr_alloc_failed() > 0) {
        return;
    }
    CHECK_INT(otr_problems_missing(p), 3);
    otr_problem_clear(p, "a", "one");
    CHECK_INT(otr_problems_missing(p), 2);
    otr_problem_clear(p, "", "n0"); /* room for one */
    otr_problem_set(p, "b", "one", "x");
    CHECK_INT(otr_problems_missing(p), 1);
    CHECK_INT(count(p), OTR_LIMIT_PROBLEMS);
    otr_problems_forget(p, "b");
    CHECK_INT(otr_problems_missing(p), 0);
    CHECK_INT(count(p), OTR_LIMIT_PROBLEMS - 1);
}
