/*
 * What the mapping of an entry costs beside the guest's own call: what it is given, what it is
 * called, where its answer goes.
 *
 *     bench_mapping
 *
 * A line for each: the message as it is taken without a mapping by otr_encoding_message() alone,
 * then by an entry without mapping, with `input: data`, with a path, and with `publish:`. Prints
 * the best nanoseconds of several runs.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/texts.h"
#include "plugin/encoding/pick.h"
#include "plugin/guest/map.h"

enum { RUNS = 500, TIMES = 1000 };
_Static_assert(TIMES < OTR_LIMIT_PLUGIN_PUBLISH_CALL, "in one call");

static const char sample[] =
    "{\"id\":\"e8d1bda6-397e-3b98-a179-e500ff99fbc7\",\"interval_ms\":15000,\"status_ok\":true,"
    "\"active\":12,\"reading\":0,\"writing\":3,\"waiting\":9,\"accepted\":123456,\"handled\":"
    "123456,\"requests\":987654,\"requests_delta\":4321,\"responses\":{\"1xx\":0,\"2xx\":4300,"
    "\"5xx\":1},\"log_lines\":4321,\"text\":\"too many requests\"}";
static const char sixteen[] = "16 bytes of text";

typedef struct bench {
    otr_manifest manifest;
    otr_hostcalls hc;
    otr_msg *msg;
    otr_buf scratch;
    otr_err err;
} bench;

static void die(const otr_err *err)
{
    (void)fprintf(stderr, "bench_mapping: %s\n", err->msg);
    exit(2);
}

static otr_code encode_sample(const void *payload, otr_buf *out, otr_err *err)
{
    return otr_buf_add(out, otr_bytes_of(payload), err);
}

static const otr_topic topic = { "nginx.metrics.sampled", 1, NULL, encode_sample };

static otr_code direct(bench *b)
{
    otr_bytes in;
    const char *volatile name = "process"; /* as the caller has it */
    otr_code rc = otr_encoding_message(b->manifest.encoding, b->msg, &in, &b->err);
    return name != NULL ? rc : OTR_ESTATE;
}

/* All that process_one() does for the sake of a mapping. */
static otr_code mapped(bench *b)
{
    otr_bytes in;
    otr_code rc = otr_guest_map_input(&b->manifest, b->msg, &b->scratch, &in, &b->err);
    const char *volatile name = otr_mapping_name(&b->manifest.mapping, "process");
    rc = rc == OTR_OK && name != NULL
             ? otr_guest_map_output(&b->hc, otr_bytes_of(sixteen), &b->scratch, &b->err)
             : rc;
    return rc;
}

static void report(bench *b, const char *name, otr_code (*fn)(bench *b))
{
    uint64_t best = UINT64_MAX;
    for (int run = 0; run < RUNS; run++) {
        otr_hostcalls_begin(&b->hc, b->msg);
        uint64_t begun = otr_now_ns();
        for (int i = 0; i < TIMES; i++) {
            if (fn(b) != OTR_OK) {
                die(&b->err);
            }
        }
        uint64_t took = otr_now_ns() - begun;
        best = took < best ? took : best;
        otr_outbox_deinit(&b->hc.outbox);
    }
    (void)printf("%s %.1f\n", name, (double)best / TIMES);
}

int main(void)
{
    static char pattern[] = "test.*", out[] = "test.out";
    static char *granted[] = { pattern, NULL };
    bench b = { .manifest = { .name = "bench", .publish = granted, .where = "" } };
    otr_plugin_mapping *map = &b.manifest.mapping;
    otr_buf_init(&b.scratch, OTR_LIMIT_JSON_BYTES);
    otr_hostcalls_init(&b.hc, "bench", &b.manifest);
    if (otr_msg_new(&topic, (void *)(uintptr_t)sample, "metrics", NULL, &b.msg, &b.err) != OTR_OK ||
        otr_pick_path("data.text", &map->path, &b.err) != OTR_OK) {
        die(&b.err);
    }
    report(&b, "direct", direct);
    report(&b, "unmapped", mapped);
    map->any = true;
    map->input = OTR_INPUT_DATA;
    report(&b, "data", mapped);
    map->input = OTR_INPUT_FIELD;
    report(&b, "field", mapped);
    map->input = OTR_INPUT_MESSAGE;
    map->publish = out;
    report(&b, "publish", mapped);
    otr_texts_free(map->path);
    otr_msg_unref(b.msg);
    otr_hostcalls_deinit(&b.hc);
    otr_buf_deinit(&b.scratch);
    return 0;
}
