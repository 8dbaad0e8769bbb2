/* `outrider nginx build`: the files of a configuration written from its tree. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "cli/nginx.h"
#include "nginx/files.h"

static const char header[] =
    "# This configuration was built from JSON by outrider nginx build.\n\n";

/* Is there a part ".." in it? */
static bool climbs(const char *path)
{
    for (const char *at = path; (at = strstr(at, "..")) != NULL; at += 2) {
        if ((at == path || at[-1] == '/') && (at[2] == '\0' || at[2] == '/')) {
            return true;
        }
    }
    return false;
}

static otr_code path_of(const otr_cli_nginx *o, const otr_conf_file *file, otr_buf *out,
                        otr_err *err)
{
    otr_buf_init(out, 2 * OTR_NGINX_PATH_BYTES);
    if (climbs(file->path)) {
        return otr_fail(err, OTR_EINVAL, "%s: a path with \"..\" is not written to", file->path);
    }
    otr_code rc = OTR_OK;
    if (file->path[0] != '/') {
        rc = otr_buf_addf(out, err, "%s/", o->dir != NULL ? o->dir : o->folder);
    }
    return rc == OTR_OK ? otr_buf_adds(out, file->path, err) : rc;
}

static otr_code make_folders(char *path, otr_err *err)
{
    for (char *slash = path; (slash = strchr(slash + 1, '/')) != NULL;) {
        *slash = '\0';
        int failed = mkdir(path, 0777);
        int sys = errno;
        *slash = '/';
        if (failed != 0 && sys != EEXIST) {
            return otr_fail_sys(err, sys, "cannot make the folder of %s", path);
        }
    }
    return OTR_OK;
}

static otr_code write_all(int fd, otr_bytes text, const char *path, otr_err *err)
{
    while (text.n > 0) {
        ssize_t n = write(fd, text.p, text.n);
        if (n < 0 && errno != EINTR) {
            return otr_fail_sys(err, errno, "cannot write %s", path);
        }
        if (n > 0) {
            text.p += n;
            text.n -= (size_t)n;
        }
    }
    return OTR_OK;
}

/* By a new file beside it: a reader sees the old text or the new one. */
static otr_code replace(char *path, otr_bytes text, otr_err *err)
{
    otr_buf fresh;
    otr_buf_init(&fresh, 3 * OTR_NGINX_PATH_BYTES);
    otr_code rc = make_folders(path, err);
    if (rc == OTR_OK) {
        rc = otr_buf_addf(&fresh, err, "%s.outrider-%d", path, (int)getpid());
    }
    if (rc == OTR_OK) {
        const char *name = otr_buf_text(&fresh);
        int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        rc = fd >= 0 ? write_all(fd, text, path, err)
                     : otr_fail_sys(err, errno, "cannot write %s", path);
        if (fd >= 0 && close(fd) != 0 && rc == OTR_OK) {
            rc = otr_fail_sys(err, errno, "cannot write %s", path);
        }
        if (rc == OTR_OK && rename(name, path) != 0) {
            rc = otr_fail_sys(err, errno, "cannot write %s", path);
        }
        if (rc != OTR_OK && fd >= 0) {
            (void)unlink(name);
        }
    }
    otr_buf_deinit(&fresh);
    return rc;
}

/* The text with its header and a line feed at the end. */
static otr_code text_of(const otr_cli_nginx *o, const otr_conf_file *file, const otr_layout *layout,
                        otr_buf *out, otr_err *err)
{
    otr_buf body;
    otr_buf_init(&body, 8UL * OTR_LIMIT_NGINX_CONFIG_BYTES);
    otr_buf_init(out, 9UL * OTR_LIMIT_NGINX_CONFIG_BYTES);
    otr_code rc = otr_conf_write_text(file->first, layout, &body, err);
    if (rc != OTR_OK) {
        rc = otr_wrap(err, rc, "%s", file->path);
    }
    if (rc == OTR_OK && !o->no_headers) {
        rc = otr_buf_adds(out, header, err);
    }
    if (rc == OTR_OK) {
        rc = otr_buf_add(out, otr_buf_bytes(&body), err);
    }
    otr_buf_deinit(&body);
    return rc == OTR_OK ? otr_buf_addc(out, '\n', err) : rc;
}

static otr_code build_one(const otr_cli_nginx *o, const otr_conf_file *file,
                          const otr_layout *layout, otr_err *err)
{
    otr_buf path, text;
    otr_buf_init(&text, 0);
    otr_code rc = path_of(o, file, &path, err);
    if (rc == OTR_OK) {
        rc = text_of(o, file, layout, &text, err);
    }
    if (rc == OTR_OK && o->to_stdout) {
        (void)printf("# %s\n%s\n", otr_buf_text(&path), otr_buf_text(&text));
        rc = fflush(stdout) == 0 ? OTR_OK : otr_fail_sys(err, errno, "cannot write the output");
    } else if (rc == OTR_OK) {
        rc = replace((char *)path.p, otr_buf_bytes(&text), err);
        if (rc == OTR_OK && o->verbose) {
            (void)printf("wrote to %s\n", otr_buf_text(&path));
        }
    }
    otr_buf_deinit(&text);
    otr_buf_deinit(&path);
    return rc;
}

static otr_code check_free(const otr_cli_nginx *o, const otr_conf *conf, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < conf->n_files; i++) {
        otr_buf path;
        struct stat st;
        rc = path_of(o, &conf->files[i], &path, err);
        if (rc == OTR_OK && lstat(otr_buf_text(&path), &st) == 0) {
            rc = otr_fail(err, OTR_ESTATE, "%s is there already: --force overwrites it",
                          otr_buf_text(&path));
        }
        otr_buf_deinit(&path);
    }
    return rc;
}

otr_code otr_cli_nginx_build(const otr_cli_nginx *o, const otr_conf *conf, const otr_layout *layout,
                             otr_err *err)
{
    otr_code rc = o->force || o->to_stdout ? OTR_OK : check_free(o, conf, err);
    for (size_t i = 0; rc == OTR_OK && i < conf->n_files; i++) {
        rc = build_one(o, &conf->files[i], layout, err);
    }
    return rc;
}
