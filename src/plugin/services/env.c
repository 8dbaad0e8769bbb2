/* What an operator hands to one plugin by name: variables of the environment, and secrets. */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "plugin/services/hostcalls.h"

enum { NAME_SHOWN = 64 };

static bool same(otr_bytes a, const char *b)
{
    return a.n == strlen(b) && (a.n == 0 || memcmp(a.p, b, a.n) == 0);
}

static otr_code deny(otr_hostcalls *hc, const char *op, otr_bytes name, const char *grant,
                     otr_err *err)
{
    char what[128];
    int n = name.n < NAME_SHOWN ? (int)name.n : NAME_SHOWN;
    (void)snprintf(what, sizeof(what), "%s %.*s", op, n, n > 0 ? (const char *)name.p : "");
    return otr_hostcalls_deny(hc, what, grant, err);
}

otr_code otr_hostcalls_env(otr_hostcalls *hc, otr_bytes in, otr_buf *out, otr_err *err)
{
    char *const *name = hc->manifest->env_names;
    while (name != NULL && *name != NULL && !same(in, *name)) {
        name++;
    }
    if (name == NULL || *name == NULL) {
        return deny(hc, "env.get", in, "env", err);
    }
    for (char *const *pair = hc->manifest->env; *pair != NULL; pair++) {
        if (strncmp(*pair, *name, in.n) == 0 && (*pair)[in.n] == '=') {
            return otr_buf_adds(out, *pair + in.n + 1, err);
        }
    }
    return otr_fail(err, OTR_ENOTFOUND, "env.get: %s is not set in the agent's environment", *name);
}

otr_code otr_hostcalls_secret(otr_hostcalls *hc, otr_bytes in, otr_buf *out, otr_err *err)
{
    char *const *all = hc->manifest->secrets;
    for (size_t i = 0; all != NULL && all[2 * i] != NULL; i++) {
        if (same(in, all[2 * i])) {
            const otr_secret *s = &hc->secrets[i];
            return s->text != NULL
                       ? otr_buf_add(out, (otr_bytes){ (const uint8_t *)s->text, s->n }, err)
                       : otr_fail(err, OTR_ESTATE, "secret.get: %s was not read", all[2 * i]);
        }
    }
    return deny(hc, "secret.get", in, "secrets", err);
}

void otr_hostcalls_forget(otr_hostcalls *hc)
{
    for (size_t i = 0; i < OTR_SECRETS; i++) {
        if (hc->secrets[i].text != NULL) {
            sodium_memzero(hc->secrets[i].text, hc->secrets[i].n);
            otr_free(hc->secrets[i].text);
        }
        hc->secrets[i] = (otr_secret){ .text = NULL };
    }
}

static otr_code check_file(int fd, const char *path, otr_err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return otr_fail_sys(err, errno, "cannot stat %s", path);
    }
    if (!S_ISREG(st.st_mode)) {
        return otr_fail(err, OTR_EINVAL, "%s is not a regular file", path);
    }
    if ((st.st_mode & S_IRWXO) != 0) {
        return otr_fail(err, OTR_EDENIED, "%s is open to everybody: chmod o= %s", path, path);
    }
    return OTR_OK;
}

static otr_code take(const char *path, int fd, otr_secret *ret, otr_err *err)
{
    otr_buf text;
    uint8_t *room;
    otr_buf_init(&text, OTR_LIMIT_PLUGIN_SECRET_BYTES + 1);
    /* All the room at once: growing would leave copies behind. */
    otr_code rc = otr_buf_reserve(&text, OTR_LIMIT_PLUGIN_SECRET_BYTES, &room, err);
    rc = rc == OTR_OK ? otr_buf_read_fd(&text, fd, err) : rc;
    if (rc == OTR_OK) {
        while (text.n > 0 && (text.p[text.n - 1] == '\n' || text.p[text.n - 1] == '\r')) {
            text.n--;
        }
        ret->n = text.n;
        ret->text = otr_strndup(otr_buf_text(&text), text.n);
        rc = ret->text != NULL ? OTR_OK : otr_fail_nomem(err);
    } else {
        rc = otr_wrap(err, rc, "%s", path);
    }
    if (text.p != NULL) {
        sodium_memzero(text.p, text.cap);
    }
    otr_buf_deinit(&text);
    return rc;
}

otr_code otr_hostcalls_load(otr_hostcalls *hc, otr_err *err)
{
    otr_code rc = OTR_OK;
    char *const *all = hc->manifest->secrets;
    otr_hostcalls_forget(hc);
    for (size_t i = 0; rc == OTR_OK && all != NULL && all[2 * i] != NULL; i++) {
        const char *path = all[2 * i + 1];
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0) {
            return otr_fail_sys(err, errno, "cannot open %s (grants.secrets of the plugin at %s)",
                                path, hc->manifest->where);
        }
        rc = check_file(fd, path, err);
        rc = rc == OTR_OK ? take(path, fd, &hc->secrets[i], err) : rc;
        close(fd);
    }
    return rc;
}
