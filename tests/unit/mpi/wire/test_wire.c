#include "base/limits.h"
#include "mpi/v1/command.pb-c.h"
#include "mpi/v1/files.pb-c.h"
#include "mpi/wire/guard.h"
#include "mpi/wire/wire.h"
#include "support/test.h"

static otr_bytes bytes_of(const void *p, size_t n)
{
    return (otr_bytes){ p, n };
}

T(a_request_of_a_plane_is_read)
{
    /* message_meta {message_id "m1", correlation_id "c-health"}, health_request {} */
    static const uint8_t wire[] = "\x0a\x0e\x0a\x02m1\x12\x08"
                                  "c-health\x1a\x00";
    otr_err err = { 0 };
    OTR_CLEANUP(otr_mpi_message_deinit) otr_mpi_message got = { 0 };
    REQUIRE_OK(otr_mpi_unpack(&mpi__v1__management_plane_request__descriptor,
                              bytes_of(wire, sizeof(wire) - 1), &got, &err),
               err);
    const Mpi__V1__ManagementPlaneRequest *request =
        (const Mpi__V1__ManagementPlaneRequest *)got.root;
    CHECK_STR(request->message_meta->message_id, "m1");
    CHECK_STR(request->message_meta->correlation_id, "c-health");
    CHECK(request->message_meta->timestamp == NULL);
    CHECK_INT(request->request_case, MPI__V1__MANAGEMENT_PLANE_REQUEST__REQUEST_HEALTH_REQUEST);
}

T(an_empty_message_is_one)
{
    otr_err err = { 0 };
    OTR_CLEANUP(otr_mpi_message_deinit) otr_mpi_message got = { 0 };
    REQUIRE_OK(otr_mpi_unpack(&mpi__v1__management_plane_request__descriptor, bytes_of(NULL, 0),
                              &got, &err),
               err);
    const Mpi__V1__ManagementPlaneRequest *request =
        (const Mpi__V1__ManagementPlaneRequest *)got.root;
    CHECK_INT(request->request_case, MPI__V1__MANAGEMENT_PLANE_REQUEST__REQUEST__NOT_SET);
}

T(what_came_is_packed_as_it_was_also_what_is_unknown)
{
    /* FileMeta name "/a", permissions "0644", size 7, and fields 15 and 99 that nobody knows */
    static const uint8_t wire[] = "\x0a\x02/a\x22\x04"
                                  "0644\x28\x07\x7a\x01x\x9a\x06\x02yz";
    otr_err err = { 0 };
    OTR_CLEANUP(otr_mpi_message_deinit) otr_mpi_message got = { 0 };
    OTR_CLEANUP(otr_buf_deinit) otr_buf out;
    otr_buf_init(&out, 100);
    REQUIRE_OK(otr_mpi_unpack(&mpi__v1__file_meta__descriptor, bytes_of(wire, sizeof(wire) - 1),
                              &got, &err),
               err);
    REQUIRE_OK(otr_mpi_pack(got.root, &out, &err), err);
    CHECK_INT(out.n, sizeof(wire) - 1);
    CHECK(memcmp(out.p, wire, out.n) == 0);
}

static void refused(const ProtobufCMessageDescriptor *of, const char *wire, size_t n, otr_code code,
                    const char *why)
{
    otr_err err = { 0 };
    otr_mpi_message got = { 0 };
    CHECK_INT(otr_mpi_unpack(of, bytes_of(wire, n), &got, &err), code);
    CHECK_HAS(err.msg, why);
    CHECK(got.root == NULL);
}

#define REFUSED(of, wire, code, why) refused(&(of), wire, sizeof(wire) - 1, code, why)

T(what_is_no_message_is_refused_with_the_path_of_the_field)
{
    REFUSED(mpi__v1__file_meta__descriptor, "\x0a\x05/a", OTR_EINVAL,
            "mpi.v1.FileMeta: name: is cut off");
    REFUSED(mpi__v1__file_meta__descriptor, "\x0a\x02\xff/", OTR_EINVAL, "name: is not UTF-8");
    REFUSED(mpi__v1__file_meta__descriptor, "\x0a\x03/\0a", OTR_EINVAL, "name: holds a NUL");
    REFUSED(mpi__v1__file_meta__descriptor, "\x08\x01", OTR_EINVAL, "name: has another type");
    REFUSED(mpi__v1__file_meta__descriptor, "\x02\x00", OTR_EINVAL, "has no number");
    REFUSED(mpi__v1__file_meta__descriptor, "\x7b\x7c", OTR_EINVAL, "of a kind that is not known");
    REFUSED(mpi__v1__file_meta__descriptor, "\x28\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
            OTR_EINVAL, "size: is cut off");
    REFUSED(mpi__v1__file_meta__descriptor, "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            OTR_EINVAL, "name: is cut off");
    REFUSED(mpi__v1__management_plane_request__descriptor, "\x2a\x06\x0a\x04\x0a\x02\x0a\x7f",
            OTR_EINVAL, "config_apply_request.overview.files.file_meta: is cut off");
}

/* A list of lists, `depth` of them, as a google.protobuf.Value. */
static size_t nested(uint8_t *to, size_t depth)
{
    otr_buf a, b;
    otr_err err;
    otr_buf_init(&a, 4096);
    otr_buf_init(&b, 4096);
    bool ok = true;
    for (size_t i = 0; i < depth && ok; i++) {
        otr_buf_clear(&b);
        ok = otr_buf_addc(&b, i % 2 == 0 ? '\x32' : '\x0a', &err) == OTR_OK &&
             (a.n < 128 || otr_buf_addc(&b, (char)(a.n | 0x80), &err) == OTR_OK) &&
             otr_buf_addc(&b, (char)(a.n < 128 ? a.n : a.n >> 7), &err) == OTR_OK &&
             otr_buf_add(&b, otr_buf_bytes(&a), &err) == OTR_OK;
        otr_buf t = a;
        a = b;
        b = t;
    }
    size_t n = ok ? a.n : 0;
    if (n > 0) {
        memcpy(to, a.p, n);
    }
    otr_buf_deinit(&a);
    otr_buf_deinit(&b);
    return n;
}

T(depth_has_a_ceiling)
{
    otr_err err = { 0 };
    uint8_t wire[4096];
    for (size_t depth = 1; depth <= 100; depth += depth < OTR_LIMIT_MPI_DEPTH - 3 ? 10 : 1) {
        size_t n = nested(wire, depth / 2 * 2); /* the outermost is a list value */
        otr_code rc =
            otr_mpi_guard(&google__protobuf__list_value__descriptor, bytes_of(wire, n), &err);
        CHECK_INT(rc, depth / 2 * 2 < OTR_LIMIT_MPI_DEPTH ? OTR_OK : OTR_EQUOTA);
    }
    CHECK_HAS(err.msg, "nested too deep");
}

T(the_number_of_fields_has_a_ceiling)
{
    otr_err err = { 0 };
    size_t most = 2 * (size_t)OTR_LIMIT_MPI_FIELDS;
    OTR_CLEANUP(otr_freep) uint8_t *wire = otr_alloc(most + 2);
    REQUIRE(wire != NULL);
    for (size_t i = 0; i < most + 2; i += 2) {
        memcpy(wire + i, "\x10\x00", 2);
    }
    const ProtobufCMessageDescriptor *of = &mpi__v1__file__descriptor;
    CHECK_INT(otr_mpi_guard(of, bytes_of(wire, most), &err), OTR_OK);
    CHECK_INT(otr_mpi_guard(of, bytes_of(wire, most + 2), &err), OTR_EQUOTA);
    CHECK_HAS(err.msg, "one of too many");
}

/* 48 MiB for each allocation that could fail. */
T_NO_OOM(memory_has_a_ceiling)
{
    /* Each overview that is merged into the one before makes the list of files anew. */
    static const uint8_t one[] = { 0x0a, 0x02, 0x0a, 0x00 };
    enum { TIMES = 12000 };
    otr_err err = { 0 };
    OTR_CLEANUP(otr_freep) uint8_t *wire = otr_alloc(TIMES * sizeof(one));
    REQUIRE(wire != NULL);
    for (size_t i = 0; i < TIMES; i++) {
        memcpy(wire + i * sizeof(one), one, sizeof(one));
    }
    otr_mpi_message got = { 0 };
    CHECK_INT(otr_mpi_unpack(&mpi__v1__config_apply_request__descriptor,
                             bytes_of(wire, TIMES * sizeof(one)), &got, &err),
              OTR_EQUOTA);
    CHECK_HAS(err.msg, "bytes of memory");
}

T(a_message_that_is_too_large_is_not_packed)
{
    otr_err err = { 0 };
    OTR_CLEANUP(otr_buf_deinit) otr_buf out;
    Mpi__V1__FileMeta meta = MPI__V1__FILE_META__INIT;
    static char name[] = "/etc/nginx/nginx.conf";
    meta.name = name;
    otr_buf_init(&out, sizeof(name));
    CHECK_INT(otr_mpi_pack(&meta.base, &out, &err), OTR_EQUOTA);
    CHECK_HAS(err.msg, "mpi.v1.FileMeta");
    otr_buf_deinit(&out);
    otr_buf_init(&out, sizeof(name) + 1);
    CHECK_INT(otr_mpi_pack(&meta.base, &out, &err), OTR_OK);
    CHECK_INT(out.n, sizeof(name) + 1);
}

T(text_is_made_fit_for_a_message)
{
    OTR_CLEANUP(otr_arena_deinit) otr_arena arena = { 0 };
    char *text = otr_mpi_text(&arena, "a\xff\xc3\xa4\x80");
    REQUIRE(text != NULL);
    CHECK_STR(text, "a\xef\xbf\xbd\xc3\xa4\xef\xbf\xbd");
    text = otr_mpi_text(&arena, NULL);
    REQUIRE(text != NULL);
    CHECK_STR(text, "");
    Mpi__V1__File *file = otr_mpi_new(&mpi__v1__file__descriptor, &arena);
    REQUIRE(file != NULL);
    CHECK(file->base.descriptor == &mpi__v1__file__descriptor);
}

T(an_id_is_eight_four_four_four_twelve_digits)
{
    char a[OTR_MPI_UUID_BYTES], b[OTR_MPI_UUID_BYTES];
    CHECK(otr_mpi_uuid_ok(otr_mpi_uuid_new(a)));
    CHECK(strcmp(a, otr_mpi_uuid_new(b)) != 0);
    CHECK(a[14] == '4');
    CHECK(otr_mpi_uuid_ok("00000000-0000-0000-0000-000000000000"));
    CHECK(otr_mpi_uuid_ok("CD2D5DC0-C528-3f37-B83C-727fd4010777"));
    CHECK(!otr_mpi_uuid_ok(""));
    CHECK(!otr_mpi_uuid_ok("cd2d5dc0c5283f37b83c727fd4010777"));
    CHECK(!otr_mpi_uuid_ok("cd2d5dc0-c528-3f37-b83c-727fd401077"));
    CHECK(!otr_mpi_uuid_ok("cd2d5dc0-c528-3f37-b83c-727fd40107777"));
    CHECK(!otr_mpi_uuid_ok("cd2d5dc0-c528-3f37-b83c-727fd401077g"));
}
