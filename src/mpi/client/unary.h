/*
 * One call of MPI with one message each way.
 *
 * Thread: loop.
 */
#ifndef OTR_MPI_CLIENT_UNARY_H
#define OTR_MPI_CLIENT_UNARY_H

#include <protobuf-c/protobuf-c.h>

#include "base/base.h"
#include "base/err.h"
#include "net/rpc/channel.h"

typedef struct otr_mpi_unary otr_mpi_unary;

/* Once, from the loop. `answer` (of the type that was asked for) is borrowed until return; NULL:
 * `end` says why not. The call is to be freed in it or later. */
typedef void otr_mpi_unary_fn(void *arg, const ProtobufCMessage *answer, const otr_rpc_end *end);

typedef struct otr_mpi_unary_spec { /* borrowed until return */
    const char *path;
    const otr_rpc_metadata *metadata;
    uint64_t timeout_ms;
    const ProtobufCMessage *request;
    const ProtobufCMessageDescriptor *answer; /* static */
    otr_mpi_unary_fn *done;
    void *arg;
} otr_mpi_unary_spec;

otr_code otr_mpi_unary_start(otr_rpc_channel *channel, const otr_mpi_unary_spec *spec,
                             otr_mpi_unary **ret, otr_err *err) OTR_MUST_CHECK;
/* No call follows. NULL is fine. */
void otr_mpi_unary_free(otr_mpi_unary *unary);

#endif
