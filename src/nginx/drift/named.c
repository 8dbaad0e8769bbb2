#include "nginx/drift/named.h"

/* "proxy_" and the like may stand in front of each. */
static const char *const names[] = {
    "ssl_certificate",
    "ssl_certificate_key",
    "ssl_trusted_certificate",
    "ssl_client_certificate",
    "ssl_crl",
    "ssl_dhparam",
    "ssl_password_file",
    "ssl_stapling_file",
    "ssl_ech_file",
    "ssl_session_ticket_key",
};
static const char *const fronts[] = { "", "proxy_", "grpc_", "uwsgi_", "zone_sync_" };

static bool names_file(const char *name)
{
    for (size_t i = 0; i < OTR_COUNT(fronts); i++) {
        size_t n = strlen(fronts[i]);
        if (strncmp(name, fronts[i], n) != 0) {
            continue;
        }
        for (size_t k = 0; k < OTR_COUNT(names); k++) {
            if (strcmp(name + n, names[k]) == 0) {
                return true;
            }
        }
    }
    return false;
}

const char *otr_drift_named(const otr_directive *directive)
{
    static const char *const elsewhere[] = { "data:", "engine:", "store:" };
    if (directive->block || directive->n_args != 1 || !names_file(directive->name)) {
        return NULL;
    }
    const char *path = directive->args[0];
    for (size_t i = 0; i < OTR_COUNT(elsewhere); i++) {
        if (strncmp(path, elsewhere[i], strlen(elsewhere[i])) == 0) {
            return NULL;
        }
    }
    return path[0] != '\0' && strchr(path, '$') == NULL ? path : NULL;
}
