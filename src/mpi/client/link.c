#include "mpi/client/link.h"

#include <sodium.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "mpi/client/internal.h"
#include "mpi/wire/wire.h"

enum { LONG_WAIT_MS = 60000 };

const char *otr_mpi_state_name(otr_mpi_state state)
{
    static const char *const names[] = { "waiting", "connecting", "connected" };
    return names[state];
}

static void begin(otr_mpi_link *link);

static void enter(otr_mpi_link *link, otr_mpi_state state)
{
    if (link->info.state != state) {
        link->info.state = state;
        link->info.since_ns = otr_now_ns();
        link->ops->changed(link->arg);
    }
}

static void say(otr_mpi_link *link, const char *what, otr_rpc_status status, const char *why)
{
    (void)snprintf(link->info.last_error, sizeof(link->info.last_error), "%s: %s%s%s", what,
                   otr_rpc_status_name(status), why[0] != '\0' ? ": " : "", why);
    link->info.error_ns = otr_now_ns();
    enter(link, OTR_MPI_WAITING);
    link->ops->changed(link->arg);
}

static void wait_for_next(otr_mpi_link *link)
{
    enter(link, OTR_MPI_WAITING);
    otr_timer_start(link->retry, otr_rpc_backoff_next(&link->backoff, randombytes_random()), 0);
}

static void on_retry(void *arg)
{
    begin(arg);
}

/* ---- the stream ---- */

static void on_request(void *arg, otr_rpc_call *call, otr_bytes wire)
{
    otr_mpi_link *link = arg;
    otr_mpi_message message = { 0 };
    otr_err err = { 0 };
    (void)call;
    link->info.requests++;
    otr_rpc_backoff_reset(&link->backoff);
    if (otr_mpi_unpack(&mpi__v1__management_plane_request__descriptor, wire, &message, &err) !=
        OTR_OK) {
        otr_log_warn("request of the management plane cannot be read", "err", err.msg);
        otr_mpi_outcome outcome = {
            .correlation = "",
            .instance = "",
            .status = MPI__V1__COMMAND_RESPONSE__COMMAND_STATUS__COMMAND_STATUS_FAILURE,
            .message = "Unable to handle request",
            .error = err.msg
        };
        otr_mpi_link_conclude(link, &outcome);
        return;
    }
    const Mpi__V1__ManagementPlaneRequest *request =
        (const Mpi__V1__ManagementPlaneRequest *)message.root;
    const char *correlation =
        request->message_meta != NULL ? request->message_meta->correlation_id : "";
    otr_mpi_heard_add(link, request);
    if (request->request_case == MPI__V1__MANAGEMENT_PLANE_REQUEST__REQUEST_HEALTH_REQUEST) {
        otr_mpi_reports_asked(link, OTR_MPI_HEALTH, correlation);
    } else if (request->request_case == MPI__V1__MANAGEMENT_PLANE_REQUEST__REQUEST_STATUS_REQUEST) {
        otr_mpi_reports_asked(link, OTR_MPI_STATUS, correlation);
    } else {
        link->ops->request(link->arg, request);
    }
    otr_mpi_message_deinit(&message);
}

static void on_writable(void *arg, otr_rpc_call *call)
{
    (void)call;
    otr_mpi_answers_flush(arg);
}

static void on_stream_closed(void *arg, otr_rpc_call *call, const otr_rpc_end *end)
{
    otr_mpi_link *link = arg;
    (void)call;
    otr_mpi_answers_back(link);
    otr_rpc_call_free(link->stream);
    link->stream = NULL;
    otr_mpi_reports_broken(link);
    if (link->renew) {
        link->renew = false;
        otr_rpc_channel_renew(link->channel);
        begin(link);
        return;
    }
    if (otr_now_ns() - link->info.since_ns > OTR_NS_PER_S) {
        otr_rpc_backoff_reset(&link->backoff);
    }
    say(link, "Subscribe", end->status, end->message);
    wait_for_next(link);
}

static otr_code subscribe(otr_mpi_link *link, otr_err *err)
{
    static const otr_rpc_call_ops ops = { .message = on_request,
                                          .writable = on_writable,
                                          .closed = on_stream_closed };
    otr_rpc_metadata metadata;
    otr_rpc_metadata_init(&metadata, OTR_LIMIT_RPC_HEADER_BYTES);
    otr_rpc_call_spec spec = {
        .path = "/mpi.v1.CommandService/Subscribe", .metadata = &metadata, .ops = &ops, .arg = link
    };
    otr_code rc = link->ops->metadata(link->arg, &metadata, err);
    rc = rc == OTR_OK ? otr_rpc_call_start(link->channel, &spec, &link->stream, err) : rc;
    otr_rpc_metadata_deinit(&metadata);
    return rc;
}

/* ---- the connection ---- */

/* A plane that says so of its own will say so again: ask seldom. */
static bool is_final(const otr_rpc_end *end)
{
    switch (end->status) {
    case OTR_RPC_INVALID_ARGUMENT:
    case OTR_RPC_UNIMPLEMENTED:
    case OTR_RPC_NOT_FOUND:
    case OTR_RPC_ALREADY_EXISTS:
    case OTR_RPC_PERMISSION_DENIED:
    case OTR_RPC_UNAUTHENTICATED:
        return end->answered;
    default:
        return false;
    }
}

static void on_created(void *arg, const ProtobufCMessage *answer, const otr_rpc_end *end)
{
    otr_mpi_link *link = arg;
    otr_err err = { 0 };
    if (answer == NULL) {
        say(link, "CreateConnection", end->status, end->message);
        if (is_final(end)) {
            otr_timer_start(link->retry, LONG_WAIT_MS, 0);
        } else {
            wait_for_next(link);
        }
    } else if (subscribe(link, &err) != OTR_OK) {
        say(link, "Subscribe", OTR_RPC_INTERNAL, err.msg);
        wait_for_next(link);
    } else {
        link->info.connects++;
        link->told[OTR_MPI_STATUS].dirty = false; /* it was in the request */
        enter(link, OTR_MPI_CONNECTED);
        if (link->ops->connected != NULL) {
            link->ops->connected(link->arg, (const Mpi__V1__CreateConnectionResponse *)answer);
        }
        otr_mpi_answers_flush(link);
        otr_mpi_reports_connected(link);
    }
    otr_mpi_unary_free(link->create);
    link->create = NULL;
}

static otr_code create(otr_mpi_link *link, otr_err *err)
{
    otr_arena arena = { 0 };
    Mpi__V1__CreateConnectionRequest request = MPI__V1__CREATE_CONNECTION_REQUEST__INIT;
    request.message_meta = otr_mpi_meta(&arena, link->correlation);
    otr_code rc = request.message_meta == NULL
                      ? otr_fail_nomem(err)
                      : link->ops->resource(link->arg, &arena, &request.resource, err);
    otr_mpi_unary_spec spec = { .path = "/mpi.v1.CommandService/CreateConnection",
                                .request = &request.base,
                                .answer = &mpi__v1__create_connection_response__descriptor,
                                .done = on_created,
                                .arg = link };
    rc = rc == OTR_OK ? otr_mpi_link_call(link, &spec, &link->create, err) : rc;
    otr_arena_deinit(&arena);
    return rc;
}

static void begin(otr_mpi_link *link)
{
    otr_err err = { 0 };
    otr_timer_stop(link->retry);
    if (link->stream != NULL || link->create != NULL) {
        return;
    }
    if (create(link, &err) != OTR_OK) {
        say(link, "CreateConnection", OTR_RPC_INTERNAL, err.msg);
        wait_for_next(link);
        return;
    }
    enter(link, OTR_MPI_CONNECTING);
}

/* The old stream has ended before a new connection is made: planes forget who we are with it. */
static void on_files(void *arg, otr_tls_change change, const char *why)
{
    otr_mpi_link *link = arg;
    if (change == OTR_TLS_REFUSED) {
        otr_log_warn("new credentials for the management plane are no good, keeping the old ones",
                     "err", why);
        return;
    }
    if (change != OTR_TLS_TAKEN) {
        return;
    }
    otr_log_info("credentials for the management plane have changed, connecting anew");
    if (link->stream != NULL) {
        link->renew = true;
        otr_rpc_call_cancel(link->stream);
        return;
    }
    otr_mpi_unary_free(link->create);
    link->create = NULL;
    otr_rpc_channel_renew(link->channel);
    otr_rpc_backoff_reset(&link->backoff);
    begin(link);
}

otr_code otr_mpi_link_new(otr_loop *loop, const otr_mpi_link_spec *spec, otr_mpi_link **ret,
                          otr_err *err)
{
    static const otr_rpc_channel_ops ops = { .files = on_files };
    otr_mpi_link *link = otr_zalloc(sizeof(*link));
    if (link == NULL) {
        return otr_fail_nomem(err);
    }
    link->loop = loop;
    link->ops = spec->ops;
    link->arg = spec->arg;
    link->response_ms = spec->response_ms;
    link->backoff = spec->backoff;
    link->info.since_ns = otr_now_ns();
    (void)otr_mpi_uuid_new(link->correlation);
    otr_rpc_channel_spec channel = *spec->channel;
    channel.ops = &ops;
    channel.arg = link;
    otr_code rc = otr_timer_new(loop, on_retry, link, &link->retry, err);
    rc = rc == OTR_OK ? otr_mpi_reports_init(link, err) : rc;
    rc = rc == OTR_OK ? otr_rpc_channel_new(loop, &channel, &link->channel, err) : rc;
    if (rc != OTR_OK) {
        otr_mpi_link_free(link);
        return rc;
    }
    *ret = link;
    return OTR_OK;
}

void otr_mpi_link_start(otr_mpi_link *link)
{
    begin(link);
}

void otr_mpi_link_free(otr_mpi_link *link)
{
    if (link == NULL) {
        return;
    }
    otr_mpi_reports_deinit(link);
    otr_mpi_unary_free(link->create);
    otr_rpc_call_free(link->stream);
    otr_mpi_answers_deinit(link);
    otr_timer_free(link->retry);
    otr_rpc_channel_free(link->channel);
    otr_free(link);
}

void otr_mpi_link_read(const otr_mpi_link *link, otr_mpi_link_info *ret)
{
    *ret = link->info;
    ret->waiting = link->n_pending - link->n_sent;
    otr_rpc_channel_read(link->channel, &ret->channel);
}
