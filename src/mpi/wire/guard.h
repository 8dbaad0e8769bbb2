/*
 * A message of MPI, looked at before it is unpacked.
 *
 * protobuf-c unpacks as deep as the input is nested, takes text that is not UTF-8 and forgets what
 * follows a NUL. So the bytes are walked first, by the same descriptors, without an allocation:
 * depth, number of fields, lengths, and every text. What passes can be unpacked.
 *
 * Thread: any.
 */
#ifndef OTR_MPI_WIRE_GUARD_H
#define OTR_MPI_WIRE_GUARD_H

#include <protobuf-c/protobuf-c.h>

#include "base/base.h"
#include "base/err.h"

/* OTR_EINVAL: it is no such message; `err` names the field, by its path. OTR_EQUOTA: it is deeper
 * or has more fields than OTR_LIMIT_MPI_DEPTH and OTR_LIMIT_MPI_FIELDS say. */
otr_code otr_mpi_guard(const ProtobufCMessageDescriptor *of, otr_bytes wire, otr_err *err)
    OTR_MUST_CHECK;

#endif
