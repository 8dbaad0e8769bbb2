/* expect: EINVAL or ETIMEOUT limits.call, while the server gives a byte now and then
 * abi: extism, wapc
 * phase: process */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS

OG_OPERATION(process)
{
    static char text[300];
    og_str url = og_config("url");
    og_writer w = og_json_object(text + 4, sizeof text - 4);
    og_put_str(&w, "url", url.at != NULL ? url : OG_STR("http://127.0.0.1:9/"));
    og_str json = og_json_end(&w);
    text[0] = (char)json.len;
    text[1] = text[2] = text[3] = 0;
    og_str got = og_call("http.request", (og_str){ text, 4 + json.len });
    return got.at != NULL ? og_fail("it was answered") : OG_FAILED;
}
