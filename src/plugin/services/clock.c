/* clock.now: open to all. */
#include "base/clock.h"

#include "base/json.h"
#include "plugin/services/services.h"

static otr_code clock_now(otr_gate *gate, void *own, otr_bytes in, otr_buf *out, otr_err *err)
{
    (void)gate;
    (void)own;
    (void)in;
    otr_jw w;
    otr_jw_begin(&w, out, err);
    otr_jw_obj(&w, NULL);
    otr_jw_u64(&w, "unix_ns", otr_wall_ns());
    otr_jw_u64(&w, "monotonic_ns", otr_now_ns());
    otr_jw_obj_end(&w);
    return otr_jw_end(&w);
}

static const otr_operation operations[] = { { "clock.now", clock_now }, { NULL, NULL } };

const otr_service otr_service_clock = { .name = "clock", .operations = operations };
