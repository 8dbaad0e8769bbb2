#include "wasm/engine/component_names.h"

#ifdef OTR_ENGINES_OURS

#include <string.h>

#include "base/alloc.h"
#include "wasm/engine/component.h"

static const char lifecycle[] = "outrider:plugin/lifecycle@1.";

static size_t count_lines(const char *text, const char *prefix)
{
    size_t n = 0;
    for (const char *at = text; *at != '\0'; at += strcspn(at, "\n") + 1) {
        n += strncmp(at, prefix, strlen(prefix)) == 0;
    }
    return n;
}

static void take_lines(char *text, const char *prefix, bool import, otr_extern_info *to)
{
    size_t skip = strlen(prefix);
    for (char *at = text; *at != '\0';) {
        size_t n = strlen(at);
        if (strncmp(at, prefix, skip) == 0) {
            *to++ = (otr_extern_info){ .module = import ? "" : NULL,
                                       .name = at + skip,
                                       .kind = OTR_EXTERN_OTHER };
        }
        at += n + 1;
    }
}

/* All that is missing, a line each, as one text. */
static otr_code read_missing(otr_component_names *m, const char *text, otr_err *err)
{
    static const char prefix[] = "missing ";
    enum { SKIP = sizeof(prefix) - 1 };
    if (count_lines(text, prefix) == 0) {
        return OTR_OK;
    }
    char *to = m->missing = otr_zalloc(strlen(text) + 1);
    if (to == NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t n; *text != '\0'; text += n + (text[n] == '\n' ? 1 : 0)) {
        n = strcspn(text, "\n");
        if (strncmp(text, prefix, SKIP) == 0) {
            to += to != m->missing;
            memcpy(to, text + SKIP, n - SKIP);
            to += n - SKIP;
            *to = '\n';
        }
    }
    *to = '\0';
    m->info.missing = m->missing;
    return OTR_OK;
}

/* Cuts the description into names: `names` ends with an empty string. */
otr_code otr_component_names_read(otr_component_names *m, const otr_buf *text, otr_err *err)
{
    size_t imports = count_lines(otr_buf_text(text), "import ");
    size_t exports = count_lines(otr_buf_text(text), "export ");
    m->text = otr_zalloc(text->n + 2);
    m->list = otr_calloc(imports + exports + 1, sizeof(*m->list));
    if (m->text == NULL || m->list == NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t i = 0; i < text->n; i++) {
        m->text[i] = text->p[i] == '\n' ? '\0' : (char)text->p[i];
    }
    take_lines(m->text, "import ", true, m->list);
    take_lines(m->text, "export ", false, m->list + imports);
    m->info = (otr_module_info){ .imports = m->list,
                                 .n_imports = imports,
                                 .exports = m->list + imports,
                                 .n_exports = exports,
                                 .component = true };
    otr_code rc = read_missing(m, otr_buf_text(text), err);
    if (rc != OTR_OK) {
        return rc;
    }
    for (size_t i = 0; i < exports && m->interface == NULL; i++) {
        const char *name = m->info.exports[i].name;
        if (strncmp(name, lifecycle, sizeof(lifecycle) - 1) == 0 && strchr(name, '#') == NULL) {
            m->interface = otr_strdup(name);
        }
    }
    if (m->interface == NULL) {
        m->interface = otr_strdup("");
    }
    return m->interface != NULL ? OTR_OK : otr_fail_nomem(err);
}

void otr_component_names_deinit(otr_component_names *m)
{
    otr_free(m->interface);
    otr_free(m->missing);
    otr_free(m->list);
    otr_free(m->text);
}

bool otr_component_has(const otr_module_info *info, const char *operation)
{
    size_t n = strlen(operation);
    for (size_t i = 0; i < info->n_exports; i++) {
        const char *name = info->exports[i].name;
        const char *hash = strchr(name, '#');
        bool ours = hash != NULL && strncmp(name, lifecycle, sizeof(lifecycle) - 1) == 0;
        if ((ours && strcmp(hash + 1, operation) == 0) ||
            (hash == NULL && strncmp(name, operation, n + 1) == 0)) {
            return true;
        }
    }
    return false;
}

#endif
