/* Host operations in protobuf: the question becomes JSON, the operation answers, the answer becomes
 * protobuf. proto/outrider/plugin/v1/host.proto has the messages. */
#include "base/alloc.h"
#include "base/frame.h"
#include "base/json.h"
#include "base/limits.h"
#include "plugin/encoding/encoding.h"
#include "plugin/encoding/protobuf.h"

typedef struct exchange {
    const otr_encoded_host *host;
    const char *op;
    otr_bytes in;
    otr_buf question, answer; /* as the operation has them */
    otr_err *err;
} exchange;

/* One field, then the rest (base/frame.h). */
static otr_code put_frame(exchange *x, otr_bytes head, otr_bytes body)
{
    otr_buf_clear(&x->question);
    otr_code rc = otr_frame_put(head, &x->question, x->err);
    return rc == OTR_OK ? otr_buf_add(&x->question, body, x->err) : rc;
}

static otr_code ask_as(exchange *x, const char *op)
{
    return x->host->ops->call(x->host->host, op, otr_buf_bytes(&x->question), &x->answer, x->err);
}

/* ---- operations of their own kind ---- */

static otr_code kv_set(exchange *x, otr_buf *out)
{
    (void)out;
    const otr_pb_type *type = otr_pb_find("KvSet");
    otr_bytes key = { NULL, 0 }, value = key, raw = key;
    bool has_key = false, has_value = false, has_raw = false;
    otr_buf json;
    otr_code rc = otr_pb_field(type, x->in, "key", &key, &has_key, x->err);
    rc = rc == OTR_OK ? otr_pb_field(type, x->in, "value", &value, &has_value, x->err) : rc;
    rc = rc == OTR_OK ? otr_pb_field(type, x->in, "raw", &raw, &has_raw, x->err) : rc;
    if (rc != OTR_OK) {
        return rc;
    }
    if (has_value == has_raw) {
        return otr_fail(x->err, OTR_EINVAL, "expected either value or raw");
    }
    otr_buf_init(&json, OTR_LIMIT_JSON_BYTES);
    if (has_value) {
        rc = otr_pb_read(otr_pb_find("google.protobuf.Value"), value, OTR_PB_ABSENT_NOTHING, &json,
                         x->err);
        raw = otr_buf_bytes(&json);
    }
    rc = rc == OTR_OK ? put_frame(x, key, raw) : rc;
    otr_buf_deinit(&json);
    return rc == OTR_OK ? ask_as(x, "kv.put") : rc;
}

static otr_code kv_get(exchange *x, otr_buf *out)
{
    const otr_pb_type *type = otr_pb_find("KvGetAnswer");
    otr_code rc = otr_buf_add(&x->question, x->in, x->err);
    rc = rc == OTR_OK ? ask_as(x, x->op) : rc;
    if (rc != OTR_OK) {
        return rc;
    }
    otr_bytes stored = otr_buf_bytes(&x->answer);
    return otr_json_valid(stored) ? otr_pb_write_field(type, "value", stored, out, x->err)
                                  : otr_pb_write_bytes(type, "raw", stored, out, x->err);
}

static otr_code http_request(exchange *x, otr_buf *out)
{
    const otr_pb_type *answer = otr_pb_find("HttpAnswer");
    const otr_pb_type *question = otr_pb_find("HttpRequest");
    otr_bytes head = { NULL, 0 }, body = head;
    bool found = false;
    otr_buf json;
    otr_buf_init(&json, OTR_LIMIT_JSON_BYTES);
    otr_code rc = otr_pb_read(question, x->in, OTR_PB_ABSENT_NOTHING, &json, x->err);
    rc = rc == OTR_OK ? otr_pb_field(question, x->in, "body", &body, &found, x->err) : rc;
    rc = rc == OTR_OK ? put_frame(x, otr_buf_bytes(&json), body) : rc;
    rc = rc == OTR_OK ? ask_as(x, x->op) : rc;
    body = otr_buf_bytes(&x->answer);
    if (rc == OTR_OK && !otr_frame_take(&body, &head)) {
        rc = otr_fail(x->err, OTR_EIO, "the answer is cut off");
    }
    rc = rc == OTR_OK ? otr_pb_write(answer, head, out, x->err) : rc;
    rc = rc == OTR_OK ? otr_pb_write_bytes(answer, "body", body, out, x->err) : rc;
    otr_buf_deinit(&json);
    return rc;
}

/* ---- the others, by table ---- */

static const struct operation {
    const char *name;
    const char *question; /* message, or NULL: bytes as they are */
    const char *answer;   /* message, or NULL: none */
    const char *list;     /* the field for an answer that is no object */
    otr_code (*special)(exchange *x, otr_buf *out);
} operations[] = {
    { "kv.get", NULL, NULL, NULL, kv_get },
    { "kv.set", NULL, NULL, NULL, kv_set },
    { "kv.delete", NULL, "KvDeleteAnswer", "found", NULL },
    { "kv.list", NULL, "KvListAnswer", "keys", NULL },
    { "http.request", NULL, NULL, NULL, http_request },
    { "metric.counter", "Metric", NULL, NULL, NULL },
    { "metric.gauge", "Metric", NULL, NULL, NULL },
    { "metric.histogram", "Metric", NULL, NULL, NULL },
    { "clock.now", NULL, "ClockAnswer", NULL, NULL },
    { "instances.list", NULL, "InstancesAnswer", "instances", NULL },
};

static otr_code by_table(const struct operation *o, exchange *x, otr_buf *out)
{
    otr_code rc = o->question != NULL ? otr_pb_read(otr_pb_find(o->question), x->in,
                                                    OTR_PB_ABSENT_SCALARS, &x->question, x->err)
                                      : otr_buf_add(&x->question, x->in, x->err);
    rc = rc == OTR_OK ? ask_as(x, x->op) : rc;
    if (rc != OTR_OK || o->answer == NULL) {
        return rc;
    }
    const otr_pb_type *type = otr_pb_find(o->answer);
    otr_bytes json = otr_buf_bytes(&x->answer);
    bool object = json.n > 0 && json.p[0] == '{';
    return o->list != NULL && !object ? otr_pb_write_field(type, o->list, json, out, x->err)
                                      : otr_pb_write(type, json, out, x->err);
}

/* What is turned into JSON takes memory that is not the guest's: not for what is denied anyway, and
 * a question is short unless it has a value or a body. */
static otr_code check_size(const otr_encoded_host *h, const struct operation *o, otr_bytes in,
                           otr_err *err)
{
    if (in.n <= OTR_LIMIT_JSON_ASKED) {
        return OTR_OK;
    }
    otr_code rc = h->ops->permits != NULL ? h->ops->permits(h->host, o->name, NULL, err) : OTR_OK;
    if (rc == OTR_OK && o->special == NULL) {
        rc = otr_fail(err, OTR_EQUOTA, "%s: a question of %zu bytes; the limit is %u", o->name,
                      in.n, OTR_LIMIT_JSON_ASKED);
    }
    return rc;
}

static otr_code call(void *host, const char *op, otr_bytes in, otr_buf *out, otr_err *err)
{
    const otr_encoded_host *h = host;
    const struct operation *o = operations;
    while (o < operations + OTR_COUNT(operations) && strcmp(o->name, op) != 0) {
        o++;
    }
    if (o == operations + OTR_COUNT(operations)) {
        return h->ops->call(h->host, op, in, out, err);
    }
    otr_code rc = check_size(h, o, in, err);
    if (rc != OTR_OK) {
        return rc;
    }
    exchange x = { .host = h, .op = op, .in = in, .err = err };
    size_t before = out->n;
    otr_buf_init(&x.question, OTR_LIMIT_JSON_BYTES);
    otr_buf_init(&x.answer, OTR_LIMIT_PLUGIN_OUTPUT_BYTES);
    rc = o->special != NULL ? o->special(&x, out) : by_table(o, &x, out);
    if (rc != OTR_OK) {
        otr_buf_cut(out, before);
    }
    otr_buf_deinit(&x.question);
    otr_buf_deinit(&x.answer);
    return rc;
}

/* ---- publish ---- */

static otr_code publish(void *host, const char *topic, otr_bytes payload, otr_err *err)
{
    const otr_encoded_host *h = host;
    otr_buf json;
    otr_code rc = h->ops->permits != NULL && payload.n > OTR_LIMIT_JSON_ASKED
                      ? h->ops->permits(h->host, NULL, topic, err)
                      : OTR_OK;
    if (rc != OTR_OK) {
        return rc;
    }
    otr_buf_init(&json, OTR_LIMIT_BUS_PAYLOAD_BYTES);
    rc = otr_pb_read(otr_pb_find("google.protobuf.Value"), payload, OTR_PB_ABSENT_NOTHING, &json,
                     err);
    rc = rc == OTR_OK ? h->ops->publish(h->host, topic, otr_buf_bytes(&json), err)
                      : otr_wrap(err, rc, "%s", topic);
    otr_buf_deinit(&json);
    return rc;
}

static otr_code publish_message(void *host, otr_bytes message, otr_err *err)
{
    const otr_pb_type *type = otr_pb_find("Publish");
    otr_bytes topic = { NULL, 0 }, data = topic;
    bool has_topic = false, has_data = false;
    otr_code rc = otr_pb_field(type, message, "topic", &topic, &has_topic, err);
    rc = rc == OTR_OK ? otr_pb_field(type, message, "data", &data, &has_data, err) : rc;
    if (rc != OTR_OK) {
        return otr_wrap(err, rc, "bus.publish");
    }
    if (!has_topic || !has_data ||
        memchr(topic.n > 0 ? (const void *)topic.p : "", '\0', topic.n) != NULL) {
        return otr_fail(err, OTR_EINVAL, "bus.publish: expected Publish {topic, data}");
    }
    OTR_CLEANUP(otr_freep) char *name = otr_strndup((const char *)topic.p, topic.n);
    return name != NULL ? publish(host, name, data, err) : otr_fail_nomem(err);
}

static otr_code config(void *host, const char *key, otr_buf *out, otr_err *err)
{
    const otr_encoded_host *h = host;
    return h->ops->config(h->host, key, out, err);
}

static void log_line(void *host, int level, otr_bytes text)
{
    const otr_encoded_host *h = host;
    h->ops->log(h->host, level, text);
}

const otr_host_ops otr_encoding_protobuf_ops = {
    .publish = publish,
    .config = config,
    .call = call,
    .log = log_line,
    .publish_message = publish_message,
};
