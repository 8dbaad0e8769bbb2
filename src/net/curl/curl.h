/*
 * libcurl, opened by the first granted request, the first download or the first status page that
 * only TLS or HTTP/2 leads to.
 *
 * Linked, it would make every agent larger by 6 MB of resident memory and start 20 ms later,
 * plugins or none (docs/adr/0007). The functions have libcurl's own names and types.
 *
 * Thread: any.
 */
#ifndef OTR_NET_CURL_CURL_H
#define OTR_NET_CURL_CURL_H

#include <curl/curl.h>
#include <stdatomic.h>

#include "base/base.h"
#include "base/err.h"

typedef struct otr_curl {
    CURL *(*easy_init)(void);
    CURLcode (*easy_setopt)(CURL *easy, CURLoption option, ...);
    CURLcode (*easy_perform)(CURL *easy);
    CURLcode (*easy_getinfo)(CURL *easy, CURLINFO info, ...);
    void (*easy_reset)(CURL *easy);
    void (*easy_cleanup)(CURL *easy);
    const char *(*easy_strerror)(CURLcode code);
    struct curl_header *(*easy_nextheader)(CURL *easy, unsigned origin, int request,
                                           struct curl_header *previous);
    CURLM *(*multi_init)(void);
    CURLMcode (*multi_cleanup)(CURLM *multi);
    CURLMcode (*multi_add_handle)(CURLM *multi, CURL *easy);
    CURLMcode (*multi_remove_handle)(CURLM *multi, CURL *easy);
    CURLMcode (*multi_perform)(CURLM *multi, int *running);
    CURLMcode (*multi_poll)(CURLM *multi, struct curl_waitfd fds[], unsigned n, int ms, int *ready);
    CURLMsg *(*multi_info_read)(CURLM *multi, int *left);
    struct curl_slist *(*slist_append)(struct curl_slist *list, const char *text);
    void (*slist_free_all)(struct curl_slist *list);
    CURLU *(*url)(void);
    void (*url_cleanup)(CURLU *url);
    CURLUcode (*url_set)(CURLU *url, CURLUPart part, const char *text, unsigned flags);
    CURLUcode (*url_get)(const CURLU *url, CURLUPart part, char **text, unsigned flags);
    const char *(*url_strerror)(CURLUcode code);
    void (*free)(void *text);
} otr_curl;

typedef size_t otr_curl_write_fn(char *data, size_t size, size_t n, void *arg);

typedef struct otr_curl_setup { /* what every transfer is told */
    const char *schemes;        /* "https", or "http,https" */
    long timeout_ms;
    struct curl_slist *headers; /* NULL: none beside libcurl's own */
    const char *ca;             /* a file of roots, instead of the system's; NULL: the system's */
    otr_curl_write_fn *write;   /* gets the body */
    void *arg;
} otr_curl_setup;

/* Sets these options of `easy`: certificates are verified, TLS is 1.2 at least, and what leaves the
 * schemes is refused. */
CURLcode otr_curl_set(const otr_curl *curl, CURL *easy, const otr_curl_setup *setup) OTR_MUST_CHECK;

/* OTR_EUNSUP when the library is not installed or too old. */
otr_code otr_curl_open(const otr_curl **ret, otr_err *err) OTR_MUST_CHECK;
/* Makes the transfer of `easy`, with the connections of `multi`. CURLE_ABORTED_BY_CALLBACK soon
 * after `*ended` (Optional) became true. */
CURLcode otr_curl_perform(const otr_curl *curl, CURLM *multi, CURL *easy, const atomic_bool *ended);

#endif
