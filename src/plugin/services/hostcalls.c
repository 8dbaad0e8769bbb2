#include "plugin/services/hostcalls.h"

#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "plugin/services/http.h"

void otr_hostcalls_init(otr_hostcalls *hc, const char *name, const otr_manifest *manifest)
{
    *hc = (otr_hostcalls){ .name = name, .manifest = manifest };
    hc->last = &hc->first;
}

void otr_hostcalls_begin(otr_hostcalls *hc, const otr_msg *cause)
{
    hc->cause = cause;
    hc->in_call = 0;
    if (hc->manifest->http.n > 0) {
        hc->began_ns = otr_now_ns();
    }
}

static void outgoing_free(otr_outgoing *out)
{
    otr_msg_unref(out->cause);
    otr_free(out->json);
    otr_free(out);
}

static otr_outgoing *outbox_take(otr_hostcalls *hc)
{
    otr_outgoing *out = hc->first;
    if (out != NULL) {
        hc->first = out->next;
        if (hc->first == NULL) {
            hc->last = &hc->first;
        }
    }
    return out;
}

void otr_hostcalls_deinit(otr_hostcalls *hc)
{
    for (otr_outgoing *out; (out = outbox_take(hc)) != NULL;) {
        outgoing_free(out);
    }
    hc->bytes = 0;
    otr_hostcalls_forget(hc);
    otr_guest_metrics_deinit(&hc->metrics);
    otr_kv_close(hc->kv);
    hc->kv = NULL;
    otr_guest_http_free(hc->http);
    hc->http = NULL;
    hc->facts = otr_facts_unref(hc->facts);
}

static otr_code deliver(otr_hostcalls *hc, otr_bus *bus, otr_outgoing *out, otr_err *err)
{
    const otr_topic *topic;
    OTR_CLEANUP(otr_msg_unrefp) otr_msg *msg = NULL;
    otr_code rc = otr_bus_topic(bus, out->topic, &topic, err);
    if (rc == OTR_OK) {
        rc = otr_msg_new(topic, out->json, hc->name, out->cause, &msg, err);
    }
    if (rc == OTR_OK) {
        out->json = NULL; /* the message owns it now */
        rc = otr_bus_publish(bus, msg, err);
    }
    return rc;
}

uint64_t otr_hostcalls_flush(otr_hostcalls *hc, otr_bus *bus)
{
    uint64_t sent = 0;
    for (otr_outgoing *out; (out = outbox_take(hc)) != NULL;) {
        otr_err err = { 0 };
        if (deliver(hc, bus, out, &err) == OTR_OK) {
            sent++;
        } else {
            hc->publish_dropped++;
            if (!hc->quota_logged) {
                hc->quota_logged = true;
                otr_log_warn("message of plugin dropped; further ones are only counted", "plugin",
                             hc->name, "topic", out->topic, "err", err.msg);
            }
        }
        outgoing_free(out);
    }
    hc->bytes = 0;
    return sent;
}

/* ---- grants ---- */

void otr_hostcalls_count_denial(otr_hostcalls *hc, const char *grant)
{
    hc->denials[otr_denial_of(grant)]++;
}

uint64_t otr_hostcalls_denials(const otr_hostcalls *hc)
{
    uint64_t n = 0;
    for (size_t i = 0; i < OTR_DENIAL_KINDS; i++) {
        n += hc->denials[i];
    }
    return n;
}

otr_code otr_hostcalls_deny(otr_hostcalls *hc, const char *what, const char *grant, otr_err *err)
{
    unsigned kind = otr_denial_of(grant);
    unsigned bit = 1U << kind;
    hc->denials[kind]++;
    if ((hc->denial_logged & bit) == 0) {
        hc->denial_logged |= bit;
        otr_log_warn("host operation denied; further ones of its kind are only counted", "plugin",
                     hc->name, "operation", what, "grant", grant, "manifest", hc->manifest->where);
    }
    return otr_fail(err, OTR_EDENIED, "%s: not granted to plugin \"%s\" (grants.%s at %s)", what,
                    hc->name, grant, hc->manifest->where);
}

static bool may_publish(const otr_hostcalls *hc, const char *topic)
{
    for (char *const *pattern = hc->manifest->publish; *pattern != NULL; pattern++) {
        if (otr_topic_match(*pattern, topic)) {
            return true;
        }
    }
    return false;
}

/* limits.publish: so many a second, and as many at once as one call may have. The clock is read
 * only when what it said the last time is not enough. */
static bool too_many(otr_hostcalls *hc)
{
    if (hc->manifest->publish_per_s == 0) {
        return false;
    }
    uint64_t each_ns = OTR_NS_PER_S / hc->manifest->publish_per_s;
    uint64_t ahead_ns = each_ns * (OTR_LIMIT_PLUGIN_PUBLISH_CALL - 1);
    if (hc->looked_ns == 0 || hc->publish_ns > hc->looked_ns + ahead_ns) {
        hc->looked_ns = otr_now_ns();
    }
    if (hc->publish_ns > hc->looked_ns + ahead_ns) {
        return true;
    }
    uint64_t from_ns = hc->publish_ns > hc->looked_ns ? hc->publish_ns : hc->looked_ns;
    hc->publish_ns = from_ns + each_ns;
    return false;
}

static otr_code check_publish(otr_hostcalls *hc, const char *topic, otr_bytes payload, otr_err *err)
{
    otr_code rc = otr_topic_check(topic, false, err);
    if (rc != OTR_OK) {
        return rc;
    }
    if (!may_publish(hc, topic)) {
        return otr_hostcalls_deny(hc, topic, "publish", err);
    }
    if (hc->in_call >= OTR_LIMIT_PLUGIN_PUBLISH_CALL) {
        hc->publish_dropped++;
        return otr_fail(err, OTR_EQUOTA, "more than %d messages published in one call",
                        OTR_LIMIT_PLUGIN_PUBLISH_CALL);
    }
    if (payload.n > OTR_LIMIT_BUS_PAYLOAD_BYTES || hc->bytes > OTR_LIMIT_BUS_PAYLOAD_BYTES) {
        hc->publish_dropped++;
        return otr_fail(err, OTR_EQUOTA, "published more than %u bytes at once",
                        OTR_LIMIT_BUS_PAYLOAD_BYTES);
    }
    if (!otr_json_valid(payload)) {
        hc->publish_dropped++;
        return otr_fail(err, OTR_EINVAL, "%s: the published data is not valid JSON", topic);
    }
    if (too_many(hc)) {
        hc->publish_dropped++;
        return otr_fail(err, OTR_EQUOTA, "more than %u messages a second (limits.publish)",
                        hc->manifest->publish_per_s);
    }
    return OTR_OK;
}

static otr_code do_publish(void *host, const char *topic, otr_bytes payload, otr_err *err)
{
    otr_hostcalls *hc = host;
    otr_code rc = check_publish(hc, topic, payload, err);
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
    out->cause = hc->cause != NULL ? otr_msg_ref(hc->cause) : NULL;
    *hc->last = out;
    hc->last = &out->next;
    hc->in_call++;
    hc->bytes += payload.n;
    return OTR_OK;
}

static otr_code do_config(void *host, const char *key, otr_buf *out, otr_err *err)
{
    const otr_hostcalls *hc = host;
    for (char *const *pair = hc->manifest->config_pairs; *pair != NULL; pair += 2) {
        if (strcmp(pair[0], key) == 0) {
            return otr_buf_adds(out, pair[1], err);
        }
    }
    return otr_fail(err, OTR_ENOTFOUND, "no configuration key \"%s\"", key);
}

static void do_log(void *host, int level, otr_bytes text)
{
    otr_hostcalls *hc = host;
    uint64_t second = otr_now_ns() / OTR_NS_PER_S;
    if (second != hc->log_second) {
        hc->log_second = second;
        hc->log_count = 0;
    }
    if (hc->log_count >= OTR_LIMIT_PLUGIN_LOGS_PER_S) {
        hc->logs_dropped++;
        return;
    }
    hc->log_count++;
    hc->logs++;
    otr_log_level at = level < OTR_LOG_DEBUG   ? OTR_LOG_DEBUG
                       : level > OTR_LOG_ERROR ? OTR_LOG_ERROR
                                               : (otr_log_level)level;
    if (at < otr_log_get_level()) {
        return;
    }
    size_t n = text.n < OTR_LIMIT_PLUGIN_LOG_BYTES ? text.n : OTR_LIMIT_PLUGIN_LOG_BYTES;
    char line[OTR_LIMIT_PLUGIN_LOG_BYTES + 1];
    if (n > 0) {
        memcpy(line, text.p, n);
    }
    line[n] = '\0';
    otr_log(at, "plugin says", "plugin", hc->name, "text", line, (char *)NULL);
}

const otr_host_ops otr_hostcalls_ops = {
    .publish = do_publish,
    .config = do_config,
    .call = otr_hostcalls_call,
    .log = do_log,
};
