/* `after:`, in both directions: who waits for whom to come up, and to stop. */
#include <string.h>

#include "base/texts.h"
#include "plugin/guest/guest.h"

static bool comes_after(const otr_plugin *p, const char *name)
{
    const otr_guest_plugin *g = p->state;
    return otr_texts_have(g->crew.policy->after, name);
}

/* It stops, and another one takes its place. */
static bool comes_back(const otr_plugin *p)
{
    const otr_guest_plugin *g = p->state;
    return g->back != NULL;
}

const char *otr_guest_waits_for(const otr_guest_plugin *g)
{
    for (const otr_plugin *other = g->p->host->first; other != NULL; other = other->next) {
        bool comes = other->guest && other != g->p &&
                     (comes_back(other) || (!other->settled && !other->stopped));
        if (comes && comes_after(g->p, other->name)) {
            return other->name;
        }
    }
    return NULL;
}

/* Somebody who came up after it is still at work. */
static bool is_needed(const otr_plugin *p)
{
    for (const otr_plugin *other = p->host->first; other != NULL; other = other->next) {
        const otr_guest_plugin *g = other->guest ? other->state : NULL;
        if (g != NULL && g->stop_wanted && !other->stopped && comes_after(other, p->name)) {
            return true;
        }
    }
    return false;
}

void otr_guest_want_stop(otr_guest_plugin *g, uint64_t deadline_ns)
{
    g->stop_by_ns = g->stop_wanted && g->stop_by_ns < deadline_ns ? g->stop_by_ns : deadline_ns;
    g->stop_wanted = true;
}

bool otr_guest_may_stop(const otr_guest_plugin *g)
{
    return g->stop_wanted && !g->stop_begun && !is_needed(g->p);
}
