#include "nginx/instance/access_logs.h"

#include "base/alloc.h"

static bool dup_text(char **slot, const char *from)
{
    *slot = from != NULL ? otr_strdup(from) : NULL;
    return from == NULL || *slot != NULL;
}

static bool copy_log(otr_nginx_log *to, const otr_nginx_log *from)
{
    to->conditional = from->conditional;
    if (!dup_text(&to->path, from->path) || !dup_text(&to->format, from->format) ||
        !dup_text(&to->refused, from->refused)) {
        return false;
    }
    if (from->n_formats == 0) {
        return true;
    }
    to->formats = otr_calloc(from->n_formats, sizeof(*to->formats));
    if (to->formats == NULL) {
        return false;
    }
    to->n_formats = from->n_formats;
    for (size_t i = 0; i < from->n_formats; i++) {
        to->formats[i].spare = from->formats[i].spare;
        to->formats[i].repeats = from->formats[i].repeats;
        if (!dup_text(&to->formats[i].text, from->formats[i].text)) {
            return false;
        }
    }
    return true;
}

otr_nginx_log *otr_nginx_logs_copy(const otr_nginx_log *from, size_t n)
{
    otr_nginx_log *to = otr_calloc(n + 1, sizeof(*to));
    for (size_t i = 0; to != NULL && i < n; i++) {
        if (!copy_log(&to[i], &from[i])) {
            otr_nginx_logs_free(to, n);
            return NULL;
        }
    }
    return to;
}

void otr_nginx_logs_free(otr_nginx_log *logs, size_t n)
{
    for (size_t i = 0; logs != NULL && i < n; i++) {
        for (size_t j = 0; j < logs[i].n_formats; j++) {
            otr_free(logs[i].formats[j].text);
        }
        otr_free(logs[i].formats);
        otr_free(logs[i].refused);
        otr_free(logs[i].path);
        otr_free(logs[i].format);
    }
    otr_free(logs);
}

static bool same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_formats(const otr_nginx_log *a, const otr_nginx_log *b)
{
    for (size_t i = 0; i < a->n_formats; i++) {
        if (a->formats[i].spare != b->formats[i].spare ||
            a->formats[i].repeats != b->formats[i].repeats ||
            !same(a->formats[i].text, b->formats[i].text)) {
            return false;
        }
    }
    return true;
}

bool otr_nginx_logs_eq(const otr_nginx_log *a, const otr_nginx_log *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!same(a[i].path, b[i].path) || !same(a[i].format, b[i].format) ||
            !same(a[i].refused, b[i].refused) || a[i].conditional != b[i].conditional ||
            a[i].n_formats != b[i].n_formats || !same_formats(&a[i], &b[i])) {
            return false;
        }
    }
    return true;
}
