/*
 * Module "nginx-history": lends the history to others and answers questions about it.
 */
#include "modules/config_history.h"
#include "modules/config_history_api.h"
#include "modules/modules.h"
#include "modules/services.h"

typedef struct state {
    otr_config_history *history;
    otr_config_history_api *api;
} state;

static otr_code init(otr_plugin *p, const otr_config *cfg, otr_err *err)
{
    state *s = otr_plugin_state(p);
    otr_services *services = otr_plugin_services(p);
    otr_code rc = otr_config_history_new(services, otr_plugin_loop(p), cfg, &s->history, err);
    rc = rc == OTR_OK ? otr_config_history_api_new(s->history, services, &s->api, err) : rc;
    if (rc == OTR_OK) {
        services->history = s->history;
    }
    return rc;
}

static otr_code start(otr_plugin *p, otr_err *err)
{
    const state *s = otr_plugin_state(p);
    (void)err;
    otr_config_history_start(s->history);
    return OTR_OK;
}

static otr_code message(otr_plugin *p, const otr_msg *msg, otr_err *err)
{
    const state *s = otr_plugin_state(p);
    return otr_config_history_api_hear(s->api, msg, err);
}

static otr_code reload(otr_plugin *p, const otr_config *cfg, otr_err *err)
{
    const state *s = otr_plugin_state(p);
    (void)err;
    otr_config_history_configure(s->history, cfg);
    otr_config_history_start(s->history);
    return OTR_OK;
}

static void on_stopped(void *arg)
{
    otr_plugin_stopped(arg);
}

static void stop(otr_plugin *p, uint64_t deadline_ns)
{
    const state *s = otr_plugin_state(p);
    (void)deadline_ns;
    otr_config_history_stop(s->history, on_stopped, p);
}

static void fini(otr_plugin *p)
{
    const state *s = otr_plugin_state(p);
    otr_services *services = otr_plugin_services(p);
    services->history = NULL;
    otr_config_history_api_free(s->api);
    otr_config_history_free(s->history);
}

static const char *const subscribed[] = { "nginx.instance.*", NULL };

const otr_plugin_ops otr_module_config_history = {
    .name = "nginx-history",
    .summary = "Remembers each change of an NGINX configuration, with every version",
    .subscribes = subscribed,
    .state_size = sizeof(state),
    .init = init,
    .start = start,
    .message = message,
    .reload = reload,
    .stop = stop,
    .fini = fini,
};
