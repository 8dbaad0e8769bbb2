/* What must not be shown to people: by name, by mode, by content. */
#include <strings.h>

#include "nginx/history/internal.h"

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n >= m && strcasecmp(name + n - m, end) == 0;
}

/* "-----BEGIN", any words, "PRIVATE KEY" on one line. */
bool otr_history_has_key(otr_bytes content)
{
    static const char begin[] = "-----BEGIN ", key[] = "PRIVATE KEY";
    const uint8_t *p = content.p, *end = content.p + content.n;
    while (content.n > 0 && (p = memmem(p, (size_t)(end - p), begin, sizeof(begin) - 1)) != NULL) {
        p += sizeof(begin) - 1;
        const uint8_t *line = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((line != NULL ? line : end) - p);
        if (memmem(p, n, key, sizeof(key) - 1) != NULL) {
            return true;
        }
    }
    return false;
}

bool otr_history_is_secret(const char *path, mode_t mode, otr_bytes content)
{
    static const char *const ends[] = { ".key", ".p12", ".pfx", ".jks", "htpasswd" };
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    for (size_t i = 0; i < OTR_COUNT(ends); i++) {
        if (ends_with(name, ends[i])) {
            return true;
        }
    }
    bool hidden = (mode & 077) == 0 && !ends_with(name, ".conf");
    return hidden || otr_history_has_key(content);
}
