/*
 * The status page: built into the binary, and let run nothing but its own script and style, which
 * the Content-Security-Policy names by their digests.
 */
#include <stdio.h>

#include "base/digest.h"
#include "modules/admin.h"
#include "modules/web.h"

/* The digest of what stands between the only `open` and the only `close` of the page. */
static const char *digest_of(const char *open, const char *close, char out[OTR_SHA256_BASE64_BYTES])
{
    const char *page = (const char *)otr_web_status_page;
    const char *from = strstr(page, open);
    const char *to = from != NULL ? strstr(from, close) : NULL;
    if (to == NULL) {
        out[0] = '\0';
        return out;
    }
    from += strlen(open);
    return otr_sha256_base64((otr_bytes){ (const uint8_t *)from, (size_t)(to - from) }, out);
}

void otr_admin_page_init(otr_admin *a)
{
    char script[OTR_SHA256_BASE64_BYTES], style[OTR_SHA256_BASE64_BYTES];
    (void)snprintf(a->csp, sizeof(a->csp),
                   "default-src 'none'; script-src 'sha256-%s'; style-src 'sha256-%s'; "
                   "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
                   "frame-ancestors 'none'",
                   digest_of("<script>", "</script>", script),
                   digest_of("<style>", "</style>", style));
}

otr_code otr_admin_get_page(void *admin, const otr_http_request *req, otr_http_reply *reply,
                            otr_err *err)
{
    const otr_admin *a = admin;
    (void)req;
    reply->content_type = "text/html; charset=utf-8";
    reply->csp = a->csp;
    return otr_buf_add(&reply->body, (otr_bytes){ otr_web_status_page, otr_web_status_page_bytes },
                       err);
}
