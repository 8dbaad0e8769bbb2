#include "config/node_json.h"

#include <strings.h>

#include "config/scalar.h"

typedef enum secrets { SECRETS_WRITTEN, SECRETS_MASKED } secrets;

static bool speaks_of_secret(const char *name)
{
    static const char *const words[] = { "token",  "password",      "passwd", "secret",
                                         "apikey", "authorization", "cookie", "private" };
    for (size_t i = 0; i < OTR_COUNT(words); i++) {
        if (strcasestr(name, words[i]) != NULL) {
            return true;
        }
    }
    return strcasecmp(name, "api_key") == 0 || strcasecmp(name, "api-key") == 0;
}

static void write_scalar(const otr_node *node, otr_jw *w, const char *key)
{
    const char *text = node->text;
    bool yes = false;
    int64_t whole = 0;
    double number = 0;
    otr_scalar_kind kind = node->plain ? otr_scalar_kind_of(text) : OTR_SCALAR_STRING;
    switch (kind) {
    case OTR_SCALAR_NULL:
        otr_jw_null(w, key);
        break;
    case OTR_SCALAR_BOOL:
        (void)otr_scalar_bool(text, &yes);
        otr_jw_bool(w, key, yes);
        break;
    case OTR_SCALAR_INT:
        if (otr_scalar_int(text, &whole)) {
            otr_jw_i64(w, key, whole);
            break;
        }
        /* fall through */
    case OTR_SCALAR_FLOAT: /* infinity and not-a-number have no JSON form */
        otr_scalar_float(text, &number) ? otr_jw_f64(w, key, number) : otr_jw_null(w, key);
        break;
    case OTR_SCALAR_STRING:
        otr_jw_str(w, key, text);
        break;
    }
}

/* Recursion is bounded by OTR_LIMIT_CONFIG_DEPTH. */
static void write_node(const otr_node *node, otr_jw *w, const char *key, secrets mode)
{
    if (mode == SECRETS_MASKED && speaks_of_secret(node->name) && !otr_node_is_null(node)) {
        otr_jw_str(w, key, "***");
        return;
    }
    if (node->kind == OTR_NODE_SCALAR) {
        write_scalar(node, w, key);
        return;
    }
    bool is_map = node->kind == OTR_NODE_MAP;
    is_map ? otr_jw_obj(w, key) : otr_jw_arr(w, key);
    for (size_t i = 0; i < node->n; i++) {
        const otr_member *m = &node->members[i];
        write_node(m->value, w, is_map ? m->key->text : NULL, mode);
    }
    is_map ? otr_jw_obj_end(w) : otr_jw_arr_end(w);
}

otr_code otr_node_json(const otr_node *node, otr_buf *out, otr_err *err)
{
    size_t start = out->n;
    otr_jw w;
    otr_jw_begin(&w, out, err);
    write_node(node, &w, NULL, SECRETS_WRITTEN);
    otr_code rc = otr_jw_end(&w);
    if (rc != OTR_OK) {
        otr_buf_cut(out, start);
    }
    return rc;
}

void otr_node_show(const otr_node *node, otr_jw *w, const char *key)
{
    write_node(node, w, key, SECRETS_MASKED);
}
