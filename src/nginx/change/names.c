#include "nginx/change/names.h"

#include <stdio.h>
#include <sys/random.h>

#include "base/limits.h"

enum {
    PART_BYTES = 255,
    INSTANCE_BYTES = 128,
    ID_DIGITS = OTR_CHANGE_ID_BYTES - 1,
};

static otr_code check_part(const char *path, const char *part, size_t n, otr_err *err)
{
    if (n == 0 || (n == 1 && part[0] == '.') || (n == 2 && part[0] == '.' && part[1] == '.')) {
        return otr_fail(err, OTR_EINVAL,
                        "%s: a path of a change is without empty parts, \".\" and \"..\"", path);
    }
    if (n > PART_BYTES) {
        return otr_fail(err, OTR_EQUOTA, "%s: a name has at most %d bytes", path, PART_BYTES);
    }
    if (n >= strlen(OTR_CHANGE_HIDDEN) &&
        memcmp(part, OTR_CHANGE_HIDDEN, strlen(OTR_CHANGE_HIDDEN)) == 0) {
        return otr_fail(err, OTR_EINVAL,
                        "%s: names that begin with \"" OTR_CHANGE_HIDDEN "\" are the agent's own",
                        path);
    }
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)part[i] < ' ' || part[i] == 0x7f) {
            return otr_fail(err, OTR_EINVAL, "%s: a path has no control characters", path);
        }
    }
    return OTR_OK;
}

otr_code otr_change_path_check(const char *path, otr_err *err)
{
    if (path[0] != '/') {
        return otr_fail(err, OTR_EINVAL, "%s: a path of a change is absolute", path);
    }
    if (strlen(path) > OTR_LIMIT_CHANGE_PATH_BYTES) {
        return otr_fail(err, OTR_EQUOTA, "%.64s...: a path has at most %d bytes", path,
                        OTR_LIMIT_CHANGE_PATH_BYTES);
    }
    for (const char *part = path + 1;; part++) {
        size_t n = strcspn(part, "/");
        otr_code rc = check_part(path, part, n, err);
        if (rc != OTR_OK || part[n] == '\0') {
            return rc;
        }
        part += n;
    }
}

const char *otr_change_hidden_name(const char *id, otr_hidden kind, size_t n,
                                   char out[OTR_CHANGE_NAME_BYTES])
{
    if (kind == OTR_HIDDEN_KEPT) {
        (void)snprintf(out, OTR_CHANGE_NAME_BYTES, OTR_CHANGE_HIDDEN "kept-%s-%zu", id, n);
    } else {
        (void)snprintf(out, OTR_CHANGE_NAME_BYTES, OTR_CHANGE_HIDDEN "%s-%c%zu", id, (int)kind, n);
    }
    return out;
}

static bool has_id(const char *text)
{
    return strspn(text, "0123456789abcdef") >= ID_DIGITS;
}

bool otr_change_is_id(const char *text)
{
    return has_id(text) && text[ID_DIGITS] == '\0';
}

void otr_change_new_id(char out[OTR_CHANGE_ID_BYTES])
{
    uint8_t bytes[ID_DIGITS / 2];
    while (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes)) {
    }
    for (size_t i = 0; i < sizeof(bytes); i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    }
}

bool otr_change_is_instance(const char *text)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    return n > 0 && n <= INSTANCE_BYTES && text[n] == '\0' && text[0] != '.';
}
