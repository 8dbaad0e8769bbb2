#include "plugin/log_budget.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"

enum { LINES_BITS = 16 };
_Static_assert(OTR_LIMIT_PLUGIN_LOGS_PER_S < 1 << LINES_BITS, "the lines of a second fit");

/* The first line of a second: were there more in the ones before than were written? */
static void tell(otr_log_budget *b, const char *name)
{
    uint64_t dropped = atomic_load(&b->dropped);
    uint64_t told = atomic_exchange(&b->told, dropped);
    if (dropped > told) {
        otr_log_warn("log lines of plugin dropped, more than it may cause in a second", "plugin",
                     name, "dropped", OTR_U64(dropped - told), "limit",
                     OTR_U64(OTR_LIMIT_PLUGIN_LOGS_PER_S));
    }
}

bool otr_log_budget_take(otr_log_budget *b, const char *name)
{
    const uint64_t mask = (UINT64_C(1) << LINES_BITS) - 1;
    uint64_t now = otr_now_ns() / OTR_NS_PER_S;
    uint64_t seen = atomic_load_explicit(&b->window, memory_order_relaxed);
    uint64_t second, lines;
    bool more;
    do {
        second = seen >> LINES_BITS > now ? seen >> LINES_BITS : now; /* another thread is ahead */
        lines = seen >> LINES_BITS == second ? seen & mask : 0;
        if (lines >= OTR_LIMIT_PLUGIN_LOGS_PER_S) {
            (void)atomic_fetch_add_explicit(&b->dropped, 1, memory_order_relaxed);
            return false;
        }
        more = lines == 0 && atomic_load(&b->dropped) > atomic_load(&b->told);
        lines += more ? 2 : 1; /* the line of tell() counts, too */
    } while (!atomic_compare_exchange_weak_explicit(&b->window, &seen, second << LINES_BITS | lines,
                                                    memory_order_relaxed, memory_order_relaxed));
    if (more) {
        tell(b, name);
    }
    return true;
}

uint64_t otr_log_budget_dropped(const otr_log_budget *b)
{
    return atomic_load_explicit(&((otr_log_budget *)b)->dropped, memory_order_relaxed);
}
