#include "telemetry/names.h"

#include <stdbool.h>

typedef struct unit_word {
    const char *unit, *word;
} unit_word;

/* UCUM codes that the specification spells out; any other unit is used as it stands. */
static const unit_word unit_words[] = {
    { "d", "days" },          { "h", "hours" },
    { "min", "minutes" },     { "s", "seconds" },
    { "ms", "milliseconds" }, { "us", "microseconds" },
    { "ns", "nanoseconds" },  { "By", "bytes" },
    { "KiBy", "kibibytes" },  { "MiBy", "mebibytes" },
    { "GiBy", "gibibytes" },  { "TiBy", "tibibytes" },
    { "KBy", "kilobytes" },   { "MBy", "megabytes" },
    { "GBy", "gigabytes" },   { "TBy", "terabytes" },
    { "m", "meters" },        { "V", "volts" },
    { "A", "amperes" },       { "J", "joules" },
    { "W", "watts" },         { "g", "grams" },
    { "Cel", "celsius" },     { "Hz", "hertz" },
    { "%", "percent" },       { "1", "" },
};

static const unit_word per_words[] = {
    { "s", "second" }, { "m", "minute" }, { "h", "hour" }, { "d", "day" },
    { "w", "week" },   { "mo", "month" }, { "y", "year" },
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static otr_bytes lookup(const unit_word *words, size_t n, otr_bytes unit)
{
    for (size_t i = 0; i < n; i++) {
        otr_bytes key = otr_bytes_of(words[i].unit);
        if (key.n == unit.n && memcmp(key.p, unit.p, key.n) == 0) {
            return otr_bytes_of(words[i].word);
        }
    }
    return unit;
}

/* Is `word` one of the words of the name that starts at `from`? */
static bool has_word(const otr_buf *out, size_t from, otr_bytes word)
{
    const char *p = (const char *)out->p;
    for (size_t i = from; i < out->n;) {
        size_t end = i;
        while (end < out->n && p[end] != '_') {
            end++;
        }
        if (end - i == word.n && memcmp(p + i, word.p, word.n) == 0) {
            return true;
        }
        i = end + 1;
    }
    return false;
}

static otr_code add_word(otr_buf *out, size_t from, otr_bytes word, otr_err *err)
{
    if (word.n == 0) {
        return OTR_OK;
    }
    otr_code rc = OTR_OK;
    if (out->n > from) {
        rc = otr_buf_addc(out, '_', err);
    } else if (is_digit((char)word.p[0])) {
        rc = otr_buf_addc(out, '_', err);
    }
    return rc != OTR_OK ? rc : otr_buf_add(out, word, err);
}

/* Adds each run of letters and digits of `text`; `skip` is a word to leave out, or empty. */
static otr_code add_words(otr_buf *out, size_t from, otr_bytes text, otr_bytes skip, otr_err *err)
{
    for (size_t i = 0; i < text.n;) {
        size_t end = i;
        while (end < text.n && is_word((char)text.p[end])) {
            end++;
        }
        otr_bytes word = { text.p + i, end - i };
        bool skipped = skip.n > 0 && skip.n == word.n && memcmp(skip.p, word.p, word.n) == 0;
        otr_code rc = skipped ? OTR_OK : add_word(out, from, word, err);
        if (rc != OTR_OK) {
            return rc;
        }
        i = end + 1;
    }
    return OTR_OK;
}

static bool is_annotation(otr_bytes unit)
{
    return unit.n > 0 &&
           (memchr(unit.p, '{', unit.n) != NULL || memchr(unit.p, '}', unit.n) != NULL);
}

static otr_code add_unit(otr_buf *out, size_t from, otr_bytes unit, otr_err *err)
{
    const uint8_t *slash = unit.n > 0 ? memchr(unit.p, '/', unit.n) : NULL;
    otr_bytes per = { NULL, 0 };
    if (slash != NULL) {
        per = (otr_bytes){ slash + 1, unit.n - (size_t)(slash - unit.p) - 1 };
        unit.n = (size_t)(slash - unit.p);
    }
    otr_code rc = OTR_OK;
    if (!is_annotation(unit)) {
        unit = lookup(unit_words, OTR_COUNT(unit_words), unit);
        rc = has_word(out, from, unit) ? OTR_OK
                                       : add_words(out, from, unit, (otr_bytes){ NULL, 0 }, err);
    }
    if (rc == OTR_OK && per.n > 0 && !is_annotation(per)) {
        per = lookup(per_words, OTR_COUNT(per_words), per);
        rc = add_word(out, from, otr_bytes_of("per"), err);
        rc = rc != OTR_OK ? rc : add_words(out, from, per, (otr_bytes){ NULL, 0 }, err);
    }
    return rc;
}

otr_code otr_prom_metric_name(const otr_family *family, otr_buf *out, otr_err *err)
{
    size_t from = out->n;
    otr_bytes total = otr_bytes_of("total"), none = { NULL, 0 };
    bool counter = family->kind == OTR_METRIC_COUNTER;
    otr_bytes unit = otr_bytes_of(family->unit);
    otr_code rc = add_words(out, from, otr_bytes_of(family->name), counter ? total : none, err);
    if (rc == OTR_OK && out->n == from) {
        rc = otr_fail(err, OTR_EINVAL, "metric name \"%s\" has no letter and no digit",
                      family->name);
    }
    rc = rc != OTR_OK ? rc : add_unit(out, from, unit, err);
    if (rc == OTR_OK && counter) {
        rc = add_word(out, from, total, err);
    } else if (rc == OTR_OK && family->kind == OTR_METRIC_GAUGE && unit.n == 1 &&
               unit.p[0] == '1') {
        rc = add_word(out, from, otr_bytes_of("ratio"), err);
    }
    if (rc != OTR_OK && out->n > from) {
        out->n = from;
        out->p[from] = '\0';
    }
    return rc;
}

otr_code otr_prom_label_name(const char *name, otr_buf *out, otr_err *err)
{
    otr_code rc = OTR_OK;
    if (name[0] == '\0' || is_digit(name[0])) {
        rc = otr_buf_adds(out, "key_", err);
    }
    for (; rc == OTR_OK && *name != '\0'; name++) {
        rc = otr_buf_addc(out, is_word(*name) ? *name : '_', err);
    }
    return rc;
}
