#include "telemetry/otlp.h"

#include <assert.h>

#include "base/utf8.h"

/* Bytes of a padded length: 28 bits, more than any message here may have. */
enum { GAP_BYTES = 4, TAG_BYTES = 2, VARINT_BYTES = 10, FIXED_BYTES = 9 };
enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2 };
#define GAP_MOST ((size_t)1 << (7 * GAP_BYTES))

/* Levels of the writer: what is open below each. */
enum { LEVEL_RESOURCE, LEVEL_SCOPE, LEVEL_METRIC, LEVEL_DATA };

/* Fields of metrics.proto that differ between the kinds of points. */
typedef struct point_fields {
    unsigned start, time, attributes;
} point_fields;
static const point_fields number_fields = { 2, 3, 7 };
static const point_fields histogram_fields = { 2, 3, 9 };
static const point_fields exponential_fields = { 2, 3, 1 };

static uint8_t *room(otr_otlp *w, size_t bytes)
{
    uint8_t *at = NULL;
    if (w->rc == OTR_OK) {
        w->rc = otr_buf_reserve(w->out, bytes, &at, w->err);
    }
    return w->rc == OTR_OK ? at : NULL;
}

/* ---- raw bytes: the caller made room ---- */

static uint8_t *put_varint(uint8_t *at, uint64_t value)
{
    while (value >= 0x80) {
        *at++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

static uint8_t *put_tag(uint8_t *at, unsigned field, unsigned wire)
{
    return put_varint(at, (uint64_t)field << 3 | wire);
}

static uint8_t *put_u64(uint8_t *at, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
    return at + 8;
}

static uint8_t *put_fixed(uint8_t *at, unsigned field, uint64_t value)
{
    return put_u64(put_tag(at, field, WIRE_FIXED64), value);
}

static uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static uint64_t zigzag(int64_t value)
{
    return value < 0 ? ~((uint64_t)value << 1) : (uint64_t)value << 1;
}

static size_t varint_size(uint64_t value)
{
    size_t n = 1;
    for (; value >= 0x80; value >>= 7) {
        n++;
    }
    return n;
}

/* ---- texts ---- */

static bool is_ascii(const char *text, size_t n)
{
    uint8_t all = 0;
    for (size_t i = 0; i < n; i++) {
        all |= (uint8_t)text[i];
    }
    return all < 0x80;
}

/* Copies `text` as UTF-8; with `to` NULL it is only measured. Returns the bytes that it takes. */
static size_t clean(otr_bytes text, uint8_t *to)
{
    static const uint8_t replacement[] = { 0xef, 0xbf, 0xbd };
    size_t n = 0;
    while (text.n > 0) {
        size_t step = otr_utf8_next(text, NULL);
        size_t bytes = step > 0 ? step : sizeof(replacement);
        if (to != NULL) {
            memcpy(to + n, step > 0 ? text.p : replacement, bytes);
        }
        n += bytes;
        text.p += step > 0 ? step : 1;
        text.n -= step > 0 ? step : 1;
    }
    return n;
}

typedef struct measured {
    otr_bytes text;
    size_t size; /* as UTF-8 */
    bool ascii;
} measured;

static measured measure(const char *text)
{
    otr_bytes bytes = otr_bytes_of(text);
    bool ascii = is_ascii(text, bytes.n);
    return (measured){ bytes, ascii ? bytes.n : clean(bytes, NULL), ascii };
}

static uint8_t *put_text(uint8_t *at, unsigned field, measured m)
{
    at = put_varint(put_tag(at, field, WIRE_BYTES), m.size);
    if (!m.ascii) {
        return at + clean(m.text, at);
    }
    if (m.size > 0) {
        memcpy(at, m.text.p, m.size);
    }
    return at + m.size;
}

static void add_text(otr_otlp *w, unsigned field, const char *text)
{
    measured m = measure(text);
    uint8_t *at = m.size > 0 ? room(w, TAG_BYTES + VARINT_BYTES + m.size) : NULL;
    if (at != NULL) {
        otr_buf_grew(w->out, (size_t)(put_text(at, field, m) - at));
    }
}

static void add_attribute(otr_otlp *w, unsigned field, const otr_otlp_attribute *attribute)
{
    measured key = measure(attribute->key), value = measure(attribute->value);
    size_t text = 1 + varint_size(value.size) + value.size; /* AnyValue */
    size_t pair = 1 + varint_size(key.size) + key.size + 1 + varint_size(text) + text;
    uint8_t *at = room(w, TAG_BYTES + VARINT_BYTES + pair);
    if (at == NULL) {
        return;
    }
    uint8_t *begun = at;
    at = put_varint(put_tag(at, field, WIRE_BYTES), pair);
    at = put_text(at, 1, key);
    at = put_varint(put_tag(at, 2, WIRE_BYTES), text);
    at = put_text(at, 1, value);
    otr_buf_grew(w->out, (size_t)(at - begun));
}

/* ---- messages of a size that is not known yet ---- */

static void open_message(otr_otlp *w, unsigned field)
{
    assert(w->depth < OTR_OTLP_DEPTH);
    uint8_t *at = room(w, TAG_BYTES + GAP_BYTES);
    if (at != NULL) {
        otr_buf_grew(w->out, (size_t)(put_tag(at, field, WIRE_BYTES) - at) + GAP_BYTES);
    }
    w->open[w->depth++] = w->out->n;
}

static void close_message(otr_otlp *w)
{
    size_t from = w->open[--w->depth];
    if (w->rc != OTR_OK) {
        return;
    }
    size_t n = w->out->n - from;
    if (n >= GAP_MOST) {
        w->rc = otr_fail(w->err, OTR_EQUOTA, "a message of %zu bytes is too large for OTLP", n);
        return;
    }
    uint8_t *gap = w->out->p + from - GAP_BYTES;
    for (unsigned i = 0; i < GAP_BYTES; i++) {
        gap[i] = (uint8_t)((n >> (7 * i) & 0x7f) | (i + 1 < GAP_BYTES ? 0x80 : 0));
    }
}

static void add_flag(otr_otlp *w, unsigned field, unsigned value)
{
    uint8_t *at = room(w, TAG_BYTES + VARINT_BYTES);
    if (at != NULL) {
        otr_buf_grew(w->out, (size_t)(put_varint(put_tag(at, field, WIRE_VARINT), value) - at));
    }
}

/* Closes what is open from `level` on. */
static void close_to(otr_otlp *w, size_t level)
{
    while (w->depth > level) {
        close_message(w);
    }
}

/* ---- the levels ---- */

void otr_otlp_begin(otr_otlp *w, otr_buf *out, otr_err *err)
{
    *w = (otr_otlp){ .out = out, .err = err, .begun = out->n };
}

void otr_otlp_resource(otr_otlp *w, const otr_otlp_attribute *attributes, size_t n)
{
    close_to(w, LEVEL_RESOURCE);
    open_message(w, 1);
    open_message(w, 1);
    for (size_t i = 0; i < n; i++) {
        add_attribute(w, 1, &attributes[i]);
    }
    close_message(w);
}

void otr_otlp_scope(otr_otlp *w, const char *name, const char *version)
{
    assert(w->depth > LEVEL_RESOURCE);
    close_to(w, LEVEL_SCOPE);
    open_message(w, 2);
    open_message(w, 1);
    add_text(w, 1, name);
    add_text(w, 2, version);
    close_message(w);
}

void otr_otlp_metric_begin(otr_otlp *w, const otr_otlp_metric *metric)
{
    static const unsigned data[] = {
        [OTR_OTLP_GAUGE] = 5,     [OTR_OTLP_SUM] = 7,          [OTR_OTLP_UP_DOWN_SUM] = 7,
        [OTR_OTLP_HISTOGRAM] = 9, [OTR_OTLP_EXPONENTIAL] = 10,
    };
    assert(w->depth > LEVEL_SCOPE);
    close_to(w, LEVEL_METRIC);
    w->kind = metric->kind;
    open_message(w, 2);
    add_text(w, 1, metric->name);
    add_text(w, 2, metric->help);
    add_text(w, 3, metric->unit);
    open_message(w, data[metric->kind]);
    if (metric->kind != OTR_OTLP_GAUGE) {
        add_flag(w, 2, metric->temporality);
    }
    if (metric->kind == OTR_OTLP_SUM) {
        add_flag(w, 3, 1);
    }
}

/* ---- points ---- */

static void begin_point(otr_otlp *w, const otr_otlp_point *point, const point_fields *fields)
{
    assert(w->depth > LEVEL_DATA);
    open_message(w, 1);
    uint8_t *at = room(w, 2 * FIXED_BYTES);
    if (at != NULL) {
        uint8_t *begun = at;
        if (point->start_ns != 0) {
            at = put_fixed(at, fields->start, point->start_ns);
        }
        at = put_fixed(at, fields->time, point->time_ns);
        otr_buf_grew(w->out, (size_t)(at - begun));
    }
    for (size_t i = 0; i < point->n_attributes; i++) {
        add_attribute(w, fields->attributes, &point->attributes[i]);
    }
}

static void add_number(otr_otlp *w, const otr_otlp_point *point, unsigned field, uint64_t bits)
{
    assert(w->kind <= OTR_OTLP_UP_DOWN_SUM);
    begin_point(w, point, &number_fields);
    uint8_t *at = room(w, FIXED_BYTES);
    if (at != NULL) {
        (void)put_fixed(at, field, bits);
        otr_buf_grew(w->out, FIXED_BYTES);
    }
    close_message(w);
}

void otr_otlp_int(otr_otlp *w, const otr_otlp_point *point, int64_t value)
{
    add_number(w, point, 6, (uint64_t)value);
}

void otr_otlp_double(otr_otlp *w, const otr_otlp_point *point, double value)
{
    add_number(w, point, 4, bits_of(value));
}

void otr_otlp_buckets(otr_otlp *w, const otr_otlp_point *point, const double *bounds, size_t n,
                      const uint64_t *counts, double sum)
{
    assert(w->kind == OTR_OTLP_HISTOGRAM);
    begin_point(w, point, &histogram_fields);
    uint8_t *at = room(w, 2 * FIXED_BYTES + 2 * (TAG_BYTES + VARINT_BYTES) + (2 * n + 1) * 8);
    if (at != NULL) {
        uint8_t *begun = at;
        uint64_t count = 0;
        for (size_t i = 0; i <= n; i++) {
            count += counts[i];
        }
        at = put_fixed(put_fixed(at, 4, count), 5, bits_of(sum));
        at = put_varint(put_tag(at, 6, WIRE_BYTES), (n + 1) * 8);
        for (size_t i = 0; i <= n; i++) {
            at = put_u64(at, counts[i]);
        }
        at = put_varint(put_tag(at, 7, WIRE_BYTES), n * 8);
        for (size_t i = 0; i < n; i++) {
            at = put_u64(at, bits_of(bounds[i]));
        }
        otr_buf_grew(w->out, (size_t)(at - begun));
    }
    close_message(w);
}

/* The buckets from the first to the last that has a count. */
static void add_positive(otr_otlp *w, const otr_histogram *h)
{
    size_t first = 0, end = OTR_HISTOGRAM_BUCKETS, bytes = 0;
    while (first < end && h->buckets[first] == 0) {
        first++;
    }
    while (end > first && h->buckets[end - 1] == 0) {
        end--;
    }
    for (size_t i = first; i < end; i++) {
        bytes += varint_size(h->buckets[i]);
    }
    open_message(w, 8);
    uint8_t *at = room(w, 2 * (TAG_BYTES + VARINT_BYTES) + bytes);
    if (at != NULL && first < end) {
        uint8_t *begun = at;
        at = put_tag(at, 1, WIRE_VARINT);
        at = put_varint(at, zigzag(OTR_HISTOGRAM_LEAST + (int64_t)first));
        at = put_varint(put_tag(at, 2, WIRE_BYTES), bytes);
        for (size_t i = first; i < end; i++) {
            at = put_varint(at, h->buckets[i]);
        }
        otr_buf_grew(w->out, (size_t)(at - begun));
    }
    close_message(w);
}

void otr_otlp_exponential(otr_otlp *w, const otr_otlp_point *point, const otr_histogram *h)
{
    assert(w->kind == OTR_OTLP_EXPONENTIAL);
    begin_point(w, point, &exponential_fields);
    uint8_t *at = room(w, 4 * FIXED_BYTES + TAG_BYTES + VARINT_BYTES);
    if (at != NULL) {
        uint8_t *begun = at;
        at = put_fixed(at, 4, h->count);
        at = put_fixed(at, 5, bits_of((double)h->sum_ms / 1000.0));
        at = put_varint(put_tag(at, 6, WIRE_VARINT), zigzag(OTR_HISTOGRAM_SCALE));
        at = put_fixed(at, 7, h->zero);
        if (h->count > 0) {
            at = put_fixed(at, 13, bits_of((double)h->most_ms / 1000.0));
        }
        otr_buf_grew(w->out, (size_t)(at - begun));
    }
    add_positive(w, h);
    close_message(w);
}

otr_code otr_otlp_end(otr_otlp *w)
{
    close_to(w, LEVEL_RESOURCE);
    if (w->rc != OTR_OK) {
        otr_buf_cut(w->out, w->begun);
    }
    return w->rc;
}
