#include "plugin/guest/map.h"

#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/log.h"
#include "bus/bus.h"
#include "plugin/encoding/pick.h"

enum { TEXT_BYTES = 1024 };

/* ---- what it is given ---- */

/* A path that begins with none of the envelope's members begins in its data. */
static otr_code find(const otr_msg *msg, char *const *path, otr_bytes *ret, otr_err *err)
{
    otr_bytes json;
    bool data = strcmp(path[0], "data") == 0;
    bool head = otr_pick_is_envelope(path[0]);
    otr_code rc = head && !data ? otr_msg_json(msg, &json, err) : otr_msg_data(msg, &json, err);
    if (rc == OTR_OK) {
        *ret = otr_pick(json, data ? path + 1 : path);
    }
    return rc;
}

static otr_code map_field(const otr_manifest *m, const otr_msg *msg, otr_buf *scratch,
                          otr_bytes *ret, otr_err *err)
{
    otr_bytes value = { NULL, 0 };
    otr_code rc = find(msg, m->mapping.path, &value, err);
    if (rc == OTR_OK && value.p == NULL) {
        return otr_fail(err, OTR_ENOTFOUND, "input: the message has no field %s",
                        m->mapping.input_text);
    }
    return rc == OTR_OK ? otr_pick_plain(value, scratch, ret, err) : rc;
}

otr_code otr_guest_map_input(const otr_manifest *m, const otr_msg *msg, otr_buf *scratch,
                             otr_bytes *ret, otr_err *err)
{
    otr_bytes data;
    if (OTR_LIKELY(m->mapping.input == OTR_INPUT_MESSAGE)) {
        return otr_encoding_message(m->encoding, msg, ret, err);
    }
    if (m->mapping.input == OTR_INPUT_FIELD) {
        return map_field(m, msg, scratch, ret, err);
    }
    otr_code rc = otr_msg_data(msg, &data, err);
    return rc == OTR_OK ? otr_encoding_data(m->encoding, msg->topic->name, data, scratch, ret, err)
                        : rc;
}

/* ---- what it answers ---- */

/* No larger than the bus takes, also while it is being made. */
static otr_code value_of(otr_hostcalls *hc, otr_bytes answer, otr_buf *scratch, otr_bytes *ret,
                         otr_err *err)
{
    size_t most = scratch->max_bytes;
    scratch->max_bytes = OTR_LIMIT_BUS_PAYLOAD_BYTES;
    otr_code rc = answer.n <= OTR_LIMIT_BUS_PAYLOAD_BYTES
                      ? otr_pick_value_of(answer, scratch, ret, err)
                      : otr_fail(err, OTR_EQUOTA, "an answer of %zu bytes; the bus takes %u",
                                 answer.n, OTR_LIMIT_BUS_PAYLOAD_BYTES);
    scratch->max_bytes = most;
    hc->outbox.dropped += rc == OTR_EQUOTA;
    return rc;
}

otr_code otr_guest_map_output(otr_hostcalls *hc, otr_bytes answer, otr_buf *scratch, otr_err *err)
{
    const char *topic = hc->gate.manifest->mapping.publish;
    otr_bytes value;
    if (OTR_LIKELY(topic == NULL) || answer.n == 0) {
        return OTR_OK;
    }
    otr_code rc = value_of(hc, answer, scratch, &value, err);
    rc = rc == OTR_OK ? otr_outbox_add(&hc->outbox, &hc->gate, topic, value, err) : rc;
    return rc == OTR_OK ? OTR_OK : otr_wrap(err, rc, "publish");
}

otr_code otr_guest_map_info(const otr_manifest *m, otr_contract_info *ret, otr_err *err)
{
    char *version = otr_strdup(m->mapping.version);
    if (version == NULL) {
        return otr_fail_nomem(err);
    }
    *ret = (otr_contract_info){ version, OTR_HAS_LIST };
    return OTR_OK;
}

bool otr_guest_map_asks_topics(const otr_plugin_mapping *map, const otr_guest_code *code)
{
    return !map->topics_given || otr_mapping_find(map, "subscriptions") != NULL ||
           (map->version == NULL && otr_guest_code_has(code, "subscriptions"));
}

/* ---- what is said about it ---- */

void otr_guest_map_skip(const otr_manifest *m, const otr_msg *msg, bool *logged)
{
    if (!*logged) {
        *logged = true;
        otr_log_warn("message skipped, as it has no such field; further ones are only counted",
                     "plugin", m->name, "topic", msg->topic->name, "input", m->mapping.input_text);
    }
}

otr_code otr_guest_map_blame(const otr_manifest *m, otr_code rc, otr_err *err)
{
    char *const *pair = rc == OTR_EINVAL ? m->mapping.names : NULL;
    while (pair != NULL && *pair != NULL && strstr(err->msg, pair[1]) == NULL) {
        pair += 2;
    }
    return pair != NULL && *pair != NULL
               ? otr_wrap(err, rc, "operations.%s at %s", pair[0], m->where)
               : rc;
}

static bool granted(const otr_manifest *m)
{
    for (char *const *pattern = m->publish; *pattern != NULL; pattern++) {
        if (otr_topic_match(*pattern, m->mapping.publish)) {
            return true;
        }
    }
    return false;
}

void otr_guest_map_tell(const otr_manifest *m)
{
    const otr_plugin_mapping *map = &m->mapping;
    OTR_CLEANUP(otr_buf_deinit) otr_buf text;
    otr_buf_init(&text, TEXT_BYTES);
    if (!map->any || otr_mapping_text(map, &text, NULL) != OTR_OK) {
        return;
    }
    otr_log_info("plugin is asked as its entry says", "plugin", m->name, "operation",
                 otr_buf_text(&text), "input",
                 map->input_text != NULL ? map->input_text : "message", "publish",
                 map->publish != NULL ? map->publish : "", "manifest", m->where);
    if (map->publish != NULL && !granted(m)) {
        otr_log_warn("no grant covers what the plugin is to publish: its answers will be denied",
                     "plugin", m->name, "publish", map->publish, "grant", "grants.publish",
                     "manifest", m->where);
    }
}
