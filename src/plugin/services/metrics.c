/* metric.*: the plugin's own metrics, until the loop merges them. */
#include "base/alloc.h"
#include "plugin/guest_metrics.h"
#include "plugin/manifest/changes.h"
#include "plugin/services/services.h"

static bool granted(const otr_manifest *m)
{
    return m->metrics > 0;
}

static otr_code open_metrics(const otr_gate *gate, void **ret, otr_err *err)
{
    (void)gate;
    otr_guest_metrics *m = otr_zalloc(sizeof(*m));
    if (m == NULL) {
        return otr_fail_nomem(err);
    }
    *ret = m;
    return OTR_OK;
}

static void close_metrics(void *own)
{
    otr_guest_metrics_deinit(own);
    otr_free(own);
}

static size_t most(const otr_gate *gate)
{
    return otr_least(gate->manifest->metrics, otr_gate_policy(gate)->metrics);
}

static otr_code counter(otr_gate *gate, void *own, otr_bytes in, otr_buf *out, otr_err *err)
{
    (void)out;
    return otr_guest_metrics_take(own, OTR_GUEST_COUNTER, in, most(gate), err);
}

static otr_code gauge(otr_gate *gate, void *own, otr_bytes in, otr_buf *out, otr_err *err)
{
    (void)out;
    return otr_guest_metrics_take(own, OTR_GUEST_GAUGE, in, most(gate), err);
}

static otr_code histogram(otr_gate *gate, void *own, otr_bytes in, otr_buf *out, otr_err *err)
{
    (void)out;
    return otr_guest_metrics_take(own, OTR_GUEST_HISTOGRAM, in, most(gate), err);
}

static const otr_operation operations[] = {
    { "metric.counter", counter },
    { "metric.gauge", gauge },
    { "metric.histogram", histogram },
    { NULL, NULL },
};

const otr_service otr_service_metrics = {
    .name = "metric",
    .grant = "metrics",
    .granted = granted,
    .operations = operations,
    .open = open_metrics,
    .close = close_metrics,
};
