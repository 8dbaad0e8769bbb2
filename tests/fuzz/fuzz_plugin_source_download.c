/*
 * The record of a kept download and the rules for URLs: any bytes are refused or read, what was
 * read lies inside, and no accepted URL has a user or a line break.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "plugin/manifest/url.h"
#include "plugin/source/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(otr_bytes part, const uint8_t *data, size_t size)
{
    if (part.n > 0 && (part.p < data || part.p + part.n > data + size)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    otr_download d;
    if (otr_download_unpack((otr_bytes){ data, size }, &d)) {
        inside(d.etag, data, size);
        inside(d.signature, data, size);
        inside(d.file, data, size);
    }
    char *url = otr_strndup((const char *)data, size);
    char label[OTR_URL_LABEL_BYTES];
    if (url != NULL && otr_url_check(url, NULL) == OTR_OK) {
        const char *host = url + strlen("https://");
        size_t n = strcspn(host, "/?");
        if (n == 0 || memchr(host, '@', n) != NULL || strpbrk(url, "\r\n \t#\\") != NULL ||
            strchr(otr_url_label(url, label), '?') != NULL) {
            abort();
        }
    }
    otr_free(url);
    return 0;
}
