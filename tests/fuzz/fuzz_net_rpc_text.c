/*
 * Values of headers and of settings: what is read is written and read again the same.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "net/rpc/metadata.h"
#include "net/rpc/proxy.h"
#include "net/rpc/status.h"
#include "net/rpc/target.h"
#include "net/rpc/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void timeouts(otr_bytes text)
{
    char out[OTR_RPC_TIMEOUT_BYTES];
    uint64_t ns = 0, again = 0;
    if (otr_rpc_timeout_parse(text, &ns) &&
        (!otr_rpc_timeout_parse(otr_bytes_of(otr_rpc_timeout_text(ns, out)), &again) ||
         again < ns)) {
        abort();
    }
    (void)otr_rpc_status_of_text(text);
}

static void binary(otr_bytes text)
{
    otr_buf bytes, coded, again;
    otr_buf_init(&bytes, 1 << 16);
    otr_buf_init(&coded, 1 << 17);
    otr_buf_init(&again, 1 << 16);
    if (otr_rpc_binary_read(text, &bytes, NULL) == OTR_OK &&
        (otr_rpc_binary_add(otr_buf_bytes(&bytes), &coded, NULL) != OTR_OK ||
         otr_rpc_binary_read(otr_buf_bytes(&coded), &again, NULL) != OTR_OK || again.n != bytes.n ||
         (bytes.n > 0 && memcmp(again.p, bytes.p, bytes.n) != 0))) {
        abort();
    }
    otr_buf_deinit(&bytes);
    otr_buf_deinit(&coded);
    otr_buf_deinit(&again);
}

static void percent(otr_bytes text)
{
    otr_buf coded, again;
    otr_buf_init(&coded, 1 << 18);
    otr_buf_init(&again, 1 << 18);
    if (otr_rpc_percent_add(text, &coded, NULL) == OTR_OK &&
        (otr_rpc_percent_read(otr_buf_bytes(&coded), &again, NULL) != OTR_OK || again.n != text.n ||
         (text.n > 0 && memcmp(again.p, text.p, text.n) != 0))) {
        abort();
    }
    otr_buf_deinit(&coded);
    otr_buf_clear(&again);
    (void)!otr_rpc_percent_read(text, &again, NULL);
    otr_buf_deinit(&again);
}

static void settings(const char *text)
{
    otr_rpc_target target;
    otr_rpc_proxy proxy;
    char authority[OTR_RPC_AUTHORITY_BYTES];
    if (otr_rpc_target_parse(text, 1, &target, NULL) == OTR_OK) {
        otr_rpc_target again;
        (void)otr_rpc_target_authority(&target, authority);
        bool name = !target.local && strcmp(target.host, "unix") != 0; /* "unix:1" is a path */
        if (name && (otr_rpc_target_parse(authority, 0, &again, NULL) != OTR_OK ||
                     strcmp(again.host, target.host) != 0 || again.port != target.port)) {
            abort();
        }
        (void)otr_rpc_no_proxy(text, &target);
    }
    if (otr_rpc_target_parse("h.example:1", 0, &target, NULL) == OTR_OK) {
        (void)otr_rpc_no_proxy(text, &target);
    }
    const otr_rpc_proxy_spec spec = { .url = text };
    if (otr_rpc_proxy_init(&proxy, &spec, NULL) == OTR_OK) {
        otr_buf out;
        otr_buf_init(&out, 1 << 18);
        (void)!otr_rpc_proxy_request(&proxy, &target, &out, NULL);
        otr_buf_deinit(&out);
        otr_rpc_proxy_deinit(&proxy);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const otr_bytes all = { data, size };
    otr_rpc_metadata md;
    if (size == 0 || size > 16384) {
        return 0;
    }
    timeouts(all);
    binary(all);
    percent(all);
    otr_rpc_metadata_init(&md, 4096);
    (void)!otr_rpc_metadata_take(&md, otr_bytes_of("x-bin"), all, NULL);
    (void)!otr_rpc_metadata_add(&md, "x", all, NULL);
    otr_rpc_metadata_deinit(&md);
    char *text = malloc(size + 1);
    if (text != NULL) {
        memcpy(text, data, size);
        text[size] = '\0';
        settings(text);
        free(text);
    }
    return 0;
}
