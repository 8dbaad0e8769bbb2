#include <pthread.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "plugin/log_budget.h"
#include "support/test.h"

enum { MOST = OTR_LIMIT_PLUGIN_LOGS_PER_S, THREADS = 4, TRIES = 5 * MOST };

static unsigned take(otr_log_budget *b, unsigned times)
{
    unsigned taken = 0;
    for (unsigned i = 0; i < times; i++) {
        taken += otr_log_budget_take(b, "p");
    }
    return taken;
}

T(a_second_has_so_many_lines_and_the_rest_is_counted)
{
    otr_log_budget b = { 0 };
    otr_log_set_level(OTR_LOG_ERROR);
    otr_clock_fake(7 * OTR_NS_PER_S);
    CHECK_INT(take(&b, MOST), MOST);
    CHECK_INT(otr_log_budget_dropped(&b), 0);
    CHECK_INT(take(&b, 50), 0);
    CHECK_INT(otr_log_budget_dropped(&b), 50);
    otr_clock_fake(8 * OTR_NS_PER_S);
    CHECK_INT(take(&b, 2 * MOST), MOST - 1); /* one line tells of those that were dropped */
    otr_clock_fake(20 * OTR_NS_PER_S);
    CHECK_INT(take(&b, 2 * MOST), MOST - 1);
    otr_clock_fake(0);
}

T(a_storm_goes_on_line_by_line)
{
    otr_log_budget b = { 0 };
    const uint64_t step = OTR_NS_PER_S / MOST;
    unsigned written = 0;
    otr_log_set_level(OTR_LOG_ERROR);
    otr_clock_fake(OTR_NS_PER_S);
    (void)take(&b, 2 * MOST);
    for (unsigned i = 1; i <= 3 * MOST; i++) {
        otr_clock_fake(OTR_NS_PER_S + i * step);
        unsigned taken = take(&b, 10);
        CHECK(taken <= 1);
        written += taken;
    }
    CHECK(written >= 3 * MOST - 4 && written < 3 * MOST); /* one a second tells of the others */
    otr_clock_fake(0);
}

T(each_plugin_has_a_budget_of_its_own)
{
    otr_log_budget a = { 0 }, b = { 0 };
    otr_clock_fake(OTR_NS_PER_S);
    CHECK_INT(take(&a, 2 * MOST), MOST);
    CHECK_INT(take(&b, MOST), MOST);
    otr_clock_fake(0);
}

static void *take_many(void *arg)
{
    return (void *)(uintptr_t)take(arg, TRIES);
}

T_NO_OOM(instances_on_many_threads_share_it)
{
    otr_log_budget b = { 0 };
    pthread_t threads[THREADS];
    uintptr_t taken = 0;
    otr_clock_fake(OTR_NS_PER_S);
    for (size_t i = 0; i < THREADS; i++) {
        REQUIRE(pthread_create(&threads[i], NULL, take_many, &b) == 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        void *n = NULL;
        pthread_join(threads[i], &n);
        taken += (uintptr_t)n;
    }
    otr_clock_fake(0);
    CHECK_INT(taken, MOST);
    CHECK_INT(otr_log_budget_dropped(&b), THREADS * TRIES - MOST);
}
