#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "mpi/client/internal.h"
#include "mpi/wire/wire.h"

static const char *type_of(Mpi__V1__ManagementPlaneRequest__RequestCase request)
{
    const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field(
        &mpi__v1__management_plane_request__descriptor, (unsigned)request);
    return field != NULL ? field->name : "unknown";
}

static const char *instance_of(const Mpi__V1__ManagementPlaneRequest *request)
{
    const Mpi__V1__FileOverview *overview = NULL;
    switch (request->request_case) {
    case MPI__V1__MANAGEMENT_PLANE_REQUEST__REQUEST_ACTION_REQUEST:
        return request->action_request->instance_id;
    case MPI__V1__MANAGEMENT_PLANE_REQUEST__REQUEST_CONFIG_APPLY_REQUEST:
        overview = request->config_apply_request->overview;
        break;
    case MPI__V1__MANAGEMENT_PLANE_REQUEST__REQUEST_CONFIG_UPLOAD_REQUEST:
        overview = request->config_upload_request->overview;
        break;
    default:
        break;
    }
    return overview != NULL && overview->config_version != NULL
               ? overview->config_version->instance_id
               : "";
}

void otr_mpi_heard_add(otr_mpi_link *link, const Mpi__V1__ManagementPlaneRequest *request)
{
    otr_mpi_link_info *info = &link->info;
    if (info->n_last == OTR_MPI_LAST) {
        memmove(info->last, info->last + 1, sizeof(info->last) - sizeof(info->last[0]));
        info->n_last--;
    }
    otr_mpi_heard *heard = &info->last[info->n_last++];
    *heard = (otr_mpi_heard){ .type = type_of(request->request_case),
                              .heard_ns = otr_now_ns(),
                              .status = "" };
    if (request->message_meta != NULL) {
        (void)snprintf(heard->correlation, sizeof(heard->correlation), "%s",
                       request->message_meta->correlation_id);
    }
    (void)snprintf(heard->instance, sizeof(heard->instance), "%s", instance_of(request));
}

static const char *status_of(Mpi__V1__CommandResponse__CommandStatus status)
{
    static const char *const names[] = { "UNSPECIFIED", "OK", "ERROR", "IN_PROGRESS", "FAILURE" };
    return (unsigned)status < OTR_COUNT(names) ? names[status] : names[0];
}

static void note(otr_mpi_link *link, const Mpi__V1__DataPlaneResponse *answer)
{
    char correlation[OTR_MPI_ID_BYTES] = "";
    if (answer->message_meta != NULL) {
        (void)snprintf(correlation, sizeof(correlation), "%s",
                       answer->message_meta->correlation_id);
    }
    for (size_t i = link->info.n_last; i-- > 0;) {
        otr_mpi_heard *heard = &link->info.last[i];
        if (strcmp(heard->correlation, correlation) == 0) {
            heard->answered_ns = otr_now_ns();
            heard->status = status_of(answer->command_response->status);
            (void)snprintf(heard->message, sizeof(heard->message), "%s",
                           answer->command_response->message);
            return;
        }
    }
}

/* What the stream has taken and nothing of which waits any more is on its way. */
static void drop_sent(otr_mpi_link *link)
{
    for (size_t i = 0; i < link->n_sent; i++) {
        otr_free(link->pending[i].wire);
    }
    link->n_pending -= link->n_sent;
    if (link->n_sent > 0) {
        memmove(link->pending, link->pending + link->n_sent,
                link->n_pending * sizeof(*link->pending));
    }
    link->n_sent = 0;
}

void otr_mpi_answers_flush(otr_mpi_link *link)
{
    otr_err err = { 0 };
    if (link->stream == NULL || link->renew) {
        return;
    }
    if (link->n_sent > 0 && otr_rpc_call_queued(link->stream) == 0) {
        drop_sent(link);
    }
    while (link->n_sent < link->n_pending && !otr_rpc_call_full(link->stream)) {
        const otr_mpi_pending *next = &link->pending[link->n_sent];
        if (otr_rpc_call_send(link->stream, (otr_bytes){ next->wire, next->n }, &err) != OTR_OK) {
            otr_log_warn("answer to the management plane waits", "err", err.msg);
            return;
        }
        link->n_sent++;
    }
}

void otr_mpi_answers_back(otr_mpi_link *link)
{
    if (link->n_sent > 0 && otr_rpc_call_queued(link->stream) == 0) {
        drop_sent(link);
    }
    link->n_sent = 0;
}

void otr_mpi_answers_deinit(otr_mpi_link *link)
{
    for (size_t i = 0; i < link->n_pending; i++) {
        otr_free(link->pending[i].wire);
    }
    otr_free(link->pending);
}

static otr_code keep_answer(otr_mpi_link *link, const Mpi__V1__DataPlaneResponse *answer,
                            otr_err *err)
{
    OTR_CLEANUP(otr_buf_deinit) otr_buf wire;
    otr_buf_init(&wire, OTR_LIMIT_MPI_SEND_BYTES);
    if (link->n_pending - link->n_sent >= OTR_LIMIT_MPI_ANSWERS) {
        return otr_fail(err, OTR_EQUOTA, "%d answers wait for the management plane",
                        OTR_LIMIT_MPI_ANSWERS);
    }
    otr_code rc = otr_mpi_pack(&answer->base, &wire, err);
    rc = rc == OTR_OK ? otr_grow(&link->pending, link->n_pending, &link->cap_pending,
                                 sizeof(*link->pending), err)
                      : rc;
    if (rc != OTR_OK) {
        return rc;
    }
    link->pending[link->n_pending++] = (otr_mpi_pending){ wire.p, wire.n };
    otr_buf_init(&wire, 0);
    note(link, answer);
    otr_mpi_answers_flush(link);
    return OTR_OK;
}

void otr_mpi_link_conclude(otr_mpi_link *link, const otr_mpi_outcome *outcome)
{
    OTR_CLEANUP(otr_arena_deinit) otr_arena arena = { 0 };
    otr_err err = { 0 };
    Mpi__V1__DataPlaneResponse answer = MPI__V1__DATA_PLANE_RESPONSE__INIT;
    Mpi__V1__CommandResponse response = MPI__V1__COMMAND_RESPONSE__INIT;
    answer.message_meta = otr_mpi_meta(&arena, outcome->correlation);
    answer.command_response = &response;
    answer.instance_id = otr_mpi_text(&arena, outcome->instance);
    answer.request_type = outcome->type;
    response.status = outcome->status;
    response.message = otr_mpi_text(&arena, outcome->message);
    response.error = otr_mpi_text(&arena, outcome->error);
    otr_code rc = answer.message_meta == NULL || answer.instance_id == NULL ||
                          response.message == NULL || response.error == NULL
                      ? otr_fail_nomem(&err)
                      : keep_answer(link, &answer, &err);
    if (rc != OTR_OK) {
        otr_log_error("answer to the management plane is lost", "correlation_id",
                      outcome->correlation, "message", outcome->message, "err", err.msg);
    }
}
