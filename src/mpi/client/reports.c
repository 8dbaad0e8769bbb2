#include <sodium.h>
#include <stdio.h>

#include "base/log.h"
#include "mpi/client/internal.h"
#include "mpi/wire/wire.h"

static void send_report(otr_mpi_told *told);

static void conclude(otr_mpi_told *told, const char *correlation, const char *error)
{
    bool health = told->report == OTR_MPI_HEALTH;
    const char *good = health ? "Successfully sent health status update"
                              : "Successfully sent data plane status update";
    const char *bad = health ? "Failed to send the health status update"
                             : "Failed to send the data plane status update";
    otr_mpi_outcome outcome = {
        .correlation = correlation,
        .instance = "",
        .type = health ? MPI__V1__DATA_PLANE_RESPONSE__REQUEST_TYPE__HEALTH_REQUEST
                       : MPI__V1__DATA_PLANE_RESPONSE__REQUEST_TYPE__STATUS_REQUEST,
        .status = error == NULL ? MPI__V1__COMMAND_RESPONSE__COMMAND_STATUS__COMMAND_STATUS_OK
                                : MPI__V1__COMMAND_RESPONSE__COMMAND_STATUS__COMMAND_STATUS_FAILURE,
        .message = error == NULL ? good : bad,
        .error = error
    };
    otr_mpi_link_conclude(told->link, &outcome);
}

/* The first request that waits is answered. */
static void answer_first(otr_mpi_told *told, const char *error)
{
    char correlation[OTR_MPI_ID_BYTES];
    memcpy(correlation, told->asked[0], sizeof(correlation));
    told->n_asked--;
    memmove(told->asked, told->asked + 1, told->n_asked * sizeof(told->asked[0]));
    conclude(told, correlation, error);
}

static void on_told(void *arg, const ProtobufCMessage *answer, const otr_rpc_end *end)
{
    otr_mpi_told *told = arg;
    bool asked = told->n_sent > 0;
    char why[OTR_ERR_MSG_BYTES];
    (void)snprintf(why, sizeof(why), "%s: %s", otr_rpc_status_name(end->status), end->message);
    otr_mpi_unary_free(told->call);
    told->call = NULL;
    told->n_sent = 0;
    if (answer == NULL) {
        told->dirty = true;
        otr_log_warn("report to the management plane failed, will be sent again", "report",
                     told->report == OTR_MPI_HEALTH ? "health" : "status", "err", why);
    } else {
        otr_rpc_backoff_reset(&told->backoff);
    }
    if (asked) {
        answer_first(told, answer == NULL ? why : NULL);
    }
    if (answer != NULL || told->n_asked > 0) {
        send_report(told);
    } else {
        otr_timer_start(told->again, otr_rpc_backoff_next(&told->backoff, randombytes_random()), 0);
    }
}

static otr_code start_status(otr_mpi_told *told, const char *correlation, otr_arena *arena,
                             otr_err *err)
{
    otr_mpi_link *link = told->link;
    Mpi__V1__UpdateDataPlaneStatusRequest request = MPI__V1__UPDATE_DATA_PLANE_STATUS_REQUEST__INIT;
    request.message_meta = otr_mpi_meta(arena, correlation);
    otr_mpi_unary_spec spec = { .path = "/mpi.v1.CommandService/UpdateDataPlaneStatus",
                                .request = &request.base,
                                .answer = &mpi__v1__update_data_plane_status_response__descriptor,
                                .done = on_told,
                                .arg = told };
    otr_code rc = request.message_meta == NULL
                      ? otr_fail_nomem(err)
                      : link->ops->resource(link->arg, arena, &request.resource, err);
    return rc == OTR_OK ? otr_mpi_link_call(link, &spec, &told->call, err) : rc;
}

static otr_code start_health(otr_mpi_told *told, const char *correlation, otr_arena *arena,
                             otr_err *err)
{
    otr_mpi_link *link = told->link;
    Mpi__V1__UpdateDataPlaneHealthRequest request = MPI__V1__UPDATE_DATA_PLANE_HEALTH_REQUEST__INIT;
    request.message_meta = otr_mpi_meta(arena, correlation);
    otr_mpi_unary_spec spec = { .path = "/mpi.v1.CommandService/UpdateDataPlaneHealth",
                                .request = &request.base,
                                .answer = &mpi__v1__update_data_plane_health_response__descriptor,
                                .done = on_told,
                                .arg = told };
    otr_code rc = request.message_meta == NULL ? otr_fail_nomem(err)
                                               : link->ops->health(link->arg, arena, &request, err);
    return rc == OTR_OK ? otr_mpi_link_call(link, &spec, &told->call, err) : rc;
}

static void send_report(otr_mpi_told *told)
{
    otr_mpi_link *link = told->link;
    otr_arena arena = { 0 };
    otr_err err = { 0 };
    char id[OTR_MPI_UUID_BYTES];
    bool asked = told->n_asked > 0;
    if (link->stream == NULL || told->call != NULL || (!told->dirty && !asked)) {
        return;
    }
    otr_timer_stop(told->again);
    told->dirty = false;
    const char *correlation = asked ? told->asked[0] : otr_mpi_uuid_new(id);
    otr_code rc = told->report == OTR_MPI_HEALTH ? start_health(told, correlation, &arena, &err)
                                                 : start_status(told, correlation, &arena, &err);
    otr_arena_deinit(&arena);
    if (rc == OTR_OK) {
        told->n_sent = asked ? 1 : 0;
        return;
    }
    told->dirty = true;
    otr_log_warn("report to the management plane failed, will be sent again", "err", err.msg);
    if (asked) {
        answer_first(told, err.msg);
    }
    otr_timer_start(told->again, otr_rpc_backoff_next(&told->backoff, randombytes_random()), 0);
}

static void on_again(void *arg)
{
    send_report(arg);
}

otr_code otr_mpi_reports_init(otr_mpi_link *link, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; i < OTR_MPI_REPORTS && rc == OTR_OK; i++) {
        otr_mpi_told *told = &link->told[i];
        *told =
            (otr_mpi_told){ .link = link, .report = (otr_mpi_report)i, .backoff = link->backoff };
        rc = otr_timer_new(link->loop, on_again, told, &told->again, err);
    }
    return rc;
}

void otr_mpi_reports_deinit(otr_mpi_link *link)
{
    for (size_t i = 0; i < OTR_MPI_REPORTS; i++) {
        otr_mpi_unary_free(link->told[i].call);
        otr_timer_free(link->told[i].again);
    }
}

void otr_mpi_reports_connected(otr_mpi_link *link)
{
    for (size_t i = 0; i < OTR_MPI_REPORTS; i++) {
        send_report(&link->told[i]);
    }
}

/* What was under way may not have come: it is told again. Who asked is answered by then. */
void otr_mpi_reports_broken(otr_mpi_link *link)
{
    for (size_t i = 0; i < OTR_MPI_REPORTS; i++) {
        otr_mpi_told *told = &link->told[i];
        told->dirty |= told->call != NULL;
        otr_mpi_unary_free(told->call);
        told->call = NULL;
        told->n_sent = 0;
        otr_timer_stop(told->again);
    }
}

void otr_mpi_reports_asked(otr_mpi_link *link, otr_mpi_report report, const char *correlation)
{
    otr_mpi_told *told = &link->told[report];
    if (told->n_asked == OTR_MPI_ASKED) {
        conclude(told, correlation, "too many such requests wait");
        return;
    }
    (void)snprintf(told->asked[told->n_asked++], OTR_MPI_ID_BYTES, "%s", correlation);
    send_report(told);
}

void otr_mpi_link_tell(otr_mpi_link *link, otr_mpi_report report)
{
    link->told[report].dirty = true;
    send_report(&link->told[report]);
}
