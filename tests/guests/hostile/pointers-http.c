/* expect: OK, EINVAL or EGUEST: nothing outside Extism memory is touched
 * abi: extism
 * phase: process */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS

__attribute__((import_module("extism:host/env"), import_name("http_request"))) uint64_t
request(uint64_t json, uint64_t body);
__attribute__((import_module("extism:host/env"), import_name("http_status_code"))) uint32_t
status(void);
__attribute__((import_module("extism:host/env"), import_name("http_headers"))) uint64_t
headers(void);

OG_OPERATION(process)
{
    uint64_t json = og_x_give_(OG_STR("{\"url\":\"http://127.0.0.1:9/\"}"));
    (void)request(json, json);
    EACH_POINTER(p)
    {
        (void)status();
        (void)headers();
        (void)request(json, json + p);
    }
    return OG_OK;
}
