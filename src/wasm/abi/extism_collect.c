/* What an Extism manifest names: files, hashes; and what is asked of it later. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "wasm/abi/extism_manifest.h"

enum { PATH_BYTES = 4096 };

static uint64_t mix(uint64_t h, uint64_t v)
{
    return (h ^ v) * UINT64_C(0x100000001b3); /* FNV's prime */
}

uint64_t otr_module_stamp_of(const struct stat *st)
{
    uint64_t h = mix(UINT64_C(0xcbf29ce484222325), (uint64_t)st->st_dev);
    h = mix(mix(h, (uint64_t)st->st_ino), (uint64_t)st->st_size);
    return mix(mix(h, (uint64_t)st->st_mtim.tv_sec), (uint64_t)st->st_mtim.tv_nsec);
}

uint64_t otr_module_file_stamp(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? otr_module_stamp_of(&st) : 0;
}

/* What follows "folder/" in `path`; NULL: it does not begin with that. */
static const char *within(const char *folder, const char *path)
{
    size_t n = strlen(folder);
    n -= n > 0 && folder[n - 1] == '/' ? 1 : 0;
    return strncmp(path, folder, n) == 0 && path[n] == '/' ? path + n + strspn(path + n, "/")
                                                           : NULL;
}

/* A manifest is a stranger's: it names files beside itself and below, no others of the machine. */
static otr_code open_module(const otr_extism_module *x, const char *folder, int *ret_fd,
                            struct stat *ret, otr_err *err)
{
    const char *path = x->path[0] == '/' ? within(folder, x->path) : x->path;
    if (path == NULL || path[0] == '\0') {
        return otr_fail(err, OTR_EDENIED,
                        "path: %s lies outside of the folder of the manifest, %s; put the module "
                        "there, or give data or url",
                        x->path, folder);
    }
    otr_code rc = otr_file_open_beneath(folder, path, ret_fd, ret, err);
    return rc == OTR_OK ? OTR_OK : otr_wrap(err, rc, "path");
}

static otr_code read_module(otr_extism_module *x, const char *folder, otr_err *err)
{
    char path[PATH_BYTES];
    struct stat st;
    int fd = -1;
    if (folder == NULL) {
        return otr_fail(err, OTR_EDENIED,
                        "path: a manifest that was fetched has no folder; give data or url");
    }
    int n = x->path[0] == '/' ? snprintf(path, sizeof(path), "%s", x->path)
                              : snprintf(path, sizeof(path), "%s/%s", folder, x->path);
    if (n < 0 || (size_t)n >= sizeof(path)) {
        return otr_fail(err, OTR_EQUOTA, "path: longer than %d bytes", PATH_BYTES - 1);
    }
    otr_free(x->file);
    if ((x->file = otr_strdup(path)) == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = open_module(x, folder, &fd, &st, err);
    if (rc != OTR_OK) {
        return rc;
    }
    rc = otr_buf_read_fd(&x->wasm, fd, err);
    (void)close(fd);
    x->stamp = otr_module_stamp_of(&st);
    return rc == OTR_OK ? OTR_OK : otr_wrap(err, rc, "path: %s", path);
}

static otr_code fetch_module(otr_extism_module *x, const otr_extism_source *from, otr_err *err)
{
    if (from->fetch == NULL) {
        return otr_fail(err, OTR_EUNSUP,
                        "url: modules are not fetched here; load the file and name it by path");
    }
    if (!x->hashed) {
        return otr_fail(err, OTR_EDENIED, "url: a module that is fetched needs its hash");
    }
    otr_code rc = from->fetch(from->arg, x->url, x->hash, &x->wasm, err);
    return rc == OTR_OK ? OTR_OK : otr_wrap(err, rc, "url");
}

static otr_code check_hash(const otr_extism_module *x, const otr_extism_source *from, otr_err *err)
{
    char found[OTR_SHA256_HEX_BYTES];
    if (!x->hashed) {
        return x->path == NULL || !from->pinned
                   ? OTR_OK
                   : otr_fail(err, OTR_EDENIED,
                              "path: the manifest is trusted by digest or signature, so every file "
                              "it names needs its hash");
    }
    (void)otr_sha256_hex(otr_buf_bytes(&x->wasm), found);
    return strcmp(found, x->hash) == 0
               ? OTR_OK
               : otr_fail(err, OTR_EDENIED, "hash: the file has %s, the manifest wants %s", found,
                          x->hash);
}

otr_code otr_extism_manifest_collect(otr_extism_manifest *m, const otr_extism_source *from,
                                     otr_err *err)
{
    for (size_t i = 0; i < m->n_modules; i++) {
        otr_extism_module *x = &m->modules[i];
        otr_code rc = OTR_OK;
        if (x->path != NULL) {
            rc = read_module(x, from->folder, err);
        } else if (x->url != NULL) {
            rc = fetch_module(x, from, err);
        }
        rc = rc == OTR_OK ? check_hash(x, from, err) : rc;
        if (rc == OTR_OK && from->check != NULL && x->url == NULL) {
            rc = from->check(from->arg, x->file != NULL ? x->file : "data", otr_buf_bytes(&x->wasm),
                             err);
        }
        if (rc != OTR_OK) {
            return otr_wrap(err, rc, "Extism manifest: wasm[%zu]", i);
        }
    }
    return OTR_OK;
}

void otr_extism_manifest_forget(otr_extism_manifest *m)
{
    for (size_t i = 0; i < m->n_modules; i++) {
        otr_buf_deinit(&m->modules[i].wasm);
    }
}

const char *otr_extism_manifest_config(const otr_extism_manifest *m, const char *key)
{
    for (char *const *pair = m->config; *pair != NULL; pair += 2) {
        if (strcmp(pair[0], key) == 0) {
            return pair[1];
        }
    }
    return NULL;
}

/* Linear but for the last star, to which it goes back: no pattern is slow. */
static bool fits(const char *pattern, const char *text)
{
    const char *star = NULL, *from = NULL;
    while (*text != '\0') {
        if (*pattern == '*') {
            star = ++pattern;
            from = text;
        } else if (*pattern == '?' || *pattern == *text) {
            pattern++;
            text++;
        } else if (star != NULL) {
            pattern = star;
            text = ++from;
        } else {
            return false;
        }
    }
    while (*pattern == '*') {
        pattern++;
    }
    return *pattern == '\0';
}

bool otr_extism_host_allowed(char *const *list, const char *host)
{
    for (; *list != NULL; list++) {
        if (fits(*list, host)) {
            return true;
        }
    }
    return false;
}
