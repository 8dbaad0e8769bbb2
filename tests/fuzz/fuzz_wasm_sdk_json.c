/* The guests' JSON reader on any bytes: stays inside them, and what it calls valid stays valid
 * when it is written again. */
#include <assert.h>

#include "../../sdk/outrider_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(og_str value, int depth)
{
    char buf[64];
    (void)og_json_string(value, buf, sizeof buf);
    (void)og_json_double(value, 0);
    (void)og_json_u64(value, 0);
    (void)og_json_bool(value, false);
    (void)og_json_get(value, "data.responses.5xx");
    (void)og_json_get(value, "0.1.a");
    og_json_iter it = og_json_each(value);
    while (depth < 4 && og_json_next(&it)) {
        assert(og_json_valid(it.value));
        walk(it.value, depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char buf[70000];
    og_str doc = { (const char *)data, size };
    walk(doc, 0);
    og_writer w = og_json_object(buf, sizeof buf);
    og_put_str(&w, "text", doc);
    if (og_json_valid(doc)) {
        og_put_raw(&w, "raw", doc);
    }
    og_str out = og_json_end(&w);
    assert(out.at == NULL || og_json_valid(out));
    return 0;
}
