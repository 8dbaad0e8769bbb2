/* The conformance guest (see tests/guests/README.md) on the project's own headers, for both ABIs.
 */
#ifdef GUEST_WAPC
#include "outrider_wapc.h"
OG_INFO("c-wapc", "1.0.0")
#else
#include "outrider_extism.h"
OG_INFO("c-extism", "1.0.0")
#endif

OG_SUBSCRIBE("test.ping")

OG_OPERATION(init)
{
    return og_json_valid(og_input()) ? OG_OK : og_fail("config: not JSON");
}

OG_OPERATION(process)
{
    og_str data = og_json_get(og_input(), "data");
    return data.at != NULL ? og_publish("test.echo", data) : og_fail("the message has no data");
}

OG_OPERATION(reconfigure)
{
    return og_json_valid(og_input()) ? OG_OK : og_fail("config: not JSON");
}

OG_OPERATION(close)
{
    return OG_OK;
}

OG_OPERATION(echo)
{
    return og_output(og_input());
}

OG_OPERATION(fail)
{
    return og_fail("asked to fail");
}

OG_OPERATION(config)
{
    og_str key = og_input();
    char name[128];
    if (key.len >= sizeof name) {
        return og_fail("the key is too long");
    }
    og_copy(name, key.at, key.len);
    name[key.len] = '\0';
    og_str value = og_config(name);
    return value.at != NULL ? og_output(value) : og_fail("no such key");
}

OG_OPERATION(note)
{
    og_log_str(OG_LOG_INFO, og_input());
    return OG_OK;
}

static int answer(uint64_t n)
{
    static char text[24];
    og_writer w = { .at = text, .cap = sizeof text };
    og_put_u64(&w, NULL, n);
    return og_output((og_str){ w.at, w.len });
}

OG_OPERATION(count)
{
    static uint64_t n;
    return answer(++n);
}

#ifndef GUEST_WAPC
OG_OPERATION(vars)
{
    uint64_t n = og_json_u64(og_var_get("n"), 0) + 1;
    char text[24];
    og_writer w = { .at = text, .cap = sizeof text };
    og_put_u64(&w, NULL, n);
    og_var_set("n", (og_str){ w.at, w.len });
    return answer(n);
}
#endif

OG_OPERATION(trap)
{
    __builtin_trap();
}
