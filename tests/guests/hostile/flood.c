/* expect: ETIMEOUT limits.call, host calls included
 * abi: extism, wapc
 * phase: process
 * variants: kv.get, kv.set, kv.put, kv.delete, kv.list, clock.now, random.bytes, metric.counter,
 * metric.histogram, env.get, secret.get, http.request, instances.list */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS

static og_str request(void)
{
    static char text[300];
    og_str url = og_config("url");
    og_writer w = og_json_object(text + 4, sizeof text - 4);
    og_put_str(&w, "url", url.at != NULL ? url : OG_STR("http://127.0.0.1:9/"));
    og_str json = og_json_end(&w);
    text[0] = (char)json.len;
    text[1] = text[2] = text[3] = 0;
    return (og_str){ text, 4 + json.len };
}

/* A valid input of the operation, another one each time where that makes a difference. */
static og_str input(uint64_t n)
{
    static char text[2048];
    og_writer w = og_json_object(text, sizeof text);
    switch (VARIANT[0]) {
    case 'k':
        if (VARIANT[3] == 's') {
            og_put_str(&w, "key", OG_STR("key"));
            og_put_u64(&w, "value", n);
            return og_json_end(&w);
        }
        if (VARIANT[3] == 'p') {
            text[0] = 4;
            text[1] = text[2] = text[3] = 0;
            __builtin_memcpy(text + 4, &n, 4);
            text[4] = text[5] = 'k';
            text[6] = (char)('a' + n % 26);
            text[7] = (char)('a' + n / 26 % 26);
            return (og_str){ text, sizeof text };
        }
        return OG_STR("key");
    case 'm':
        text[0] = (char)('a' + n % 26);
        text[1] = (char)('a' + n / 26 % 26);
        text[2] = '\0';
        return og_concat(og_concat(OG_STR("{\"name\":\"n"), og_text(text)),
                         OG_STR("\",\"value\":1}"));
    case 'r':
        return OG_STR("1024");
    case 'e':
        return OG_STR("COLOUR");
    case 's':
        return OG_STR("token");
    case 'h':
        return request();
    default:
        return OG_STR("");
    }
}

OG_OPERATION(process)
{
    for (uint64_t n = 0;; n++) {
        og_begin_();
        (void)og_call(VARIANT, input(n));
    }
}
