/* secret.get: what an operator hands to one plugin in files, read before its sandbox starts. */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "plugin/services/services.h"

typedef struct secret { /* OTR_SECRETS of them, in the order of the manifest's */
    char *text;         /* wiped when it goes; NULL: not read */
    size_t n;
} secret;

static void close_secrets(void *own)
{
    secret *all = own;
    for (size_t i = 0; i < OTR_SECRETS; i++) {
        if (all[i].text != NULL) {
            sodium_memzero(all[i].text, all[i].n);
            otr_free(all[i].text);
        }
    }
    otr_free(all);
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

static otr_code take(const char *path, int fd, secret *ret, otr_err *err)
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

static otr_code read_all(const otr_manifest *m, secret *all, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && m->secrets[2 * i] != NULL; i++) {
        const char *path = m->secrets[2 * i + 1];
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0) {
            return otr_fail_sys(err, errno, "cannot open %s (grants.secrets of the plugin at %s)",
                                path, m->where);
        }
        rc = check_file(fd, path, err);
        rc = rc == OTR_OK ? take(path, fd, &all[i], err) : rc;
        close(fd);
    }
    return rc;
}

/* Reads them anew; the error names the file, never what is in it. */
static otr_code load(const otr_gate *gate, void **own, otr_err *err)
{
    if (*own != NULL) {
        close_secrets(otr_steal(own));
    }
    if (gate->manifest->secrets == NULL) {
        return OTR_OK;
    }
    *own = otr_calloc(OTR_SECRETS, sizeof(secret));
    return *own != NULL ? read_all(gate->manifest, *own, err) : otr_fail_nomem(err);
}

static bool same(otr_bytes a, const char *b)
{
    return a.n == strlen(b) && (a.n == 0 || memcmp(a.p, b, a.n) == 0);
}

/* The same name for the same file in what the operator wrote last. */
static bool still_granted(const otr_gate *gate, char *const *pair)
{
    char *const *all = otr_gate_policy(gate)->secrets;
    for (; all != NULL && *all != NULL; all += 2) {
        if (strcmp(all[0], pair[0]) == 0) {
            return strcmp(all[1], pair[1]) == 0;
        }
    }
    return false;
}

static otr_code secret_get(otr_gate *gate, void *own, otr_bytes in, otr_buf *out, otr_err *err)
{
    char *const *all = gate->manifest->secrets;
    for (size_t i = 0; all != NULL && all[2 * i] != NULL; i++) {
        if (same(in, all[2 * i]) && still_granted(gate, all + 2 * i)) {
            const secret *s = own != NULL ? (const secret *)own + i : NULL;
            return s != NULL && s->text != NULL
                       ? otr_buf_add(out, (otr_bytes){ (const uint8_t *)s->text, s->n }, err)
                       : otr_fail(err, OTR_ESTATE, "secret.get: %s was not read", all[2 * i]);
        }
    }
    return otr_gate_deny_name(gate, "secret.get", in, "secrets", err);
}

static const otr_operation operations[] = { { "secret.get", secret_get }, { NULL, NULL } };

const otr_service otr_service_secrets = {
    .name = "secret",
    .grant = "secrets",
    .operations = operations,
    .load = load,
    .close = close_secrets,
};
