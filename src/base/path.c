#include "base/path.h"

size_t otr_path_clean(char *path)
{
    char *to = path;
    for (const char *from = path; *from != '\0';) {
        size_t n = strcspn(from + 1, "/");
        bool nothing = n == 0 || (n == 1 && from[1] == '.');
        if (!nothing) {
            memmove(to, from, n + 1);
            to += n + 1;
        }
        from += n + 1;
    }
    if (to == path) {
        *to++ = '/';
    }
    *to = '\0';
    return (size_t)(to - path);
}
