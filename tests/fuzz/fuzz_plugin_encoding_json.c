/*
 * JSON on its way to a guest of encoding protobuf: data of the bus, configuration, answers of host
 * operations. What is valid JSON of the right shape is written, and then reads as JSON again.
 */
#include <stdlib.h>

#include "base/json.h"
#include "plugin/encoding/protobuf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int ok)
{
    if (!ok) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = { "google.protobuf.Value", "google.protobuf.Struct",
                                         "Envelope", "InstancesAnswer" };
    for (size_t i = 0; i < OTR_COUNT(names); i++) {
        const otr_pb_type *type = otr_pb_find(names[i]);
        otr_buf wire, json;
        otr_err err = { 0 };
        otr_buf_init(&wire, SIZE_MAX);
        otr_buf_init(&json, SIZE_MAX);
        otr_code rc = otr_pb_write(type, (otr_bytes){ data, size }, &wire, &err);
        if (rc == OTR_OK) {
            must(otr_json_valid((otr_bytes){ data, size }));
            /* A key with a NUL and a member that is there twice come back as errors. */
            rc = otr_pb_read(type, otr_buf_bytes(&wire), OTR_PB_ABSENT_NOTHING, &json, &err);
            must(rc == OTR_OK || strstr(err.msg, "NUL") != NULL ||
                 strstr(err.msg, "there are") != NULL);
            must(rc != OTR_OK || otr_json_valid(otr_buf_bytes(&json)));
        } else {
            must(wire.n == 0 && err.msg[0] != '\0');
        }
        otr_buf_deinit(&wire);
        otr_buf_deinit(&json);
    }
    return 0;
}
