#include "modules/config_apply.h"

#include "modules/config.h" /* IWYU pragma: keep: what the type holds */

otr_code otr_config_apply_submit(otr_config_apply *apply, const otr_apply_request *request,
                                 char ret_id[OTR_APPLY_ID_BYTES], otr_err *err)
{
    if (apply == NULL) {
        return otr_fail(err, OTR_ESTATE, "this agent does not change configurations");
    }
    return otr_applier_submit(apply->applier, request, ret_id, err);
}
