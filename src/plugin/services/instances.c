/* instances.list: from the facts of the bus, as the loop handed them over. */
#include <string.h>

#include "base/json.h"
#include "base/limits.h"
#include "bus/bus.h"
#include "plugin/services/services.h"

/* Part of the contract with guests, like the names of all topics. */
#define INSTANCE_TOPICS "nginx.instance.*"

/* Is something newer known about the same instance? */
static bool outdated(const otr_facts *facts, size_t at, const char *name)
{
    for (size_t i = at + 1; i < facts->n; i++) {
        const otr_fact_msg *f = &facts->items[i];
        if (otr_topic_match(INSTANCE_TOPICS, f->msg->topic->name) &&
            strcmp(f->about(f->msg->payload), name) == 0) {
            return true;
        }
    }
    return false;
}

static otr_code write_one(otr_jw *w, const otr_msg *msg, otr_err *err)
{
    otr_buf one;
    otr_buf_init(&one, OTR_LIMIT_PLUGIN_OUTPUT_BYTES);
    otr_code rc = msg->topic->encode(msg->payload, &one, err);
    if (rc == OTR_OK) {
        otr_jw_raw(w, NULL, otr_buf_bytes(&one));
    }
    otr_buf_deinit(&one);
    return rc;
}

static otr_code list(otr_gate *gate, void *own, otr_bytes in, otr_buf *out, otr_err *err)
{
    (void)in;
    (void)own;
    const otr_facts *facts = gate->facts;
    otr_jw w;
    otr_code rc = OTR_OK;
    otr_jw_begin(&w, out, err);
    otr_jw_arr(&w, NULL);
    for (size_t i = 0; rc == OTR_OK && facts != NULL && i < facts->n; i++) {
        const otr_fact_msg *f = &facts->items[i];
        if (otr_topic_match(INSTANCE_TOPICS, f->msg->topic->name) &&
            !outdated(facts, i, f->about(f->msg->payload))) {
            rc = write_one(&w, f->msg, err);
        }
    }
    otr_jw_arr_end(&w);
    otr_code wrote = otr_jw_end(&w);
    return rc == OTR_OK ? wrote : rc;
}

static bool granted(const otr_manifest *m)
{
    return m->see_instances;
}

static const otr_operation operations[] = { { "instances.list", list }, { NULL, NULL } };

const otr_service otr_service_instances = {
    .name = "instances.list",
    .grant = "instances",
    .granted = granted,
    .operations = operations,
};
