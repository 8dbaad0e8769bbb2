#include "base/json.h"
#include "nginx/language/lexer.h"
#include "nginx/language/payload.h"

typedef struct loader {
    otr_conf *conf;
    otr_err *err;
    uint32_t file;
} loader;

static otr_code wrong(const loader *l, const otr_json *of, const char *what)
{
    int64_t line = otr_json_int(otr_json_get(of, "line"), 0);
    return otr_fail(l->err, OTR_EINVAL, "%s: the directive at line %lld: %s",
                    l->conf->files[l->file].path, (long long)line, what);
}

static otr_code load_word(loader *l, const otr_json *json, otr_word *ret)
{
    const char *text = otr_json_str(json, NULL);
    size_t n = strlen(text);
    char *copy = otr_arena_strndup(&l->conf->files[l->file].arena, text, n);
    if (copy == NULL) {
        return otr_fail_nomem(l->err);
    }
    *ret = (otr_word){ .p = (const uint8_t *)copy, .n = (uint32_t)n };
    return OTR_OK;
}

static bool all_strings(const otr_json *array)
{
    for (size_t i = 0; i < otr_json_size(array); i++) {
        if (otr_json_kind(otr_json_at(array, i)) != OTR_JSON_STRING) {
            return false;
        }
    }
    return true;
}

static otr_code load_words(loader *l, const otr_json *json, otr_node *node)
{
    const otr_json *args = otr_json_get(json, "args");
    size_t n = node->is_comment ? 0 : otr_json_size(args);
    if (!node->is_comment && (otr_json_kind(args) != OTR_JSON_ARRAY || !all_strings(args))) {
        return wrong(l, json, "\"args\" is no array of strings");
    }
    otr_word *words = otr_arena_alloc(&l->conf->files[l->file].arena, n + 1, sizeof(*words));
    if (words == NULL) {
        return otr_fail_nomem(l->err);
    }
    const otr_json *name = otr_json_get(json, node->is_comment ? "comment" : "directive");
    otr_code rc = load_word(l, name, &words[0]);
    for (size_t i = 0; rc == OTR_OK && i < n; i++) {
        rc = load_word(l, otr_json_at(args, i), &words[i + 1]);
    }
    /* The JSON does not tell a body from an argument: a Lua directive has no other last one. */
    words[n].body = rc == OTR_OK && n > 0 && otr_json_get(json, "block") == NULL &&
                    otr_lexer_is_lua((otr_bytes){ words[0].p, words[0].n });
    node->words = words;
    node->n_words = (uint32_t)(n + 1);
    return rc;
}

static otr_code load_list(loader *l, const otr_json *array, otr_node **ret);

static otr_code load_node(loader *l, const otr_json *json, otr_node **ret)
{
    const otr_json *name = otr_json_get(json, "directive");
    const otr_json *block = otr_json_get(json, "block");
    if (otr_json_kind(name) != OTR_JSON_STRING) {
        return wrong(l, json, "\"directive\" is no string");
    }
    otr_node *node = otr_arena_alloc(&l->conf->files[l->file].arena, 1, sizeof(*node));
    if (node == NULL) {
        return otr_fail_nomem(l->err);
    }
    int64_t line = otr_json_int(otr_json_get(json, "line"), 0);
    node->line = line > 0 && line <= UINT32_MAX ? (uint32_t)line : 0;
    node->file = l->file;
    node->is_comment = strcmp(otr_json_str(name, ""), "#") == 0 &&
                       otr_json_kind(otr_json_get(json, "comment")) == OTR_JSON_STRING;
    otr_code rc = load_words(l, json, node);
    if (rc == OTR_OK && otr_json_kind(block) == OTR_JSON_ARRAY) {
        node->has_block = true;
        rc = load_list(l, block, &node->block);
    } else if (rc == OTR_OK && otr_json_kind(block) != OTR_JSON_NULL) {
        rc = wrong(l, json, "\"block\" is no array");
    }
    l->conf->n_nodes++;
    *ret = node;
    return rc;
}

static otr_code load_list(loader *l, const otr_json *array, otr_node **ret)
{
    otr_node **tail = ret;
    for (size_t i = 0; i < otr_json_size(array); i++) {
        otr_node *node = NULL;
        otr_code rc = load_node(l, otr_json_at(array, i), &node);
        if (rc != OTR_OK) {
            return rc;
        }
        *tail = node;
        tail = &node->next;
    }
    return OTR_OK;
}

static otr_code load_file(loader *l, const otr_json *json, size_t number)
{
    const char *path = otr_json_str(otr_json_get(json, "file"), NULL);
    const otr_json *parsed = otr_json_get(json, "parsed");
    if (path == NULL || otr_json_kind(parsed) != OTR_JSON_ARRAY) {
        return otr_fail(l->err, OTR_EINVAL, "config[%zu] has no \"file\" or no array \"parsed\"",
                        number);
    }
    otr_code rc = otr_conf_add_file(l->conf, path, &l->file, l->err);
    otr_node *first = NULL;
    if (rc == OTR_OK) {
        rc = load_list(l, parsed, &first);
        l->conf->files[l->file].first = first;
    }
    return rc;
}

otr_code otr_conf_load(otr_bytes json, otr_conf **ret, otr_err *err)
{
    OTR_CLEANUP(otr_json_freep) otr_json *root = NULL;
    otr_code rc = otr_json_parse(json, &root, err);
    if (rc != OTR_OK) {
        return rc;
    }
    const otr_json *config = otr_json_get(root, "config");
    if (otr_json_kind(config) != OTR_JSON_ARRAY) {
        return otr_fail(err, OTR_EINVAL, "there is no array \"config\"");
    }
    OTR_CLEANUP(otr_conf_freep) otr_conf *conf = NULL;
    rc = otr_conf_new(&conf, err);
    loader l = { .conf = conf, .err = err };
    for (size_t i = 0; rc == OTR_OK && i < otr_json_size(config); i++) {
        rc = load_file(&l, otr_json_at(config, i), i);
    }
    if (rc == OTR_OK) {
        *ret = otr_steal(&conf);
    }
    return rc;
}
