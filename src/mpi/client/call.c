#include "base/clock.h"
#include "base/limits.h"
#include "mpi/client/internal.h"
#include "mpi/wire/wire.h"

Mpi__V1__MessageMeta *otr_mpi_meta(otr_arena *arena, const char *correlation)
{
    char id[OTR_MPI_UUID_BYTES];
    uint64_t now = otr_wall_ns();
    Mpi__V1__MessageMeta *meta = otr_mpi_new(&mpi__v1__message_meta__descriptor, arena);
    if (meta == NULL) {
        return NULL;
    }
    meta->timestamp = otr_mpi_new(&google__protobuf__timestamp__descriptor, arena);
    meta->message_id = otr_mpi_text(arena, otr_mpi_uuid_new(id));
    meta->correlation_id = otr_mpi_text(arena, correlation);
    if (meta->timestamp == NULL || meta->message_id == NULL || meta->correlation_id == NULL) {
        return NULL;
    }
    meta->timestamp->seconds = (int64_t)(now / OTR_NS_PER_S);
    meta->timestamp->nanos = (int32_t)(now % OTR_NS_PER_S);
    return meta;
}

otr_code otr_mpi_link_call(otr_mpi_link *link, otr_mpi_unary_spec *spec, otr_mpi_unary **ret,
                           otr_err *err)
{
    otr_rpc_metadata metadata;
    otr_rpc_metadata_init(&metadata, OTR_LIMIT_RPC_HEADER_BYTES);
    otr_code rc = link->ops->metadata(link->arg, &metadata, err);
    spec->metadata = &metadata;
    spec->timeout_ms = spec->timeout_ms > 0 ? spec->timeout_ms : link->response_ms;
    rc = rc == OTR_OK ? otr_mpi_unary_start(link->channel, spec, ret, err) : rc;
    otr_rpc_metadata_deinit(&metadata);
    spec->metadata = NULL;
    return rc;
}
