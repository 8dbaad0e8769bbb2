#include "net/curl/curl.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <threads.h>

/* How soon a transfer that nobody waits for ends. It costs nothing while data flow. */
enum { LOOK_MS = 50 };

#define LIBRARY "libcurl.so.4"

/* Written once, under `once`; read-only afterwards. */
static once_flag once = ONCE_FLAG_INIT;
static otr_curl table;
static bool opened;

static bool find(void *library, const char *name, void *slot)
{
    void *symbol = dlsym(library, name);
    memcpy(slot, &symbol, sizeof(symbol)); /* C has no conversion from void * to a function */
    return symbol != NULL;
}

static void open_once(void)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    CURLcode (*init)(long) = NULL;
    if (library == NULL) {
        return;
    }
    const struct symbol {
        const char *name;
        void *slot;
    } symbols[] = {
        { "curl_global_init", &init },
        { "curl_easy_init", &table.easy_init },
        { "curl_easy_setopt", &table.easy_setopt },
        { "curl_easy_perform", &table.easy_perform },
        { "curl_easy_getinfo", &table.easy_getinfo },
        { "curl_easy_reset", &table.easy_reset },
        { "curl_easy_cleanup", &table.easy_cleanup },
        { "curl_easy_strerror", &table.easy_strerror },
        { "curl_easy_nextheader", &table.easy_nextheader },
        { "curl_multi_init", &table.multi_init },
        { "curl_multi_cleanup", &table.multi_cleanup },
        { "curl_multi_add_handle", &table.multi_add_handle },
        { "curl_multi_remove_handle", &table.multi_remove_handle },
        { "curl_multi_perform", &table.multi_perform },
        { "curl_multi_poll", &table.multi_poll },
        { "curl_multi_info_read", &table.multi_info_read },
        { "curl_slist_append", &table.slist_append },
        { "curl_slist_free_all", &table.slist_free_all },
        { "curl_url", &table.url },
        { "curl_url_cleanup", &table.url_cleanup },
        { "curl_url_set", &table.url_set },
        { "curl_url_get", &table.url_get },
        { "curl_url_strerror", &table.url_strerror },
        { "curl_free", &table.free },
    };
    bool all = true;
    for (size_t i = 0; i < OTR_COUNT(symbols); i++) {
        all = find(library, symbols[i].name, symbols[i].slot) && all;
    }
    opened = all && init(CURL_GLOBAL_ALL) == CURLE_OK;
}

otr_code otr_curl_open(const otr_curl **ret, otr_err *err)
{
    call_once(&once, open_once);
    if (!opened) {
        return otr_fail(err, OTR_EUNSUP,
                        "http.request, https and HTTP/2 need " LIBRARY
                        " 7.85 or newer: install the package libcurl4");
    }
    *ret = &table;
    return OTR_OK;
}

CURLcode otr_curl_set(const otr_curl *curl, CURL *easy, const otr_curl_setup *s)
{
    CURLcode bad = CURLE_OK;
#define SET(option, value) bad = bad == CURLE_OK ? curl->easy_setopt(easy, option, value) : bad
    SET(CURLOPT_PROTOCOLS_STR, s->schemes);
    SET(CURLOPT_REDIR_PROTOCOLS_STR, s->schemes);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_TIMEOUT_MS, s->timeout_ms);
    SET(CURLOPT_USERAGENT, "outrider/" OTR_VERSION);
    SET(CURLOPT_HTTPHEADER, s->headers);
    SET(CURLOPT_WRITEFUNCTION, s->write);
    SET(CURLOPT_WRITEDATA, s->arg);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (s->ca != NULL) {
        SET(CURLOPT_CAINFO, s->ca);
        SET(CURLOPT_CAPATH, NULL); /* the system's roots are no fallback */
    }
#undef SET
    return bad;
}

static CURLcode result_of(const otr_curl *curl, CURLM *multi, const CURL *easy)
{
    int left = 0;
    const CURLMsg *msg;
    while ((msg = curl->multi_info_read(multi, &left)) != NULL) {
        if (msg->msg == CURLMSG_DONE && msg->easy_handle == easy) {
            return msg->data.result;
        }
    }
    return CURLE_FAILED_INIT;
}

CURLcode otr_curl_perform(const otr_curl *curl, CURLM *multi, CURL *easy, const atomic_bool *ended)
{
    if (curl->multi_add_handle(multi, easy) != CURLM_OK) {
        return CURLE_OUT_OF_MEMORY;
    }
    CURLcode rc = CURLE_OK;
    int running = 1;
    while (rc == CURLE_OK && running > 0) {
        if (ended != NULL && atomic_load(ended)) {
            rc = CURLE_ABORTED_BY_CALLBACK;
        } else if (curl->multi_perform(multi, &running) != CURLM_OK ||
                   (running > 0 && curl->multi_poll(multi, NULL, 0, LOOK_MS, NULL) != CURLM_OK)) {
            rc = CURLE_OUT_OF_MEMORY;
        }
    }
    rc = rc == CURLE_OK ? result_of(curl, multi, easy) : rc;
    (void)curl->multi_remove_handle(multi, easy);
    return rc;
}
