#include "base/limits.h"
#include "host/sections.h"
#include "host/text.h"

const char *otr_pressure_name(otr_pressure_kind kind)
{
    static const char *const names[OTR_PRESSURE_KINDS] = { "cpu", "memory", "io" };
    return names[kind];
}

static bool value_of(otr_bytes word, const char *key, otr_bytes *ret)
{
    size_t n = strlen(key);
    if (word.n <= n || memcmp(word.p, key, n) != 0) {
        return false;
    }
    *ret = (otr_bytes){ word.p + n, word.n - n };
    return true;
}

/* "some avg10=0.00 avg60=0.00 avg300=0.00 total=0" */
static void parse_line(otr_bytes line, otr_pressure_line *ret)
{
    static const char *const keys[] = { "avg10=", "avg60=", "avg300=" };
    otr_pressure_line now = { .known = true };
    otr_bytes word, value;
    for (size_t i = 0; i < OTR_COUNT(keys); i++) {
        if (!otr_host_word(&line, &word) || !value_of(word, keys[i], &value) ||
            !otr_host_f64(value, &now.share[i])) {
            return;
        }
        now.share[i] /= 100;
    }
    uint64_t total_us;
    if (otr_host_word(&line, &word) && value_of(word, "total=", &value) &&
        otr_host_u64(value, &total_us)) {
        now.seconds = (double)total_us / 1e6;
        *ret = now;
    }
}

void otr_pressure_parse(otr_bytes text, otr_pressure *ret)
{
    otr_bytes line, word;
    while (otr_host_line(&text, &line)) {
        if (!otr_host_word(&line, &word)) {
            continue;
        }
        if (otr_host_is(word, "some")) {
            parse_line(line, &ret->some);
        } else if (otr_host_is(word, "full")) {
            parse_line(line, &ret->full);
        }
    }
}

otr_code otr_host_pressure_read(const char *root, const char *const paths[OTR_PRESSURE_KINDS],
                                otr_pressure ret[OTR_PRESSURE_KINDS], otr_err *err)
{
    otr_buf text;
    otr_buf_init(&text, OTR_LIMIT_HOST_TEXT_BYTES);
    otr_code rc = OTR_OK;
    for (size_t i = 0; i < OTR_PRESSURE_KINDS && rc == OTR_OK; i++) {
        rc = otr_host_text(root, paths[i], &text, err);
        otr_pressure_parse(otr_buf_bytes(&text), &ret[i]);
    }
    otr_buf_deinit(&text);
    return rc;
}
