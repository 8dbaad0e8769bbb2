#include "cli/plugin_args.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"

enum { PART_BYTES = 64 };

static const char *const types[] = { "i32", "i64", "f32", "f64" };

/* An integer of `bits` bits, with a sign or as it is written unsigned. */
static bool read_integer(const char *text, unsigned bits, int64_t *ret)
{
    char *end = NULL;
    bool negative = text[0] == '-';
    const char *digits = text + (negative ? 1 : 0);
    errno = 0;
    unsigned long long n = strtoull(digits, &end, strncmp(digits, "0x", 2) == 0 ? 16 : 10);
    if (digits[0] < '0' || digits[0] > '9' || *end != '\0' || errno != 0) {
        return false;
    }
    unsigned long long most = bits == 32 ? UINT32_MAX : UINT64_MAX;
    if (n > (negative ? most / 2 + 1 : most)) {
        return false;
    }
    *ret = negative ? (int64_t)(0 - n) : (int64_t)n;
    return true;
}

static bool read_real(const char *text, double *ret)
{
    char *end = NULL;
    *ret = strtod(text, &end);
    return end != text && *end == '\0' && text[0] != ' ';
}

static bool read_value(const char *part, otr_typed *ret)
{
    int64_t n = 0;
    double x = 0;
    size_t type = 0;
    while (type < OTR_COUNT(types) && strncmp(part, types[type], 3) != 0) {
        type++;
    }
    if (type == OTR_COUNT(types) || part[3] != ':') {
        return false;
    }
    ret->type = (otr_wasm_type)type;
    ret->val.i64 = 0;
    switch (ret->type) {
    case OTR_WASM_I32:
        if (!read_integer(part + 4, 32, &n)) {
            return false;
        }
        ret->val.i32 = (int32_t)n;
        return true;
    case OTR_WASM_I64:
        return read_integer(part + 4, 64, &ret->val.i64);
    case OTR_WASM_F32:
        if (!read_real(part + 4, &x)) {
            return false;
        }
        ret->val.f32 = (float)x;
        return true;
    default:
        return read_real(part + 4, &ret->val.f64);
    }
}

otr_code otr_cli_read_values(const char *text, otr_typed values[OTR_WASM_MAX_ARGS], size_t *ret_n,
                             otr_err *err)
{
    size_t n = 0;
    while (*text != '\0') {
        char part[PART_BYTES];
        size_t len = strcspn(text, ",");
        if (n == OTR_WASM_MAX_ARGS) {
            return otr_fail(err, OTR_EINVAL, "--args: more than %d values", OTR_WASM_MAX_ARGS);
        }
        (void)snprintf(part, sizeof(part), "%.*s", (int)(len < sizeof(part) ? len : sizeof(part)),
                       text);
        if (len >= sizeof(part) || !read_value(part, &values[n])) {
            return otr_fail(err, OTR_EINVAL,
                            "--args: \"%.*s\" is no value; write i32:1, i64:-2, f32:0.5 or f64:1e9 "
                            "with commas between them",
                            (int)(len < PART_BYTES ? len : PART_BYTES), text);
        }
        n++;
        text += len + (text[len] == ',' ? 1 : 0);
    }
    *ret_n = n;
    return OTR_OK;
}

otr_code otr_cli_write_values(const otr_typed *values, size_t n, otr_buf *out, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < n; i++) {
        const otr_val *v = &values[i].val;
        char text[OTR_F64_BYTES];
        switch (values[i].type) {
        case OTR_WASM_I32:
            (void)snprintf(text, sizeof(text), "%d", (int)v->i32);
            break;
        case OTR_WASM_I64:
            (void)snprintf(text, sizeof(text), "%lld", (long long)v->i64);
            break;
        case OTR_WASM_F32:
            (void)snprintf(text, sizeof(text), "%.9g", (double)v->f32);
            break;
        default:
            (void)otr_f64_text(text, v->f64);
        }
        rc = otr_buf_addf(out, err, "%s%s:%s", i > 0 ? "," : "", types[values[i].type], text);
    }
    return rc;
}
