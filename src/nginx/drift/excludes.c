#include "nginx/drift/excludes.h"

#include "base/alloc.h"

enum { WHY_BYTES = 128 };

otr_code otr_excludes_make(const char *const *patterns, otr_excludes **ret, otr_err *err)
{
    otr_excludes *e = otr_zalloc(sizeof(*e));
    size_t n = 0;
    while (patterns != NULL && patterns[n] != NULL) {
        n++;
    }
    if (e == NULL || (e->items = otr_calloc(n + 1, sizeof(*e->items))) == NULL) {
        otr_free(e);
        return otr_fail_nomem(err);
    }
    e->refs = 1;
    for (; e->n < n; e->n++) {
        int wrong = regcomp(&e->items[e->n], patterns[e->n], REG_EXTENDED | REG_NOSUB);
        if (wrong != 0) {
            char why[WHY_BYTES];
            (void)regerror(wrong, &e->items[e->n], why, sizeof(why));
            otr_code rc = otr_fail(err, OTR_EINVAL, "\"%.80s\" is no regular expression: %s",
                                   patterns[e->n], why);
            otr_excludes_unref(e);
            return rc;
        }
    }
    *ret = e;
    return OTR_OK;
}

otr_excludes *otr_excludes_ref(otr_excludes *e)
{
    e->refs++;
    return e;
}

bool otr_excludes_match(const otr_excludes *e, const char *text)
{
    for (size_t i = 0; e != NULL && i < e->n; i++) {
        if (regexec(&e->items[i], text, 0, NULL, 0) == 0) {
            return true;
        }
    }
    return false;
}

void otr_excludes_unref(otr_excludes *e)
{
    if (e == NULL || --e->refs > 0) {
        return;
    }
    for (size_t i = 0; i < e->n; i++) {
        regfree(&e->items[i]);
    }
    otr_free(e->items);
    otr_free(e);
}
