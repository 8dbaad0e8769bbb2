/* Words of a configuration as rules compare them. */
#include <strings.h>

#include "nginx/check/look.h"

enum { SHOWN_BYTES = 80 };

otr_bytes otr_text(otr_look *l, const otr_word *word)
{
    otr_bytes raw = { word->p, word->n };
    if (!word->escaped) {
        return raw;
    }
    otr_buf plain;
    otr_buf_init(&plain, OTR_LIMIT_NGINX_CONFIG_BYTES);
    otr_code rc = otr_word_meaning(word, &plain, l->err);
    char *copy = NULL;
    if (rc == OTR_OK) {
        copy = otr_arena_strndup(l->texts, otr_buf_text(&plain), plain.n);
        rc = copy != NULL ? OTR_OK : otr_fail_nomem(l->err);
    }
    size_t n = plain.n;
    otr_buf_deinit(&plain);
    otr_look_fail(l, rc);
    l->used_scratch |= l->texts == &l->scratch;
    return rc == OTR_OK ? (otr_bytes){ (const uint8_t *)copy, n } : (otr_bytes){ 0 };
}

otr_bytes otr_arg(otr_look *l, const otr_node *node, uint32_t i)
{
    return i < node->n_words ? otr_text(l, &node->words[i]) : (otr_bytes){ 0 };
}

bool otr_is(otr_bytes text, const char *word)
{
    size_t n = strlen(word);
    return text.n == n && (n == 0 || memcmp(text.p, word, n) == 0);
}

bool otr_is_any_case(otr_bytes text, const char *word)
{
    size_t n = strlen(word);
    return text.n == n && (n == 0 || strncasecmp((const char *)text.p, word, n) == 0);
}

bool otr_begins(otr_bytes text, const char *head)
{
    size_t n = strlen(head);
    return text.n >= n && (n == 0 || memcmp(text.p, head, n) == 0);
}

bool otr_ends(otr_bytes text, const char *tail)
{
    size_t n = strlen(tail);
    return text.n >= n && (n == 0 || memcmp(text.p + text.n - n, tail, n) == 0);
}

bool otr_same(otr_bytes a, otr_bytes b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool otr_same_any_case(otr_bytes a, otr_bytes b)
{
    return a.n == b.n && (a.n == 0 || strncasecmp((const char *)a.p, (const char *)b.p, a.n) == 0);
}

const uint8_t *otr_find_byte(otr_bytes text, char c)
{
    return text.n > 0 ? memchr(text.p, c, text.n) : NULL;
}

otr_bytes otr_keep(otr_look *l, otr_bytes text)
{
    char *copy = otr_arena_strndup(
        &l->keep, (const char *)(text.n > 0 ? text.p : (const uint8_t *)""), text.n);
    if (copy == NULL) {
        otr_look_fail(l, otr_fail_nomem(l->err));
        return (otr_bytes){ 0 };
    }
    return (otr_bytes){ (const uint8_t *)copy, text.n };
}

int otr_shown(otr_bytes text)
{
    size_t n = text.n < SHOWN_BYTES ? text.n : SHOWN_BYTES;
    while (n > 0 && n < text.n && (text.p[n] & 0xc0U) == 0x80U) {
        n--;
    }
    return (int)n;
}
