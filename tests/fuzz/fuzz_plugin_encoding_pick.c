/*
 * A path and the text that it leads into, with a NUL between them: what is found lies inside the
 * text, is JSON when the text is, and becomes bytes and JSON again.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/texts.h"
#include "plugin/encoding/pick.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(otr_bytes json, otr_bytes value)
{
    if (value.n > json.n ||
        (value.n > 0 && (value.p < json.p || value.p + value.n > json.p + json.n))) {
        abort();
    }
    if (value.p != NULL && otr_json_valid(json) && !otr_json_valid(value)) {
        abort();
    }
}

static void give(otr_bytes json, otr_bytes value)
{
    otr_buf plain, text;
    otr_bytes bytes = { NULL, 0 }, again = { NULL, 0 };
    otr_buf_init(&plain, OTR_LIMIT_JSON_BYTES);
    otr_buf_init(&text, OTR_LIMIT_JSON_BYTES);
    if (otr_pick_plain(value, &plain, &bytes, NULL) == OTR_OK &&
        otr_pick_value_of(bytes, &text, &again, NULL) == OTR_OK) {
        if (!otr_json_valid(again) || (otr_json_valid(json) && !otr_utf8_ok(bytes))) {
            abort();
        }
    }
    otr_buf_deinit(&plain);
    otr_buf_deinit(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[OTR_PICK_BYTES + 8];
    const uint8_t *nul = size > 0 ? memchr(data, '\0', size) : NULL;
    size_t n = nul != NULL ? (size_t)(nul - data) : size;
    if (n >= sizeof(path)) {
        return 0;
    }
    if (n > 0) {
        memcpy(path, data, n);
    }
    path[n] = '\0';
    char **names = NULL;
    otr_bytes json = { data + n + (nul != NULL), size - n - (nul != NULL) };
    if (otr_pick_path(path, &names, NULL) == OTR_OK) {
        otr_bytes value = otr_pick(json, names);
        check(json, value);
        give(json, value);
    }
    give(json, json);
    otr_texts_free(names);
    return 0;
}
