/* expect: EINVAL or EQUOTA too many patterns
 * abi: extism, wapc
 * phase: subscriptions */
#include "hostile.h"

GOOD_INFO
GOOD_PROCESS

OG_OPERATION(subscriptions)
{
    size_t cap = 1U << 20;
    char *text = og_new(cap);
    og_writer w = og_json_object(text, text != NULL ? cap : 0);
    og_put_array(&w, "topics");
    for (int i = 0; i < 10000; i++) {
        og_put_object(&w, NULL);
        og_put_text(&w, "pattern", "test.ping");
        og_put_text(&w, "kind", "event");
        og_put_close(&w);
    }
    return og_output_json(&w);
}
