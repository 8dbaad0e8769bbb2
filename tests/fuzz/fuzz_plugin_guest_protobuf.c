/*
 * Whatever a guest of encoding protobuf sends: answers, published data and questions to the host.
 *
 * The first byte chooses the message. What is read as JSON must be JSON, must be written as
 * protobuf again, and must read the same from that. The host operations must never see anything but
 * JSON.
 */
#include <stdlib.h>

#include "base/json.h"
#include "base/limits.h"
#include "plugin/contract.h"
#include "plugin/encoding/encoding.h"
#include "plugin/encoding/protobuf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int ok)
{
    if (!ok) {
        abort();
    }
}

/* ---- a host that insists on JSON ---- */

static otr_code publish(void *host, const char *topic, otr_bytes payload, otr_err *err)
{
    (void)host;
    (void)topic;
    (void)err;
    must(otr_json_valid(payload));
    return OTR_OK;
}

static otr_code call(void *host, const char *op, otr_bytes in, otr_buf *out, otr_err *err)
{
    const otr_bytes *answer = host;
    must(strncmp(op, "metric.", 7) != 0 || otr_json_valid(in));
    must(strcmp(op, "kv.set") != 0);
    return otr_buf_add(out, *answer, err);
}

/* Any guest's question, answered with what an operation may answer or with junk. */
static void operations(otr_bytes question)
{
    static const char *const names[] = { "kv.get",       "kv.set",         "kv.delete",
                                         "kv.list",      "http.request",   "metric.counter",
                                         "clock.now",    "instances.list", "random.bytes",
                                         "no.such.thing" };
    static const char frame[] = "\x1b\0\0\0{\"status\":200,\"headers\":{}}body";
    static const otr_host_ops ops = { .publish = publish, .call = call };
    otr_bytes answers[] = { otr_bytes_of("[]"),
                            otr_bytes_of("{\"unix_ns\":1}"),
                            { (const uint8_t *)frame, sizeof(frame) - 1 },
                            question };
    for (size_t i = 0; i < OTR_COUNT(answers); i++) {
        otr_encoded_host host = { OTR_ENCODING_PROTOBUF, &ops, &answers[i] };
        otr_guest_spec spec = { .name = "fuzz" };
        otr_err err = { 0 };
        otr_encoding_host(&host, &spec);
        for (size_t k = 0; k < OTR_COUNT(names); k++) {
            otr_buf out;
            otr_buf_init(&out, OTR_LIMIT_PLUGIN_OUTPUT_BYTES);
            otr_code rc = spec.ops->call(spec.host, names[k], question, &out, &err);
            must(rc == OTR_OK || out.n == 0);
            otr_buf_deinit(&out);
        }
        otr_code rc = spec.ops->publish(spec.host, "a.b", question, &err);
        rc = spec.ops->publish_message(spec.host, question, &err);
        (void)rc;
    }
}

/* ---- answers ---- */

static void contract(otr_bytes answer)
{
    static const char *const names[] = { "info", "subscriptions", "process" };
    for (size_t i = 0; i < OTR_COUNT(names); i++) {
        otr_buf scratch;
        otr_bytes json;
        otr_err err = { 0 };
        otr_buf_init(&scratch, OTR_LIMIT_JSON_BYTES);
        if (otr_encoding_answer(OTR_ENCODING_PROTOBUF, names[i], answer, &scratch, &json, &err) ==
            OTR_OK) {
            otr_contract_info info = { NULL, 0 };
            otr_contract_topics topics = { NULL, NULL };
            otr_contract_verdict verdict;
            must(otr_json_valid(json));
            if (i == 0 && otr_contract_read_info(json, &info, &err) == OTR_OK) {
                otr_contract_info_deinit(&info);
            }
            if (i == 1 && otr_contract_read_topics(json, &topics, &err) == OTR_OK) {
                otr_contract_topics_deinit(&topics);
            }
            if (i == 2 && otr_contract_read_verdict(json, &verdict, &err) == OTR_OK) {
                must(strstr(otr_buf_text(&scratch), "undecided") == NULL);
            }
        } else {
            must(err.msg[0] != '\0');
        }
        otr_buf_deinit(&scratch);
    }
}

static void round_trip(const otr_pb_type *type, otr_bytes wire)
{
    otr_buf first, again, second;
    otr_err err = { 0 };
    otr_buf_init(&first, SIZE_MAX);
    otr_buf_init(&again, SIZE_MAX);
    otr_buf_init(&second, SIZE_MAX);
    if (otr_pb_read(type, wire, OTR_PB_ABSENT_ALL, &first, &err) == OTR_OK) {
        must(otr_json_valid(otr_buf_bytes(&first)));
        must(otr_pb_write(type, otr_buf_bytes(&first), &again, &err) == OTR_OK);
        must(otr_pb_read(type, otr_buf_bytes(&again), OTR_PB_ABSENT_ALL, &second, &err) == OTR_OK);
        must(first.n == second.n && memcmp(first.p, second.p, first.n) == 0);
    } else {
        must(first.n == 0 && err.msg[0] != '\0');
    }
    otr_buf_deinit(&first);
    otr_buf_deinit(&again);
    otr_buf_deinit(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {
        "Envelope",
        "Info",
        "Subscriptions",
        "Verdict",
        "Publish",
        "KvSet",
        "KvGetAnswer",
        "KvDeleteAnswer",
        "KvListAnswer",
        "HttpRequest",
        "HttpAnswer",
        "Metric",
        "ClockAnswer",
        "InstancesAnswer",
        "google.protobuf.Value",
        "google.protobuf.Struct",
    };
    if (size == 0) {
        return 0;
    }
    otr_bytes wire = { data + 1, size - 1 };
    round_trip(otr_pb_find(names[data[0] % OTR_COUNT(names)]), wire);
    contract(wire);
    operations(wire);
    return 0;
}
