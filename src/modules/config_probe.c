/* Probes as operators write them. */
#include <regex.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "modules/config.h"
#include "net/http/client.h"

void otr_config_probes_free(otr_apply_probe *probes, size_t n)
{
    for (size_t i = 0; probes != NULL && i < n; i++) {
        otr_free((char *)(uintptr_t)probes[i].url);
        otr_free((char *)(uintptr_t)probes[i].body);
    }
    otr_free(probes);
}

/* URLs may hold '=' themselves: the first one with a status behind it counts. */
static bool is_status(const char *at)
{
    return at[0] >= '1' && at[0] <= '5' && at[1] >= '0' && at[1] <= '9' && at[2] >= '0' &&
           at[2] <= '9' && (at[3] == '\0' || at[3] == '=');
}

static const char *status_in(const char *text)
{
    for (const char *at = text; (at = strchr(at, '=')) != NULL; at++) {
        if (is_status(at + 1)) {
            return at;
        }
    }
    return NULL;
}

static otr_code check_regex(const char *text, otr_err *err)
{
    regex_t regex;
    if (regcomp(&regex, text, REG_EXTENDED | REG_NOSUB) != 0) {
        return otr_fail(err, OTR_EINVAL, "no extended regular expression: %s", text);
    }
    regfree(&regex);
    return OTR_OK;
}

static otr_code check_url(const char *text, otr_err *err)
{
    otr_http_url url = { 0 };
    otr_code rc = otr_http_url_parse(text, &url, err);
    otr_http_url_deinit(&url);
    return rc;
}

otr_code otr_config_probe(const char *text, otr_apply_probe *ret, otr_err *err)
{
    const char *at = status_in(text);
    size_t n = at != NULL ? (size_t)(at - text) : strlen(text);
    otr_apply_probe probe = { .status = at != NULL
                                            ? (unsigned)strtoul(at + 1, &(char *){ NULL }, 10)
                                            : 0 };
    char *url = otr_strndup(text, n), *body = NULL;
    otr_code rc = url != NULL ? check_url(url, err) : otr_fail_nomem(err);
    if (rc == OTR_OK && at != NULL && at[4] == '=') {
        rc = check_regex(at + 5, err);
        body = rc == OTR_OK ? otr_strdup(at + 5) : NULL;
        rc = rc == OTR_OK && body == NULL ? otr_fail_nomem(err) : rc;
    }
    if (rc != OTR_OK) {
        otr_free(url);
        otr_free(body);
        return rc;
    }
    probe.url = url;
    probe.body = body;
    *ret = probe;
    return OTR_OK;
}
