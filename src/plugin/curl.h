/*
 * libcurl, opened by the first granted request or the first download.
 *
 * Linked, it would make every agent larger by 6 MB of resident memory and start 20 ms later,
 * plugins or none (docs/adr/0007). The functions have libcurl's own names and types.
 *
 * Thread: any.
 */
#ifndef OTR_PLUGIN_CURL_H
#define OTR_PLUGIN_CURL_H

#include <curl/curl.h>

#include "base/base.h"
#include "base/err.h"

typedef struct otr_curl {
    CURL *(*easy_init)(void);
    CURLcode (*easy_setopt)(CURL *easy, CURLoption option, ...);
    CURLcode (*easy_getinfo)(CURL *easy, CURLINFO info, ...);
    CURLcode (*easy_perform)(CURL *easy);
    void (*easy_reset)(CURL *easy);
    void (*easy_cleanup)(CURL *easy);
    const char *(*easy_strerror)(CURLcode code);
    struct curl_header *(*easy_nextheader)(CURL *easy, unsigned origin, int request,
                                           struct curl_header *previous);
    struct curl_slist *(*slist_append)(struct curl_slist *list, const char *text);
    void (*slist_free_all)(struct curl_slist *list);
    CURLU *(*url)(void);
    void (*url_cleanup)(CURLU *url);
    CURLUcode (*url_set)(CURLU *url, CURLUPart part, const char *text, unsigned flags);
    CURLUcode (*url_get)(const CURLU *url, CURLUPart part, char **text, unsigned flags);
    const char *(*url_strerror)(CURLUcode code);
    void (*free)(void *text);
} otr_curl;

/* OTR_EUNSUP when the library is not installed or too old. */
otr_code otr_curl_open(const otr_curl **ret, otr_err *err) OTR_MUST_CHECK;

#endif
