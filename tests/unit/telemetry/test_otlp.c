#include "base/limits.h"
#include "support/test.h"
#include "telemetry/otlp.h"
#include "telemetry/registry.h"

static void free_registry(void *slot)
{
    otr_registry_free(*(otr_registry **)slot);
}

static void deinit_buf(void *buf)
{
    otr_buf_deinit(buf);
}

#define BUF(buf, bytes)                   \
    OTR_CLEANUP(deinit_buf) otr_buf(buf); \
    otr_buf_init(&(buf), (bytes))

static const otr_otlp_attribute one_attribute[] = { { "k", "v" } };
static const otr_otlp_point at_two = { .attributes = one_attribute,
                                       .n_attributes = 1,
                                       .time_ns = 2 };

static otr_code write_gauge(otr_buf *out, const char *name, otr_err *err)
{
    otr_otlp w;
    otr_otlp_begin(&w, out, err);
    otr_otlp_resource(&w, NULL, 0);
    otr_otlp_scope(&w, "s", "");
    otr_otlp_metric_begin(
        &w, &(otr_otlp_metric){ .name = name, .unit = "", .help = "", .kind = OTR_OTLP_GAUGE });
    otr_otlp_int(&w, &at_two, -1);
    return otr_otlp_end(&w);
}

T(what_does_not_fit_leaves_the_buffer_as_it_was)
{
    otr_err e = { 0 };
    BUF(whole, OTR_MIB);
    REQUIRE_OK(write_gauge(&whole, "n", &e), e);
    for (size_t most = 1; most < whole.n; most++) {
        BUF(out, most);
        REQUIRE_OK(otr_buf_addc(&out, 'x', &e), e);
        CHECK(write_gauge(&out, "n", &e) == OTR_EQUOTA);
        CHECK_STR(otr_buf_text(&out), "x");
    }
}

T(a_gauge_is_written_byte_for_byte)
{
    static const uint8_t expected[] = {
        0x0a, 0xc0, 0x80, 0x80, 0x00,                              /* ResourceMetrics */
        0x0a, 0x80, 0x80, 0x80, 0x00,                              /* Resource */
        0x12, 0xb6, 0x80, 0x80, 0x00,                              /* ScopeMetrics */
        0x0a, 0x83, 0x80, 0x80, 0x00, 0x0a, 0x01, 's',             /* scope */
        0x12, 0xa9, 0x80, 0x80, 0x00, 0x0a, 0x01, 'n',             /* metric */
        0x2a, 0xa1, 0x80, 0x80, 0x00,                              /* gauge */
        0x0a, 0x9c, 0x80, 0x80, 0x00,                              /* point */
        0x19, 0x02, 0,    0,    0,    0,    0,    0,    0,         /* time */
        0x3a, 0x08, 0x0a, 0x01, 'k',  0x12, 0x03, 0x0a, 0x01, 'v', /* attribute */
        0x31, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff       /* value */
    };
    otr_err e = { 0 };
    BUF(out, OTR_MIB);
    REQUIRE_OK(write_gauge(&out, "n", &e), e);
    REQUIRE(out.n == sizeof(expected));
    CHECK(memcmp(out.p, expected, sizeof(expected)) == 0);
}

T(texts_that_are_no_utf8_are_mended)
{
    otr_err e = { 0 };
    BUF(out, OTR_MIB);
    REQUIRE_OK(write_gauge(&out, "a\xff\xc3\xa9", &e), e);
    static const char name[] = "\x0a\x06"
                               "a\xef\xbf\xbd\xc3\xa9";
    bool found = false;
    for (size_t i = 0; i + sizeof(name) - 1 <= out.n; i++) {
        found = found || memcmp(out.p + i, name, sizeof(name) - 1) == 0;
    }
    CHECK(found);
}

static bool only_requests(void *arg, const char *name)
{
    (void)arg;
    return strcmp(name, "nginx.http.requests") == 0;
}

T(what_is_not_wanted_stays_out_and_nothing_is_nothing)
{
    static const otr_family gauge = {
        .name = "g", .unit = "", .help = "", .kind = OTR_METRIC_GAUGE
    };
    otr_err e = { 0 };
    OTR_CLEANUP(free_registry) otr_registry *reg = NULL;
    REQUIRE_OK(otr_registry_new(&reg, &e), e);
    otr_series *s = NULL;
    REQUIRE_OK(otr_registry_series(reg, &gauge, NULL, &s, &e), e);
    BUF(out, OTR_MIB);
    otr_registry_otlp_spec spec = { .version = "1", .resource_id = "", .time_ns = 1 };
    size_t points = 7;
    spec.wanted = only_requests;
    REQUIRE_OK(otr_registry_otlp(reg, &spec, &out, &points, &e), e);
    CHECK(points == 0 && out.n == 0);
    spec.wanted = NULL;
    REQUIRE_OK(otr_registry_otlp(reg, &spec, &out, &points, &e), e);
    CHECK(points == 1 && out.n > 0);
}
