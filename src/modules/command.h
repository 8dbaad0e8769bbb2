/*
 * The module "mpi-command": the connection to the management plane.
 *
 * command.c owns the link and tells it what the bus tells; command_settings.c makes the link's
 * settings of the configuration; command_status.c writes what it does.
 *
 * Thread: loop.
 */
#ifndef OTR_MODULES_COMMAND_H
#define OTR_MODULES_COMMAND_H

#include "base/json.h"
#include "modules/config_instances.h"
#include "modules/services.h"
#include "mpi/client/link.h"
#include "mpi/report/resource.h"
#include "net/rpc/token.h"
#include "net/tls/tls.h"

enum { OTR_COMMAND_TARGET_BYTES = 300, OTR_COMMAND_PATH_BYTES = 4096 };

typedef struct otr_command {
    otr_plugin *plugin;
    otr_services *services;
    bool wanted;        /* a management plane is configured */
    otr_mpi_link *link; /* NULL: none, or its settings are no good */
    otr_tls *tls, *proxy_tls;
    otr_rpc_token *token;
    char target[OTR_COMMAND_TARGET_BYTES];
    otr_identity identity;
    char agent_id[OTR_NGINX_ID_BYTES];
    char binary[OTR_COMMAND_PATH_BYTES];
    otr_config_instances instances;
    otr_msg **health; /* the last of each instance, a reference each */
    size_t n_health, cap_health;
    char refused[OTR_ERR_MSG_BYTES]; /* why there is no link; "" */
} otr_command;

/* command_settings.c: makes `c->link`. OTR_EINVAL: the settings are no good. */
otr_code otr_command_connect(otr_command *c, const otr_config *cfg, const otr_mpi_link_ops *ops,
                             otr_err *err) OTR_MUST_CHECK;
/* What goes with each call beside the token. */
otr_code otr_command_metadata(const otr_command *c, otr_rpc_metadata *to, otr_err *err)
    OTR_MUST_CHECK;
/* The resource as it is now. */
otr_code otr_command_resource(const otr_command *c, otr_arena *arena, Mpi__V1__Resource **ret,
                              otr_err *err) OTR_MUST_CHECK;

/* command_status.c: the member "management_plane" of the status: null when none is configured.
 * `c` may be NULL. */
void otr_command_write(otr_jw *w, const otr_command *c);

#endif
