#include "wasm/abi/wapc_publish.h"

#include "base/json.h"
#include "base/limits.h"

/* Topic and data as the guest wrote them; false when the message is not that plain. */
static bool plain_message(otr_bytes in, char topic[OTR_LIMIT_BUS_TOPIC_BYTES + 1],
                          otr_bytes *ret_data)
{
    static const char *const keys[] = { "topic", "data" };
    otr_bytes found[OTR_COUNT(keys)];
    if (!otr_json_members(in, keys, OTR_COUNT(keys), found) || found[0].n < 2 ||
        found[0].n - 2 > OTR_LIMIT_BUS_TOPIC_BYTES || found[0].p[0] != '"' ||
        memchr(found[0].p, '\\', found[0].n) != NULL) {
        return false;
    }
    memcpy(topic, found[0].p + 1, found[0].n - 2);
    topic[found[0].n - 2] = '\0';
    *ret_data = found[1];
    return true;
}

static const char message_shape[] = "bus.publish wants {\"topic\": \"...\", \"data\": ...}";

/* One with escapes in a name or in the topic, or a wrong one. A tree takes many times what its text
 * does, and none of that is the guest's own memory: so it is for small ones. */
static otr_code publish_parsed(const otr_guest *g, otr_bytes in, otr_err *err)
{
    OTR_CLEANUP(otr_json_freep) otr_json *doc = NULL;
    if (in.n > OTR_LIMIT_JSON_ASKED) {
        return otr_fail(err, OTR_EINVAL,
                        "%s; a message of more than %u bytes must be valid JSON, with each member "
                        "once and no escapes in their names and the topic",
                        message_shape, OTR_LIMIT_JSON_ASKED);
    }
    otr_code rc = otr_json_parse(in, &doc, err);
    if (rc != OTR_OK) {
        return otr_wrap(err, rc, "bus.publish");
    }
    const char *topic = otr_json_str(otr_json_get(doc, "topic"), NULL);
    const otr_json *data = otr_json_get(doc, "data");
    if (topic == NULL) {
        return otr_fail(err, OTR_EINVAL, "%s", message_shape);
    }
    otr_buf text;
    otr_buf_init(&text, OTR_LIMIT_BUS_PAYLOAD_BYTES);
    rc = data != NULL ? otr_json_write(data, &text, err) : OTR_OK;
    if (rc == OTR_OK) {
        rc = g->spec.ops->publish(g->spec.host, topic, otr_buf_bytes(&text), err);
    }
    otr_buf_deinit(&text);
    return rc;
}

otr_code otr_wapc_publish(const otr_guest *g, otr_bytes in, otr_err *err)
{
    if (g->spec.ops->publish_message != NULL) {
        return g->spec.ops->publish_message(g->spec.host, in, err);
    }
    if (g->spec.ops->publish == NULL) {
        return otr_fail(err, OTR_EUNSUP, "the host does not offer this here");
    }
    char topic[OTR_LIMIT_BUS_TOPIC_BYTES + 1];
    otr_bytes data;
    return plain_message(in, topic, &data) ? g->spec.ops->publish(g->spec.host, topic, data, err)
                                           : publish_parsed(g, in, err);
}
