#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/escape.h"
#include "base/number.h"
#include "base/utf8.h"
#include "telemetry/names.h"
#include "telemetry/store.h"

enum { NUMBER_BYTES = 40, TAIL_BYTES = 64 };

/* The shortest text that reads back as the same number. */
static const char *number(double value, char out[NUMBER_BYTES])
{
    if (isnan(value)) {
        return "NaN";
    }
    if (isinf(value)) {
        return value > 0 ? "+Inf" : "-Inf";
    }
    if (fabs(value) < 9007199254740992.0 && value == trunc(value)) {
        (void)snprintf(out, NUMBER_BYTES, "%.0f", value);
        return out;
    }
    return otr_f64_text(out, value);
}

/* Label values escape backslash, quote and line feed; help texts the first and the last. The
 * format is UTF-8: what is not becomes U+FFFD. What a terminal may take for something else is
 * written as base/escape.h does, in the format's own way to write a backslash. */
static otr_code add_escaped(otr_buf *out, const char *text, const char *special, otr_err *err)
{
    otr_code rc = OTR_OK;
    otr_bytes rest = otr_bytes_of(text);
    while (rc == OTR_OK && rest.n > 0) {
        uint32_t code = 0;
        size_t n = otr_utf8_next(rest, &code);
        char c = (char)rest.p[0];
        if (n == 0) {
            rc = otr_buf_adds(out, "\xef\xbf\xbd", err);
            n = 1;
        } else if (c == '\n') {
            rc = otr_buf_adds(out, "\\n", err);
        } else if (otr_escape_needs(code)) {
            char one[OTR_ESCAPE_BYTES];
            size_t wrote = 0;
            (void)otr_escape_next(rest, one, &wrote);
            rc = otr_buf_addf(out, err, "\\%.*s", (int)wrote, one);
        } else if (n == 1 && strchr(special, c) != NULL) {
            rc = otr_buf_add(out, (otr_bytes){ (const uint8_t[]){ '\\', (uint8_t)c }, 2 }, err);
        } else {
            rc = otr_buf_add(out, (otr_bytes){ rest.p, n }, err);
        }
        rest.p += n;
        rest.n -= n;
    }
    return rc;
}

/* Appends "{a=\"1\",le=\"0.5\"}", or nothing when there is no label at all. */
static otr_code add_labels(otr_buf *out, const otr_series *s, const char *le, otr_err *err)
{
    const otr_metric_entry *entry = s->entry;
    const char *value = s->values;
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < entry->n_labels; i++) {
        rc = otr_buf_addc(out, i == 0 ? '{' : ',', err);
        rc = rc != OTR_OK ? rc : otr_prom_label_name(entry->family->labels[i], out, err);
        rc = rc != OTR_OK ? rc : otr_buf_adds(out, "=\"", err);
        rc = rc != OTR_OK ? rc : add_escaped(out, value, "\\\"", err);
        rc = rc != OTR_OK ? rc : otr_buf_addc(out, '"', err);
        value += strlen(value) + 1;
    }
    if (rc == OTR_OK && le != NULL) {
        rc = otr_buf_addf(out, err, "%cle=\"%s\"", entry->n_labels == 0 ? '{' : ',', le);
    }
    if (rc == OTR_OK && (entry->n_labels > 0 || le != NULL)) {
        rc = otr_buf_addc(out, '}', err);
    }
    return rc;
}

static otr_code add_sample(otr_buf *out, const otr_series *s, const char *suffix, const char *le,
                           const char *value, otr_err *err)
{
    otr_code rc = otr_buf_addf(out, err, "%s%s", s->entry->prom_name, suffix);
    rc = rc != OTR_OK ? rc : add_labels(out, s, le, err);
    return rc != OTR_OK ? rc : otr_buf_addf(out, err, " %s\n", value);
}

static otr_code add_histogram(otr_buf *out, const otr_series *s, otr_err *err)
{
    uint64_t below = 0;
    otr_code rc = OTR_OK;
    char bound[NUMBER_BYTES], count[NUMBER_BYTES];
    for (size_t i = 0; rc == OTR_OK && i <= s->entry->n_bounds; i++) {
        below += s->counts[i];
        (void)snprintf(count, sizeof(count), "%" PRIu64, below);
        const char *le =
            i == s->entry->n_bounds ? "+Inf" : number(s->entry->family->buckets[i], bound);
        rc = add_sample(out, s, "_bucket", le, count, err);
    }
    rc = rc != OTR_OK ? rc : add_sample(out, s, "_sum", NULL, number(s->value, bound), err);
    return rc != OTR_OK ? rc : add_sample(out, s, "_count", NULL, count, err);
}

static otr_code add_series(otr_buf *out, const otr_series *s, otr_err *err)
{
    char text[NUMBER_BYTES];
    return s->counts != NULL ? add_histogram(out, s, err)
                             : add_sample(out, s, "", NULL, number(s->value, text), err);
}

static otr_code add_head(otr_buf *out, const otr_metric_entry *entry, otr_err *err)
{
    static const char *const kinds[] = { "counter", "gauge", "histogram" };
    otr_code rc = otr_buf_addf(out, err, "# HELP %s ", entry->prom_name);
    rc = rc != OTR_OK ? rc : add_escaped(out, entry->family->help, "\\", err);
    return rc != OTR_OK ? rc
                        : otr_buf_addf(out, err, "\n# TYPE %s %s\n", entry->prom_name,
                                       kinds[entry->family->kind]);
}

/* Adds `entry` as far as there is room; what finds none is counted into `*more`, and so is all that
 * comes after it. */
static otr_code add_entry(otr_buf *out, const otr_metric_entry *entry, size_t *more, otr_err *err)
{
    size_t start = out->n;
    otr_code rc = *more == 0 ? add_head(out, entry, err) : OTR_EQUOTA;
    if (rc == OTR_EQUOTA) {
        otr_buf_cut(out, start);
    }
    for (const otr_series *s = entry->first; s != NULL; s = s->next) {
        size_t before = out->n;
        rc = rc == OTR_OK ? add_series(out, s, err) : rc;
        if (rc == OTR_EQUOTA) {
            otr_buf_cut(out, before);
            ++*more;
        } else if (rc != OTR_OK) {
            return rc;
        }
    }
    return OTR_OK;
}

otr_code otr_registry_prometheus(otr_registry *reg, otr_buf *out, otr_err *err)
{
    otr_registry_collect(reg);
    otr_code rc = OTR_OK;
    size_t more = 0, max_bytes = out->max_bytes;
    out->max_bytes -= max_bytes > TAIL_BYTES ? TAIL_BYTES : 0; /* for the line that says so */
    for (size_t i = 0; rc == OTR_OK && i < reg->n_entries; i++) {
        rc = add_entry(out, reg->entries[i], &more, err);
    }
    out->max_bytes = max_bytes;
    if (rc == OTR_OK && more > 0) {
        rc = otr_buf_addf(out, err, "# %zu more series found no room\n", more);
    }
    return rc;
}
