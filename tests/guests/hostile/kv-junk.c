/* expect: OK each is refused
 * abi: extism, wapc
 * phase: process */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS

static const struct {
    const char *op;
    og_str in;
} junk[] = {
    { "kv.get", { "a\0b", 3 } },
    { "kv.get", { "\xff\xfe", 2 } },
    { "kv.set", { "", 0 } },
    { "kv.set", { "{", 1 } },
    { "kv.set", { "[]", 2 } },
    { "kv.set", { "{\"key\":\"a\"}", 11 } },
    { "kv.set", { "{\"key\":\"\",\"value\":1}", 20 } },
    { "kv.set", { "{\"key\":7,\"value\":1}", 19 } },
    { "kv.put", { "", 0 } },
    { "kv.put", { "\1\0\0", 3 } },
    { "kv.put", { "\0\0\0\0", 4 } },
    { "kv.put",
      { "\xff\xff\xff\xff"
        "a",
        5 } },
    { "kv.put",
      { "\xfe\xff\xff\xff"
        "a",
        5 } },
    { "kv.put", { "\2\0\0\0a\0v", 7 } },
    { "kv.list", { "\xc3", 1 } },
    { "kv.delete", { "a\0", 2 } },
    { "random.bytes", { "-1", 2 } },
    { "random.bytes", { "99999999999999999999", 20 } },
    { "metric.gauge", { "{\"name\":\"a\",\"value\":\"nan\"}", 26 } },
    { "metric.counter", { "{\"name\":\"a\",\"value\":-1}", 23 } },
    { "metric.counter", { "{\"name\":\"a b\\u0000\",\"value\":1}", 30 } },
    { "secret.get", { "../token", 8 } },
    { "env.get", { "PATH", 4 } },
    { "a.b", { "", 0 } },
    { ".", { "", 0 } },
};

OG_OPERATION(process)
{
    char long_key[600];
    for (size_t i = 0; i < sizeof junk / sizeof junk[0]; i++) {
        og_str got = og_call(junk[i].op, junk[i].in);
        if (got.at != NULL) {
            return og_fail_str(og_concat(og_text(junk[i].op), og_concat(OG_STR(": "), junk[i].in)));
        }
    }
    for (size_t i = 0; i < sizeof long_key; i++) {
        long_key[i] = 'x';
    }
    if (og_call("kv.get", (og_str){ long_key, sizeof long_key }).at != NULL) {
        return og_fail("a key of 600 bytes was taken");
    }
    return OG_OK;
}
