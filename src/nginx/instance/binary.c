#include "nginx/instance/binary.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "nginx/files.h"

enum { WINDOW_BYTES = 1 << 16 };

static const char version_lead[] = "nginx version: ";
static const char configure_lead[] = "configure arguments:";

/* The rest of the line behind `lead`, blanks in front cut; {NULL, 0} when there is none. */
static otr_bytes line_after(otr_bytes text, const char *lead)
{
    const uint8_t *at = text.n > 0 ? memmem(text.p, text.n, lead, strlen(lead)) : NULL;
    if (at == NULL) {
        return (otr_bytes){ 0 };
    }
    at += strlen(lead);
    const uint8_t *end = text.p + text.n;
    const uint8_t *stop = at;
    while (stop < end && *stop != '\n' && *stop != '\0') {
        stop++;
    }
    while (at < stop && *at == ' ') {
        at++;
    }
    return (otr_bytes){ at, (size_t)(stop - at) };
}

static char *copy(otr_bytes text)
{
    return otr_strndup((const char *)text.p, text.n);
}

/* A backslash is not special: configure wrote these arguments itself, quoted by '…'. */
bool otr_binary_argument(const char *configure, const char *name, char *out, size_t cap)
{
    size_t name_n = strlen(name);
    for (const char *p = configure + strspn(configure, " "); *p != '\0'; p += strspn(p, " ")) {
        bool ours =
            strncmp(p, "--", 2) == 0 && strncmp(p + 2, name, name_n) == 0 && p[2 + name_n] == '=';
        p += ours ? name_n + 3 : 0;
        size_t n = 0;
        for (char quote = '\0'; *p != '\0' && (quote != '\0' || *p != ' '); p++) {
            if (quote == '\0' && (*p == '\'' || *p == '"')) {
                quote = *p;
            } else if (*p == quote) {
                quote = '\0';
            } else if (ours && n + 1 < cap) {
                out[n++] = *p;
            }
        }
        if (ours) {
            out[n] = '\0';
            return true;
        }
    }
    return false;
}

static char *argument_or(const char *configure, const char *name, const char *otherwise)
{
    char value[OTR_NGINX_PATH_BYTES];
    bool given = otr_binary_argument(configure, name, value, sizeof(value)) && value[0] != '\0';
    return otr_strdup(given ? value : otherwise);
}

static otr_code fill(otr_bytes version, otr_bytes configure, otr_binary *ret, otr_err *err)
{
    otr_binary b = { .version = copy(version), .configure = copy(configure) };
    if (b.version != NULL && b.configure != NULL) {
        b.prefix = argument_or(b.configure, "prefix", "/usr/local/nginx");
        b.conf_path = argument_or(b.configure, "conf-path", "conf/nginx.conf");
        b.error_log = argument_or(b.configure, "error-log-path", "logs/error.log");
        b.access_log = argument_or(b.configure, "http-log-path", "logs/access.log");
        b.plus = strstr(b.version, "nginx-plus") != NULL;
    }
    if (b.prefix == NULL || b.conf_path == NULL || b.error_log == NULL || b.access_log == NULL) {
        otr_binary_deinit(&b);
        return otr_fail_nomem(err);
    }
    *ret = b;
    return OTR_OK;
}

otr_code otr_binary_parse(otr_bytes output, otr_binary *ret, otr_err *err)
{
    otr_bytes name = line_after(output, version_lead);
    const uint8_t *slash = name.n > 0 ? memchr(name.p, '/', name.n) : NULL;
    if (slash == NULL) {
        return otr_fail(err, OTR_EINVAL, "no \"%s\" line in the output of -V", version_lead);
    }
    otr_bytes version = { slash + 1, name.n - (size_t)(slash + 1 - name.p) };
    return fill(version, line_after(output, configure_lead), ret, err);
}

otr_code otr_binary_unknown(otr_binary *ret, otr_err *err)
{
    return fill((otr_bytes){ (const uint8_t *)"", 0 }, (otr_bytes){ (const uint8_t *)"", 0 }, ret,
                err);
}

void otr_binary_deinit(otr_binary *binary)
{
    char *texts[] = { binary->version,   binary->configure, binary->prefix,
                      binary->conf_path, binary->error_log, binary->access_log };
    for (size_t i = 0; i < OTR_COUNT(texts); i++) {
        otr_free(texts[i]);
    }
    *binary = (otr_binary){ 0 };
}

/* Appends the string at file offset `at`, up to its NUL or line end, and a line end. */
static otr_code take_string(int fd, off_t at, otr_buf *out, otr_err *err)
{
    uint8_t *to;
    otr_code rc = otr_buf_reserve(out, OTR_LIMIT_NGINX_V_BYTES, &to, err);
    if (rc != OTR_OK) {
        return rc;
    }
    ssize_t got = pread(fd, to, OTR_LIMIT_NGINX_V_BYTES, at);
    size_t n = 0;
    while (got > 0 && n < (size_t)got && to[n] != '\0' && to[n] != '\n') {
        n++;
    }
    otr_buf_grew(out, n);
    return otr_buf_addc(out, '\n', err);
}

/* Finds both texts window by window; windows overlap by the length of the longer lead. */
static otr_code search(int fd, uint8_t *window, otr_buf *out, otr_err *err)
{
    static const char *const leads[] = { version_lead, configure_lead };
    enum { OVERLAP = sizeof(configure_lead) };
    bool found[2] = { false, false };
    otr_code rc = OTR_OK;
    ssize_t n;
    for (off_t at = 0; rc == OTR_OK && !(found[0] && found[1]); at += n - OVERLAP) {
        n = pread(fd, window, WINDOW_BYTES, at);
        if (n <= OVERLAP || at > (off_t)OTR_LIMIT_NGINX_CONFIG_BYTES) {
            break;
        }
        for (size_t i = 0; i < OTR_COUNT(leads) && rc == OTR_OK; i++) {
            const uint8_t *hit =
                found[i] ? NULL : memmem(window, (size_t)n, leads[i], strlen(leads[i]));
            if (hit != NULL) {
                found[i] = true;
                rc = take_string(fd, at + (hit - window), out, err);
            }
        }
    }
    if (rc == OTR_OK && !found[0]) {
        rc = otr_fail(err, OTR_ENOTFOUND, "the executable does not hold its version");
    }
    return rc;
}

otr_code otr_binary_read(const char *proc_root, const otr_master *m, otr_binary *ret, otr_err *err)
{
    char exe[OTR_NGINX_PATH_BYTES];
    (void)snprintf(exe, sizeof(exe), "%s/%d/exe", proc_root, (int)m->pid);
    int fd = open(exe, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        otr_code rc = otr_root_open_file(&(otr_root){ .path = m->root }, m->binary, &fd, NULL, err);
        if (rc != OTR_OK) {
            return rc;
        }
    }
    otr_buf text;
    otr_buf_init(&text, 4 * OTR_LIMIT_NGINX_V_BYTES);
    uint8_t *window = otr_alloc(WINDOW_BYTES);
    otr_code rc = window != NULL ? search(fd, window, &text, err) : otr_fail_nomem(err);
    if (rc == OTR_OK) {
        rc = otr_binary_parse(otr_buf_bytes(&text), ret, err);
    }
    otr_free(window);
    otr_buf_deinit(&text);
    close(fd);
    return rc;
}
