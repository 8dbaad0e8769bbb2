#include "mpi/wire/wire.h"

#include "base/limits.h"
#include "base/utf8.h"
#include "mpi/wire/guard.h"

typedef struct wire_memory {
    otr_arena *arena;
    size_t left;
    enum { WIRE_FITS, WIRE_TOO_MUCH, WIRE_NO_MEMORY } state;
} wire_memory;

static void *wire_alloc(void *data, size_t bytes)
{
    wire_memory *memory = data;
    if (bytes > memory->left) {
        memory->state = WIRE_TOO_MUCH;
        return NULL;
    }
    void *p = otr_arena_alloc(memory->arena, 1, bytes);
    if (p == NULL) {
        memory->state = WIRE_NO_MEMORY;
        return NULL;
    }
    memory->left -= bytes;
    return p;
}

static void wire_free(void *data, void *p)
{
    (void)data;
    (void)p; /* with its arena */
}

otr_code otr_mpi_unpack(const ProtobufCMessageDescriptor *of, otr_bytes wire, otr_mpi_message *ret,
                        otr_err *err)
{
    otr_code rc = otr_mpi_guard(of, wire, err);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_arena arena = { 0 };
    wire_memory memory = { &arena, OTR_LIMIT_MPI_ARENA_BYTES, WIRE_FITS };
    ProtobufCAllocator allocator = { wire_alloc, wire_free, &memory };
    static const uint8_t none[1] = { 0 };
    ProtobufCMessage *root =
        protobuf_c_message_unpack(of, &allocator, wire.n, wire.n > 0 ? wire.p : none);
    if (root != NULL && memory.state == WIRE_FITS) {
        *ret = (otr_mpi_message){ root, arena };
        return OTR_OK;
    }
    otr_arena_deinit(&arena);
    if (memory.state == WIRE_NO_MEMORY) {
        return otr_fail_nomem(err);
    }
    if (memory.state == WIRE_TOO_MUCH) {
        return otr_fail(err, OTR_EQUOTA, "%s: takes more than %u bytes of memory", of->name,
                        (unsigned)OTR_LIMIT_MPI_ARENA_BYTES);
    }
    return otr_fail(err, OTR_EINVAL, "%s: is no such message", of->name);
}

void otr_mpi_message_deinit(otr_mpi_message *message)
{
    if (message != NULL) {
        otr_arena_deinit(&message->arena);
        message->root = NULL;
    }
}

otr_code otr_mpi_pack(const ProtobufCMessage *message, otr_buf *out, otr_err *err)
{
    size_t n = protobuf_c_message_get_packed_size(message);
    uint8_t *at = NULL;
    otr_code rc = otr_buf_reserve(out, n, &at, err);
    if (rc != OTR_OK) {
        return otr_wrap(err, rc, "%s", message->descriptor->name);
    }
    otr_buf_grew(out, protobuf_c_message_pack(message, at));
    return OTR_OK;
}

void *otr_mpi_new(const ProtobufCMessageDescriptor *of, otr_arena *arena)
{
    ProtobufCMessage *message = otr_arena_alloc(arena, 1, of->sizeof_message);
    if (message != NULL) {
        of->message_init(message);
    }
    return message;
}

char *otr_mpi_text(otr_arena *arena, const char *text)
{
    static const char replacement[] = "\xef\xbf\xbd";
    otr_bytes left = otr_bytes_of(text);
    char *copy = otr_arena_alloc(arena, left.n + 1, sizeof(replacement) - 1);
    char *to = copy;
    while (copy != NULL && left.n > 0) {
        size_t n = otr_utf8_next(left, NULL);
        memcpy(to, n > 0 ? (const char *)left.p : replacement, n > 0 ? n : 3);
        to += n > 0 ? n : 3;
        n = n > 0 ? n : 1;
        left.p += n;
        left.n -= n;
    }
    return copy;
}
