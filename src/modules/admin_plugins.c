/* What an operator asks of one plugin: POST /api/v1/plugins/NAME/VERB, and its dead letters. */
#include <string.h>

#include "modules/admin.h"

enum { NAME_BYTES = 65 };

/* "NAME/VERB" → NAME into `name`; returns VERB. */
static const char *split(const char *tail, char name[NAME_BYTES])
{
    const char *slash = strchr(tail, '/');
    size_t n = slash != NULL ? (size_t)(slash - tail) : 0;
    if (n == 0 || n >= NAME_BYTES) {
        return "";
    }
    memcpy(name, tail, n);
    name[n] = '\0';
    return slash + 1;
}

otr_code otr_admin_post_plugin(void *admin, const otr_http_request *req, otr_http_reply *reply,
                               otr_err *err)
{
    static const struct {
        const char *name;
        otr_plugin_verb verb;
    } verbs[] = { { "reload", OTR_PLUGIN_RELOAD },
                  { "disable", OTR_PLUGIN_DISABLE },
                  { "enable", OTR_PLUGIN_ENABLE },
                  { "replay", OTR_PLUGIN_REPLAY } };
    const otr_admin *a = admin;
    char name[NAME_BYTES] = "";
    const char *verb = split(req->tail, name);
    for (size_t i = 0; i < OTR_COUNT(verbs); i++) {
        if (strcmp(verb, verbs[i].name) == 0) {
            otr_code rc = otr_plugin_host_tell(a->services->plugins, name, verbs[i].verb, err);
            return rc == OTR_OK ? otr_buf_adds(&reply->body, "{\"ok\":true}", err) : rc;
        }
    }
    return otr_fail(
        err, OTR_ENOTFOUND,
        "there is no \"%.80s\"; a plugin can be asked to reload, disable, enable, replay",
        req->tail);
}

otr_code otr_admin_get_dead_letters(const otr_admin *a, const char *tail, otr_http_reply *reply,
                                    otr_err *err)
{
    char name[NAME_BYTES] = "";
    if (strcmp(split(tail, name), "dead-letters") != 0) {
        return otr_fail(err, OTR_ENOTFOUND,
                        "there is no \"%.80s\" of a plugin; there is: dead-letters", tail);
    }
    return otr_plugin_host_dead_letters(a->services->plugins, name, &reply->body, err);
}
