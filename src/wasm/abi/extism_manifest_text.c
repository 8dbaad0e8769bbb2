/*
 * The text of an Extism manifest, read as libextism reads it: whole numbers have 64 bits without a
 * sign, and in an object of names and values ("config", "allowed_paths") the last of a name counts.
 * In all others a key comes once.
 */
#include <ctype.h>
#include <string.h>

#include "base/limits.h"
#include "wasm/abi/extism_manifest.h"

static const char most_signed[] = "9223372036854775807", most[] = "18446744073709551615";

/* Whether `digits` digits are a number above INT64_MAX and not above UINT64_MAX. */
static bool large(const char *digits, size_t n)
{
    if (n == sizeof(most_signed) - 1) {
        return memcmp(digits, most_signed, n) > 0;
    }
    return n == sizeof(most) - 1 && memcmp(digits, most, n) <= 0;
}

/* Past the string that begins at `p`. */
static char *skip_string(char *p, const char *end)
{
    for (p++; p < end && *p != '"'; p++) {
        p += *p == '\\' && p + 1 < end;
    }
    return p < end ? p + 1 : p;
}

/* What our reader cannot hold becomes what it can: each of these is more than any limit here. */
static void cut_numbers(char *text, size_t n)
{
    char *p = text, *end = text + n;
    while (p < end) {
        char *from = p;
        if (*p == '"') {
            p = skip_string(p, end);
            continue;
        }
        while (p < end && isdigit((unsigned char)*p)) {
            p++;
        }
        size_t digits = (size_t)(p - from);
        if (digits == 0) {
            p++;
        } else if ((from == text || from[-1] != '-') &&
                   (p == end || (*p != '.' && *p != 'e' && *p != 'E')) && large(from, digits)) {
            memset(from, ' ', digits);
            memcpy(from, most_signed, sizeof(most_signed) - 1);
        }
    }
}

/* ---- keys that come twice ---- */

static otr_code check_keys(otr_bytes object, const char *what, const char *const *keys, size_t n,
                           otr_bytes *ret, otr_err *err)
{
    return otr_json_members(object, keys, n, ret)
               ? OTR_OK
               : otr_fail(err, OTR_EINVAL, "%s: a key comes twice, or is written with an escape",
                          what);
}

/* The next object of a list, from `*at` on; false: there is none. The text is valid JSON. */
static bool next_object(otr_bytes list, size_t *at, otr_bytes *ret)
{
    char *p = (char *)(uintptr_t)list.p + *at, *end = (char *)(uintptr_t)list.p + list.n;
    size_t depth = 0;
    const char *from = NULL;
    while (p < end) {
        if (*p == '"') {
            p = skip_string(p, end);
            continue;
        }
        if (*p == '{' && depth++ == 0) {
            from = p;
        }
        if (*p == '}' && --depth == 0) {
            *ret = (otr_bytes){ (const uint8_t *)from, (size_t)(p + 1 - from) };
            *at = (size_t)(p + 1 - (const char *)list.p);
            return true;
        }
        p++;
    }
    return false;
}

static bool is(otr_bytes text, char first)
{
    return text.n > 0 && text.p[0] == (uint8_t)first;
}

static otr_code check_all_keys(otr_bytes text, otr_err *err)
{
    static const char *const root[] = { "memory",        "wasm",          "config",
                                        "allowed_hosts", "allowed_paths", "timeout_ms" };
    static const char *const memory[] = { "max_pages", "max_http_response_bytes", "max_var_bytes" };
    static const char *const module[] = {
        "name", "path", "url", "data", "hash", "method", "headers"
    };
    otr_bytes found[OTR_COUNT(module)], object;
    otr_code rc = check_keys(text, "the manifest", root, OTR_COUNT(root), found, err);
    otr_bytes limits = found[0], modules = found[1];
    if (rc == OTR_OK && is(limits, '{')) {
        rc = check_keys(limits, "memory", memory, OTR_COUNT(memory), found, err);
    }
    for (size_t at = 0; rc == OTR_OK && is(modules, '[') && next_object(modules, &at, &object);) {
        rc = check_keys(object, "wasm", module, OTR_COUNT(module), found, err);
    }
    return rc;
}

otr_code otr_extism_manifest_tree(otr_bytes text, otr_json **ret, otr_err *err)
{
    otr_buf copy;
    otr_json *root = NULL;
    otr_buf_init(&copy, OTR_LIMIT_JSON_BYTES);
    otr_code rc = otr_buf_add(&copy, text, err);
    if (rc == OTR_OK && copy.n > 0) {
        cut_numbers((char *)copy.p, copy.n);
    }
    rc = rc == OTR_OK ? otr_json_parse_last(otr_buf_bytes(&copy), &root, err) : rc;
    if (rc == OTR_OK && otr_json_kind(root) == OTR_JSON_OBJECT) {
        rc = check_all_keys(otr_buf_bytes(&copy), err);
    }
    otr_buf_deinit(&copy);
    if (rc != OTR_OK) {
        otr_json_free(root);
        return rc;
    }
    *ret = root;
    return OTR_OK;
}
