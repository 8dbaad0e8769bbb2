/*
 * JSON in, JSON out, and again: the second text must be the first. The checker must accept what the
 * reader accepts, and any bytes must come back whole from a written string.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int ok)
{
    if (!ok) {
        abort();
    }
}

static bool touch(void *arg, const char *key, const otr_json *v)
{
    (void)otr_json_str(v, key);
    (void)otr_json_num(v, 0);
    (void)otr_json_size(v);
    (void)otr_json_at(v, 0);
    (void)otr_json_get(v, key);
    (void)arg;
    return true;
}

/* A member's view is the value that the parser finds. */
static void members(otr_bytes text, const otr_json *whole)
{
    static const char *const keys[] = { "a", "topic", "data" };
    otr_bytes found[OTR_COUNT(keys)];
    if (!otr_json_members(text, keys, OTR_COUNT(keys), found)) {
        return;
    }
    must(otr_json_kind(whole) == OTR_JSON_OBJECT);
    for (size_t i = 0; i < OTR_COUNT(keys); i++) {
        const otr_json *value = otr_json_get(whole, keys[i]);
        otr_json *own = NULL;
        otr_buf a, b;
        otr_err err;
        must((value == NULL) == (found[i].p == NULL));
        otr_buf_init(&a, SIZE_MAX);
        otr_buf_init(&b, SIZE_MAX);
        if (value != NULL) {
            must(otr_json_parse(found[i], &own, &err) == OTR_OK);
            must(otr_json_write(value, &a, &err) == OTR_OK);
            must(otr_json_write(own, &b, &err) == OTR_OK);
            must(a.n == b.n && memcmp(a.p, b.p, a.n) == 0);
        }
        otr_json_free(own);
        otr_buf_deinit(&a);
        otr_buf_deinit(&b);
    }
}

static void round_trip(const uint8_t *data, size_t size)
{
    otr_json *first = NULL;
    otr_err err;
    if (otr_json_parse((otr_bytes){ data, size }, &first, &err) != OTR_OK) {
        must(err.msg[0] != '\0');
        return;
    }
    must(otr_json_valid((otr_bytes){ data, size }));
    members((otr_bytes){ data, size }, first);
    otr_json_each(first, touch, NULL);
    otr_buf a, b;
    otr_buf_init(&a, SIZE_MAX);
    otr_buf_init(&b, SIZE_MAX);
    must(otr_json_write(first, &a, &err) == OTR_OK);
    otr_json *second = NULL;
    must(otr_json_parse(otr_buf_bytes(&a), &second, &err) == OTR_OK);
    must(otr_json_write(second, &b, &err) == OTR_OK);
    must(a.n == b.n && memcmp(a.p, b.p, a.n) == 0);
    must(otr_json_kind(first) == otr_json_kind(second));
    otr_json_free(first);
    otr_json_free(second);
    otr_buf_deinit(&a);
    otr_buf_deinit(&b);
}

static void string(const uint8_t *data, size_t size)
{
    otr_buf text;
    otr_jw w;
    otr_json *v = NULL;
    otr_buf_init(&text, SIZE_MAX);
    otr_jw_begin(&w, &text, NULL);
    otr_jw_bytes(&w, NULL, (otr_bytes){ data, size });
    must(otr_jw_end(&w) == OTR_OK);
    must(otr_utf8_ok(otr_buf_bytes(&text)));
    must(otr_json_parse(otr_buf_bytes(&text), &v, NULL) == OTR_OK);
    bool plain = otr_utf8_ok((otr_bytes){ data, size }) && memchr(data, 0, size) == NULL;
    must(!plain || strncmp(otr_json_str(v, ""), (const char *)data, size) == 0);
    otr_json_free(v);
    otr_buf_deinit(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    round_trip(data, size);
    if (size > 0) {
        string(data, size);
    }
    return 0;
}
