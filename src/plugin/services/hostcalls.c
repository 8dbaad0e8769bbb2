/* Puts the services together: here, and nowhere else, is the table of them. */
#include "plugin/services/hostcalls.h"

#include <string.h>

#include "base/clock.h"
#include "plugin/services/log.h"
#include "plugin/services/services.h"

#define LAST_NS (100 * OTR_NS_PER_MS) /* of a call: the guest's, whatever it asked us before */

static const otr_service *const table[] = {
    &otr_service_kv,           &otr_service_metrics,
    &otr_service_http,         &otr_service_instances,
    &otr_service_secrets,      &otr_service_env,
    &otr_service_clock,        &otr_service_random,
    &otr_service_nginx_config, NULL,
};
_Static_assert(OTR_COUNT(table) == OTR_GATE_SERVICES + 1, "a place in the gate for each");

void otr_hostcalls_init(otr_hostcalls *hc, const char *name, const otr_manifest *manifest)
{
    *hc = (otr_hostcalls){ .gate = { .name = name, .manifest = manifest, .services = table } };
    atomic_init(&hc->gate.policy, manifest);
    hc->gate.budget = &hc->own;
    hc->gate.paid_ns = &hc->own_paid_ns;
    otr_outbox_init(&hc->outbox);
}

otr_code otr_hostcalls_load(otr_hostcalls *hc, otr_err *err)
{
    return otr_gate_load(&hc->gate, err);
}

void otr_hostcalls_begin(otr_hostcalls *hc, const otr_msg *cause)
{
    hc->gate.cause = cause;
    otr_outbox_begin(&hc->outbox);
    hc->gate.until_ns = 0;
    if (hc->gate.manifest->http.n > 0 || hc->gate.manifest->kv_bytes > 0) { /* those who wait */
        otr_hostcalls_limit(hc, otr_now_ns() + hc->gate.manifest->call_ns,
                            hc->gate.manifest->call_ns);
    }
}

void otr_hostcalls_limit(otr_hostcalls *hc, uint64_t deadline_ns, uint64_t limit_ns)
{
    uint64_t rest_ns = limit_ns / 10 < LAST_NS ? limit_ns / 10 : LAST_NS;
    hc->gate.until_ns = deadline_ns > rest_ns ? deadline_ns - rest_ns : 1;
}

uint64_t otr_hostcalls_flush(otr_hostcalls *hc, otr_bus *bus)
{
    return otr_outbox_flush(&hc->outbox, &hc->gate, bus);
}

otr_guest_metrics *otr_hostcalls_metrics(const otr_hostcalls *hc)
{
    return otr_gate_own(&hc->gate, &otr_service_metrics);
}

void otr_hostcalls_deinit(otr_hostcalls *hc)
{
    otr_outbox_deinit(&hc->outbox);
    otr_gate_deinit(&hc->gate);
}

/* ---- otr_host_ops ---- */

static otr_code do_publish(void *host, const char *topic, otr_bytes payload, otr_err *err)
{
    otr_hostcalls *hc = host;
    return otr_outbox_add(&hc->outbox, &hc->gate, topic, payload, err);
}

static otr_code do_config(void *host, const char *key, otr_buf *out, otr_err *err)
{
    const otr_hostcalls *hc = host;
    for (char *const *pair = hc->gate.manifest->config_pairs; *pair != NULL; pair += 2) {
        if (strcmp(pair[0], key) == 0) {
            return otr_buf_adds(out, pair[1], err);
        }
    }
    return otr_fail(err, OTR_ENOTFOUND, "no configuration key \"%s\"", key);
}

static otr_code do_call(void *host, const char *op, otr_bytes in, otr_buf *out, otr_err *err)
{
    otr_hostcalls *hc = host;
    return otr_gate_call(&hc->gate, op, in, out, err);
}

static void do_log(void *host, int level, otr_bytes text)
{
    otr_hostcalls *hc = host;
    hc->lines += otr_guest_log_line(&hc->gate, level, text);
}

static otr_code do_permits(void *host, const char *op, const char *topic, otr_err *err)
{
    otr_hostcalls *hc = host;
    return op != NULL ? otr_gate_permits(&hc->gate, op, err)
                      : otr_outbox_permits(&hc->gate, topic, err);
}

static bool do_granted(void *host, const char *op)
{
    const otr_hostcalls *hc = host;
    return otr_gate_granted(&hc->gate, op);
}

const otr_host_ops otr_hostcalls_ops = {
    .publish = do_publish,
    .config = do_config,
    .call = do_call,
    .log = do_log,
    .granted = do_granted,
    .permits = do_permits,
};
