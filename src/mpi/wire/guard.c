#include "mpi/wire/guard.h"

#include "base/json.h"
#include "base/limits.h"

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

typedef struct guard_level {
    const ProtobufCMessageDescriptor *of;
    const char *name; /* of the field that it is */
    otr_bytes left;
} guard_level;

typedef struct guard {
    guard_level levels[OTR_LIMIT_MPI_DEPTH];
    size_t depth; /* levels in use */
    size_t fields;
    otr_err *err;
} guard;

static otr_code guard_fail(const guard *g, otr_code code, const char *field, const char *what)
{
    char path[200];
    size_t n = 0;
    path[0] = '\0';
    for (size_t i = 1; i < g->depth && n + 1 < sizeof(path); i++) {
        for (const char *c = g->levels[i].name; *c != '\0' && n + 2 < sizeof(path); c++) {
            path[n++] = *c;
        }
        path[n++] = '.';
        path[n] = '\0';
    }
    return otr_fail(g->err, code, "%s: %s%s: %s", g->levels[0].of->name, path, field, what);
}

static bool guard_varint(otr_bytes *in, uint64_t *ret)
{
    uint64_t value = 0;
    for (size_t i = 0; i < 10 && i < in->n; i++) {
        value |= (uint64_t)(in->p[i] & 0x7f) << (7 * i);
        if ((in->p[i] & 0x80) == 0) {
            in->p += i + 1;
            in->n -= i + 1;
            *ret = value;
            return i < 9 || in->p[-1] <= 1;
        }
    }
    return false;
}

static bool guard_skip(otr_bytes *in, uint64_t n)
{
    if (n > in->n) {
        return false;
    }
    in->p += n;
    in->n -= (size_t)n;
    return true;
}

static unsigned guard_wire_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return WIRE_BYTES;
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return WIRE_FIXED64;
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return WIRE_FIXED32;
    default:
        return WIRE_VARINT;
    }
}

/* The bytes of a known field: a text is looked at, a message is the next level. */
static otr_code guard_bytes(guard *g, const ProtobufCFieldDescriptor *field, otr_bytes value)
{
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        if (value.n > 0 && memchr(value.p, 0, value.n) != NULL) {
            return guard_fail(g, OTR_EINVAL, field->name, "holds a NUL");
        }
        if (!otr_utf8_ok(value)) {
            return guard_fail(g, OTR_EINVAL, field->name, "is not UTF-8");
        }
    }
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        if (g->depth == OTR_LIMIT_MPI_DEPTH) {
            return guard_fail(g, OTR_EQUOTA, field->name, "is nested too deep");
        }
        g->levels[g->depth++] = (guard_level){ field->descriptor, field->name, value };
    }
    return OTR_OK;
}

/* What follows the tag of a field. */
static otr_code guard_value(guard *g, const ProtobufCFieldDescriptor *field, unsigned wire)
{
    otr_bytes *in = &g->levels[g->depth - 1].left;
    const char *name = field != NULL ? field->name : "an unknown field";
    uint64_t n = wire == WIRE_FIXED64 ? 8 : 4;
    if (field != NULL && guard_wire_of(field->type) != wire) {
        return guard_fail(g, OTR_EINVAL, name, "has another type");
    }
    if (wire == WIRE_VARINT || wire == WIRE_BYTES) {
        if (!guard_varint(in, &n)) {
            return guard_fail(g, OTR_EINVAL, name, "is cut off");
        }
        if (wire == WIRE_VARINT) {
            return OTR_OK;
        }
    } else if (wire != WIRE_FIXED64 && wire != WIRE_FIXED32) {
        return guard_fail(g, OTR_EINVAL, name, "is of a kind that is not known");
    }
    otr_bytes value = { in->p, (size_t)n };
    if (!guard_skip(in, n)) {
        return guard_fail(g, OTR_EINVAL, name, "is cut off");
    }
    return field != NULL && wire == WIRE_BYTES ? guard_bytes(g, field, value) : OTR_OK;
}

static otr_code guard_field(guard *g)
{
    guard_level *level = &g->levels[g->depth - 1];
    uint64_t tag = 0;
    if (!guard_varint(&level->left, &tag) || tag > UINT32_MAX || tag >> 3 == 0) {
        return guard_fail(g, OTR_EINVAL, "a field", "has no number");
    }
    if (++g->fields > OTR_LIMIT_MPI_FIELDS) {
        return guard_fail(g, OTR_EQUOTA, "a field", "is one of too many");
    }
    return guard_value(g, protobuf_c_message_descriptor_get_field(level->of, (unsigned)(tag >> 3)),
                       tag & 7);
}

otr_code otr_mpi_guard(const ProtobufCMessageDescriptor *of, otr_bytes wire, otr_err *err)
{
    guard g = { .depth = 1, .err = err };
    g.levels[0] = (guard_level){ of, "", wire };
    while (g.depth > 0) {
        if (g.levels[g.depth - 1].left.n == 0) {
            g.depth--;
            continue;
        }
        otr_code rc = guard_field(&g);
        if (rc != OTR_OK) {
            return rc;
        }
    }
    return OTR_OK;
}
