#include "config/labels.h"

#include <ctype.h>
#include <stdlib.h>

enum { TEXT_BYTES = 256 };

/* Go's strconv.Atoi: decimal only. */
static bool is_int(const char *text, int64_t *ret)
{
    const char *p = *text == '-' || *text == '+' ? text + 1 : text;
    if (*p == '\0') {
        return false;
    }
    uint64_t value = 0;
    uint64_t most = (uint64_t)INT64_MAX + (*text == '-');
    for (; *p != '\0'; p++) {
        uint64_t digit = (uint64_t)(unsigned char)*p - '0';
        if (digit > 9 || value > (most - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *ret = *text == '-' ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

/* Decimal and finite; infinity and not-a-number have no JSON form and stay texts. */
static bool is_float(const char *text, double *ret)
{
    if (text[strspn(text, "0123456789+-.eE")] != '\0') {
        return false;
    }
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || value > 1.7976931348623157e308 ||
        value < -1.7976931348623157e308) {
        return false;
    }
    *ret = value;
    return true;
}

/* Go's strconv.ParseBool, to the letter. */
static bool is_bool(const char *text, bool *ret)
{
    static const char *const yes[] = { "1", "t", "T", "true", "TRUE", "True" };
    static const char *const no[] = { "0", "f", "F", "false", "FALSE", "False" };
    for (size_t i = 0; i < OTR_COUNT(yes); i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *ret = strcmp(text, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

static bool is_json(const char *text)
{
    otr_json *value = NULL;
    if (strchr("{[\"", text[0]) == NULL ||
        otr_json_parse(otr_bytes_of(text), &value, NULL) != OTR_OK) {
        return false;
    }
    otr_json_free(value);
    return true;
}

/* Letters and digits, and between them also '-', '_' and '.'; at most 256 bytes. */
static bool is_text(const char *text)
{
    size_t n = strlen(text);
    if (n == 0 || n > TEXT_BYTES) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        bool edge = i == 0 || i == n - 1;
        bool alnum = isalnum((unsigned char)text[i]) && (unsigned char)text[i] < 0x80;
        if (!alnum && (edge || strchr("-_.", text[i]) == NULL)) {
            return false;
        }
    }
    return true;
}

otr_label_type otr_label_type_of(const char *text)
{
    int64_t whole;
    double number;
    bool yes;
    if (text[0] == '\0' || strcmp(text, "nil") == 0) {
        return OTR_LABEL_NULL;
    }
    if (is_int(text, &whole)) {
        return OTR_LABEL_INT;
    }
    if (is_float(text, &number)) {
        return OTR_LABEL_FLOAT;
    }
    if (is_bool(text, &yes)) {
        return OTR_LABEL_BOOL;
    }
    if (is_json(text)) {
        return OTR_LABEL_JSON;
    }
    return is_text(text) ? OTR_LABEL_TEXT : OTR_LABEL_BAD;
}

static void write_label(const char *text, otr_jw *w, const char *key)
{
    int64_t whole = 0;
    double number = 0;
    bool yes = false;
    switch (otr_label_type_of(text)) {
    case OTR_LABEL_NULL:
        otr_jw_null(w, key);
        break;
    case OTR_LABEL_INT:
        (void)is_int(text, &whole);
        otr_jw_i64(w, key, whole);
        break;
    case OTR_LABEL_FLOAT:
        (void)is_float(text, &number);
        otr_jw_f64(w, key, number);
        break;
    case OTR_LABEL_BOOL:
        (void)is_bool(text, &yes);
        otr_jw_bool(w, key, yes);
        break;
    case OTR_LABEL_JSON:
        otr_jw_raw(w, key, otr_bytes_of(text));
        break;
    case OTR_LABEL_TEXT:
    case OTR_LABEL_BAD:
        otr_jw_str(w, key, text);
        break;
    }
}

void otr_labels_write(const char *const *pairs, otr_jw *w, const char *key)
{
    otr_jw_obj(w, key);
    for (size_t i = 0; pairs[i] != NULL; i += 2) {
        write_label(pairs[i + 1], w, pairs[i]);
    }
    otr_jw_obj_end(w);
}
