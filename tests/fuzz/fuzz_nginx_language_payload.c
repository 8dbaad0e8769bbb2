/*
 * A configuration as text: its tree as JSON, and what is built from that JSON reads as the same
 * tree.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "nginx/language/build.h"
#include "nginx/language/payload.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MANY_BYTES = 64 << 20 };

static otr_code into_buf(void *arg, otr_bytes bytes, otr_err *err)
{
    return otr_buf_add(arg, bytes, err);
}

static otr_parse spec_of(const otr_root *root, const otr_bytes *text)
{
    return (otr_parse){ .root = root,
                        .path = "f",
                        .folder = "/nonexistent",
                        .text = text,
                        .single = true,
                        .any_place = true,
                        .any_args = true };
}

static bool same_word(const otr_word *a, const otr_word *b)
{
    otr_buf x, y;
    otr_buf_init(&x, MANY_BYTES);
    otr_buf_init(&y, MANY_BYTES);
    bool equal = otr_word_meaning(a, &x, NULL) == OTR_OK &&
                 otr_word_meaning(b, &y, NULL) == OTR_OK && x.n == y.n &&
                 (x.n == 0 || memcmp(x.p, y.p, x.n) == 0);
    otr_buf_deinit(&x);
    otr_buf_deinit(&y);
    return equal;
}

static bool same_args(const otr_node *a, const otr_node *b)
{
    otr_args of_a, of_b;
    otr_word x, y;
    otr_args_begin(&of_a, a);
    otr_args_begin(&of_b, b);
    for (;;) {
        bool more = otr_args_next(&of_a, &x);
        if (more != otr_args_next(&of_b, &y)) {
            return false;
        }
        if (!more) {
            return true;
        }
        if (!same_word(&x, &y)) {
            return false;
        }
    }
}

/* Lines and the places of parentheses move. */
static bool same(const otr_node *a, const otr_node *b)
{
    for (; a != NULL && b != NULL; a = a->next, b = b->next) {
        while (a != NULL && a->is_comment) {
            a = a->next;
        }
        if (a == NULL || a->has_block != b->has_block || !same_word(&a->words[0], &b->words[0]) ||
            !same_args(a, b) || !same(a->block, b->block)) {
            return false;
        }
    }
    while (a != NULL && a->is_comment) {
        a = a->next;
    }
    return a == b;
}

static void check_layout(const otr_root *root, const otr_conf *conf)
{
    otr_buf text;
    otr_err err;
    otr_buf_init(&text, MANY_BYTES);
    if (otr_conf_write_mini(conf->files[0].first, &text, &err) == OTR_OK) {
        otr_bytes bytes = otr_buf_bytes(&text);
        otr_parse spec = spec_of(root, &bytes);
        otr_conf *again = NULL;
        if (otr_conf_parse(&spec, &again, &err) != OTR_OK || again->n_errors > 0 ||
            !same(conf->files[0].first, again->files[0].first)) {
            abort();
        }
        otr_conf_free(again);
    }
    otr_buf_deinit(&text);
}

/* A block is two levels of JSON, of which our own reader takes 64. */
static bool is_deep(otr_bytes text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        n += text.p[i] == '{';
    }
    return n > 28;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const otr_root root = { .path = "" };
    otr_bytes text = { data, size };
    otr_parse spec = spec_of(&root, &text);
    otr_conf *conf = NULL;
    otr_err err;
    if (otr_conf_parse(&spec, &conf, &err) == OTR_OK && conf->n_errors == 0) {
        check_layout(&root, conf);
    }
    otr_conf_free(conf);
    otr_buf json;
    otr_buf_init(&json, MANY_BYTES);
    otr_sink sink = { .put = into_buf, .arg = &json };
    bool failed;
    spec.comments = true;
    if (otr_conf_stream_json(&spec, &(otr_json_style){ 0 }, &sink, &failed, &err) == OTR_OK &&
        !is_deep(text) && !otr_json_valid(otr_buf_bytes(&json))) {
        abort();
    }
    conf = NULL;
    if (otr_conf_load(otr_buf_bytes(&json), &conf, &err) == OTR_OK) {
        otr_buf built;
        otr_buf_init(&built, MANY_BYTES);
        (void)!otr_conf_write_text(conf->files[0].first, &(otr_layout){ .indent = 4 }, &built,
                                   &err);
        otr_buf_deinit(&built);
        otr_conf_free(conf);
    }
    otr_buf_deinit(&json);
    return 0;
}
