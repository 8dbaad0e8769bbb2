#include "plugin/manifest/url.h"
#include "support/test.h"

static void refused_url(const char *url, const char *part)
{
    otr_err err = { 0 };
    CHECK(otr_url_check(url, &err) != OTR_OK);
    CHECK_HAS(err.msg, part);
}

T(urls_that_are_not_fetched_are_refused_with_the_reason)
{
    refused_url("http://h/p", "use https://");
    refused_url("ftp://h/p", "https://");
    refused_url("https://user:secret@h/p", "password");
    refused_url("https:///p", "HOST");
    refused_url("https://:1/p", "HOST");
    refused_url("https://h/p#x", "fragment");
    refused_url("https://h/p q", "spaces");
    refused_url("https://h/p\r\nX: y", "line breaks");
    refused_url("https://h\\@evil/p", "password");
    refused_url("https://h\\evil/p", "backslashes");
    otr_err err = { 0 };
    CHECK_INT(otr_url_check("https://h:8443/a/p.wasm?token=x@y", &err), OTR_OK);
}

T(a_label_has_no_query)
{
    char out[OTR_URL_LABEL_BYTES];
    CHECK_STR(otr_url_label("https://h/p?token=secret", out), "https://h/p");
    CHECK_STR(otr_url_label("/a/b?c", out), "/a/b?c");
    CHECK(otr_url_is("https://h") && !otr_url_is("/a://b") && !otr_url_is("://b"));
}
