/* Calls each typed service of the world 1.1 and answers with what it got. */
#include "services.h"

#include <stdlib.h>
#include <string.h>

static bool answer(services_list_u8_t *ret, const void *p, size_t n)
{
    ret->ptr = malloc(n + 1);
    if (ret->ptr == NULL) {
        abort();
    }
    memcpy(ret->ptr, p, n);
    ret->len = n;
    return true;
}

static services_string_t text(services_list_u8_t *in)
{
    return (services_string_t){ in->ptr, in->len };
}

/* Without stdio, which would want WASI preview 1. */
static char out[4096];
static size_t out_n;

static void add(const void *p, size_t n)
{
    if (n <= sizeof(out) - out_n) {
        memcpy(out + out_n, p, n);
        out_n += n;
    }
}

static void add_number(uint64_t n)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + n % 10);
    } while ((n /= 10) > 0);
    add(digits + at, sizeof(digits) - at);
}

/* "status name=value;… body" */
bool exports_services_http(services_list_u8_t *url, services_list_u8_t *ret, services_string_t *err)
{
    services_tuple2_string_string_t sent[2];
    services_string_set(&sent[0].f0, "x-one");
    services_string_set(&sent[0].f1, "1 \"quoted\"");
    services_string_set(&sent[1].f0, "x-two");
    services_string_set(&sent[1].f1, "2");
    services_list_tuple2_string_string_t headers = { sent, 2 };
    services_string_t method, to = text(url);
    services_list_u8_t body = { (uint8_t *)"\0body", 5 };
    outrider_plugin_http_response_t got;
    services_string_set(&method, "PUT");
    if (!outrider_plugin_http_request(&method, &to, &headers, &body, &got, err)) {
        return false;
    }
    out_n = 0;
    add_number(got.status);
    add(" ", 1);
    for (size_t i = 0; i < got.headers.len; i++) {
        add(got.headers.ptr[i].f0.ptr, got.headers.ptr[i].f0.len);
        add("=", 1);
        add(got.headers.ptr[i].f1.ptr, got.headers.ptr[i].f1.len);
        add(";", 1);
    }
    add(" ", 1);
    add(got.body.ptr, got.body.len);
    return answer(ret, out, out_n);
}

bool exports_services_metrics(services_list_u8_t *name, services_list_u8_t *ret,
                              services_string_t *err)
{
    services_tuple2_string_string_t label;
    services_string_set(&label.f0, "color");
    services_string_set(&label.f1, "red");
    services_list_tuple2_string_string_t labels = { &label, 1 }, none = { NULL, 0 };
    services_string_t series = text(name);
    return outrider_plugin_metrics_counter(&series, 2.5, &labels, err) &&
           outrider_plugin_metrics_gauge(&series, -1, &none, err) &&
           outrider_plugin_metrics_histogram(&series, 0.25, &none, err) && answer(ret, "", 0);
}

bool exports_services_clock(services_list_u8_t *in, services_list_u8_t *ret, services_string_t *err)
{
    (void)in;
    (void)err;
    out_n = 0;
    add_number(outrider_plugin_clock_unix_ns());
    add(" ", 1);
    add_number(outrider_plugin_clock_monotonic_ns());
    return answer(ret, out, out_n);
}

bool exports_services_instances(services_list_u8_t *in, services_list_u8_t *ret,
                                services_string_t *err)
{
    (void)in;
    services_string_t list;
    return outrider_plugin_instances_list(&list, err) && answer(ret, list.ptr, list.len);
}

bool exports_services_random(services_list_u8_t *in, services_list_u8_t *ret,
                             services_string_t *err)
{
    services_list_u8_t bytes;
    uint32_t n = in->len > 0 ? in->ptr[0] : 0;
    return outrider_plugin_random_bytes(n, &bytes, err) && answer(ret, bytes.ptr, bytes.len);
}

bool exports_services_env(services_list_u8_t *in, services_list_u8_t *ret, services_string_t *err)
{
    services_string_t name = text(in);
    services_option_string_t value;
    if (!outrider_plugin_env_get(&name, &value, err)) {
        return false;
    }
    return value.is_some ? answer(ret, value.val.ptr, value.val.len) : answer(ret, "(none)", 6);
}

bool exports_services_secrets(services_list_u8_t *in, services_list_u8_t *ret,
                              services_string_t *err)
{
    services_string_t name = text(in);
    services_list_u8_t value;
    return outrider_plugin_secrets_get(&name, &value, err) && answer(ret, value.ptr, value.len);
}

/* ---- lifecycle ---- */

void exports_outrider_plugin_lifecycle_info(services_string_t *ret)
{
    services_string_dup(ret, "{\"name\":\"services\",\"version\":\"1.1.0\",\"api\":\"1\"}");
}

void exports_outrider_plugin_lifecycle_subscriptions(services_string_t *ret)
{
    services_string_dup(
        ret, "{\"topics\":[{\"pattern\":\"nginx.metrics.sampled\",\"kind\":\"event\"}]}");
}

bool exports_outrider_plugin_lifecycle_init(services_string_t *config, services_string_t *err)
{
    (void)config;
    (void)err;
    return true;
}

/* Publishes the list of instances, or why there is none. */
bool exports_outrider_plugin_lifecycle_process(services_list_u8_t *message, services_list_u8_t *ret,
                                               services_string_t *err)
{
    (void)message;
    services_string_t list, topic;
    if (!outrider_plugin_instances_list(&list, err)) {
        return false;
    }
    services_list_u8_t data = { list.ptr, list.len };
    services_string_set(&topic, "test.services");
    return outrider_plugin_bus_publish(&topic, &data, err) && answer(ret, "", 0);
}

bool exports_outrider_plugin_lifecycle_reconfigure(services_string_t *config,
                                                   services_string_t *err)
{
    (void)config;
    (void)err;
    return true;
}

void exports_outrider_plugin_lifecycle_close(void)
{
}
