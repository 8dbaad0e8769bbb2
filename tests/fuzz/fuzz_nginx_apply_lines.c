/* Lines of NGINX: any bytes; what is found lies in the line, and a finding is escaped text. */
#include <stdlib.h>

#include "nginx/apply/lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void inside(otr_bytes part, otr_bytes whole)
{
    if (part.n > 0 && (part.p < whole.p || part.p + part.n > whole.p + whole.n)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    otr_bytes rest = { data, n }, one;
    otr_findings findings = { 0 };
    while (otr_line_next(&rest, &one)) {
        otr_line line;
        if (!otr_line_parse(one, &line)) {
            continue;
        }
        inside(line.text, one);
        inside(line.file, one);
        if (line.level > OTR_LEVEL_DEBUG || line.pid < 0 ||
            otr_findings_add_line(&findings, &line, NULL) != OTR_OK) {
            abort();
        }
    }
    for (size_t i = 0; i < findings.n; i++) {
        for (const char *p = findings.items[i].text; *p != '\0'; p++) {
            if (*p == '\n' || *p == '\x1b') {
                abort();
            }
        }
    }
    otr_findings_deinit(&findings);
    return 0;
}
