/*
 * A configuration through all rules; the same bytes as a pattern and as a file of certificates. A
 * group of a pattern takes no byte that the whole does not, and findings stand inside the text.
 */
#include <stdlib.h>

#include "nginx/check/cert.h"
#include "nginx/check/check.h"
#include "nginx/check/pattern.h"
#include "nginx/check/rules/rules.h"
#include "nginx/check/write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static otr_code drop(void *arg, otr_bytes bytes, otr_err *err)
{
    (void)err;
    *(size_t *)arg += bytes.n;
    return OTR_OK;
}

static void check_pattern(otr_bytes text)
{
    otr_pattern pattern;
    otr_pattern_read(text, OTR_PATTERN_ANY_CASE, &pattern);
    if (pattern.n_groups > OTR_PATTERN_GROUPS || pattern.shape.texts > OTR_PATTERN_MANY) {
        abort();
    }
    otr_set edges = otr_set_or(pattern.shape.first, pattern.shape.last);
    if (!otr_set_is_empty(otr_set_and(edges, otr_set_not(pattern.shape.chars)))) {
        abort();
    }
}

static void check_findings(const otr_check *c, size_t size)
{
    for (size_t i = 0; i < c->report.n; i++) {
        const otr_finding *f = &c->report.items[i];
        if (f->offset > size || f->message == NULL || f->rule >= c->rules->n) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const otr_root root = { .path = "/nonexistent" };
    otr_bytes text = { data, size };
    otr_rules_list rules = otr_check_rules();
    otr_check_spec spec = {
        .parse = { .root = &root, .path = "f", .folder = "/nonexistent", .text = &text },
        .options = { .root = &root, .folder = "/nonexistent", .now_s = 1800000000 },
        .rules = &rules,
    };
    otr_check c;
    otr_err err;
    size_t written = 0;
    otr_check_writer to = { .put = drop, .arg = &written, .version = "0" };
    if (otr_check_run(&spec, &c, &err) == OTR_OK) {
        check_findings(&c, size);
        if (otr_check_write_json(&c, &to, &err) != OTR_OK ||
            otr_check_write_sarif(&c, &to, &err) != OTR_OK) {
            abort();
        }
    }
    otr_check_deinit(&c);
    check_pattern(text);
    otr_certs certs;
    otr_public_key key;
    (void)!otr_certs_read(text, &certs, &err);
    (void)!otr_key_read(text, &key, &err);
    return 0;
}
