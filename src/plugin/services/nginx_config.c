/* nginx_config.get: files of the configuration that is being asked about, while a hook is answered.
 */
#include "plugin/hooks.h"
#include "plugin/services/services.h"

static otr_code get(otr_gate *gate, void *own, otr_bytes in, otr_buf *out, otr_err *err)
{
    (void)own;
    const otr_hook_files *files = otr_hook_files_of(gate->cause);
    if (files == NULL) {
        return otr_fail(err, OTR_ESTATE,
                        "nginx_config.get: only while a question about a configuration "
                        "(nginx.config.validate of an apply) is answered");
    }
    otr_code rc = files->get(files->of, in, out, err);
    return rc == OTR_OK ? rc : otr_wrap(err, rc, "nginx_config.get");
}

static bool granted(const otr_manifest *m)
{
    return m->see_config;
}

static const otr_operation operations[] = { { "nginx_config.get", get }, { NULL, NULL } };

const otr_service otr_service_nginx_config = {
    .name = "nginx_config.get",
    .grant = "nginx_config",
    .granted = granted,
    .operations = operations,
};
