/* The conformance guest (see tests/guests/README.md) on the bindings that wit-bindgen makes for C.
 */
#include "guest.h"

#include <stdlib.h>
#include <string.h>

enum { LOG_INFO = 2 };

/* The end of the JSON value at `at`, that of an object or array by counting brackets. */
static const char *value_end(const char *at, const char *end)
{
    int depth = 0;
    bool quoted = false;
    for (; at < end; at++) {
        if (quoted) {
            at += *at == '\\';
            quoted = at >= end || *at != '"';
        } else if (*at == '"') {
            quoted = true;
        } else if (*at == '{' || *at == '[') {
            depth++;
        } else if (depth == 0 && (*at == ',' || *at == '}' || *at == ']')) {
            return at;
        } else if (*at == '}' || *at == ']') {
            depth--;
        }
    }
    return at;
}

/* The envelope's `data`, which its host writes last and without blanks. */
static bool find_data(const guest_list_u8_t *message, guest_list_u8_t *ret)
{
    static const char key[] = "\"data\":";
    const char *at = (const char *)message->ptr, *end = at + message->len;
    for (; end - at > (ptrdiff_t)strlen(key); at++) {
        if (memcmp(at, key, strlen(key)) == 0) {
            at += strlen(key);
            *ret = (guest_list_u8_t){ (uint8_t *)at, (size_t)(value_end(at, end) - at) };
            return true;
        }
    }
    return false;
}

static bool fail(guest_string_t *err, const char *text)
{
    guest_string_dup(err, text);
    return false;
}

static bool answer(guest_list_u8_t *ret, const void *p, size_t n)
{
    *ret = (guest_list_u8_t){ NULL, n }; /* the bindings do not free an empty list */
    if (n > 0) {
        ret->ptr = malloc(n);
        if (ret->ptr == NULL) {
            abort();
        }
        memcpy(ret->ptr, p, n);
    }
    return true;
}

void exports_outrider_plugin_lifecycle_info(guest_string_t *ret)
{
    guest_string_dup(ret, "{\"name\":\"c-wit\",\"version\":\"1.0.0\",\"api\":\"1\"}");
}

void exports_outrider_plugin_lifecycle_subscriptions(guest_string_t *ret)
{
    guest_string_dup(ret, "{\"topics\":[{\"pattern\":\"test.ping\",\"kind\":\"event\"}]}");
}

static bool take_config(guest_string_t *config, guest_string_t *err)
{
    bool ok = config->len >= 2 && config->ptr[0] == '{' && config->ptr[config->len - 1] == '}';
    guest_string_free(config);
    return ok || fail(err, "config: not a JSON object");
}

bool exports_outrider_plugin_lifecycle_init(guest_string_t *config, guest_string_t *err)
{
    return take_config(config, err);
}

bool exports_outrider_plugin_lifecycle_reconfigure(guest_string_t *config, guest_string_t *err)
{
    return take_config(config, err);
}

bool exports_outrider_plugin_lifecycle_process(guest_list_u8_t *message, guest_list_u8_t *ret,
                                               guest_string_t *err)
{
    static const char topic[] = "test.echo";
    guest_list_u8_t data;
    bool ok = find_data(message, &data);
    if (ok) {
        guest_string_t name;
        guest_string_set(&name, topic);
        ok = outrider_plugin_bus_publish(&name, &data, err);
    } else {
        (void)fail(err, "the message has no data");
    }
    guest_list_u8_free(message);
    return ok && answer(ret, "", 0);
}

void exports_outrider_plugin_lifecycle_close(void)
{
    guest_string_t line;
    guest_string_set(&line, "closed");
    outrider_plugin_log_write(LOG_INFO, &line);
}

void exports_guest_echo(guest_list_u8_t *input, guest_list_u8_t *ret)
{
    *ret = *input; /* the answer is freed behind the call */
}

bool exports_guest_fail(guest_list_u8_t *input, guest_list_u8_t *ret, guest_string_t *err)
{
    (void)ret;
    guest_list_u8_free(input);
    return fail(err, "asked to fail");
}

bool exports_guest_config(guest_list_u8_t *key, guest_list_u8_t *ret, guest_string_t *err)
{
    guest_string_t name = { key->ptr, key->len }, value;
    bool found = outrider_plugin_config_get(&name, &value);
    guest_list_u8_free(key);
    if (!found) {
        return fail(err, "no such key");
    }
    *ret = (guest_list_u8_t){ value.ptr, value.len };
    return true;
}

static bool kv_get(guest_list_u8_t *in, guest_list_u8_t *ret, guest_string_t *err)
{
    guest_string_t key = { in->ptr, in->len };
    guest_option_list_u8_t value;
    if (!outrider_plugin_kv_get(&key, &value, err)) {
        return false;
    }
    *ret = value.val;
    return value.is_some || fail(err, "no such key");
}

static bool kv_put(guest_list_u8_t *in, guest_list_u8_t *ret, guest_string_t *err)
{
    size_t n = in->len >= 4 ? in->ptr[0] + 256U * in->ptr[1] : 0;
    if (in->len < 4 || n > in->len - 4) {
        return fail(err, "kv.put: cut");
    }
    guest_string_t key = { in->ptr + 4, n };
    guest_list_u8_t value = { in->ptr + 4 + n, in->len - 4 - n };
    return outrider_plugin_kv_set(&key, &value, err) && answer(ret, "", 0);
}

static bool kv_delete(guest_list_u8_t *in, guest_list_u8_t *ret, guest_string_t *err)
{
    guest_string_t key = { in->ptr, in->len }, text;
    bool ok = outrider_plugin_kv_delete(&key, &text, err);
    return ok && (*ret = (guest_list_u8_t){ text.ptr, text.len }, true);
}

static bool kv_list(guest_list_u8_t *in, guest_list_u8_t *ret, guest_string_t *err)
{
    guest_string_t prefix = { in->ptr, in->len }, text;
    bool ok = outrider_plugin_kv_list(&prefix, &text, err);
    return ok && (*ret = (guest_list_u8_t){ text.ptr, text.len }, true);
}

/* kv by its typed functions, everything else by name. */
static bool ask(guest_string_t *name, guest_list_u8_t *in, guest_list_u8_t *ret,
                guest_string_t *err)
{
    static const struct {
        const char *name;
        bool (*fn)(guest_list_u8_t *in, guest_list_u8_t *ret, guest_string_t *err);
    } typed[] = { { "kv.get", kv_get },
                  { "kv.put", kv_put },
                  { "kv.delete", kv_delete },
                  { "kv.list", kv_list } };
    for (size_t i = 0; i < sizeof typed / sizeof typed[0]; i++) {
        if (name->len == strlen(typed[i].name) &&
            memcmp(name->ptr, typed[i].name, name->len) == 0) {
            return typed[i].fn(in, ret, err);
        }
    }
    return outrider_plugin_host_call(name, in, ret, err);
}

bool exports_guest_host(guest_list_u8_t *input, guest_list_u8_t *ret, guest_string_t *err)
{
    const uint8_t *at = memchr(input->ptr, '\n', input->len);
    if (at == NULL) {
        guest_list_u8_free(input);
        return fail(err, "no operation");
    }
    size_t n = (size_t)(at - input->ptr);
    guest_string_t name = { input->ptr, n };
    guest_list_u8_t in = { input->ptr + n + 1, input->len - n - 1 };
    bool ok = ask(&name, &in, ret, err);
    guest_list_u8_free(input);
    return ok;
}

bool exports_guest_note(guest_list_u8_t *text, guest_list_u8_t *ret, guest_string_t *err)
{
    (void)err;
    guest_string_t line = { text->ptr, text->len };
    outrider_plugin_log_write(LOG_INFO, &line);
    guest_list_u8_free(text);
    return answer(ret, "", 0);
}

bool exports_guest_count(guest_list_u8_t *input, guest_list_u8_t *ret, guest_string_t *err)
{
    static unsigned n;
    char text[24];
    size_t at = sizeof text;
    (void)err;
    guest_list_u8_free(input);
    n++;
    for (unsigned left = n; left > 0; left /= 10) {
        text[--at] = (char)('0' + left % 10);
    }
    return answer(ret, text + at, sizeof text - at);
}

void exports_guest_trap(guest_list_u8_t *input, guest_list_u8_t *ret)
{
    (void)input;
    (void)ret;
    __builtin_trap();
}
