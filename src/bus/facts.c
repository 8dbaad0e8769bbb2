#include "bus/facts.h"

#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"

otr_facts *otr_facts_ref(otr_facts *facts)
{
    if (facts != NULL) {
        (void)atomic_fetch_add_explicit(&facts->refs, 1, memory_order_relaxed);
    }
    return facts;
}

otr_facts *otr_facts_unref(otr_facts *facts)
{
    if (facts != NULL && atomic_fetch_sub_explicit(&facts->refs, 1, memory_order_acq_rel) == 1) {
        for (size_t i = 0; i < facts->n; i++) {
            otr_msg_unref(facts->items[i].msg);
        }
        otr_free(facts);
    }
    return NULL;
}

/* Does the fact go when a message of `topic` and `kind` comes about the same thing? */
static bool goes(const otr_fact_msg *old, const otr_topic *topic, otr_fact kind)
{
    return kind != OTR_FACT_IS || old->msg->topic == topic;
}

static bool exists(const otr_facts *facts, const char *name)
{
    for (size_t i = 0; facts != NULL && i < facts->n; i++) {
        const otr_fact_msg *f = &facts->items[i];
        if (f->kind == OTR_FACT_BEGINS && strcmp(f->about(f->msg->payload), name) == 0) {
            return true;
        }
    }
    return false;
}

otr_code otr_facts_note(otr_facts **slot, const otr_msg *msg, otr_fact kind, otr_about_fn *about,
                        otr_err *err)
{
    otr_facts *old = *slot;
    const char *name = about(msg->payload);
    size_t n = old != NULL ? old->n : 0;
    if (kind != OTR_FACT_BEGINS && !exists(old, name)) {
        return OTR_OK;
    }
    otr_facts *fresh = otr_alloc(sizeof(*fresh) + (n + 1) * sizeof(fresh->items[0]));
    if (fresh == NULL) {
        return otr_fail_nomem(err);
    }
    fresh->n = 0;
    atomic_init(&fresh->refs, 1);
    for (size_t i = n >= OTR_LIMIT_BUS_FACTS ? 1 : 0; i < n; i++) {
        const otr_fact_msg *f = &old->items[i];
        if (strcmp(f->about(f->msg->payload), name) != 0 || !goes(f, msg->topic, kind)) {
            fresh->items[fresh->n] = *f;
            (void)otr_msg_ref(f->msg);
            fresh->n++;
        }
    }
    if (kind != OTR_FACT_ENDS) {
        fresh->items[fresh->n++] = (otr_fact_msg){ otr_msg_ref(msg), kind, about };
    }
    *slot = fresh;
    (void)otr_facts_unref(old);
    return OTR_OK;
}
