/*
 * Module "mpi-command": tells a management plane of this agent and its instances, and takes
 * requests.
 */
#include "modules/command.h"

#include "base/alloc.h"
#include "base/log.h"
#include "modules/modules.h"
#include "modules/topics.h"
#include "mpi/wire/wire.h"

static const char plane_problem[] = "management plane";

/* ---- what the link asks for ---- */

static otr_code resource(void *arg, otr_arena *arena, Mpi__V1__Resource **ret, otr_err *err)
{
    return otr_command_resource(arg, arena, ret, err);
}

static otr_code metadata(void *arg, otr_rpc_metadata *to, otr_err *err)
{
    return otr_command_metadata(arg, to, err);
}

static const otr_health_event *health_of(const otr_msg *msg)
{
    return msg->payload;
}

static otr_code health(void *arg, otr_arena *arena, Mpi__V1__UpdateDataPlaneHealthRequest *to,
                       otr_err *err)
{
    static const Mpi__V1__InstanceHealth__InstanceHealthStatus statuses[] = {
        [OTR_HEALTH_HEALTHY] =
            MPI__V1__INSTANCE_HEALTH__INSTANCE_HEALTH_STATUS__INSTANCE_HEALTH_STATUS_HEALTHY,
        [OTR_HEALTH_UNHEALTHY] =
            MPI__V1__INSTANCE_HEALTH__INSTANCE_HEALTH_STATUS__INSTANCE_HEALTH_STATUS_UNHEALTHY,
        [OTR_HEALTH_DEGRADED] =
            MPI__V1__INSTANCE_HEALTH__INSTANCE_HEALTH_STATUS__INSTANCE_HEALTH_STATUS_DEGRADED,
        [OTR_HEALTH_UNKNOWN] =
            MPI__V1__INSTANCE_HEALTH__INSTANCE_HEALTH_STATUS__INSTANCE_HEALTH_STATUS_UNSPECIFIED
    };
    const otr_command *c = arg;
    Mpi__V1__InstanceHealth **all = otr_arena_alloc(arena, c->n_health + 1, sizeof(*all));
    for (size_t i = 0; all != NULL && i < c->n_health; i++) {
        const otr_health_event *event = health_of(c->health[i]);
        all[i] = otr_mpi_new(&mpi__v1__instance_health__descriptor, arena);
        char *id = otr_mpi_text(arena, event->id);
        char *text = otr_mpi_text(arena, event->description);
        if (all[i] == NULL || id == NULL || text == NULL) {
            return otr_fail_nomem(err);
        }
        all[i]->instance_id = id;
        all[i]->description = text;
        all[i]->instance_health_status = statuses[event->status];
    }
    to->instance_healths = all;
    to->n_instance_healths = c->n_health;
    return all != NULL ? OTR_OK : otr_fail_nomem(err);
}

/* What is not done yet is said so: a plane waits for each answer. */
static void on_request(void *arg, const Mpi__V1__ManagementPlaneRequest *request)
{
    otr_command *c = arg;
    otr_mpi_outcome outcome = {
        .correlation = request->message_meta != NULL ? request->message_meta->correlation_id : "",
        .instance = "",
        .status = MPI__V1__COMMAND_RESPONSE__COMMAND_STATUS__COMMAND_STATUS_FAILURE,
        .message = "Unable to handle request",
        .error = "this agent does not know the request"
    };
    switch (request->request_case) {
    case MPI__V1__MANAGEMENT_PLANE_REQUEST__REQUEST_CONFIG_APPLY_REQUEST:
        outcome.type = MPI__V1__DATA_PLANE_RESPONSE__REQUEST_TYPE__CONFIG_APPLY_REQUEST;
        outcome.message = "Config apply failed";
        outcome.error = "this agent takes no configuration from a management plane yet";
        break;
    case MPI__V1__MANAGEMENT_PLANE_REQUEST__REQUEST_CONFIG_UPLOAD_REQUEST:
        outcome.type = MPI__V1__DATA_PLANE_RESPONSE__REQUEST_TYPE__CONFIG_UPLOAD_REQUEST;
        outcome.message = "Config upload failed";
        outcome.error = "this agent uploads no configuration yet";
        break;
    case MPI__V1__MANAGEMENT_PLANE_REQUEST__REQUEST_ACTION_REQUEST:
        outcome.message = "API action failed";
        outcome.error = "API action feature is disabled";
        outcome.instance = request->action_request->instance_id;
        break;
    case MPI__V1__MANAGEMENT_PLANE_REQUEST__REQUEST_UPDATE_AGENT_CONFIG_REQUEST:
        outcome.type = MPI__V1__DATA_PLANE_RESPONSE__REQUEST_TYPE__UPDATE_AGENT_CONFIG_REQUEST;
        outcome.message = "Updating agent config failed";
        outcome.error = "this agent's configuration is changed in its file only";
        break;
    case MPI__V1__MANAGEMENT_PLANE_REQUEST__REQUEST_COMMAND_STATUS_REQUEST:
        outcome.type = MPI__V1__DATA_PLANE_RESPONSE__REQUEST_TYPE__COMMAND_STATUS_REQUEST;
        outcome.status = MPI__V1__COMMAND_RESPONSE__COMMAND_STATUS__COMMAND_STATUS_OK;
        outcome.message = "No command is under way";
        outcome.error = NULL;
        break;
    default:
        break;
    }
    otr_log_info("request of the management plane", "correlation_id", outcome.correlation, "answer",
                 outcome.message);
    otr_mpi_link_conclude(c->link, &outcome);
}

static void on_changed(void *arg)
{
    otr_command *c = arg;
    otr_mpi_link_info info;
    if (c->link == NULL) {
        return;
    }
    otr_mpi_link_read(c->link, &info);
    if (info.state == OTR_MPI_CONNECTED) {
        otr_problem_clear(c->services->problems, "", plane_problem);
        otr_log_info("connected to the management plane", "server", c->target);
    } else if (info.state == OTR_MPI_WAITING && info.error_ns != 0) {
        const char *cause = info.channel.last_error;
        bool more = cause[0] != '\0' && strstr(info.last_error, cause) == NULL;
        otr_problem_set(c->services->problems, "", plane_problem,
                        "the management plane %s is not connected: %s%s%s", c->target,
                        info.last_error, more ? ": " : "", more ? cause : "");
    }
}

static const otr_mpi_link_ops link_ops = { .resource = resource,
                                           .health = health,
                                           .metadata = metadata,
                                           .request = on_request,
                                           .changed = on_changed };

/* ---- the module ---- */

static otr_code init(otr_plugin *p, const otr_config *cfg, otr_err *err)
{
    otr_command *c = otr_plugin_state(p);
    (void)err;
    c->plugin = p;
    c->services = otr_plugin_services(p);
    c->wanted = otr_config_str(cfg, "command.server.host")[0] != '\0' &&
                otr_config_int(cfg, "command.server.port") != 0;
    c->services->command = c;
    return OTR_OK;
}

/* A plane that cannot be reached is no reason to manage nothing. */
static otr_code start(otr_plugin *p, otr_err *err)
{
    otr_command *c = otr_plugin_state(p);
    otr_err why = { 0 };
    (void)err;
    if (!c->wanted) {
        otr_problem_clear(c->services->problems, "", plane_problem);
        return OTR_OK;
    }
    if (otr_command_connect(c, c->services->config, &link_ops, &why) != OTR_OK) {
        memcpy(c->refused, why.msg, sizeof(c->refused));
        otr_problem_set(c->services->problems, "", plane_problem,
                        "no management plane is connected: %s", why.msg);
        return OTR_OK;
    }
    otr_mpi_link_start(c->link);
    return OTR_OK;
}

static otr_code keep_health(otr_command *c, const otr_msg *msg, otr_err *err)
{
    for (size_t i = 0; i < c->n_health; i++) {
        if (strcmp(health_of(c->health[i])->id, health_of(msg)->id) == 0) {
            otr_msg_unref(c->health[i]);
            c->health[i] = otr_msg_ref(msg);
            return OTR_OK;
        }
    }
    otr_code rc = otr_grow(&c->health, c->n_health, &c->cap_health, sizeof(*c->health), err);
    if (rc == OTR_OK) {
        c->health[c->n_health++] = otr_msg_ref(msg);
    }
    return rc;
}

/* The health of what is gone was told ("not found") and need not be told again. */
static void forget_health(otr_command *c, const char *id)
{
    for (size_t i = 0; i < c->n_health; i++) {
        if (strcmp(health_of(c->health[i])->id, id) == 0) {
            otr_msg_unref(c->health[i]);
            c->health[i] = c->health[--c->n_health];
            return;
        }
    }
}

static otr_code message(otr_plugin *p, const otr_msg *msg, otr_err *err)
{
    otr_command *c = otr_plugin_state(p);
    if (!c->wanted) {
        return OTR_OK;
    }
    if (msg->topic == &otr_topic_health_changed) {
        otr_code rc = keep_health(c, msg, err);
        if (rc == OTR_OK && c->link != NULL) {
            otr_mpi_link_tell(c->link, OTR_MPI_HEALTH);
        }
        return rc;
    }
    otr_code rc = otr_config_instances_hear(&c->instances, msg, err);
    if (msg->topic == &otr_topic_instance_stopped) {
        forget_health(c, ((const otr_instance_event *)msg->payload)->instance->id);
    }
    if (rc == OTR_OK && c->link != NULL) {
        otr_mpi_link_tell(c->link, OTR_MPI_STATUS);
    }
    return rc;
}

static void fini(otr_plugin *p)
{
    otr_command *c = otr_plugin_state(p);
    if (c->services != NULL) {
        c->services->command = NULL;
    }
    otr_mpi_link_free(c->link);
    otr_rpc_token_free(c->token);
    otr_tls_free(c->tls);
    otr_tls_free(c->proxy_tls);
    for (size_t i = 0; i < c->n_health; i++) {
        otr_msg_unref(c->health[i]);
    }
    otr_free(c->health);
    otr_config_instances_deinit(&c->instances);
}

static const char *const subscribes[] = { "nginx.instance.*", "nginx.health.changed", NULL };

const otr_plugin_ops otr_module_command = {
    .name = "mpi-command",
    .summary = "Connects to a management plane",
    .subscribes = subscribes,
    .state_size = sizeof(otr_command),
    .init = init,
    .start = start,
    .message = message,
    .fini = fini,
};
