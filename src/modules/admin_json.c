/* What the answers of several files have in common. */
#include "base/clock.h"
#include "modules/admin.h"

void otr_admin_write_time(otr_jw *w, const char *key, uint64_t mono_ns)
{
    char text[OTR_TIME_BYTES];
    if (mono_ns == 0) {
        otr_jw_null(w, key);
    } else {
        otr_jw_str(w, key, otr_time_text(otr_wall_of(mono_ns), text));
    }
}
