#include "plugin/curl.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <threads.h>

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
        { "curl_easy_getinfo", &table.easy_getinfo },
        { "curl_easy_perform", &table.easy_perform },
        { "curl_easy_reset", &table.easy_reset },
        { "curl_easy_cleanup", &table.easy_cleanup },
        { "curl_easy_strerror", &table.easy_strerror },
        { "curl_easy_nextheader", &table.easy_nextheader },
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
                        "http.request and sources from https need " LIBRARY
                        " 7.85 or newer: install the package libcurl4");
    }
    *ret = &table;
    return OTR_OK;
}
