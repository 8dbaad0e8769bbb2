#include "cli/plugin_host.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"

static otr_code publish(void *host, const char *topic, otr_bytes payload, otr_err *err)
{
    (void)host;
    if (!otr_json_valid(payload)) {
        return otr_fail(err, OTR_EINVAL, "%s: the published data is not valid JSON", topic);
    }
    (void)fprintf(stderr, "publish %s %.*s\n", topic, (int)payload.n, (const char *)payload.p);
    return OTR_OK;
}

static otr_code config(void *host, const char *key, otr_buf *out, otr_err *err)
{
    const otr_cli_guest_host *h = host;
    for (const char *const *pair = h->pairs; *pair != NULL; pair += 2) {
        if (strcmp(pair[0], key) == 0) {
            return otr_buf_adds(out, pair[1], err);
        }
    }
    return otr_fail(err, OTR_ENOTFOUND,
                    "no configuration key \"%s\": give it with --config %s=VALUE", key, key);
}

static otr_code call(void *host, const char *op, otr_bytes in, otr_buf *out, otr_err *err)
{
    (void)host;
    (void)in;
    (void)out;
    return otr_fail(err, OTR_EUNSUP, "host operation \"%s\" is not available without an agent", op);
}

/* So that nothing is made ready for what call() refuses. */
static bool granted(void *host, const char *op)
{
    (void)host;
    (void)op;
    return false;
}

static void log_line(void *host, int level, otr_bytes text)
{
    (void)host;
    static const char *const names[] = { "trace", "debug", "info", "warn", "error" };
    size_t i = level < 0 ? 0 : level > OTR_LOG_ERROR ? OTR_COUNT(names) - 1 : (size_t)level + 1;
    (void)fprintf(stderr, "log %s %.*s\n", names[i], (int)text.n,
                  text.n > 0 ? (const char *)text.p : "");
}

const otr_host_ops otr_cli_guest_host_ops = {
    .publish = publish,
    .config = config,
    .call = call,
    .log = log_line,
    .granted = granted,
};
