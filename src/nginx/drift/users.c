#include "nginx/drift/users.h"

#include <stdio.h>

#include "base/limits.h"

static const char passwd[] = "/etc/passwd";

/* "name:x:1000:…" */
static bool take_line(const char *line, size_t n, uid_t uid, char out[OTR_DRIFT_USER_BYTES])
{
    const char *end = line + n;
    const char *name_end = memchr(line, ':', n);
    const char *word =
        name_end != NULL ? memchr(name_end + 1, ':', (size_t)(end - name_end - 1)) : NULL;
    if (word == NULL || name_end == line) {
        return false;
    }
    unsigned long long id = 0;
    const char *p = word + 1;
    for (; p < end && *p >= '0' && *p <= '9' && id <= UINT32_MAX; p++) {
        id = id * 10 + (unsigned long long)(*p - '0');
    }
    if (p == word + 1 || p == end || *p != ':' || id != uid) {
        return false;
    }
    (void)snprintf(out, OTR_DRIFT_USER_BYTES, "%.*s", (int)(name_end - line), line);
    return true;
}

void otr_drift_user(uid_t uid, char out[OTR_DRIFT_USER_BYTES])
{
    otr_buf text;
    bool found = false;
    otr_buf_init(&text, OTR_MIB);
    if (uid == 0) {
        (void)snprintf(out, OTR_DRIFT_USER_BYTES, "root");
        return;
    }
    if (otr_buf_read_file(&text, passwd, NULL) == OTR_OK) {
        const char *at = otr_buf_text(&text);
        while (!found && *at != '\0') {
            size_t n = strcspn(at, "\n");
            found = take_line(at, n, uid, out);
            at += n + (at[n] == '\n');
        }
    }
    otr_buf_deinit(&text);
    if (!found) {
        (void)snprintf(out, OTR_DRIFT_USER_BYTES, "user %u", (unsigned)uid);
    }
}
