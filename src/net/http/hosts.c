#include "net/http/hosts.h"

#include <strings.h>

typedef struct words { /* the rest of a line */
    const char *p, *end;
} words;

static otr_bytes next_word(words *w)
{
    while (w->p < w->end && (*w->p == ' ' || *w->p == '\t' || *w->p == '\r')) {
        w->p++;
    }
    const char *first = w->p;
    while (w->p < w->end && *w->p != ' ' && *w->p != '\t' && *w->p != '\r') {
        w->p++;
    }
    return (otr_bytes){ (const uint8_t *)first, (size_t)(w->p - first) };
}

static bool names(words *w, const char *name)
{
    size_t n = strlen(name);
    for (otr_bytes word = next_word(w); word.n > 0; word = next_word(w)) {
        if (word.n == n && strncasecmp((const char *)word.p, name, n) == 0) {
            return true;
        }
    }
    return false;
}

void otr_hosts_find(otr_bytes text, const char *name, otr_hosts_fn *take, void *arg)
{
    bool found = false;
    const char *p = (const char *)text.p, *end = text.n > 0 ? p + text.n : p;
    while (p < end) {
        const char *line_end = memchr(p, '\n', (size_t)(end - p));
        line_end = line_end != NULL ? line_end : end;
        const char *mark = memchr(p, '#', (size_t)(line_end - p));
        words w = { p, mark != NULL ? mark : line_end };
        otr_bytes address = next_word(&w);
        if (address.n > 0 && address.n < OTR_HOSTS_ADDRESS_BYTES && names(&w, name)) {
            char copy[OTR_HOSTS_ADDRESS_BYTES] = "";
            memcpy(copy, address.p, address.n);
            take(arg, copy);
            found = true;
        }
        p = line_end + (line_end < end);
    }
    if (!found && strcasecmp(name, "localhost") == 0) {
        take(arg, "127.0.0.1");
        take(arg, "::1");
    }
}
