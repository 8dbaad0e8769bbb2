#include "plugin/log_budget.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"

#define LINE_NS  (OTR_NS_PER_S / OTR_LIMIT_PLUGIN_LOGS_PER_S)
#define AHEAD_NS (LINE_NS * (OTR_LIMIT_PLUGIN_LOGS_PER_S - 1))

/* One line, if there is room. */
static bool pay(otr_log_budget *b, uint64_t now_ns)
{
    uint64_t paid_ns = atomic_load_explicit(&b->paid_ns, memory_order_relaxed), from_ns;
    do {
        from_ns = paid_ns > now_ns ? paid_ns : now_ns;
        if (from_ns - now_ns > AHEAD_NS) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&b->paid_ns, &paid_ns, from_ns + LINE_NS,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

/* The line counts like any other, but is written in any case. */
static void tell(otr_log_budget *b, const char *name, uint64_t now_ns)
{
    uint64_t dropped = atomic_load(&b->dropped), told_ns = atomic_load(&b->told_ns);
    if (dropped == atomic_load(&b->told) || now_ns - told_ns < OTR_NS_PER_S ||
        !atomic_compare_exchange_strong(&b->told_ns, &told_ns, now_ns)) {
        return; /* or another thread tells */
    }
    uint64_t told = atomic_exchange(&b->told, dropped);
    (void)atomic_fetch_add(&b->paid_ns, LINE_NS);
    otr_log_warn("log lines of plugin dropped, more than it may cause in a second", "plugin", name,
                 "dropped", OTR_U64(dropped - told), "limit", OTR_U64(OTR_LIMIT_PLUGIN_LOGS_PER_S));
}

bool otr_log_budget_take(otr_log_budget *b, const char *name)
{
    uint64_t now_ns = otr_now_ns();
    if (!pay(b, now_ns)) {
        (void)atomic_fetch_add_explicit(&b->dropped, 1, memory_order_relaxed);
        return false;
    }
    tell(b, name, now_ns);
    return true;
}

uint64_t otr_log_budget_dropped(const otr_log_budget *b)
{
    return atomic_load_explicit(&((otr_log_budget *)b)->dropped, memory_order_relaxed);
}
