/*
 * What a fresh sandbox hears first: the facts that the bus keeps (bus/facts.h) on topics that the
 * guest subscribes to. A sandbox that was replaced, after a trap or by a new version, lost what it
 * knew, so it hears them, too. Left out is what it will hear anyway and what it failed of before.
 *
 * Of several instances one hears each fact, as with messages, and only when the plugin comes up or
 * a new version takes its place: one instance that restarts is not the plugin.
 */
#include "plugin/guest/guest.h"

static bool wanted(const otr_plugin *p, const char *topic)
{
    for (char *const *pattern = p->patterns; pattern != NULL && *pattern != NULL; pattern++) {
        if (otr_topic_match(*pattern, topic)) {
            return true;
        }
    }
    return false;
}

static bool taken(const otr_guest_plugin *g, const otr_msg *msg)
{
    for (size_t i = 0; i < g->seats.n; i++) {
        const otr_guest_job *job = g->seats.items[i]->job;
        for (size_t k = 0; k < job->n; k++) {
            if (job->batch[k].msg == msg) {
                return true;
            }
        }
    }
    for (size_t i = 0; i < g->dead.n_again; i++) {
        if (g->dead.again[i] == msg) {
            return true;
        }
    }
    return false;
}

void otr_guest_recall(otr_guest_plugin *g)
{
    g->facts = otr_facts_unref(g->facts);
    if (g->p->sub != NULL) {
        g->facts = otr_bus_facts(g->p->host->spec.bus);
        g->next_fact = 0;
    }
}

otr_msg *otr_guest_next_fact(otr_guest_plugin *g)
{
    while (g->facts != NULL && g->next_fact < g->facts->n) {
        const otr_msg *msg = g->facts->items[g->next_fact++].msg;
        bool comes_anyway = (g->p->sub != NULL && otr_sub_holds(g->p->sub, msg)) || taken(g, msg);
        /* One that ends each sandbox that takes it would come back with each. */
        if (wanted(g->p, msg->topic->name) && !comes_anyway && !otr_dead_has(&g->dead, msg)) {
            return otr_msg_ref(msg);
        }
    }
    g->facts = otr_facts_unref(g->facts);
    return NULL;
}
