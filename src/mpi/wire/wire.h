/*
 * Messages of MPI: bytes to the structs that protobuf-c makes of proto/mpi/v1, and back.
 *
 * A message that came lives in one arena, with a ceiling, and is dropped whole. One that is to be
 * sent is built in an arena, too: otr_mpi_new() and otr_mpi_text() are what that takes. What is
 * unknown to us in a message that came stays in it and is packed again.
 *
 *     otr_mpi_message got;
 *     rc = otr_mpi_unpack(&mpi__v1__get_file_request__descriptor, bytes, &got, err);
 *     const Mpi__V1__GetFileRequest *request = (const Mpi__V1__GetFileRequest *)got.root;
 *     …
 *     otr_mpi_message_deinit(&got);
 *
 * Thread: any; a message belongs to its owner.
 */
#ifndef OTR_MPI_WIRE_WIRE_H
#define OTR_MPI_WIRE_WIRE_H

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

typedef struct otr_mpi_message { /* all zero: empty */
    ProtobufCMessage *root;      /* of the type that was asked for; in the arena */
    otr_arena arena;
} otr_mpi_message;

/* `ret` need not be set before; it is to be deinited on success only. Errors as otr_mpi_guard(),
 * and OTR_EQUOTA when it takes more than OTR_LIMIT_MPI_ARENA_BYTES. */
otr_code otr_mpi_unpack(const ProtobufCMessageDescriptor *of, otr_bytes wire, otr_mpi_message *ret,
                        otr_err *err) OTR_MUST_CHECK;
void otr_mpi_message_deinit(otr_mpi_message *message);

/* Appends the message to `out`. OTR_EQUOTA: it is larger than `out` takes. */
otr_code otr_mpi_pack(const ProtobufCMessage *message, otr_buf *out, otr_err *err) OTR_MUST_CHECK;

/* A message of this type with nothing in it; NULL: memory is out. */
void *otr_mpi_new(const ProtobufCMessageDescriptor *of, otr_arena *arena) OTR_MUST_CHECK;
/* A copy of text that is fit for a field of type string: what is not UTF-8 becomes U+FFFD. NULL is
 * "". NULL: memory is out. */
char *otr_mpi_text(otr_arena *arena, const char *text) OTR_MUST_CHECK;

enum { OTR_MPI_UUID_BYTES = 37 };
/* A random one, version 4. Returns `out`. */
const char *otr_mpi_uuid_new(char out[OTR_MPI_UUID_BYTES]);
/* 8-4-4-4-12 hexadecimal digits, of either case. */
bool otr_mpi_uuid_ok(const char *text);

#endif
