/*
 * What a peer of MPI sends: what the guard lets pass is unpacked, packed, and unpacked again to the
 * same bytes. The first byte says which message it is.
 */
#include <stdlib.h>

#include "mpi/v1/command.pb-c.h"
#include "mpi/v1/files.pb-c.h"
#include "mpi/wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ProtobufCMessageDescriptor *const messages[] = {
    &mpi__v1__management_plane_request__descriptor,
    &mpi__v1__create_connection_response__descriptor,
    &mpi__v1__get_file_response__descriptor,
    &mpi__v1__file_data_chunk__descriptor,
    &mpi__v1__update_overview_response__descriptor,
    &mpi__v1__create_connection_request__descriptor,
    &mpi__v1__update_overview_request__descriptor,
    &mpi__v1__data_plane_response__descriptor,
    &mpi__v1__update_data_plane_health_request__descriptor,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    const ProtobufCMessageDescriptor *of = messages[data[0] % OTR_COUNT(messages)];
    otr_mpi_message first = { 0 }, second = { 0 };
    otr_buf a, b;
    otr_err err = { 0 };
    if (otr_mpi_unpack(of, (otr_bytes){ data + 1, size - 1 }, &first, &err) != OTR_OK) {
        if (err.msg[0] == '\0') {
            abort();
        }
        return 0;
    }
    otr_buf_init(&a, 64U << 20);
    otr_buf_init(&b, 64U << 20);
    if (otr_mpi_pack(first.root, &a, &err) != OTR_OK ||
        otr_mpi_unpack(of, otr_buf_bytes(&a), &second, &err) != OTR_OK ||
        otr_mpi_pack(second.root, &b, &err) != OTR_OK || a.n != b.n ||
        (a.n > 0 && memcmp(a.p, b.p, a.n) != 0)) {
        abort();
    }
    otr_buf_deinit(&a);
    otr_buf_deinit(&b);
    otr_mpi_message_deinit(&first);
    otr_mpi_message_deinit(&second);
    return 0;
}
