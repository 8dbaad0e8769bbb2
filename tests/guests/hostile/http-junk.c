/* expect: OK each is refused
 * abi: extism, wapc
 * phase: process */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS

static const char *const junk[] = {
    "",
    "{}",
    "[]",
    "{\"url\":1}",
    "{\"url\":\"\"}",
    "{\"url\":\"file:///etc/passwd\"}",
    "{\"url\":\"gopher://127.0.0.1/\"}",
    "{\"url\":\"http://169.254.169.254/latest/meta-data\"}",
    "{\"url\":\"http://[::ffff:169.254.169.254]/\"}",
    "{\"url\":\"http://0x7f000001/\"}",
    "{\"url\":\"http://user:pass@127.0.0.1/\"}",
    "{\"url\":\"http://127.0.0.1:99999/\"}",
    "{\"url\":\"http://127.0.0.1\\u0000.example.org/\"}",
    "{\"url\":\"http://127.0.0.1/\",\"method\":\"GET / HTTP/1.1\\r\\nX: y\"}",
    "{\"url\":\"http://127.0.0.1/\",\"headers\":{\"Host\":\"other\"}}",
    "{\"url\":\"http://127.0.0.1/\",\"headers\":{\"A\\r\\nB\":\"c\"}}",
    "{\"url\":\"http://127.0.0.1/\",\"headers\":{\"A\":\"b\\r\\nC: d\"}}",
    "{\"url\":\"http://127.0.0.1/\",\"headers\":{\"Content-Length\":\"5\"}}",
};

OG_OPERATION(process)
{
    static char text[512];
    for (size_t i = 0; i < sizeof junk / sizeof junk[0]; i++) {
        og_str json = og_text(junk[i]);
        static const uint8_t lengths[][4] = { { 0, 0, 0, 0 },
                                              { 0xff, 0xff, 0xff, 0x7f },
                                              { 0xff, 0xff, 0xff, 0xff } };
        text[0] = (char)json.len;
        text[1] = text[2] = text[3] = 0;
        og_copy(text + 4, json.at, json.len);
        if (og_call("http.request", (og_str){ text, 4 + json.len }).at != NULL) {
            return og_fail(junk[i]);
        }
        for (size_t k = 0; k < 3; k++) {
            og_copy(text, (const char *)lengths[k], 4);
            if (og_call("http.request", (og_str){ text, 4 + json.len }).at != NULL) {
                return og_fail("a request of a wrong length was made");
            }
        }
    }
    return OG_OK;
}
