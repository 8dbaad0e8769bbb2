/*
 * What it costs to give a message to guests of each encoding, and to read what they publish.
 *
 *     bench_encoding
 *
 * A sample of metrics, made anew each time: its envelope as JSON alone, then as JSON and protobuf
 * (which is made from JSON). Then data of several sizes as google.protobuf.Value, both ways. Prints
 * the best of several runs.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "plugin/encoding/encoding.h"
#include "plugin/encoding/protobuf.h"

enum {
    RUNS = 200,
    SAMPLES = 200,
    BYTES_A_RUN = 1 << 20
}; /* short runs: some have a core to themselves */

static const char sample[] =
    "{\"id\":\"e8d1bda6-397e-3b98-a179-e500ff99fbc7\",\"interval_ms\":15000,\"status_ok\":true,"
    "\"active\":12,\"reading\":0,\"writing\":3,\"waiting\":9,\"accepted\":123456,\"handled\":"
    "123456,"
    "\"requests\":987654,\"requests_delta\":4321,\"requests_per_second\":288.06666666666666,"
    "\"responses\":{\"1xx\":0,\"2xx\":4300,\"3xx\":11,\"4xx\":9,\"5xx\":1},\"log_lines\":4321}";

static void die(const otr_err *err)
{
    (void)fprintf(stderr, "bench_encoding: %s\n", err->msg);
    exit(2);
}

static otr_code encode_sample(const void *payload, otr_buf *out, otr_err *err)
{
    return otr_buf_add(out, otr_bytes_of(payload), err);
}

static const otr_topic topic = { "nginx.metrics.sampled", 1, NULL, encode_sample };

static double ns_a_message(bool protobuf)
{
    uint64_t best = UINT64_MAX;
    otr_err err = { 0 };
    for (int run = 0; run < RUNS; run++) {
        uint64_t begun = otr_now_ns();
        for (int i = 0; i < SAMPLES; i++) {
            otr_msg *msg;
            otr_bytes bytes;
            if (otr_msg_new(&topic, (void *)(uintptr_t)sample, "metrics", NULL, &msg, &err) !=
                    OTR_OK ||
                otr_encoding_message(OTR_ENCODING_JSON, msg, &bytes, &err) != OTR_OK ||
                (protobuf &&
                 otr_encoding_message(OTR_ENCODING_PROTOBUF, msg, &bytes, &err) != OTR_OK)) {
                die(&err);
            }
            (void)otr_msg_unref(msg);
        }
        uint64_t took = otr_now_ns() - begun;
        best = took < best ? took : best;
    }
    return (double)best / SAMPLES;
}

/* `n` bytes of JSON at least: a list of samples. */
static void make_list(otr_buf *json, size_t n, otr_err *err)
{
    otr_code rc = otr_buf_addc(json, '[', err);
    for (size_t made = 0; rc == OTR_OK && (made == 0 || json->n < n); made++) {
        rc = made > 0 ? otr_buf_addc(json, ',', err) : OTR_OK;
        rc = rc == OTR_OK ? otr_buf_adds(json, sample, err) : rc;
    }
    rc = rc == OTR_OK ? otr_buf_addc(json, ']', err) : rc;
    if (rc != OTR_OK) {
        die(err);
    }
}

typedef struct speeds {
    double write, read; /* MB of JSON a second */
    size_t json, wire;
} speeds;

static speeds data_of(size_t n)
{
    const otr_pb_type *value = otr_pb_find("google.protobuf.Value");
    speeds s = { 0 };
    otr_err err = { 0 };
    otr_buf json, wire, back;
    otr_buf_init(&json, OTR_LIMIT_JSON_BYTES);
    otr_buf_init(&wire, OTR_LIMIT_JSON_BYTES);
    otr_buf_init(&back, OTR_LIMIT_JSON_BYTES);
    make_list(&json, n, &err);
    size_t times = 1 + BYTES_A_RUN / json.n;
    for (int run = 0; run < RUNS; run++) {
        uint64_t begun = otr_now_ns();
        for (size_t i = 0; i < times; i++) {
            otr_buf_clear(&wire);
            if (otr_pb_write(value, otr_buf_bytes(&json), &wire, &err) != OTR_OK) {
                die(&err);
            }
        }
        uint64_t written = otr_now_ns();
        for (size_t i = 0; i < times; i++) {
            otr_buf_clear(&back);
            if (otr_pb_read(value, otr_buf_bytes(&wire), OTR_PB_ABSENT_NOTHING, &back, &err) !=
                OTR_OK) {
                die(&err);
            }
        }
        double mb = (double)json.n * (double)times * 1000;
        double write = mb / (double)(written - begun);
        double read = mb / (double)(otr_now_ns() - written);
        s.write = write > s.write ? write : s.write;
        s.read = read > s.read ? read : s.read;
    }
    s.json = json.n;
    s.wire = wire.n;
    otr_buf_deinit(&json);
    otr_buf_deinit(&wire);
    otr_buf_deinit(&back);
    return s;
}

int main(void)
{
    static const size_t sizes[] = { 0, 1 << 16, 1 << 20 };
    double json = ns_a_message(false);
    double both = ns_a_message(true);
    printf("metrics sample: JSON %.0f ns, protobuf %.0f ns more\n", json, both - json);
    for (size_t i = 0; i < OTR_COUNT(sizes); i++) {
        speeds s = data_of(sizes[i]);
        printf("data of %zu bytes of JSON, %zu as Value: written %.0f MB/s, read %.0f MB/s\n",
               s.json, s.wire, s.write, s.read);
    }
    return 0;
}
