#include "plugin/encoding/encoding.h"

#include <outrider/plugin/v1/plugin.pb-c.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "plugin/encoding/protobuf.h"

const char *const otr_encoding_names[] = { "json", "protobuf", NULL };

bool otr_encoding_find(const char *name, otr_encoding *ret)
{
    static const otr_encoding all[] = { OTR_ENCODING_JSON, OTR_ENCODING_PROTOBUF };
    for (size_t i = 0; i < OTR_COUNT(all); i++) {
        if (strcmp(name, otr_encoding_names[all[i]]) == 0) {
            *ret = all[i];
            return true;
        }
    }
    return false;
}

otr_code otr_encoding_check(otr_encoding encoding, const char *abi, otr_err *err)
{
    if (encoding == OTR_ENCODING_JSON || strcmp(abi, "wit") != 0) {
        return OTR_OK;
    }
    return otr_fail(err, OTR_EUNSUP,
                    "encoding: %s is for Extism and waPC; a WIT component has the types of its "
                    "world and gets messages as JSON: leave the key out",
                    otr_encoding_names[encoding]);
}

/* ---- messages ---- */

/* The member of Envelope.payload for each topic of src/modules/topics.h; all others have data. */
static const char *payload_field(const char *topic)
{
    static const char *const fields[][2] = {
        { "nginx.instance.started", "instance" },
        { "nginx.instance.changed", "instance" },
        { "nginx.instance.stopped", "instance" },
        { "nginx.health.changed", "health" },
        { "nginx.metrics.sampled", "metrics" },
        { "host.metrics", "host_metrics" },
        { "nginx.config.apply.started", "config_apply" },
        { "nginx.config.apply.finished", "config_apply" },
        { "nginx.config.drifted", "config_drifted" },
        { "agent.config.reloaded", "config_reloaded" },
        { "agent.plugin.changed", "plugin_changed" },
    };
    for (size_t i = 0; i < OTR_COUNT(fields); i++) {
        if (strcmp(fields[i][0], topic) == 0) {
            return fields[i][1];
        }
    }
    return "data";
}

static otr_code pack_head(const otr_msg *msg, otr_buf *out, otr_err *err)
{
    uint64_t wall_ns = otr_wall_of(msg->created_ns);
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    time.seconds = (int64_t)(wall_ns / OTR_NS_PER_S);
    time.nanos = (int32_t)(wall_ns % OTR_NS_PER_S);
    Outrider__Plugin__V1__Envelope head = OUTRIDER__PLUGIN__V1__ENVELOPE__INIT;
    head.id = msg->id;
    head.topic = (char *)(uintptr_t)msg->topic->name;
    head.version = msg->topic->version;
    head.time = &time;
    head.source = (char *)(uintptr_t)(msg->source != NULL ? msg->source : "");
    head.cause = msg->cause;
    uint8_t *at;
    size_t n = outrider__plugin__v1__envelope__get_packed_size(&head);
    otr_code rc = otr_buf_reserve(out, n, &at, err);
    if (rc == OTR_OK) {
        otr_buf_grew(out, outrider__plugin__v1__envelope__pack(&head, at));
    }
    return rc;
}

static otr_code encode_envelope(const otr_msg *msg, otr_buf *out, otr_err *err)
{
    otr_bytes data;
    otr_code rc = otr_msg_data(msg, &data, err);
    rc = rc == OTR_OK ? pack_head(msg, out, err) : rc;
    return rc == OTR_OK ? otr_pb_write_field(otr_pb_find("Envelope"),
                                             payload_field(msg->topic->name), data, out, err)
                        : rc;
}

otr_code otr_encoding_message(otr_encoding encoding, const otr_msg *msg, otr_bytes *ret,
                              otr_err *err)
{
    return encoding == OTR_ENCODING_PROTOBUF ? otr_msg_encoded(msg, encode_envelope, ret, err)
                                             : otr_msg_json(msg, ret, err);
}

otr_code otr_encoding_data(otr_encoding encoding, const char *topic, otr_bytes json,
                           otr_buf *scratch, otr_bytes *ret, otr_err *err)
{
    if (encoding == OTR_ENCODING_JSON) {
        *ret = json;
        return OTR_OK;
    }
    const otr_pb_type *envelope = otr_pb_find("Envelope");
    bool found;
    otr_buf_clear(scratch);
    otr_code rc = otr_pb_write_field(envelope, payload_field(topic), json, scratch, err);
    return rc == OTR_OK ? otr_pb_field(envelope, otr_buf_bytes(scratch), payload_field(topic), ret,
                                       &found, err)
                        : rc;
}

/* ---- operations of the guest ---- */

/* An envelope that somebody wrote as JSON: its "data" becomes the member that its topic has. */
static otr_code write_envelope(otr_bytes json, otr_buf *out, otr_err *err)
{
    const otr_pb_type *envelope = otr_pb_find("Envelope");
    OTR_CLEANUP(otr_json_freep) otr_json *root = NULL;
    otr_code rc = otr_json_parse(json, &root, err);
    rc = rc == OTR_OK ? otr_pb_write(envelope, json, out, err) : rc;
    const char *topic = rc == OTR_OK ? otr_json_str(otr_json_get(root, "topic"), "") : "";
    const char *field = payload_field(topic);
    const otr_json *data = rc == OTR_OK ? otr_json_get(root, "data") : NULL;
    if (data == NULL || strcmp(field, "data") == 0) {
        return rc;
    }
    otr_buf text;
    otr_buf_init(&text, OTR_LIMIT_JSON_BYTES);
    rc = otr_json_write(data, &text, err);
    /* Behind the Value that is there already: of a oneof the last member counts. */
    rc = rc == OTR_OK ? otr_pb_write_field(envelope, field, otr_buf_bytes(&text), out, err) : rc;
    otr_buf_deinit(&text);
    return rc;
}

otr_code otr_encoding_input(otr_encoding encoding, const char *op, otr_bytes json, otr_buf *scratch,
                            otr_bytes *ret, otr_err *err)
{
    bool config = strcmp(op, "init") == 0 || strcmp(op, "reconfigure") == 0;
    bool message = strcmp(op, "process") == 0;
    if (encoding == OTR_ENCODING_JSON || (!config && !message)) {
        *ret = json;
        return OTR_OK;
    }
    otr_buf_clear(scratch);
    otr_code rc = config ? otr_pb_write(otr_pb_find("google.protobuf.Struct"), json, scratch, err)
                         : write_envelope(json, scratch, err);
    if (rc != OTR_OK) {
        return otr_wrap(err, rc, "%s", op);
    }
    *ret = otr_buf_bytes(scratch);
    return OTR_OK;
}

otr_code otr_encoding_answer(otr_encoding encoding, const char *op, otr_bytes answer,
                             otr_buf *scratch, otr_bytes *ret, otr_err *err)
{
    static const struct {
        const char *op, *message;
        otr_pb_absent absent;
    } known[] = { { "info", "Info", OTR_PB_ABSENT_SCALARS },
                  { "subscriptions", "Subscriptions", OTR_PB_ABSENT_ALL },
                  { "process", "Verdict", OTR_PB_ABSENT_SCALARS } };
    for (size_t i = 0; encoding == OTR_ENCODING_PROTOBUF && i < OTR_COUNT(known); i++) {
        if (strcmp(known[i].op, op) == 0) {
            otr_buf_clear(scratch);
            otr_code rc =
                otr_pb_read(otr_pb_find(known[i].message), answer, known[i].absent, scratch, err);
            if (rc != OTR_OK) {
                return otr_wrap(err, rc, "%s: expected outrider.plugin.v1.%s", op,
                                known[i].message);
            }
            *ret = otr_buf_bytes(scratch);
            return OTR_OK;
        }
    }
    *ret = answer;
    return OTR_OK;
}

void otr_encoding_host(otr_encoded_host *host, otr_guest_spec *spec)
{
    if (host->encoding == OTR_ENCODING_PROTOBUF) {
        spec->ops = &otr_encoding_protobuf_ops;
        spec->host = host;
    } else {
        spec->ops = host->ops;
        spec->host = host->host;
    }
}
