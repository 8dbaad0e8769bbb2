#include "nginx/check/target.h"

static bool is_name(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* The variable that `text` begins with: how many bytes it takes, 0: it is none. */
static size_t variable_at(otr_bytes text, otr_bytes *ret)
{
    if (text.n < 2 || text.p[0] != '$') {
        return 0;
    }
    if (text.p[1] == '{') {
        const uint8_t *close = memchr(text.p, '}', text.n);
        if (close == NULL || close == text.p + 2) {
            return 0;
        }
        *ret = (otr_bytes){ text.p + 2, (size_t)(close - text.p) - 2 };
        return ret->n + 3;
    }
    size_t n = 1;
    if (text.p[1] >= '1' && text.p[1] <= '9') { /* a group has one digit */
        n = 2;
    } else {
        while (n < text.n && is_name(text.p[n])) {
            n++;
        }
    }
    *ret = (otr_bytes){ text.p + 1, n - 1 };
    return n > 1 ? n : 0;
}

bool otr_part_next(otr_bytes *rest, otr_part *ret)
{
    if (rest->n == 0) {
        return false;
    }
    size_t n = variable_at(*rest, &ret->text);
    ret->is_variable = n > 0;
    if (n == 0) {
        otr_bytes ignored;
        for (n = 1; n < rest->n; n++) {
            otr_bytes left = { rest->p + n, rest->n - n };
            if (rest->p[n] == '$' && variable_at(left, &ignored) > 0) {
                break;
            }
        }
        ret->text = (otr_bytes){ rest->p, n };
    }
    *rest = (otr_bytes){ rest->p + n, rest->n - n };
    return true;
}

bool otr_has_variable(otr_bytes text)
{
    otr_part part;
    while (otr_part_next(&text, &part)) {
        if (part.is_variable) {
            return true;
        }
    }
    return false;
}

otr_bytes otr_only_variable(otr_bytes text)
{
    otr_part part;
    return otr_part_next(&text, &part) && part.is_variable && text.n == 0 ? part.text
                                                                          : (otr_bytes){ 0 };
}

/* ---- targets ---- */

static otr_bytes cut(otr_bytes text, size_t n)
{
    return (otr_bytes){ text.p, n };
}

static otr_bytes behind(otr_bytes text, size_t n)
{
    return (otr_bytes){ text.p + n, text.n - n };
}

static size_t find(otr_bytes text, const char *what)
{
    size_t n = strlen(what);
    for (size_t i = 0; i + n <= text.n; i++) {
        if (memcmp(text.p + i, what, n) == 0) {
            return i;
        }
    }
    return text.n;
}

/* Where host and port end. */
static size_t place_end(otr_bytes text)
{
    size_t at = 0;
    while (at < text.n && text.p[at] != '/' && text.p[at] != '?') {
        at++;
    }
    return at;
}

static void split_port(otr_target *t)
{
    otr_bytes place = t->place;
    size_t from = 0;
    if (place.n > 0 && place.p[0] == '[') {
        const uint8_t *close = memchr(place.p, ']', place.n);
        from = close != NULL ? (size_t)(close - place.p) : 0;
    }
    const uint8_t *colon = place.n > from ? memchr(place.p + from, ':', place.n - from) : NULL;
    t->host = colon != NULL ? cut(place, (size_t)(colon - place.p)) : place;
    if (colon != NULL) {
        t->port = behind(place, t->host.n + 1);
    }
}

otr_target otr_target_of(otr_bytes text)
{
    otr_target t = { 0 };
    size_t at = find(text, "://");
    if (at < text.n && at < place_end(text)) {
        t.scheme = cut(text, at);
        text = behind(text, at + 3);
    }
    if (text.n >= 5 && memcmp(text.p, "unix:", 5) == 0) {
        otr_bytes path = behind(text, 5);
        const uint8_t *colon = path.n > 0 ? memchr(path.p, ':', path.n) : NULL;
        size_t n = colon != NULL ? (size_t)(colon - text.p) : text.n;
        t.is_unix = true;
        t.place = t.host = cut(text, n);
        t.uri = behind(text, n);
        return t;
    }
    size_t n = place_end(text);
    t.place = cut(text, n);
    t.uri = behind(text, n);
    split_port(&t);
    return t;
}

bool otr_is_address(otr_bytes host)
{
    if (host.n == 0) {
        return false;
    }
    if (host.p[0] == '[') {
        return true;
    }
    unsigned dots = 0;
    for (size_t i = 0; i < host.n; i++) {
        if (host.p[i] == '.') {
            dots++;
        } else if (host.p[i] < '0' || host.p[i] > '9') {
            return false;
        }
    }
    return dots == 3;
}
