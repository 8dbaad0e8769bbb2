#include "base/texts.h"

#include "base/alloc.h"

otr_code otr_texts_copy(char *const *list, char ***ret, otr_err *err)
{
    size_t n = 0;
    while (list != NULL && list[n] != NULL) {
        n++;
    }
    char **copy = otr_calloc(n + 1, sizeof(*copy));
    bool ok = copy != NULL;
    for (size_t i = 0; ok && i < n; i++) {
        ok = (copy[i] = otr_strdup(list[i])) != NULL;
    }
    if (!ok) {
        otr_texts_free(copy);
        return otr_fail_nomem(err);
    }
    *ret = copy;
    return OTR_OK;
}

void otr_texts_free(char **list)
{
    for (size_t i = 0; list != NULL && list[i] != NULL; i++) {
        otr_free(list[i]);
    }
    otr_free(list);
}

bool otr_texts_same(char *const *a, char *const *b)
{
    if (a == NULL || b == NULL) {
        return false;
    }
    while (*a != NULL && *b != NULL && strcmp(*a, *b) == 0) {
        a++;
        b++;
    }
    return *a == NULL && *b == NULL;
}

bool otr_texts_have(char *const *list, const char *text)
{
    while (list != NULL && *list != NULL && strcmp(*list, text) != 0) {
        list++;
    }
    return list != NULL && *list != NULL;
}
