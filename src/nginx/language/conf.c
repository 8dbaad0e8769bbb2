#include "nginx/language/conf.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "nginx/language/lexer.h"

otr_code otr_conf_new(otr_conf **ret, otr_err *err)
{
    *ret = otr_zalloc(sizeof(**ret));
    return *ret != NULL ? OTR_OK : otr_fail_nomem(err);
}

void otr_conf_free(otr_conf *conf)
{
    if (conf == NULL) {
        return;
    }
    for (size_t i = 0; i < conf->n_files; i++) {
        otr_conf_drop(&conf->files[i]);
    }
    otr_arena_deinit(&conf->arena);
    otr_free(conf->files);
    otr_free(conf->errors);
    otr_free(conf);
}

void otr_conf_drop(otr_conf_file *file)
{
    otr_arena_deinit(&file->arena);
    otr_buf_deinit(&file->kept);
    file->text = (otr_bytes){ 0 };
    file->first = NULL;
}

void otr_conf_freep(void *slot)
{
    otr_conf_free(*(otr_conf **)slot);
}

otr_code otr_conf_add_file(otr_conf *conf, const char *path, uint32_t *ret, otr_err *err)
{
    if (conf->n_files >= OTR_LIMIT_NGINX_CONFIG_FILES) {
        return otr_fail(err, OTR_EQUOTA, "more than %d files", OTR_LIMIT_NGINX_CONFIG_FILES);
    }
    otr_code rc =
        otr_grow(&conf->files, conf->n_files, &conf->cap_files, sizeof(*conf->files), err);
    char *copy = rc == OTR_OK ? otr_arena_strdup(&conf->arena, path) : NULL;
    if (copy == NULL) {
        return rc != OTR_OK ? rc : otr_fail_nomem(err);
    }
    *ret = (uint32_t)conf->n_files;
    otr_conf_file *file = &conf->files[conf->n_files++];
    *file = (otr_conf_file){ .path = copy };
    otr_buf_init(&file->kept, OTR_LIMIT_NGINX_CONFIG_BYTES);
    return OTR_OK;
}

otr_code otr_conf_add_error(otr_conf *conf, const otr_conf_error *error, otr_err *err)
{
    conf->files[error->file].failed = true;
    if (conf->n_errors >= OTR_LIMIT_NGINX_CONFIG_ERRORS) {
        return OTR_OK;
    }
    otr_code rc =
        otr_grow(&conf->errors, conf->n_errors, &conf->cap_errors, sizeof(*conf->errors), err);
    char *copy = rc == OTR_OK ? otr_arena_strdup(&conf->arena, error->text) : NULL;
    if (copy == NULL) {
        return rc != OTR_OK ? rc : otr_fail_nomem(err);
    }
    conf->errors[conf->n_errors] = *error;
    conf->errors[conf->n_errors++].text = copy;
    return OTR_OK;
}

bool otr_node_is(const otr_node *node, const char *name)
{
    size_t n = strlen(name);
    return !node->is_comment && node->words[0].n == n && memcmp(node->words[0].p, name, n) == 0;
}

otr_code otr_word_text(const otr_word *word, otr_buf *out, otr_err *err)
{
    if (!word->escaped || word->quote == 0) {
        return otr_buf_add(out, (otr_bytes){ word->p, word->n }, err);
    }
    uint8_t *to;
    otr_code rc = otr_buf_reserve(out, word->n, &to, err);
    if (rc != OTR_OK) {
        return rc;
    }
    size_t n = 0;
    for (uint32_t i = 0; i < word->n; i++) {
        if (word->p[i] == '\\' && i + 1 < word->n) {
            if (word->p[i + 1] != (uint8_t)word->quote) {
                to[n++] = word->p[i];
            }
            i++;
        }
        to[n++] = word->p[i];
    }
    otr_buf_grew(out, n);
    return OTR_OK;
}

otr_code otr_word_meaning(const otr_word *word, otr_buf *out, otr_err *err)
{
    otr_token token = { .raw = { word->p, word->n }, .escaped = word->escaped };
    return otr_token_text(&token, out, err);
}

/* ---- arguments ---- */

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

void otr_args_begin(otr_args *args, const otr_node *node)
{
    *args = (otr_args){ .node = node, .at = 1 };
    if (node->end == 0 || node->n_words < 2 || !otr_node_is(node, "if")) {
        return;
    }
    const otr_word *first = &node->words[1], *last = &node->words[node->n_words - 1];
    args->trim = first->n > 0 && first->p[0] == '(' && last->n > 0 && last->p[last->n - 1] == ')';
}

/* Takes the parentheses off; false when nothing is left. */
static bool trimmed(const otr_args *args, otr_word *word)
{
    if (args->at == 1) {
        do {
            word->p++;
            word->n--;
        } while (word->n > 0 && is_blank(word->p[0]));
    }
    if (args->at == args->node->n_words - 1 && word->n > 0) {
        do {
            word->n--;
        } while (word->n > 0 && is_blank(word->p[word->n - 1]));
    }
    return word->n > 0;
}

bool otr_args_next(otr_args *args, otr_word *ret)
{
    const otr_node *node = args->node;
    for (; args->at < node->n_words; args->at++) {
        *ret = node->words[args->at];
        bool edge = args->at == 1 || args->at == node->n_words - 1;
        if (!args->trim || !edge || trimmed(args, ret)) {
            args->at++;
            return true;
        }
    }
    return false;
}

size_t otr_args_count(const otr_node *node)
{
    otr_args args;
    otr_word word;
    size_t n = 0;
    for (otr_args_begin(&args, node); otr_args_next(&args, &word);) {
        n++;
    }
    return n;
}
