#include "net/rpc/metadata.h"

#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "net/rpc/text.h"

enum { FIELD_BYTES = 32, PRINTABLE_FIRST = 0x20, PRINTABLE_LAST = 0x7e };

void otr_rpc_metadata_init(otr_rpc_metadata *md, size_t max_bytes)
{
    *md = (otr_rpc_metadata){ .max_bytes = max_bytes };
}

void otr_rpc_metadata_deinit(otr_rpc_metadata *md)
{
    for (size_t i = 0; i < md->n; i++) {
        otr_free(md->items[i].name);
    }
    otr_free(md->items);
    otr_rpc_metadata_init(md, md->max_bytes);
}

/* Name and value in one block. */
static otr_code put(otr_rpc_metadata *md, otr_bytes name, otr_bytes value, otr_err *err)
{
    size_t bytes = name.n + value.n + FIELD_BYTES;
    if (md->n >= OTR_LIMIT_RPC_FIELDS || bytes > md->max_bytes - md->bytes) {
        return otr_fail(err, OTR_EQUOTA, "metadata is larger than %zu bytes or %d fields",
                        md->max_bytes, OTR_LIMIT_RPC_FIELDS);
    }
    otr_code rc = otr_grow(&md->items, md->n, &md->cap, sizeof(*md->items), err);
    if (rc != OTR_OK) {
        return rc;
    }
    char *block = otr_alloc(name.n + value.n + 2);
    if (block == NULL) {
        return otr_fail_nomem(err);
    }
    if (name.n > 0) {
        memcpy(block, name.p, name.n);
    }
    block[name.n] = '\0';
    char *at = block + name.n + 1;
    if (value.n > 0) {
        memcpy(at, value.p, value.n);
    }
    at[value.n] = '\0';
    md->items[md->n++] =
        (otr_rpc_field){ .name = block, .value = { (const uint8_t *)at, value.n } };
    md->bytes += bytes;
    return OTR_OK;
}

static bool is_name(const char *name)
{
    for (const char *p = name; *p != '\0'; p++) {
        if (!((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '-' || *p == '_' ||
              *p == '.')) {
            return false;
        }
    }
    return name[0] != '\0';
}

/* What HTTP/2 forbids and what is gRPC's own. */
static bool is_reserved(const char *name)
{
    static const char *const all[] = { "te",         "content-type",      "content-length",
                                       "connection", "proxy-connection",  "keep-alive",
                                       "upgrade",    "transfer-encoding", "host",
                                       "user-agent" };
    for (size_t i = 0; i < OTR_COUNT(all); i++) {
        if (strcmp(all[i], name) == 0) {
            return true;
        }
    }
    return strncmp(name, "grpc-", sizeof("grpc-") - 1) == 0;
}

otr_code otr_rpc_metadata_add(otr_rpc_metadata *md, const char *name, otr_bytes value, otr_err *err)
{
    if (!is_name(name) || is_reserved(name)) {
        return otr_fail(err, OTR_EINVAL, "\"%s\" cannot be the name of metadata", name);
    }
    bool binary = otr_rpc_name_is_binary(otr_bytes_of(name));
    for (size_t i = 0; i < value.n && !binary; i++) {
        if (value.p[i] < PRINTABLE_FIRST || value.p[i] > PRINTABLE_LAST) {
            return otr_fail(err, OTR_EINVAL, "the value of metadata \"%s\" is not printable ASCII",
                            name);
        }
    }
    return put(md, otr_bytes_of(name), value, err);
}

otr_code otr_rpc_metadata_adds(otr_rpc_metadata *md, const char *name, const char *value,
                               otr_err *err)
{
    return otr_rpc_metadata_add(md, name, otr_bytes_of(value), err);
}

otr_code otr_rpc_metadata_copy(otr_rpc_metadata *to, const otr_rpc_metadata *from, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; i < from->n && rc == OTR_OK; i++) {
        rc = put(to, otr_bytes_of(from->items[i].name), from->items[i].value, err);
    }
    return rc;
}

/* One value of those that commas separate. */
static otr_code take_binary(otr_rpc_metadata *md, otr_bytes name, otr_bytes coded, otr_err *err)
{
    otr_buf value;
    otr_buf_init(&value, md->max_bytes);
    otr_code rc = otr_rpc_binary_read(coded, &value, err);
    if (rc == OTR_OK) {
        rc = put(md, name, otr_buf_bytes(&value), err);
    } else if (rc == OTR_EINVAL) {
        rc = otr_wrap(err, rc, "metadata \"%.*s\"", (int)name.n, (const char *)name.p);
    }
    otr_buf_deinit(&value);
    return rc;
}

otr_code otr_rpc_metadata_take(otr_rpc_metadata *md, otr_bytes name, otr_bytes value, otr_err *err)
{
    if (!otr_rpc_name_is_binary(name)) {
        return put(md, name, value, err);
    }
    otr_code rc = OTR_OK;
    while (rc == OTR_OK) {
        const uint8_t *comma = value.n > 0 ? memchr(value.p, ',', value.n) : NULL;
        size_t n = comma != NULL ? (size_t)(comma - value.p) : value.n;
        rc = take_binary(md, name, (otr_bytes){ value.p, n }, err);
        if (comma == NULL) {
            break;
        }
        value = (otr_bytes){ comma + 1, value.n - n - 1 };
    }
    return rc;
}

const otr_rpc_field *otr_rpc_metadata_find(const otr_rpc_metadata *md, const char *name)
{
    for (size_t i = 0; i < md->n; i++) {
        if (strcmp(md->items[i].name, name) == 0) {
            return &md->items[i];
        }
    }
    return NULL;
}

const char *otr_rpc_metadata_text(const otr_rpc_metadata *md, const char *name)
{
    const otr_rpc_field *field = otr_rpc_metadata_find(md, name);
    return field != NULL ? (const char *)field->value.p : "";
}

bool otr_rpc_name_is_binary(otr_bytes name)
{
    enum { SUFFIX = 4 };
    return name.n > SUFFIX && memcmp(name.p + name.n - SUFFIX, "-bin", SUFFIX) == 0;
}
