#include "plugin/manifest/url.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"

bool otr_url_is(const char *text)
{
    const char *sep = strstr(text, "://");
    return sep != NULL && sep > text &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-") ==
               (size_t)(sep - text);
}

otr_code otr_url_check(const char *url, otr_err *err)
{
    static const char https[] = "https://";
    if (strncmp(url, "http://", 7) == 0) {
        return otr_fail(err, OTR_EINVAL, "plain http is not fetched: use https://");
    }
    if (strncmp(url, https, sizeof(https) - 1) != 0) {
        return otr_fail(err, OTR_EINVAL, "expected a path, file:PATH or https://HOST/PATH");
    }
    const char *host = url + sizeof(https) - 1;
    size_t n = strcspn(host, "/?#");
    if (memchr(host, '@', n) != NULL) {
        return otr_fail(err, OTR_EINVAL, "a URL with a user or a password is not accepted");
    }
    if (n == 0 || host[0] == ':' || strlen(url) > OTR_LIMIT_PLUGIN_URL_BYTES ||
        strchr(host, '#') != NULL) {
        return otr_fail(err, OTR_EINVAL, "expected https://HOST/PATH, without a fragment");
    }
    for (const char *p = url; *p != '\0'; p++) {
        if ((unsigned char)*p <= ' ' || *p == 0x7f || *p == '\\') {
            return otr_fail(err, OTR_EINVAL, "a URL has no spaces, line breaks or backslashes");
        }
    }
    return OTR_OK;
}

const char *otr_url_label(const char *text, char out[OTR_URL_LABEL_BYTES])
{
    size_t n = otr_url_is(text) ? strcspn(text, "?#") : strlen(text);
    (void)snprintf(out, OTR_URL_LABEL_BYTES, "%.*s", (int)(n < INT16_MAX ? n : INT16_MAX), text);
    return out;
}
