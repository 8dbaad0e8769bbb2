#include "nginx/instance/remarks.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/limits.h"

enum { REMARK_BYTES = 1024 };

otr_code otr_remark(otr_remarks *remarks, otr_err *err, const char *format, ...)
{
    char text[REMARK_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    for (size_t i = 0; i < remarks->n; i++) {
        if (strcmp(remarks->items[i], text) == 0) {
            return OTR_OK;
        }
    }
    if (remarks->n >= OTR_LIMIT_NGINX_REMARKS) {
        return OTR_OK;
    }
    char **list = otr_realloc(remarks->items, (remarks->n + 1) * sizeof(*list));
    if (list == NULL) {
        return otr_fail_nomem(err);
    }
    remarks->items = list;
    list[remarks->n] = otr_strdup(text);
    if (list[remarks->n] == NULL) {
        return otr_fail_nomem(err);
    }
    remarks->n++;
    return OTR_OK;
}

void otr_remarks_deinit(otr_remarks *remarks)
{
    for (size_t i = 0; i < remarks->n; i++) {
        otr_free(remarks->items[i]);
    }
    otr_free(remarks->items);
    *remarks = (otr_remarks){ 0 };
}
