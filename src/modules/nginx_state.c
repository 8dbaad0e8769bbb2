#include "modules/nginx_state.h"

#include <stdio.h>

enum { CONFIG_BYTES = 512, VERSION_BYTES = 64 };

static const char *const plain_labels[] = { "instance.id", "instance.type", NULL };
static const char *const health_labels[] = { "status", "instance.id", "instance.type", NULL };
static const char *const info_labels[] = { "instance.id", "instance.type", "maker",
                                           "version",     "config",        NULL };

static const otr_family up_family = {
    .name = "nginx.up",
    .unit = "",
    .help = "1 when stub_status answered last or, where none is configured, when the master runs; "
            "else 0.",
    .kind = OTR_METRIC_GAUGE,
    .labels = plain_labels,
};
static const otr_family health_family = {
    .name = "nginx.health",
    .unit = "",
    .help = "1 for the state of health that the instance is in, 0 for the others.",
    .kind = OTR_METRIC_GAUGE,
    .labels = health_labels,
};
static const otr_family info_family = {
    .name = "nginx.instance.info",
    .unit = "",
    .help = "Always 1; the labels say what runs.",
    .kind = OTR_METRIC_GAUGE,
    .labels = info_labels,
};

static const char *type_of(const otr_nginx_instance *i)
{
    return i->plus ? "nginxplus" : "nginx";
}

otr_code otr_nginx_state_set_up(otr_nginx_state *s, otr_registry *reg, const otr_nginx_instance *i,
                                otr_nginx_up up, otr_err *err)
{
    const char *const values[] = { i->id, type_of(i), NULL };
    if (up == OTR_NGINX_UP_UNKNOWN) {
        otr_series_drop(s->up);
        s->up = NULL;
        return OTR_OK;
    }
    otr_code rc =
        s->up != NULL ? OTR_OK : otr_registry_series(reg, &up_family, values, &s->up, err);
    if (rc == OTR_OK) {
        otr_series_set(s->up, up == OTR_NGINX_UP ? 1 : 0);
    }
    return rc;
}

otr_code otr_nginx_state_set_health(otr_nginx_state *s, otr_registry *reg,
                                    const otr_nginx_instance *i, otr_health health, otr_err *err)
{
    for (int k = 0; k < OTR_NGINX_HEALTH_SERIES; k++) {
        const char *const values[] = { otr_health_name((otr_health)k), i->id, type_of(i), NULL };
        otr_code rc = s->health[k] != NULL
                          ? OTR_OK
                          : otr_registry_series(reg, &health_family, values, &s->health[k], err);
        if (rc != OTR_OK) {
            return rc;
        }
        otr_series_set(s->health[k], k == (int)health ? 1 : 0);
    }
    return OTR_OK;
}

otr_code otr_nginx_state_set_info(otr_nginx_state *s, otr_registry *reg,
                                  const otr_nginx_instance *i, otr_err *err)
{
    char version[VERSION_BYTES], config[CONFIG_BYTES]; /* a series has little room for labels */
    (void)snprintf(version, sizeof(version), "%s", i->version);
    (void)snprintf(config, sizeof(config), "%s", i->config);
    const char *const values[] = { i->id, type_of(i), i->maker, version, config, NULL };
    otr_series *now = NULL;
    otr_code rc = otr_registry_series(reg, &info_family, values, &now, err);
    if (rc != OTR_OK) {
        return rc;
    }
    if (s->info != now) {
        otr_series_drop(s->info);
        s->info = now;
    }
    otr_series_set(now, 1);
    return OTR_OK;
}

void otr_nginx_state_drop(otr_nginx_state *s)
{
    otr_series_drop(s->up);
    otr_series_drop(s->info);
    for (size_t k = 0; k < OTR_NGINX_HEALTH_SERIES; k++) {
        otr_series_drop(s->health[k]);
    }
    *s = (otr_nginx_state){ 0 };
}
