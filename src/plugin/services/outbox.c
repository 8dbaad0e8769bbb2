#include "plugin/services/outbox.h"

#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"

void otr_outbox_init(otr_outbox *box)
{
    *box = (otr_outbox){ .first = NULL };
    box->last = &box->first;
}

void otr_outbox_begin(otr_outbox *box)
{
    box->in_call = 0;
}

static void outgoing_free(otr_outgoing *out)
{
    otr_msg_unref(out->cause);
    otr_free(out->json);
    otr_free(out);
}

static otr_outgoing *take(otr_outbox *box)
{
    otr_outgoing *out = box->first;
    if (out != NULL) {
        box->first = out->next;
        if (box->first == NULL) {
            box->last = &box->first;
        }
    }
    return out;
}

void otr_outbox_deinit(otr_outbox *box)
{
    for (otr_outgoing *out; (out = take(box)) != NULL;) {
        outgoing_free(out);
    }
    box->bytes = 0;
}

/* ---- in ---- */

static bool granted(const otr_manifest *m, const char *topic)
{
    for (char *const *pattern = m->publish; *pattern != NULL; pattern++) {
        if (otr_topic_match(*pattern, topic)) {
            return true;
        }
    }
    return false;
}

static bool may_publish(const otr_gate *gate, const char *topic)
{
    const otr_manifest *policy = otr_gate_policy(gate);
    return granted(gate->manifest, topic) && (policy == gate->manifest || granted(policy, topic));
}

static unsigned rate_of(const otr_gate *gate)
{
    unsigned own = gate->manifest->publish_per_s, policy = otr_gate_policy(gate)->publish_per_s;
    return own == 0 || (policy != 0 && policy < own) ? policy : own;
}

otr_code otr_outbox_permits(otr_gate *gate, const char *topic, otr_err *err)
{
    return may_publish(gate, topic) ? OTR_OK : otr_gate_deny(gate, topic, "publish", err);
}

/* limits.publish: so many a second of all instances of the plugin, and as many at once as one call
 * may have. The clock is read only when what it said the last time is not enough. */
static bool too_many(otr_outbox *box, const otr_gate *gate)
{
    unsigned per_s = rate_of(gate);
    if (per_s == 0) {
        return false;
    }
    uint64_t each_ns = OTR_NS_PER_S / per_s, from_ns;
    uint64_t ahead_ns = each_ns * (OTR_LIMIT_PLUGIN_PUBLISH_CALL - 1);
    uint64_t paid_ns = atomic_load_explicit(gate->paid_ns, memory_order_relaxed);
    do {
        if (box->looked_ns == 0 || paid_ns > box->looked_ns + ahead_ns) {
            box->looked_ns = otr_now_ns();
        }
        if (paid_ns > box->looked_ns + ahead_ns) {
            return true;
        }
        from_ns = paid_ns > box->looked_ns ? paid_ns : box->looked_ns;
    } while (!atomic_compare_exchange_weak_explicit(gate->paid_ns, &paid_ns, from_ns + each_ns,
                                                    memory_order_relaxed, memory_order_relaxed));
    return false;
}

static otr_code check(otr_outbox *box, otr_gate *gate, const char *topic, otr_bytes payload,
                      otr_err *err)
{
    otr_code rc = otr_topic_check(topic, false, err);
    if (rc != OTR_OK) {
        return rc;
    }
    rc = otr_outbox_permits(gate, topic, err);
    if (rc != OTR_OK) {
        return rc;
    }
    if (box->in_call >= OTR_LIMIT_PLUGIN_PUBLISH_CALL) {
        box->dropped++;
        return otr_fail(err, OTR_EQUOTA, "more than %d messages published in one call",
                        OTR_LIMIT_PLUGIN_PUBLISH_CALL);
    }
    if (payload.n > OTR_LIMIT_BUS_PAYLOAD_BYTES - box->bytes) {
        box->dropped++;
        return otr_fail(err, OTR_EQUOTA, "published more than %u bytes at once",
                        OTR_LIMIT_BUS_PAYLOAD_BYTES);
    }
    if (!otr_json_valid(payload)) {
        box->dropped++;
        return otr_fail(err, OTR_EINVAL, "%s: the published data is not valid JSON", topic);
    }
    unsigned per_s = rate_of(gate);
    if (too_many(box, gate)) {
        box->dropped++;
        return otr_fail(err, OTR_EQUOTA, "more than %u messages a second (limits.publish)", per_s);
    }
    return OTR_OK;
}

otr_code otr_outbox_add(otr_outbox *box, otr_gate *gate, const char *topic, otr_bytes payload,
                        otr_err *err)
{
    otr_code rc = check(box, gate, topic, payload, err);
    if (rc != OTR_OK) {
        return rc;
    }
    size_t n = strlen(topic) + 1;
    otr_outgoing *out = otr_alloc(sizeof(*out) + n);
    otr_bus_json *json = out != NULL ? otr_bus_json_new(payload) : NULL;
    if (json == NULL) {
        otr_free(out);
        return otr_fail_nomem(err);
    }
    memcpy(out->topic, topic, n);
    out->next = NULL;
    out->json = json;
    out->cause = gate->cause != NULL ? otr_msg_ref(gate->cause) : NULL;
    *box->last = out;
    box->last = &out->next;
    box->in_call++;
    size_t bytes = sizeof(*out) + sizeof(*json) + n + payload.n;
    size_t room = OTR_LIMIT_BUS_PAYLOAD_BYTES - box->bytes;
    box->bytes += bytes < room ? bytes : room; /* the last one may fill it by its payload alone */
    return OTR_OK;
}

/* ---- out ---- */

static otr_code deliver(const otr_gate *gate, otr_bus *bus, otr_outgoing *out, otr_err *err)
{
    const otr_topic *topic;
    OTR_CLEANUP(otr_msg_unrefp) otr_msg *msg = NULL;
    otr_code rc = otr_bus_topic_of(bus, gate->topics, out->topic, &topic, err);
    if (rc == OTR_OK) {
        rc = otr_msg_new(topic, out->json, gate->name, out->cause, &msg, err);
    }
    if (rc == OTR_OK) {
        out->json = NULL; /* the message owns it now */
        rc = otr_bus_publish(bus, msg, err);
    }
    return rc;
}

uint64_t otr_outbox_flush(otr_outbox *box, const otr_gate *gate, otr_bus *bus)
{
    uint64_t sent = 0;
    for (otr_outgoing *out; (out = take(box)) != NULL;) {
        otr_err err = { 0 };
        if (deliver(gate, bus, out, &err) == OTR_OK) {
            sent++;
        } else {
            box->dropped++;
            if (!box->drop_logged && otr_log_budget_take(gate->budget, gate->name)) {
                box->drop_logged = true;
                otr_log_warn("message of plugin dropped; further ones are only counted", "plugin",
                             gate->name, "topic", out->topic, "err", err.msg);
            }
        }
        outgoing_free(out);
    }
    box->bytes = 0;
    return sent;
}
