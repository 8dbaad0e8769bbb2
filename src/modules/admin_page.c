/*
 * The status page: built into the binary, and let run nothing but its own script and style, which
 * the Content-Security-Policy names by their digests.
 */
#include <stdio.h>

#include "base/digest.h"
#include "modules/admin.h"
#include "modules/web.h"

enum { SHA256_BYTES = 32, BASE64_BYTES = 48 };

static unsigned hex_digit(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a') + 10;
}

static const char *base64(const char hex[OTR_SHA256_HEX_BYTES], char out[BASE64_BYTES])
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t bytes[SHA256_BYTES + 1] = { 0 };
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        bytes[i] = (uint8_t)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
    }
    char *at = out;
    for (size_t i = 0; i < SHA256_BYTES + 1; i += 3) {
        uint32_t group = (uint32_t)bytes[i] << 16 | (uint32_t)bytes[i + 1] << 8 | bytes[i + 2];
        for (int shift = 18; shift >= 0; shift -= 6) {
            *at++ = alphabet[group >> shift & 63];
        }
    }
    at[-1] = '='; /* 32 bytes are one short of a group */
    *at = '\0';
    return out;
}

/* The digest of what stands between the only `open` and the only `close` of the page. */
static const char *digest_of(const char *open, const char *close, char out[BASE64_BYTES])
{
    const char *page = (const char *)otr_web_status_page;
    const char *from = strstr(page, open);
    const char *to = from != NULL ? strstr(from, close) : NULL;
    char hex[OTR_SHA256_HEX_BYTES];
    if (to == NULL) {
        out[0] = '\0';
        return out;
    }
    from += strlen(open);
    (void)otr_sha256_hex((otr_bytes){ (const uint8_t *)from, (size_t)(to - from) }, hex);
    return base64(hex, out);
}

void otr_admin_page_init(otr_admin *a)
{
    char script[BASE64_BYTES], style[BASE64_BYTES];
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
