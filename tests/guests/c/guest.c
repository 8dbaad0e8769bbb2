/* The conformance guest (see tests/guests/README.md) on the project's own headers, for both ABIs.
 */
#ifdef GUEST_WAPC
#include "outrider_wapc.h"
OG_INFO("c-wapc", "1.0.0")
#else
#include "outrider_extism.h"
OG_INFO("c-extism", "1.0.0")
#endif
#ifdef __wasi__
#include <stdio.h>
#endif

OG_SUBSCRIBE("test.ping")

static int take_config(void)
{
    og_str in = og_input();
    return og_json_valid(in) && in.at[0] == '{' ? OG_OK : og_fail("config: not a JSON object");
}

OG_OPERATION(init)
{
    return take_config();
}

OG_OPERATION(process)
{
    og_str data = og_json_get(og_input(), "data");
    return data.at != NULL ? og_publish("test.echo", data) : og_fail("the message has no data");
}

OG_OPERATION(reconfigure)
{
    return take_config();
}

OG_OPERATION(close)
{
    og_log(OG_LOG_INFO, "closed");
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

/* The text before the first line break, as a string of C; `*ret_rest` is what follows it. */
static const char *first_line(char *buf, size_t cap, og_str *ret_rest)
{
    og_str in = og_input();
    size_t n = 0;
    while (n < in.len && n + 1 < cap && in.at[n] != '\n') {
        buf[n] = in.at[n];
        n++;
    }
    buf[n] = '\0';
    size_t skip = n < in.len ? n + 1 : n;
    *ret_rest = (og_str){ in.at + skip, in.len - skip };
    return buf;
}

OG_OPERATION(host)
{
    char name[128];
    og_str rest;
    const char *operation = first_line(name, sizeof name, &rest);
    og_str result = og_call(operation, rest);
    return result.at != NULL ? og_output(result) : OG_FAILED;
}

OG_OPERATION(page)
{
    og_str page = og_kv_page((og_str){ NULL, 0 }, og_input(), 1);
    return page.at != NULL ? og_output(page) : OG_FAILED;
}

#ifdef __wasi__
OG_OPERATION(read)
{
    char path[256], text[4096];
    og_str rest;
    FILE *f = fopen(first_line(path, sizeof path, &rest), "rb");
    if (f == NULL) {
        return og_fail("cannot open the file");
    }
    size_t n = fread(text, 1, sizeof text, f);
    (void)fclose(f);
    return og_output((og_str){ text, n });
}

OG_OPERATION(write)
{
    char path[256];
    og_str rest;
    FILE *f = fopen(first_line(path, sizeof path, &rest), "wb");
    if (f == NULL) {
        return og_fail("cannot open the file");
    }
    size_t n = fwrite(rest.at, 1, rest.len, f);
    return fclose(f) == 0 && n == rest.len ? OG_OK : og_fail("cannot write the file");
}
#endif

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
